"""What compensation left in a tube, read from its own cells: those bright in one colour against those dark in it.

No single stain is needed, and none is replaced: cells that carry both antigens look like spill that is left. So it is
a check for a person, never a correction.
"""

from __future__ import annotations

import numpy as np

__all__ = ["leftover_spill"]

MIN_CELLS = 100
# The brightest of a tube set how bright it gets: so many of them, or this share.
TOP_CELLS, TOP_SHARE = 100, 0.005
BRIGHT, DARK = 0.25, 0.03
# An axis on which nothing is brighter than this share of its top has no bright cells.
LEAST_BRIGHT = 0.004
# Beyond it cells carry both antigens, as far as anyone can tell here.
MOST_SPILL = 0.05
# A negative cell lies below so many spreads of the negatives.
NEGATIVE_SD = 4.0
SCATTER_BINS = 12


def leftover_spill(compensated: np.ndarray, scatter: np.ndarray, tops: np.ndarray) -> np.ndarray:
    """Apparent spill of each colour into each other one that compensation left.

    Bright cells have a quarter of what the brightest have. Those of them that are negative in another colour are set
    against cells that are dark in the first, negative in the other and alike in scatter: the difference of their
    commonest signals is divided by how much brighter they are. Below zero is over-compensated. Above zero may be spill
    or dim staining of the bright cells.

    Parameters
    ----------
    compensated
        Array of shape (n_events, n_colours), linear scale.
    scatter
        Array of shape (n_events, 2): forward and side scatter.
    tops
        Array of shape (n_colours,): the top of each scale.

    Returns
    -------
    numpy.ndarray
        float64 (n_colours, n_colours): from the colour of the row into that of the column; 0 on the diagonal, NaN
        where cells are too few or carry both antigens (more than 5 %).

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.preprocess.leftover_spill import leftover_spill
    >>> rng = np.random.default_rng(0)
    >>> cells = rng.normal(0, 60, (4000, 2))
    >>> cells[:1000, 0] += 20_000
    >>> cells[:, 1] += 0.02 * cells[:, 0]
    >>> found = leftover_spill(cells, np.ones((4000, 2)), np.array([262144.0, 262144.0]))
    >>> round(float(found[0, 1]), 3)
    0.02
    """
    n, m = compensated.shape
    found = np.full((m, m), np.nan)
    np.fill_diagonal(found, 0.0)
    if n < 2 * MIN_CELLS:
        return found
    place = _scatter_bins(scatter)
    noise = [_noise(values) for values in compensated.T]
    for i in range(m):
        own = compensated[:, i]
        k = max(TOP_CELLS, int(TOP_SHARE * n))
        peak = float(np.partition(own, n - k)[n - k])
        if not peak > LEAST_BRIGHT * tops[i]:
            continue
        bright, dark = np.flatnonzero(own >= BRIGHT * peak), np.flatnonzero(own < DARK * peak)
        dark = _alike(dark, bright, place)
        if len(bright) < MIN_CELLS or len(dark) < MIN_CELLS:
            continue
        brighter = float(np.median(own[bright]) - np.median(own[dark]))
        for j in range(m):
            if j != i:
                found[i, j] = _rise(compensated[bright, j], compensated[dark, j], noise[j], brighter)
    return found


def _noise(values: np.ndarray) -> float:
    """Spread of a colour's negative cells, from those below zero; the others mirror them."""
    below = values[values < 0]
    return float(1.4826 * np.median(-below)) if len(below) >= MIN_CELLS else 0.0


def _rise(bright: np.ndarray, dark: np.ndarray, noise: float, brighter: float) -> float:
    """How much higher the negative cells among the bright lie than those among the dark, per brightness."""
    top = NEGATIVE_SD * noise
    dark, bright = dark[dark < top], bright[bright < top + MOST_SPILL * brighter]
    if len(bright) < MIN_CELLS or len(dark) < MIN_CELLS:
        return np.nan
    rise = (_commonest(bright) - _commonest(dark)) / brighter
    return rise if rise <= 0.8 * MOST_SPILL else np.nan


def _scatter_bins(scatter: np.ndarray) -> np.ndarray:
    """A number for each event's place in scatter, by quantiles."""
    q = np.linspace(0, 1, SCATTER_BINS + 1)[1:-1]
    a, b = (np.searchsorted(np.quantile(values, q), values) for values in scatter.T)
    return a * SCATTER_BINS + b


def _alike(dark: np.ndarray, bright: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Dark events in the shares in which bright ones lie in the bins of scatter, as many as there are for that."""
    n_bins = SCATTER_BINS**2
    wanted = np.bincount(place[bright], minlength=n_bins)
    there = np.bincount(place[dark], minlength=n_bins)
    # Bins without dark events are left out; of the others the scarcest sets how many are taken.
    wanted = np.where(there > 0, wanted, 0)
    if not wanted.sum():
        return dark[:0]
    per_bright = np.where(wanted > 0, there / np.maximum(wanted, 1), np.inf)
    order = np.sort(per_bright[wanted > 0])
    factor = max(order[len(order) // 10], MIN_CELLS / wanted.sum())
    taken = np.minimum(there, np.ceil(factor * wanted).astype(np.int64))
    chosen = []
    by_bin = dark[np.argsort(place[dark], kind="stable")]
    first = np.concatenate([[0], np.cumsum(there)])
    for at in np.flatnonzero(taken):
        members = by_bin[first[at] : first[at + 1]]
        chosen.append(members[np.linspace(0, len(members) - 1, taken[at]).round().astype(np.int64)])
    return np.sort(np.concatenate(chosen))


def _commonest(values: np.ndarray) -> float:
    """Median of the shortest interval that holds half of the values."""
    values = np.sort(values)
    half = (len(values) + 1) // 2
    widths = values[half - 1 :] - values[: len(values) - half + 1]
    start = int(np.argmin(widths))
    return float(np.median(values[start : start + half]))
