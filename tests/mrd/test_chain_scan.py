"""The scan for places where one light chain prevails."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.chain_scan import MAX_CENTRES, chain_centres
from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block

PLACE = np.array([5.0, -5.0, -5.0, 0.0, -5.0])


def tubes(seed, n_clonal, *, light=LAMBDA, n_alike=40, level=-5.0):
    """Two tubes of four shared markers and one more in the first.

    Polyclonal cells lie two SDs beside the clone; on the first tube's own marker the clone is at ``level``.
    """
    rng = np.random.default_rng(seed)
    blocks = []
    for columns in (np.arange(5), np.arange(4)):
        place = np.array([*PLACE[:4], level])[columns]
        near = PLACE[columns] + np.array([0, 2.0, 2.0, 0, 0])[columns]
        x = np.vstack([
            rng.standard_normal((1_500, len(columns))),
            near + rng.standard_normal((n_alike, len(columns))),
            place + 0.8 * rng.standard_normal((n_clonal, len(columns))),
        ])  # fmt: skip
        chains = np.where(rng.random(len(x)) < 0.6, KAPPA, LAMBDA).astype(np.int8)
        if n_clonal and light is not None:
            chains[-n_clonal:] = light
        blocks.append(Block(x, columns, np.ones(len(x)), chains if len(columns) == 4 else None))
    return blocks, [(np.abs(b.x) > 3.0).any(axis=1) for b in blocks]


@pytest.mark.parametrize("light", [KAPPA, LAMBDA])
def test_a_clone_beside_as_many_polyclonal_cells_is_a_place(light):
    centres = chain_centres(*tubes(0, 15, light=light), 0.6)
    apart = [np.abs(c - PLACE).max() for c in centres]
    assert min(apart) < 1.5


@pytest.mark.parametrize("level", [-5.0, 0.0])
def test_a_marker_of_another_tube_gets_each_level_that_cells_there_show(level):
    centres = chain_centres(*tubes(1, 15, level=level), 0.6)
    assert min(np.abs(c - [*PLACE[:4], level]).max() for c in centres) < 1.8


def test_the_clone_is_more_evident_than_any_place_of_normal_cells():
    best = chain_centres(*tubes(2, 18), 0.6)[0]
    assert np.abs(best - PLACE)[:4].max() < 1.5


def test_few_places_and_the_same_for_the_same_events():
    blocks, aberrant = tubes(3, 15)
    first, second = (chain_centres(blocks, aberrant, 0.6) for _ in range(2))
    assert 0 < len(first) <= 3 * MAX_CENTRES
    assert np.array_equal(first, second)


def test_nothing_where_light_chains_are_not_told_or_no_cell_departs():
    blocks, aberrant = tubes(4, 15)
    blind = [Block(b.x, b.columns, b.weight, None) for b in blocks]
    assert chain_centres(blind, aberrant, 0.6) == []
    assert chain_centres(blocks, [np.zeros_like(a) for a in aberrant], 0.6) == []
    other = np.full(len(blocks[1].x), 3, dtype=np.int8)
    assert (
        chain_centres([blocks[0], Block(blocks[1].x, blocks[1].columns, blocks[1].weight, other)], aberrant, 0.6) == []
    )
