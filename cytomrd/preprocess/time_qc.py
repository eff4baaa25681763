"""Time quality: stretches of the acquisition whose rate or signal departs from the rest of it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

__all__ = ["TimeQc", "check_time"]

MIN_EVENTS_PER_BIN = 250
MIN_TICKS_PER_BIN = 30
MAX_BINS = 200
PARTS = 5
MIN_BINS = 8
MAX_Z = 6.0
MIN_RATE_FACTOR = 1.6
MIN_SHIFT = 0.03
MIN_SHIFT_SLOW = 0.01
MAX_REMOVED = 0.5
PERCENTILES = (0.2, 0.5, 0.8)


@dataclass(frozen=True)
class TimeQc:
    """What time QC found.

    Attributes
    ----------
    removed
        Intervals ``(start, stop)`` of the time channel to leave out, ``start <= time < stop``.
    fraction_removed
        Share of the events looked at that lie in them.
    drift
        Largest shift of a channel's median between the first and the last tenth of the
        acquisition, on the transformed scale.
    notes
        Why, in words.
    """

    removed: tuple[tuple[float, float], ...]
    fraction_removed: float
    drift: float
    notes: tuple[str, ...]


def check_time(times: np.ndarray, values: np.ndarray, channels: tuple[str, ...] = ()) -> TimeQc:
    """Find stretches that a clog, a bubble, a burst or a shifted signal has spoilt.

    The acquisition is cut into up to 200 bins of equally many events and 30 ticks of the clock or more. A bin is
    left out when a channel's signal has moved: two of its 20th, 50th and 80th percentiles lie
    0.03 of the scale, 6 robust SDs, and more than the counting of events explains, from their medians over
    bins. A burst (6 robust SDs and a factor of 1.6 above the median rate) is left out, since events then
    coincide. A stretch that is as much slower is left out where a signal has moved with it, by
    0.01 of the scale: a clog dims what passes it, while a pause spoils nothing, and rare
    cells are not given away for it. Slow drift is reported and not removed: leaving events out would not mend it.

    Parameters
    ----------
    times
        Array of shape (n_events,), evenly spaced events of the file; any order.
    values
        Array of shape (n_events, n_channels), transformed scale.
    channels
        Names of the columns of ``values``, for the notes.

    Returns
    -------
    The intervals to leave out. Without the evidence to judge, none, and a note that says why.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.preprocess.time_qc import check_time
    >>> times = np.arange(20_000.0)
    >>> signal = np.random.default_rng(0).normal(0.5, 0.05, (20_000, 1))
    >>> signal[5000:6000] += 0.3
    >>> qc = check_time(times, signal)
    >>> [(round(start, -2), round(stop, -2)) for start, stop in qc.removed]
    [(5000.0, 6000.0)]
    """
    finite = np.isfinite(times)
    times, values = times[finite], values[finite]
    n_ticks = len(np.unique(times))
    n_bins = min(MAX_BINS, len(times) // MIN_EVENTS_PER_BIN, n_ticks // MIN_TICKS_PER_BIN)
    if n_bins < MIN_BINS:
        note = f"{len(times)} events at {n_ticks} different times are too few to judge steadiness: no time QC"
        return TimeQc((), 0.0, 0.0, (note,))
    notes = []
    n_backwards = int((np.diff(times) < 0).sum())
    if n_backwards:
        notes.append(f"the time channel runs backwards {n_backwards} times; stretches are judged by time, not by order")
    order = np.argsort(times, kind="stable")
    times, values = times[order], _finite_values(values[order])
    edges = np.linspace(0, len(times), n_bins + 1).astype(int)
    starts = times[edges[:-1]]
    stops = np.r_[starts[1:], np.nextafter(times[-1], np.inf)]
    levels = _levels(values, edges)
    moved = _moved(values, edges, levels)
    bad_level = _whole_runs(moved(MIN_SHIFT, beyond_counting=False), moved(MIN_SHIFT))
    burst, slow = _bad_rates(_rates(times, edges))
    clogged, paused = _clogs_and_pauses(slow, bad_level | moved(MIN_SHIFT_SLOW))
    bad_rate = burst | clogged
    bad = bad_rate | bad_level.any(axis=1)
    drift = _drift(levels)
    for a, b in _runs(paused & ~bad):
        notes.append(f"time {starts[a]:g} to {stops[b]:g} is slow, but no signal has moved with it: kept")
    if bad.mean() > MAX_REMOVED:
        notes.append(
            f"{100 * bad.mean():.0f} % of the acquisition departs from its own median: there is no steady majority "
            "to keep, so nothing was removed; look at the file before using it"
        )
        return TimeQc((), 0.0, drift, tuple(notes))
    removed = tuple((float(starts[a]), float(stops[b])) for a, b in _runs(bad))
    for a, b in _runs(bad):
        notes.append(_why(starts[a], stops[b], bad_rate[a : b + 1], bad_level[a : b + 1], channels))
    return TimeQc(removed, float(bad.mean()), drift, tuple(notes))


def _finite_values(values: np.ndarray) -> np.ndarray:
    """Values that are not finite become their channel's median, which moves no percentile of a bin much."""
    finite = np.isfinite(values)
    if finite.all():
        return values
    filled = values.copy()
    for j in range(values.shape[1]):
        own = values[finite[:, j], j]
        filled[~finite[:, j], j] = np.median(own) if own.size else 0.0
    return filled


def _rates(times: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Typical rate within each bin, events per unit of time: a pause between two events is not a low rate."""
    spans = []
    for first, last in pairwise(edges):
        marks = times[np.linspace(first, last - 1, PARTS + 1).astype(int)]
        spans.append(float(np.median(np.diff(marks))))
    # A coarse clock may not tick within a part of a bin: half of its shortest tick stands for that.
    ticks = np.diff(times)
    shortest = 0.5 * ticks[ticks > 0].min()
    return (np.diff(edges) - 1) / PARTS / np.maximum(spans, shortest)


def _bad_rates(rates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bins that are much faster than the median bin, and bins that are much slower."""
    difference = np.log(rates) - np.median(np.log(rates))
    size = np.abs(difference)
    far = (size > MAX_Z * _robust_sd(size)) & (size > np.log(MIN_RATE_FACTOR))
    return far & (difference > 0), far & (difference < 0)


def _clogs_and_pauses(slow: np.ndarray, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slow bins in a run in which a signal has moved, and those of the other runs."""
    clogged = np.zeros_like(slow)
    for a, b in _runs(slow):
        clogged[a : b + 1] = moved[a : b + 1].any()
    return clogged, slow & ~clogged


def _levels(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """20th, 50th and 80th percentiles by bin: array of shape (n_bins, 3, n_channels)."""
    return np.stack([np.quantile(values[a:b], PERCENTILES, axis=0) for a, b in pairwise(edges)])


def _moved(values: np.ndarray, edges: np.ndarray, levels: np.ndarray):
    """A function of the least shift: for each bin and channel, have two of the three percentiles moved together?

    Between two populations a percentile leaps when their shares change by little. So it is also asked how many
    of the bin's events lie below the usual percentile, against the counting error of that number.
    """
    usual = np.median(levels, axis=0)
    shift = levels - usual
    below = np.stack([(values[None, a:b] < usual[:, None]).mean(axis=1) for a, b in pairwise(edges)])
    excess = np.abs(below - np.median(below, axis=0))
    share = np.array(PERCENTILES)[:, None]
    counting = np.sqrt(share * (1 - share) / np.diff(edges).min())
    far = np.abs(shift) > MAX_Z * 1.4826 * np.median(np.abs(shift), axis=0)
    sure = far & (excess > MAX_Z * np.maximum(counting, 1.4826 * np.median(excess, axis=0)))

    def by(least: float, *, beyond_counting: bool = True) -> np.ndarray:
        large = (sure if beyond_counting else far) & (np.abs(shift) > least)
        return np.maximum((large & (shift > 0)).sum(axis=1), (large & (shift < 0)).sum(axis=1)) >= 2

    return by


def _whole_runs(moved: np.ndarray, surely: np.ndarray) -> np.ndarray:
    """Runs of bins in which a channel has moved, where it surely has in one of them: a clog begins and ends slowly."""
    whole = np.zeros_like(moved)
    for j in range(moved.shape[1]):
        for a, b in _runs(moved[:, j]):
            whole[a : b + 1, j] = surely[a : b + 1, j].any()
    return whole


def _drift(levels: np.ndarray) -> float:
    tenth = max(1, len(levels) // 10)
    medians = levels[:, 1, :]
    if medians.shape[1] == 0:
        return 0.0
    return float(np.max(np.abs(np.median(medians[:tenth], axis=0) - np.median(medians[-tenth:], axis=0))))


def _robust_sd(absolute_differences: np.ndarray) -> float:
    return float(1.4826 * np.median(absolute_differences))


def _runs(bad: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of each run of bad bins."""
    padded = np.r_[False, bad, False].astype(int)
    change = np.diff(padded)
    return list(zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1) - 1, strict=True))


def _why(start: float, stop: float, bad_rate: np.ndarray, bad_level: np.ndarray, channels: tuple[str, ...]) -> str:
    reasons = ["the rate of events"] if bad_rate.any() else []
    for index in np.flatnonzero(bad_level.any(axis=0)):
        reasons.append(channels[index] if index < len(channels) else f"channel {index}")
    return f"time {start:g} to {stop:g} left out: {', '.join(reasons)} departs from the rest"
