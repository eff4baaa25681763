"""Integer histograms of a block's events; what lies beyond the limits counts in the edge bins."""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["bin_of", "count_1d", "count_2d", "count_by_code", "count_histograms"]


@kernel
def bin_of(value, low, per_unit, n_bins):
    """Bin 0..n_bins-1 of a value; the last one holds all above, the first all below and NaN."""
    place = (value - low) * per_unit
    if place >= n_bins:
        return n_bins - 1
    if place >= 1.0:
        return int(place)
    return 0


@kernel
def count_1d(x, member, low, per_unit, n, counts):
    """Add the members (uint8 (n,)) of x float64 (n,) to counts int64 (n_bins,)."""
    for e in range(n):
        if member[e]:
            counts[bin_of(x[e], low, per_unit, counts.size)] += 1


@kernel
def count_2d(x, y, member, x_low, x_per_unit, y_low, y_per_unit, n, counts):
    """Add the members (uint8 (n,)) of (x, y) float64 (n,) to counts int64 (bins_x, bins_y)."""
    for e in range(n):
        if member[e]:
            i = bin_of(x[e], x_low, x_per_unit, counts.shape[0])
            j = bin_of(y[e], y_low, y_per_unit, counts.shape[1])
            counts[i, j] += 1


@kernel
def count_by_code(x, codes, low, per_unit, n, counts):
    """Add x float64 (n,) to the row of its code: counts uint32 (n_codes, n_bins), codes uint32 (n,)."""
    for e in range(n):
        counts[codes[e], bin_of(x[e], low, per_unit, counts.shape[1])] += 1


@kernel
def count_histograms(scaled, members, finite, requests, scales, n, counts):
    """Add a block to several histograms, which lie one behind the other in counts int64.

    scaled float64 (n_columns, >= n); members uint8 (n_populations, >= n); finite uint8 (>= n,). A row of requests int64
    (n_requests, 5) is population (-1: all finite events), x column, y column (-1: none), bins, first place in counts;
    a row of scales float64 (n_requests, 4) is x low, bins per unit of x, and the same of y.
    """
    for r in range(requests.shape[0]):
        population, x, y = requests[r, 0], requests[r, 1], requests[r, 2]
        bins, first = requests[r, 3], requests[r, 4]
        member = finite if population < 0 else members[np.uint64(population)]
        if y < 0:
            count_1d(scaled[x], member, scales[r, 0], scales[r, 1], n, counts[first : first + bins])
        else:
            counts_2d = counts[first : first + bins * bins].reshape((bins, bins))
            count_2d(scaled[x], scaled[y], member, scales[r, 0], scales[r, 1], scales[r, 2], scales[r, 3], n, counts_2d)
