"""The nearest node of every event, and how well a map keeps its topology."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from cytomrd.errors import GateError

__all__ = ["as_events", "as_nodes", "map_events", "topographic_error"]


def as_events(events, n_dims: int | None = None) -> np.ndarray:
    """Events as a float32 or float64 array of shape (n_events, n_dims), rows one after the other in memory."""
    events = np.asarray(events)
    if events.ndim != 2 or events.shape[1] == 0:
        raise GateError(f"events of shape {events.shape}; give an array of shape (n_events, n_dims), n_dims at least 1")
    if n_dims is not None and events.shape[1] != n_dims:
        raise GateError(f"events have {events.shape[1]} dims and the nodes {n_dims}; give the same channels in order")
    return np.ascontiguousarray(events, dtype=None if events.dtype in (np.float32, np.float64) else np.float64)


def as_nodes(nodes) -> np.ndarray:
    """Nodes as a finite float64 array of shape (n_nodes, n_dims)."""
    nodes = np.ascontiguousarray(nodes, dtype=np.float64)
    if nodes.ndim != 2 or nodes.size == 0:
        raise GateError(f"nodes of shape {nodes.shape}; give an array of shape (n_nodes, n_dims) with a node at least")
    if not np.isfinite(nodes).all():
        raise GateError("a node has a value that is not finite; distances to it mean nothing")
    return nodes


def map_events(events, nodes, n_threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Map each event to its nearest node.

    Parameters
    ----------
    events
        Array of shape (n_events, n_dims); float32 and float64 are taken as they are.
    nodes
        Array of shape (n_nodes, n_dims), finite.
    n_threads
        Threads; the result does not depend on it.

    Returns
    -------
    nearest
        int32 (n_events,): the node of least Euclidean distance in float64, the lowest index where several are equally
        near; -1 for an event with a value that is not finite.
    distances
        float64 (n_events,): distance to that node; NaN for an event with a value that is not finite.

    Examples
    --------
    >>> from cytomrd.gating.clustering import map_events
    >>> nearest, distances = map_events([[0.0, 1.0], [9.0, 9.0], [5.0, 5.0]], [[0.0, 0.0], [10.0, 10.0]])
    >>> nearest.tolist(), distances.round(2).tolist()
    ([0, 1, 0], [1.0, 1.41, 7.07])
    """
    from cytomrd.kernels.nearest import BLOCK, map_rows, node_tables

    nodes = as_nodes(nodes)
    events = as_events(events, nodes.shape[1])
    tables = node_tables(nodes)
    nearest = np.empty(len(events), dtype=np.int32)
    distances = np.empty(len(events))
    if n_threads <= 1 or len(events) <= BLOCK:
        map_rows(events, 0, len(events), tables, nearest, distances)
        return nearest, distances
    # Each event is decided by itself, so where the threads' shares begin changes nothing.
    bounds = [len(events) * i // n_threads for i in range(n_threads + 1)]
    with ThreadPoolExecutor(n_threads) as pool:
        parts = [
            pool.submit(map_rows, events, start, stop, tables, nearest, distances) for start, stop in pairwise(bounds)
        ]
        for part in parts:
            part.result()
    return nearest, distances


def topographic_error(events, nodes, grid: tuple[int, int]) -> float:
    """Fraction of events whose nearest and second nearest nodes are not neighbours on the grid, diagonals included.

    Parameters
    ----------
    events
        Array of shape (n_events, n_dims), finite.
    nodes
        Array of shape (n_rows * n_columns, n_dims), row by row.
    grid
        (n_rows, n_columns).

    Examples
    --------
    >>> from cytomrd.gating.clustering import topographic_error
    >>> topographic_error([[0.1], [1.1], [2.1]], [[0.0], [1.0], [2.0]], (1, 3))
    0.0
    """
    from scipy.spatial import cKDTree

    nodes = as_nodes(nodes)
    events = as_events(events, nodes.shape[1])
    if len(nodes) < 2 or not len(events):
        return 0.0
    first, second = cKDTree(nodes).query(events, k=2)[1].T
    rows = np.abs(first // grid[1] - second // grid[1])
    columns = np.abs(first % grid[1] - second % grid[1])
    return float((np.maximum(rows, columns) > 1).mean())
