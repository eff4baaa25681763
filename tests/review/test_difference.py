"""Gates applied by what they change, held against gates applied to every event."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.gates import (
    BooleanGate,
    Dimension,
    EllipsoidGate,
    GatingStrategy,
    Operand,
    PolygonGate,
    RectangleGate,
)
from cytomrd.preprocess.transforms import Logicle
from cytomrd.review.difference import KnownGates

X, Y, Z = Dimension("x"), Dimension("y"), Dimension("z", transform="scale")
GATES = (
    PolygonGate("cells", (X, Y), ((10.0, 10.0), (90.0, 20.0), (80.0, 90.0), (20.0, 80.0))),
    RectangleGate("bright", (Z, Y), (0.5, None), (None, 70.0), "cells"),
    RectangleGate("dim", (Z,), (None,), (0.5,), "cells"),
    EllipsoidGate("core", (X, Y), (50.0, 50.0), ((300.0, 40.0), (40.0, 200.0)), 1.0, "cells"),
    BooleanGate("rare", "and", (Operand("bright"), Operand("core", complement=True)), "cells"),
    RectangleGate("rarest", (X,), (60.0,), (None,), "rare"),
)


def moved(gate, rng):
    """The gate somewhere else."""
    by = rng.normal(0, 4)
    if isinstance(gate, PolygonGate):
        return replace(gate, vertices=tuple((x + by, y + rng.normal(0, 4)) for x, y in gate.vertices))
    if isinstance(gate, EllipsoidGate):
        return replace(gate, mean=(gate.mean[0] + by, gate.mean[1] - by))
    if isinstance(gate, RectangleGate):
        low, high = (tuple(b if b is None else b + by * (0.01 if b < 1 else 1) for b in side) for side in
                     (gate.minimum, gate.maximum))  # fmt: skip
        return replace(gate, minimum=low, maximum=high)
    return gate


@pytest.mark.parametrize("seed", range(12))
def test_counts_and_rare_events_are_those_of_all_gates_on_all_events(seed):
    rng = np.random.default_rng(seed)
    events = rng.uniform(0, 100, (20_000, 3))
    events[:, 2] = rng.normal(2000, 4000, len(events))
    # Events on the very edges, and events without a value.
    events[:400, 0] = rng.choice([60.0, 64.0, 10.0, 90.0], 400)
    events[400:440] = np.where(rng.random((40, 3)) < 0.4, np.nan, events[400:440])
    dataset = ArrayDataset(events, ("x", "y", "z"))
    strategy = GatingStrategy(GATES, {"scale": Logicle(T=262144, W=0.5, M=4.5, A=0.0)})
    gates = KnownGates(dataset)
    for _ in range(4):
        found = gates.apply(dataset, strategy, compartments=("rare", "rarest"))
        wanted = apply_gates(dataset, strategy, compartments=("rare", "rarest"))
        assert found.populations == wanted.populations
        assert np.array_equal(found.n_events, wanted.n_events)
        assert (found.n_total, found.n_non_finite) == (wanted.n_total, wanted.n_non_finite)
        for name, compartment in wanted.compartments.items():
            assert np.array_equal(found.compartments[name].events, compartment.events)
            assert np.array_equal(found.compartments[name].values, compartment.values)
        chosen = rng.random(len(GATES)) < 0.4
        shapes = [moved(g, rng) if c else g for g, c in zip(strategy.gates, chosen, strict=True)]
        strategy = replace(strategy, gates=tuple(shapes))


def test_a_bound_moved_onto_events_takes_them_as_the_gate_would():
    events = np.array([[v, 0.0, 0.0] for v in (1.0, 2.0, 3.0, 4.0)])
    dataset = ArrayDataset(events, ("x", "y", "z"))
    gates = KnownGates(dataset)
    for low, high in ((2.0, 4.0), (3.0, 4.0), (1.0, 3.0), (3.0, None), (None, 2.0)):
        strategy = GatingStrategy((RectangleGate("g", (X,), (low,), (high,)),))
        found, wanted = gates.apply(dataset, strategy, compartments=("g",)), apply_gates(dataset, strategy)
        assert found.count("g") == wanted.count("g"), (low, high)


def test_what_is_drawn_is_counted_on_the_whole():
    dataset = ArrayDataset(np.random.default_rng(0).uniform(0, 100, (500, 3)), ("x", "y", "z"))
    strategy = GatingStrategy((RectangleGate("g", (X,), (50.0,), (None,)),))
    gates = KnownGates(dataset)
    gates.apply(dataset, strategy)
    found = gates.apply(dataset, strategy, medians=[X])
    assert found.medians[0, 0] == pytest.approx(np.median(dataset.events[dataset.events[:, 0] >= 50, 0]), rel=0.01)
