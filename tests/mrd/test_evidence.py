"""The evidence of a clone in a region, against loops and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from cytomrd.mrd.evidence import EXPECTED_SD, MOST_CLONE, TubeCount, weigh_region
from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN

NORMAL = (54.0, 36.0)


def tubes(n1, n2, kappa, lam, e1=0.5, e2=0.5):
    return [TubeCount(n1, None, 1.0, e1, e1), TubeCount(n2, (kappa, lam), 1.0, e2, e2)]


def log_odds_by_loops(counts):
    """The same sums, one number of cells after the other."""
    a, b = NORMAL
    kappas = [0.6 + np.sqrt(a * b / ((a + b) ** 2 * (a + b + 1))) * stats.norm.ppf((i + 0.5) / 9) for i in range(9)]
    factors = [np.exp(EXPECTED_SD * stats.t.ppf((i + 0.5) / 15, 3)) for i in range(15)]

    def light(tube, fractions):
        if tube.chains is None:
            return 1.0
        return np.mean([f ** tube.chains[0] * (1 - f) ** tube.chains[1] for f in fractions])

    def tube_with(tube, clone, purity):
        found = []
        for part in (0.6, 1.0, 1.6):
            for factor in factors:
                own, normal = tube.size * clone * part, max(tube.beside_clone, 0.15) * factor
                mixed = [(own * purity + normal * k) / (own + normal) for k in kappas]
                found.append(stats.poisson.pmf(tube.n, own + normal) * light(tube, mixed))
        return np.mean(found)

    without = np.prod([
        np.mean([stats.poisson.pmf(t.n, max(t.if_normal, 0.15) * f) for f in factors]) * light(t, kappas)
        for t in counts
    ])  # fmt: skip
    clones = np.exp(np.linspace(np.log(3.0), np.log(MOST_CLONE), 16))
    found = 0.0
    for purity, prior in ((CLONE_PURITY_MEAN, 0.6), (1 - CLONE_PURITY_MEAN, 0.4)):
        found += prior * np.mean([np.prod([tube_with(t, c, purity) for t in counts]) for c in clones])
    return np.log(found / without)


@pytest.mark.parametrize("n1, n2, kappa, lam", [(9, 12, 10, 1), (3, 20, 9, 10), (0, 5, 5, 0), (14, 2, 0, 2)])
def test_the_sums_agree_with_loops(n1, n2, kappa, lam):
    counts = tubes(n1, n2, kappa, lam, 2.2, 4.5)
    assert weigh_region(counts, NORMAL).log_odds == pytest.approx(log_odds_by_loops(counts), abs=1e-9)


def test_light_chains_agree_with_the_likelihood_ratio():
    """With no normal cell to speak of, each kappa cell is worth the log of a clone's purity over the usual kappa."""
    odds = [weigh_region(tubes(0, n, n, 0, 0.15, 0.15), NORMAL).log_odds for n in (8, 9)]
    both = [weigh_region([TubeCount(0, None, 1.0, 0.15, 0.15), TubeCount(n, None, 1.0, 0.15, 0.15)], NORMAL).log_odds
            for n in (8, 9)]  # fmt: skip
    one_more = (odds[1] - odds[0]) - (both[1] - both[0])
    assert one_more == pytest.approx(np.log(CLONE_PURITY_MEAN / 0.6), abs=0.05)


def test_what_makes_a_clone_likelier():
    usual = weigh_region(tubes(10, 10, 9, 1), NORMAL)
    assert usual.chain == "kappa"
    assert usual.log_odds > 10
    assert weigh_region(tubes(10, 10, 6, 4), NORMAL).log_odds < usual.log_odds - 3
    assert weigh_region(tubes(10, 10, 9, 1, 10, 10), NORMAL).log_odds < 4
    assert weigh_region(tubes(0, 10, 9, 1), NORMAL).log_odds < usual.log_odds - 3
    assert weigh_region(tubes(10, 10, 1, 9), NORMAL).chain == "lambda"


def test_normal_cells_alone_are_no_clone():
    rng, odds = np.random.default_rng(1), []
    for _ in range(400):
        expected = np.exp(rng.uniform(0, 4, 2))
        n = rng.poisson(expected * np.exp(rng.normal(0, EXPECTED_SD, 2)))
        kappa = rng.binomial(n[1], 0.6)
        odds.append(weigh_region(tubes(n[0], n[1], kappa, n[1] - kappa, *expected), NORMAL).log_odds)
    # A Bayes factor of 20 is seen by chance in one of 20 at most.
    assert np.mean(np.array(odds) > 3.0) < 0.05


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.floats(0.0, 50.0), st.floats(0.0, 50.0))
def test_cells_are_shared_out_within_what_is_there(n1, kappa, lam, e1, e2):
    found = weigh_region(tubes(n1, kappa + lam, kappa, lam, e1, e2), NORMAL)
    assert np.isfinite(found.log_odds)
    assert all(0 < n < 4 * MOST_CLONE for n in found.n_clone)
    assert all(b > 0 for b in found.n_normal)


def test_a_tube_that_cannot_tell_has_no_part():
    seen = tubes(10, 10, 9, 1)
    absent = TubeCount(0.0, None, 0.0, 0.0, 0.0)
    found = weigh_region([seen[0], absent, seen[1]], NORMAL)
    assert found.log_odds == pytest.approx(weigh_region(seen, NORMAL).log_odds)
    assert found.n_clone[1] == found.n_normal[1] == 0.0
