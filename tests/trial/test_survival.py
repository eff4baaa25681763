"""Kaplan-Meier against R's survival, an oracle in exact fractions, and lifelines where it agrees."""

from __future__ import annotations

import csv
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_survival import greenwood_variance, quantile, survival_after

from cytomrd.errors import QuantificationError
from cytomrd.trial.survival import kaplan_meier

CURVES = ("log-log", "log", "plain")
subjects = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=14)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def r_data(shared_data):
    """Times and events by data set."""
    found = rows(shared_data / "clinical" / "survival" / "datasets.csv")
    return {
        name: [(float(r["time"]), r["status"] == "1") for r in group]
        for name, group in groupby(found, key=lambda r: r["dataset"])
    }


def test_curves_are_rs(r_data, shared_data):
    expected = rows(shared_data / "clinical" / "survival" / "curve_expected.csv")
    compared = 0
    for (name, interval), group in groupby(expected, key=lambda r: (r["dataset"], r["conf"])):
        group = list(group)
        curve = kaplan_meier(*zip(*r_data[name], strict=True), interval=interval)
        assert curve.times == tuple(float(r["time"]) for r in group)
        assert curve.n_at_risk == tuple(int(r["nrisk"]) for r in group)
        assert curve.n_events == tuple(int(r["nevent"]) for r in group)
        for row, s, se, low, high in zip(group, curve.survival, curve.se, curve.low, curve.high, strict=True):
            assert s == pytest.approx(float(row["surv"]), abs=1e-12)
            for ours, theirs in ((se, row["se"]), (low, row["lcl"]), (high, row["ucl"])):
                if theirs.strip() in ("NA", "NaN"):
                    assert ours is None
                else:
                    assert ours == pytest.approx(float(theirs), abs=1e-12)
                compared += 1
    assert compared > 400


def test_quantiles_and_limits_are_rs(r_data, shared_data):
    expected = rows(shared_data / "clinical" / "survival" / "quantiles_expected.csv")
    for row in expected:
        times, events = zip(*r_data[row["dataset"]], strict=True)
        share = 0.5
        if row["stat"].startswith("reverseKM"):  # time under observation: censoring is the event
            events = [not d for d in events]
        else:
            share = int(row["stat"][1:]) / 100
        found = kaplan_meier(times, events, interval=row["conf"]).quantile(share)
        for ours, theirs in ((found.time, row["est"]), (found.low, row["lcl"]), (found.high, row["ucl"])):
            assert ours == (None if theirs.strip() == "NA" else float(theirs)), row
    assert len(expected) == 60


@given(subjects)
@settings(max_examples=150, deadline=None)
def test_curve_and_quantiles_equal_exact_fractions(data):
    times, events = [t for t, _ in data], [d for _, d in data]
    curve = kaplan_meier(times, events)
    assert curve.times == tuple(sorted({t for t, d in data if d}))
    for t, s, se in zip(curve.times, curve.survival, curve.se, strict=True):
        assert s == pytest.approx(float(survival_after(times, events, t)), abs=1e-13)
        if se is not None:
            assert se**2 == pytest.approx(float(greenwood_variance(times, events, t)), abs=1e-13)
        assert (se is None) == (survival_after(times, events, t) == 0)
    for share in (0.25, 0.5, 0.75):
        assert curve.quantile(share).time == quantile(times, events, share)


@given(subjects, st.randoms())
@settings(max_examples=60, deadline=None)
def test_curve_does_not_depend_on_the_order_of_subjects(data, random):
    shuffled = random.sample(data, len(data))
    assert kaplan_meier(*_columns(data)) == kaplan_meier(*_columns(shuffled))


@given(subjects, st.sampled_from(CURVES), st.sampled_from([0.8, 0.95]))
@settings(max_examples=80, deadline=None)
def test_limits_enclose_the_curve(data, interval, confidence):
    curve = kaplan_meier(*_columns(data), interval=interval, confidence=confidence)
    for s, low, high in zip(curve.survival, curve.low, curve.high, strict=True):
        assert (low is None) == (high is None) == (s == 0)
        assert low is None or 0 <= low <= s <= high <= 1


def _columns(data):
    return [t for t, _ in data], [d for _, d in data]


@given(subjects.filter(lambda data: any(d for _, d in data)))
@settings(max_examples=40, deadline=None)
def test_lifelines_agrees_where_survival_is_neither_flat_at_a_half_nor_zero(data):
    lifelines = pytest.importorskip("lifelines")
    times, events = _columns(data)
    curve = kaplan_meier(times, events)
    fit = lifelines.KaplanMeierFitter().fit(times, events)
    for t, s in zip(curve.times, curve.survival, strict=True):
        assert s == pytest.approx(fit.survival_function_at_times(t).iloc[0], abs=1e-12)
        if s > 0:
            low, high = fit.confidence_interval_.loc[t]
            place = curve.times.index(t)
            assert (curve.low[place], curve.high[place]) == pytest.approx((low, high), abs=1e-9)
    if all(abs(s - 0.5) > 1e-9 for s in curve.survival):
        theirs = fit.median_survival_time_
        assert curve.quantile().time == (None if theirs == float("inf") else theirs)


def test_reading_the_curve():
    curve = kaplan_meier([1, 2, 2, 3, 5], [True, True, False, True, False])
    assert curve.at(0.5) == (1.0, 1.0, 1.0)
    assert curve.at(1)[0] == pytest.approx(0.8)
    assert curve.at(4)[0] == curve.at(3)[0]
    assert curve.at(6) is None, "nobody was observed at 6"
    assert [curve.at_risk(t) for t in (0, 1, 2, 2.5, 3, 5, 6)] == [5, 5, 4, 2, 2, 1, 0]
    assert curve.censored == (2.0, 5.0)


def test_nobody_and_no_event():
    assert kaplan_meier([], []).quantile().time is None
    curve = kaplan_meier([3, 4], [False, False])
    assert (curve.times, curve.quantile().time, curve.at(4)) == ((), None, (1.0, 1.0, 1.0))


@pytest.mark.parametrize(
    ("times", "events", "options"),
    [
        ([-1], [True], {}),
        ([float("nan")], [True], {}),
        ([1, 2], [True], {}),
        ([1], [2], {}),
        ([1], [True], {"confidence": 95}),
        ([1], [True], {"interval": "logit"}),
    ],
)
def test_what_is_no_survival_data_is_refused(times, events, options):
    with pytest.raises(QuantificationError):
        kaplan_meier(times, events, **options)
