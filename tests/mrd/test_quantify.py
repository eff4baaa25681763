"""From calls to the MRD result: counts, statuses, flags."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.errors import QuantificationError
from cytomrd.mrd.clonality import CloneCalls
from cytomrd.mrd.hemodilution import HemodilutionResult
from cytomrd.mrd.quantify import quantify_mrd, therapy_warnings
from cytomrd.panel import MrdSpec, TherapySpec

SPEC = MrdSpec(therapies=(TherapySpec(therapy="anti-CD38", markers=("CD38",), warning="CD38 can vanish"),))


def calls(*counts, flags=()):
    """Calls of tubes with (normal, clonal, indeterminate) plasma cells."""
    labels = tuple(np.repeat([0, 1, -1], c) for c in counts)
    tubes = tuple(str(i + 1) for i in range(len(counts)))
    return CloneCalls(tubes, labels, (), "kappa" if any(c[1] for c in counts) else "", None, "test", flags)


def codes(result):
    return [flag.split(":")[0] for flag in result.flags]


def test_counts_and_fraction_are_sums_over_tubes():
    result = quantify_mrd(calls((500, 30, 2), (450, 28, 0)), {"1": 2_500_000, "2": 2_400_000}, SPEC, pull=1)
    assert (result.n_nucleated, result.n_plasma_cells, result.n_normal_pc, result.n_clonal_pc) == (
        4_900_000, 1010, 950, 58,
    )  # fmt: skip
    assert result.n_indeterminate_pc == 2
    assert result.mrd_fraction == 58 / 4_900_000
    assert result.ci_low < result.mrd_fraction < result.ci_high
    assert result.status == "POSITIVE"
    assert result.by_tube == {"1": (2_500_000, 532, 30), "2": (2_400_000, 478, 28)}
    assert codes(result) == ["INDETERMINATE"]


def test_negative_that_could_be_positive_says_so():
    result = quantify_mrd(calls((500, 5, 16)), {"1": 3_200_000}, SPEC, pull=1)
    assert result.status == "NEGATIVE"
    assert "INDETERMINATE_COULD_BE_POSITIVE" in codes(result)
    few = quantify_mrd(calls((500, 5, 14)), {"1": 3_200_000}, SPEC, pull=1)
    assert "INDETERMINATE_COULD_BE_POSITIVE" not in codes(few)


@pytest.mark.parametrize(
    ("first", "second", "flagged"), [((0, 30, 0), (0, 2, 0), True), ((0, 22, 0), (0, 12, 0), False)]
)
def test_discordant_tubes(first, second, flagged):
    result = quantify_mrd(calls(first, second), {"1": 2_000_000, "2": 2_000_000}, SPEC, pull=1)
    assert ("TUBES_DISCORDANT" in codes(result)) is flagged


def test_small_differences_of_large_clones_are_not_discordant():
    result = quantify_mrd(calls((0, 100_000, 0), (0, 104_000, 0)), {"1": 10**6, "2": 10**6}, SPEC, pull=1)
    assert "TUBES_DISCORDANT" not in codes(result)


def test_low_n_asks_for_more():
    result = quantify_mrd(calls((100, 0, 0)), {"1": 1_200_000}, SPEC, pull=1)
    assert result.status == "NOT_EVALUABLE"
    assert result.events_needed == 1_800_000
    assert any("1,800,000" in f for f in result.flags)


def test_hemodilution_takes_the_negative_away():
    diluted = HemodilutionResult("hemodiluted", ("mast cells low",))
    result = quantify_mrd(calls((100, 0, 0)), {"1": 4_000_000}, SPEC, hemodilution=diluted, pull=1)
    assert (result.status, result.hemodilution, result.below_1e_5) == ("NOT_EVALUABLE", "hemodiluted", None)
    assert codes(result) == ["HEMODILUTED"]
    possible = HemodilutionResult("possible", ("mast cells low",))
    result = quantify_mrd(calls((100, 0, 0)), {"1": 4_000_000}, SPEC, hemodilution=possible, pull=1)
    assert (result.status, codes(result)) == ("NEGATIVE", ["HEMODILUTION_POSSIBLE"])


def test_an_absence_needs_cells_that_could_be_counted():
    doubts = ["tube 1: 91 % is debris"]
    negative = quantify_mrd(calls((500, 3, 0)), {"1": 4_000_000}, SPEC, pull=1, doubts=doubts)
    assert (negative.status, negative.below_1e_5) == ("NOT_EVALUABLE", None)
    positive = quantify_mrd(calls((500, 80, 0)), {"1": 4_000_000}, SPEC, pull=1, doubts=doubts)
    assert positive.status == "POSITIVE"
    for result in (negative, positive):
        assert codes(result) == ["DENOMINATOR_UNSURE"]
        assert "91 % is debris" in result.flags[0]


def test_limit_of_blank_moves_the_threshold():
    result = quantify_mrd(calls((100, 24, 0)), {"1": 4_000_000}, SPEC, lob_events=24, pull=1)
    assert (result.status, result.lob_events, result.threshold_events) == ("NEGATIVE", 24, 25)


def test_no_plasma_cells_and_no_cells():
    none = quantify_mrd(calls((0, 0, 0)), {"1": 4_000_000}, SPEC, pull=1)
    assert (none.status, codes(none)) == ("NEGATIVE", ["NO_PLASMA_CELLS"])
    empty = quantify_mrd(calls((0, 0, 0)), {"1": 0}, SPEC, pull=1)
    assert (empty.status, empty.mrd_fraction) == ("NOT_EVALUABLE", None)


def test_pull_and_therapy_are_flagged():
    result = quantify_mrd(calls((9, 0, 0)), {"1": 4_000_000}, SPEC, pull=2, prior_therapy=("Anti-CD38 ",))
    assert codes(result) == ["NOT_FIRST_PULL", "THERAPY"]
    assert therapy_warnings(SPEC, ("anti-BCMA",)) == ()
    assert codes(quantify_mrd(calls((9, 0, 0)), {"1": 4_000_000}, SPEC)) == ["PULL_UNKNOWN"]


@pytest.mark.parametrize("nucleated", [{"1": 4_000_000}, {"1": 4_000_000, "3": 1}, {"1": 4_000_000, "2": 5}])
def test_tubes_and_counts_must_fit(nucleated):
    with pytest.raises(QuantificationError):
        quantify_mrd(calls((9, 0, 0), (9, 0, 0)), nucleated, SPEC)
