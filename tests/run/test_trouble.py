"""Full disks, read-only folders, files that go away: each ends clean, each is said, and nothing finished is lost."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from runs import write_samplesheet

from cytomrd.run.execute import gate_plan
from cytomrd.run.plan import plan_run
from cytomrd.run.settings import RunSettings
from cytomrd.run.staging import sample_store
from cytomrd.run.workers import Failed, LocalPool

GATE = [sys.executable, "-m", "cytomrd", "gate"]


@pytest.fixture
def blood_run(small_run, tmp_path):
    """The subject's blood alone: three samples."""
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    with (folder / "samplesheet.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["matrix"] == "PB"]
    write_samplesheet(folder, rows)
    return folder


def gate(folder: Path, *options, **how) -> subprocess.CompletedProcess:
    command = [*GATE, str(folder), "-q", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **how)


@contextmanager
def mounted(place: Path, *options: str):
    """A file system in memory, where this process may mount one."""
    place.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", *options, "none", str(place)], capture_output=True, check=False)
    except OSError:
        pytest.skip("no mount here")
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_said_and_what_is_finished_stays(blood_run, gated_run, tmp_path):
    disk = tmp_path / "disk"
    with mounted(disk, "-o", "size=20m"):
        result = gate(blood_run, "-o", disk / "results")
        assert result.returncode == 3, result.stderr
        assert "No space left on device; finished samples are kept" in result.stderr
        assert not (disk / "results").exists()
        kept = sorted(p.parent.name for p in disk.glob(".results.samples/*/manifest.json"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=200m", str(disk)], check=True)
        assert gate(blood_run, "-o", disk / "results").returncode == 0
        assert set(kept) <= {p.name for p in (disk / ".results.samples").iterdir()}
        assert (disk / "results" / "car_nk.csv").read_bytes() == (gated_run[1] / "car_nk.csv").read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="no such limit here")
def test_a_file_that_may_not_grow_is_said(blood_run):
    import resource

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    result = gate(blood_run, preexec_fn=limit)
    assert result.returncode == 3, result.stderr
    assert "File too large; finished samples are kept" in result.stderr
    assert not (blood_run / "results").exists()
    assert list((blood_run / ".results.samples").iterdir()) == []


def test_a_read_only_folder_is_said(blood_run, tmp_path):
    disk = tmp_path / "disk"
    if os.geteuid():
        disk.mkdir(mode=0o555)
        result = gate(blood_run, "-o", disk / "results")
    else:  # nobody refuses root but the file system itself
        with mounted(disk, "-o", "ro"):
            result = gate(blood_run, "-o", disk / "results")
    assert result.returncode == 3, result.stderr
    assert "cannot be locked" in result.stderr
    assert "choose a folder that you may write" in result.stderr


def test_a_file_that_goes_away_after_planning_costs_its_sample(blood_run):
    plan = plan_run(blood_run)
    (blood_run / "PB14.fcs").unlink()
    with LocalPool(2) as pool:
        run = gate_plan(plan, RunSettings(), sample_store(blood_run / "results"), pool=pool)
    failed = {p.sample_id: str(s) for p, s in run.pairs if isinstance(s, Failed)}
    assert list(failed) == ["PB14"]
    assert "PB14.fcs: cannot be opened (No such file or directory)" in failed["PB14"]


@pytest.mark.skipif(os.name == "nt", reason="no such permissions here")
def test_a_file_that_may_not_be_read_costs_its_sample(blood_run):
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        shutil.copytree(blood_run, folder, dirs_exist_ok=True)
        folder.chmod(0o755)
        (folder / "PB14.fcs").chmod(0)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        try:
            plan = plan_run(folder)
        finally:
            os.seteuid(me)
    finally:
        shutil.rmtree(folder)
    errors = {s.sample_id: s.files[0].error for s in plan.samples}
    assert "PB14.fcs: cannot be opened (Permission denied)" in errors.pop("PB14")
    assert set(errors.values()) == {None}


def test_the_second_of_two_runs_is_refused_and_the_first_is_not_disturbed(blood_run):
    first = subprocess.Popen([*GATE, str(blood_run), "-q"])
    while not (blood_run / ".results.holder").exists() and first.poll() is None:
        time.sleep(0.01)
    second = gate(blood_run)
    assert second.returncode == 6
    assert f"(process {first.pid}) since" in second.stderr
    assert first.wait() == 0
    assert (blood_run / "results" / "car_nk.csv").exists()


@pytest.mark.skipif(os.name == "nt", reason="no such signal here")
def test_a_run_that_is_ended_by_a_server_leaves_nothing_held(blood_run):
    run = subprocess.Popen([*GATE, str(blood_run), "-q"], stderr=subprocess.PIPE, text=True)
    while not (blood_run / ".results.holder").exists() and run.poll() is None:
        time.sleep(0.01)
    run.terminate()
    assert "interrupted; nothing is left half written" in run.communicate()[1]
    assert run.returncode == 130
    assert {p.name for p in blood_run.glob(".results*")} <= {".results.lock", ".results.samples"}
    assert not (blood_run / "results").exists()


def test_times_of_files_decide_nothing(blood_run):
    """A clock that was set back leaves files from the future, and new content under old times."""
    assert gate(blood_run, "-j", 2).returncode == 0
    before = (blood_run / "results" / "provenance.json").read_bytes()
    for path in blood_run.rglob("*"):
        os.utime(path, (4e9, 4e9))
    assert gate(blood_run).returncode == 0
    assert (blood_run / "results" / "provenance.json").read_bytes() == before
    path = blood_run / "PB14.fcs"
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, (1e9, 1e9))
    result = subprocess.run([*GATE, str(blood_run)], capture_output=True, text=True, check=True)
    assert "PB14: gated again: file PB14.fcs changed" in result.stderr
    assert "PB1:" not in result.stderr
