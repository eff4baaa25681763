"""Measuring one kernel: agreement first, then interleaved rounds, threads, memory and growth."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from cytomrd.bench.agreement import Agreement
from cytomrd.bench.events import Events
from cytomrd.bench.kernels import OURS, Kernel
from cytomrd.bench.plan import BenchPlan
from cytomrd.bench.rows import Row
from cytomrd.bench.timing import Times, allocated_mb, interleave, log_log_slope

__all__ = ["Growth", "Measured", "measure_kernel", "timed_row"]

LONGEST_TRACED_S = 0.5


@dataclass
class Growth:
    """How the time of a kernel grows: medians at several sizes, and the slope of their logarithms."""

    kernel: str
    n_events: list[int]
    seconds: list[float]
    slope: float


@dataclass
class Measured:
    """What was found of one kernel."""

    rows: list[Row] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)


@dataclass
class _Way:
    """One implementation that could be made ready, with how its result compared with ours.

    ``result`` is kept where it grows with every call, to be compared once more in the end.
    """

    implementation: str
    run: Callable[[], object]
    agreement: Agreement
    first_call: Times = field(default_factory=Times)
    threads: int | None = None
    result: object = None


def measure_kernel(kernel: Kernel, events: Events, plan: BenchPlan, bandwidth_gb_per_s: float) -> Measured:
    """Measure our way and every peer's on the same events.

    A peer that is not installed, or that fails, is a row that says so. An error of ours is an error.
    """
    first = _Way(OURS, kernel.ours(events), Agreement(), threads=1)
    first.result = first.run()  # compiles
    variants = [_Way(name, build(events), Agreement(), threads=1) for name, build in kernel.variants.items()]
    ways, missing = [first], []
    for way in variants:
        way.agreement = kernel.compare(first.result, way.run())
        ways.append(way)
    for implementation, build in kernel.peers.items():
        found = _ready(kernel, implementation, build, events, first)
        (ways if isinstance(found, _Way) else missing).append(found)
    for name, build in kernel.limits.items():
        ways.append(_Way(name, build(events), Agreement()))
        ways[-1].run()
    with ThreadPoolExecutor(max(plan.threads, 1)) as pool:
        in_threads = _with_threads(kernel, events, plan.threads, pool, first)
        if in_threads is not None:
            ways.append(in_threads)
        taken = interleave(
            {(way.implementation, way.threads): way.run for way in ways},
            rounds=plan.rounds,
            budget_s=plan.pass_budget_s if kernel.is_long else plan.budget_s,
            first={(way.implementation, way.threads): way.first_call for way in ways},
        )
    for way in ways:
        if way is not first and way.result is not None:
            way.agreement = kernel.compare(first.result, way.result)
    rows = _rows(kernel, events, ways, taken, bandwidth_gb_per_s)
    measured = Measured([*rows, *missing])
    if kernel.can_split and events.n_events >= 16:
        measured.growth.append(_growth(kernel, events, plan))
    return measured


def _ready(kernel: Kernel, implementation: str, build, events: Events, first: _Way) -> _Way | Row:
    """A peer that has run once and was compared with us, or a row that says why not."""
    row = Row(kernel.name, implementation, events.n_events)
    try:
        run = build(events)
        first_call = Times()
        result = first_call.call(run)
    except ImportError as error:
        row.note = f"not installed ({error})"
        return row
    except Exception as error:  # whatever a peer does must not end the benchmark
        row.note = f"failed: {type(error).__name__}: {error}"
        return row
    agreement = kernel.compare(first.result, result)
    return _Way(implementation, run, agreement, first_call, result=result if kernel.grows else None)


def _with_threads(kernel: Kernel, events: Events, n_threads: int, pool, first: _Way) -> _Way | None:
    """Our way with several threads."""
    if n_threads < 2 or not (kernel.can_split or kernel.threaded):
        return None
    if kernel.threaded is not None:
        run = kernel.threaded(events, n_threads)
        result = run()
        agreement = kernel.compare(first.result, result)
        return _Way(OURS, run, agreement, threads=n_threads, result=result if kernel.grows else None)
    edges = [events.n_events * i // n_threads for i in range(n_threads + 1)]
    parts = [kernel.ours(events.slice(*edges[i : i + 2])) for i in range(n_threads) if edges[i] < edges[i + 1]]

    def run() -> list:
        return list(pool.map(lambda part: part(), parts))

    run()
    return _Way(OURS, run, Agreement(), threads=n_threads)


def _rows(kernel: Kernel, events: Events, ways: list[_Way], taken, bandwidth: float) -> list[Row]:
    """A row for each of our ways and each peer, and one for each peer itself."""
    plain = {}
    for way in ways:
        times = taken[way.implementation, way.threads]
        row = timed_row(kernel.name, way.implementation, events.n_events, times, kernel.bytes_per_event, bandwidth)
        row.threads = way.threads
        if row.seconds < LONGEST_TRACED_S and (way.threads or 1) == 1 and not kernel.is_long:
            row.peak_memory_mb, row.memory_of = allocated_mb(way.run), "allocations"
        plain[way.implementation, way.threads] = row
    rows = []
    base, agreements = plain[OURS, 1], {way.implementation: way.agreement for way in ways if way.threads is None}
    for way in ways:
        row = plain[way.implementation, way.threads]
        if way.threads is None:
            rows.append(row)
            continue
        for peer, agreement in agreements.items():
            both = agreement if way.agreement.holds else way.agreement
            rows.append(row.compared(plain[peer, None], both))
        if row is not base:
            rows.append(row.compared(base, way.agreement))
        elif not agreements:
            rows.append(row)
    return rows


def timed_row(
    kernel: str, implementation: str, n_events: int, times: Times, bytes_per_event: int, bandwidth: float
) -> Row:
    """A row from the times of its calls."""
    median = float(np.median(times.wall))
    gb_per_s = n_events * bytes_per_event / median / 1e9
    return Row(
        kernel,
        implementation,
        n_events,
        events_per_s=n_events / median,
        gb_per_s=gb_per_s,
        fraction_of_bandwidth=gb_per_s / bandwidth,
        seconds=median,
        seconds_min=float(min(times.wall)),
        rounds=len(times.wall),
        cpu_seconds=float(np.median(times.cpu)),
    )


def _growth(kernel: Kernel, events: Events, plan: BenchPlan) -> Growth:
    """Our way alone on parts of the events."""
    sizes = [events.n_events // share for share in (16, 4, 1)]
    runs = {n: kernel.ours(events.slice(0, n)) for n in sizes}
    for run in runs.values():
        run()
    taken = interleave(runs, rounds=plan.rounds, budget_s=plan.budget_s / 2)
    seconds = [float(np.median(taken[n].wall)) for n in sizes]
    return Growth(kernel.name, sizes, seconds, log_log_slope(sizes, seconds))
