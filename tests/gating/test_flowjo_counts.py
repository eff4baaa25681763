"""Why FlowJo counts otherwise: each way in which it may have gated is recognised from its count alone."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from lxml import etree

import cytomrd as cm
from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.flowjo import read_flowjo_workspace
from cytomrd.gating.flowjo_counts import compare_with_flowjo
from cytomrd.gating.flowjo_export import write_flowjo_workspace
from cytomrd.gating.gates import Dimension, GatingStrategy, PolygonGate, RectangleGate
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Biexponential, Linear

# FlowJo's own counts in both workspaces of the real files, and ours with exact geometry.
SPLEEN = {
    "Lymphocytes": (19212, 19225), "Singlets": (18689, 18702), "Singlets2": (18573, 18585), "NK1_1+": (923, 923),
    "NK cells": (312, 312), "NK T cells": (535, 535), "NK1_1-": (17458, 17470), "B cells": (2459, 2460),
    "T cells": (10745, 10747), "ab T cells": (9188, 9191), "CD4 T cells": (7480, 7482), "CD8 T cells": (1407, 1407),
    "DN T cells": (266, 267), "DP T cells": (6, 6), "gd T cells": (1470, 1470),
}  # fmt: skip
AURORA = {
    "CellCounts4L-NY071-1.fcs": {"Margin": (5173, 5173), "CD45+": (2193, 2189)},
    "CellCounts4L-NY072-1.fcs": {"Margin": (8023, 8023), "CD45+": (2983, 2985)},
}

DETECTORS = ("FSC-A", "SSC-A", "PE-A", "APC-A")
MATRIX = Spillover(("PE-A", "APC-A"), np.array([[1, 0.3], [0.05, 1]]), "test")
TRANSFORMS = {"linear": Linear(), "biex": Biexponential(width=-100.0)}


def test_every_count_of_the_spleen_is_explained(shared_data):
    folder = shared_data / "flowjo-spleen"
    if not folder.is_dir():
        pytest.skip(f"the FlowJo files are not here: {folder}")
    rows = compare_with_flowjo(folder / "gating.wsp", folder / "68983.fcs")
    assert {r.path[-1]: (r.flowjo, r.ours) for r in rows} == SPLEEN
    for row in rows:
        assert row.on_grid == row.flowjo, row
        assert row.reason.startswith("binned polygon") == (row.difference != 0), row
    reasons = {r.path[-1]: r.reason for r in rows}
    assert reasons["NK1_1-"] == "binned polygon: Lymphocytes (1024 bins)"
    assert reasons["DN T cells"] == "binned polygon: ab T cells (256 bins)"
    assert reasons["CD4 T cells"] == "binned polygon: Lymphocytes (1024 bins), ab T cells (256 bins)"


@pytest.mark.parametrize("name", AURORA)
def test_every_count_of_the_aurora_files_is_explained(shared_data, name):
    folder = shared_data / "flowjo-aurora"
    if not folder.is_dir():
        pytest.skip(f"the FlowJo files are not here: {folder}")
    rows = compare_with_flowjo(folder / "CellCounts.wsp", folder / name)
    assert {r.path[-1]: (r.flowjo, r.ours) for r in rows} == AURORA[name]
    assert [r.reason for r in rows] == ["equal", "binned polygon: CD45+ (256 bins)"]
    assert all(r.on_grid == r.flowjo for r in rows)


@pytest.fixture(scope="module")
def tube(tmp_path_factory):
    """4,000 events, some below the scatter axes' start, with a matrix."""
    random = np.random.default_rng(3)
    n = 4000
    dyes = random.lognormal(7.0, 1.2, (n, 2)) @ MATRIX.matrix
    events = np.column_stack([random.normal(30_000, 20_000, n), random.normal(60_000, 30_000, n), dyes])
    path = tmp_path_factory.mktemp("tube") / "tube.fcs"
    cm.write_fcs(path, events.astype(np.float32), DETECTORS, spillover=MATRIX, ranges=[262_144] * 4)
    return cm.open_fcs(path)


TRIANGLE = ((0.02, 0.1), (0.4, 0.15), (0.1, 0.45))
KITE = ((1500.0, 0.05), (2600.0, 0.2), (1800.0, 0.5), (1200.0, 0.3))
SCATTER = PolygonGate(
    "scatter", (Dimension("FSC-A", transform="linear"), Dimension("SSC-A", transform="linear")), TRIANGLE
)
DYE = PolygonGate("dye", (Dimension("PE-A", "FCS", "biex"), Dimension("SSC-A", transform="linear")), KITE, "scatter")


def compared(tube, tmp_path, gates, counts):
    """Write the gates as a workspace in which FlowJo is said to have counted ``counts``."""
    path = tmp_path / "gates.wsp"
    assert write_flowjo_workspace(GatingStrategy(gates, TRANSFORMS), tube, path) == ()
    tree = etree.parse(path)
    for population in tree.iter("Population"):
        population.set("count", str(counts[population.get("name")]))
    tree.write(path)
    return {row.path[-1]: row for row in compare_with_flowjo(path, tube)}


def naive_holds(x: int, y: int, vertices) -> bool:
    """Even-odd rule, left and lower edges inside."""
    inside = False
    for (x0, y0), (x1, y1) in zip(vertices, vertices[1:] + vertices[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def naive_bin(position: float, scale, bins: int) -> int:
    if isinstance(scale, Linear):
        return math.floor(position * bins + 0.5)
    return math.floor(position / scale.channel_range * bins)


def naive_members(tube, gate, bins: int) -> np.ndarray:
    """An event at a time on FlowJo's grid."""
    strategy = GatingStrategy((), TRANSFORMS)
    positions = transform_events(tube.read_events(), tube.detectors, gate.dimensions, strategy, tube.spillover)
    scales = [TRANSFORMS[d.transform] for d in gate.dimensions]
    vertices = [tuple(naive_bin(v, s, bins) for v, s in zip(vertex, scales, strict=True)) for vertex in gate.vertices]
    found = [[naive_bin(p, s, bins) for p, s in zip(event, scales, strict=True)] for event in positions.tolist()]
    return np.array([naive_holds(x, y, vertices) for x, y in found])


def test_binned_polygons(tube, tmp_path):
    scatter = naive_members(tube, SCATTER, 256)
    counts = {"scatter": int(scatter.sum()), "dye": int((scatter & naive_members(tube, DYE, 256)).sum())}
    exact = apply_gates(tube, GatingStrategy((SCATTER, DYE), TRANSFORMS))
    assert exact.count("scatter") != counts["scatter"]
    assert exact.count("dye") != counts["dye"]
    rows = compared(tube, tmp_path, (SCATTER, DYE), counts)
    assert {name: row.on_grid for name, row in rows.items()} == counts
    assert rows["scatter"].reason == "binned polygon: scatter (256 bins)"
    assert rows["dye"].reason.startswith("binned polygon: ")
    assert rows["scatter"].ours == exact.count("scatter")
    assert rows["scatter"].difference == exact.count("scatter") - counts["scatter"]


def test_a_binned_polygon_whose_outside_is_meant(tube, tmp_path):
    path = tmp_path / "gates.wsp"
    write_flowjo_workspace(GatingStrategy((SCATTER,), TRANSFORMS), tube, path)
    tree = etree.parse(path)
    next(tree.iter("{*}PolygonGate")).set("eventsInside", "0")
    n_outside = tube.n_events - int(naive_members(tube, SCATTER, 256).sum())
    next(tree.iter("Population")).set("count", str(n_outside))
    tree.write(path)
    (row,) = compare_with_flowjo(path, tube)
    assert row.on_grid == n_outside
    assert row.reason == "binned polygon: scatter (256 bins)"


def test_axis_floors(tube, tmp_path):
    gate = RectangleGate("large", (Dimension("FSC-A", transform="linear"),), (0.0,), (0.3,))
    fsc = tube.read_events(["FSC-A"])[:, 0]
    assert (fsc < 0).sum() > 100
    rows = compared(tube, tmp_path, (gate,), {"large": int((fsc < 0.3 * 262_144).sum())})
    assert rows["large"].reason == "axis floors: events beyond an axis count at its end"
    assert rows["large"].ours == int(((fsc >= 0) & (fsc < 0.3 * 262_144)).sum())


@pytest.mark.parametrize(
    ("written", "counted", "reason"),
    [
        ("FCS", "uncompensated", "compensation binding: no channel compensated"),
        ("uncompensated", "FCS", "compensation binding: every channel of the matrix compensated"),
    ],
)
def test_compensation_binding(tube, tmp_path, written, counted, reason):
    def gate(name, channel, compensation, low):
        return RectangleGate(name, (Dimension(channel, compensation, "biex"),), (low,), (None,))

    # The second gate keeps the matrix in the workspace.
    kept = gate("kept", "PE-A", "FCS", 100.0)
    theirs = GatingStrategy((gate("APC+", "APC-A", counted, 1800.0), kept), TRANSFORMS)
    gated = apply_gates(tube, theirs)
    path = tmp_path / "gates.wsp"
    write_flowjo_workspace(GatingStrategy((gate("APC+", "APC-A", written, 1800.0), kept), TRANSFORMS), tube, path)
    tree = etree.parse(path)
    for population in tree.iter("Population"):
        population.set("count", str(gated.count(population.get("name"))))
    tree.write(path)
    rows = {row.path[-1]: row for row in compare_with_flowjo(path, tube)}
    assert rows["APC+"].reason == reason
    assert rows["kept"].reason == "equal"


def test_the_matrix_of_the_file(tube, tmp_path):
    other = Spillover(("PE-A", "APC-A"), np.array([[1, 0.1], [0.0, 1]]))
    gate = RectangleGate("APC+", (Dimension("APC-A", "FCS", "biex"),), (1800.0,), (None,))
    strategy = GatingStrategy((gate,), TRANSFORMS)
    path = tmp_path / "gates.wsp"
    write_flowjo_workspace(strategy, tube, path, spillover=other)
    tree = etree.parse(path)
    next(tree.iter("Population")).set("count", str(apply_gates(tube, strategy).count("APC+")))
    tree.write(path)
    (row,) = compare_with_flowjo(path, tube)
    assert row.reason == "compensation binding: the matrix of the file in place of the workspace's"


def test_what_nothing_accounts_for_is_said_to_be_unexplained(tube, tmp_path):
    n = apply_gates(tube, GatingStrategy((SCATTER,), TRANSFORMS)).count("scatter")
    row = compared(tube, tmp_path, (SCATTER,), {"scatter": n + 777})["scatter"]
    assert row.reason == "unexplained"
    assert not row.is_explained
    assert row.difference == -777


def test_populations_left_out_have_a_row(tube, tmp_path):
    path = tmp_path / "gates.wsp"
    write_flowjo_workspace(GatingStrategy((SCATTER,), TRANSFORMS), tube, path)
    tree = etree.parse(path)
    shape = next(tree.iter("{*}PolygonGate"))
    shape.tag = shape.tag.replace("Polygon", "CurlyQuad")
    tree.write(path)
    (row,) = compare_with_flowjo(path, tube)
    assert row.path == ("scatter",)
    assert (row.flowjo, row.ours, row.difference) == (None, None, None)
    assert row.reason.startswith("left out: CurlyQuadGate")
    assert not row.is_explained


ROUNDINGS = {
    "down": np.floor,
    "nearest": lambda x: np.floor(x + 0.5),
    "up": np.ceil,
    "middle": lambda x: np.floor(x) + 0.5,
    "none": lambda x: x,
}
AXIS_RULES = list(product(("down", "middle", "nearest", "up"), ("none", "down", "nearest", "up"), (0, -1)))
EDGES = ("all", "none", (1, 1), (1, -1), (-1, 1), (-1, -1))


def polygon_under_rule(positions, vertices, bins: int, rules, edges) -> np.ndarray:
    """Members of a polygon on positions 0 to 1 when events and vertices are rounded by one rule an axis."""
    events, corners = np.empty_like(positions), np.empty_like(vertices)
    for j, (of_event, of_vertex, fewer) in enumerate(rules):
        nudge = {"down": 1e-6, "up": -1e-6}.get(of_vertex, 0.0)
        events[:, j] = ROUNDINGS[of_event](positions[:, j] * (bins + fewer))
        corners[:, j] = ROUNDINGS[of_vertex](vertices[:, j] * (bins + fewer) + nudge)
    signs = np.array((1, 1) if isinstance(edges, str) else edges)
    (x, y), corners = (events * signs).T, corners * signs
    inside, on_edge = np.zeros(len(x), bool), np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 <= y) != (y1 <= y)) & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        near = (x >= min(x0, x1)) & (x <= max(x0, x1)) & (y >= min(y0, y1)) & (y <= max(y0, y1))
        on_edge |= near & (np.abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) < 1e-9)
    return inside | on_edge if edges == "all" else inside & ~on_edge if edges == "none" else inside


class SampleUnderRules:
    """A real sample whose polygons are decided by any rule: one for linear axes, one for biexponential ones."""

    def __init__(self, workspace, fcs):
        dataset = cm.open_fcs(fcs)
        self.gates = read_flowjo_workspace(workspace, fcs)
        strategy, events = self.gates.strategy, dataset.read_events()
        self.rectangles, self.polygons = {}, {}
        for gate in strategy.gates:
            if isinstance(gate, RectangleGate):
                alone = replace(strategy, gates=(replace(gate, parent="root"),))
                self.rectangles[gate.name] = apply_gates(dataset, alone).members(gate.name)
                continue
            positions = transform_events(events, dataset.detectors, gate.dimensions, strategy)
            biexponential = [isinstance(strategy.transforms[d.transform], Biexponential) for d in gate.dimensions]
            scale = np.where(biexponential, 4096.0, 1.0)
            self.polygons[gate.name] = positions / scale, np.array(gate.vertices) / scale, biexponential
        self.polygon = lru_cache(None)(self.polygon)

    def polygon(self, name, rules, edges) -> np.ndarray:
        positions, vertices, _ = self.polygons[name]
        return polygon_under_rule(positions, vertices, self.gates.bins[name], rules, edges)

    def agrees(self, linear, biexponential, edges) -> bool:
        """True where every count is FlowJo's."""
        members = {"root": True}
        for gate in self.gates.strategy.gates:
            if gate.name in self.polygons:
                rules = tuple(biexponential if is_it else linear for is_it in self.polygons[gate.name][2])
                own = self.polygon(gate.name, rules, edges)
            else:
                own = self.rectangles[gate.name]
            members[gate.name] = own & members[gate.parent]
            if members[gate.name].sum() != self.gates.counts[gate.name]:
                return False
        return True


@pytest.mark.slow
def test_the_rule_of_the_grid_is_as_good_as_the_only_one(shared_data):
    spleen = SampleUnderRules(shared_data / "flowjo-spleen/gating.wsp", shared_data / "flowjo-spleen/68983.fcs")
    rules = list(product(AXIS_RULES, AXIS_RULES, EDGES))
    assert len(rules) == 6144
    fitting = [rule for rule in rules if spleen.agrees(*rule)]
    assert len(fitting) == 6
    folder = shared_data / "flowjo-aurora"
    aurora = [SampleUnderRules(folder / "CellCounts.wsp", folder / name) for name in AURORA]
    predicting = [rule for rule in fitting if all(sample.agrees(*rule) for sample in aurora)]
    assert (("nearest", "nearest", 0), ("down", "down", 0), (1, 1)) in predicting
    assert len(predicting) == 4
