"""Statistics of MRD: intervals against published and shared values, limits, statuses."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cytomrd.errors import QuantificationError
from cytomrd.mrd.limits import (
    clopper_pearson,
    detection_probability,
    limit_of_blank,
    limit_of_detection,
    mrd_limits,
    poisson_limit_of_blank,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (0, 2_000_000, 0.0, 1.84e-6),
        (0, 3_000_000, 0.0, 1.23e-6),
        (0, 10_000_000, 0.0, 3.69e-7),
        (20, 2_000_000, 6.11e-6, 1.54e-5),
        (50, 5_000_000, 7.42e-6, 1.32e-5),
        (20, 10_000_000, 1.22e-6, 3.09e-6),
        (50, 10_000_000, 3.71e-6, 6.59e-6),
    ],
)
def test_interval_of_the_assay_s_counts(k, n, low, high):
    found = clopper_pearson(k, n)
    assert found[0] == pytest.approx(low, rel=5e-3)
    assert found[1] == pytest.approx(high, rel=5e-3)


def test_interval_matches_published_table(shared_data):
    with (shared_data / "clinical" / "statistics" / "clopper_pearson_expected.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 10
    for row in rows:
        k, n = int(row["k"]), int(row["n"])
        for confidence, tag in ((0.95, "95"), (0.90, "90")):
            low, high = clopper_pearson(k, n, confidence)
            assert low == pytest.approx(float(row[f"lcl{tag}"]), abs=1e-11)
            assert high == pytest.approx(float(row[f"ucl{tag}"]), abs=1e-11)


@given(st.integers(1, 10**7), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_interval_ends_are_where_the_binomial_tails_are_2_5_per_cent(n, share):
    k = round(n * share)
    low, high = clopper_pearson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    if k > 0:
        assert stats.binom.sf(k - 1, n, low) == pytest.approx(0.025, rel=1e-4)
    if k < n:
        assert stats.binom.cdf(k, n, high) == pytest.approx(0.025, rel=1e-4)


@pytest.mark.parametrize(("k", "n"), [(3, 2), (-1, 5), (0, 0), (1.5, 5), (True, 5)])
def test_counts_that_are_none_are_refused(k, n):
    with pytest.raises(QuantificationError):
        clopper_pearson(k, n)


@pytest.mark.parametrize(
    ("n", "probability"), [(1_000_000, 0.003), (2_000_000, 0.53), (3_000_000, 0.978), (5_000_000, 1.00)]
)
def test_detection_at_1e_5(n, probability):
    assert detection_probability(1e-5, n) == pytest.approx(probability, abs=0.004)


@pytest.mark.parametrize(("n", "probability"), [(5_000_000, 0.52), (10_000_000, 1.00)])
def test_measurement_at_1e_5(n, probability):
    assert detection_probability(1e-5, n, 50) == pytest.approx(probability, abs=0.005)


@pytest.mark.parametrize(
    ("mean", "lob", "lod"), [(0, 0, 3.0), (1, 3, 7.8), (2, 5, 10.5), (5, 9, 15.7), (8, 13, 20.7), (10, 15, 23.1)]
)
def test_poisson_blank(mean, lob, lod):
    assert poisson_limit_of_blank(mean) == lob
    assert limit_of_detection(lob) == pytest.approx(lod, abs=0.06)


@pytest.mark.parametrize(
    ("n", "k", "lob", "status", "below"),
    [
        (5_000_000, 50, 0, "POSITIVE", False),
        (10_000_000, 50, 0, "POSITIVE", True),
        (10_000_000, 20, 0, "POSITIVE_BELOW_LLOQ", True),
        (3_000_000, 49, 0, "POSITIVE_BELOW_LLOQ", False),
        (3_000_000, 19, 0, "NEGATIVE", True),
        (3_000_000, 0, 0, "NEGATIVE", True),
        (2_999_999, 19, 0, "NOT_EVALUABLE", None),
        (100_000, 20, 0, "POSITIVE_BELOW_LLOQ", None),
        (3_000_000, 25, 25, "NEGATIVE", True),
        (3_000_000, 26, 25, "POSITIVE_BELOW_LLOQ", True),
        (3_000_000, 60, 70, "NEGATIVE", False),
        (3_000_000, 71, 70, "POSITIVE", False),
        (0, 0, 0, "NOT_EVALUABLE", None),
    ],
)
def test_status(n, k, lob, status, below):
    found = mrd_limits(n, k, lob_events=lob)
    assert found.status == status
    assert found.below_1e_5 is below
    assert found.threshold_events == max(20, lob + 1)
    assert found.events_needed == max(0, 3_000_000 - n)


def test_hemodiluted_sample_is_no_proof_of_absence_but_stays_positive():
    diluted = mrd_limits(5_000_000, 3, quality_ok=False)
    assert (diluted.status, diluted.below_1e_5) == ("NOT_EVALUABLE", None)
    positive = mrd_limits(5_000_000, 500, quality_ok=False)
    assert (positive.status, positive.below_1e_5) == ("POSITIVE", False)


def test_limits_are_the_events_needed_over_n():
    found = mrd_limits(4_000_000, 7)
    assert (found.lod, found.lloq) == (20 / 4_000_000, 50 / 4_000_000)
    # A blank of 80 events hides what 20 or 50 would have shown.
    raised = mrd_limits(4_000_000, 7, lob_events=80)
    assert (raised.lod, raised.lloq) == (81 / 4_000_000, 81 / 4_000_000)


def test_an_empty_sample_has_no_fraction():
    found = mrd_limits(0, 0)
    assert (found.mrd_fraction, found.ci_low, found.lod, found.lloq) == (None, None, None, None)
    assert found.events_needed == 3_000_000


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_nucleated": 10, "n_clonal": 11},
        {"n_nucleated": 10, "n_clonal": 1, "lod_events": 50, "lloq_events": 20},
        {"n_nucleated": 10, "n_clonal": 1, "evaluable_nucleated": 1_000_000},
        {"n_nucleated": 10, "n_clonal": 1, "confidence": 95},
        {"n_nucleated": -1, "n_clonal": 0},
    ],
)
def test_contradictions_are_refused(arguments):
    n, k = arguments.pop("n_nucleated"), arguments.pop("n_clonal")
    with pytest.raises(QuantificationError):
        mrd_limits(n, k, **arguments)


def test_donors_that_differ_more_than_poisson_raise_the_blank():
    alike = limit_of_blank([2, 3, 2, 1, 2] * 5, [3_000_000] * 25)
    unlike = limit_of_blank([0, 0, 0, 0, 10] * 5, [3_000_000] * 25)
    assert alike.mean_rate == unlike.mean_rate
    assert alike.lob_events == alike.poisson_events == 5
    assert unlike.lob_events == 10
    assert unlike.empirical_events == 10
    assert unlike.parametric_events == int(np.ceil(2 + 1.645 * np.std([0, 0, 0, 0, 10] * 5, ddof=1)))


def test_blank_is_scaled_to_the_sample():
    donors = limit_of_blank([4] * 5, [2_000_000] * 5, at_nucleated=4_000_000)
    assert donors.poisson_events == poisson_limit_of_blank(8)
    assert donors.empirical_events is None
    assert donors.lod_events == limit_of_detection(donors.lob_events)


def test_the_limit_of_blank_has_an_upper_limit_that_falls_with_donors():
    # Nothing in 5 x 3e6 cells: at most 2.996 events in all of them with 95 % confidence, 0.6 in one sample.
    few = limit_of_blank([0] * 5, [3_000_000] * 5)
    assert (few.lob_events, few.high_events) == (0, poisson_limit_of_blank(0.599))
    assert limit_of_blank([0], [100_000], at_nucleated=3_000_000).high_events == poisson_limit_of_blank(89.9)
    # The tolerance factor of a normal 95th percentile, 5 values: 4.203 (ISO 16269-6, table D.4).
    counts = [0, 10, 20, 10, 10]
    factor = (limit_of_blank(counts, [3_000_000] * 5).high_events - 10) / np.std(counts, ddof=1)
    assert factor == pytest.approx(4.203, abs=0.15)
    many = limit_of_blank(counts * 12, [3_000_000] * 60)
    assert many.lob_events <= many.high_events < 30


def test_a_handful_of_donors_is_provisional():
    assert limit_of_blank([1] * 4, [3_000_000] * 4).provisional
    assert not limit_of_blank([1] * 5, [3_000_000] * 5).provisional


def test_blank_needs_donors():
    with pytest.raises(QuantificationError):
        limit_of_blank([], [])
    with pytest.raises(QuantificationError):
        limit_of_blank([1], [1, 2])
