"""Pattern codes, histograms and medians against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.kernels import histograms, medians, patterns


def codes_of(members: np.ndarray, capacity: int, *, plain: bool = False):
    """Run the pattern kernels as the collector does, without growing."""
    assign = patterns.assign_codes.py_func if plain else patterns.assign_codes
    n_populations, n = members.shape
    words = np.empty((max(1, -(-n_populations // 64)), n), dtype=np.uint64)
    patterns.pack_members(members, n, words)
    bits = np.zeros((words.shape[0], capacity), dtype=np.uint64)
    slots = np.full(4 * capacity, -1, dtype=np.int64)
    counts = np.zeros(capacity, dtype=np.int64)
    codes = np.zeros(n, dtype=np.uint32)
    found, done = assign(words, 0, n, bits, slots, 0, counts, codes)
    return words, bits, counts, codes, found, done


@pytest.mark.parametrize("n_populations", [1, 5, 64, 65, 150])
def test_equal_codes_mean_equal_members(n_populations):
    rng = np.random.default_rng(n_populations)
    kinds = rng.integers(0, 2, (40, n_populations)).astype(np.uint8)
    members = kinds[rng.integers(0, 40, 500)].T.copy()
    words, bits, counts, codes, found, done = codes_of(members, 64)
    assert done == 500
    assert found == len(np.unique(members.T, axis=0))
    assert (bits[:, codes] == words).all()
    assert counts[:found].tolist() == np.bincount(codes).tolist()
    p = n_populations - 1
    assert ((bits[p // 64, codes] >> np.uint64(p % 64)) & np.uint64(1)).tolist() == members[p].tolist()


def test_codes_stop_when_the_table_is_full():
    members = np.array([[0, 1, 0, 1, 0], [0, 0, 1, 1, 0]], dtype=np.uint8)
    *_, codes, found, done = codes_of(members, 2)
    assert (found, done) == (2, 2)
    assert codes.tolist()[:2] == [0, 1]
    with np.errstate(over="ignore"):
        *_, codes, found, done = codes_of(members, 4, plain=True)
    assert (found, done) == (4, 5)
    assert codes.tolist() == [0, 1, 2, 3, 0]


@given(st.lists(st.integers(-128, 128), min_size=1, max_size=30))
@settings(max_examples=50, deadline=None)
def test_histogram_equals_numpys_with_the_rest_in_the_edge_bins(sixty_fourths):
    x = np.array([*(v / 64 for v in sixty_fourths), 5.0, -5.0, np.nan, np.inf, -np.inf])
    counts = np.zeros(8, dtype=np.int64)
    histograms.count_1d(x, np.ones(len(x), dtype=np.uint8), -1.0, 4.0, len(x), counts)
    clipped = np.clip(np.nan_to_num(x, nan=-9.0), -1.0, 1.0)
    assert counts.tolist() == np.histogram(clipped, bins=8, range=(-1, 1))[0].tolist()
    square = np.zeros((8, 4), dtype=np.int64)
    histograms.count_2d(x, x, np.ones(len(x), dtype=np.uint8), -1.0, 4.0, -1.0, 2.0, len(x), square)
    assert square.sum(axis=1).tolist() == counts.tolist()
    assert square.sum(axis=0).tolist() == counts.reshape(4, 2).sum(axis=1).tolist()


def test_histogram_counts_members_alone():
    counts = np.zeros(2, dtype=np.int64)
    histograms.count_1d(np.array([0.1, 0.9, 0.9]), np.array([1, 0, 1], dtype=np.uint8), 0.0, 2.0, 3, counts)
    assert counts.tolist() == [1, 1]


@given(st.lists(st.floats(-1.2e8, 1.2e8), min_size=1, max_size=60))
@settings(max_examples=80, deadline=None)
def test_median_within_its_stated_error(values):
    x = np.array(values)
    bins = np.empty(len(x), dtype=np.int32)
    medians.octave_bins(x, bins)
    counts = np.bincount(bins, minlength=medians.MEDIAN_BINS)
    ordered = np.sort(x)
    low, high = ordered[(len(x) - 1) // 2], ordered[len(x) // 2]
    found = medians.median_of_counts(counts)
    room = 0.008 * (max(abs(low), abs(high)) + 64)
    assert low - room <= found <= high + room


@pytest.mark.parametrize("x", [-1e9, -1e4, -64.0, -1e-9, 0.0, 1e-9, 64.0, 1e4, 1.3e8, 1e9, np.nan])
def test_every_number_lies_between_the_edges_of_its_bin(x):
    bins = np.empty(1, dtype=np.int32)
    medians.octave_bins(np.array([x]), bins)
    found = int(bins[0])
    if 0 < found < medians.MEDIAN_BINS - 1:
        assert medians.bin_edge(found) <= x + 1e-12
        assert x < medians.bin_edge(found + 1) + 1e-12
    else:
        assert np.isnan(x) or abs(x) > 1.3e8
        counts = np.zeros(medians.MEDIAN_BINS, dtype=np.int64)
        counts[found] = 3
        assert np.isnan(medians.median_of_counts(counts))


def test_median_of_nothing_is_not_a_number():
    assert np.isnan(medians.median_of_counts(np.zeros(medians.MEDIAN_BINS, dtype=np.int64)))


@pytest.mark.parametrize("plain", [False, True])
def test_codes_beyond_the_rows_count_in_each_of_their_populations(plain):
    bits = np.array([[0b01, 0b11, 0b10]], dtype=np.uint64)
    counts = np.zeros((1 + 2, 4), dtype=np.int64)
    run = medians.count_codes.py_func if plain else medians.count_codes
    run(np.array([0, 1, 2, 2], dtype=np.int32), np.array([0, 1, 1, 2], dtype=np.uint32), bits, 1, 4, counts)
    assert counts.tolist() == [[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 2, 0]]
