"""Progress: a bar where a person looks, lines in a log, objects for a program; never anything on stdout."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cytomrd.cli import progress
from cytomrd.cli.main import cytomrd


@pytest.fixture
def changed_run(small_run, gated_run, tmp_path):
    """The small run, gated, with one file changed since: three samples are kept and one is gated."""
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    shutil.copytree(gated_run[1].parent / ".results.samples", folder / ".results.samples")
    path = folder / "PB14.fcs"
    path.write_bytes(path.read_bytes() + b" ")
    return folder


def gate(*arguments):
    return CliRunner().invoke(cytomrd, ["gate", *(str(a) for a in arguments)])


def test_objects_say_each_sample_and_how_far_the_run_is(changed_run):
    (changed_run / "PB1.fcs").write_bytes(b"FCS3.1")
    result = gate(changed_run, "--log-format", "json")
    assert result.exit_code == 4
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    samples = [line for line in lines if "what" in line]
    assert {s["sample_id"]: s["what"] for s in samples} == {
        "BM": "kept", "PB-1": "kept", "PB1": "failed", "PB14": "gated",
    }  # fmt: skip
    assert [s["samples_done"] for s in samples] == [1, 2, 3, 4]
    assert {s["samples"] for s in samples} == {4}
    assert [s["seconds_left"] for s in samples] == [None, None, None, 0.0]
    (warning,) = [line for line in lines if line["level"] == "warning"]
    assert warning["message"] == "PB14: gated again: file PB14.fcs changed"


def test_a_log_has_plain_lines_where_they_are_asked_for(changed_run):
    result = gate(changed_run, "-v")
    assert result.stderr.splitlines() == [
        "WARNING PB14: gated again: file PB14.fcs changed",
        *(f"INFO {name} kept ({i} of 4 samples)" for i, name in enumerate(("BM", "PB-1", "PB1"), 1)),
        "INFO PB14 gated (4 of 4 samples)",
    ]
    assert "kept" not in result.stdout
    shutil.rmtree(changed_run / "results")
    assert gate(changed_run).stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="no such terminals here")
def test_a_terminal_shows_a_bar_and_stdout_stays_clean(changed_run):
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    command = [sys.executable, "-m", "cytomrd", "gate", str(changed_run)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    seen = bytearray()
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # how Linux says that the other end is closed
            break
        if not more:
            break
        seen += more
    output = run.stdout.read()
    run.stdout.close()
    os.close(ours)
    assert run.wait() == 0
    assert b"gating 3 of 4: PB1 kept" in seen
    assert b"gating 4 of 4: PB14 gated" in seen
    assert b"\x1b" not in output
    assert b"report.html" in output


def test_time_left_goes_by_events_of_samples_that_took_time(monkeypatch, caplog):
    now = 0.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    caplog.set_level(logging.INFO, "cytomrd")
    with progress.run_progress(5, 100_000) as tell:
        tell("A", 50_000, "kept")
        now = 60.0
        tell("B", 10_000, "gated")
        tell("C", 10_000, "failed")
        now = 120.0
        tell("D", 10_000, "gated")
        tell("E", 20_000, "gated")
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "A kept (1 of 5 samples)",
        "B gated (2 of 5 samples, about 4 min left)",
        "C failed (3 of 5 samples, about 3 min left)",
        "D gated (4 of 5 samples, about 2 min left)",
        "E gated (5 of 5 samples)",
    ]
    assert caplog.records[1].about["seconds_left"] == 240.0


def test_samples_that_are_kept_can_go_without_a_line(caplog):
    caplog.set_level(logging.INFO, "cytomrd")
    with progress.run_progress(2, 20, say_kept=False) as tell:
        tell("A", 10, "kept")
        tell("B", 10, "gated")
    assert [record.getMessage() for record in caplog.records] == ["B gated (2 of 2 samples)"]


@pytest.mark.parametrize(("seconds", "words"), [(0, "0 s"), (89, "89 s"), (600, "10 min"), (11_100, "3 h 05 min")])
def test_durations_in_words(seconds, words):
    assert progress._duration(seconds) == words
