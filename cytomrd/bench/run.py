"""The whole benchmark, step by step: one plain object that is printed, drawn, or written as JSON."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np

from cytomrd.bench import ours
from cytomrd.bench.events import Events, scratch
from cytomrd.bench.kernels import KERNELS, OURS, Kernel
from cytomrd.bench.machine import COPIED_BYTES, describe_machine, memcpy_times, versions
from cytomrd.bench.marks import judge
from cytomrd.bench.measure import Growth, Measured, measure_kernel, timed_row
from cytomrd.bench.plan import BenchPlan
from cytomrd.bench.process import measure_batch, measure_marrow, measure_memory, measure_start
from cytomrd.bench.rows import Row
from cytomrd.bench.timing import interleave, log_log_slope

__all__ = ["NAMES", "disagreements", "run_bench"]

Progress = Callable[[int, int, str], None]
# Steps that are no kernel.
STEPS = ("growth", "memory", "start", "marrow", "batch")
NAMES = tuple(dict.fromkeys([*(k.group for k in KERNELS), *(k.name for k in KERNELS), *STEPS]))


def run_bench(plan: BenchPlan, *, progress: Progress | None = None) -> dict[str, object]:
    """Measure what the plan asks for.

    Returns
    -------
    dict
        ``machine``, ``versions``, ``settings``, ``bandwidth_gb_per_s``, ``rows`` (see
        :class:`cytomrd.bench.rows.Row`), ``growth`` and ``marks``; nothing but what JSON knows.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    machine = describe_machine()
    copies = memcpy_times(COPIED_BYTES)
    bandwidth = COPIED_BYTES / float(np.median(copies.wall)) / 1e9
    copied = timed_row("memcpy", "numpy", COPIED_BYTES // 56, copies, 56, bandwidth)
    measured = Measured([copied])
    with scratch(2 * 56 * plan.most_events) as folder:
        steps = list(_steps(plan, folder, bandwidth))
        for i, (label, step) in enumerate(steps):
            if progress is not None:
                progress(i, len(steps), label)
            if time.monotonic() - clock > plan.limit_s:
                measured.rows.append(Row(label, OURS, note=f"left out: {plan.limit_s:g} s were over"))
                continue
            found = step()
            measured.rows += found.rows
            measured.growth += found.growth
    marks = judge(measured.rows, measured.growth, plan.threads)
    return {
        "machine": machine,
        "versions": versions(),
        "settings": _settings(plan) | {"started_at": started.isoformat(timespec="seconds")}
        | {"blas_threads": os.environ.get("OPENBLAS_NUM_THREADS")}
        | {"seconds": round((datetime.now(UTC) - started).total_seconds(), 1)},
        "bandwidth_gb_per_s": bandwidth,
        "rows": [asdict(row) for row in measured.rows],
        "growth": [asdict(growth) for growth in measured.growth],
        "marks": [asdict(mark) for mark in marks],
    }  # fmt: skip


def _settings(plan: BenchPlan) -> dict[str, object]:
    """The plan as JSON knows it: no limit is null."""
    return asdict(plan) | {"limit_s": plan.limit_s if plan.limit_s < float("inf") else None}


def disagreements(result: dict) -> list[str]:
    """Where an implementation of ours found something else than the one that it was compared with."""
    return [
        f"{row['kernel']}: {row['implementation']} and {row['ratio_to']} differ ({_difference(row)})"
        for row in result["rows"]
        if row["agrees"] is False
    ]


def _difference(row: dict) -> str:
    return f"{row['mismatches']} events" if row["mismatches"] else f"by {row['max_error']:.3g}"


def _steps(plan: BenchPlan, folder: Path, bandwidth: float) -> Iterator[tuple[str, Callable[[], Measured]]]:
    sets: dict[int, Events] = {}
    sizes = {"read": plan.read_events, "decode": plan.read_events, "pass": plan.pass_events}
    sizes["clustering"] = plan.cluster_events

    def kernel_step(kernel: Kernel) -> Measured:
        n_events = sizes.get(kernel.group, plan.kernel_events)
        if n_events not in sets:
            sets.clear()  # one set in memory at a time
            sets[n_events] = Events(n_events, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # peers' remarks on the files
            found = measure_kernel(kernel, sets[n_events], plan, bandwidth)
        sets[n_events].forget_files()
        return found

    def of_kernels(is_pass: bool) -> Iterator[tuple[str, Callable[[], Measured]]]:
        for kernel in KERNELS:
            if plan.wants(kernel.name, kernel.group) and (kernel.name == "pass") == is_pass:
                yield kernel.name, partial(kernel_step, kernel)

    # What matters most comes first: a quick run may be short of time.
    yield from of_kernels(is_pass=True)
    if plan.wants("growth", "pass"):
        yield "growth", lambda: Measured(growth=[_growth_of_pass(plan, folder)])
    for name, measure, wanted in (
        ("memory", measure_memory, True),
        ("start", measure_start, True),
        ("marrow", measure_marrow, plan.marrow_events > 0),
        ("batch", measure_batch, plan.batch_tubes > 0 and plan.threads > 1),
    ):
        if wanted and plan.wants(name):
            yield name, lambda measure=measure: Measured(measure(plan, folder))
    yield from of_kernels(is_pass=False)


def _growth_of_pass(plan: BenchPlan, folder: Path) -> Growth:
    """The whole pass, one thread, over files of growing size."""
    sets = [Events(n, folder) for n in plan.growth_events]
    runs = {events.n_events: ours.whole_pass(events) for events in sets}
    for run in runs.values():
        run()
    taken = interleave(runs, rounds=plan.rounds, budget_s=plan.budget_s)
    for events in sets:
        events.forget_files()
    seconds = [float(np.median(taken[n].wall)) for n in plan.growth_events]
    return Growth("pass", list(plan.growth_events), seconds, log_log_slope(plan.growth_events, seconds))
