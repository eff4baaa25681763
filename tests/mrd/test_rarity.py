"""How many normal cells are expected at a place, from single antigens and pairs."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.mrd.rarity import expected_together, inside_box


def test_independent_antigens_multiply():
    rng = np.random.default_rng(0)
    inside = rng.random((20_000, 4)) < 0.2
    assert expected_together(inside, np.ones(20_000)) == pytest.approx(20_000 * 0.2**4, rel=0.35)


def test_antigens_that_go_together_in_pairs_are_expected_together():
    rng = np.random.default_rng(1)
    first = rng.random(5_000) < 0.1
    inside = np.stack([first, first, rng.random(5_000) < 0.5], axis=1)
    assert expected_together(inside, np.ones(5_000)) == pytest.approx(250, rel=0.15)


def test_a_chain_of_pairs_is_followed():
    rng = np.random.default_rng(2)
    a = rng.random(20_000) < 0.3
    b = np.where(rng.random(20_000) < 0.9, a, ~a)
    c = np.where(rng.random(20_000) < 0.9, b, ~b)
    inside = np.stack([a, c, b], axis=1)
    assert expected_together(inside, np.ones(20_000)) == pytest.approx(inside.all(axis=1).sum(), rel=0.1)


def test_weights_stand_for_events():
    rng = np.random.default_rng(3)
    inside = rng.random((500, 3)) < 0.4
    twice = expected_together(np.repeat(inside, 2, axis=0), np.ones(1_000))
    assert expected_together(inside, np.full(500, 2.0)) == pytest.approx(twice)


def test_no_cells_no_expectation():
    assert expected_together(np.zeros((0, 3), dtype=bool), np.zeros(0)) == 0.0


def test_box_is_two_sds_to_each_side():
    x = np.array([[0.0, 0.0], [1.9, -1.9], [2.1, 0.0], [0.0, 4.1]])
    inside = inside_box(x, np.zeros(2), np.array([1.0, 2.0]))
    assert inside.tolist() == [[True, True], [True, True], [False, True], [True, False]]
