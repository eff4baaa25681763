"""Kaplan-Meier curves with Greenwood's variance, quantiles and their limits.

Written here and checked against R's ``survival``, since lifelines 0.30 reads a median off a curve that is flat at 0.5
as the first time at 0.5, and gives limits where survival is 0: correcting both, and its intervals, took more code than
the curve itself. It remains a cross-check in the tests where the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy import stats

from cytomrd.errors import QuantificationError

__all__ = ["Interval", "KaplanMeier", "Quantile", "kaplan_meier"]

Interval = Literal["log-log", "log", "plain"]
# Survival is a product of fractions: 3/4 x 2/3 must count as 1/2.
SAME_SURVIVAL = 1e-9


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of the time to an event and its limits; None where the data do not reach it."""

    time: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class KaplanMeier:
    """A Kaplan-Meier curve; one entry per distinct time at which an event happened.

    Attributes
    ----------
    times
        Times of events, rising.
    n_at_risk, n_events
        Subjects under observation just before each time, and events at it.
    survival
        Probability of being free of the event after each time, 0 to 1.
    se
        Greenwood's standard error of ``survival``; None once survival is 0.
    low, high
        Limits of ``survival``; None once survival is 0, where they cannot be estimated.
    censored
        Times at which subjects left without the event, rising.
    n
        Subjects.
    """

    times: tuple[float, ...]
    n_at_risk: tuple[int, ...]
    n_events: tuple[int, ...]
    survival: tuple[float, ...]
    se: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    censored: tuple[float, ...]
    n: int

    def quantile(self, share: float = 0.5) -> Quantile:
        """The time by which ``share`` of the subjects had the event; the median by default.

        It is the first time at which survival is below ``1 - share``; where the curve is flat at exactly that, the
        midpoint between the beginning of the flat and the next event. The limits are read off the curve's limits in
        the same way (Brookmeyer and Crowley 1982, doi:10.2307/2530286).
        """
        if not 0.0 < share < 1.0:
            raise QuantificationError(f"share {share}: a quantile lies between 0 and 1")
        return Quantile(*(_crossing(self.times, curve, 1.0 - share) for curve in (self.survival, self.low, self.high)))

    def at(self, time: float) -> tuple[float, float | None, float | None] | None:
        """Survival at ``time`` with its limits; None after the last subject left observation."""
        last = max((*self.times, *self.censored), default=0.0)
        if time > last:
            return None
        place = int(np.searchsorted(self.times, time, side="right")) - 1
        return (1.0, 1.0, 1.0) if place < 0 else (self.survival[place], self.low[place], self.high[place])

    def at_risk(self, time: float) -> int:
        """Subjects still under observation just before ``time``: the table below a figure."""
        gone = sum(n for t, n in zip(self.times, self.n_events, strict=True) if t < time)
        return self.n - gone - sum(t < time for t in self.censored)


def kaplan_meier(
    times: Sequence[float], events: Sequence[bool], *, confidence: float = 0.95, interval: Interval = "log-log"
) -> KaplanMeier:
    """Estimate survival from times that are censored on the right.

    Parameters
    ----------
    times
        Array of shape (n_subjects,): time to the event or to the end of observation, in any unit, not negative. At
        equal times events come before censoring.
    events
        Array of shape (n_subjects,): whether the event happened.
    confidence
        Two-sided, between 0 and 1.
    interval
        Scale on which the limits are symmetric.

    Raises
    ------
    QuantificationError
        If times are negative or not finite, or events are not True or False (1 or 0).

    Examples
    --------
    >>> from cytomrd.trial.survival import kaplan_meier
    >>> curve = kaplan_meier([2, 4, 6, 8], [True, True, True, True])
    >>> curve.survival
    (0.75, 0.5, 0.25, 0.0)
    >>> curve.quantile()
    Quantile(time=5.0, low=2.0, high=None)
    """
    t, d = _checked(times, events)
    if not 0.0 < confidence < 1.0:
        raise QuantificationError(f"confidence {confidence}: need a number between 0 and 1, such as 0.95")
    if interval not in get_args(Interval):
        raise QuantificationError(f"interval {interval!r}: known are {', '.join(get_args(Interval))}")
    z = float(stats.norm.isf((1.0 - confidence) / 2.0))
    at = np.unique(t[d])
    n_events = [int(np.count_nonzero(d & (t == u))) for u in at]
    n_at_risk = [int(np.count_nonzero(t >= u)) for u in at]
    survival, se, limits = [], [], []
    s, hazard_variance = 1.0, 0.0
    for dead, risk in zip(n_events, n_at_risk, strict=True):
        s *= (risk - dead) / risk
        survival.append(s)
        if s == 0.0:
            se.append(None)
            limits.append((None, None))
            continue
        hazard_variance += dead / (risk * (risk - dead))
        se.append(s * math.sqrt(hazard_variance))
        limits.append(_limits(s, math.sqrt(hazard_variance), z, interval))
    low, high = zip(*limits, strict=True) if limits else ((), ())
    return KaplanMeier(
        times=tuple(at.tolist()),
        n_at_risk=tuple(n_at_risk),
        n_events=tuple(n_events),
        survival=tuple(survival),
        se=tuple(se),
        low=low,
        high=high,
        censored=tuple(np.sort(t[~d]).tolist()),
        n=len(t),
    )


def _checked(times: Sequence[float], events: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    t, d = np.asarray(times, dtype=np.float64), np.asarray(events)
    if t.ndim != 1 or t.shape != d.shape:
        raise QuantificationError(f"times of shape {t.shape}, events of shape {d.shape}: need one of each per subject")
    if not (np.isfinite(t).all() and (t >= 0).all()):
        wrong = t[~(np.isfinite(t) & (t >= 0))][0]
        raise QuantificationError(f"time {wrong}: times are finite and not negative; leave the subject out or mend it")
    if not np.isin(d, (0, 1)).all():
        raise QuantificationError(f"events {sorted(set(d.tolist()), key=str)}: need True or False (1 or 0)")
    return t, d.astype(bool)


def _limits(s: float, hazard_se: float, z: float, interval: Interval) -> tuple[float, float]:
    """Limits of a survival between 0 and 1 exclusive; ``hazard_se`` is that of log S."""
    if interval == "plain":
        return max(0.0, s - z * s * hazard_se), min(1.0, s + z * s * hazard_se)
    if interval == "log":
        return s * math.exp(-z * hazard_se), min(1.0, s * math.exp(z * hazard_se))
    half = z * hazard_se / abs(math.log(s))
    return s ** math.exp(half), s ** math.exp(-half)


def _crossing(times: Sequence[float], curve: Sequence[float | None], level: float) -> float | None:
    """Where a falling step curve passes ``level``; None if it does not, or only where it is not estimable.

    Limits need not fall at every step (the upper one can rise again when few are left). As in R, the crossing is then
    at the highest value below the level, which is the wider interval.
    """
    points = [(value, t) for t, value in zip(times, curve, strict=True) if value is not None]
    below = max(((value, -t) for value, t in points if value < level - SAME_SURVIVAL), default=None)
    if below is None:
        return None
    flat = [t for value, t in points if abs(value - level) <= SAME_SURVIVAL]
    return (flat[0] - below[1]) / 2.0 if flat else -below[1]
