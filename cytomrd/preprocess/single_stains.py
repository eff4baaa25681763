"""A spillover matrix from single-stain tubes, with the evidence for every coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.errors import CompensationError
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.negative_fraction import below_valley
from cytomrd.preprocess.positives import (
    MIN_EVENTS,
    POSITIVE_QUANTILE,
    find_positives,
    find_reference,
    refuse_unusable,
)
from cytomrd.preprocess.scatter_region import one_population_share
from cytomrd.preprocess.stain_slopes import Slopes, difference_of_medians, fit_slopes, robust_sd
from cytomrd.preprocess.stain_tube import StainTube

__all__ = ["METHODS", "SpilloverFit", "StainFit", "fit_spillover", "fit_stain"]

METHODS = ("auto", "regression", "medians")
# A tube is taken whole where this share of it is stained and lies in one scatter population.
WHOLE = 0.8
MAX_SATURATED = 0.05
# A coefficient that is not known better than this is no use.
MAX_ERROR = 0.1
# By how many SDs of the negatives the autofluorescence of stained cells may differ from theirs.
AUTOFLUORESCENCE_SD = 0.5


@dataclass(frozen=True, eq=False)
class StainFit:
    """What one single stain tells: one row of the matrix and its evidence.

    Attributes
    ----------
    tube, detector, stain
        File, own detector and what stains it.
    method
        ``"regression"`` or ``"medians"``: which of the two the row is.
    slopes, other
        The row by that method, and by the other one for comparison (None where that is not possible).
    allowance
        Shape (n_detectors,): how far autofluorescence may shift a coefficient.
    n_positive, n_used, n_negative
        Positives found, those on the line, and negatives that they are compared with.
    negatives
        ``"unstained tube"`` or ``"negative fraction"``.
    brightness
        Weighted mean rise of the positives in their own detector.
    positive, negative
        Events (n, n_detectors) of both kinds, uncompensated, for residuals and plots.
    notes
        What was seen on the way and is worth knowing.
    """

    tube: str
    stain: str
    detector: str
    method: str
    slopes: Slopes
    other: Slopes | None
    allowance: np.ndarray
    n_positive: int
    n_used: int
    n_negative: int
    negatives: str
    brightness: float
    positive: np.ndarray
    negative: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class SpilloverFit:
    """The matrix, the stains it rests on, and those that were put aside.

    Attributes
    ----------
    spillover
        The matrix over all detectors; a detector without a stain has a row of 0 and 1.
    stains
        One for each stained detector, in the matrix' order.
    aside
        Further stains of a detector that has a brighter one.
    unstained_rows
        Detectors without a single stain.
    """

    spillover: Spillover
    stains: tuple[StainFit, ...]
    aside: tuple[StainFit, ...]
    unstained_rows: tuple[str, ...]


def fit_spillover(
    stains: Sequence[StainTube],
    detectors: Sequence[str],
    unstained: StainTube | None = None,
    *,
    method: str = "auto",
    source: str = "single stains",
) -> SpilloverFit:
    """Fit the spillover matrix of single-stain tubes.

    Parameters
    ----------
    stains
        One tube a fluorochrome; of several tubes of a detector the brightest counts.
    detectors
        Names of the columns of all tubes' ``values``.
    unstained
        Unstained cells; without them each tube must hold a clear negative fraction.
    method
        ``"regression"``: bright positives against negatives of the same scatter (`fit_slopes`).
        ``"medians"``: medians of all events of the tube against all of the unstained tube. ``"auto"``: medians
        for a tube that is stained as a whole and lies in one scatter population, regression for all others.
    source
        Where the matrix is said to come from.

    Raises
    ------
    CompensationError
        With every tube that cannot be used, and why.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.preprocess.single_stains import fit_spillover
    >>> from cytomrd.preprocess.stain_tube import StainTube
    >>> rng = np.random.default_rng(0)
    >>> def tube(name, detector, spectrum):
    ...     cells = rng.normal(100, 20, (2000, 2))
    ...     cells[:800] += rng.lognormal(9, 0.5, 800)[:, None] * np.array(spectrum)
    ...     return StainTube(name, cells, np.empty((2000, 0)), detector, detector)
    >>> stains = [tube("1.fcs", "FITC-A", [1, 0.2]), tube("2.fcs", "PE-A", [0.01, 1])]
    >>> fit_spillover(stains, ["FITC-A", "PE-A"]).spillover.matrix.round(2).tolist()
    [[1.0, 0.2], [0.01, 1.0]]
    """
    if method not in METHODS:
        raise CompensationError(f"method {method!r} is wanted, there are {', '.join(METHODS)}")
    if not stains:
        raise CompensationError("no single-stain tube is given; a matrix needs one for each fluorochrome")
    detectors = tuple(detectors)
    fits, problems = [], []
    for tube in stains:
        try:
            fits.append(fit_stain(tube, detectors, unstained, method=method))
        except CompensationError as error:
            problems.append(str(error))
    if problems:
        listed = "\n".join(f"  {p}" for p in problems)
        raise CompensationError(f"{len(problems)} of {len(stains)} single stains cannot be used:\n{listed}")
    best, aside = {}, []
    for fit in sorted(fits, key=lambda f: -f.brightness):
        if best.setdefault(fit.detector, fit) is not fit:
            aside.append(fit)
    matrix = np.eye(len(detectors))
    for k, name in enumerate(detectors):
        if name in best:
            matrix[k] = best[name].slopes.values
    return SpilloverFit(
        Spillover(detectors, matrix, source),
        tuple(best[d] for d in detectors if d in best),
        tuple(aside),
        tuple(d for d in detectors if d not in best),
    )


def fit_stain(
    tube: StainTube, detectors: Sequence[str], unstained: StainTube | None = None, *, method: str = "auto"
) -> StainFit:
    """Fit one stain; see `fit_spillover`.

    Raises
    ------
    CompensationError
        If the tube has too few events or no positives, is brightest in a detector that it does not claim, is
        saturated, or has no negatives to compare with.
    """
    if tube.detector not in detectors:
        raise CompensationError(
            f"{tube.name}: the stain's detector {tube.detector!r} is not among {', '.join(detectors)}"
        )
    own = detectors.index(tube.detector)
    whole, negatives = tube.finite(), None if unstained is None else unstained.finite()
    clean = whole.unsaturated()
    share = whole.saturated_share(own)
    refuse_unusable(whole, clean, own)
    medians = _medians(whole, negatives, own)
    clean, reference, kind = find_reference(clean, negatives, own)
    positive, negative, kind, notes = find_positives(clean, reference, detectors, kind, share)
    if share > 0.001:
        notes.append(f"{share:.1%} of the events lie at the upper end of {tube.detector} and were left out")
    regression = fit_slopes(positive - np.median(negative, axis=0), own, robust_sd(negative))
    chosen = _choose(method, whole, negatives, medians, own)
    slopes, other = regression, medians
    if chosen == "medians":
        slopes, other = medians, regression
        positive, negative, kind = whole.values, negatives.values, "unstained tube"
    centre, noise = np.median(negative, axis=0), robust_sd(negative)
    rise = positive[slopes.kept, own] - centre[own]
    brightness = float(np.median(rise) if chosen == "medians" else rise.mean())
    slopes = _widened(slopes, own, noise, len(negative), brightness, tube.steps)
    _refuse_brighter_elsewhere(tube, detectors, own, slopes)
    allowance = _allowance(negative, noise, tube.steps) / brightness
    allowance[own] = 0.0
    _refuse_uncertain(tube, detectors, slopes, allowance)
    return StainFit(
        tube.name, tube.stain or tube.detector, tube.detector, chosen, slopes, other, allowance,
        len(positive), int(slopes.kept.sum()), len(negative), kind, brightness, positive, negative,
        (*tube.notes, *notes),
    )  # fmt: skip


def _medians(whole: StainTube, unstained: StainTube | None, own: int) -> Slopes | None:
    """The row by medians of all events; None where the tube as a whole is not brighter than the unstained one."""
    if unstained is None or len(unstained.values) < MIN_EVENTS:
        return None
    rise = np.median(whole.values[:, own]) - np.median(unstained.values[:, own])
    if rise <= 3 * robust_sd(unstained.values[:, own]):
        return None
    return difference_of_medians(whole.values, unstained.values, own)


def _choose(method: str, whole: StainTube, unstained: StainTube | None, medians: Slopes | None, own: int) -> str:
    if method == "medians":
        if medians is None:
            raise CompensationError(
                f"{whole.name}: medians of all events need an unstained tube, and a stain whose median in "
                f"{whole.detector} lies more than 3 SDs above it; use regression"
            )
        return "medians"
    if method == "regression" or medians is None or whole.saturated_share(own) > MAX_SATURATED:
        return "regression"
    # Above the unstained cells, and above the valley where the tube has two populations.
    limit = np.quantile(unstained.values[:, own], POSITIVE_QUANTILE)
    valley = below_valley(whole.values[:, own])
    limit = limit if valley is None else max(limit, valley)
    shares = (
        (whole.values[:, own] > limit).mean(),
        one_population_share(whole.scatter),
        one_population_share(unstained.scatter),
    )
    return "medians" if min(shares) >= WHOLE else "regression"


def _widened(slopes: Slopes, own: int, noise, n_negative: int, brightness: float, steps) -> Slopes:
    """Intervals that also hold the uncertainty of the negatives' centre and of coarse log channels."""
    # Standard error of a median: sqrt(pi / 2) sd / sqrt(n).
    centre = 1.2533 * noise / np.sqrt(n_negative) / brightness
    extra = np.hypot(centre, slopes.values * centre[own])
    if steps is not None:
        extra = np.hypot(extra, np.abs(slopes.values) * np.hypot(steps, steps[own]) / np.sqrt(12.0))
    extra[own] = 0.0
    low = slopes.values - np.hypot(slopes.values - slopes.low, 1.96 * extra)
    high = slopes.values + np.hypot(slopes.high - slopes.values, 1.96 * extra)
    return replace(slopes, low=low, high=high)


def _allowance(negative: np.ndarray, noise: np.ndarray, steps: np.ndarray | None) -> np.ndarray:
    """How far the positives' autofluorescence may lie from that of the negatives, in signal."""
    allowed = AUTOFLUORESCENCE_SD * noise
    if steps is not None:
        # The lowest channel of a log amplifier holds everything below it: where the negatives lie is not known there.
        hidden = (negative == negative.min(axis=0)).mean(axis=0) > 0.25
        allowed = np.where((steps > 0) & hidden, np.maximum(allowed, np.median(negative, axis=0)), allowed)
    return allowed


def _refuse_brighter_elsewhere(tube: StainTube, detectors, own: int, slopes: Slopes) -> None:
    most = int(np.argmax(slopes.values))
    if most != own and slopes.low[most] > 1.0:
        raise CompensationError(
            f"{tube.name}: claims {tube.detector} but is brighter in {detectors[most]} "
            f"({slopes.values[most]:.2f} times); correct the stain, or the two voltages, and record again"
        )


def _refuse_uncertain(tube: StainTube, detectors, slopes: Slopes, allowance: np.ndarray) -> None:
    error = np.hypot((slopes.high - slopes.low) / 2, allowance)
    worst = int(np.argmax(error))
    if error[worst] > MAX_ERROR:
        raise CompensationError(
            f"{tube.name}: its positives are too few or too dim in {tube.detector}: their spill into "
            f"{detectors[worst]} is known to ±{error[worst]:.2f} alone, {MAX_ERROR} is allowed; stain brighter "
            "cells or beads, or record more"
        )
