"""Workspaces that are broken or meant to harm: gates, or an error of ours that names the file, and nothing else."""

from __future__ import annotations

import copy
import random
import re

import numpy as np
import pytest
from lxml import etree

import cytomrd as cm
from cytomrd.errors import CytomrdError, GateError
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.flowjo import FlowJoGates, read_flowjo_workspace
from cytomrd.gating.flowjo_export import write_flowjo_workspace
from cytomrd.gating.gates import BooleanGate, Dimension, GatingStrategy, Operand, PolygonGate, RectangleGate
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Biexponential, Linear, Logicle

DETECTORS = ("FSC-A", "SSC-A", "PE-A", "APC-A")
VALUES = (
    "", " ", "-", "nan", "inf", "-1e999", "0", "-1", "1", "2", "²", "1_0", "9" * 5000, "(a+)+$", "Comp-", "a/b", "root",
    "PE-A", "Comp-PE-A", "scatter", "tube.fcs", "x" * 100_000, "☃",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small file and a workspace with every kind of gate: (file, bytes of the workspace)."""
    folder = tmp_path_factory.mktemp("hostile")
    events = np.random.default_rng(1).lognormal(8.0, 1.0, (300, 4))
    matrix = Spillover(("PE-A", "APC-A"), np.array([[1, 0.3], [0.05, 1]]))
    cm.write_fcs(folder / "tube.fcs", events, DETECTORS, spillover=matrix)
    pe, apc, fsc = (
        Dimension("PE-A", "FCS", "biex"),
        Dimension("APC-A", "FCS", "logicle"),
        Dimension("FSC-A", transform="l"),
    )
    gates = (
        PolygonGate("scatter", (fsc, Dimension("SSC-A")), ((0.0, 0.0), (0.5, 0.0), (0.3, 1e5))),
        PolygonGate("dyes", (pe, apc), ((100.0, 0.1), (3000.0, 0.2), (1500.0, 0.9)), "scatter"),
        RectangleGate("PE+", (pe, apc, fsc), (1200.0, None, 0.0), (None, 0.9, None), "scatter"),
        BooleanGate("both", "and", (Operand("dyes"), Operand("PE+", complement=True)), "scatter"),
        RectangleGate("last", (apc,), (0.1,), (None,), "both"),
    )
    strategy = GatingStrategy(gates, {"biex": Biexponential(width=-100.0), "logicle": Logicle(), "l": Linear()})
    assert len(write_flowjo_workspace(strategy, cm.open_fcs(folder / "tube.fcs"), folder / "gates.wsp")) == 2
    return folder / "tube.fcs", (folder / "gates.wsp").read_bytes()


def read_or_refused(path, fcs) -> FlowJoGates | None:
    """The gates, applied where they fit; None where the file was refused by name."""
    try:
        gates = read_flowjo_workspace(path, fcs.name)
    except CytomrdError as error:
        assert str(path) in str(error)
        return None
    try:
        apply_gates(cm.open_fcs(fcs), gates.strategy)
    except CytomrdError:
        return None
    return gates


def mutated(data: bytes, seed: int) -> bytes:
    """The workspace with up to three changes to its tree, or to its bytes."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        at = rng.randrange(len(data))
        return data[:at] if rng.random() < 0.5 else data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    root = etree.fromstring(data)
    for _ in range(rng.randint(1, 3)):
        sample = root.find("SampleList/Sample")
        elements = [e for e in (root if sample is None else sample).iter() if e.getparent() is not None]
        if not elements:
            break
        one, other = rng.choice(elements), rng.choice(elements)
        change = rng.choice(("drop", "attribute", "attribute", "attribute", "no attribute", "twice", "move", "tag"))
        if change == "drop":
            one.getparent().remove(one)
        elif change == "attribute" and one.attrib:
            one.set(rng.choice(list(one.attrib)), rng.choice((*VALUES, *other.attrib.values())))
        elif change == "no attribute" and one.attrib:
            del one.attrib[rng.choice(list(one.attrib))]
        elif change == "twice":
            one.getparent().append(copy.deepcopy(one))
        elif change == "move" and one not in other.iterancestors() and one is not other:
            other.append(one)
        elif change == "tag":
            one.tag = rng.choice((other.tag, "Odd", f"{one.tag}2"))
    return etree.tostring(root)


def try_mutations(data: bytes, fcs, folder, seeds) -> int:
    """How many of the mutated workspaces were read."""
    path = folder / "odd.wsp"
    n_read = 0
    for seed in seeds:
        path.write_bytes(mutated(data, seed))
        try:
            n_read += read_or_refused(path, fcs) is not None
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return n_read


@pytest.mark.filterwarnings("ignore")
def test_mutations_of_a_written_workspace(written, tmp_path):
    fcs, data = written
    assert read_or_refused(_put(tmp_path, data), fcs) is not None
    assert try_mutations(data, fcs, tmp_path, range(150)) > 30


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("which", ["written", "flowjo-spleen/gating.wsp", "flowjo-aurora/CellCounts.wsp"])
def test_many_mutations(written, shared_data, which, tmp_path):
    fcs, data = written
    if which != "written":
        data = (shared_data / which).read_bytes()
        name = "68983.fcs" if "spleen" in which else "CellCounts4L-NY072-1.fcs"
        fcs = (shared_data / which).with_name(name)
    assert try_mutations(data, fcs, tmp_path, range(1500 if which == "written" else 300)) > 50


def _put(folder, data: bytes):
    path = folder / "odd.wsp"
    path.write_bytes(data)
    return path


def edited(data: bytes, edit) -> bytes:
    root = etree.fromstring(data)
    edit(root)
    return etree.tostring(root)


def named(root, name: str):
    return next(e for e in root.iter("Population", "AndNode", "NotNode") if e.get("name") == name)


def test_entities_and_foreign_files(written, tmp_path):
    fcs, data = written
    bomb = b'<!DOCTYPE W [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
    outside = b'<!DOCTYPE W [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    for bad in (bomb, outside):
        with pytest.raises(GateError, match="declares a document type"):
            read_flowjo_workspace(_put(tmp_path, data.replace(b"<Workspace", bad + b"<Workspace", 1)), fcs)
    for bad in (b"", b"<Workspace/>", b"\x00" * 100, data[:500], data.replace(b"UTF-8", b"ebcdic-x", 1)):
        assert read_or_refused(_put(tmp_path, bad), fcs) is None
    deep = b"<Workspace>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</Workspace>"
    assert read_or_refused(_put(tmp_path, deep), fcs) is None


def test_malformed_gates_are_left_out_with_their_place(written, tmp_path):
    fcs, data = written

    def first(root, name, tag):
        return next(named(root, name).find("Gate").iter(f"{{*}}{tag}"))

    def set_value(element, value):
        for key in element.attrib:
            element.set(key, value)

    edits = {
        "stands where a number is wanted": lambda r: set_value(first(r, "dyes", "coordinate"), "1e999"),
        "a polygon of 2 vertices": lambda r: (v := first(r, "dyes", "vertex")).getparent().remove(v),
        "channels \\(PE-A, \\)": lambda r: set_value(list(named(r, "dyes").iter("{*}fcs-dimension"))[1], ""),
        "the file has no channel Derived": lambda r: set_value(first(r, "dyes", "fcs-dimension"), "Derived"),
        "it has no name": lambda r: named(r, "dyes").set("name", ""),
        "no gate": lambda r: named(r, "dyes").remove(named(r, "dyes").find("Gate")),
        "eventsInside is 'yes'": lambda r: first(r, "dyes", "PolygonGate").set("eventsInside", "yes"),
    }
    for reason, edit in edits.items():
        gates = read_flowjo_workspace(_put(tmp_path, edited(data, edit)), fcs)
        assert {"scatter", "PE+"} <= set(gates.strategy.populations)
        # What refers to the gate falls with it, and what lies below that is not listed again.
        assert [s.path[-1] for s in gates.skipped] == ["" if "no name" in reason else "dyes", "both"], reason
        assert re.search(reason, gates.notes[0])


def test_names_twice_and_circles(written, tmp_path):
    fcs, data = written

    def twice(root):
        node = named(root, "dyes")
        node.getparent().append(copy.deepcopy(node))

    gates = read_flowjo_workspace(_put(tmp_path, edited(data, twice)), fcs)
    assert [(s.path, s.reason) for s in gates.skipped] == [
        (("scatter", "dyes"), "another population of that name stands at the same place")
    ]

    def circle(root):
        next(named(root, "both").iter("Dependent")).set("name", "scatter/both/last")

    with pytest.raises(GateError, match=r"odd\.wsp"):
        read_flowjo_workspace(_put(tmp_path, edited(data, circle)), fcs)
