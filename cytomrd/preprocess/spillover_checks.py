"""What remains after compensation with a fitted matrix, pair by pair, and what a person should look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cytomrd.preprocess.single_stains import SpilloverFit, StainFit

__all__ = ["Check", "PairEvidence", "check_spillover", "pair_evidence"]

HIGH_CONDITION = 25.0
RESIDUAL = 0.01
TUBES_DIFFER = 0.02
UNCERTAIN = 0.03
MIN_BRIGHT = 20


@dataclass(frozen=True)
class PairEvidence:
    """One coefficient and what it rests on.

    Attributes
    ----------
    tube, stain, detector, spill_detector
        The single stain, its own detector, and the detector that also sees it.
    coefficient, ci_low, ci_high
        Fraction of the stain's signal in its own detector, and its 95 % interval.
    autofluorescence
        How far it may be off where stained cells are less or more autofluorescent than the negatives.
    other_method
        The coefficient by the method that was not chosen; None where that is not possible.
    residual, residual_bright
        Signal above the negatives' that is left after compensation, per compensated signal in the own
        detector: median of the positives, and of their brightest quarter. Below 0 is over-compensated.
    """

    tube: str
    stain: str
    detector: str
    spill_detector: str
    coefficient: float
    ci_low: float
    ci_high: float
    autofluorescence: float
    method: str
    other_method: float | None
    negatives: str
    n_positive: int
    n_used: int
    n_negative: int
    residual: float
    residual_bright: float

    @property
    def error(self) -> float:
        """What the coefficient may be off by: half of its interval and the autofluorescence together."""
        return float(np.hypot((self.ci_high - self.ci_low) / 2, self.autofluorescence))


@dataclass(frozen=True)
class Check:
    """One check in words. ``level`` is ``"ok"``, ``"note"`` or ``"warning"``."""

    level: str
    text: str


def pair_evidence(fit: SpilloverFit) -> tuple[PairEvidence, ...]:
    """Evidence for each pair of a stain and another detector, in the matrix' order."""
    return tuple(row for stain in fit.stains for row in _of_stain(stain, fit))


def _of_stain(stain: StainFit, fit: SpilloverFit):
    detectors = fit.spillover.detectors
    own = detectors.index(stain.detector)
    residual, bright = residuals(stain, fit)
    for j, name in enumerate(detectors):
        if j == own:
            continue
        yield PairEvidence(
            stain.tube, stain.stain, stain.detector, name,
            float(stain.slopes.values[j]), float(stain.slopes.low[j]), float(stain.slopes.high[j]),
            float(stain.allowance[j]), stain.method,
            None if stain.other is None else float(stain.other.values[j]), stain.negatives,
            stain.n_positive, stain.n_used, stain.n_negative, float(residual[j]), float(bright[j]),
        )  # fmt: skip


def residuals(stain: StainFit, fit: SpilloverFit) -> tuple[np.ndarray, np.ndarray]:
    """Residual of the used positives, and of their brightest quarter, in each detector; 0 in the own one."""
    own = fit.spillover.detectors.index(stain.detector)
    inverse = fit.spillover.inverse
    used = stain.positive[stain.slopes.kept]
    raw = used[:, own]
    rise = used @ inverse - np.median(stain.negative @ inverse, axis=0)
    brightest = raw >= np.sort(raw)[-max(MIN_BRIGHT, len(raw) // 4) :][0]
    out = []
    for events in (rise, rise[brightest]):
        middle = np.median(events, axis=0)
        left = middle / middle[own]
        left[own] = 0.0
        out.append(left)
    return out[0], out[1]


def check_spillover(fit: SpilloverFit, pairs: Sequence[PairEvidence]) -> tuple[Check, ...]:
    """What was checked, warnings first."""
    found = [
        _condition(fit),
        *_residuals(pairs),
        *_uncertain(pairs),
        *_below_zero(pairs),
        *_above_one(pairs),
        *_twins(fit),
    ]
    if fit.unstained_rows:
        found.append(
            Check(
                "note",
                f"no single stain of {', '.join(fit.unstained_rows)}: their rows say that they spill nowhere; "
                "that holds only if no sample is stained there",
            )
        )
    found += [Check("note", f"{stain.tube}: {note}") for stain in fit.stains for note in stain.notes]
    return tuple(sorted(found, key=lambda c: ("warning", "note", "ok").index(c.level)))


def _condition(fit: SpilloverFit) -> Check:
    number = fit.spillover.condition_number
    if number > HIGH_CONDITION:
        return Check(
            "warning",
            f"condition number {number:.3g}: two stains look nearly alike, so that compensation multiplies the noise "
            "of dim cells; consider other fluorochromes",
        )
    return Check("ok", f"condition number {number:.3g}: the stains can be told apart")


def _residuals(pairs: Sequence[PairEvidence]) -> list[Check]:
    found = []
    for pair in pairs:
        allowed = RESIDUAL + pair.error
        if abs(pair.residual_bright) > allowed:
            kind = "over" if pair.residual_bright < 0 else "under"
            more = "" if pair.other_method is None else f"; {_other(pair)} gives {pair.other_method:.4f}"
            found.append(
                Check(
                    "warning",
                    f"{pair.detector} in {pair.spill_detector}: the brightest cells of {pair.tube} are "
                    f"{kind}-compensated by {abs(pair.residual_bright):.1%} of their signal (coefficient "
                    f"{pair.coefficient:.4f}{more}): their autofluorescence differs from the negatives', or the "
                    "detector is not linear",
                )
            )
    if not found and pairs:
        worst = max(pairs, key=lambda p: abs(p.residual_bright))
        found.append(
            Check(
                "ok",
                f"residual spill of the brightest cells: at most {abs(worst.residual_bright):.2%} "
                f"({worst.detector} in {worst.spill_detector})",
            )
        )
    return found


def _uncertain(pairs: Sequence[PairEvidence]) -> list[Check]:
    return [
        Check(
            "warning",
            f"{p.detector} in {p.spill_detector}: {p.coefficient:.3f} is known to ±{p.error:.3f} alone; the positives "
            f"of {p.tube} are few or dim",
        )
        for p in pairs
        if p.error > UNCERTAIN
    ]


def _other(pair: PairEvidence) -> str:
    return "regression" if pair.method == "medians" else "the difference of medians"


def _below_zero(pairs: Sequence[PairEvidence]) -> list[Check]:
    low = [p for p in pairs if p.coefficient < -p.error]
    if not low:
        return [Check("ok", "no coefficient lies below 0 by more than its error")]
    return [
        Check(
            "warning",
            f"{p.detector} in {p.spill_detector}: {p.coefficient:.4f} lies below 0 by more than its error "
            f"({p.error:.4f}); the stained cells of {p.tube} are less autofluorescent than its negatives",
        )
        for p in low
    ]


def _above_one(pairs: Sequence[PairEvidence]) -> list[Check]:
    return [
        Check(
            "warning",
            f"{p.detector} in {p.spill_detector}: {p.coefficient:.3f}; the stain is as bright there as in its own "
            "detector; the voltages should be balanced",
        )
        for p in pairs
        if p.coefficient > 0.9
    ]


def _twins(fit: SpilloverFit) -> list[Check]:
    used = {s.detector: s for s in fit.stains}
    found = []
    for other in fit.aside:
        first = used[other.detector]
        off = np.abs(other.slopes.values - first.slopes.values)
        worst = int(np.argmax(off))
        level = "warning" if off[worst] > TUBES_DIFFER else "note"
        found.append(
            Check(
                level,
                f"two single stains of {other.detector}: {first.tube} was used, since it is brighter; {other.tube} "
                f"differs by at most {off[worst]:.4f} ({fit.spillover.detectors[worst]})",
            )
        )
    return found
