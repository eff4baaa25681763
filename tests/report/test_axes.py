"""Ticks stand where the scale puts their values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.factory import MRD_PANEL, plot_axes

from cytomrd.preprocess.transforms import Asinh, Biexponential, Hyperlog, Linear, Log, Logicle
from cytomrd.report.axes import axis_ticks, nice_ticks
from cytomrd.report.scale import common_axis

SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
SCALES = [Logicle(), Logicle(W=1.2), Hyperlog(), Asinh(), Asinh(M=4.0, A=1.0), Log(), Biexponential(width=-100.0)]


def value_of(label: str) -> float:
    """The number that a label stands for."""
    if label == "0":
        return 0.0
    sign = -1.0 if label.startswith("−") else 1.0
    return sign * 10.0 ** int(label.removeprefix("−").removeprefix("10").translate(SUPERSCRIPTS))


def limits(scale):
    """The stretch of a scale that a plot shows."""
    if isinstance(scale, Biexponential):
        return tuple(float(v) for v in scale.apply(np.array([-2_000.0, 200_000.0])))
    return (0.0, 1.0) if isinstance(scale, Log) else (-0.08, 1.03)


@pytest.mark.parametrize("scale", SCALES, ids=repr)
def test_labels_stand_on_their_values(scale):
    low, high = limits(scale)
    ticks = axis_ticks(scale, low, high)
    assert ticks.major
    for position, label in ticks.major:
        assert position == pytest.approx(float(scale.apply(np.array([value_of(label)]))[0]), abs=1e-9)
    positions = [p for p, _ in ticks.major]
    assert positions == sorted(positions)
    assert min(np.diff(positions)) >= 0.11 * (high - low) - 1e-9


def test_biexponential_axis_shows_a_negative_decade_zero_and_the_decades():
    labels = [label for _, label in axis_ticks(Logicle(W=0.9), -0.08, 1.03).major]
    assert labels == ["−10³", "0", "10³", "10⁴", "10⁵"]


def test_minor_ticks_lie_between_the_decades():
    scale = Logicle()
    minor = axis_ticks(scale, 0.0, 1.0).minor
    for value in (2e3, 5e3, 2e4, 9e4, 2e5):
        assert min(abs(np.array(minor) - float(scale.apply(np.array([value]))[0]))) < 1e-9


def test_linear_axis_is_read_in_thousands():
    assert [label for _, label in axis_ticks(Linear(), 0.0, 1.0).major] == ["0", "100K", "200K"]


@settings(max_examples=60, deadline=None)
@given(st.floats(-0.3, 0.4), st.floats(0.05, 1.0), st.floats(0.0, 2.0))
def test_ticks_stay_within_the_limits(low, span, width):
    ticks = axis_ticks(Logicle(W=width), low, low + span)
    for position in (*ticks.minor, *(p for p, _ in ticks.major)):
        assert low - 1e-6 <= position <= low + span + 1e-6


def test_limits_that_are_none_are_refused():
    with pytest.raises(ValueError, match="finite limits"):
        axis_ticks(Logicle(), 1.0, 0.0)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_round_values_lie_within(low, span):
    for tick in nice_ticks(low, low + span):
        assert low - 1e-6 * span <= tick <= low + span + 1e-6 * span


def test_no_span_is_one_tick():
    assert nice_ticks(5.0, 5.0) == (5.0,)


def test_no_tick_of_a_decade_is_missing_on_the_drawn_scale():
    scale = common_axis(plot_axes(MRD_PANEL, "1")["CD38"])
    ticks = np.array(axis_ticks(scale.transform, scale.low, scale.high).minor)
    for value in [m * 10.0**k for k in (3, 4) for m in range(2, 10)]:
        assert np.abs(ticks - float(scale.transform.apply(value))).min() < 1e-9, value
