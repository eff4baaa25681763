"""The unstained cells inside a stained tube, where it has two clear populations."""

from __future__ import annotations

import numpy as np

__all__ = ["below_valley"]

N_BINS = 200
DEEP = 0.5
MIN_EVENTS = 20
MIN_SD = 3.0


def below_valley(own: np.ndarray) -> float | None:
    """The lowest density between the negative and the positive cells of a single stain.

    Parameters
    ----------
    own
        Shape (n_events,): signal in the stain's own detector.

    Returns
    -------
    float or None
        A value of ``own``; None where one peak is all there is, so that nobody can tell whether
        the cells are stained.
    """
    if len(own) < 2 * MIN_EVENTS:
        return None
    # Straight near zero, logarithmic above: as wide as the noise of the lower half where there is any.
    unit = max(float(np.quantile(own, 0.25) - np.quantile(own, 0.02)), 1e-6 * float(np.abs(own).max()), 1e-12)
    at = np.arcsinh((own - np.quantile(own, 0.1)) / unit)
    low, high = np.quantile(at, [0.001, 1.0])
    if not high > low:
        return None
    from scipy.ndimage import gaussian_filter1d

    counts, edges = np.histogram(at, bins=N_BINS, range=(low, high))
    width = np.subtract(*np.quantile(at, [0.6, 0.1])) / 1.5 * len(at) ** -0.2 * N_BINS / (high - low)
    density = gaussian_filter1d(counts.astype(float), float(np.clip(width, 2.0, N_BINS / 16)))
    found = _valley(density, counts)
    if found is None:
        return None
    border = float(edges[found + 1])
    return float(np.sinh(border) * unit + np.quantile(own, 0.1))


def _valley(density: np.ndarray, counts: np.ndarray) -> int | None:
    """The bin of the deepest valley that has a peak on both sides and more events above than chance leaves there."""
    left = np.maximum.accumulate(density)
    right = np.maximum.accumulate(density[::-1])[::-1]
    lower_peak = np.minimum(left, right)
    depth = np.where(lower_peak > 0, density / np.maximum(lower_peak, 1e-12), 1.0)
    above = counts[::-1].cumsum()[::-1]
    # A Poisson count at the lower peak must stand out from the valley.
    clear = (lower_peak - density) > MIN_SD * np.sqrt(np.maximum(lower_peak, 1e-12)) / np.sqrt(8.0)
    allowed = (depth < DEEP) & clear & (above >= MIN_EVENTS) & (above[0] - above >= MIN_EVENTS)
    if not allowed.any():
        return None
    candidates = np.flatnonzero(allowed)
    # The valley whose lower peak stands highest above it, that is, which parts the two largest populations.
    gain = (lower_peak - density)[candidates]
    return int(candidates[int(np.argmax(gain))])
