"""Compact regions: few normal cells, a shape that light chains had no part in, and what is expected there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from clone_among_normal import NO_FLOOR, PLACE, tubes

from cytomrd.mrd.compact import MOST_EVENTS, CompactRegion, compact_regions, measure_compact
from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.pair_density import PairDensity
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.regions import WIDTHS
from cytomrd.mrd.sharing import CloneShape, Shared

NORMAL = (54.0, 36.0)


def weighed_at_place(blocks):
    """The open region around the place, and the cells that it was weighed among."""
    cells = Cells.measured(blocks, NORMAL, [])
    return cells.weigh(cells.region(np.stack([PLACE, PLACE]), WIDTHS[0])), cells


@pytest.mark.parametrize("light", [KAPPA, LAMBDA])
@pytest.mark.parametrize("seed", range(3))
def test_a_compact_region_holds_the_clone_and_fewer_normal_cells(seed, light):
    blocks = tubes(seed, 15, light=light)
    weighed, cells = weighed_at_place(blocks)
    wide, narrow = compact_regions(weighed, cells)
    clonal, others = [], []
    for t, b in enumerate(blocks):
        within = wide.region.holds(t, b)
        clonal.append(within[-15:].sum())
        others.append(within[:-15].sum())
        assert not (narrow.region.holds(t, b) & ~within).any()
    assert sum(clonal) > 20
    assert sum(others) < 0.3 * (weighed.n_events - 30)
    assert wide.log_odds > weighed.log_odds + 0.5
    assert wide.normal_share < weighed.normal_share
    assert wide.evidence.chain == ("kappa" if light == KAPPA else "lambda")


def test_light_chains_have_no_part_in_where_it_lies():
    blocks = tubes(0, 15)
    weighed, cells = weighed_at_place(blocks)
    shuffled = np.random.default_rng(0).permutation(blocks[1].chains)
    other = [blocks[0], Block(blocks[1].x, blocks[1].columns, blocks[1].weight, shuffled)]
    _, among = weighed_at_place(other)
    among = replace(among, evaluable=0.0)
    # What the open region's own light chains say of its size is kept the same.
    for one, two in zip(compact_regions(weighed, cells), compact_regions(weighed, among), strict=True):
        for t, b in enumerate(blocks):
            assert np.array_equal(one.region.holds(t, b), two.region.holds(t, b))


def test_scattered_cells_have_no_compact_region():
    rng = np.random.default_rng(1)
    blocks = tubes(1, 0, n_alike=0)
    for t, b in enumerate(blocks):
        wide = PLACE[b.columns] + 3.5 * rng.standard_normal((60, b.x.shape[1]))
        chains = None if b.chains is None else np.r_[b.chains, np.full(60, KAPPA, dtype=np.int8)]
        blocks[t] = Block(np.vstack([b.x, wide]), b.columns, np.ones(len(b.x) + 60), chains)
    assert compact_regions(*weighed_at_place(blocks)) == []


def test_many_cells_show_by_their_open_region():
    blocks = tubes(2, int(MOST_EVENTS))
    weighed, cells = weighed_at_place(blocks)
    assert weighed.log_odds > 20
    assert compact_regions(weighed, cells) == []


def test_a_shape_that_holds_one_tube_alone_is_no_region():
    """Looked for beside the clone on the marker that one tube has: there is next to nothing in that."""
    blocks = tubes(0, 15, n_alike=0)
    cells = Cells.measured(blocks, NORMAL, [])
    beside = PLACE * np.array([1.0, 1.0, 1.0, 1.0, -1.0])
    assert compact_regions(cells.weigh(cells.region(np.stack([PLACE, PLACE]), WIDTHS[1])), cells)
    assert compact_regions(cells.weigh(cells.region(np.stack([beside, beside]), WIDTHS[1])), cells) == []


def region_of(blocks, centre, sd, *, least=0.0, n=1e3):
    """The region of a shape as given, among normal cells that are all of the blocks'."""
    densities = [PairDensity(b) for b in blocks]
    normal = tuple((d, d.tree_near(centre[b.columns])) for d, b in zip(densities, blocks, strict=True))
    shape = CloneShape(np.stack([centre, centre]), np.full(len(centre), sd), np.full(2, n), 0.6, 0.6)
    return CompactRegion(Shared(shape, normal, NO_FLOOR[: len(centre)]), least), densities


@pytest.mark.parametrize(("centre", "least"), [(0.8, 1.0), (1.5, 1.0), (1.5, 3.0)])
def test_as_many_normal_cells_are_expected_as_there_are(centre, least):
    """Cells whose markers go together two by two, of which a hundred times as many are counted as were seen."""
    rng = np.random.default_rng(3)
    cov = np.array([[1.0, 0.6, 0.36], [0.6, 1.0, 0.6], [0.36, 0.6, 1.0]])
    columns = np.arange(3)

    def normal_cells(n):
        x = rng.multivariate_normal(np.zeros(3), cov, n)
        return Block(x, columns, np.ones(n), None)

    seen = [normal_cells(20_000), normal_cells(20_000)]
    region, densities = region_of(seen, np.full(3, centre), 0.7, least=least, n=4e3)
    many = normal_cells(2_000_000)
    there = region.holds(0, many).sum() / 100
    assert there > 20
    # The kernel widens single markers and pairs, here by a third of their variance.
    counts, _ = measure_compact(region, seen, densities, NORMAL)
    assert counts[0].if_normal == pytest.approx(there, rel=0.25)


def test_where_the_light_of_one_chain_moves_cells_their_light_chain_is_usual():
    """Lambda cells lie farther out on a marker: beyond that, on this side, normal cells are kappa."""
    rng = np.random.default_rng(4)
    n = 20_000
    chains = np.where(rng.random(n) < 0.6, KAPPA, LAMBDA).astype(np.int8)
    x = rng.standard_normal((n, 3))
    moved = x.copy()
    moved[chains == LAMBDA, 0] += 1.5
    for place, values in (("alike", x), ("apart", moved)):
        blocks = [Block(values, np.arange(3), np.ones(n), chains)] * 2
        region, densities = region_of(blocks, np.array([-1.5, 0.5, 0.0]), 0.5)
        _, (kappa, lam) = measure_compact(region, blocks, densities, NORMAL)
        share = kappa / (kappa + lam)
        near = (np.abs(values - [-1.5, 0.5, 0.0]) < 1.0).all(axis=1)
        there = (chains[near] == KAPPA).mean()
        assert share == pytest.approx(there, abs=0.06), place
        assert (there > 0.85) == (place == "apart")
