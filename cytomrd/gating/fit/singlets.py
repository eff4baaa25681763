"""Singlets: a band along the ridge of two pulse measures of one scatter signal."""

from __future__ import annotations

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.fit.density import count_events, main_peak
from cytomrd.kernels.gates import points_in_polygon

__all__ = ["find_singlets", "fit_singlets"]

MIN_EVENTS = 200
N_SLICES = 24
MIN_SLICE = 150
CENTRE = 0.45
MIN_SD = 0.008
MAX_SD = 0.12
PAD = 0.003


def fit_singlets(
    x: np.ndarray, y: np.ndarray, *, width: float = 4.0, doublets: str = "below"
) -> tuple[tuple[float, float], ...]:
    """Fit a polygon that holds single cells on two pulse measures.

    A single cell's area, height and width keep a nearly constant ratio; two cells in one
    pulse have a larger area for their height. The ratio ``y / x`` is followed along ``x``
    in slices, each read at its main peak and within what the peak over all events
    allows, so that a slice full of doublets cannot pull the ridge to them. Its SD is
    read from the flank that doublets do not reach.

    Parameters
    ----------
    x, y
        Arrays of shape (n_events,): the two measures on their linear scales, 0 to 1.
    width
        Half-width of the band in robust SDs of the logarithm of the ratio.
    doublets
        ``"below"`` where doublets have a smaller ``y / x`` (height against area), ``"above"``
        where they have a larger one.

    Returns
    -------
    Vertices of the polygon, counter-clockwise from the lower left.

    Raises
    ------
    GateError
        With fewer than 200 events above zero on both measures.
    """
    use = np.isfinite(x) & np.isfinite(y) & (x > 0.01) & (y > 0.002)
    if use.sum() < MIN_EVENTS:
        raise GateError(
            f"singlets: {int(use.sum())} events have both pulse measures above zero, {MIN_EVENTS} are needed; "
            "check that the two channels are the area and the height (or width) of the same signal"
        )
    side = "lower" if doublets == "below" else "upper"
    top = max(1.0, float(np.nanmax(x)), float(np.nanmax(y)))
    x, log_ratio = x[use], np.log(y[use] / x[use])
    middle = np.median(log_ratio)
    peak = main_peak(count_events(log_ratio - middle + CENTRE), side=side)
    if peak is None:
        raise GateError("singlets: the ratio of the two pulse measures has no peak; check the two channels")
    centre, sd = peak.position - CENTRE + middle, float(np.clip(peak.sd, MIN_SD, MAX_SD))
    at, ridge, spread = _follow(x, log_ratio, centre, sd, side)
    return _band(at, ridge, spread, width, top)


def find_singlets(x: np.ndarray, y: np.ndarray, *, width: float = 4.0, doublets: str = "below") -> np.ndarray:
    """Which events are single cells by the polygon of :func:`fit_singlets`: boolean array of shape (n_events,)."""
    vertices = np.array(fit_singlets(x, y, width=width, doublets=doublets))
    member = np.ones(len(x), dtype=np.uint8)
    points_in_polygon(np.ascontiguousarray(x), np.ascontiguousarray(y), vertices, len(x), member)
    return member.astype(bool)


def _follow(x, log_ratio, centre, sd, side):
    """Ridge and SD of the log ratio at slices along x, held near the values over all events."""
    order = np.argsort(x, kind="stable")
    n_slices = int(np.clip(len(x) // MIN_SLICE, 1, N_SLICES))
    at, ridge, spread = [], [], []
    reach = 3.0 * sd
    for part in np.array_split(order, n_slices):
        near = np.abs(log_ratio[part] - centre) < 2.0 * reach
        at.append(float(np.median(x[part])))
        peak = None
        if near.sum() >= MIN_SLICE // 2:
            counts = count_events(log_ratio[part] - centre + CENTRE)
            peak = main_peak(counts, side=side, within=(CENTRE - reach, CENTRE + reach))
        ridge.append(centre if peak is None else peak.position - CENTRE + centre)
        spread.append(sd if peak is None else float(np.clip(peak.sd, max(MIN_SD, 0.6 * sd), min(MAX_SD, 1.8 * sd))))
    return np.array(at), _median3(np.array(ridge)), _median3(np.array(spread))


def _median3(values: np.ndarray) -> np.ndarray:
    if len(values) < 3:
        return values
    padded = np.r_[values[0], values, values[-1]]
    return np.median(np.stack([padded[:-2], padded[1:-1], padded[2:]]), axis=0)


def _band(at, ridge, spread, width, top):
    at = np.r_[0.0, at, 1.02 * top + 0.01]
    ridge = np.r_[ridge[0], ridge, ridge[-1]]
    spread = np.r_[spread[0], spread, spread[-1]]
    keep = np.r_[True, np.diff(at) > 1e-4]
    at, ridge, spread = at[keep], ridge[keep], spread[keep]
    lower = at * np.exp(ridge - width * spread) - PAD
    upper = at * np.exp(ridge + width * spread) + PAD
    below = [(float(a), float(b)) for a, b in zip(at, lower, strict=True)]
    above = [(float(a), float(b)) for a, b in zip(at, upper, strict=True)]
    return (*below, *reversed(above))
