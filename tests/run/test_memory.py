"""What a run says that it will hold, and that it holds no more."""

from __future__ import annotations

import contextlib
import csv
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.run.memory import admitted_jobs, cluster_memory_mb, file_memory_mb, plan_memory_mb, refusal
from cytomrd.run.plan import PlannedFile, PlannedSample, RunPlan, plan_run
from cytomrd.simulate import LAWS, draw_donor, simulate_marrow_tube


def plan_of(*n_events: int) -> RunPlan:
    files = [PlannedFile(None, Path(f"{n}.fcs"), n_events=n, n_channels=14) for n in n_events]
    return RunPlan(Path(), tuple(PlannedSample(f.path.stem, "mrd", (f,)) for f in files), {})


def test_jobs_are_fewer_where_they_would_hold_too_much():
    plan = plan_of(5_000_000, 5_000_000, 1000, 1000)
    for allowed in (1000, 1400, 1800, 2400, 4000):
        jobs = admitted_jobs(plan, 4, allowed)
        assert plan_memory_mb(plan, jobs) <= allowed
        assert jobs == 4 or plan_memory_mb(plan, jobs + 1) > allowed
    assert admitted_jobs(plan, 4, None) == 4


def test_clustering_needs_more_than_gating_and_has_fewer_jobs():
    plan = plan_of(2_000_000, 2_000_000, 1000, 1000)
    for allowed in (1300, 1800, 3000):
        jobs = admitted_jobs(plan, 4, allowed, need=cluster_memory_mb)
        assert plan_memory_mb(plan, jobs, need=cluster_memory_mb) <= allowed
        assert jobs <= admitted_jobs(plan, 4, allowed)
    assert admitted_jobs(plan, 4, 1800, need=cluster_memory_mb) < admitted_jobs(plan, 4, 1800)
    file = plan.samples[0].files[0]
    assert refusal(file, 900) is None
    assert "2,000,000 events need about" in refusal(file, 900, need=cluster_memory_mb)


def test_need_grows_with_the_events_by_little():
    needs = [file_memory_mb(plan_of(n).samples[0].files[0]) for n in (10**5, 10**6, 10**7, 10**8)]
    assert needs == sorted(needs)
    assert needs[2] < 450
    assert needs[3] - needs[2] < 4 * 90 + 120


def test_a_file_that_alone_needs_more_is_refused_with_the_figures():
    (sample,) = plan_of(40_000_000).samples
    assert refusal(sample.files[0], None) is None
    assert refusal(sample.files[0], 4000) is None
    assert re.search(r"40,000,000 events need about \d+ MB; --max-memory allows 600 MB", refusal(sample.files[0], 600))


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments])


def test_through_the_command(small_run, gated_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    for wrong in ("4", "0G", "-1G", "four", "4 Q"):
        result = run("gate", folder, "--max-memory", wrong)
        assert result.exit_code == 2
        assert "such as 4G or 800M" in result.output
    too_little = run("gate", folder, "--max-memory", "100M", "-q")
    assert too_little.exception is not None
    assert "at least" in str(too_little.exception)
    assert not (folder / "results").exists()
    planned = run("gate", folder, "--dry-run", "-j", "3", "--max-memory", "0.9GB")
    assert "with 1 job\n" in planned.output
    assert run("gate", folder, "-j", "3", "--max-memory", "900M", "-q").exit_code == 0
    for name in ("mrd.csv", "car_nk.csv", "populations.csv", "qc.csv"):
        assert (folder / "results" / name).read_bytes() == (gated_run[1] / name).read_bytes()


def held_by_session(command: list[str]) -> float:
    """The most that a command's process and its workers held together, in MB, looked at 20 times a second.

    Pages that processes share are counted once: their proportional set sizes are added.
    """
    most = 0
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        held = 0
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                session = (folder / "stat").read_text().rpartition(")")[2].split()[3]
                if int(session) == process.pid:
                    held += sum(
                        int(kb) for kb in re.findall(r"^Pss:\s+(\d+) kB", (folder / "smaps_rollup").read_text(), re.M)
                    )
        most = max(most, held)
        time.sleep(0.05)
    assert process.returncode == 0
    return most / 1000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="no /proc here")
@pytest.mark.parametrize("n_events", [100_000, 2_000_000])
@pytest.mark.parametrize("work", [("gate",), ("cluster", "-p", "root")])
def test_a_process_holds_what_was_said(tmp_path, work, n_events):
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(law, draw_donor(law, 3), n_events, 0.002, tube="2", random_state=5)
    write_tube(tmp_path / "a.fcs", tube)
    row = {"file": "a.fcs", "sample_id": "A", "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2"}
    write_samplesheet(tmp_path, [row])
    need = cluster_memory_mb if work[0] == "cluster" else file_memory_mb
    said = plan_memory_mb(plan_run(tmp_path), 1, need=need)
    command = [sys.executable, "-m", "cytomrd", work[0], str(tmp_path), "-q", *work[1:]]
    assert said / 2 < held_by_session(command) < said
    table = "mrd.csv" if work[0] == "gate" else "clusters/clusters.csv"
    with (tmp_path / "results" / table).open() as file:
        assert len(list(csv.DictReader(file))) >= 1
