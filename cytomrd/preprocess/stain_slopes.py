"""The spectrum of one stain from its bright events: brightness-weighted medians, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Slopes", "difference_of_medians", "fit_slopes", "robust_sd", "weighted_quantile"]

Z95 = 1.959964
OUTLYING_SD = 5.0
EVENTS_PER_BIN = 50
MAX_BINS = 10
MAX_ROUNDS = 20


@dataclass(frozen=True, eq=False)
class Slopes:
    """Signal of one stain in each detector per signal in its own.

    Attributes
    ----------
    values, low, high
        Arrays of shape (n_detectors,): the slope and its 95 % interval; 1, 1, 1 for its own detector.
    kept
        bool, shape (n_events,): events that lie on the line in every detector.
    """

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    kept: np.ndarray


def robust_sd(values: np.ndarray) -> np.ndarray:
    """1.4826 times the median absolute deviation along the first axis."""
    return 1.4826 * np.median(np.abs(values - np.median(values, axis=0)), axis=0)


def weighted_quantile(values: np.ndarray, weights: np.ndarray, q) -> np.ndarray:
    """Quantiles ``q`` of values (n,) of which each counts as often as its weight says."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    at = np.searchsorted(reached, np.asarray(q) * reached[-1])
    return values[order][np.minimum(at, len(values) - 1)]


def fit_slopes(rise: np.ndarray, own: int, noise: np.ndarray) -> Slopes:
    """Least absolute deviations through the negatives' centre, without events off the line.

    The slope in a detector minimises the sum of ``|rise[:, j] - slope * rise[:, own]|``: it is the median of the
    events' ratios weighted by their brightness, so that dim events, whose ratios carry the autofluorescence, count
    for little. An event more than five robust SDs off the line of any detector, compared with events as bright,
    is autofluorescent, a doublet or stained otherwise, and is left out.

    Parameters
    ----------
    rise
        Shape (n_events, n_detectors): signal above the centre of the negatives; ``rise[:, own] > 0``.
    own
        Column of the stain's own detector.
    noise
        Shape (n_detectors,): robust SD of the negatives, the least spread that is believed.
    """
    bright = rise[:, own]
    n_bins = int(np.clip(len(rise) // EVENTS_PER_BIN, 1, MAX_BINS))
    bins = np.digitize(bright, np.quantile(bright, np.linspace(0, 1, n_bins + 1)[1:-1]))
    others = [j for j in range(rise.shape[1]) if j != own]
    kept = np.ones(len(rise), dtype=bool)
    for _ in range(MAX_ROUNDS):
        values = np.ones(rise.shape[1])
        for j in others:
            values[j] = weighted_quantile(rise[kept, j] / bright[kept], bright[kept], 0.5)
        now = _on_the_line(rise - np.outer(bright, values), bins, kept, noise, others)
        if np.array_equal(now, kept) or now.sum() < 0.5 * len(rise):
            break
        kept = now
    low, high = values.copy(), values.copy()
    weights = bright[kept]
    # The median of weighted ratios is exceeded by half of the weight, give or take the SD of a sum of random signs.
    half = Z95 * np.sqrt((weights**2).sum()) / (2 * weights.sum())
    for j in others:
        ratio = rise[kept, j] / weights
        low[j], high[j] = weighted_quantile(ratio, weights, [max(0.0, 0.5 - half), min(1.0, 0.5 + half)])
    return Slopes(values, low, high, kept)


def _on_the_line(off: np.ndarray, bins: np.ndarray, kept: np.ndarray, noise: np.ndarray, others) -> np.ndarray:
    on = np.ones(len(off), dtype=bool)
    for k in np.unique(bins):
        here = bins == k
        if not (here & kept).any():
            continue
        for j in others:
            sd = max(1.4826 * float(np.median(np.abs(off[here & kept, j]))), noise[j])
            on[here] &= np.abs(off[here, j]) <= OUTLYING_SD * sd if sd > 0 else True
    return on


def difference_of_medians(stained: np.ndarray, unstained: np.ndarray, own: int) -> Slopes:
    """Difference of the medians of two tubes in each detector, per that in the stain's own.

    Parameters
    ----------
    stained, unstained
        Shape (n_events, n_detectors); all events count.
    own
        Column of the stain's own detector.
    """
    centre = np.median(unstained, axis=0)
    step = np.median(stained, axis=0) - centre
    values = step / step[own]
    rise = stained - centre
    off = rise - np.outer(rise[:, own], values)
    half = Z95 * 0.5 / np.sqrt(len(stained))
    ends = np.quantile(off, [max(0.0, 0.5 - half), min(1.0, 0.5 + half)], axis=0)
    # |.|: with quantised values the median of the residuals is not exactly 0
    width = np.abs(ends - np.median(off, axis=0)) / abs(step[own])
    return Slopes(values, values - width[0], values + width[1], np.ones(len(stained), dtype=bool))
