"""The pass over the blocks against one numpy line per gate, and what it does with odd data."""

from __future__ import annotations

import naive_gates
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import CompensationError, GateError
from cytomrd.gating import encode
from cytomrd.gating.apply import ArrayDataset, HistogramRequest, apply_gates, transform_events
from cytomrd.gating.gates import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    GatingStrategy,
    Operand,
    PolygonGate,
    Quadrant,
    QuadrantGate,
    RatioDimension,
    RectangleGate,
)
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Asinh, Biexponential, Hyperlog, Logicle

DETECTORS = ("FSC-A", "SSC-A", "B1-A", "B2-A", "R1-A", "Time")
SPILLOVER = Spillover(("B1-A", "B2-A", "R1-A"), [[1, 0.2, 0.01], [0.1, 1, 0.0], [0.0, 0.05, 1]])
OTHER = Spillover(("R1-A", "B1-A"), [[1, 0.3], [0.02, 1]])
TRANSFORMS = {"logicle": Logicle(), "asinh": Asinh(), "biex": Biexponential(width=-100.0), "hyperlog": Hyperlog()}


@pytest.fixture
def events() -> np.ndarray:
    rng = np.random.default_rng(11)
    scatter = rng.normal(80_000, 20_000, (3000, 2))
    stained = np.exp(rng.normal(6, 2, (3000, 3))) - 150
    return np.column_stack([scatter, stained, np.arange(3000) / 100])


def all_gate_types() -> GatingStrategy:
    fsc, ssc = Dimension("FSC-A"), Dimension("SSC-A")
    b1, b2 = Dimension("B1-A", "FCS", "logicle"), Dimension("B2-A", "FCS", "hyperlog")
    r1, b1_other = Dimension("R1-A", "other", "biex"), Dimension("B1-A", "other", "asinh")
    ratio = RatioDimension("FSC-A", "SSC-A", 2.0, 10.0, -5.0)
    quadrants = (
        Quadrant("++", (0.4, 0.3), (None, None)),
        Quadrant("-+", (None, 0.3), (0.4, None)),
        Quadrant("low", (None, None), (None, 0.3)),
    )
    gates = (
        PolygonGate("cells", (fsc, ssc), ((3e4, 3e4), (13e4, 4e4), (12e4, 12e4), (4e4, 11e4))),
        RectangleGate("steady", (ratio,), (1.2,), (3.0,), "cells"),
        RectangleGate("middle", (b1, b2), (0.2, None), (0.8, 0.9), "cells"),
        PolygonGate("curved", (b1_other, r1), ((0.1, 500), (0.9, 900), (0.6, 3500), (0.2, 2000)), "steady"),
        EllipsoidGate("round", (b1, b2), (0.4, 0.4), ((0.04, 0.01), (0.01, 0.03)), 1.5, "cells"),
        QuadrantGate("quadrants", (b1, b2), quadrants, "steady"),
        BooleanGate("both", "and", (Operand("middle"), Operand("round", True)), "cells"),
        BooleanGate("either", "or", (Operand("curved"), Operand("++"), Operand("round", True))),
        BooleanGate("neither", "not", (Operand("either"),), "middle"),
        RectangleGate("late", (Dimension("Time"),), (15.0,), (None,), "++"),
    )
    return GatingStrategy(gates, TRANSFORMS, {"other": OTHER})


def test_every_gate_type_equals_the_oracle(events):
    strategy = all_gate_types()
    gated = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), strategy)
    expected = naive_gates.memberships(events, DETECTORS, strategy, SPILLOVER)
    assert gated.populations == strategy.populations
    for name in gated.populations:
        assert 0 < expected[name].sum() < len(events), name
        assert (gated.members(name) == expected[name]).all(), name
        assert gated.count(name) == expected[name].sum()
    assert gated.codes.dtype == np.uint32
    assert gated.n_total == len(events)
    assert gated.n_non_finite == 0


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_any_tree_of_gates_equals_the_oracle(seed):
    rng = np.random.default_rng(seed)
    events = np.round(np.exp(rng.normal(5, 2, (60, 3))) - 50, int(rng.integers(0, 3)))
    detectors = ("A", "B", "C")
    axes = [Dimension("A"), Dimension("B", "FCS"), Dimension("C", "FCS", "logicle"), Dimension("A", "FCS", "asinh")]
    spillover = Spillover(("C", "A", "B"), np.eye(3) + rng.uniform(0, 0.2, (3, 3)) * (1 - np.eye(3)))
    empty = GatingStrategy((), TRANSFORMS)
    gates, names = [], ["root"]
    for i in range(8):
        one, two = (axes[k] for k in rng.choice(4, 2, replace=False))
        seen = transform_events(events, detectors, (one, two), empty, spillover)
        low, high = np.quantile(seen, 0.2, axis=0), np.quantile(seen, 0.9, axis=0)
        parent = names[rng.integers(len(names))]
        kind = rng.integers(4)
        if kind == 0:
            gates.append(RectangleGate(f"g{i}", (one, two), tuple(low), (float(high[0]), None), parent))
        elif kind == 1:
            corners = ((low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1]))
            gates.append(PolygonGate(f"g{i}", (one, two), corners, parent))
        elif kind == 2 and len(names) > 2:
            operands = tuple(Operand(names[k], bool(rng.integers(2))) for k in rng.integers(1, len(names), 2))
            gates.append(BooleanGate(f"g{i}", ("and", "or")[rng.integers(2)], operands, parent))
        else:
            spread = tuple(tuple(row) for row in np.cov(seen.T) + 1e-6 * np.eye(2))
            gates.append(EllipsoidGate(f"g{i}", (one, two), tuple(seen.mean(axis=0)), spread, 1.0, parent))
        names.append(f"g{i}")
    strategy = GatingStrategy(tuple(gates), TRANSFORMS)
    gated = apply_gates(ArrayDataset(events, detectors, spillover), strategy)
    expected = naive_gates.memberships(events, detectors, strategy, spillover)
    for name in gated.populations:
        assert (gated.members(name) == expected[name]).all()


@pytest.mark.parametrize("block", [1, 7, 2999, 3000, 100_000])
def test_result_does_not_depend_on_the_blocks(events, block, monkeypatch):
    strategy = all_gate_types()
    asked = {
        "histograms": [HistogramRequest("cells", Dimension("B1-A", "FCS", "logicle"))],
        "compartments": ["curved"],
        "medians": [Dimension("B1-A", "FCS")],
    }
    dataset = ArrayDataset(events[:500] if block < 10 else events, DETECTORS, SPILLOVER)
    whole = apply_gates(dataset, strategy, **asked)
    monkeypatch.setattr(encode, "events_in_a_block", lambda program: block)
    parts = apply_gates(dataset, strategy, **asked)
    assert (parts.codes == whole.codes).all()
    assert (parts.patterns == whole.patterns).all()
    assert (parts.n_events == whole.n_events).all()
    assert (parts.histograms[0].counts == whole.histograms[0].counts).all()
    assert (parts.compartments["curved"].events == whole.compartments["curved"].events).all()
    assert np.array_equal(parts.medians, whole.medians, equal_nan=True)


def test_patterns_are_sorted_and_distinct(events):
    gated = apply_gates(ArrayDataset(events[::-1], DETECTORS, SPILLOVER), all_gate_types())
    rows = [tuple(row) for row in gated.patterns]
    assert rows == sorted(set(rows))
    again = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), all_gate_types())
    assert (again.patterns == gated.patterns).all()
    assert (again.codes[::-1] == gated.codes).all()


def test_many_populations_and_many_patterns():
    rng = np.random.default_rng(3)
    x = rng.uniform(0, 1, (4000, 12))
    names = tuple(f"c{i}" for i in range(12))
    halves = [RectangleGate(n, (Dimension(n),), (0.5,), (None,)) for n in names]
    more = [RectangleGate(f"x{i}", (Dimension("c0"),), (i / 100,), (None,), "c0") for i in range(70)]
    gated = apply_gates(ArrayDataset(x, names), GatingStrategy((*halves, *more)), medians=[Dimension("c0")])
    assert len(gated.patterns) == len(np.unique(gated.patterns, axis=0)) > 2000
    for i, name in enumerate(names):
        assert (gated.members(name) == (x[:, i] >= 0.5)).all()
    assert gated.count("x69") == (x[:, 0] >= 0.69).sum()
    assert gated.medians[gated.index("x69"), 0] == pytest.approx(np.median(x[x[:, 0] >= 0.69, 0]), abs=0.5)


def test_non_finite_events_are_in_no_population(events):
    events = events.copy()
    events[3, 2], events[4, 3], events[5, 0], events[6, 5] = np.nan, np.inf, -np.inf, np.nan
    strategy = GatingStrategy(
        (
            RectangleGate("all", (Dimension("B1-A", "FCS"),), (None,), (1e9,)),
            RectangleGate("fsc", (Dimension("FSC-A"),), (None,), (1e9,)),
            BooleanGate("none", "not", (Operand("all"),)),
        )
    )
    gated = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), strategy)
    # Time is not used; B2-A is, since it is compensated out of B1-A.
    assert gated.n_non_finite == 3
    assert not gated.patterns[gated.codes[[3, 4, 5]]].any()
    assert gated.members("fsc")[6]
    assert gated.count("all") == gated.count("fsc") == len(events) - 3
    assert gated.count("none") == 0


def test_histograms_equal_numpys(events):
    b1, fsc = Dimension("B1-A", "FCS", "logicle"), Dimension("FSC-A")
    requests = [
        HistogramRequest("cells", b1, fsc, (-0.5, 1.5), (-1e5, 3e5), bins=16),
        HistogramRequest("root", fsc, None, (-1e5, 3e5), bins=32),
    ]
    gated = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), all_gate_types(), histograms=requests)
    points = transform_events(events, DETECTORS, (b1, fsc), all_gate_types(), SPILLOVER)
    inside = gated.members("cells")
    clipped = np.clip(points[inside], (-0.5, -1e5), (1.5, 3e5))
    expected = np.histogram2d(*clipped.T, bins=16, range=[(-0.5, 1.5), (-1e5, 3e5)])[0]
    assert (gated.histograms[0].counts == expected).all()
    assert (gated.histograms[1].counts == np.histogram(points[:, 1], bins=32, range=(-1e5, 3e5))[0]).all()
    assert gated.histograms[0].counts.sum() == gated.count("cells")


def test_compartments_keep_all_channels(events):
    gated = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), all_gate_types(), compartments=["late", "curved"])
    kept = gated.compartments["late"]
    assert kept.events.tolist() == np.flatnonzero(gated.members("late")).tolist()
    assert (kept.values == events[kept.events]).all()
    assert set(gated.compartments) == {"late", "curved"}


def test_medians_on_the_linear_scale(events):
    dimensions = [Dimension("B1-A", "FCS", "logicle"), Dimension("FSC-A")]
    gated = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), all_gate_types(), medians=dimensions)
    linear = naive_gates.compensated(events, DETECTORS, SPILLOVER)[:, [2, 0]]
    for p, name in enumerate(gated.populations):
        expected = np.median(linear[gated.members(name)], axis=0)
        assert gated.medians[p] == pytest.approx(expected, rel=0.008, abs=2.0), name
    nothing = GatingStrategy((RectangleGate("nothing", (Dimension("FSC-A"),), (1e12,), (None,)),))
    assert np.isnan(apply_gates(ArrayDataset(events, DETECTORS), nothing, medians=dimensions[1:]).medians).all()


def test_given_matrix_replaces_the_files_own(events):
    gate = RectangleGate("g", (Dimension("B1-A", "FCS"),), (300.0,), (None,))
    given = apply_gates(ArrayDataset(events, DETECTORS, SPILLOVER), GatingStrategy((gate,)), spillover=OTHER)
    assert given.count("g") == (naive_gates.compensated(events, DETECTORS, OTHER)[:, 2] >= 300).sum()
    assert given.notes == ()


def test_no_matrix_means_uncompensated_and_says_so(events):
    gate = RectangleGate("g", (Dimension("B1-A", "FCS"),), (300.0,), (None,))
    gated = apply_gates(ArrayDataset(events, DETECTORS), GatingStrategy((gate,)))
    assert gated.count("g") == (events[:, 2] >= 300).sum()
    assert "nothing was compensated" in gated.notes[0]


def test_a_dataset_is_asked_for_its_matrix_only_when_a_gate_needs_it(events):
    class Refuses(ArrayDataset):
        @property
        def spillover(self):
            raise CompensationError("unusable")

        @spillover.setter
        def spillover(self, value):
            pass

    plain = GatingStrategy((RectangleGate("g", (Dimension("B1-A"),), (300.0,), (None,)),))
    assert apply_gates(Refuses(events, DETECTORS), plain).count("g") > 0
    needy = GatingStrategy((RectangleGate("g", (Dimension("B1-A", "FCS"),), (300.0,), (None,)),))
    with pytest.raises(CompensationError, match="unusable"):
        apply_gates(Refuses(events, DETECTORS), needy)


def test_what_does_not_fit_is_refused(events):
    def with_gate(channel, compensation="uncompensated"):
        gate = RectangleGate("g", (Dimension(channel, compensation),), (0.0,), (None,))
        return GatingStrategy((gate,), {}, {"m": Spillover(("B1-A", "V9-A"), np.eye(2) + 0.1)})

    dataset = ArrayDataset(events, DETECTORS)
    with pytest.raises(GateError, match="'V1-A' of a gate is nowhere in the file; its detectors are FSC-A"):
        apply_gates(dataset, with_gate("V1-A"))
    with pytest.raises(GateError, match="twice"):
        apply_gates(ArrayDataset(events[:, :2], ("A", "A")), with_gate("A"))
    with pytest.raises(CompensationError, match="V9-A"):
        apply_gates(dataset, with_gate("B1-A", "m"))
    with pytest.raises(GateError, match="no population"):
        apply_gates(dataset, with_gate("FSC-A"), compartments=["x"])
    with pytest.raises(GateError, match="no such population"):
        apply_gates(dataset, with_gate("FSC-A"), histograms=[HistogramRequest("x", Dimension("FSC-A"))])
    with pytest.raises(GateError, match="limits"):
        request = HistogramRequest("g", Dimension("FSC-A"), x_limits=(1.0, 1.0))
        apply_gates(dataset, with_gate("FSC-A"), histograms=[request])
    with pytest.raises(GateError, match="shape"):
        ArrayDataset(events, ("A", "B"))


def test_no_events_and_no_gates():
    nothing = apply_gates(
        ArrayDataset(np.empty((0, 6)), DETECTORS, SPILLOVER), all_gate_types(), compartments=["cells"]
    )
    assert nothing.n_events.tolist() == [0] * len(nothing.populations)
    assert nothing.members("cells").shape == (0,)
    assert nothing.compartments["cells"].values.shape == (0, 6)
    ungated = apply_gates(ArrayDataset(np.ones((3, 6)), DETECTORS), GatingStrategy(()))
    assert ungated.codes.tolist() == [0, 0, 0]
    assert ungated.n_events.shape == (0,)


def test_progress_reaches_the_end(events, monkeypatch):
    monkeypatch.setattr(encode, "events_in_a_block", lambda program: 1000)
    seen = []
    gate = RectangleGate("g", (Dimension("FSC-A"),), (0.0,), (None,))
    apply_gates(ArrayDataset(events, DETECTORS), GatingStrategy((gate,)), progress=lambda *at: seen.append(at))
    assert seen == [(1000, 3000), (2000, 3000), (3000, 3000)]


def test_a_dataset_that_ends_early_is_refused(events):
    class Short(ArrayDataset):
        def blocks(self, n_events=1000, start=0, stop=None):
            return super().blocks(n_events, 0, 10)

    gate = RectangleGate("g", (Dimension("FSC-A"),), (0.0,), (None,))
    with pytest.raises(GateError, match="announced 3000 events and gave 10"):
        apply_gates(Short(events, DETECTORS), GatingStrategy((gate,)))


def test_transform_events_equals_the_oracle(events):
    strategy = all_gate_types()
    axes = [axis for gate in strategy.gates for axis in getattr(gate, "dimensions", ())]
    found = transform_events(events[:50], DETECTORS, axes, strategy, SPILLOVER)
    for j, axis in enumerate(axes):
        expected = naive_gates.axis_values(axis, events[:50], DETECTORS, strategy, SPILLOVER)
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-12, atol=1e-12)
