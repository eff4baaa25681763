"""A clone that lost the target of a therapy is found and the loss reported."""

from __future__ import annotations

import pytest
from simulated_plasma import SPEC, TUNED, simulate

from cytomrd.mrd.clonality import call_clones
from cytomrd.panel import TherapySpec

THERAPY = TherapySpec(therapy="anti-CD38", markers=("CD38", "CD269"), warning="CD38 can vanish")
WITH_THERAPY = SPEC.model_copy(update={"therapies": (THERAPY,)})


@pytest.mark.parametrize(("clone", "low"), [("cd38_low", True), ("cd27_positive", False)])
def test_low_cd38_of_the_clone_is_said(clone, low):
    cells, truth = simulate(TUNED[0], 1, n_normal=200, n_clonal=60, clone=clone)
    calls = call_clones(cells, WITH_THERAPY)
    there = sum(int(t.sum()) for t in truth)
    assert sum(calls.n_clonal(t) for t in calls.tubes) > 0.7 * there
    assert any(f.startswith("ESCAPE: CD38") for f in calls.flags) is low


def test_without_a_clone_nothing_escapes():
    cells, _ = simulate(TUNED[0], 2, n_normal=200)
    assert not any(f.startswith("ESCAPE") for f in call_clones(cells, WITH_THERAPY).flags)
