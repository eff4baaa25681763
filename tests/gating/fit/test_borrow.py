"""A weak cut is weighed against where others have it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cytomrd.gating.fit import count_events, cut_evidence, fit_cut, pool_cuts
from cytomrd.gating.fit.borrow import CutEvidence, borrow_cut
from cytomrd.panel import CutSpec
from cytomrd.preprocess.transforms import Logicle

SPEC = CutSpec(name="CD3", marker="CD3", on="cells", bounds=(0.30, 0.75), fallback="fixed", value=0.70)
SCALE = Logicle()


def evidence_at(position: float, *, transform=SCALE) -> CutEvidence:
    linear = float(transform.inverse(np.array([position]))[0])
    return CutEvidence(position, linear, weak=False, lends=True, scale=f"logicle to {transform.T:g}")


def decide(n_positive: int, spec: CutSpec = SPEC, seed: int = 0):
    rng = np.random.default_rng(seed)
    counts = count_events(np.r_[rng.normal(0.2, 0.03, 4_000), rng.normal(0.65, 0.03, n_positive)])
    return fit_cut(spec, counts), counts


def pool(*positions: float):
    return pool_cuts([evidence_at(p) for p in positions], "other samples of the run")


def test_strong_evidence_borrows_nothing():
    decision, counts = decide(500)
    assert borrow_cut(SPEC, decision, counts, others=pool(0.4, 0.41, 0.42, 0.43), transform=SCALE) is decision


def test_without_evidence_the_cut_is_the_others():
    decision, counts = decide(0)
    assert decision.method == "fixed"
    found = borrow_cut(SPEC, decision, counts, others=pool(0.44, 0.45, 0.46, 0.45), transform=SCALE)
    assert (found.method, found.status) == ("borrowed", "fallback")
    assert found.value == pytest.approx(0.45, abs=0.002)
    assert found.low < 0.44 < 0.46 < found.high
    assert "weight 0.00" in found.reason
    assert "no valley" in found.reason


def test_own_and_borrowed_are_weighed_by_their_variances():
    spec = SPEC.model_copy(update={"fallback": "tail", "width": 4.0})
    decision, counts = decide(0, spec)
    near, far = (
        borrow_cut(spec, decision, counts, others=pool(*(0.5 + s * d for s in (-1, -0.5, 0.5, 1))), transform=SCALE)
        for d in (0.005, 0.03)
    )
    assert decision.value < far.value < near.value < 0.51  # others who agree weigh more


def test_the_cut_is_borrowed_in_scale_values():
    """Samples whose logicle widths differ share a place in scale values, not on their own axes."""
    wide = Logicle(W=1.0)
    linear = float(SCALE.inverse(np.array([0.45]))[0])
    decision, counts = decide(0)
    found = borrow_cut(SPEC, decision, counts, others=pool(0.44, 0.45, 0.46, 0.45), transform=wide)
    assert found.value == pytest.approx(float(wide.apply(np.array([linear]))[0]), abs=1e-9)
    other = borrow_cut(SPEC, decision, counts, others=pool(0.44, 0.45, 0.46, 0.45), transform=Logicle(T=1e6))
    assert other.value == decision.value
    assert "nothing borrowed: the scale is logicle to 1e+06" in other.reason


def test_few_others_or_far_ones_lend_nothing():
    assert pool(0.44, 0.45, 0.46) is None
    assert pool(0.35, 0.45, 0.55, 0.65) is None
    weak = cut_evidence(SPEC, decide(0)[0], SCALE)
    assert pool_cuts([weak] * 9, "other samples of the run") is None


def test_the_order_of_the_others_changes_nothing():
    found = {pool(*positions) for positions in itertools.permutations((0.44, 0.451, 0.462, 0.473))}
    assert len(found) == 1


def test_a_valley_is_not_laid_through_the_samples_own_peak():
    rng = np.random.default_rng(1)
    counts = count_events(rng.normal(0.45, 0.04, 4_000))
    decision = fit_cut(SPEC, counts)
    found = borrow_cut(SPEC, decision, counts, others=pool(0.44, 0.45, 0.46, 0.45), transform=SCALE)
    assert found.value == decision.value
    assert "would part this sample's main peak" in found.reason


@pytest.mark.parametrize("change", [{"borrow": False}, {"method": "control"}, {"method": "fixed"}])
def test_some_cuts_are_never_borrowed(change):
    assert cut_evidence(SPEC.model_copy(update=change), decide(0)[0], SCALE) is None
