"""Spill that is left is found with its sign, and only where the cells can tell."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.preprocess.leftover_spill import leftover_spill

TOPS = np.full(4, 262_144.0)


def cells(seed: int, spill: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four kinds of cells in four colours, a colour each bright on one or two of them; what is left is ``spill``."""
    rng = np.random.default_rng(seed)
    n = 12_000
    true = np.zeros((n, 4))
    kind = rng.integers(0, 4, n)
    for i in range(4):
        true[kind == i, i] = rng.lognormal(np.log(20_000), 0.4, (kind == i).sum())
    both = (kind == 0) & (rng.random(n) < 0.7)  # most of the first kind carry the second colour too
    true[both, 1] = rng.lognormal(np.log(15_000), 0.4, both.sum())
    autofluorescence = np.where(kind == 3, 120.0, 40.0)[:, None]
    seen = true + true @ spill + autofluorescence + rng.normal(0, 90, (n, 4)) * np.sqrt(1 + true / 2_000)
    scatter = np.stack([60_000 + 20_000 * kind, 30_000 + 9_000 * kind], axis=1) + rng.normal(0, 9_000, (n, 2))
    return seen, scatter


def test_spill_is_found_with_its_sign():
    spill = np.zeros((4, 4))
    spill[2, 3], spill[3, 0], spill[1, 2] = 0.02, -0.03, 0.012
    errors = []
    for seed in range(6):
        found = leftover_spill(*cells(seed, spill), TOPS)
        told = np.isfinite(found)
        assert told[2, 3] and told[3, 0] and told[1, 2]
        errors.append(np.abs(found - spill)[told].max())
    assert max(errors) < 0.01, "from 1 % on the report asks for a look"


def test_compensation_that_left_nothing_reads_as_nothing():
    for seed in range(6):
        found = leftover_spill(*cells(seed, np.zeros((4, 4))), TOPS)
        assert np.nanmax(np.abs(found)) < 0.008


def test_cells_that_carry_both_colours_are_not_taken_for_spill():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 60, (4_000, 2))
    values[:1_500] += [20_000, 9_000]
    found = leftover_spill(values, np.ones((4_000, 2)), TOPS[:2])
    assert np.isnan(found[0, 1])


@pytest.mark.parametrize("n", [0, 1, 150, 5_000])
def test_dim_or_few_cells_tell_nothing(n):
    values = np.random.default_rng(2).normal(0, 60, (n, 3))
    found = leftover_spill(values, np.ones((n, 2)), TOPS[:3])
    assert np.array_equal(np.isnan(found), ~np.eye(3, dtype=bool))
