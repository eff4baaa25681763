"""Cuts: they lie between the populations, they carry an interval, and they stay silent without evidence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.gating.fit import count_events, find_valley, fit_cut, main_peak
from cytomrd.gating.fit.cuts import MAX_OVERLAP
from cytomrd.panel import CutSpec


def mixture(seed, *parts):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.normal(mean, sd, n) for mean, sd, n in parts])


def spec(**changes):
    return CutSpec(**{"name": "CD3", "marker": "CD3", "on": "cells", "bounds": (0.1, 0.9), **changes})


@settings(max_examples=40, deadline=None)
@given(
    negative=st.floats(0.12, 0.3),
    gap=st.floats(6.5, 12.0),
    sds=st.tuples(st.floats(0.02, 0.05), st.floats(0.02, 0.05)),
    log_share=st.floats(-2.0, 2.0),
    seed=st.integers(0, 2**16),
)
def test_valley_parts_two_populations(negative, gap, sds, log_share, seed):
    share = 1 / (1 + 10**log_share)
    positive = negative + gap * max(sds)
    n_positive = max(100, int(20_000 * share))
    n_negative = max(100, 20_000 - n_positive)
    values = mixture(seed, (negative, sds[0], n_negative), (positive, sds[1], n_positive))
    decision = fit_cut(spec(), count_events(values))
    assert decision.status == "fitted"
    assert decision.low <= decision.value <= decision.high
    truth = np.r_[np.zeros(n_negative, bool), np.ones(n_positive, bool)]
    called = values >= decision.value
    assert (called & truth).sum() >= 0.97 * n_positive
    assert (~called & ~truth).sum() >= 0.97 * n_negative


@pytest.mark.parametrize("n", [200, 2_000, 50_000])
def test_one_population_has_no_valley(n):
    false = 0
    for seed in range(40):
        values = mixture(seed, (0.4, 0.07, n))
        false += find_valley(count_events(values), (0.1, 0.9)) is not None
    assert false == 0


def test_skewed_and_flat_populations_have_no_valley():
    rng = np.random.default_rng(3)
    assert find_valley(count_events(0.1 + 0.1 * rng.gamma(2.0, 1.0, 30_000)), (0.1, 0.9)) is None
    assert find_valley(count_events(rng.uniform(0.1, 0.8, 30_000)), (0.15, 0.75)) is None


def test_rare_positives_are_seen_beyond_a_large_negative_peak():
    values = mixture(1, (0.2, 0.05, 300_000), (0.75, 0.04, 60))
    decision = fit_cut(spec(), count_events(values))
    assert decision.status == "fitted"
    assert 0.42 < decision.value < 0.68
    assert decision.n_smaller == pytest.approx(60, abs=12)


def test_interval_covers_the_valley_of_the_law():
    """The density's minimum of an even mixture lies half-way; the 95 % interval should hold it nearly always."""
    inside = 0
    for seed in range(30):
        values = mixture(seed, (0.3, 0.05, 3000), (0.6, 0.05, 3000))
        decision = fit_cut(spec(), count_events(values))
        inside += decision.low <= 0.45 <= decision.high
    assert inside >= 25


def test_main_peak_ignores_the_tail_that_is_judged():
    clean = main_peak(count_events(mixture(0, (0.3, 0.05, 20_000))))
    spoilt = main_peak(count_events(mixture(0, (0.3, 0.05, 20_000), (0.45, 0.1, 6_000))))
    assert clean.position == pytest.approx(0.3, abs=0.01)
    assert clean.sd == pytest.approx(0.05, rel=0.15)
    assert spoilt.sd == pytest.approx(0.05, rel=0.3)


def test_tail_is_a_fallback_that_says_so():
    decision = fit_cut(spec(width=4.0), count_events(mixture(0, (0.3, 0.05, 20_000))))
    assert decision.status == "fallback"
    assert decision.method == "tail"
    assert decision.value == pytest.approx(0.5, abs=0.04)
    assert "no valley" in decision.reason


def test_tail_below_the_main_peak():
    decision = fit_cut(spec(method="tail", side="lower", width=3.0), count_events(mixture(0, (0.7, 0.05, 9_000))))
    assert decision.value == pytest.approx(0.55, abs=0.04)


def test_positive_main_peak_does_not_put_the_cut_on_its_far_side():
    """Nearly all events positive: the cut belongs below the peak, not above it."""
    values = mixture(0, (0.75, 0.04, 20_000))
    decision = fit_cut(spec(bounds=(0.3, 0.65)), count_events(values))
    assert decision.status == "fallback"
    assert decision.value < 0.66
    assert (values >= decision.value).mean() > 0.95


def test_no_call_when_the_tail_would_be_far_outside_the_bounds():
    decision = fit_cut(spec(bounds=(0.85, 0.9)), count_events(mixture(0, (0.2, 0.03, 5_000))))
    assert decision.status == "no_call"
    assert decision.value is None
    assert "outside" in decision.reason


@pytest.mark.parametrize("values", [[], [0.3], [0.3] * 40, [np.nan] * 200, [np.inf] * 200])
def test_too_few_events_are_no_evidence(values):
    decision = fit_cut(spec(), count_events(np.array(values, dtype=float)))
    assert decision.status == "no_call"
    assert "50 needed" in decision.reason


def test_all_events_equal_or_zero_do_not_crash():
    for value in (0.0, 0.4):
        decision = fit_cut(spec(), count_events(np.full(5_000, value)))
        assert decision.status in ("fallback", "no_call")
        assert decision.value is None or decision.value > value


def test_fixed_and_its_fallback():
    assert fit_cut(spec(method="fixed", value=0.4), count_events(np.array([]))).value == 0.4
    decision = fit_cut(spec(fallback="fixed", value=0.4), count_events(mixture(0, (0.3, 0.05, 900))))
    assert (decision.status, decision.value, decision.method) == ("fallback", 0.4, "fixed")


def test_quantile_and_none():
    values = mixture(0, (0.3, 0.05, 50_000))
    decision = fit_cut(spec(method="quantile", quantile=0.99), count_events(values))
    assert decision.value == pytest.approx(np.quantile(values, 0.99), abs=0.003)
    assert fit_cut(spec(fallback="none"), count_events(values)).status == "no_call"


def test_control_cut_without_control_goes_to_its_fallback():
    decision = fit_cut(spec(method="control"), count_events(mixture(0, (0.3, 0.05, 5_000))))
    assert (decision.status, decision.method) == ("fallback", "tail")
    assert "no control" in decision.reason


def test_same_seed_same_cut_and_the_interval_depends_on_the_seed_only():
    counts = count_events(mixture(0, (0.3, 0.05, 3000), (0.6, 0.05, 500)))
    first, second, other = (fit_cut(spec(), counts, random_state=s) for s in (1, 1, 2))
    assert first == second
    assert other.value == first.value


def test_a_valley_above_shows_that_nearly_all_events_are_positive():
    """99 % NK cells: the tail of their own CD56 peak would be the wrong side; the parent's valley knows better."""
    positives = count_events(mixture(0, (0.62, 0.05, 9_900), (0.25, 0.04, 3)))
    parent = count_events(mixture(1, (0.62, 0.05, 9_900), (0.25, 0.04, 20_000)))
    decision = fit_cut(spec(bounds=(0.3, 0.7)), positives, ancestors=[("cells", parent)])
    assert (decision.status, decision.method) == ("fallback", "valley")
    assert 0.35 < decision.value < 0.5
    assert "'cells'" in decision.reason


def test_a_valley_above_that_would_split_the_peak_is_no_call():
    between = count_events(mixture(0, (0.46, 0.05, 9_900)))
    parent = count_events(mixture(1, (0.62, 0.05, 9_900), (0.25, 0.04, 20_000)))
    decision = fit_cut(spec(bounds=(0.3, 0.7)), between, ancestors=[("cells", parent)])
    assert decision.status == "no_call"
    assert "split" in decision.reason


def test_a_valley_above_on_the_expected_side_changes_nothing():
    negatives = count_events(mixture(0, (0.25, 0.04, 9_900)))
    parent = count_events(mixture(1, (0.62, 0.05, 9_900), (0.25, 0.04, 20_000)))
    alone = fit_cut(spec(bounds=(0.3, 0.7)), negatives)
    assert fit_cut(spec(bounds=(0.3, 0.7)), negatives, ancestors=[("cells", parent)]) == alone


def test_a_wide_valley_just_beyond_the_bounds_is_held_at_them():
    counts = count_events(mixture(0, (0.2, 0.04, 9_000), (0.7, 0.04, 4_000)))
    decision = fit_cut(spec(bounds=(0.49, 0.6)), counts)
    assert (decision.status, decision.method, decision.value) == ("fitted", "valley", 0.49)
    assert "held at the panel's bound" in decision.reason
    assert fit_cut(spec(bounds=(0.6, 0.75)), counts).method == "tail"


def test_a_narrow_dent_far_out_does_not_win_over_the_broad_valley():
    """Narrow smoothing makes any dent deep: the valley between the two large populations is the one."""
    rng = np.random.default_rng(4)
    values = np.r_[rng.normal(0.27, 0.05, 15_700), rng.normal(0.55, 0.05, 2_700), rng.normal(0.74, 0.03, 140)]
    decision = fit_cut(CutSpec(name="CD56", marker="CD56", on="cells", bounds=(0.3, 0.75)), count_events(values))
    assert decision.status == "fitted"
    assert 0.36 < decision.value < 0.47


def test_two_broad_populations_part_where_they_meet_and_not_at_a_far_tail():
    rng = np.random.default_rng(5)
    values = np.r_[rng.normal(0.28, 0.1, 34_000), rng.normal(0.595, 0.08, 6_300)]
    spec = CutSpec(name="CD19", marker="CD19", on="cells", bounds=(0.3, 0.75), fallback="tail")
    decision = fit_cut(spec, count_events(values))
    assert decision.status == "fallback"
    assert "shallow" in decision.reason
    assert 0.45 < decision.value < 0.56


def test_one_broad_population_has_no_shallow_valley():
    for seed in range(20):
        values = np.random.default_rng(seed).normal(0.3, 0.1, 40_000)
        spec = CutSpec(name="CD19", marker="CD19", on="cells", bounds=(0.3, 0.75), fallback="tail")
        assert "shallow" not in fit_cut(spec, count_events(values)).reason


def test_a_valley_beyond_the_bounds_is_taken_only_where_it_is_clear():
    rng = np.random.default_rng(6)
    values = np.r_[rng.normal(0.55, 0.035, 20_000), rng.normal(0.67, 0.035, 20_000)]
    spec = CutSpec(name="CD45", marker="CD45", on="viable", bounds=(0.2, 0.6), fallback="fixed", value=0.4)
    assert fit_cut(spec, count_events(values)).value == 0.4


def test_a_second_population_without_a_valley_is_not_cut_away_by_the_tail():
    rng = np.random.default_rng(8)
    values = np.r_[rng.normal(0.27, 0.11, 40_000), rng.normal(0.55, 0.07, 4_000)]
    spec = CutSpec(name="CD19", marker="CD19", on="cells", bounds=(0.3, 0.75), fallback="mixture")
    decision = fit_cut(spec, count_events(values))
    assert (decision.status, decision.method) == ("fallback", "mixture")
    assert decision.low <= decision.value <= decision.high
    assert 0.45 < decision.value < 0.57


@pytest.mark.parametrize("skew", [-0.15, 0.0, 0.15, 0.3])
def test_one_population_however_skewed_is_not_taken_for_two(skew):
    z = np.random.default_rng(9).standard_normal(40_000)
    values = 0.3 + 0.09 * (z + 0.5 * skew * (z * z - 1))
    spec = CutSpec(name="CD19", marker="CD19", on="cells", bounds=(0.3, 0.75), fallback="mixture")
    assert fit_cut(spec, count_events(values)).method == "tail"


def test_where_the_negatives_show_that_all_are_positive_the_cut_is_their_tail():
    """Plasma cells alone, as CD38 has picked them: a tail beyond their own peak lost every one of them."""
    marrow = count_events(mixture(0, (0.22, 0.045, 100_000), (0.5, 0.08, 60)))
    plasma = count_events(mixture(1, (0.55, 0.06, 500)))
    ancestors = (("singlets", marrow), ("nucleated", marrow))
    cut = spec(on="bright", bounds=(0.40, 0.66), width=5.0, value=0.55)
    assert fit_cut(cut, plasma, ancestors=ancestors).value >= 0.55
    decision = fit_cut(cut.model_copy(update={"negatives": "nucleated"}), plasma, ancestors=ancestors)
    assert decision.value == pytest.approx(0.22 + 5 * 0.045, abs=0.02)
    assert "is positive" in decision.reason
    negative = count_events(mixture(2, (0.25, 0.05, 500)))
    below = fit_cut(cut.model_copy(update={"negatives": "nucleated"}), negative, ancestors=ancestors)
    assert below.value == pytest.approx(0.25 + 5 * 0.05, abs=0.06)


def test_a_tail_is_not_held_far_nearer_to_its_peak_than_it_was_measured():
    """A broad peak whose tail ends beyond the bounds says nothing about the bound."""
    broad = count_events(mixture(3, (0.34, 0.15, 30_000)))
    cut = spec(bounds=(0.3, 0.75), value=0.48)
    assert (decision := fit_cut(cut, broad)).value == 0.48
    assert "outside" in decision.reason
    saturated = count_events(mixture(4, (0.99, 0.002, 500)))
    lower = spec(bounds=(0.4, 0.85), side="lower", width=2.5, value=0.5)
    assert fit_cut(lower, saturated).value == 0.85


def test_the_tail_of_one_kind_of_cell_is_measured_from_it_wherever_it_lies():
    values = mixture(6, (0.76, 0.02, 5_000))
    above = [("leukocytes", count_events(mixture(7, (0.66, 0.02, 20_000), (0.77, 0.02, 5_000))))]
    asked = spec(method="tail", width=3.5, bounds=(0.70, 0.88), fallback="fixed", value=0.8)
    split = fit_cut(asked, count_events(values), ancestors=above)
    assert 0.70 <= split.value < 0.76
    kept = fit_cut(asked.model_copy(update={"one_kind": True}), count_events(values), ancestors=above)
    assert kept.status == "fitted"
    assert kept.value == pytest.approx(0.83, abs=0.01)


@pytest.mark.parametrize(("apart", "told"), [(0.30, False), (0.20, True)])
def test_a_valley_says_how_far_its_populations_overlap(apart, told):
    rng = np.random.default_rng(4)
    values = np.r_[rng.normal(0.25, 0.05, 20_000), rng.normal(0.25 + apart, 0.05, 3_000)]
    decision = fit_cut(CutSpec(name="CD19", marker="CD19", on="cells", bounds=(0.30, 0.75)), count_events(values))
    assert decision.status == "fitted"
    wrong = max((values[:20_000] >= decision.value).sum(), (values[20_000:] < decision.value).sum()) / 3_000
    assert (wrong > 0.05) == told
    assert (decision.overlap > MAX_OVERLAP) == told
    assert ("the two populations overlap: about" in decision.reason) == told


def test_a_valley_beyond_most_of_a_second_population_says_so():
    """A shoulder of many cells below, a few bright ones above: the valley between them parts the wrong two."""
    rng = np.random.default_rng(5)
    values = np.r_[rng.normal(0.25, 0.05, 30_000), rng.normal(0.42, 0.05, 2_000), rng.normal(0.68, 0.02, 200)]
    spec = CutSpec(name="CD56", marker="CD56", on="cells", bounds=(0.50, 0.75))
    decision = fit_cut(spec, count_events(values))
    assert decision.method == "valley"
    assert decision.overlap > 0.8
    assert "more of a second population lies below it than above" in decision.reason
