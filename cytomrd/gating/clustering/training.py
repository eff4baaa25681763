"""Training a self-organising map: FlowSOM's rule, and a batch rule of the same schedule and error.

The map is a rectangular grid of nodes. An event draws its nearest node and those around it on the grid, within a
radius (the larger of the steps along rows and columns) that falls in a straight line from the 67th percentile of all
grid distances to 0, at a rate that falls from 0.05 to 0.01: Van Gassen 2015, doi:10.1002/cyto.a.22625.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.clustering.mapping import as_events

__all__ = ["fit_som_batch", "fit_som_online", "start_radius"]

RATES = (0.05, 0.01)
RADIUS_QUANTILE = 0.67
MAX_NODES = 2500
DRAWS = 1 << 16
# Steps of the batch rule in a pass, each of every 53rd event. With fewer, nodes lag behind the falling radius; more
# gain nothing. A prime, so that events of kinds that alternate are drawn evenly.
STEPS = 53
# Events that a thread takes at a time, and at most how many shares a step has, whatever the number of threads.
SHARE, N_SHARES = 2048, 8

Progress = Callable[[int, int], None]


def fit_som_online(
    events,
    grid: tuple[int, int] = (10, 10),
    *,
    n_passes: int = 10,
    random_state: int = 0,
    progress: Progress | None = None,
) -> np.ndarray:
    """Train a map by FlowSOM's rule: events drawn at random move the nodes one by one.

    Parameters
    ----------
    events
        Array of shape (n_events, n_dims), finite, on scales that make distances comparable.
    grid
        (n_rows, n_columns) of the map.
    n_passes
        ``n_passes * n_events`` events are drawn, with replacement.
    random_state
        Seed of the draws and of the events at which the nodes start.
    progress
        Called with (draws done, draws in all).

    Returns
    -------
    numpy.ndarray
        float64 (n_rows * n_columns, n_dims): the nodes, row by row. Steps are computed in float32, as FlowSOM does.

    Raises
    ------
    GateError
        If there is no event, a value is not finite, or the grid is empty or has more than 2,500 nodes.
    """
    from cytomrd.kernels.som import DIMS, FAR, LANES, train_online

    events, low, high = _checked(events, grid, n_passes)
    rng = np.random.default_rng(random_state)
    nodes = _start(events, grid, rng)
    n_nodes, n_dims = nodes.shape
    # On a scale of about 1 around the middle of the events float32 has digits to spare. The factor is exact.
    middle = np.median(nodes, axis=0)
    span = max(high - middle.min(), middle.max() - low)
    factor = float(2.0 ** -np.ceil(np.log2(span))) if span > 0 else 1.0
    columns = np.full((n_dims + -n_dims % DIMS, n_nodes + -n_nodes % LANES), FAR, dtype=np.float32)
    columns[n_dims:] = 0.0
    columns[:n_dims, :n_nodes] = ((nodes - middle) * factor).T
    total = n_passes * len(events)
    for first in range(0, total, DRAWS):
        drawn = rng.integers(len(events), size=min(DRAWS, total - first))
        radii = (start_radius(grid), 0.0)
        train_online(events, drawn, first, total, (middle, factor), grid, radii, RATES, columns)
        if progress is not None:
            progress(min(first + DRAWS, total), total)
    return columns[:n_dims, :n_nodes].T.astype(np.float64) / factor + middle


def fit_som_batch(
    events,
    grid: tuple[int, int] = (10, 10),
    *,
    n_passes: int = 10,
    random_state: int = 0,
    n_threads: int = 1,
    progress: Progress | None = None,
) -> np.ndarray:
    """Train a map by steps over an even share of the events each, 1 in 53, in place of one event.

    In a step every node moves towards the mean of the events that are nearest to it or to a node within the radius,
    ``1 - (1 - rate)^m`` of the way for m events: as far as m single steps of FlowSOM's rule would take it. Radius and
    rate fall as they do there, so the last sixth of the passes moves the nearest nodes alone.

    Parameters
    ----------
    events
        Array of shape (n_events, n_dims), finite, on scales that make distances comparable.
    grid
        (n_rows, n_columns) of the map.
    n_passes
        How often each event is used.
    random_state
        Seed of the order of the steps and of the events at which the nodes start.
    n_threads
        Threads; the nodes are the same to the last bit for any number.
    progress
        Called with (steps done, steps in all).

    Returns
    -------
    numpy.ndarray
        float64 (n_rows * n_columns, n_dims): the nodes, row by row.

    Raises
    ------
    GateError
        If there is no event, a value is not finite, or the grid is empty or has more than 2,500 nodes.
    """
    from cytomrd.kernels.nearest import node_tables
    from cytomrd.kernels.som import move_nodes

    events, *_ = _checked(events, grid, n_passes)
    rng = np.random.default_rng(random_state)
    nodes = _start(events, grid, rng)
    n_steps = min(STEPS, len(events))
    total, radius = n_passes * n_steps, start_radius(grid)
    n_threads = max(1, n_threads)
    # this thread is one of those that work
    with ThreadPoolExecutor(max(1, n_threads - 1)) as pool:
        done = 0
        for _ in range(n_passes):
            for first in rng.permutation(n_steps):
                left = 1.0 - done / total
                sums, counts = _sum_step(events, int(first), n_steps, node_tables(nodes), pool, n_threads)
                move_nodes(nodes, sums, counts, grid, int(radius * left), RATES[1] + (RATES[0] - RATES[1]) * left)
                done += 1
                if progress is not None:
                    progress(done, total)
    return nodes


def start_radius(grid: tuple[int, int]) -> float:
    """The radius at the start: the 67th percentile of the distances between all nodes of the grid."""
    n_rows, n_columns = grid
    rows, columns = np.divmod(np.arange(n_rows * n_columns), n_columns)
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(columns[:, None] - columns))
    return float(np.quantile(apart, RADIUS_QUANTILE))


def _checked(events, grid: tuple[int, int], n_passes: int) -> tuple[np.ndarray, float, float]:
    """Events as an array, and their least and largest value."""
    events = as_events(events)
    if len(grid) != 2 or min(grid) < 1 or n_passes < 1:
        raise GateError(f"grid {grid} and {n_passes} passes; each must be at least 1")
    if grid[0] * grid[1] > MAX_NODES:
        raise GateError(f"a grid of {grid[0]} x {grid[1]} nodes; at most {MAX_NODES:,} are allowed")
    if not len(events):
        raise GateError("no event to train a map on")
    # the least and the largest of values among which one is NaN is NaN
    low, high = float(events.min()), float(events.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        n_bad = int((~np.isfinite(events).all(axis=1)).sum())
        raise GateError(f"{n_bad} of {len(events)} events have values that are not finite; train without them")
    return events, low, high


def _start(events: np.ndarray, grid: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Events drawn at random as nodes; each once where there are enough."""
    n_nodes = grid[0] * grid[1]
    return events[rng.choice(len(events), n_nodes, replace=len(events) < n_nodes)].astype(np.float64)


def _sum_step(events, first: int, n_steps: int, tables, pool, n_threads: int) -> tuple[np.ndarray, np.ndarray]:
    """Sums float64 (n_nodes, n_dims) and counts int64 (n_nodes,) of events first, first + n_steps, ... by nearest node.

    The shares and the order in which they are added up depend on the number of events alone.
    """
    from cytomrd.kernels.nearest import add_events

    n_events = len(range(first, len(events), n_steps))
    share = max(SHARE, -(-n_events // N_SHARES))
    starts = range(0, n_events, share)
    nodes = tables[0]
    sums, counts = np.zeros((len(starts), *nodes.shape)), np.zeros((len(starts), len(nodes)), dtype=np.int64)

    def add(shares: range) -> None:
        for i in shares:
            begin = first + starts[i] * n_steps
            add_events(events, begin, n_steps, min(share, n_events - starts[i]), tables, sums[i], counts[i])

    others = [pool.submit(add, range(t, len(starts), n_threads)) for t in range(1, min(n_threads, len(starts)))]
    add(range(0, len(starts), n_threads))
    for other in others:
        other.result()
    return sums.sum(axis=0), counts.sum(axis=0)
