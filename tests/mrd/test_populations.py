"""Large populations of normal cells: which they are, and what a compact region expects where pairs know none."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from cytomrd.mrd.compact import CompactRegion, measure_compact
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.pair_density import PairDensity
from cytomrd.mrd.populations import Populations, normal_populations
from cytomrd.mrd.sharing import CloneShape, Shared

N, D, AWAY = 6_000, 6, 6.0


def mixture_of(means, weights):
    k = len(means)
    return Mixture(
        weight=np.repeat(np.asarray(weights)[None], 2, axis=0), mean=np.asarray(means, dtype=float),
        cov=np.repeat(np.eye(D)[None], k, axis=0), shift=np.zeros((2, k, D)), kappa=np.full(k, 0.6),
        evaluable=np.full(k, 0.9), fixed=np.zeros(k, dtype=bool),
    )  # fmt: skip


def drawn_from(mixture, seed):
    """Cells of two tubes."""
    rng = np.random.default_rng(seed)
    of = [rng.choice(len(mixture.mean), N, p=mixture.weight[0]) for _ in range(2)]
    return [Block(mixture.mean[k] + rng.standard_normal((N, D)), np.arange(D), np.ones(N), None) for k in of]


@pytest.fixture(scope="module")
def many_markers():
    """Populations that depart on two of six markers each, and a small one that departs on all of them."""
    means = [np.where(np.isin(np.arange(D), pair), AWAY, 0.0) for pair in combinations(range(D), 2)]
    means.append(np.full(D, AWAY))
    return mixture_of(means, [0.98 / 15] * 15 + [0.02])


def region_at(centre, blocks):
    densities = [PairDensity(b) for b in blocks]
    normal = tuple((d, d.tree_near(centre)) for d in densities)
    shape = CloneShape(np.stack([centre, centre]), np.full(D, 1.0), np.full(2, 1e6), 0.6, 0.6)
    return CompactRegion(Shared(shape, normal, np.full(D, -np.inf)), 1.0), densities


def test_a_population_that_pairs_do_not_know_is_expected_where_it_lies(many_markers):
    blocks = drawn_from(many_markers, 1)
    region, densities = region_at(np.full(D, AWAY), blocks)
    populations = Populations(many_markers, (float(N), float(N)))
    by_pairs, _ = measure_compact(region, blocks, densities, (54.0, 36.0))
    by_both, _ = measure_compact(region, blocks, densities, (54.0, 36.0), populations)
    for pairs, both in zip(by_pairs, by_both, strict=True):
        assert both.n == pairs.n > 60
        assert pairs.if_normal < both.n / 5
        assert both.if_normal == pytest.approx(both.n, rel=0.35)
        # What is expected beside a clone is as pairs say: the population may be the clone.
        assert both.beside_clone == pairs.beside_clone


def test_what_pairs_expect_is_not_made_less(many_markers):
    blocks = drawn_from(many_markers, 2)
    region, densities = region_at(np.full(D, AWAY), blocks)
    elsewhere = mixture_of([np.full(D, -AWAY)], [1.0])
    by_pairs, _ = measure_compact(region, blocks, densities, (54.0, 36.0))
    by_both, _ = measure_compact(region, blocks, densities, (54.0, 36.0), Populations(elsewhere, (1.0, 1.0)))
    assert by_pairs == by_both


def test_their_number_is_the_tubes_cells_times_their_density():
    mixture = mixture_of([np.zeros(D)], [1.0])
    block = Block(np.random.default_rng(3).standard_normal((5, D)), np.arange(D), np.ones(5), None)
    populations = Populations(mixture, (300.0, 0.0))
    for tube, total in enumerate(populations.totals):
        density = stats.multivariate_normal(np.zeros(D)).pdf(block.x)
        assert np.exp(populations.log_number(tube, block)) == pytest.approx(total * density)


def test_only_large_ones_that_are_called_normal_count():
    mixture = mixture_of([np.full(D, x) for x in range(4)], [0.9, 0.006, 0.06, 0.034])
    blocks = [Block(np.zeros((1_000, D)), np.arange(D), np.ones(1_000), None)] * 2
    verdicts = [Verdict(call, "", (), None) for call in ("normal", "normal", "clonal", "indeterminate")]
    found = normal_populations(mixture, verdicts, blocks)
    assert found.totals == (1_000.0, 1_000.0)
    assert np.array_equal(found.mixture.mean, np.zeros((1, D)))
    assert found.mixture.weight[0] == pytest.approx([0.9])
    assert normal_populations(mixture, verdicts[2:] * 2, blocks) is None
