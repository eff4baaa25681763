"""Calling clones among plasma cells, on laws that the method was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest
from simulated_plasma import JUDGED, SPEC, simulate

from cytomrd.errors import QuantificationError
from cytomrd.mrd.clonality import TubeCells, call_clones


def called(calls):
    return sum(calls.n_clonal(t) for t in calls.tubes)


def right_and_wrong(calls, truth):
    clonal = np.concatenate([labels > 0 for labels in calls.labels])
    true = np.concatenate(truth) == 1
    return int((clonal & true).sum()), int((clonal & ~true).sum()), int(true.sum())


@pytest.mark.parametrize("law", JUDGED, ids=lambda law: law.name)
def test_a_negative_marrow_stays_under_the_threshold(law):
    for seed in (1, 2):
        cells, _ = simulate(law, seed, n_normal=1200)
        assert called(call_clones(cells, SPEC)) < 20


@pytest.mark.parametrize("law", JUDGED, ids=lambda law: law.name)
@pytest.mark.parametrize("clone", ["typical", "typical_lambda", "cd117"])
def test_a_clone_of_thirty_events_a_tube_is_found(law, clone):
    cells, truth = simulate(law, 5, n_normal=1200, n_clonal=30, clone=clone, poisson=False)
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


@pytest.mark.parametrize("n", [0, 1, 5])
def test_a_handful_of_cells_is_no_clone(n):
    cells, _ = simulate(JUDGED[0], 1, n_normal=200)
    few = [TubeCells(t.tube, t.markers, t.values[:n], t.cuts) for t in cells]
    calls = call_clones(few, SPEC)
    assert called(calls) == 0
    assert [len(labels) for labels in calls.labels] == [n, n]


def test_the_same_cells_give_the_same_calls():
    cells, _ = simulate(JUDGED[0], 7, n_normal=500, n_clonal=25)
    first, second = call_clones(cells, SPEC), call_clones(cells, SPEC)
    for a, b in zip(first.labels, second.labels, strict=True):
        assert np.array_equal(a, b)


def test_a_tube_without_any_antigen_is_refused():
    with pytest.raises(QuantificationError):
        call_clones([TubeCells("1", ("CD38",), np.zeros((10, 1)), {})], SPEC)
