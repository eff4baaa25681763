"""How a tube's signals held over its acquisition, and what spill is left in it: from events spread over the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.apply import transform_events
from cytomrd.gating.fit import FittedGates
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.leftover_spill import leftover_spill
from cytomrd.run.model import PlotAxis, RareCells, TubeQuality

__all__ = ["tube_quality"]

N_EVENTS = 40_000
N_TIME_BINS = 48
MIN_PER_BIN = 40
SCATTER = ("FSC-A", "SSC-A")


def tube_quality(
    dataset: FcsDataset,
    fitted: FittedGates,
    spillover: Spillover | None,
    axes: Mapping[str, PlotAxis],
    time: PlotAxis | None,
    rare: RareCells | None,
) -> TubeQuality:
    """Medians over time of every channel, and the spill that is left.

    Parameters
    ----------
    axes
        Marker to axis, without time.
    rare
        Kept cells: they are among the brightest, so they are looked at for spill beside the evenly spaced events.
    """
    n = dataset.n_events
    events = np.unique(np.linspace(0, n - 1, min(n, N_EVENTS)).round().astype(np.int64)) if n else np.zeros(0, np.int64)
    values = dataset.read_events(events=events)
    medians, seconds = _over_time(dataset, fitted, spillover, axes, time, values)
    markers, left = _left(dataset, fitted, spillover, axes, values, rare)
    return TubeQuality(seconds, tuple(axes) if len(seconds) else (), medians, markers, left)


def _over_time(dataset, fitted, spillover, axes, time, values) -> tuple[np.ndarray, np.ndarray]:
    """Medians, shape (n_bins, n_markers), on each axis' scale, and the middle of each bin; NaN for a bin of few."""
    nothing = np.zeros((0, len(axes))), np.zeros(0)
    if time is None or not len(values):
        return nothing
    at = values[:, dataset.detectors.index(time.detector)]
    finite = np.isfinite(at)
    at, values = at[finite], values[finite]
    low, high = time.transform.inverse(np.array([time.low, time.high]))
    if not high > low:
        return nothing
    edges = np.linspace(low, high, N_TIME_BINS + 1)
    scaled = transform_events(values, dataset.detectors, [fitted.axes[m] for m in axes], fitted.strategy, spillover)
    bins = np.clip(np.searchsorted(edges, at, side="right") - 1, 0, N_TIME_BINS - 1)
    medians = np.full((N_TIME_BINS, len(axes)), np.nan)
    for b in range(N_TIME_BINS):
        inside = scaled[bins == b]
        if len(inside) >= MIN_PER_BIN:
            medians[b] = np.median(inside, axis=0)
    return medians, (edges[:-1] + edges[1:]) / 2


def _left(dataset, fitted, spillover, axes, values, rare) -> tuple[tuple[str, ...], np.ndarray]:
    """Markers that are compensated, and what spill is left between them; nothing where there is no matrix."""
    if spillover is None or any(m not in axes for m in SCATTER):
        return (), np.zeros((0, 0))
    markers = tuple(m for m in axes if axes[m].detector in spillover.detectors)
    if rare is not None:
        values = np.concatenate([values, rare.raw])
    values = values[np.isfinite(values).all(axis=1)]
    linear = [replace(fitted.axes[m], transform=None) for m in (*markers, *SCATTER)]
    compensated = transform_events(values, dataset.detectors, linear, fitted.strategy, spillover)
    tops = np.array([float(axes[m].transform.inverse(np.array([1.0]))[0]) for m in markers])
    return markers, leftover_spill(compensated[:, : len(markers)], compensated[:, len(markers) :], tops)
