"""Interleaved rounds: every round runs each way once, so that a busy moment of the machine hits all of them."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Hashable, Mapping

import numpy as np

__all__ = ["allocated_mb", "interleave", "log_log_slope"]


def interleave(
    ways: Mapping[Hashable, Callable[[], object]],
    *,
    rounds: int,
    budget_s: float,
    spent: Mapping[Hashable, float] | None = None,
) -> dict[Hashable, list[float]]:
    """Seconds of each call of each way.

    Parameters
    ----------
    ways
        What to run; each has been run once before, so that nothing compiles here.
    rounds
        How many rounds.
    budget_s
        A way sits out once it has used this up: slow peers take part in fewer rounds, at least in one.
    spent
        What a first call took. Where that is beyond the budget, it counts as the only one.
    """
    spent = dict(spent or {})
    taken: dict[Hashable, list[float]] = {
        name: [spent[name]] if spent.get(name, 0.0) > budget_s else [] for name in ways
    }
    for i in range(rounds):
        names = list(ways) if i % 2 == 0 else list(ways)[::-1]
        for name in names:
            if taken[name] and sum(taken[name]) + min(taken[name]) > budget_s:
                continue
            started = time.perf_counter()
            result = ways[name]()
            taken[name].append(time.perf_counter() - started)
            del result
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
