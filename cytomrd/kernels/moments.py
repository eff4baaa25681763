"""Count, sums and sums of products of a block's members: what means and covariances are worked out from."""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["add_moments", "mean_and_covariance"]


@kernel
def add_moments(columns, member, centre, n, sums, products):
    """Add members (uint8 (n,)) of columns float64 (n_dims, >= n) to sums (n_dims,), products (n_dims, n_dims).

    Both are of the distances from centre float64 (n_dims,), which should be near the mean: then little cancels. One
    event after the other, so that nothing depends on the machine. Returns how many members there are.
    """
    n_dims = centre.size
    apart = np.empty(n_dims)
    n_members = np.int64(0)
    for e in range(n):
        if member[e]:
            n_members += 1
            for i in range(n_dims):
                apart[i] = columns[i, e] - centre[i]
                sums[i] += apart[i]
                for j in range(i + 1):
                    products[i, j] += apart[i] * apart[j]
    for i in range(n_dims):
        for j in range(i):
            products[j, i] = products[i, j]
    return n_members


def mean_and_covariance(
    n_members: int, centre: np.ndarray, sums: np.ndarray, products: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (n_dims,) and covariance (n_dims, n_dims), by n - 1, of what `add_moments` added up; at least 2 members."""
    covariance = (products - np.outer(sums, sums) / n_members) / (n_members - 1)
    return centre + sums / n_members, covariance
