"""How dense cells are by their pairs, and places that settle on a clone."""

from __future__ import annotations

import numpy as np
import pytest
from clone_among_normal import NO_FLOOR, PLACE, tubes
from scipy import stats

from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.pair_density import BANDWIDTH, PairDensity
from cytomrd.mrd.sharing import GROWTH, above, fit_shape, settled_centre


def density_of(x, weight=None):
    return PairDensity(Block(x, np.arange(x.shape[1]), np.ones(len(x)) if weight is None else weight, None))


def chain_of_three(rho, n=40_000):
    """Cells whose markers go together as a chain: the first with the second, the second with the third."""
    cov = np.array([[1.0, rho, rho**2], [rho, 1.0, rho], [rho**2, rho, 1.0]])
    return np.random.default_rng(0).multivariate_normal(np.zeros(3), cov, n), cov


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_the_density_of_markers_that_go_together_in_pairs(rho):
    x, cov = chain_of_three(rho)
    density = density_of(x)
    near = (np.abs(x) < 1.5).all(axis=1)
    # A kernel widens single markers and pairs alike: the law of what it shows is known.
    wider = stats.multivariate_normal(np.zeros(3), cov + BANDWIDTH**2 * np.eye(3)).logpdf(x[near])
    found = density.log_number(x[near], density.tree_near(np.zeros(3))) - np.log(len(x))
    assert np.abs(found - wider).mean() < 0.1
    assert np.exp(found - wider).mean() == pytest.approx(1.0, abs=0.1)


def test_a_pair_that_excludes_each_other_makes_its_corner_empty():
    rng = np.random.default_rng(1)
    one = rng.random(4_000) < 0.5
    x = rng.standard_normal((4_000, 3)) + np.where(one[:, None], [6.0, 0.0, 0.0], [0.0, -6.0, 0.0])
    corner = np.array([[6.0, -6.0, 0.0], [6.0, 0.0, 0.0]])
    density = density_of(x)
    apart, alone = density.log_number(corner, density.tree_near(corner[0]))
    assert apart < alone - 5.0


def test_an_event_of_weight_two_is_two_events():
    x, _ = chain_of_three(0.5, 500)
    twice, weighed = density_of(np.vstack([x, x])), density_of(x, np.full(500, 2.0))
    tree = twice.tree_near(np.zeros(3))
    assert weighed.tree_near(np.zeros(3)) == tree
    assert np.allclose(weighed.log_number(x, tree), twice.log_number(x, tree))


def settle(blocks, place, apart=0.0):
    centre = np.stack([place + apart / 2, place - apart / 2])
    return settled_centre(centre, [PairDensity(b) for b in blocks], 0.6)


@pytest.mark.parametrize("light", [KAPPA, LAMBDA])
def test_a_place_between_normal_cells_and_a_clone_settles_on_the_clone(light):
    between = PLACE * np.array([1.0, 0.7, 0.7, 1.0, 1.0])
    found = settle(tubes(0, 15, light=light), between).mean(axis=0)
    assert np.abs(found - PLACE).max() < 0.8 < np.abs(between - PLACE).max()


def test_what_tubes_differ_by_stays():
    found = settle(tubes(1, 15), PLACE, apart=np.array([0.4, 0.0, 0.0, 0.0, -0.2]))
    assert np.allclose(found[0] - found[1], [0.4, 0.0, 0.0, 0.0, -0.2])


def test_a_place_without_cells_stays():
    nowhere = np.array([-9.0, 9.0, 9.0, 9.0, 9.0])
    assert np.array_equal(settle(tubes(2, 0), nowhere), np.stack([nowhere, nowhere]))


def test_a_tube_without_events():
    blocks = tubes(3, 15)
    empty = Block(blocks[1].x[:0], blocks[1].columns, np.zeros(0), blocks[1].chains[:0])
    found = settle([blocks[0], empty], PLACE * 0.9).mean(axis=0)
    assert np.abs(found - PLACE).max() < 1.0


def shares_of(blocks, n_clonal, *, light=LAMBDA, floor=NO_FLOOR):
    """Each tube's probabilities after a fit that begins at every event within two SDs of the clone's place."""
    first = [0.8 * (np.abs(b.x - PLACE[b.columns]) < 2.0).all(axis=1) for b in blocks]
    shared = fit_shape(np.stack([PLACE, PLACE]), first, blocks, floor, pure=0.97 if light == KAPPA else 0.03, usual=0.6)
    found = [shared.probability(t, b) for t, b in enumerate(blocks)]
    return shared, sum(p.sum() for p in found), sum(p[-n_clonal:].sum() for p in found)


@pytest.mark.parametrize("light", [KAPPA, LAMBDA])
@pytest.mark.parametrize("seed", range(4))
def test_a_clone_beside_normal_cells_is_counted(seed, light):
    shared, n, right = shares_of(tubes(seed, 15, light=light), 15, light=light)
    assert right > 25
    assert 26 < n < 50
    assert np.abs(shared.shape.centre.mean(axis=0) - PLACE).max() < 1.0


def test_a_shape_by_place_alone_does_not_know_light_chains():
    blocks = tubes(0, 15)
    other = [Block(b.x, b.columns, b.weight, None if b.chains is None else b.chains[::-1]) for b in blocks]
    shapes = []
    for chosen in (blocks, other):
        first = [0.8 * (np.abs(b.x - PLACE[b.columns]) < 2.0).all(axis=1) for b in chosen]
        shapes.append(fit_shape(np.stack([PLACE, PLACE]), first, chosen, NO_FLOOR, pure=None, usual=0.6).shape)
    assert np.array_equal(shapes[0].centre, shapes[1].centre)
    assert np.array_equal(shapes[0].sd, shapes[1].sd)
    assert np.array_equal(shapes[0].n, shapes[1].n)
    assert np.abs(shapes[0].centre.mean(axis=0) - PLACE).max() < 1.0


def test_cells_of_the_other_light_chain_show_that_more_normal_ones_lie_there_than_pairs_tell():
    """Sixty normal cells of the clone's own look: most of those of its chain pass for its own, the others do not."""
    alone, _, _ = shares_of(tubes(5, 15), 15)
    among, n, _ = shares_of(tubes(5, 15, n_alike=30, near=1.0), 15)
    assert among.shape.fold > 1.5 * alone.shape.fold
    assert n < 75


def test_how_far_below_the_negative_cells_an_event_lies_does_not_matter():
    blocks = tubes(6, 15)
    for b in blocks:
        b.x[-3:, 1] = -17.0
    floor = np.array([-np.inf, -5.0, -np.inf, -np.inf, -np.inf])
    _, _, without = shares_of(blocks, 3)
    _, _, right = shares_of(blocks, 3, floor=floor)
    assert without < 0.5
    assert right > 5
    assert above(blocks[0], floor).x[:, 1].min() == -6.0


def test_the_same_clone_in_a_sample_of_the_normal_cells():
    """Normal cells thinned to a third and weighed three times are as many."""
    rng = np.random.default_rng(7)
    blocks = tubes(7, 15)
    thin = []
    for b in blocks:
        kept = (rng.random(len(b.x)) < 1 / 3) | (np.arange(len(b.x)) >= 1_500)
        weight = np.where(np.arange(len(b.x)) < 1_500, 3.0, 1.0)[kept]
        thin.append(Block(b.x[kept], b.columns, weight, None if b.chains is None else b.chains[kept]))
    assert shares_of(thin, 15)[2] == pytest.approx(shares_of(blocks, 15)[2], abs=2.0)


def test_a_large_clone_with_many_cells_of_the_other_chain_far_from_all_normal_ones():
    """Next to no normal cell is expected there, yet a tenth of the clone has the other chain."""
    blocks = tubes(8, 400)
    blocks[1].chains[-80:] = KAPPA
    shared, n, right = shares_of(blocks, 400)
    assert right > 600
    assert n < 900
    assert np.isfinite(shared.shape.fold)


def test_a_clone_does_not_grow_into_normal_cells_of_its_light_chain():
    """Most normal cells around are of the clone's chain, as the light of a bright one may part them from the others."""
    blocks = tubes(9, 15, n_alike=300, near=0.9)
    near = np.arange(1_500, 1_800)
    blocks[1].chains[near] = np.where(np.arange(300) % 10 > 0, LAMBDA, KAPPA)
    first = [0.8 * (np.abs(b.x - PLACE[b.columns]) < 1.0).all(axis=1) for b in blocks]
    shared = fit_shape(np.stack([PLACE, PLACE]), first, blocks, NO_FLOOR, pure=0.03, usual=0.6)
    n = sum(shared.probability(t, b).sum() for t, b in enumerate(blocks))
    assert shared.shape.fold > 2.0
    assert n < 1.2 * GROWTH * sum(share.sum() for share in first) < 300
