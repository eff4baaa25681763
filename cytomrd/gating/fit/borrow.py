"""Strength borrowed for a weak cut: where other samples of the same tube and instrument have it.

A sample's evidence for a cut is weak where the panel's method found nothing, where the cut is held at a bound, or
where the bootstrap interval of what is no valley is wide. What it has is then weighed against the others': each by one
over its variance, the sample's own from the bootstrap and from what its method leaves open, theirs from how far they
lie apart (empirical Bayes). Others that lie far apart tell nothing, and nothing is borrowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.gating.fit.cuts import MAX_SPLIT, CutDecision, smaller_side
from cytomrd.gating.fit.density import Counts, density_at
from cytomrd.panel import CutSpec
from cytomrd.preprocess.transforms import Transform

__all__ = ["BorrowedCut", "CutEvidence", "borrow_cut", "cut_evidence", "pool_cuts"]

Z95 = 1.959964
MIN_OTHERS = 4
"""Samples from which a spread between samples can be told."""
MAX_SPREAD = 0.04
"""Of the transformed scale: samples farther apart than this (a fifth of a decade) share no cut."""
MIN_SPREAD = 0.01
MAX_OWN_SD = 0.025
MODEL_SD = 0.06
"""What a method that is not the panel's first, or a bound, leaves open beside its bootstrap error."""
NEVER_BORROWED = ("control", "fixed")


@dataclass(frozen=True)
class CutEvidence:
    """What one sample knows of a cut.

    Attributes
    ----------
    position, linear
        The cut on the transformed scale and in the channel's compensated scale values; None without one.
    weak, lends
        Whether the sample would rather borrow, and whether its cut is sharp enough to be lent.
    scale
        Kind and top of the transform; samples with other ones are on another scale.
    """

    position: float | None
    linear: float | None
    weak: bool
    lends: bool
    scale: str


@dataclass(frozen=True)
class BorrowedCut:
    """Where other samples have a cut: its median in scale values, and their robust SD on the transformed scale.

    ``source`` says in words which samples they are.
    """

    linear: float
    spread: float
    n: int
    scale: str
    source: str


def cut_evidence(spec: CutSpec, decision: CutDecision, transform: Transform | None) -> CutEvidence | None:
    """What a sample's decision tells others; None for a cut that is never borrowed."""
    if not spec.borrow or spec.method in NEVER_BORROWED:
        return None
    weak, scale = _is_weak(spec, decision), _scale_of(transform)
    if decision.value is None:
        return CutEvidence(None, None, weak=weak, lends=False, scale=scale)
    linear = float(transform.inverse(np.array([decision.value]))[0]) if transform is not None else decision.value
    lends = not weak and not _is_wide(decision)
    return CutEvidence(decision.value, linear, weak=weak, lends=lends, scale=scale)


def pool_cuts(others: Sequence[CutEvidence], source: str) -> BorrowedCut | None:
    """The cut that others have in common; None where they are fewer than four or lie far apart.

    The result does not depend on their order.
    """
    lenders = [e for e in others if e.lends]
    if len(lenders) < MIN_OTHERS or len({e.scale for e in lenders}) > 1:
        return None
    positions = np.array([e.position for e in lenders])
    spread = 1.4826 * float(np.median(np.abs(positions - np.median(positions))))
    if spread > MAX_SPREAD:
        return None
    linear = float(np.median([e.linear for e in lenders]))
    return BorrowedCut(linear, max(spread, MIN_SPREAD), len(lenders), lenders[0].scale, source)


def borrow_cut(
    spec: CutSpec, decision: CutDecision, counts: Counts, *, others: BorrowedCut, transform: Transform | None
) -> CutDecision:
    """The sample's cut drawn towards the others', if its own evidence is weak.

    A valley that would be laid through this sample's own main peak is not borrowed: it is a sample apart.

    Parameters
    ----------
    spec, decision, counts
        The cut, what the sample itself says of it, and the events that it was fitted on.
    others
        What the other samples say.
    transform
        Of the sample's own axis.
    """
    if not _is_weak(spec, decision):
        return decision
    if _scale_of(transform) != others.scale:
        return _kept(decision, f"the scale is {_scale_of(transform)} and that of {others.source} {others.scale}")
    theirs = float(transform.apply(np.array([others.linear]))[0]) if transform is not None else others.linear
    theirs = float(np.clip(theirs, *spec.bounds))
    between = others.spread**2 * (1.0 + 1.0 / others.n)
    own = _own_sd(spec, decision)
    weight = between / (between + own**2) if own is not None else 0.0
    value = theirs if own is None else weight * decision.value + (1.0 - weight) * theirs
    if spec.method == "valley" and counts.n_within >= spec.min_events and density_at(counts, value) > MAX_SPLIT:
        return _kept(decision, f"{value:.3f}, from {others.source}, would part this sample's main peak")
    sd = float(np.sqrt(between * (1.0 - weight)))
    low, high = np.clip((value - Z95 * sd, value + Z95 * sd), *spec.bounds)
    said = f"own {decision.value:.3f}" if decision.value is not None else "no cut of its own"
    reason = (
        f"borrowed from {others.n} {others.source}: {said} (weight {weight:.2f}), theirs {theirs:.3f} with an SD of "
        f"{others.spread:.3f} between samples; on its own: {decision.reason}"
    )
    return replace(
        decision,
        method="borrowed",
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        status="fallback",
        reason=reason,
        n_smaller=smaller_side(counts, value),
    )


def _is_weak(spec: CutSpec, decision: CutDecision) -> bool:
    if decision.value is None or decision.status != "fitted":
        return True
    # A valley with a broad floor is no weak one: hardly an event lies where it may be.
    return decision.value in spec.bounds or (decision.method != "valley" and _is_wide(decision))


def _is_wide(decision: CutDecision) -> bool:
    return decision.high - decision.low > 2.0 * Z95 * MAX_OWN_SD


def _own_sd(spec: CutSpec, decision: CutDecision) -> float | None:
    """Standard error of a sample's own cut; None where it is the panel's number, or none."""
    if decision.value is None or decision.method == "fixed":
        return None
    sd = max((decision.high - decision.low) / (2.0 * Z95), 1e-3)
    supported = decision.status == "fitted" and decision.value not in spec.bounds
    return float(sd if supported else np.hypot(sd, MODEL_SD))


def _kept(decision: CutDecision, why: str) -> CutDecision:
    return replace(decision, reason=f"{decision.reason}; nothing borrowed: {why}")


def _scale_of(transform: Transform | None) -> str:
    return "linear" if transform is None else f"{type(transform).__name__.lower()} to {transform.T:g}"
