"""Watching a run folder: what is finished is gated, what is half written never, and an end leaves results whole."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import write_samplesheet

from cytomrd.cli.main import cytomrd
from cytomrd.errors import RunLockedError, SamplesheetError
from cytomrd.run.finished import FolderWatch, Look
from cytomrd.run.sealed import file_sha256
from cytomrd.run.watch import watch_folder
from cytomrd.samplesheet import SampleRow

HANGS_AFTER_S = 300


class Watching:
    """``cytomrd gate RUN --watch`` in a process of its own; use it as a context manager.

    It is started as by a terminal, unless ``in_background``: shells make what scripts start with ``&`` deaf to Ctrl-C,
    and that is inherited, by these tests too.
    """

    def __init__(self, folder: Path, *options: str, in_background: bool = False):
        command = [sys.executable, "-m", "cytomrd", "gate", str(folder), "--watch", "--watch-interval", "0.1"]
        command += ["--log-format", "json", *options]
        heard = signal.SIG_IGN if in_background else signal.SIG_DFL
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, heard), **pipes)
        self.said: list[dict] = []

    def __enter__(self) -> Watching:
        self.guard = threading.Timer(HANGS_AFTER_S, self.process.kill)
        self.guard.start()
        return self

    def __exit__(self, *exc_info) -> None:
        self.guard.cancel()
        self.process.kill()
        self.process.communicate()

    def until(self, holds) -> dict:
        """The next line of the log for which ``holds(line)``."""
        for text in self.process.stderr:
            self.said.append(json.loads(text))
            if holds(self.said[-1]):
                return self.said[-1]
        raise AssertionError(f"ended with {self.process.wait()} and said {self.said}")

    def until_published(self, samples: int, waited_for: int) -> None:
        self.until(lambda line: (line.get("samples"), line.get("samples_waited_for")) == (samples, waited_for))

    def end(self, how: signal.Signals) -> tuple[int, str]:
        self.process.send_signal(how)
        output, errors = self.process.communicate(timeout=HANGS_AFTER_S)
        assert "Traceback" not in errors
        return self.process.returncode, output


def put(source: Path, target: Path) -> None:
    """Rename a whole file into place, as good copying programs do."""
    stage = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, stage)
    stage.replace(target)


def tables_of(out: Path) -> dict[str, bytes]:
    paths = [p for p in sorted(out.rglob("*")) if p.suffix in (".csv", ".xml")]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in paths}


def assert_agrees(out: Path) -> None:
    """Results are those that their provenance names, all of them and no others."""
    outputs = json.loads((out / "provenance.json").read_text("utf-8"))["outputs"]
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"provenance.json"}
    assert there == set(outputs)
    assert all(file_sha256(out / name) == sha256 for name, sha256 in outputs.items())


def rows_of(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def says(words: str, sample_id: str):
    return lambda line: any(words in reason for reason in line.get("waiting", {}).get(sample_id, ()))


def test_samples_are_gated_as_their_files_are_finished(small_run, gated_run, tmp_path):
    whole, run = small_run[0], tmp_path / "run"
    out = run / "results"
    run.mkdir()
    rows = rows_of(whole / "samplesheet.csv")
    write_samplesheet(run, [r for r in rows if r["sample_id"] != "PB14"])
    with Watching(run) as watching:
        line = watching.until(says("BM_2.fcs is not there yet", "BM"))
        assert set(line["waiting"]) == {"BM", "PB-1", "PB1"}
        put(whole / "PB14.fcs", run / "PB1.fcs")  # the wrong file under the right name, replaced below
        watching.until(lambda line: line.get("waiting", {}).get("PB1") == ["its control PB-1.fcs is not there yet"])
        put(whole / "PB-1.fcs", run / "PB-1.fcs")
        watching.until_published(2, 1)
        assert {r["sample_id"] for r in rows_of(out / "car_nk.csv")} == {"PB-1", "PB1"}
        assert (
            "not gated when these results were written: BM (BM_1.fcs is not there" in (out / "report.html").read_text()
        )
        second = subprocess.run(watching.process.args, capture_output=True, text=True, check=False)
        assert second.returncode == 6
        assert f"(process {watching.process.pid}) since" in second.stderr
        content = (whole / "BM_1.fcs").read_bytes()
        put(whole / "BM_2.fcs", run / "BM_2.fcs")
        (run / "BM_1.fcs").write_bytes(content[: len(content) // 2])
        watching.until(says("BM_1.fcs is not whole", "BM"))
        with (run / "BM_1.fcs").open("ab") as file:
            file.write(content[len(content) // 2 :])
        watching.until_published(3, 0)
        assert_agrees(out)
        put(whole / "PB1.fcs", run / "PB1.fcs")
        watching.until(lambda line: "PB1: gated again: file PB1.fcs changed" in line["message"])
        watching.until_published(3, 0)
        put(whole / "PB14.fcs", run / "PB14.fcs")
        watching.until(lambda line: "in the folder but not in samplesheet.csv: PB14.fcs" in line["message"])
        write_samplesheet(run, rows)
        watching.until_published(4, 0)
        code, output = watching.end(signal.SIGTERM)
    assert code == 0
    assert "PB14" in output
    assert_agrees(out)
    assert tables_of(out) == tables_of(gated_run[1])
    assert not list(run.glob(".results*holder"))
    gated = [line["sample_id"] for line in watching.said if line.get("what") == "gated"]
    assert sorted(gated) == ["BM", "PB-1", "PB1", "PB1", "PB14"]
    assert not [line for line in watching.said if line.get("what") in ("failed", "kept")]


@pytest.fixture
def blood_run(small_run, tmp_path):
    """The subject's blood alone, with nothing gated yet."""
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    write_samplesheet(folder, [r for r in rows_of(folder / "samplesheet.csv") if r["matrix"] == "PB"])
    return folder


def test_a_file_that_goes_takes_its_sample_along_and_an_end_in_mid_work_leaves_that_whole(blood_run):
    out = blood_run / "results"
    with Watching(blood_run) as watching:
        watching.until_published(3, 0)
        (blood_run / "PB14.fcs").rename(blood_run / "later")
        watching.until_published(2, 1)
        assert {r["sample_id"] for r in rows_of(out / "car_nk.csv")} == {"PB-1", "PB1"}
        before = (out / "provenance.json").read_bytes()
        (blood_run / "PB14.fcs").write_bytes((blood_run / "later").read_bytes() + b" ")
        while not (blood_run / ".results.holder").exists() and watching.process.poll() is None:
            time.sleep(0.01)
        code, _ = watching.end(signal.SIGINT)
    assert code == 130
    assert (out / "provenance.json").read_bytes() == before
    assert_agrees(out)
    assert not list(blood_run.glob(".results*holder"))
    assert not list(blood_run.glob(".results.stage*"))


def test_a_watch_in_the_background_is_ended_by_sigterm_alone(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with Watching(run, in_background=True) as watching:
        watching.until(lambda line: "Ctrl-C or SIGTERM ends it" in line["message"])
        watching.process.send_signal(signal.SIGINT)
        (run / "a.fcs").write_bytes(b"FCS3.1")
        watching.until(says("a.fcs is not whole", "a"))
        code, _ = watching.end(signal.SIGTERM)
    assert code == 0


def test_an_idle_watch_ends_and_says_what_is_missing(blood_run):
    whole = (blood_run / "PB14.fcs").read_bytes()
    (blood_run / "PB14.fcs").write_bytes(whole[:-1000])
    with Watching(blood_run, "--watch-idle", "0.02") as watching:
        watching.until_published(2, 1)
        output, _ = watching.process.communicate(timeout=HANGS_AFTER_S)
    assert watching.process.returncode == 4
    assert "not gated when these results were written: PB14 (PB14.fcs is not whole" in output


def test_an_idle_watch_of_nothing_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    command = [sys.executable, "-m", "cytomrd", "gate", str(tmp_path / "run"), "--watch"]
    command += ["--watch-interval", "0.1", "--watch-idle", "0.005"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 3
    assert "no FCS file (*.fcs, *.lmd) came into" in result.stderr


def test_a_folder_that_is_not_there_is_refused_and_not_made(tmp_path):
    result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path / "rum"), "--watch"])
    assert "is not a folder" in str(result.exception)
    assert not (tmp_path / "rum").exists()


def test_options_that_do_not_go_together(tmp_path):
    for options in (["--watch", "--force"], ["--watch", "--dry-run"], ["--watch-idle", "5"]):
        assert CliRunner().invoke(cytomrd, ["gate", str(tmp_path), *options]).exit_code == 2


class Looking:
    """Stands for a folder: what each look finds, the last again and again; an exception is raised."""

    folder = Path("run")

    def __init__(self, *looks):
        self.looks = list(looks)

    def look(self) -> Look:
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        if isinstance(found, Exception):
            raise found
        return found


SETTLED = Look(rows=(SampleRow("a.fcs", "A"),), state=frozenset({"a"}), moved=False)


def test_what_cannot_be_done_is_said_once_and_tried_again(caplog):
    tried = []

    def gate(look):
        tried.append(look)
        if len(tried) < 3:
            raise RunLockedError("held by somebody")
        return "results"

    end = watch_folder(Looking(SamplesheetError("row 2 is wrong"), SETTLED), gate, interval_s=0.001, idle_s=0.05)
    assert end.found == "results"
    assert len(tried) == 3
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"{said}; tried again as long as this goes on" for said in ("row 2 is wrong", "held by somebody")]


def test_a_watch_that_ends_with_a_problem_says_so():
    with pytest.raises(SamplesheetError, match="row 2 is wrong"):
        watch_folder(Looking(SETTLED, SamplesheetError("row 2 is wrong")), str, interval_s=0.001, idle_s=0.02)


def test_a_file_that_is_gone_counts_when_the_folder_is_at_rest():
    gone = Look(rows=SETTLED.rows, state=SETTLED.state - {"b"}, moved=True)
    both = Look(rows=SETTLED.rows, state=SETTLED.state | {"b"}, moved=True)
    states = []
    looks = Looking(both, gone, both, gone, replace(gone, moved=False))
    watch_folder(looks, lambda look: states.append(look.state), interval_s=0.001, idle_s=0.02)
    assert states == [both.state, gone.state]


@pytest.fixture
def watch(blood_run):
    """A folder that was looked at twice: all of it is finished."""
    watch = FolderWatch(blood_run, blood_run / "results")
    assert not watch.look().rows
    assert watch.look().moved
    found = watch.look()
    assert {row.file for row in found.rows} == {"PB-1.fcs", "PB1.fcs", "PB14.fcs"}
    assert not found.waiting
    assert not found.moved
    return watch


def test_a_file_set_aside_in_full_before_it_is_written_is_not_finished(watch, blood_run):
    path = blood_run / "PB14.fcs"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    assert watch.look().waiting == {"PB14": ("PB14.fcs is being written",)}
    for _ in range(3):
        assert watch.look().waiting == {"PB14": ("PB14.fcs is not whole: its last event is all zeros",)}
    path.write_bytes(whole)
    assert watch.look().waiting == {"PB14": ("PB14.fcs is being written",)}
    assert not watch.look().waiting


def test_a_file_without_events_is_not_finished(watch, blood_run):
    import numpy as np

    import cytomrd as cm

    dataset = cm.open_fcs(blood_run / "PB14.fcs")
    cm.write_fcs(blood_run / "PB14.fcs", np.zeros((0, dataset.n_channels)), dataset.detectors, markers=dataset.markers)
    watch.look()
    assert watch.look().waiting == {"PB14": ("PB14.fcs has no events yet",)}


def test_new_content_of_the_same_size_is_seen_whatever_the_clock_says(watch, blood_run):
    path = blood_run / "PB14.fcs"
    before, sha256 = watch.look().state, watch.content_of(path)
    os.utime(path, (1e9, 1e9))
    assert watch.look().waiting == {"PB14": ("PB14.fcs is being written",)}
    found = watch.look()
    assert not found.waiting
    assert found.state != before
    assert watch.content_of(path) == sha256


def test_a_control_that_is_written_anew_holds_its_subject_up(watch, blood_run):
    path = blood_run / "PB-1.fcs"
    content = path.read_bytes()
    path.unlink()
    waiting = watch.look().waiting
    assert waiting["PB-1"] == ("PB-1.fcs was there and is gone",)
    assert waiting["PB1"] == waiting["PB14"] == ("its control PB-1.fcs was there and is gone",)
    path.write_bytes(content)
    watch.look()
    assert not watch.look().waiting


def test_a_samplesheet_that_goes_away_is_waited_for(watch, blood_run):
    text = (blood_run / "samplesheet.csv").read_text()
    (blood_run / "samplesheet.csv").unlink()
    for _ in range(3):
        found = watch.look()
        assert not found.rows
        assert found.waiting == {"samplesheet.csv": ("was there and is gone",)}
    (blood_run / "samplesheet.csv").write_text(text)
    watch.look()
    assert len(watch.look().rows) == 3


def test_a_samplesheet_with_a_mistake_is_refused_until_it_is_mended(watch, blood_run):
    sheet = blood_run / "samplesheet.csv"
    text = sheet.read_text()
    sheet.write_text(text.replace("car-nk-bcma", "car-nk-bmca", 1))
    assert "is being written" in watch.look().waiting["samplesheet.csv"]
    for _ in range(2):
        with pytest.raises(SamplesheetError, match="car-nk-bmca"):
            watch.look()
    sheet.write_text(text)
    watch.look()
    assert len(watch.look().rows) == 3


def test_files_that_are_not_gated_are_not_waited_for(watch, blood_run):
    rows = rows_of(blood_run / "samplesheet.csv")
    stain = {"file": "PE.fcs", "sample_id": "PE", "panel": "car-nk-bcma", "role": "single_stain", "stain": "CD56"}
    with (blood_run / "samplesheet.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0], "stain"], lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, stain])
    watch.look()
    before = watch.look()
    assert len(before.rows) == 4
    assert not before.waiting
    for content in (b"F", b"FCS3.1"):
        (blood_run / "PE.fcs").write_bytes(content)
        assert watch.look().state == before.state


def test_settings_that_change_are_another_result(watch, blood_run):
    before = watch.look()
    (blood_run / "run.toml").write_text("lob_events = {euroflow-mm-mrd = 3}\n")
    assert "run.toml" in watch.look().waiting
    after = watch.look()
    assert after.settings.lob_events == {"euroflow-mm-mrd": 3}
    assert after.state != before.state
