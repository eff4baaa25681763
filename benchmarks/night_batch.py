"""A night's batch of small samples: what a run adds to the samples' own work, and whether memory stays flat.

    python benchmarks/night_batch.py [SAMPLES] [JOBS]

Marrows and bloods of 18 subjects, a few thousand events each, are gated in one run, as `cytomrd gate` does it. A
sample's own work is the time inside the two calls that a worker makes for it: gating, and its part of the report. All
else is overhead: planning, hashing, handing out, tables, page, provenance. Section "A night's batch" of README.md is
replaced at the end.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from common import setting, table, write_section

import cytomrd as cm
from cytomrd.report.gate_run import gate_run
from cytomrd.run.plan import plan_run
from cytomrd.run.settings import RunSettings
from cytomrd.run.workers import LocalPool, Task, load_ahead
from cytomrd.simulate import CLONES, LAWS, Blood, draw_donor, simulate_blood, simulate_marrow_tube
from cytomrd.simulate.files import write_samplesheet

SUBJECTS, EVENTS, VISIT_DAYS = 18, 4_000, 14
HEAD = ("samples", "jobs", "run, s", "own work, s", "overhead per sample, s", "as processor time, s",
        "resumed with nothing new, processor s per sample", "results, MB", "report, MB")  # fmt: skip
MEMORY_HEAD = ("samples", "jobs", "process", "after a tenth, MB", "after half, MB", "gated, MB", "written, MB")


def write_batch(folder: Path, n_samples: int) -> None:
    """Samples turn by turn a marrow and a blood of each subject, visit after visit."""
    law = LAWS["clinical"]
    donors = [draw_donor(law, seed) for seed in range(SUBJECTS)]
    rows = []
    for i in range(n_samples):
        subject, visit = i // 2 % SUBJECTS, i // (2 * SUBJECTS)
        row = {"file": f"{i}.fcs", "sample_id": f"{'PB' if i % 2 else 'BM'}{i}", "subject_id": f"S{subject:02d}",
               "day": VISIT_DAYS * visit - 1, "role": "pre_infusion" if i % 2 and not visit else "sample"}  # fmt: skip
        if i % 2:
            blood = Blood(leukocytes_per_ul=2000, nk_fraction=0.25, car_nk_fraction=0.2 * (visit > 0))
            tube = simulate_blood(law, donors[subject], blood, EVENTS, beads_per_tube=50_000, random_state=i)
            row |= {"matrix": "PB", "panel": "car-nk-bcma", "beads_per_tube": 50_000, "sample_volume_ul": 100}
        else:
            tube = simulate_marrow_tube(
                law, donors[subject], EVENTS, 0.02, clone=CLONES["typical"], n_clonal=30, tube="2", random_state=i
            )
            row |= {"matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2"}
        cm.write_fcs(
            folder / row["file"], tube.events, tube.detectors, markers=tube.markers,
            ranges=[tube.top] * len(tube.detectors), spillover=tube.spillover, timestep=tube.timestep_s,
        )  # fmt: skip
        rows.append(row)
    write_samplesheet(folder / "samplesheet.csv", rows)


def timed(function: Callable, arguments: tuple) -> tuple[float, float, object]:
    """A worker's call, with the seconds that it took, by the clock and of its process."""
    started, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    return time.perf_counter() - started, time.process_time() - cpu, result


class TimedPool(LocalPool):
    """Workers that say how long each call took."""

    def __init__(self, size: int):
        super().__init__(size)
        self.own_s = self.own_cpu_s = 0.0
        self._given: dict[Task, Task] = {}

    def submit(self, task: Task) -> None:
        """Give a task to a worker, and have it timed."""
        watched = Task(task.key, timed, (task.function, task.arguments))
        self._given[watched] = task
        super().submit(watched)

    def finished(self) -> list[tuple[Task, object]]:
        """Tasks as they were given, with their results alone."""
        ended = []
        for watched, found in super().finished():
            seconds, cpu_s, result = found if isinstance(found, tuple) else (0.0, 0.0, found)
            self.own_s += seconds
            self.own_cpu_s += cpu_s
            ended.append((self._given.pop(watched), result))
        return ended

    @property
    def pids(self) -> list[int]:
        """The workers' processes."""
        return [worker.process.pid for worker in self._workers]


def processor_s(pid: int) -> float:
    """Processor time of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int | str) -> float:
    """Memory of a process that no other has, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kb) for kb in re.findall(r"^Private_\w+:\s+(\d+) kB", text, re.MULTILINE)) / 1024


def measure(n_samples: int, jobs: int, folder: Path) -> tuple[tuple, list[tuple]]:
    """Gate a batch, and resume it with nothing left to do: a row of figures, and rows of memory."""
    memory = []
    out = folder / "results"
    started, cpu = time.perf_counter(), time.process_time()
    with TimedPool(jobs) as pool:
        plan = plan_run(folder, exclude=out)

        def note_memory() -> None:
            memory.append((resident_mb("self"), max(resident_mb(pid) for pid in pool.pids)))

        def progress(sample_id: str, n_events: int, what: str) -> None:
            assert what == "gated", (sample_id, what)
            note_memory()

        gate_run(plan, RunSettings(), out, pool=pool, started=datetime.now(UTC), progress=progress)
        note_memory()
        seconds, cpu_s = time.perf_counter() - started, time.process_time() - cpu
        cpu_s += sum(map(processor_s, pool.pids)) - pool.own_cpu_s
    cpu = time.process_time()
    with LocalPool(jobs) as again:
        found = gate_run(plan_run(folder, exclude=out), RunSettings(), out, pool=again, started=datetime.now(UTC))
        assert isinstance(found, dict), "nothing was left to do"
    again_s = time.process_time() - cpu
    size = sum(p.stat().st_size for p in out.rglob("*") if p.is_file()) / 1e6
    report = (out / "report.html").stat().st_size / 1e6
    beyond_s = seconds - pool.own_s / jobs
    figures = (n_samples, jobs, f"{seconds:.0f}", f"{pool.own_s:.0f}", f"{beyond_s / n_samples:.3f}",
               f"{cpu_s / n_samples:.3f}", f"{again_s / n_samples:.3f}", f"{size:.0f}", f"{report:.1f}")  # fmt: skip
    moments = [memory[k] for k in (n_samples // 10, n_samples // 2, n_samples - 1, n_samples)]
    rows = [
        (n_samples, jobs, who, *(f"{moment[i]:.0f}" for moment in moments))
        for i, who in enumerate(("of the run", "largest worker"))
    ]
    return figures, rows


def main() -> int:
    """Measure a tenth of the batch and all of it, and write the section of README.md."""
    n_samples = int(sys.argv[1]) if len(sys.argv) > 1 else 540
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 2
    load_ahead(("cytomrd.report.parts", "anndata"))
    figures, memory = [], []
    for n in (n_samples // 10, n_samples):
        folder = Path(tempfile.mkdtemp(prefix="night-"))
        try:
            write_batch(folder, n)
            found, rows = measure(n, jobs, folder)
        finally:
            shutil.rmtree(folder)
        print(found, rows, flush=True)
        figures.append(found)
        memory += rows
    write_section(
        "A night's batch",
        f"`python benchmarks/night_batch.py {n_samples} {jobs}`: marrows and bloods of {EVENTS:,} events, in one run. "
        "Own work is the time within a worker's calls for a sample, over all workers; overhead is what the run took "
        "beyond its share of it: by the clock, which on a machine that others use counts their work too, and as "
        "processor time of the run's process and of workers outside their calls. Memory is what each process has for "
        "itself.\n"
        f"{setting('numpy')}\n\n{table(HEAD, figures)}\n\n{table(MEMORY_HEAD, memory)}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
