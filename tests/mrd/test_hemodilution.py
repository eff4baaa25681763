"""Hemodilution: marrow-only cells against their ranges."""

from __future__ import annotations

import pytest

from cytomrd.errors import QuantificationError
from cytomrd.mrd.hemodilution import assess_hemodilution
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.panel import HemodilutionSpec

REFERENCES = (
    HemodilutionSpec(population="mast_cells", expected_range=(2e-5, 0.01)),
    HemodilutionSpec(population="nucleated_red_cells", expected_range=(0.005, 0.4)),
    HemodilutionSpec(population="b_precursors", expected_range=(5e-4, 0.1)),
)
N = 3_000_000


def verdict(mast, red, precursors, **options):
    counts = {"mast_cells": mast, "nucleated_red_cells": red, "b_precursors": precursors}
    return assess_hemodilution(counts, N, REFERENCES, **options).verdict


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((300, 60_000, 15_000), "not_suspected"),
        ((2, 500, 20), "hemodiluted"),
        ((300, 500, 15_000), "possible"),
        ((300, 60_000, 20), "possible"),
        ((55, 15_100, 15_000), "not_suspected"),
    ],
)
def test_verdict(counts, expected):
    assert verdict(*counts) == expected


def test_lost_precursors_do_not_count_after_therapy():
    assert verdict(300, 60_000, 20, prior_therapy=("anti-BCMA",)) == "not_suspected"
    # Nor do precursors that came back save a diluted sample.
    assert verdict(2, 500, 15_000, prior_therapy=("anti-BCMA",)) == "hemodiluted"


def test_each_measured_population_is_kept_with_its_interval_and_reading():
    counts = {"mast_cells": 2, "b_precursors": 20}
    mast, precursors = assess_hemodilution(counts, N, REFERENCES, prior_therapy=("anti-BCMA",)).compared
    assert (mast.population, mast.n_events, mast.n_nucleated, mast.expected) == ("mast_cells", 2, N, (2e-5, 0.01))
    assert (mast.low, mast.high) == clopper_pearson(2, N)
    assert (mast.reading, precursors.reading) == ("low", "low, not counted")


def test_precursors_alone_never_decide():
    found = assess_hemodilution({"b_precursors": 0}, N, REFERENCES)
    assert found.verdict == "possible"
    assert found.quality_ok


def test_small_sample_cannot_tell():
    found = assess_hemodilution({"mast_cells": 0}, 10_000, REFERENCES[:1])
    assert found.verdict == "not_assessed"
    assert "cannot be told" in found.evidence[0]


def test_nothing_measured():
    found = assess_hemodilution({}, N, REFERENCES)
    assert found.verdict == "not_assessed"
    assert len(found.evidence) == 3


def test_more_cells_than_nucleated_is_refused():
    with pytest.raises(QuantificationError):
        assess_hemodilution({"mast_cells": 5}, 4, REFERENCES)
