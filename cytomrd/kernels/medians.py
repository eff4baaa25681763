"""Medians from integer counts: bins of a fixed share of an octave of |x| + 64, from -1.3e8 to 1.3e8.

Near zero the bins are half a unit wide and far out 0.8 % of the value, whatever
the instrument's range; a bin is read off the bits of the number, without a logarithm.
"""

from __future__ import annotations

import math

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["MEDIAN_BINS", "bin_edge", "count_codes", "count_medians", "median_of_counts", "octave_bins"]

OFFSET = 64.0
PER_OCTAVE = 128
OCTAVES = 21
HALF = PER_OCTAVE * OCTAVES
# Two halves, and one bin at each end for what lies beyond (and for NaN, at the upper end).
MEDIAN_BINS = 2 * HALF + 2
MANTISSA_SHIFT = 52 - 7
FIRST = int(np.float64(OFFSET).view(np.int64)) >> MANTISSA_SHIFT


@kernel
def octave_bins(x, bins):
    """Bins int32 (n,) of x float64 (n,): 0 and MEDIAN_BINS - 1 hold what lies beyond the range."""
    bits = (np.abs(x) + OFFSET).view(np.int64)
    for e in range(x.size):
        away = (bits[e] >> MANTISSA_SHIFT) - FIRST
        away = min(away, HALF)
        bins[e] = HALF - away if x[e] < 0.0 else HALF + 1 + away


@kernel
def count_codes(bins, codes, patterns, n_rows, n, counts):
    """Add events to counts int64 (n_rows + n_populations, n_bins): row ``code``, or past n_rows each population's row.

    bins int32 (n,); codes uint32 (n,); patterns uint64 (n_words, capacity): bit p % 64 of word p // 64 is population p.
    """
    for e in range(n):
        code = codes[e]
        if code < n_rows:
            counts[code, bins[e]] += 1
        else:
            for p in range(counts.shape[0] - n_rows):
                if (patterns[p // 64, code] >> np.uint64(p % 64)) & np.uint64(1):
                    counts[n_rows + p, bins[e]] += 1


@kernel
def count_medians(linear, sources, codes, patterns, n_rows, n, bins, counts):
    """`count_codes` for rows ``sources`` int64 (k,) of linear float64 (n_sources, >= n) into counts (k, ., n_bins)."""
    for j in range(sources.size):
        octave_bins(linear[sources[j], :n], bins)
        count_codes(bins, codes, patterns, n_rows, n, counts[j])


def bin_edge(edge: int) -> float:
    """Lower edge of bin ``edge`` (1..MEDIAN_BINS - 1): the value between bin edge - 1 and bin edge."""
    away = edge - (HALF + 1)
    octave, part = divmod(abs(away), PER_OCTAVE)
    size = OFFSET * 2.0**octave * (1.0 + part / PER_OCTAVE) - OFFSET
    return math.copysign(size, away) if away else 0.0


def median_of_counts(counts: np.ndarray) -> float:
    """Median of what int64 (MEDIAN_BINS,) counts describe; NaN where there is nothing or it lies beyond the range."""
    total = int(counts.sum())
    if total == 0:
        return math.nan
    reached = np.cumsum(counts)
    middle = total / 2.0
    found = int(np.searchsorted(reached, middle))
    if found in (0, MEDIAN_BINS - 1):
        return math.nan
    before = int(reached[found - 1])
    low, high = bin_edge(found), bin_edge(found + 1)
    return low + (high - low) * (middle - before) / int(counts[found])
