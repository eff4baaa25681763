"""Calling clones among plasma cells, on laws that the method was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_plasma import JUDGED, SPEC, simulate

from cytomrd.mrd.clonality import call_clones


def called(calls):
    return sum(calls.n_clonal(t) for t in calls.tubes)


def right_and_wrong(calls, truth):
    clonal = np.concatenate([labels > 0 for labels in calls.labels])
    true = np.concatenate(truth) == 1
    return int((clonal & true).sum()), int((clonal & ~true).sum()), int(true.sum())


@pytest.mark.parametrize("law", JUDGED, ids=lambda law: law.name)
def test_a_negative_marrow_stays_under_the_threshold(law):
    cells, _ = simulate(law, 1, n_normal=700)
    assert called(call_clones(cells, SPEC)) < 20


@pytest.mark.parametrize("law", JUDGED, ids=lambda law: law.name)
@pytest.mark.parametrize("clone", ["typical", "typical_lambda", "cd117"])
def test_a_clone_of_thirty_events_a_tube_is_found(law, clone):
    cells, truth = simulate(law, 5, n_normal=600, n_clonal=30, clone=clone, poisson=False)
    calls = call_clones(cells, SPEC)
    right, wrong, true = right_and_wrong(calls, truth)
    assert right > 0.6 * true
    assert wrong < 0.4 * true


@pytest.mark.parametrize("law", JUDGED, ids=lambda law: law.name)
def test_a_clone_that_is_most_of_the_plasma_cells_is_not_taken_as_normal(law):
    cells, truth = simulate(law, 3, n_normal=100, n_clonal=1500, poisson=False)
    calls = call_clones(cells, SPEC)
    right, wrong, true = right_and_wrong(calls, truth)
    assert right > 0.9 * true
    assert wrong < 0.05 * true
    assert calls.light_chain == "kappa"
