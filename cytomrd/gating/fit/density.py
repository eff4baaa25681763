"""One-dimensional densities on a fixed grid: peaks, valleys, and whether a valley is more than chance.

Everything that fits a cut works on binned counts, so that the counts may come
from a sample of events or from a histogram of all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.stats import norm

__all__ = ["GRID", "Counts", "MainPeak", "Valley", "count_events", "find_valley", "main_peak"]

LOW, HIGH, BINS = -0.3, 1.2, 1000
STEP = (HIGH - LOW) / BINS
BANDWIDTHS = 0.006 * 2.0 ** (np.arange(9) / 2)
MIN_DEPTH = 1.3
MIN_Z = 4.0
DEEP = 4.0
MIN_BANDWIDTHS = 3
MIN_SIDE_EVENTS = 300
MIN_EXCESS_SDS = 2.0

GRID = LOW + STEP * (np.arange(BINS) + 0.5)
"""Centres of the grid's bins on the transformed scale, array of shape (1000,)."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Events by bin of :data:`GRID`.

    Attributes
    ----------
    bins
        int64 array of shape (1000,), events in each bin.
    n_events
        Events looked at, those beyond the grid included.
    """

    bins: np.ndarray
    n_events: int

    @property
    def n_within(self) -> int:
        """Events on the grid."""
        return int(self.bins.sum())


@dataclass(frozen=True)
class MainPeak:
    """The highest peak: its position, and a robust SD of the side that faces away from the tail."""

    position: float
    sd: float


@dataclass(frozen=True)
class Valley:
    """A valley between two peaks and the evidence for it.

    Attributes
    ----------
    position, left, right
        The valley and its peaks, on the transformed scale.
    depth
        How many times denser the lower peak is than the valley.
    z
        The difference in standard deviations of counting.
    minor
        Fraction of events on the less populous side.
    n_bandwidths
        Smoothing widths, of nine, at which it stands out.
    bandwidth
        The width at which the position was read.
    """

    position: float
    left: float
    right: float
    depth: float
    z: float
    minor: float
    n_bandwidths: int
    bandwidth: float


def count_events(values: np.ndarray) -> Counts:
    """Count values on the grid; values beyond it are known but not placed.

    Parameters
    ----------
    values
        Array of shape (n_events,) on a transformed scale.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit.density import count_events
    >>> counts = count_events(np.array([0.1, 0.1, 0.9, 7.0]))
    >>> counts.n_within, counts.n_events
    (3, 4)
    """
    values = np.asarray(values, dtype=np.float64)
    bins, _ = np.histogram(values[np.isfinite(values)], bins=BINS, range=(LOW, HIGH))
    return Counts(bins.astype(np.int64), len(values))


def smooth(bins: np.ndarray, bandwidth: float) -> np.ndarray:
    """Gaussian smoothing along the last axis, with nothing beyond the grid; in events per bin."""
    return gaussian_filter1d(bins.astype(np.float64), bandwidth / STEP, axis=-1, mode="constant")


def main_peak(counts: Counts, *, side: str = "upper", within: tuple[float, float] = (LOW, HIGH)) -> MainPeak | None:
    """Find the highest peak and how wide it is, away from the tail to be judged.

    The width is read from the flank opposite to ``side`` (the distance from the
    mode to the points at 0.85, 0.75, 0.65 and 0.55 of its height, each against
    that of a Gaussian), so that neither the tail nor a second population on that
    side widens it; a population on the other flank is outvoted by the median.

    Parameters
    ----------
    counts
        Binned events.
    side
        ``"upper"`` or ``"lower"``: the tail that will be judged.
    within
        Where to look for the peak.

    Returns
    -------
    The peak, or None where there are fewer than 20 events.
    """
    if counts.n_within < 20:
        return None
    inside = (within[0] <= GRID) & (within[1] >= GRID)
    bandwidth = _pilot_bandwidth(counts)
    density = smooth(counts.bins, bandwidth)
    mode = int(np.argmax(np.where(inside, density, -1.0)))
    position = _summit(density, mode)
    widths = _flank_widths(density, mode, -1 if side == "upper" else 1, position)
    if not widths:
        return None
    sd = np.sqrt(max(np.median(widths) ** 2 - bandwidth**2, STEP**2))
    return MainPeak(position, float(sd))


def excess_beyond(counts: Counts, peak: MainPeak, *, side: str = "upper") -> tuple[float, float] | None:
    """Where a second population outweighs the main one, seen as an excess over the mirror image of its other flank.

    A single population, skewed or not, departs from its mirror image close to its peak; a second one at a
    distance. So the excess counts only where it is largest 2 robust SDs or more from the peak, and it must
    be 4 standard deviations of counting.

    Returns
    -------
    The place where both are equally dense, and the events in excess beyond it; None without the evidence.
    """
    density = smooth(counts.bins, _pilot_bandwidth(counts))
    if side == "lower":
        density = density[::-1]
    centre = peak.position if side == "upper" else LOW + HIGH - peak.position
    mirrored = np.interp(2.0 * centre - GRID, GRID, density, left=0.0, right=0.0)
    beyond = np.flatnonzero(centre < GRID)
    excess = (density - mirrored)[beyond]
    top = int(np.argmax(excess))
    if GRID[beyond[top]] < centre + MIN_EXCESS_SDS * peak.sd or excess[top] <= mirrored[beyond[top]]:
        return None
    below = np.flatnonzero(excess[:top] <= mirrored[beyond[:top]])
    first = int(below[-1]) + 1 if below.size else 0
    n_excess = float(excess[first:].sum())
    if n_excess < MIN_Z * np.sqrt(density[beyond[first:]].sum() + mirrored[beyond[first:]].sum() + 1.0):
        return None
    place = float(GRID[beyond[first]])
    return (place if side == "upper" else LOW + HIGH - place), n_excess


def overlap_at(counts: Counts, valley: Valley, position: float) -> float:
    """What share of the smaller population a cut in a valley gets wrong, by the inner flanks of its two peaks.

    A population is taken to go on beyond the cut as a Gaussian whose SD its flank on that side has. Counted are
    those of the smaller one that lie across, and those of the larger one that lie among them, whichever are more.

    Returns
    -------
    Events on the wrong side over the events of the smaller population, 0 or more.
    """
    density = smooth(counts.bins, valley.bandwidth)
    n_right = int(counts.bins[position <= GRID].sum())
    n_left = counts.n_within - n_right
    across = []
    for n, place, step in ((n_left, valley.left, 1), (n_right, valley.right, -1)):
        top = int(np.argmin(np.abs(GRID - place)))
        widths = _flank_widths(density, top, step, place)
        if not widths:
            return 0.0
        sd = np.sqrt(max(np.median(widths) ** 2 - valley.bandwidth**2, STEP**2))
        across.append(n * float(norm.sf(abs(position - place) / sd)))
    return max(across) / max(1, min(n_left, n_right))


def _flank_widths(density: np.ndarray, top: int, step: int, place: float) -> list[float]:
    """SDs of the Gaussians that fall from a peak as its flank does to some heights, as far as the flank reaches."""
    flank, places = density[top::step], GRID[top::step]
    widths = []
    for height in (0.85, 0.75, 0.65, 0.55):
        below = np.flatnonzero(flank < height * density[top])
        if below.size:
            widths.append(abs(places[below[0]] - place) / np.sqrt(-2.0 * np.log(height)))
    return widths


def density_at(counts: Counts, position: float) -> float:
    """Density at a position as a fraction of that at the highest peak."""
    density = smooth(counts.bins, _pilot_bandwidth(counts))
    return float(np.interp(position, GRID, density) / density.max())


def find_valley(counts: Counts, bounds: tuple[float, float], *, min_depth: float = MIN_DEPTH) -> Valley | None:
    """Find the valley that best parts the events within ``bounds``, if there is one.

    A valley counts at one smoothing width when the lower of the peaks beside it (the
    highest places to its left and right that are reached before a deeper one) is 1.3
    times denser and 4 standard deviations of counting above it; it is accepted when it
    does so at three widths or more out of nine (0.006 to 0.096 of the scale). Among
    accepted valleys that are four times deep or more, the one with more events on its
    smaller side wins; otherwise the deeper. They are compared at one width, since every valley is deep under
    narrow smoothing.

    Parameters
    ----------
    counts
        Binned events.
    bounds
        The valley lies in this closed interval of the transformed scale.
    min_depth
        Another depth than 1.3.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit.density import count_events, find_valley
    >>> rng = np.random.default_rng(0)
    >>> values = np.r_[rng.normal(0.2, 0.04, 5000), rng.normal(0.7, 0.05, 300)]
    >>> valley = find_valley(count_events(values), (0.1, 0.9))
    >>> 0.35 < valley.position < 0.6
    True
    """
    found = []
    for bandwidth in BANDWIDTHS:
        found += _valleys_at(counts, bandwidth, bounds, min_depth)
    groups = [g for g in _grouped(found) if len({v.bandwidth for v in g}) >= MIN_BANDWIDTHS]
    if not groups:
        return None
    common = min(max(v.bandwidth for v in g) for g in groups)

    def rank(group: list[Valley]) -> tuple[float, float]:
        seen = min(group, key=lambda v: abs(v.bandwidth - common))
        return min(seen.depth, DEEP), seen.minor

    best = max(groups, key=rank)
    typical = sorted(best, key=lambda v: v.bandwidth)[len(best) // 2]
    return Valley(**{**_fields(typical), "n_bandwidths": len({v.bandwidth for v in best})})


def valley_positions(resampled: np.ndarray, valley: Valley, bounds: tuple[float, float]) -> np.ndarray:
    """Where the valley lies, within ``bounds``, in each row of resampled counts: array of shape (n_resamples,)."""
    density = smooth(resampled, valley.bandwidth)
    low, high = max(valley.left, bounds[0]), min(valley.right, bounds[1])
    between = np.flatnonzero((low <= GRID) & (high >= GRID))
    part = density[:, between]
    lowest = part.min(axis=1, keepdims=True)
    flat = part <= lowest * (1 + 1e-9) + 1e-12
    return np.array([GRID[between[row]].mean() for row in flat])


def _summit(density: np.ndarray, mode: int) -> float:
    """Centre of mass of the top of a peak: steadier than its single highest bin."""
    low = density < 0.85 * density[mode]
    start = mode - int(np.argmax(low[mode::-1])) + 1 if low[: mode + 1].any() else 0
    stop = mode + int(np.argmax(low[mode:])) if low[mode:].any() else len(density)
    top = slice(start, stop)
    return float(np.average(GRID[top], weights=density[top]))


def _pilot_bandwidth(counts: Counts) -> float:
    cumulative = np.cumsum(counts.bins)
    q25, q75 = GRID[np.searchsorted(cumulative, [0.25 * cumulative[-1], 0.75 * cumulative[-1]])]
    spread = max(q75 - q25, STEP) / 1.349
    return float(np.clip(0.9 * spread * counts.n_within**-0.2, 0.004, 0.04))


def _valleys_at(counts: Counts, bandwidth: float, bounds: tuple[float, float], min_depth: float) -> list[Valley]:
    density = smooth(counts.bins, bandwidth)
    # A smoothed bin stands for the events of about 3.5 bandwidths: that number is what counting errors apply to.
    effective = density * (2.0 * np.sqrt(np.pi) * bandwidth / STEP)
    cumulative = np.cumsum(counts.bins)
    found = []
    for start, stop in _minima(effective):
        middle = (start + stop) // 2
        if not bounds[0] <= GRID[middle] <= bounds[1]:
            continue
        floor = effective[middle]
        left, right = _peaks_beside(effective, start, stop)
        lower_peak = min(effective[left], effective[right])
        z = np.sqrt(2.0) * (np.sqrt(lower_peak + 0.375) - np.sqrt(floor + 0.375))
        depth = (lower_peak + 0.5) / (floor + 0.5)
        if z < MIN_Z or depth < min_depth:
            continue
        share = cumulative[middle] / cumulative[-1]
        found.append(
            Valley(
                position=float(GRID[middle]),
                left=float(GRID[left]),
                right=float(GRID[right]),
                depth=float(depth),
                z=float(z),
                minor=float(min(share, 1.0 - share)),
                n_bandwidths=1,
                bandwidth=float(bandwidth),
            )
        )
    return found


def _peaks_beside(density: np.ndarray, start: int, stop: int) -> tuple[int, int]:
    """The highest bins left and right of a valley, each side only as far as no deeper place is met."""
    deeper = density < density[start]
    before = np.flatnonzero(deeper[:start])
    after = np.flatnonzero(deeper[stop:])
    first = before[-1] + 1 if before.size else 0
    last = stop + after[0] if after.size else len(density)
    return first + int(np.argmax(density[first : start + 1])), stop + int(np.argmax(density[stop:last]))


def _minima(density: np.ndarray) -> list[tuple[int, int]]:
    """First and last bin of every stretch that is lower than both its neighbours."""
    edges = np.flatnonzero(np.diff(density) != 0)
    starts = np.r_[0, edges + 1]
    stops = np.r_[edges, len(density) - 1]
    level = density[starts]
    inner = np.flatnonzero((level[1:-1] < level[:-2]) & (level[1:-1] < level[2:])) + 1
    return [(int(starts[i]), int(stops[i])) for i in inner]


def _grouped(valleys: list[Valley]) -> list[list[Valley]]:
    """Valleys of neighbouring smoothing widths that lie at the same place."""
    groups: list[list[Valley]] = []
    for valley in sorted(valleys, key=lambda v: (v.bandwidth, v.position)):
        near = [g for g in groups if abs(g[-1].position - valley.position) <= max(0.03, 1.5 * valley.bandwidth)]
        if near:
            min(near, key=lambda g: abs(g[-1].position - valley.position)).append(valley)
        else:
            groups.append([valley])
    return groups


def _fields(valley: Valley) -> dict:
    return {name: getattr(valley, name) for name in Valley.__dataclass_fields__}
