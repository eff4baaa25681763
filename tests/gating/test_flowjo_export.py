"""FlowJo workspaces out: read back by this package and by FlowKit, with the same events, or with a word on why not."""

from __future__ import annotations

import numpy as np
import pytest

import cytomrd as cm
from cytomrd.errors import GateError
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.flowjo import read_flowjo_workspace
from cytomrd.gating.flowjo_export import write_flowjo_workspace
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
from cytomrd.preprocess.transforms import Asinh, Biexponential, FlowJoLog, Hyperlog, Linear, Log, Logicle

DETECTORS = ("FSC-A", "FSC-H", "SSC-A", "FITC-A", "PE-A", "APC-A", "BV421-A", "Time")
MATRIX = Spillover(
    DETECTORS[3:7],
    np.array([[1, 0.2, 0.01, 0], [0.03, 1, 0.1, 0], [0, 0.02, 1, 0.05], [0.01, 0, 0.02, 1]]),
    "test",
)
TRANSFORMS = {
    "logicle": Logicle(W=0.8),
    "biex": Biexponential(width=-100.0),
    "log": FlowJoLog(offset=10.0, decades=4.0),
    "asinh": Asinh(M=4.0, A=0.5),
    "linear": Linear(),
    "hyperlog": Hyperlog(),
    "flog": Log(),
}


@pytest.fixture(scope="module")
def tube(tmp_path_factory):
    """A file of 20,000 events with a spillover matrix, its time in seconds."""
    random = np.random.default_rng(7)
    n = 20_000
    fsc = random.normal(90_000, 25_000, n)
    bright = random.random((n, 4)) < 0.4
    dyes = np.where(bright, random.lognormal(9.0, 0.8, (n, 4)), random.normal(0.0, 150.0, (n, 4)))
    columns = [fsc, fsc * random.normal(0.85, 0.05, n), random.normal(50_000, 20_000, n), *(dyes @ MATRIX.matrix).T]
    events = np.column_stack([*columns, np.sort(random.random(n) * 6000)]).astype(np.float32)
    path = tmp_path_factory.mktemp("tube") / "tube 1.fcs"
    cm.write_fcs(path, events, DETECTORS, spillover=MATRIX, timestep=0.01, ranges=[262_144] * len(DETECTORS))
    return cm.open_fcs(path)


def axis(channel: str, transform: str | None = None, compensation: str = "FCS") -> Dimension:
    return Dimension(channel, compensation if channel in MATRIX.detectors else "uncompensated", transform)


def strategy(*gates) -> GatingStrategy:
    return GatingStrategy(tuple(gates), TRANSFORMS)


CELLS = PolygonGate(
    "cells", (axis("FSC-A", "linear"), axis("SSC-A", "linear")), ((0.1, 0.02), (0.6, 0.05), (0.55, 0.4), (0.12, 0.35))
)
LIVE = RectangleGate("live", (axis("BV421-A", "biex"),), (None,), (2100.0,), "cells")
CD38 = RectangleGate("CD38+ / bright", (axis("FITC-A", "logicle"),), (0.55,), (None,), "live")
CD138 = PolygonGate(
    "CD138+",
    (axis("PE-A", "asinh"), axis("FITC-A", "logicle")),
    ((0.5, 0.1), (0.95, 0.1), (0.9, 0.9), (0.55, 0.8)),
    "live",
)


def same_events(tube, given: GatingStrategy, tmp_path, *, names=None, flowkit_too=True) -> tuple[str, ...]:
    """Write, read back twice, compare every population; the notes."""
    import flowkit

    path = tmp_path / "gates.wsp"
    notes = write_flowjo_workspace(given, tube, path)
    imported = read_flowjo_workspace(path, tube.path)
    assert imported.notes == ()
    assert not imported.counts, "FlowJo counts for itself"
    before, after = apply_gates(tube, given), apply_gates(tube, imported.strategy)
    names = names or {name: name for name in given.populations}
    assert set(names.values()) <= set(after.populations)
    for own, theirs in names.items():
        assert (before.members(own) == after.members(theirs)).all(), own
        assert before.count(own) > 0, f"{own} is empty: nothing was tested"
    if flowkit_too:
        workspace = flowkit.Workspace(str(path), [flowkit.Sample(tube.path, sample_id=tube.path.name)])
        workspace.analyze_samples(sample_id=tube.path.name, use_mp=False)
        results = workspace.get_gating_results(tube.path.name)
        for own, theirs in names.items():
            place = ("root", *imported.paths[theirs][:-1])
            found = results.get_gate_membership(imported.paths[theirs][-1], place)
            assert (before.members(own) == found).all(), own
    return notes


def test_shapes_scales_and_names(tube, tmp_path):
    time = RectangleGate("time", (axis("Time"),), (-1e30,), (50.0,))
    dim = RectangleGate("dim", (axis("APC-A", "log"),), (0.1,), (0.7,), "CD38+ / bright")
    plane = RectangleGate("plane", (axis("PE-A", "asinh"), axis("FSC-H", "linear")), (0.2, 0.1), (0.9, None), "live")
    given = strategy(time, CELLS, LIVE, CD38, CD138, dim, plane)
    names = {n: n for n in given.populations} | {"CD38+ / bright": " bright"}
    assert same_events(tube, given, tmp_path, names=names) == ()


def test_booleans_quadrants_and_many_channels(tube, tmp_path):
    axes = (axis("PE-A", "asinh"), axis("APC-A", "log"))
    cells = (
        Quadrant("PE- APC-", (None, None), (0.5, 0.4)),
        Quadrant("PE+ APC-", (0.5, None), (None, 0.4)),
        Quadrant("APC+", (None, 0.4), (None, None)),
    )
    many = RectangleGate(
        "many",
        (axis("FITC-A", "logicle"), axis("PE-A", "asinh"), axis("APC-A", "log"), axis("FSC-A"), axis("SSC-A")),
        (0.2, None, 0.1, 30_000.0, None),
        (0.8, 0.8, None, None, 90_000.0),
        "live",
    )
    given = strategy(
        CELLS,
        LIVE,
        CD138,
        QuadrantGate("quadrants", axes, cells, "live"),
        many,
        RectangleGate("below a quadrant", (axis("FSC-A"),), (60_000.0,), (None,), "PE+ APC-"),
        BooleanGate("either", "or", (Operand("CD138+"), Operand("many")), "live"),
        BooleanGate("both but", "and", (Operand("CD138+"), Operand("many", complement=True)), "live"),
        BooleanGate("or not", "or", (Operand("CD138+", complement=True), Operand("below a quadrant")), "cells"),
        BooleanGate("none", "not", (Operand("either"),), "live"),
        BooleanGate("same", "not", (Operand("either", complement=True),), "live"),
        BooleanGate("one", "and", (Operand("quadrants"),), "live"),
        RectangleGate("below a boolean", (axis("SSC-A"),), (40_000.0,), (None,), "either"),
    )
    notes = same_events(tube, given, tmp_path)
    assert len(notes) == 3
    assert any("many stands there in 3 steps" in note for note in notes)
    assert sum("takes no complements" in note for note in notes) == 2


def test_an_ellipse_becomes_a_polygon_and_says_so(tube, tmp_path):
    ellipse = EllipsoidGate(
        "ellipse", (axis("FSC-A", "linear"), axis("SSC-A", "linear")), (0.35, 0.2), ((0.01, 0.002), (0.002, 0.006)), 2.0
    )
    notes = write_flowjo_workspace(strategy(ellipse), tube, tmp_path / "gates.wsp")
    assert "polygon of 256 vertices" in notes[0]
    imported = read_flowjo_workspace(tmp_path / "gates.wsp", tube.path).strategy
    before, after = (apply_gates(tube, s).members("ellipse") for s in (strategy(ellipse), imported))
    assert not (after & ~before).any()
    assert (before & ~after).sum() < 0.001 * before.sum()


def test_what_flowjo_cannot_hold_is_said(tube, tmp_path):
    ball = EllipsoidGate(
        "ball", (axis("FSC-A"), axis("SSC-A"), axis("FSC-H")), (9e4, 5e4, 8e4), tuple(map(tuple, np.eye(3) * 1e8)), 1.0
    )
    second = Spillover(("PE-A", "APC-A"), np.array([[1, 0.3], [0.0, 1]]))
    gates = (
        CELLS,
        LIVE,
        CD138,
        ball,
        RectangleGate("in the ball", (axis("FSC-A"),), (1.0,), (None,), "ball"),
        BooleanGate("not the ball", "not", (Operand("ball"),), "cells"),
        RectangleGate("hyper", (axis("APC-A", "hyperlog"),), (0.3,), (None,), "cells"),
        RectangleGate("flog", (axis("APC-A", "flog"),), (0.3,), (None,), "cells"),
        RectangleGate("ratio", (RatioDimension("FSC-A", "FSC-H"),), (1.0,), (None,), "cells"),
        RectangleGate("other matrix", (axis("PE-A", "asinh", "second"),), (0.3,), (None,), "cells"),
        PolygonGate(
            "other scale", (axis("PE-A", "logicle"), axis("FSC-A")), ((0.1, 0), (0.9, 0), (0.5, 2e5)), "cells"
        ),
        PolygonGate(
            "beyond", (axis("BV421-A", "biex"), axis("FSC-A")), ((-9.0, 0), (900, 0), (500, 2e5)), "cells"
        ),
        RectangleGate("bare", (axis("PE-A", "asinh", "uncompensated"),), (0.6,), (None,), "cells"),
    )  # fmt: skip
    given = GatingStrategy(gates, TRANSFORMS, {"second": second})
    notes = "\n".join(write_flowjo_workspace(given, tube, tmp_path / "gates.wsp"))
    for name, reason in {
        "ball": "an ellipsoid on 3 axes",
        "in the ball": "it lies below ball",
        "not the ball": "it refers to ball",
        "hyper": "Hyperlog scale",
        "flog": "Log scale",
        "ratio": "a ratio of two channels",
        "other matrix": "a second matrix, 'second'",
        "other scale": "a second scale of PE-A",
        "beyond": "beyond the end of its axis",
    }.items():
        assert f"population {name} left out: " in notes
        assert reason in notes
    assert "PE-A is gated uncompensated: FlowJo reads it so, FlowKit compensates it" in notes
    assert len(notes.splitlines()) == 10
    imported = read_flowjo_workspace(tmp_path / "gates.wsp", tube.path).strategy
    assert set(imported.populations) == {"cells", "live", "CD138+", "bare"}
    before, after = apply_gates(tube, given), apply_gates(tube, imported)
    for name in imported.populations:
        assert (before.members(name) == after.members(name)).all(), name


def test_names_that_meet_are_told_apart(tube, tmp_path):
    given = strategy(
        RectangleGate("a/x", (axis("FSC-A"),), (80_000.0,), (None,)),
        RectangleGate("b/x", (axis("FSC-A"),), (None,), (90_000.0,)),
        RectangleGate("bell\x07", (axis("SSC-A"),), (None,), (50_000.0,)),
    )
    assert same_events(tube, given, tmp_path, names={"a/x": "x", "b/x": "b_x", "bell\x07": "bell?"}) == ()


def test_detectors_that_meet_are_refused(tmp_path):
    cm.write_fcs(tmp_path / "a.fcs", np.ones((3, 2)), ["A/B", "A_B"])
    gate = RectangleGate("g", (Dimension("A/B"),), (0.5,), (None,))
    with pytest.raises(GateError, match="A/B, A_B would bear one name in FlowJo"):
        write_flowjo_workspace(GatingStrategy((gate,)), cm.open_fcs(tmp_path / "a.fcs"), tmp_path / "a.wsp")
    assert not list(tmp_path.glob("*.wsp*"))


def test_a_slash_in_a_detector_comes_back(tmp_path):
    random = np.random.default_rng(5)
    matrix = Spillover(("BB515/FITC-A", "PE-A"), np.array([[1, 0.2], [0.05, 1]]))
    cm.write_fcs(tmp_path / "a.fcs", random.lognormal(6, 1, (500, 2)), matrix.detectors, spillover=matrix)
    tube = cm.open_fcs(tmp_path / "a.fcs")
    gate = RectangleGate("g", (Dimension("BB515/FITC-A", "FCS", "asinh"),), (0.5,), (None,))
    # FlowKit does not find such a detector in its own samples.
    assert same_events(tube, strategy(gate), tmp_path, flowkit_too=False) == ()
