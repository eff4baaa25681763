"""Measurements that need a process of their own: memory, start-up, and the `cytomrd gate` command."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

from cytomrd.bench.blas import environment_as_found
from cytomrd.bench.child import WARM_UP_EVENTS
from cytomrd.bench.events import Events
from cytomrd.bench.kernels import OURS
from cytomrd.bench.machine import versions
from cytomrd.bench.plan import BenchPlan
from cytomrd.bench.rows import Row
from cytomrd.simulate.demo import write_example_tube

__all__ = ["BYTES_PER_CODE", "measure_batch", "measure_marrow", "measure_memory", "measure_start"]

# Declared output of the whole pass: a uint32 code for each event.
BYTES_PER_CODE = 4
FIRST_EVENTS = 20_000
TUBE_EVENTS = 60_000
EXIT_FINE = (0, 5)  # done; done with samples held by QC


def measure_memory(plan: BenchPlan, folder: Path) -> list[Row]:
    """Memory of the whole pass at two sizes, with one thread and several; of reading; and the peers' at one size."""
    large = Events(plan.memory_events, folder)
    small = Events(max(plan.memory_events // 10, WARM_UP_EVENTS), folder)
    for events in (large, small):
        events.file()
    Events(WARM_UP_EVENTS, folder).file()
    rows = []
    for threads in sorted({1, plan.threads}):
        sizes = (large,) if plan.is_quick else (small, large)
        rows += [_memory_row("pass", OURS, threads, events.n_events, folder) for events in sizes]
    compared = small if plan.memory_events > 2_000_000 else large
    wanted = [("pass", "FlowKit", "FlowKit")]
    if not plan.is_quick:
        rows.append(_memory_row("read_float32_le", OURS, 1, compared.n_events, folder))
        wanted += [("read_float32_le", name, name) for name in ("FlowIO", "FlowKit")]
    installed = versions()
    for kernel, implementation, package in wanted:
        if installed[package] is None:
            rows.append(Row(kernel, implementation, compared.n_events, note="not installed"))
        else:
            rows.append(_memory_row(kernel, implementation, None, compared.n_events, folder))
    for events in (large, small):
        events.forget_files()
    return rows


def _memory_row(kernel: str, implementation: str, threads: int | None, n_events: int, folder: Path) -> Row:
    task = ["memory", kernel, implementation, str(threads or 1), str(n_events), str(folder)]
    done = _run([sys.executable, "-m", "cytomrd.bench.child", *task])
    row = Row(kernel, implementation, n_events, threads=threads, memory_of="process")
    if done.returncode:
        row.note = f"failed: {done.stderr.strip().splitlines()[-1:]}"
        return row
    found = json.loads(done.stdout.strip().splitlines()[-1])
    row.peak_memory_mb = found["peak_mb"] - found["before_mb"]
    row.resident_mb = found["peak_mb"]
    return row


def measure_start(plan: BenchPlan, folder: Path) -> list[Row]:
    """From the shell: the help text, and the counts of a small file through kernels that were compiled before."""
    events = Events(FIRST_EVENTS, folder)
    events.file()
    commands = {
        "start_help": [sys.executable, "-m", "cytomrd", "--help"],
        "start_first_result": [sys.executable, "-m", "cytomrd.bench.child", "first", str(folder), str(FIRST_EVENTS)],
    }
    rounds = 2 if plan.is_quick else 9
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            taken[name].append(_seconds(command)[0])
    return [_command_row(name, seconds[1:], 1) for name, seconds in taken.items()]


def measure_marrow(plan: BenchPlan, folder: Path) -> list[Row]:
    """`cytomrd gate` of one marrow of two tubes, report included."""
    run = folder / "marrow"
    _write_run(run, [("BM-01", tube, plan.marrow_events // 2, 1.1e-5, 0) for tube in ("1", "2")])
    seconds, code = _seconds(_gate(run, plan.threads))
    row = _command_row("gate_marrow", [seconds], plan.threads)
    row.n_events = plan.marrow_events
    row.events_per_s = plan.marrow_events / seconds
    if code not in EXIT_FINE:
        row.note = f"failed: exit code {code}"
    return [row]


def measure_batch(plan: BenchPlan, folder: Path) -> list[Row]:
    """`cytomrd gate` of many small marrows, with one worker process and with several."""
    run = folder / "batch"
    samples = [(f"BM-{i:02d}", t, TUBE_EVENTS, 1e-3, i) for i in range(plan.batch_tubes // 2) for t in ("1", "2")]
    _write_run(run, samples)
    n_events = len(samples) * TUBE_EVENTS
    rows = []
    for workers in (1, plan.threads):
        seconds, code = _seconds(_gate(run, workers))
        row = _command_row("gate_batch", [seconds], workers)
        row.n_events, row.events_per_s = n_events, n_events / seconds
        if code not in EXIT_FINE:
            row.note = f"failed: exit code {code}"
        elif rows:
            row.ratio_to, row.ratio = OURS, rows[0].seconds / seconds
        rows.append(row)
    return rows


def _gate(run: Path, workers: int) -> list[str]:
    out = str(run / f"results-{workers}")
    return [sys.executable, "-m", "cytomrd", "gate", str(run), "-o", out, "-j", str(workers), "-q", "--force"]


def _write_run(run: Path, tubes: list[tuple[str, str, int, float, int]]) -> None:
    """A run folder of (sample, tube, events, MRD fraction, seed)."""
    run.mkdir()
    with (run / "samplesheet.csv").open("w", newline="", encoding="utf-8") as file:
        sheet = csv.writer(file)
        sheet.writerow(["file", "sample_id", "subject_id", "day", "matrix", "panel", "tube", "role"])
        for sample, tube, n_events, mrd_fraction, seed in tubes:
            name = f"{sample}_{tube}.fcs"
            write_example_tube(run / name, n_events=n_events, tube=tube, mrd_fraction=mrd_fraction, random_state=seed)
            sheet.writerow([name, sample, sample, 28, "BM", "euroflow-mm-mrd", tube, "sample"])


def _command_row(name: str, seconds: list[float], threads: int) -> Row:
    ordered = sorted(seconds)
    median = ordered[len(ordered) // 2]
    return Row(name, OURS, threads=threads, seconds=median, seconds_min=ordered[0], rounds=len(ordered))


def _seconds(command: list[str]) -> tuple[float, int]:
    started = time.perf_counter()
    done = _run(command, environment_as_found())
    return time.perf_counter() - started, done.returncode


def _run(command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=environment
    )
