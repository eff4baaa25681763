"""One scale for every visit: a channel's events, gates and cuts moved from the scale they were fitted on.

Gates are fitted on a scale whose linear part follows each file's own negatives. What a person compares over visits
must not: every logicle channel is drawn on the same width, with a negative decade in sight.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cytomrd.preprocess.transforms import Logicle
from cytomrd.run.model import GatePlot, PlotAxis, RareCells

__all__ = ["common_axis", "common_plot", "moved", "placed"]

WIDTH, LOW, HIGH = 0.8, -0.1, 1.03
# Points put on each edge of an outline that is not along an axis: it is straight on the other scale alone.
STEPS = 12
# Bins drawn along an axis: as fine as a small plot shows, and half the size of the page.
BINS = 88


def common_axis(axis: PlotAxis) -> PlotAxis:
    """The axis on the scale that all visits share; linear axes, and those that a panel scales otherwise, stay."""
    scale = axis.transform
    if not isinstance(scale, Logicle):
        return axis
    width = min(WIDTH, scale.M / 2.2)
    return replace(axis, transform=Logicle(T=scale.T, W=width, M=scale.M, A=scale.A), low=LOW, high=HIGH)


def moved(axis: PlotAxis, values) -> np.ndarray:
    """Positions on an axis as positions on its common axis; one at or beyond an end stands at the end."""
    to = common_axis(axis)
    values = np.asarray(values, dtype=np.float64)
    if to is axis:
        return values
    inside = np.clip(values, axis.low, axis.high)
    there = np.asarray(to.transform.apply(axis.transform.inverse(inside)), dtype=np.float64)
    return np.where(values <= axis.low, to.low, np.where(values >= axis.high, to.high, there))


def placed(axis: PlotAxis, cells: RareCells) -> np.ndarray:
    """Rare cells on the common axis of an axis, shape (n,)."""
    values = cells.compensated[:, cells.markers.index(axis.marker)]
    return np.asarray(common_axis(axis).transform.apply(values), dtype=np.float64)


def common_plot(plot: GatePlot) -> GatePlot:
    """A step of the gating path on the common scales: bins, outlines, intervals of cuts and dots."""
    x, y = common_axis(plot.x), common_axis(plot.y)
    counts = _spread(plot.x, plot.counts.shape[0]) @ plot.counts @ _spread(plot.y, plot.counts.shape[1]).T
    axes = {"x": plot.x, "y": plot.y}
    return replace(
        plot,
        x=x,
        y=y,
        counts=counts,
        outlines=tuple(_outline(plot, np.asarray(o, dtype=np.float64)) for o in plot.outlines),
        bands=tuple((name, *map(float, moved(axes[name], [low, high]))) for name, low, high in plot.bands),
        dots=None if plot.dots is None else _moved_points(plot, np.asarray(plot.dots, dtype=np.float64)),
    )


def _spread(axis: PlotAxis, n: int) -> np.ndarray:
    """Share of each of ``n`` old bins (columns) that falls in each of the drawn ones (rows); columns add up to 1."""
    to = common_axis(axis)
    old = np.linspace(axis.low, axis.high, n + 1)
    if to is not axis:
        old = np.clip(np.asarray(to.transform.apply(axis.transform.inverse(old)), dtype=np.float64), to.low, to.high)
    n_drawn = min(n, BINS)
    new = np.linspace(to.low, to.high, n_drawn + 1)
    overlap = np.minimum(old[None, 1:], new[1:, None]) - np.maximum(old[None, :-1], new[:-1, None])
    overlap = np.maximum(overlap, 0.0)
    total = overlap.sum(axis=0)
    # A bin that has no width on the new scale keeps its events where it stands.
    flat = np.flatnonzero(total <= 0.0)
    at = np.clip(np.searchsorted(new, old[flat], side="right") - 1, 0, n_drawn - 1)
    overlap[at, flat], total[flat] = 1.0, 1.0
    return overlap / total


def _outline(plot: GatePlot, corners: np.ndarray) -> np.ndarray:
    if common_axis(plot.x) is plot.x and common_axis(plot.y) is plot.y:
        return corners
    points = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        steps = 1 if (a == b).any() else STEPS
        points += [a + (b - a) * k / steps for k in range(steps)]
    return _moved_points(plot, np.array(points).reshape(-1, 2))


def _moved_points(plot: GatePlot, points: np.ndarray) -> np.ndarray:
    """Points of shape (n, 2) on the common axes."""
    return np.stack([moved(plot.x, points[:, 0]), moved(plot.y, points[:, 1])], axis=1)
