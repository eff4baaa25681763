"""Which events of a single stain are positive, and with which negatives they are compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.errors import CompensationError
from cytomrd.preprocess.negative_fraction import below_valley
from cytomrd.preprocess.scatter_region import ScatterCells, ScatterRegion, fit_region
from cytomrd.preprocess.stain_slopes import robust_sd
from cytomrd.preprocess.stain_tube import StainTube

__all__ = [
    "MIN_EVENTS",
    "POSITIVE_QUANTILE",
    "brightest_detector",
    "find_positives",
    "find_reference",
    "refuse_unusable",
]

MIN_EVENTS = 100
MIN_POSITIVES = 20
MIN_NEGATIVES = 50
POSITIVE_QUANTILE = 0.995
# Few positives stand out only above a higher quantile; chance may not explain them by this many SDs.
QUANTILES = (0.995, 0.999, 0.9995)
CLEAR_SD = 4.0
# Positives are taken from this many SDs of the negatives on, where autofluorescence counts for little;
# where fewer than ENOUGH are so bright, the brightest ENOUGH.
BRIGHT_SD = 25.0
ENOUGH = 200


def refuse_unusable(whole: StainTube, clean: StainTube, own: int) -> None:
    if len(whole.values) < MIN_EVENTS:
        raise CompensationError(
            f"{whole.name}: {len(whole.values)} events, at least {MIN_EVENTS} are needed; record more"
        )
    if len(clean.values) < MIN_EVENTS or whole.saturated_share(own) > 0.5:
        raise _saturated(whole, whole.saturated_share(own))


def _saturated(tube: StainTube, share: float) -> CompensationError:
    return CompensationError(
        f"{tube.name}: {share:.0%} of the events lie at the upper end of {tube.detector}, so that how bright they are "
        "is not known; lower the detector's voltage and record again"
    )


def find_reference(tube: StainTube, unstained: StainTube | None, own: int) -> tuple[StainTube, StainTube, str]:
    """The tube, and events that are negative: the unstained tube, or what lies below the valley in this one."""
    if unstained is not None and len(unstained.values) >= MIN_EVENTS:
        return tube, unstained.unsaturated(), "unstained tube"
    # Without an unstained tube the autofluorescence of other populations is not known: the main one alone is used.
    tube = tube.select(fit_region(tube.scatter).contains(tube.scatter))
    valley = below_valley(tube.values[:, own])
    if valley is None:
        raise CompensationError(
            f"{tube.name}: no unstained tube is given, and no negative cells stand apart from positive ones in "
            f"{tube.detector}; add an unstained tube, or record negative cells or beads with the stained ones"
        )
    return tube, tube.select(tube.values[:, own] < valley), "negative fraction"


def find_positives(tube: StainTube, reference: StainTube, detectors: Sequence[str], kind: str, saturated: float):
    """Bright events of the stain's scatter population, and negatives of the same scatter."""
    own = detectors.index(tube.detector)
    cells = ScatterCells(reference.scatter)
    limit = cells.quantile(reference.scatter, reference.values[:, own], POSITIVE_QUANTILE)
    above = tube.values[:, own] - limit[cells.index(tube.scatter)]
    stained = above > 0
    # A tube whose cells are all a little brighter than the unstained ones still has its positives above the valley.
    valley = below_valley(tube.values[:, own])
    if valley is not None:
        stained &= tube.values[:, own] > valley
    notes: list[str] = []
    region = ScatterRegion()
    if stained.sum() >= MIN_POSITIVES:
        # The peak is that of the brightness, so that many cells a little brighter than the unstained ones do not
        # outweigh the positives; its logarithm, so that no handful of events decides.
        rise = above[stained]
        spread = max(float(robust_sd(reference.values[:, own])), 1e-6 * float(rise.max()))
        region = fit_region(tube.scatter[stained], weights=np.log1p(rise / spread))
    inside, like = region.contains(tube.scatter), region.contains(reference.scatter)
    if like.sum() < MIN_NEGATIVES and kind == "unstained tube":
        # Beads are compared with beads: their scatter is not that of unstained cells.
        valley = below_valley(tube.values[inside, own])
        if valley is None:
            raise CompensationError(
                f"{tube.name}: the unstained tube has {int(like.sum())} events of the same scatter, {MIN_NEGATIVES} "
                "are needed, and the tube holds no negatives of its own; add unstained cells or beads of the same kind"
            )
        notes.append("the unstained tube has no events of this scatter, so the tube's own negatives were taken")
        reference, kind = tube.select(inside & (tube.values[:, own] < valley)), "negative fraction"
        like = np.ones(len(reference.values), dtype=bool)
    negative = reference.values[like] if like.sum() >= MIN_NEGATIVES else reference.values
    values = tube.values[inside]
    centre, noise = np.median(negative[:, own]), robust_sd(negative[:, own])
    floor = _floor(values[:, own] - centre, negative[:, own] - centre, noise)
    if floor is None:
        raise _no_positives(tube, reference, detectors, saturated)
    rise = values[:, own] - centre
    bright = np.sort(rise)[::-1]
    limit = max(floor, min(BRIGHT_SD * noise, bright[min(ENOUGH, len(bright)) - 1]))
    if limit < 0.5 * BRIGHT_SD * noise:
        notes.append(
            f"fewer than {ENOUGH} events lie {BRIGHT_SD:.0f} SDs above the negatives; those from {limit / noise:.0f} "
            "SDs on were taken, where autofluorescence weighs more"
        )
    return values[(rise >= limit) & (rise > 0)], negative, kind, notes


def _floor(rise: np.ndarray, negative: np.ndarray, noise: float) -> float | None:
    """How far above the negatives' centre the positives begin; None where chance explains what is there."""
    best, found = CLEAR_SD, None
    for q in QUANTILES:
        limit = max(float(np.quantile(negative, q)), 3.0 * noise)
        expected = len(rise) * float((negative > limit).mean())
        excess = float((rise > limit).sum()) - expected
        clear = excess / np.sqrt(expected + 1.0)
        if excess >= MIN_POSITIVES and clear >= best:
            best, found = clear, limit
    return found


def _no_positives(tube: StainTube, reference: StainTube, detectors, saturated: float) -> CompensationError:
    if saturated * len(tube.values) >= MIN_POSITIVES:
        return _saturated(tube, saturated)
    brightest = brightest_detector(tube.values, reference.values)
    elsewhere = (
        f"the tube is brightest in {detectors[brightest]}: correct the stain"
        if brightest is not None and detectors[brightest] != tube.detector
        else "check that it was stained, and the voltage"
    )
    return CompensationError(
        f"{tube.name}: no positives in {tube.detector}: fewer than {MIN_POSITIVES} events lie above the negatives, or "
        f"no more than chance would put there; {elsewhere}"
    )


def brightest_detector(values: np.ndarray, negative: np.ndarray) -> int | None:
    """The detector in which the tube rises most above the negatives, beyond their spread; None where in none."""
    q = [0.5, 0.9, 0.99, 0.998]
    rise = (np.quantile(values, q, axis=0) - np.quantile(negative, q, axis=0)).max(axis=0)
    rise = np.where(rise > 3.0 * robust_sd(negative), rise, 0.0)
    return int(np.argmax(rise)) if rise.max() > 0 else None
