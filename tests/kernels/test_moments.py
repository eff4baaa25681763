"""Moments of members against exact fractions."""

from __future__ import annotations

import naive_gates
import numpy as np
import pytest

from cytomrd.kernels.moments import add_moments, mean_and_covariance


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("n_dims", [1, 2, 3])
def test_blocks_add_up_to_the_exact_mean_and_covariance(plain, n_dims):
    rng = np.random.default_rng(n_dims)
    # Far from zero and close together, where plain sums of squares lose their digits.
    columns = 1e6 + rng.normal(size=(n_dims, n_dims)) @ rng.normal(size=(n_dims, 300))
    member = (rng.random(300) < 0.4).astype(np.uint8)
    centre, sums, products = columns[:, 0] + 0.5, np.zeros(n_dims), np.zeros((n_dims, n_dims))
    run = add_moments.py_func if plain else add_moments
    n_members = 0
    for first in range(0, 300, 128):
        block = np.ascontiguousarray(columns[:, first : first + 128])
        n_members += run(block, member[first : first + 128], centre, block.shape[1], sums, products)
    assert n_members == member.sum()
    mean, covariance = mean_and_covariance(n_members, centre, sums, products)
    exact_mean, exact = naive_gates.mean_and_covariance(columns[:, member == 1].T)
    np.testing.assert_allclose(mean, exact_mean, rtol=1e-15)
    np.testing.assert_allclose(covariance, exact, rtol=1e-12, atol=1e-12)


def test_no_member_adds_nothing():
    sums, products = np.zeros(2), np.zeros((2, 2))
    member = np.zeros(4, dtype=np.uint8)
    assert add_moments(np.full((2, 4), np.nan), member, np.zeros(2), 4, sums, products) == 0
    assert not sums.any()
    assert not products.any()
