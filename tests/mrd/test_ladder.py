"""The statistics of a ladder, on mixtures whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.ladder import Mixture, judge_ladder, summarise_ladder
from cytomrd.mrd.limits import clopper_pearson, detection_probability

N = 3_000_000


def mixture(level, seed, k, *, false=0, n=N, error=""):
    low, high = clopper_pearson(k + false, n)
    return Mixture("law", level, N, seed, "donor", "clone" if level else "", k, n_nucleated=n, n_clonal=k + false,
                   n_right=k, fraction=(k + false) / n, low=low, high=high, error=error)  # fmt: skip


def perfect(levels, n_seeds, seed=1):
    """A chain that calls every clonal event and no other."""
    rng = np.random.default_rng(seed)
    return [mixture(level, s, int(rng.poisson(level * N))) for level in levels for s in range(n_seeds)]


def test_a_perfect_chain_reaches_what_counting_allows():
    (rung,) = summarise_ladder(perfect((1e-3, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6, 0.0), 400))
    assert rung.line.slope == pytest.approx(1.0, abs=0.01)
    assert rung.line.r_squared > 0.97
    at = rung.level(1e-5)
    assert at.hit_rate_counting == pytest.approx(detection_probability(1e-5, N))
    assert at.hit_low < at.hit_rate_counting < at.hit_high
    assert at.recovery == pytest.approx(1.0, abs=0.03)
    assert at.recovery_low < 1 < at.recovery_high
    assert at.cv == pytest.approx(at.cv_counting, rel=0.1)
    assert at.coverage >= 0.93
    assert (at.found, at.wrong) == (1.0, 0.0)
    assert rung.lod == 1e-5
    assert (rung.blank.lob_events, rung.threshold, rung.false_per_million) == (0, 20, 0.0)
    assert all(c.met for c in judge_ladder([rung])), judge_ladder([rung])


def test_blanks_with_events_raise_the_threshold():
    blanks = [mixture(0.0, s, 0, false=k) for s, k in enumerate([0, 0, 5, 40, 60])]
    (rung,) = summarise_ladder([*blanks, mixture(1e-5, 0, 30)])
    assert rung.threshold == rung.blank.lob_events + 1 > 60
    assert rung.n_blanks_positive == 2
    assert rung.level(1e-5).n_hits == 0
    assert rung.false_per_million == pytest.approx(105 / 15)
    assert rung.false_low < rung.false_per_million < rung.false_high
    met = {c.name: c.met for c in judge_ladder([rung])}
    assert met["limit of blank"] is met["positive blanks"] is False


def test_a_mixture_without_a_result_is_a_miss():
    (rung,) = summarise_ladder([mixture(1e-5, 0, 30), mixture(1e-5, 1, 0, error="no gate")])
    at = rung.level(1e-5)
    assert (at.n_runs, at.n_failed, at.n_hits, at.hit_rate) == (2, 1, 1, 0.5)
    assert at.recovery == pytest.approx(1.0)


def test_a_level_found_too_seldom_ends_detection_even_if_a_lower_one_is_found():
    made = [mixture(1e-4, s, 300) for s in range(20)] + [mixture(5e-5, s, 150 * (s > 4)) for s in range(20)]
    (rung,) = summarise_ladder([*made, *(mixture(2e-5, s, 60) for s in range(20))])
    assert rung.lod == 1e-4


def test_the_line_bends_where_nothing_was_found():
    made = [mixture(1e-4, s, 300) for s in range(20)] + [mixture(1e-5, s, 0) for s in range(20)]
    (rung,) = summarise_ladder(made)
    assert rung.line.slope > 2


def test_few_mixtures_leave_a_target_open():
    (rung,) = summarise_ladder([mixture(1e-5, 0, 30), mixture(1e-5, 1, 0), *(mixture(0.0, s, 0) for s in range(6))])
    met = {c.name: c.met for c in judge_ladder([rung])}
    assert met["hit rate at 1e-05"] is None
    assert met["recovery"] is None
    assert met["positive blanks"] is None
    (rung,) = summarise_ladder([mixture(1e-5, 0, 30), mixture(0.0, 0, 0)])
    assert {c.met for c in judge_ladder([rung])} == {None}


def test_groups_and_sizes_are_kept_apart():
    made = [
        mixture(1e-5, 0, 30),
        Mixture("other", 1e-5, N, 0, "d", "c", 0),
        Mixture("law", 1e-5, 5 * N, 0, "d", "c", 0),
    ]
    assert [(r.group, r.n_wanted) for r in summarise_ladder(made)] == [("law", N), ("other", N), ("law", 5 * N)]
