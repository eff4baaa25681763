"""FlowJo's scales on the linear axis: Gating-ML has neither, so their gates are written without a scale.

Both scales are monotone, hence an interval is an interval again, with an edge found to
the last bit. The biexponential is straight between the points of its table, so a polygon's
edge becomes straight pieces, one for each cell of the table that it crosses; no event changes sides.
"""

from __future__ import annotations

import numpy as np

from cytomrd.errors import GateError
from cytomrd.preprocess.transforms import Biexponential, FlowJoLog, Log, Transform, scale_constants

__all__ = ["FLOWJO_SCALES", "LARGEST", "as_log", "linear_edge", "linear_polygon"]

FLOWJO_SCALES = (Biexponential, FlowJoLog)
LARGEST = float(np.finfo(np.float64).max)


def linear_edge(transform: Transform, edge: float) -> float:
    """Smallest float64 whose position on ``transform`` is at least ``edge``.

    ``-LARGEST`` where every number's is, and infinity where none's is.
    """
    if float(transform.apply(-LARGEST)) >= edge:
        return -LARGEST
    if not float(transform.apply(LARGEST)) >= edge:
        return np.inf
    low, high = _order(-LARGEST), _order(LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        if float(transform.apply(_number(middle))) >= edge:
            high = middle
        else:
            low = middle
    return _number(high)


def _order(x: float) -> int:
    """Integer that ranks float64 numbers."""
    bits = int(np.float64(x).view(np.int64))
    return bits if bits >= 0 else -(bits & 0x7FFFFFFFFFFFFFFF)


def _number(order: int) -> float:
    """The float64 of that rank."""
    size = np.int64(abs(order)).view(np.float64)
    return float(size if order >= 0 else -size)


def as_log(transform: FlowJoLog) -> Log:
    """The Gating-ML logarithm that equals FlowJo's above its offset."""
    return Log(T=transform.offset * 10.0**transform.decades, M=transform.decades)


def linear_polygon(
    vertices: np.ndarray, scales: tuple[Biexponential | None, Biexponential | None], name: str
) -> np.ndarray:
    """A polygon drawn on FlowJo's biexponential, on linear axes: float64 (n_vertices', 2).

    Parameters
    ----------
    vertices
        float64 (n_vertices, 2), positions on the scales.
    scales
        The scale of each axis; None is an axis that stays as it is.
    name
        The gate, for the message.

    Raises
    ------
    GateError
        If a vertex lies off a biexponential scale.
    """
    vertices = np.asarray(vertices, dtype=np.float64)
    tables = [None if scale is None else scale_constants(scale).table for scale in scales]
    for axis, table in enumerate(tables):
        if table is not None and not ((vertices[:, axis] >= 0) & (vertices[:, axis] <= table[1, -1])).all():
            raise GateError(f"gate {name!r}: a vertex lies beyond channels 0..{table[1, -1]:.0f} of its biexponential")
    pieces = [
        _edge_pieces(start, end, tables) for start, end in zip(vertices, np.roll(vertices, -1, axis=0), strict=True)
    ]
    positions = np.concatenate(pieces)
    linear = positions.copy()
    for axis, scale in enumerate(scales):
        if scale is not None:
            linear[:, axis] = scale.inverse(positions[:, axis])
    for axis, table in enumerate(tables):
        if table is not None:
            positions, linear = _reach_below(positions, linear, axis)
    return linear


def _edge_pieces(start: np.ndarray, end: np.ndarray, tables) -> np.ndarray:
    """Points of an edge, its end left out: the start, and each crossing of a line of either table's grid."""
    if (start == end).any():
        # Along one axis it stays straight on any scale.
        return start[None, :].copy()
    shares = [np.zeros(1)]
    for axis, table in enumerate(tables):
        low, high = sorted((start[axis], end[axis]))
        if table is not None:
            lines = np.arange(np.floor(low) + 1, np.ceil(high))
            shares.append((lines - start[axis]) / (end[axis] - start[axis]))
    share = np.unique(np.concatenate(shares))[:, None]
    points = start + share * (end - start)
    for axis, table in enumerate(tables):
        # A crossing lies on its grid line exactly; rounding must not move it off.
        if table is not None:
            nearest = np.round(points[:, axis])
            points[:, axis] = np.where(np.abs(points[:, axis] - nearest) < 1e-9, nearest, points[:, axis])
    return points


def _reach_below(positions: np.ndarray, linear: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw the parts at channel 0 out to the far end of the axis: all lower values share that channel."""
    at_zero = positions[:, axis] == 0.0
    if not at_zero.any():
        return positions, linear
    far = linear.copy()
    far[:, axis] = -1e30
    before, after = np.roll(at_zero, 1), np.roll(at_zero, -1)
    kept, drawn = [], []
    for i in range(len(positions)):
        if not at_zero[i]:
            kept.append(positions[i])
            drawn.append(linear[i])
            continue
        steps = [far[i]]
        if not before[i]:
            steps.insert(0, linear[i])
        if not after[i]:
            steps.append(linear[i])
        kept.extend([positions[i]] * len(steps))
        drawn.extend(steps)
    return np.array(kept), np.array(drawn)
