"""Interleaved rounds: every round runs each way once, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["Times", "allocated_mb", "interleave", "log_log_slope"]


@dataclass
class Times:
    """Seconds of each call: by the clock, and of processor time, which other processes cannot lengthen much."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def call(self, run: Callable[[], object]) -> object:
        """Time one call and return its result."""
        cpu, wall = time.process_time(), time.perf_counter()
        result = run()
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return result


def interleave(
    ways: Mapping[Hashable, Callable[[], object]],
    *,
    rounds: int,
    budget_s: float,
    first: Mapping[Hashable, Times] | None = None,
) -> dict[Hashable, Times]:
    """Times of the calls of each way.

    Parameters
    ----------
    ways
        What to run; each has been run once before, so that nothing compiles here.
    rounds
        How many rounds.
    budget_s
        A way sits out once it has used this up: slow peers take part in fewer rounds, at least in one.
    first
        Times of a first call. Where that took more than the budget, it counts as the only one.
    """
    taken = {}
    for name in ways:
        known = (first or {}).get(name, Times())
        taken[name] = known if sum(known.wall) > budget_s else Times()
    for i in range(rounds):
        names = list(ways) if i % 2 == 0 else list(ways)[::-1]
        for name in names:
            wall = taken[name].wall
            if not wall or sum(wall) + min(wall) <= budget_s:
                taken[name].call(ways[name])
    return taken


def allocated_mb(run: Callable[[], object]) -> float:
    """Most memory, in MB, that one call asks Python and numpy for beyond what it found; C's own is not seen."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = run()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return (peak - before) / 1e6


def log_log_slope(n_events: list[int], seconds: list[float]) -> float:
    """Slope of log(seconds) on log(n_events): 1 is growth in proportion.

    Examples
    --------
    >>> from cytomrd.bench.timing import log_log_slope
    >>> round(log_log_slope([1000, 10_000, 100_000], [0.1, 1.0, 10.0]), 3)
    1.0
    """
    return float(np.polyfit(np.log(n_events), np.log(seconds), 1)[0])
