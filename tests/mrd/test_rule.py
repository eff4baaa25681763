"""The rule for a cluster: what its place alone may say."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.light_chain import Restriction
from cytomrd.mrd.rule import Facts, judge_cluster
from cytomrd.panel import MrdSpec

SPEC = MrdSpec()


def cluster(n_kappa, posterior, **changes):
    light = Restriction(
        n_kappa=n_kappa, n_lambda=0, ratio=None, ratio_low=None, ratio_high=None, posterior=posterior, chain="kappa",
        by_ratio=False, by_posterior=posterior >= SPEC.restriction_posterior,
    )  # fmt: skip
    usual = {
        "n_events": np.array([12.0, 10.0]), "n_aberrant": 4, "light": light, "evaluable": 0.9, "usual_evaluable": 0.9,
        "spread": 1.0, "scatter": False, "reproduced": True, "identity": True, "mean_identity": 0.0, "prior": 0.9,
        "n_stained": 10.0, "surprise": 4.0,
    }  # fmt: skip
    return Facts(**{**usual, **changes})


@pytest.mark.parametrize(
    "facts, call",
    [
        (cluster(6, 0.95), "clonal"),
        (cluster(6, 0.95, surprise=2.7), "indeterminate"),
        (cluster(6, 0.85), "indeterminate"),
        # Three or four cells of one light chain say next to nothing: a third of all triples are of one.
        (cluster(3, 0.95), "indeterminate"),
        (cluster(4, 0.97), "indeterminate"),
        (cluster(6, 0.95, n_aberrant=2), "indeterminate"),
        (cluster(6, 0.95, identity=False), "indeterminate"),
    ],
)
def test_a_place_where_normal_cells_do_not_lie_needs_five_light_chains(facts, call):
    assert judge_cluster(facts, SPEC)[0] == call


def test_beside_a_clone_no_place_alone_is_clonal():
    assert judge_cluster(cluster(6, 0.95), SPEC, by_place=False)[0] == "indeterminate"
