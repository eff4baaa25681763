"""What is drawn on the scale that all visits share stands where its value is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from report.factory import MRD_PANEL, mrd_sample, plot_axes

from cytomrd.preprocess.transforms import Linear, Logicle
from cytomrd.report.scale import common_axis, common_plot, moved, placed
from cytomrd.run.model import GatePlot


def axis(width: float, marker: str = "CD38"):
    return replace(plot_axes(MRD_PANEL, "1")[marker], transform=Logicle(W=width))


def test_channels_fitted_on_unlike_scales_are_drawn_on_one():
    narrow, wide = common_axis(axis(0.2)), common_axis(axis(1.2))
    assert narrow == wide
    assert common_axis(narrow) == narrow


def test_a_value_keeps_its_value():
    own = axis(0.3)
    linear = np.array([-10.0, 0.0, 50.0, 1e3, 2e4, 2e5])
    there = moved(own, own.transform.apply(linear))
    assert common_axis(own).transform.inverse(there) == pytest.approx(linear, abs=1e-6, rel=1e-9)


def test_an_open_side_stays_open():
    own = axis(0.3)
    assert moved(own, [own.low, own.high, own.low - 1]).tolist() == [-0.1, 1.03, -0.1]


def test_linear_axes_stay():
    scatter = plot_axes(MRD_PANEL, "1")["FSC-A"]
    assert isinstance(scatter.transform, Linear)
    assert common_axis(scatter) is scatter


@pytest.mark.parametrize("width", [0.2, 0.5, 1.3])
def test_no_event_of_a_density_is_lost_and_each_stays_in_place(width):
    x, y = axis(width), axis(0.7, "CD138")
    rng = np.random.default_rng(0)
    counts = np.zeros((128, 128), dtype=np.int64)
    counts[rng.integers(0, 128, 300), rng.integers(0, 128, 300)] = rng.integers(1, 9, 300)
    plot = GatePlot("p", "P", "root", x, y, counts, (), (), 1, 1)
    drawn = common_plot(plot)
    assert drawn.counts.sum() == pytest.approx(counts.sum())
    one = np.zeros_like(counts)
    one[90, 40] = 1
    spread = common_plot(replace(plot, counts=one)).counts
    bins = np.linspace(drawn.x.low, drawn.x.high, len(spread) + 1)
    edges = moved(x, x.low + (x.high - x.low) * np.array([90, 91]) / 128)
    lit = np.flatnonzero(spread.sum(axis=1))
    assert bins[lit[0]] <= edges[0] + 1e-12
    assert bins[lit[-1] + 1] >= edges[1] - 1e-12
    assert (len(lit) - 2) * (bins[1] - bins[0]) <= edges[1] - edges[0]


def test_gates_and_cuts_move_with_the_scale():
    x, y = axis(0.2), axis(1.1, "CD138")
    box = np.array([[0.4, 0.5], [x.high, 0.5], [x.high, y.high], [0.4, y.high]])
    slanted = np.array([[0.2, 0.2], [0.8, 0.4], [0.5, 0.9]])
    dots = np.array([[0.5, 0.6]])
    plot = GatePlot("p", "P", "root", x, y, np.zeros((8, 8)), (box, slanted), (("x", 0.38, 0.42),), 1, 1, dots)
    drawn = common_plot(plot)
    assert drawn.dots.tolist() == [[float(moved(x, 0.5)), float(moved(y, 0.6))]]
    corner, other = drawn.outlines
    assert corner.tolist() == [
        [float(moved(x, 0.4)), float(moved(y, 0.5))], [1.03, float(moved(y, 0.5))], [1.03, 1.03],
        [float(moved(x, 0.4)), 1.03],
    ]  # fmt: skip
    assert len(other) > 30, "a slanted side is bent on the other scale"
    assert drawn.bands == (("x", float(moved(x, 0.38)), float(moved(x, 0.42))),)


def test_rare_cells_come_from_their_compensated_values():
    file = mrd_sample().files[0]
    cells = file.rare[0]
    column = cells.markers.index("CD38")
    expected = common_axis(file.axes["CD38"]).transform.apply(cells.compensated[:, column])
    assert np.array_equal(placed(file.axes["CD38"], cells), expected)
