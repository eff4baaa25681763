"""Membership with looked-up scales equals membership with exact ones, on events made to lie on the edges."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from cytomrd.errors import FcsError
from cytomrd.gating.apply import ArrayDataset, HistogramRequest, apply_gates
from cytomrd.gating.edges import interval_of_values
from cytomrd.gating.encode import encode_program
from cytomrd.gating.evaluate import BlockEvaluator
from cytomrd.gating.gates import (
    ROOT,
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
from cytomrd.gating.program import compile_strategy
from cytomrd.kernels.block import run_block
from cytomrd.kernels.gates import points_in_polygon
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Asinh, Biexponential, Hyperlog, Log, Logicle, scale_constants

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
    exact = BlockEvaluator(program, len(events), encode_program(program, exact=True))
    quick = BlockEvaluator(program, len(events), encode_program(program))
    assert max(exact.errors) == 0.0
    assert max(quick.errors) > 0.0
    block = np.ascontiguousarray(events.T)
    exact.run(block)
    quick.run(block)
    for p, name in enumerate(program.populations):
        assert (quick.members[p] == exact.members[p]).all(), name
        assert 0 < exact.members[p].sum() < len(events)
    # The test is idle unless the tables alone would have been wrong.
    x, y = quick.scaled[program.column_of(X)], quick.scaled[program.column_of(Y)]
    careless = np.ones(len(events), dtype=np.uint8)
    points_in_polygon(x, y, np.array(PENTAGON), len(events), careless)
    assert (careless != exact.members[program.populations.index("pentagon")]).sum() > 100


@pytest.mark.parametrize("scale", [Logicle(), Logicle(1e6, 0.2, 5.0, 0.5), Hyperlog(), Asinh()], ids=str)
@pytest.mark.parametrize("edge", [-0.3, 0.0, 1 / 9, 0.1111, 0.5, 1.0, 1.4, 50.0, -50.0, 400.0, -400.0])
def test_interval_of_values_is_that_of_positions(scale, edge):
    """Around the edge, at zero, at T, 16 T, infinities and denormals: out, in, or in doubt, never wrong."""
    of = scale_constants(scale)
    middle = float(scale.inverse(edge))
    near = middle + np.spacing(middle if np.isfinite(middle) else 1.0) * np.arange(-2000, 2001)
    far = np.array([0.0, -0.0, 5e-324, -5e-324, scale.T, 16 * scale.T, -16 * scale.T, 1e30, -1e30, 1e300, -1e300])
    x = np.concatenate([near, far, np.nextafter(far, np.inf), [np.inf, -np.inf, np.nan]])
    with np.errstate(all="ignore"):
        positions = scale.apply(x)
    for low, high in ((edge, np.inf), (-np.inf, edge), (edge, edge + 1e-9)):
        at = interval_of_values(low, high, of)
        inside = (positions >= low) & ((positions < high) | (high == np.inf))
        possible, surely = (
            (x >= at.possible_from) & (x <= at.possible_to),
            (x >= at.sure_from) & (x <= at.sure_to),
        )
        assert not (inside & ~possible).any()
        assert not (surely & ~inside).any()
        in_doubt = possible & ~surely & np.isfinite(x)
        assert in_doubt.sum() < 4010
        if abs(edge) <= 1.4 and high == np.inf:
            # No more than rounding is in doubt: a stretch whose positions differ by 1e-12.
            assert abs(np.diff(scale.apply([at.possible_from, at.sure_from]))[0]) < 1e-12


def test_many_threads_give_the_same_bytes():
    rng = np.random.default_rng(12)
    events = np.exp(rng.normal(5, 2, (1_100_000, 2)))
    events[rng.integers(0, len(events), 50)] = np.nan
    dataset = ArrayDataset(events, ("X", "Y"))
    strategy = strategy_on(Logicle(), Hyperlog())
    asked = {
        "histograms": [HistogramRequest("egg", X, Y), HistogramRequest("root", Y)],
        "compartments": ["pentagon"],
        "medians": [LINEAR],
    }
    seen = []
    one = apply_gates(dataset, strategy, **asked)
    for n_threads in (2, 3, 4):
        many = apply_gates(dataset, strategy, **asked, n_threads=n_threads, progress=lambda *at: seen.append(at))
        assert many.codes.tobytes() == one.codes.tobytes()
        assert many.patterns.tobytes() == one.patterns.tobytes()
        assert many.n_events.tobytes() == one.n_events.tobytes()
        assert many.medians.tobytes() == one.medians.tobytes()
        assert many.n_non_finite == one.n_non_finite == np.isnan(events).any(axis=1).sum()
        for a, b in zip(many.histograms, one.histograms, strict=True):
            assert a.counts.tobytes() == b.counts.tobytes()
        for name, of in one.compartments.items():
            assert many.compartments[name].events.tobytes() == of.events.tobytes()
            assert many.compartments[name].values.tobytes() == of.values.tobytes()
        assert seen[-1] == (len(events), len(events))


def test_an_error_in_a_thread_is_the_one_that_is_raised():
    class Broken(ArrayDataset):
        def blocks(self, n_events, start=0, stop=None):
            if start:
                raise FcsError("cut short", keyword="FILE")
            return super().blocks(n_events, start, stop)

    events = np.ones((600_000, 2))
    with pytest.raises(FcsError, match="cut short"):
        apply_gates(Broken(events, ("X", "Y")), strategy_on(Logicle(), Logicle()), n_threads=2)


def test_the_block_kernel_without_the_compiler():
    strategy = strategy_on(Logicle(), Hyperlog())
    ratio = RatioDimension("X", "Y", 1.0, 0.0, 1.0)
    more = (
        RectangleGate("fj", (Dimension("X", transform="b"),), (1000.0,), (3000.0,)),
        RectangleGate("log", (Dimension("X", transform="l"),), (0.2,), (None,)),
        PolygonGate("mixed2", (Dimension("X", transform="b"), Dimension("Y", "m")), ((0, 0), (4000, 0), (2000, 5000))),
        RectangleGate("ratio", (ratio,), (0.5,), (2.0,)),
        BooleanGate("either", "or", (Operand("fj"), Operand("egg", complement=True))),
    )
    spillover = Spillover(("X", "Y"), np.array([[1.0, 0.1], [0.02, 1.0]]))
    transforms = {**strategy.transforms, "b": Biexponential(), "l": Log()}
    program = compile_strategy(
        GatingStrategy((*strategy.gates, *more), transforms, {"m": spillover}), ("X", "Y"), spillover
    )
    events = np.exp(np.random.default_rng(8).normal(5, 3, (2, 300)))
    events[0, :4] = np.nan, np.inf, -1e9, 0.0
    compiled, plain = (BlockEvaluator(program, 300, encode_program(program)) for _ in range(2))
    n_bad = compiled.run(events)
    with np.errstate(all="ignore"):
        assert run_block.py_func(events, 300, plain._encoded, plain._buffers) == n_bad == 2
    assert (plain.members == compiled.members).all()
    assert compiled.members.any(axis=1).all()


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_channels", [2, 60])
def test_a_thread_takes_four_megabytes_whatever_the_file(n_channels, n_threads):
    detectors = tuple(f"FL{i}-A" for i in range(n_channels))
    scales = {"x": Logicle(), "y": Hyperlog()}
    gates = tuple(
        # One below the other: independent gates would have as many membership patterns as there are events.
        PolygonGate(
            f"p{i}", (Dimension(a, transform="x"), Dimension(b, transform="y")), PENTAGON, f"p{i - 1}" if i else ROOT
        )
        for i, (a, b) in enumerate(pairwise(detectors))
    )
    events = np.exp(np.random.default_rng(4).normal(5, 2, (1_000_000, n_channels)).astype(np.float32))

    def peak_beyond_codes(n: int) -> int:
        dataset = ArrayDataset(events[:n], detectors)
        apply_gates(dataset, GatingStrategy(gates, scales), n_threads=n_threads)
        tracemalloc.start()
        gated = apply_gates(dataset, GatingStrategy(gates, scales), n_threads=n_threads)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - gated.codes.nbytes

    few, many = peak_beyond_codes(500_000), peak_beyond_codes(1_000_000)
    # The encoded program (a grid of 16 kB a polygon) is shared.
    assert many < 4_000_000 * n_threads + 20_000 * len(gates) + 2e5
    assert many < few + 500_000
