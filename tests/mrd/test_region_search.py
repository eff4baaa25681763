"""Clones found by their regions: pieces put together, normal cells of the same look left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.phenotype import AntigenScore
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.region_clone import Start, left_by
from cytomrd.mrd.region_search import doubt_unconfirmed, find_by_region, set_aside
from cytomrd.mrd.regions import WIDTHS, Region, measure_region
from cytomrd.mrd.rule import RegionFacts, has_chains, is_clone
from cytomrd.panel import MrdSpec

NORMAL = (54.0, 36.0)
PLACE = np.array([6.0, -6.0, -6.0, -6.0, 0.0, -6.0])


def marrow(seed, n_clonal, *, n=800, light=KAPPA, stray=0.0, n_alike=0):
    """Two tubes of five shared markers, one more in the first and light chains in the second; which are clonal.

    Normal cells depart on each marker one in six by itself. The clone departs on five, and a part of its cells does not
    on one of them. Cells that look like it may have either light chain.
    """
    rng = np.random.default_rng(seed)
    blocks, clonal = [], []
    for columns in (np.arange(6), np.arange(5)):
        place = PLACE[: len(columns)]
        normal = rng.standard_normal((n, len(columns)))
        normal += np.where(rng.random(normal.shape) < 1 / 6, place, 0.0)
        own = place + rng.standard_normal((n_clonal, len(columns))) * 1.4
        for row in np.flatnonzero(rng.random(n_clonal) < stray):
            marker = rng.choice(np.flatnonzero(place))
            own[row, marker] -= place[marker]
        alike = place + rng.standard_normal((n_alike, len(columns)))
        x = np.vstack([normal, own, alike])
        chains = np.where(rng.random(len(x)) < 0.6, KAPPA, LAMBDA).astype(np.int8)
        if light is not None:
            chains[n : n + n_clonal] = light
        blocks.append(Block(x, columns, np.ones(len(x)), chains if len(columns) == 5 else None))
        clonal.append(np.isin(np.arange(len(x)), np.arange(n, n + n_clonal)))
    return blocks, clonal


def start(away=0.0):
    """Where to look: a piece of the clone, ``away`` from its middle."""
    antigens = tuple(AntigenScore(f"A{i}", "reduced", True, -6.0) for i in range(4))
    return Start(np.repeat((PLACE * (1.0 + away))[None], 2, axis=0), antigens)


def clones_of(starts, blocks):
    return find_by_region(starts, Cells.measured(blocks, NORMAL, starts), MrdSpec())


def found(blocks, clonal, starts):
    clones = clones_of(starts, blocks)
    own = [1.0 - left_by(clones, t, b) for t, b in enumerate(blocks)]
    return clones, sum(float(p.sum()) for p in own), sum(float(p[c].sum()) for p, c in zip(own, clonal, strict=True))


@pytest.mark.parametrize("away", [-0.25, 0.0, 0.4])
def test_a_clone_is_found_whole_from_any_of_its_pieces(away):
    blocks, clonal = marrow(1, 15)
    clones, n, right = found(blocks, clonal, [start(away)])
    assert len(clones) == 1
    assert clones[0].core.evidence.chain == "kappa"
    assert right > 25
    assert n < 36


def test_cells_that_stray_on_one_marker_are_counted():
    blocks, clonal = marrow(2, 30, stray=0.3)
    _, n, right = found(blocks, clonal, [start()])
    assert right > 45
    assert n < 72


def test_polyclonal_cells_of_the_same_look_are_no_clone():
    for seed in range(8):
        blocks, _ = marrow(seed, 0, n_alike=15)
        assert not clones_of([start()], blocks)


def test_normal_cells_beside_a_clone_are_left_out_by_their_light_chain():
    blocks, clonal = marrow(3, 25, n_alike=12)
    clones, _, right = found(blocks, clonal, [start()])
    assert len(clones) == 1
    assert right > 38
    own = 1.0 - left_by(clones, 1, blocks[1])
    other = (blocks[1].chains == LAMBDA) & (np.arange(len(own)) >= 825)
    assert own[other].mean() < 0.75 < own[clonal[1]].mean()


def test_both_light_chains_and_the_order_of_starts():
    blocks, clonal = marrow(4, 15, light=LAMBDA)
    starts = [start(0.3), start(), start(-0.2)]
    first, n, _ = found(blocks, clonal, starts)
    second, again, _ = found(blocks, clonal, starts[::-1])
    assert first[0].core.evidence.chain == second[0].core.evidence.chain == "lambda"
    assert n == pytest.approx(again, rel=0.1)


def test_no_light_chains_no_regions():
    blocks, _ = marrow(5, 20)
    blind = [Block(b.x, b.columns, b.weight, None) for b in blocks]
    assert clones_of([start()], blind) == []
    empty = [blocks[0], Block(blocks[1].x[:0], blocks[1].columns, np.zeros(0), blocks[1].chains[:0])]
    assert clones_of([start()], empty) == []


def test_normal_cells_far_out_on_a_marker_that_one_light_chain_widens():
    """Beyond the limit most cells are kappa, wherever they are: that is no clone, and the region's kappa says so."""
    rng = np.random.default_rng(6)
    blocks, _ = marrow(6, 0, n=20_000)
    x, chains = blocks[1].x.copy(), blocks[1].chains
    chains[x[:, 1] < -6.5] = np.where(rng.random((x[:, 1] < -6.5).sum()) < 0.95, KAPPA, LAMBDA)
    sharp = Region(np.repeat(PLACE[None], 2, axis=0), WIDTHS[1], sharper=((1, 1.1),))
    _, (kappa, other) = measure_region(
        sharp, [blocks[0], Block(x, blocks[1].columns, blocks[1].weight, chains)], NORMAL
    )
    assert kappa / (kappa + other) > 0.9
    _, (kappa, other) = measure_region(sharp, marrow(6, 0, n=20_000)[0], NORMAL)
    assert kappa / (kappa + other) == pytest.approx(0.6, abs=0.08)


def scattered(seed, n, width, n_clonal=0):
    """A marrow and, in each tube, kappa cells that lie as many SDs wide around the place."""
    rng = np.random.default_rng(seed)
    blocks, _ = marrow(7, n_clonal)
    for t, b in enumerate(blocks):
        wide = rng.standard_normal((n, b.x.shape[1])) * width + PLACE[: b.x.shape[1]]
        chains = None if b.chains is None else np.r_[b.chains, np.full(n, KAPPA, dtype=np.int8)]
        blocks[t] = Block(np.vstack([b.x, wide]), b.columns, np.ones(len(b.x) + n), chains)
    return blocks


def test_scattered_cells_are_not_counted_beyond_the_region():
    """Cells of one light chain that only depart from normal spread wider than a clone does: no shape takes them in."""
    blocks = scattered(7, 120, 3.0, n_clonal=8)
    clones = clones_of([start()], blocks)
    assert [c.shared for c in clones] == [None]
    inside = sum(clones[0].core.region.holds(t, b).sum() for t, b in enumerate(blocks))
    assert sum((1.0 - left_by(clones, t, b)).sum() for t, b in enumerate(blocks)) <= inside < 150


@pytest.mark.parametrize("seed, n, width", [(1, 10, 2.2), (1, 10, 3.0), (1, 14, 3.0), (2, 10, 2.2)])
def test_a_few_scattered_cells_are_no_clone(seed, n, width):
    """Other cells that the gates let through scatter so, and a few of them are of one light chain by chance."""
    assert clones_of([start()], scattered(seed, n, width)) == []


def test_same_events_same_clones():
    blocks, _ = marrow(8, 15)
    first, second = (clones_of([start(), start(0.3)], blocks) for _ in range(2))
    assert [c.found.posterior for c in first] == [c.found.posterior for c in second]


@pytest.mark.parametrize("n_other, found_too", [(6, False), (25, True)])
def test_a_further_clone_of_the_other_light_chain_must_show_it_by_itself(n_other, found_too):
    rng = np.random.default_rng(10)
    blocks, _ = marrow(10, 25)
    elsewhere = np.array([-6.0, -6.0, 6.0, 6.0, 0.0, 6.0])
    for t, b in enumerate(blocks):
        own = elsewhere[: b.x.shape[1]] + rng.standard_normal((n_other, b.x.shape[1]))
        chains = None if b.chains is None else np.r_[b.chains, np.full(n_other, LAMBDA, dtype=np.int8)]
        blocks[t] = Block(np.vstack([b.x, own]), b.columns, np.ones(len(b.x) + n_other), chains)
    other = Start(np.repeat(elsewhere[None], 2, axis=0), start().antigens)
    chains = [c.core.evidence.chain for c in clones_of([start(), other], blocks)]
    assert sorted(chains) == (["kappa", "lambda"] if found_too else ["kappa"])
    # It may be the only one.
    assert [c.core.evidence.chain for c in clones_of([other], blocks)] == ["lambda"]


def component_at(place, n, blocks):
    """A mixture of one round component of ``n`` cells in all tubes."""
    d, share = len(place), n / sum(b.total for b in blocks)
    return Mixture(
        weight=np.full((2, 1), share), mean=place[None], cov=np.eye(d)[None], shift=np.zeros((2, 1, d)),
        kappa=np.array([0.6]), evaluable=np.array([0.9]), fixed=np.zeros(1, dtype=bool),
    )  # fmt: skip


@pytest.mark.parametrize(
    "n_clonal, n_alike, size, call",
    [
        # Normal cells of one look, and a component of one light chain among them.
        (0, 100, 40, "indeterminate"),
        # The look is the clone's; a component too large to be a piece of normal cells; too few cells for a ratio.
        (30, 0, 60, "clonal"),
        (0, 100, 500, "clonal"),
        (0, 15, 30, "clonal"),
    ],
)
def test_a_component_whose_region_is_normal_cells_is_doubted(n_clonal, n_alike, size, call):
    rng = np.random.default_rng(7)
    blocks, _ = marrow(7, n_clonal, n_alike=n_alike)
    # Normal cells of that look are expected, since their antigens go together on all markers but two.
    for b in blocks:
        rows = rng.choice(800, 400, replace=False)
        b.x[rows[:200], 1:4] = -6.0 + rng.standard_normal((200, 3))
        b.x[rows[200:], 0] = 6.0 + rng.standard_normal(200)
    verdicts = [Verdict("clonal", "three aberrancies", (), None)]
    doubt_unconfirmed(component_at(PLACE, size, blocks), verdicts, Cells.measured(blocks, NORMAL, []), MrdSpec())
    assert verdicts[0].call == call
    assert ("normal cells look like it" in verdicts[0].reason) is (call == "indeterminate")


@pytest.mark.parametrize(
    "call, evaluable, size, aside",
    [
        ("not_plasma_cells", 0.3, 30, True),
        ("indeterminate", 0.3, 30, True),
        ("indeterminate", 0.9, 30, False),
        ("clonal", 0.9, 500, True),
        ("clonal", 0.9, 30, False),
        ("normal", 0.3, 30, False),
    ],
)
def test_cells_without_light_chains_and_large_clones_are_set_aside(call, evaluable, size, aside):
    blocks, _ = marrow(9, 0)
    mixture = replace(component_at(PLACE, size, blocks), evaluable=np.array([evaluable]))
    found = set_aside(mixture, [Verdict(call, "", (), None)], blocks)
    assert bool(found.components) is aside
    assert found.left(0, blocks[0]).min() == (pytest.approx(0.0, abs=1e-6) if aside else 1.0)


def test_what_is_set_aside_is_not_counted():
    blocks, clonal = marrow(1, 15)
    aside = set_aside(component_at(PLACE, 600, blocks), [Verdict("clonal", "", (), None)], blocks)
    starts = [start()]
    assert find_by_region(starts, Cells.measured(blocks, NORMAL, starts, aside=aside), MrdSpec()) == []
    clone = replace(clones_of(starts, blocks)[0], aside=aside)
    counted = [clone.probability(t, b)[c].sum() for t, (b, c) in enumerate(zip(blocks, clonal, strict=True))]
    assert sum(counted) < 1e-6


def test_a_clone_of_cells_without_light_chains_is_none():
    """A few cells of one light chain among as many that show none: these are other cells."""
    blocks, clonal = marrow(2, 30)
    blocks[1].chains[np.flatnonzero(clonal[1])[8:]] = 0
    assert clones_of([start()], blocks) == []


@pytest.mark.parametrize(
    "clear, n, told", [(18, 20, True), (15, 20, True), (10, 20, False), (18, 28, False), (3, 3, True)]
)
def test_cells_of_which_surely_fewer_have_a_light_chain_are_no_plasma_cells(clear, n, told):
    assert has_chains(clear, n, 0.9) is told


@pytest.mark.parametrize(
    "changes, called",
    [
        ({}, True),
        ({"posterior": 0.97}, False),
        ({"light_alone": 0.3}, False),
        ({"n_aberrant": 2}, False),
        ({"n_aberrant": 2, "posterior": 0.991}, False),
        ({"n_aberrant": 2, "posterior": 0.991, "light_alone": 0.87}, True),
        ({"n_aberrant": 2, "posterior": 0.991, "light_alone": 0.87, "n_kappa": 4, "n_lambda": 0}, False),
        ({"n_kappa": 4, "n_lambda": 0}, True),
        ({"n_aberrant": 2, "posterior": 0.991, "light_alone": 0.87, "normal_share": 0.4}, False),
        ({"normal_share": 0.4}, False),
        ({"normal_share": 0.4, "light_alone": 0.95}, False),
        ({"normal_share": 0.4, "light_alone": 0.95, "posterior": 0.999}, True),
        ({"expected_sd": 1.0}, False),
        ({"expected_sd": 1.0, "light_alone": 0.95}, True),
        ({"n_kappa": 126, "n_lambda": 62}, False),
        ({"n_kappa": 90, "n_lambda": 10}, True),
        ({"is_compact": True}, False),
        ({"is_compact": True, "posterior": 0.999}, True),
        ({"is_compact": True, "posterior": 0.999, "light_alone": 0.65}, False),
        ({"is_compact": True, "posterior": 0.999, "light_alone": 0.75, "n_kappa": 4, "n_lambda": 0}, True),
        ({"is_compact": True, "posterior": 0.999, "light_alone": 0.75, "n_kappa": 2, "n_lambda": 0}, False),
        ({"is_compact": True, "posterior": 0.999, "normal_share": 0.2}, True),
        ({"is_compact": True, "posterior": 0.999, "normal_share": 0.2, "light_alone": 0.75}, False),
        ({"is_compact": True, "posterior": 0.999, "normal_share": 0.2, "n_kappa": 4, "n_lambda": 0}, False),
        ({"is_compact": True, "posterior": 0.999, "normal_share": 0.4, "light_alone": 0.95}, False),
        ({"is_compact": True, "posterior": 0.991, "light_alone": 0.96, "n_aberrant": 2}, False),
        ({"is_compact": True, "posterior": 0.999, "light_alone": 0.87, "n_aberrant": 2}, False),
        ({"is_compact": True, "posterior": 0.999, "light_alone": 0.96, "n_aberrant": 2}, True),
    ],
)
def test_the_rule_for_a_region(changes, called):
    usual = {
        "n_aberrant": 3,
        "posterior": 0.985,
        "light_alone": 0.8,
        "normal_share": 0.1,
        "n_kappa": 9,
        "n_lambda": 1,
        "expected_sd": 0.5,
    }
    assert is_clone(RegionFacts(**{**usual, **changes}), MrdSpec()) is called
