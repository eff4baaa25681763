"""MRD under moved gates: counts, newcomers, and the interval."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from cytomrd.errors import QuantificationError
from cytomrd.mrd.gate_error import MovedTube, count_moved, interval_of_chain, interval_with_gates, label_newcomers
from cytomrd.mrd.limits import clopper_pearson


def test_tubes_are_added_draw_by_draw():
    labels = np.array([1, 1, 2, 0, -1])
    members = np.array([[1, 1, 1, 1, 1], [1, 0, 0, 1, 1]], dtype=bool)
    one, other = (MovedTube(labels, members, np.array(n)) for n in ([1000.0, 1000.0], [1000.0, 3000.0]))
    found = count_moved([one, other])
    assert (found.n_draws, found.fewest, found.most) == (2, 2, 6)
    assert found.sd == pytest.approx(np.std([6 / 2000, 2 / 4000], ddof=1))


def test_tubes_must_have_been_moved_alike():
    tubes = [MovedTube(np.zeros(1, int), np.ones((n, 1), bool), np.ones(n)) for n in (2, 3)]
    with pytest.raises(QuantificationError):
        count_moved(tubes)


def test_newcomers_are_clonal_only_among_clonal_events():
    rng = np.random.default_rng(0)
    known = np.vstack([rng.normal(0.3, 0.02, (200, 4)), rng.normal(0.7, 0.02, (30, 4))])
    labels = np.repeat([0, 1], [200, 30])
    new = np.vstack([known[labels == 1][:5] + 0.002, known[:5] + 0.002, np.full((1, 4), 0.55)])
    assert label_newcomers(known, labels, new).tolist() == [1] * 5 + [0] * 6
    assert label_newcomers(known, np.zeros(230, int), new).sum() == 0
    assert label_newcomers(known, labels, new[:0]).tolist() == []


def test_without_movement_it_is_the_exact_interval():
    low, high = clopper_pearson(30, 3_000_000)
    assert interval_with_gates(1e-5, low, high, 0.0) == pytest.approx((low, high))
    assert interval_with_gates(0.0, 0.0, 1.2e-6, 0.0) == (0.0, 1.2e-6)


def test_the_interval_covers_where_counting_and_gates_both_vary():
    rng, covered = np.random.default_rng(2), 0
    n, true, sd = 200_000, 5e-4, 0.1
    for _ in range(2_000):
        gate = 1 + sd * rng.standard_normal()
        k = rng.poisson(n * true * gate)
        low, high = interval_with_gates(k / n, *clopper_pearson(int(k), n), sd * k / n)
        covered += low <= true <= high
    assert covered / 2_000 == pytest.approx(0.95, abs=0.02)


def chain_result(n_clonal, n_indeterminate=0, n=1_000_000):
    low, high = clopper_pearson(n_clonal, n)
    return SimpleNamespace(
        mrd_fraction=n_clonal / n, ci_low=low, ci_high=high, n_clonal_pc=n_clonal, n_indeterminate_pc=n_indeterminate,
        n_nucleated=n, threshold_events=20,
    )  # fmt: skip


def test_unsure_cells_widen_the_interval_of_the_chain():
    mrd = chain_result(100)
    sure, unsure = (interval_of_chain(mrd, 0.0, sd) for sd in (0.0, 10.0))
    assert unsure[0] < sure[0] < mrd.ci_low
    assert unsure[1] > sure[1] > mrd.ci_high


def test_below_the_threshold_as_much_may_have_been_missed():
    assert interval_of_chain(chain_result(0), 0.0, 0.0) == pytest.approx((0.0, clopper_pearson(19, 1_000_000)[1]))
    assert interval_of_chain(chain_result(0, 40), 0.0, 0.0) == pytest.approx((0.0, clopper_pearson(40, 1_000_000)[1]))
