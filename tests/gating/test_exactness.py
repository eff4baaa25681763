"""Membership with looked-up scales equals membership with exact ones, on events made to lie on the edges."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.evaluate import BlockEvaluator
from cytomrd.gating.gates import (
    Dimension,
    EllipsoidGate,
    GatingStrategy,
    PolygonGate,
    Quadrant,
    QuadrantGate,
    RectangleGate,
)
from cytomrd.gating.program import compile_strategy
from cytomrd.preprocess.transforms import Asinh, Hyperlog, Logicle

X, Y, LINEAR = Dimension("X", transform="x"), Dimension("Y", transform="y"), Dimension("Y")
PENTAGON = ((0.2, 0.25), (0.7, 0.3), (0.8, 0.6), (0.5, 0.9), (0.25, 0.6))


def strategy_on(x_scale, y_scale) -> GatingStrategy:
    cells = (Quadrant("low", (None, None), (0.5, 0.5)), Quadrant("high", (0.5, 0.5), (None, None)))
    mixed = tuple((x, float(y_scale.inverse(y))) for x, y in PENTAGON)
    gates = (
        RectangleGate("box", (X, Y), (0.3, None), (0.7, 0.6)),
        QuadrantGate("cells", (X, Y), cells),
        PolygonGate("pentagon", (X, Y), PENTAGON),
        PolygonGate("mixed", (X, LINEAR), mixed),
        EllipsoidGate("egg", (X, Y), (0.5, 0.5), ((0.04, 0.01), (0.01, 0.03)), 1.0),
    )
    return GatingStrategy(gates, {"x": x_scale, "y": y_scale})


def events_on_the_edges(x_scale, y_scale, rng) -> np.ndarray:
    """Points on edges, vertices and the ellipse, each moved by up to three units in the last place."""
    along = rng.uniform(0, 1, (800, 1))
    corners = np.array(PENTAGON)
    side = rng.integers(0, 5, 800)
    on_polygon = corners[side] + along * (np.roll(corners, -1, axis=0)[side] - corners[side])
    on_box = np.column_stack([rng.choice([0.3, 0.5, 0.7], 800), along[:, 0]])
    on_line = np.column_stack([along[:, 0], rng.choice([0.5, 0.6], 800)])
    angle = rng.uniform(0, 2 * np.pi, 800)
    spread = np.linalg.cholesky(np.array([[0.04, 0.01], [0.01, 0.03]]))
    on_egg = 0.5 + np.column_stack([np.cos(angle), np.sin(angle)]) @ spread.T
    positions = np.concatenate([on_polygon, on_box, on_line, on_egg, corners])
    events = np.column_stack([x_scale.inverse(positions[:, 0]), y_scale.inverse(positions[:, 1])])
    steps = rng.integers(-3, 4, events.shape)
    return events + steps * np.spacing(events)


@pytest.mark.parametrize(
    ("x_scale", "y_scale"),
    [(Logicle(), Logicle(W=1.0)), (Logicle(1e6, 0.2, 5.0, 0.5), Hyperlog()), (Asinh(), Logicle())],
    ids=str,
)
def test_events_on_edges_are_decided_by_exact_positions(x_scale, y_scale):
    strategy = strategy_on(x_scale, y_scale)
    events = events_on_the_edges(x_scale, y_scale, np.random.default_rng(9))
    program = compile_strategy(strategy, ("X", "Y"))
    exact = BlockEvaluator(program, len(events), exact=True)
    quick = BlockEvaluator(program, len(events))
    assert max(exact.errors) == 0.0
    assert max(quick.errors) > 0.0
    decided = []
    quick_exactly = quick._decide_exactly
    quick._decide_exactly = lambda step, doubtful: decided.append(len(doubtful)) or quick_exactly(step, doubtful)
    block = np.ascontiguousarray(events.T)
    exact.run(block)
    quick.run(block)
    for p, name in enumerate(program.populations):
        assert (quick.members[p] == exact.members[p]).all(), name
        assert 0 < exact.members[p].sum() < len(events)
    # The test is idle unless the table alone could have been wrong: most of these events were in doubt.
    assert len(decided) >= 5
    assert sum(decided) > 1500


def test_memory_does_not_grow_with_the_events():
    strategy = strategy_on(Logicle(), Hyperlog())
    events = np.exp(np.random.default_rng(4).normal(5, 2, (400_000, 2)))

    def peak_beyond_codes(n: int) -> int:
        dataset = ArrayDataset(events[:n], ("X", "Y"))
        apply_gates(dataset, strategy)
        tracemalloc.start()
        gated = apply_gates(dataset, strategy)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - gated.codes.nbytes

    few, many = peak_beyond_codes(50_000), peak_beyond_codes(400_000)
    assert many < few + 200_000
    assert many < 4_000_000
