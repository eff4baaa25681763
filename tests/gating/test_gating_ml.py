"""Gating-ML 2.0: the conformance set event for event, round trips, and files that must be refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cytomrd.errors import GateError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.from_flowkit import population_names
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
from cytomrd.gating.gating_ml import gate_ids, read_gating_ml, write_gating_ml
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Asinh, Biexponential, FlowJoLog, Hyperlog, Linear, Log, Logicle

NAMESPACES = (
    'xmlns:gating="http://www.isac-net.org/std/Gating-ML/v2.0/gating" '
    'xmlns:transforms="http://www.isac-net.org/std/Gating-ML/v2.0/transformations" '
    'xmlns:data-type="http://www.isac-net.org/std/Gating-ML/v2.0/datatypes"'
)
RECTANGLE = (
    '<gating:RectangleGate gating:id="{id}">'
    '<gating:dimension gating:compensation-ref="uncompensated" gating:min="1"{more}>'
    '<data-type:fcs-dimension data-type:name="FSC-A"/></gating:dimension></gating:RectangleGate>'
)


@pytest.fixture(scope="module")
def conformance(shared_data) -> Path:
    folder = shared_data / "gating-ml"
    if not folder.is_dir():
        pytest.skip(f"the Gating-ML conformance set is not here: {folder}")
    return folder


def truth_of(folder: Path) -> dict[str, np.ndarray]:
    return {
        path.stem.removeprefix("Results_"): np.loadtxt(path, dtype=np.int64).astype(bool)
        for path in sorted((folder / "truth").glob("Results_*.txt"))
    }


def write_document(path: Path, body: str) -> Path:
    path.write_text(
        f'<?xml version="1.0"?>\n<gating:Gating-ML {NAMESPACES}>{body}</gating:Gating-ML>', encoding="utf-8"
    )
    return path


def flowkit_members(path: Path, events: np.ndarray, detectors) -> dict[str, np.ndarray]:
    """FlowKit's reading and gating of a file, by gate id; quadrants under their own ids."""
    import flowkit

    # FlowKit calls every channel fluorescent that is not named like scatter or time.
    sample = flowkit.Sample(events, sample_id="array", channel_labels=list(detectors))
    return gated_by_flowkit(flowkit.parse_gating_xml(str(path)), sample)


def gated_by_flowkit(strategy, sample) -> dict[str, np.ndarray]:
    results = strategy.gate_sample(sample)
    members = {}
    for name, gate_path in strategy.get_gate_ids():
        try:
            members[name] = np.asarray(results.get_gate_membership(name, gate_path))
        except Exception:
            # A quadrant gate as such has no membership there; its quadrants have.
            assert type(strategy.get_gate(name, gate_path)).__name__ == "QuadrantGate"
    return members


def test_conformance_set_event_for_event(conformance):
    dataset = open_fcs(conformance / "data1.fcs")
    truth = truth_of(conformance)
    strategy = read_gating_ml(conformance / "gml" / "gml_all_gates.xml")
    gated = apply_gates(dataset, strategy)
    tested = {name for name in truth if name in gated.populations}
    for name in tested:
        assert (gated.members(name) == truth[name]).all(), name
    # Two have files of their own; the one's gate bears another name there, see below.
    assert set(truth) - tested == {"Ellipsoid3D", "ParQuadRect"}
    assert "nothing was compensated" in gated.notes[0]


def test_each_conformance_file_alone_and_flowkit_agrees(conformance):
    import flowkit

    dataset = open_fcs(conformance / "data1.fcs")
    sample = flowkit.Sample(conformance / "data1.fcs", sample_id="conformance")
    truth, seen = truth_of(conformance), set()
    for path in sorted((conformance / "gml").glob("*.xml")):
        if path.stem == "gml_range_gate_attr_testing":
            # Invalid on purpose.
            with pytest.raises(GateError, match="not readable"):
                read_gating_ml(path)
            continue
        gated = apply_gates(dataset, read_gating_ml(path))
        theirs = gated_by_flowkit(flowkit.parse_gating_xml(str(path)), sample)
        for name, members in theirs.items():
            assert (gated.members(name) == members).all(), (path.name, name)
        for name in set(truth) & set(gated.populations):
            assert (gated.members(name) == truth[name]).all(), (path.name, name)
            seen.add(name)
        if path.stem == "gml_parent_quadrant_rect_gate":
            assert (gated.members("ParRectangle1") == truth["ParQuadRect"]).all()
            seen.add("ParQuadRect")
    assert len(seen) == 51
    assert seen == set(truth)


def test_conformance_set_survives_writing(conformance, tmp_path):
    dataset = open_fcs(conformance / "data1.fcs")
    strategy = read_gating_ml(conformance / "gml" / "gml_all_gates.xml")
    write_gating_ml(strategy, tmp_path / "gates.xml")
    again = read_gating_ml(tmp_path / "gates.xml")
    assert again.gates == strategy.gates
    assert (apply_gates(dataset, again).codes == apply_gates(dataset, strategy).codes).all()
    import flowkit

    sample = flowkit.Sample(conformance / "data1.fcs", sample_id="conformance")
    theirs = gated_by_flowkit(flowkit.parse_gating_xml(str(tmp_path / "gates.xml")), sample)
    gated = apply_gates(dataset, strategy)
    for name, members in theirs.items():
        assert (gated.members(name) == members).all(), name


def made_up_events() -> np.ndarray:
    rng = np.random.default_rng(5)
    # FlowKit holds arrays as float32: the same numbers for both.
    stained = np.exp(rng.normal(6, 2, (4000, 3))) - 200
    return np.column_stack([rng.normal(5e4, 2e4, (4000, 2)), stained]).astype(np.float32).astype(np.float64)


DETECTORS = ("FSC-A", "SSC-A", "B1-A", "B2-A", "R1-A")


def every_kind() -> GatingStrategy:
    fsc, ssc = Dimension("FSC-A"), Dimension("SSC-A")
    b1, b2, r1 = (Dimension(name, "Our matrix", name) for name in ("B1-A", "B2-A", "R1-A"))
    transforms = {
        "B1-A": Logicle(T=250_000.0, W=0.7),
        "B2-A": Hyperlog(),
        "R1-A": Asinh(A=0.5),
        "lin": Linear(A=100.0),
        "log": Log(),
    }
    quadrants = (
        Quadrant("B1- B2-", (None, None), (0.25, 0.4)),
        Quadrant("B1+ B2-", (0.25, None), (0.6, 0.4)),
        Quadrant("B1++", (0.6, None), (None, None)),
    )
    gates = (
        PolygonGate("CD45+ cells", (fsc, ssc), ((1e4, 1e4), (9e4, 0.5e4), (9.5e4, 9e4), (2e4, 8e4))),
        RectangleGate(
            "1st/steady", (RatioDimension("FSC-A", "SSC-A", 2.0, 5.0, 1.0, "log"),), (-0.2,), (None,), "CD45+ cells"
        ),
        RectangleGate("bright", (b1, r1), (0.3, None), (None, 0.9), "CD45+ cells"),
        RectangleGate("lin", (Dimension("FSC-A", transform="lin"),), (0.1,), (0.3,), "bright"),
        EllipsoidGate("egg", (b1, b2), (0.4, 0.4), ((0.04, 0.01), (0.01, 0.03)), 1.5, "CD45+ cells"),
        QuadrantGate("quadrants", (b1, b2), quadrants, "1st/steady"),
        QuadrantGate(
            "below zero", (Dimension("R1-A"),), (Quadrant("-", (None,), (-20.0,)), Quadrant("+", (-20.0,), (None,)))
        ),
        BooleanGate("both", "and", (Operand("bright"), Operand("egg", True)), "CD45+ cells"),
        BooleanGate("one", "or", (Operand("B1++"),)),
        BooleanGate("not egg", "not", (Operand("egg"),)),
    )
    matrix = Spillover(("B1-A", "B2-A", "R1-A"), [[1, 0.2, 0.01], [0.1, 1, 0.0], [0.0, 0.05, 1]])
    return GatingStrategy(gates, transforms, {"Our matrix": matrix})


def assert_flowkit_agrees(strategy: GatingStrategy, path: Path, events: np.ndarray, **options) -> None:
    gated = apply_gates(ArrayDataset(events, DETECTORS), strategy, **options)
    theirs = flowkit_members(path, events, DETECTORS)
    ids = gate_ids(strategy)
    compared = 0
    for name in gated.populations:
        if ids[name] in theirs:
            assert (gated.members(name) == theirs[ids[name]]).all(), name
            compared += 1
    assert compared == len(theirs)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log10")
def test_every_kind_of_gate_survives_writing_and_flowkit_agrees(tmp_path):
    strategy = every_kind()
    path = tmp_path / "gates.xml"
    write_gating_ml(strategy, path)
    again = read_gating_ml(path)
    assert again.populations == strategy.populations
    events = made_up_events()
    ours = apply_gates(ArrayDataset(events, DETECTORS), strategy)
    read = apply_gates(ArrayDataset(events, DETECTORS), again)
    for name in ours.populations:
        assert 0 < ours.count(name) < len(events) or name == "below zero", name
        assert (read.members(name) == ours.members(name)).all(), name
        assert again.gate_path(name) == strategy.gate_path(name)
    assert_flowkit_agrees(strategy, path, events)
    assert list(tmp_path.iterdir()) == [path]


def test_the_files_own_matrix_can_be_written_into_the_gates(tmp_path):
    gate = RectangleGate("g", (Dimension("B1-A", "FCS"),), (100.0,), (None,))
    matrix = Spillover(("B1-A", "R1-A"), [[1, 0.2], [0.1, 1]])
    write_gating_ml(GatingStrategy((gate,)), tmp_path / "own.xml", spillover=matrix)
    again = read_gating_ml(tmp_path / "own.xml")
    assert again.gates[0].dimensions[0].compensation == "spillover"
    assert (again.spillovers["spillover"].matrix == matrix.matrix).all()
    assert_flowkit_agrees(GatingStrategy((gate,)), tmp_path / "own.xml", made_up_events(), spillover=matrix)
    write_gating_ml(GatingStrategy((gate,)), tmp_path / "fcs.xml")
    assert read_gating_ml(tmp_path / "fcs.xml").gates[0].dimensions[0].compensation == "FCS"


def flowjo_gates() -> GatingStrategy:
    b1, b2 = Dimension("B1-A", transform="biex"), Dimension("B2-A", transform="biex")
    r1, fsc = Dimension("R1-A", transform="fj log"), Dimension("FSC-A")
    biex, log = Biexponential(width=-100.0), FlowJoLog(1.0, 5.0)
    low, high = float(biex.apply(-60.0)), float(biex.apply(5000.0))
    quadrants = (Quadrant("q-", (None,), (low + 300,)), Quadrant("q+", (low + 300,), (None,)))
    gates = (
        RectangleGate("range", (b1,), (low,), (high,)),
        RectangleGate("from the foot", (b1, r1), (0.0, 0.0), (high, 0.5)),
        RectangleGate("only the foot", (r1,), (None,), (0.01,)),
        RectangleGate("beyond", (b2,), (5000.0,), (None,)),
        RectangleGate("short of", (b2,), (None,), (5000.0,)),
        PolygonGate("slanted", (b1, b2), ((low, low), (high, low + 200), (high + 500, high), (low + 100, high + 300))),
        PolygonGate("on the foot", (b1, fsc), ((0, 1e4), (high, 3e4), (low, 8e4), (0, 7e4))),
        PolygonGate("one corner on the foot", (fsc, b1), ((2e4, 0), (8e4, high), (1e4, high + 900))),
        PolygonGate("the whole scale", (b1, b2), ((0, 0), (4096, 0), (4096, 4096), (0, 4096))),
        PolygonGate("log", (fsc, r1), ((1e4, 0.1), (8e4, 0.2), (6e4, 0.9))),
        QuadrantGate("quad", (b1,), quadrants),
    )
    return GatingStrategy(gates, {"biex": biex, "fj log": log})


@pytest.mark.filterwarnings("ignore:invalid value encountered in log10")
def test_flowjo_scales_are_written_as_linear_gates_with_the_same_members(tmp_path):
    strategy, events = flowjo_gates(), made_up_events()
    events[:50, 2] = np.float32(-1e5)
    events[50:100, 3] = np.float32(1e6)
    gated = apply_gates(ArrayDataset(events, DETECTORS), strategy)
    write_gating_ml(strategy, tmp_path / "gates.xml")
    again = apply_gates(ArrayDataset(events, DETECTORS), read_gating_ml(tmp_path / "gates.xml"))
    for name in gated.populations:
        assert (gated.count(name) > 0) == (name != "beyond")
        assert (gated.members(name) == again.members(name)).all(), name
    assert_flowkit_agrees(strategy, tmp_path / "gates.xml", events)


def test_linear_edges_are_exact_to_the_last_bit(tmp_path):
    biex = Biexponential(width=-100.0)
    position = float(biex.apply(777.25))
    gate = RectangleGate("g", (Dimension("B1-A", transform="biex"),), (position,), (None,))
    write_gating_ml(GatingStrategy((gate,), {"biex": biex}), tmp_path / "gates.xml")
    edge = read_gating_ml(tmp_path / "gates.xml").gates[0].minimum[0]
    assert biex.apply(edge) >= position > biex.apply(np.nextafter(edge, -np.inf))


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (
            EllipsoidGate("e", (Dimension("A", transform="b"), Dimension("B")), (1, 1), ((1, 0), (0, 1)), 1.0),
            "ellipsoid",
        ),
        (PolygonGate("p", (Dimension("A", transform="l"), Dimension("B")), ((0, 0), (1, 0), (1, 1))), "logarithm"),
        (PolygonGate("p", (Dimension("A", transform="b"), Dimension("B")), ((-5, 0), (1, 0), (1, 1))), "beyond"),
        (
            QuadrantGate("q", (Dimension("A"),), (Quadrant("a", (None,), (2.0,)), Quadrant("b", (1.0,), (None,)))),
            "spans",
        ),
        (QuadrantGate("q", (Dimension("A"), Dimension("B")), (Quadrant("a", (None, None), (2.0, None)),)), "divides"),
        (RectangleGate("r", (Dimension("A", "m"),), (1.0,), (None,)), "at least 2"),
    ],
)
def test_what_the_standard_cannot_say_is_refused(gate, reason, tmp_path):
    strategy = GatingStrategy((gate,), {"b": Biexponential(), "l": FlowJoLog()}, {"m": Spillover(("A",), [[1.0]])})
    with pytest.raises(GateError, match=reason):
        write_gating_ml(strategy, tmp_path / "gates.xml")
    assert list(tmp_path.iterdir()) == []


def test_ids_are_xml_names_and_unique():
    names = ("CD45+", "CD45pos", "CD45/CD3-", "1st", "a b", "a_b", "Größe", "-")
    strategy = GatingStrategy(tuple(RectangleGate(name, (Dimension("A"),), (1.0,), (None,)) for name in names))
    ids = gate_ids(strategy)
    assert ids == {
        "CD45+": "CD45pos",
        "CD45pos": "CD45pos_2",
        "CD45/CD3-": "CD45.CD3-",
        "1st": "_1st",
        "a b": "a_b",
        "a_b": "a_b_2",
        "Größe": "Gr__e",
        "-": "_-",
    }


def test_names_that_occur_twice_are_told_apart():
    paths = [
        ("root", "A"),
        ("root", "A", "x"),
        ("root", "B"),
        ("root", "B", "x"),
        ("root", "B", "A"),
        ("root", "B", "A", "x"),
    ]
    assert population_names(paths) == {
        paths[0]: "A",
        paths[1]: "A/x",
        paths[2]: "B",
        paths[3]: "B/x",
        paths[4]: "B/A",
        paths[5]: "B/A/x",
    }


def test_flowjos_way_of_leaving_things_out(tmp_path):
    body = (
        '<gating:RectangleGate eventsInside="0" tint="#000000" gating:id="outside">'
        '<gating:dimension gating:min="100"><data-type:fcs-dimension data-type:name="Comp-B1-A"/></gating:dimension>'
        '<gating:dimension gating:max="60000"><data-type:fcs-dimension data-type:name="FSC-A"/></gating:dimension>'
        "</gating:RectangleGate>"
    )
    strategy = read_gating_ml(write_document(tmp_path / "flowjo.xml", body))
    outline = strategy.gate("outside (outline)")
    assert outline.dimensions == (Dimension("B1-A", "FCS"), Dimension("FSC-A", "uncompensated"))
    events = made_up_events()
    gated = apply_gates(ArrayDataset(events, DETECTORS), strategy)
    assert (gated.members("outside") == ~((events[:, 2] >= 100) & (events[:, 0] < 60000))).all()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "no well-formed XML"),
        ("<a><b></a>", "no well-formed XML"),
        ("<a/>", "begins with 'Gating-ML'"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "document type"),
        ('<?xml version="1.0"?><!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>', "document type"),
        (f"<gating:Gating-ML {NAMESPACES}><gating:Wrong/></gating:Gating-ML>", "not readable as Gating-ML 2.0"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_files_that_are_no_gating_ml_are_refused_by_name(content, reason, encoding, tmp_path):
    path = tmp_path / "bad.xml"
    path.write_bytes(content.encode(encoding))
    with pytest.raises(GateError, match=reason) as caught:
        read_gating_ml(path)
    assert "bad.xml" in str(caught.value)


def test_a_missing_file_is_refused_by_name(tmp_path):
    with pytest.raises(GateError, match=r"nowhere\.xml: cannot be read"):
        read_gating_ml(tmp_path / "nowhere.xml")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (RECTANGLE.format(id="a", more="") * 2, "not readable"),
        (RECTANGLE.format(id="a", more=' gating:transformation-ref="t"'), "no transformation 't'"),
        (
            RECTANGLE.format(id="a", more=' gating:transformation-ref="t"')
            + '<transforms:transformation transforms:id="t" transforms:boundMin="0">'
            '<transforms:flin transforms:T="1" transforms:A="0"/></transforms:transformation>',
            "bounded",
        ),
        (RECTANGLE.format(id="a", more="").replace("uncompensated", "unknown"), "no spillover matrix 'unknown'"),
        (RECTANGLE.format(id="a", more="").replace(' gating:min="1"', ""), "no bound at all"),
    ],
)
def test_documents_that_mean_nothing_or_too_much_are_refused(body, reason, tmp_path):
    with pytest.raises(GateError, match=reason) as caught:
        read_gating_ml(write_document(tmp_path / "odd.xml", body))
    assert "odd.xml" in str(caught.value)


def test_an_inverted_matrix_is_refused(tmp_path):
    strategy = every_kind()
    write_gating_ml(strategy, tmp_path / "gates.xml")
    text = (tmp_path / "gates.xml").read_text(encoding="utf-8")
    inverted = text.replace(
        "<transforms:spectrumMatrix", '<transforms:spectrumMatrix transforms:matrix-inverted-already="true"'
    )
    (tmp_path / "inverted.xml").write_text(inverted, encoding="utf-8")
    with pytest.raises(GateError, match="inverted"):
        read_gating_ml(tmp_path / "inverted.xml")
