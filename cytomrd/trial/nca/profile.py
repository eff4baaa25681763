"""A concentration profile made ready for integration: the start, values below the limit, values before an infusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from cytomrd.errors import QuantificationError

__all__ = ["Profile", "read_profile"]

Middle = Literal["drop", "zero"]


@dataclass(frozen=True)
class Profile:
    """A checked profile.

    Attributes
    ----------
    times_d
        Strictly rising, the first is 0, in days since the first infusion; array of shape (n_points,).
    values
        Concentrations, 0 where below the limit; array of shape (n_points,).
    quantifiable
        Which are at or above the limit.
    gaps
        Segments that are not integrated: from the last quantifiable value before an infusion to a value below
        the limit, as after the last quantifiable value of all; array of shape (n_points - 1,).
    infusions_d
        Starts of the infusions.
    predose
        For each infusion, whether a value stands at its start (taken before it; 0 was assumed for the first).
    observed_d
        The last time at which anything was observed.
    flags
        What was done to the values.
    """

    times_d: np.ndarray
    values: np.ndarray
    quantifiable: np.ndarray
    gaps: np.ndarray
    infusions_d: tuple[float, ...]
    predose: tuple[bool, ...]
    observed_d: float
    flags: tuple[str, ...]


def read_profile(
    times_d: Sequence[float],
    concentrations: Sequence[float],
    *,
    infusions_d: Sequence[float] = (0.0,),
    lloq: float | Sequence[float] | None = None,
    middle: Middle = "drop",
    predose_window_d: float = 1.0,
) -> Profile:
    """Check a profile and apply the rules for its start, its values below the limit, and its infusions.

    Raises
    ------
    QuantificationError
        For times that repeat, values that are negative, or parts that do not belong together.
    """
    times, values, below = _checked(times_d, concentrations, lloq)
    infusions = _checked_infusions(infusions_d)
    values = np.where(below, 0.0, values)
    flags: list[str] = []
    times, values = _with_start(times, values, flags)
    times, predose = _moved_to_infusions(times, infusions, predose_window_d, flags)
    keep, gaps = _below_limit(times, values, infusions, middle, flags)
    observed = float(times[-1])
    times, values, gaps = times[keep], values[keep], gaps[keep]
    return Profile(times, values, values > 0, gaps[:-1], infusions, predose, observed, tuple(flags))


def _checked(times_d, concentrations, lloq) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, values = np.asarray(times_d, dtype=np.float64), np.asarray(concentrations, dtype=np.float64)
    if times.ndim != 1 or times.shape != values.shape or times.size == 0:
        raise QuantificationError(
            f"times of shape {times.shape} with concentrations of shape {values.shape}; give one time for each of at "
            "least one concentration"
        )
    if not np.all(np.isfinite(times)):
        raise QuantificationError("a time is not a finite number; leave the sample out, or correct its time")
    order = np.argsort(times, kind="stable")
    times, values = times[order], values[order]
    repeats = times[1:][times[1:] == times[:-1]]
    if repeats.size:
        raise QuantificationError(
            f"time {repeats[0]:g} d stands twice; values are never averaged: keep one of them or correct a time"
        )
    wrong = (values < 0) | np.isinf(values)
    if np.any(wrong):
        at = int(np.flatnonzero(wrong)[0])
        raise QuantificationError(
            f"concentration {values[at]:g} at {times[at]:g} d; allowed is 0 or more, and 0 or NaN is below the limit"
        )
    limits = (
        np.zeros_like(values) if lloq is None else np.broadcast_to(np.asarray(lloq, np.float64), values.shape)[order]
    )
    if np.any(limits < 0) or np.any(np.isinf(limits)):
        raise QuantificationError(f"limit of quantification {np.min(limits):g}; it must be a finite number, 0 or more")
    return times, values, np.isnan(values) | (values == 0) | (values < limits)


def _checked_infusions(infusions_d: Sequence[float]) -> tuple[float, ...]:
    infusions = tuple(float(t) for t in infusions_d)
    rising = all(a < b for a, b in pairwise(infusions))
    if not infusions or infusions[0] != 0.0 or not rising or not np.all(np.isfinite(infusions)):
        raise QuantificationError(
            f"infusions at {infusions} d; the times count from the first infusion, so write 0 first, then later ones"
        )
    return infusions


def _with_start(times: np.ndarray, values: np.ndarray, flags: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The last value at or before 0 moves to 0; none: 0 is assumed. Interpolating from a screening value is wrong."""
    before = np.flatnonzero(times <= 0)
    after = times > 0
    start = 0.0
    if before.size:
        start = float(values[before[-1]])
        if start > 0:
            flags.append("BASELINE_POSITIVE")
    else:
        flags.append("C0_IMPUTED_0")
    return np.concatenate([[0.0], times[after]]), np.concatenate([[start], values[after]])


def _moved_to_infusions(
    times: np.ndarray, infusions: tuple[float, ...], window: float, flags: list[str]
) -> tuple[np.ndarray, tuple[bool, ...]]:
    """The last value within the window before a later infusion moves to its start, so nothing is drawn across it."""
    times, found = times.copy(), [True]
    for number, (previous, start) in enumerate(pairwise(infusions), start=2):
        before = np.flatnonzero((times <= start) & (times > previous) & (times >= start - window))
        found.append(bool(before.size))
        if before.size:
            times[before[-1]] = start
        else:
            flags.append(f"NO_PREDOSE_{number}")
    return times, tuple(found)


def _below_limit(
    times: np.ndarray, values: np.ndarray, infusions: tuple[float, ...], middle: Middle, flags: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Which points are kept, and after which one a gap follows; each dosing interval by itself.

    A value below the limit is 0 before the first and after the last quantifiable one of its interval. Between
    them it is dropped (or 0, for ``middle="zero"``), and flagged.
    """
    keep, gap = np.ones(times.size, bool), np.zeros(times.size, bool)
    ends = (*infusions[1:], np.inf)
    for number, (start, end) in enumerate(zip(infusions, ends, strict=True), start=1):
        inside = np.flatnonzero((times > start) & (times <= end) if start > 0 else times <= end)
        quantified = inside[values[inside] > 0]
        if not quantified.size:
            continue
        between = inside[(inside > quantified[0]) & (inside < quantified[-1]) & (values[inside] == 0)]
        if between.size:
            flags.append("MID_BLQ_DROPPED" if middle == "drop" else "MID_BLQ_ZERO")
            keep[between] = middle == "zero"
        if np.isfinite(end) and quantified[-1] < inside[-1]:
            gap[quantified[-1]] = True
            flags.append(f"TAIL_BLQ_DOSE_{number}")
    flags[:] = list(dict.fromkeys(flags))
    return keep, gap
