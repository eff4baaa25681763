"""FlowJo workspaces: FlowJo's own counts, FlowKit's memberships, and what is left out with a note."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from cytomrd.errors import GateError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.flowjo import read_flowjo_workspace
from cytomrd.gating.gates import Dimension, PolygonGate, RectangleGate
from cytomrd.gating.gating_ml import gate_ids, read_gating_ml, write_gating_ml
from cytomrd.gating.xml_files import DATATYPES, TRANSFORMATIONS

NAME = f"{{{DATATYPES}}}name"

# FlowJo decides polygons on a grid; this is how far its counts may be from exact geometry.
MOST_EDGE_EVENTS = 13
AURORA = ["CellCounts4L-NY071-1.fcs", "CellCounts4L-NY072-1.fcs"]


@pytest.fixture(scope="module")
def spleen(shared_data) -> Path:
    return folder_of(shared_data, "flowjo-spleen")


@pytest.fixture(scope="module")
def aurora(shared_data) -> Path:
    return folder_of(shared_data, "flowjo-aurora")


def folder_of(shared_data: Path, name: str) -> Path:
    folder = shared_data / name
    if not folder.is_dir():
        pytest.skip(f"the FlowJo files are not here: {folder}")
    return folder


def flowkit_sample(path: Path):
    import flowkit

    # Ids are given: FlowKit keys samples by $FIL, which two files may share.
    return flowkit.Sample(path, sample_id=path.name)


def flowkit_results(workspace: Path, fcs: Path):
    import flowkit

    theirs = flowkit.Workspace(workspace, [flowkit_sample(fcs)])
    theirs.analyze_samples(sample_id=fcs.name, use_mp=False)
    return theirs.get_gating_results(fcs.name)


@pytest.mark.filterwarnings("ignore:WSP references")
def test_spleen_workspace_against_flowjos_counts_and_flowkits_members(spleen):
    fcs = spleen / "68983.fcs"
    imported = read_flowjo_workspace(spleen / "gating.wsp", fcs)
    assert imported.notes == ()
    assert imported.sample == "68983.fcs"
    gated = apply_gates(open_fcs(fcs), imported.strategy)
    theirs = flowkit_results(spleen / "gating.wsp", fcs)
    assert set(imported.counts) == set(gated.populations)
    assert len(gated.populations) == 15
    for name in gated.populations:
        assert (gated.members(name) == theirs.get_gate_membership(name)).all(), name
        assert abs(gated.count(name) - imported.counts[name]) <= MOST_EDGE_EVENTS, name
    assert gated.count("Lymphocytes") - imported.counts["Lymphocytes"] == MOST_EDGE_EVENTS
    # Rectangles that none of the 13 events at the outermost polygon's edge reaches are exact.
    for name in ("NK1_1+", "NK cells", "NK T cells", "CD8 T cells", "DP T cells"):
        assert isinstance(imported.strategy.gate(name), RectangleGate)
        assert gated.count(name) == imported.counts[name]


def test_spleen_workspace_written_as_gating_ml_gives_flowkit_the_same_events(spleen, tmp_path):
    import flowkit

    fcs = spleen / "68983.fcs"
    strategy = read_flowjo_workspace(spleen / "gating.wsp", fcs).strategy
    assert any(isinstance(gate, PolygonGate) for gate in strategy.gates)
    write_gating_ml(strategy, tmp_path / "gates.xml")
    dataset = open_fcs(fcs)
    gated = apply_gates(dataset, strategy)
    again = apply_gates(dataset, read_gating_ml(tmp_path / "gates.xml"))
    theirs = flowkit.parse_gating_xml(str(tmp_path / "gates.xml")).gate_sample(flowkit_sample(fcs))
    for name, gate_id in gate_ids(strategy).items():
        assert (again.members(name) == gated.members(name)).all(), name
        assert (theirs.get_gate_membership(gate_id) == gated.members(name)).all(), name


def test_spleen_gating_ml_uses_the_files_own_matrix_and_flowkit_agrees(spleen, tmp_path):
    import flowkit

    fcs = spleen / "68983.fcs"
    strategy = read_gating_ml(spleen / "manualGating.xml")
    channels = {d.channel: d.compensation for gate in strategy.gates for d in gate.dimensions}
    assert channels["PE-A"] == channels["APC-A"] == "FCS"
    assert channels["FSC-A"] == "uncompensated"
    gated = apply_gates(open_fcs(fcs), strategy)
    # FlowKit refuses FlowJo's export; it reads what we write from it.
    with pytest.raises(ValueError, match="neither GatingML"):
        flowkit.parse_gating_xml(str(spleen / "manualGating.xml"))
    write_gating_ml(strategy, tmp_path / "gates.xml")
    theirs = flowkit.parse_gating_xml(str(tmp_path / "gates.xml")).gate_sample(flowkit_sample(fcs))
    for name, gate_id in gate_ids(strategy).items():
        assert (theirs.get_gate_membership(gate_id) == gated.members(name)).all(), name
    # The rectangles that both files hold, and the labels that FlowJo gave the cells.
    workspace = apply_gates(open_fcs(fcs), read_flowjo_workspace(spleen / "gating.wsp", fcs).strategy)
    for name, same in (("ID1073341880", "Singlets"), ("ID325928510", "Singlets2"), ("ID2056235295", "NK1_1-")):
        assert (gated.members(name) == workspace.members(same)).all()
    labels = np.array((spleen / "gatingResult.csv").read_text(encoding="utf-8").replace('"', "").split("\n")[:19225])
    for name, label in (
        ("NK T cells", "NK T cells"),
        ("NK cells", "NK cells"),
        ("B cells", "B cells"),
        ("gd T cells", "gd T cells"),
    ):
        assert (workspace.members(name) == (labels == label)).all()
    assert (workspace.members("CD8 T cells") == (labels == "CD8 T cells")).all()
    for name, label in (("ID52300206", "B cells"), ("ID188379411", "gd T cells"), ("ID1229333490", "NK cells")):
        # These polygons were drawn anew for the Gating-ML file; they hold the same cells but for a few.
        assert (gated.members(name) & (labels == label)).sum() > 0.98 * (labels == label).sum()


@pytest.mark.filterwarnings("ignore:WSP references")
@pytest.mark.parametrize("name", AURORA)
def test_aurora_workspace_against_flowjos_counts_and_flowkits_members(aurora, name, tmp_path):
    import flowkit

    imported = read_flowjo_workspace(aurora / "CellCounts.wsp", aurora / name)
    gated = apply_gates(open_fcs(aurora / name), imported.strategy)
    theirs = flowkit_results(aurora / "CellCounts.wsp", aurora / name)
    for population in ("Margin", "CD45+"):
        assert (gated.members(population) == theirs.get_gate_membership(population)).all()
    assert gated.count("Margin") == imported.counts["Margin"]
    assert abs(gated.count("CD45+") - imported.counts["CD45+"]) <= MOST_EDGE_EVENTS
    assert imported.counts["CD45+"] == {AURORA[0]: 2193, AURORA[1]: 2983}[name]
    write_gating_ml(imported.strategy, tmp_path / "gates.xml")
    written = flowkit.parse_gating_xml(str(tmp_path / "gates.xml")).gate_sample(flowkit_sample(aurora / name))
    assert (written.get_gate_membership("CD45pos") == gated.members("CD45+")).all()


def test_every_sample_of_every_workspace_is_imported(shared_data):
    workspaces = sorted(shared_data.rglob("*.wsp"))
    n_samples = 0
    for workspace in workspaces:
        for node in etree.parse(workspace).iter("SampleNode"):
            imported = read_flowjo_workspace(workspace, node.get("name"))
            assert imported.notes == ()
            assert set(imported.paths) == set(imported.strategy.populations)
            assert len(imported.paths) == len(list(node.iter("Population")))
            n_samples += 1
    assert n_samples >= len(workspaces)


def edited(workspace: Path, target: Path, edit) -> Path:
    tree = etree.parse(workspace)
    edit(tree.getroot())
    tree.write(target)
    return target


def population(root, name: str):
    return next(element for element in root.iter("Population") if element.get("name") == name)


def scale(root, name: str):
    scales = root.find("SampleList/Sample/Transformations")
    return next(e for e in scales if e[0].get(NAME) == name)


def test_what_cannot_be_taken_over_is_left_out_with_a_note(spleen, tmp_path):
    def edit(root):
        shape = population(root, "B cells").find("Gate")[0]
        shape.tag = shape.tag.replace("RectangleGate", "CurlyQuadGate")
        biex = scale(root, "Comp-APC-A")
        biex.tag = biex.tag.replace("biex", "miltenyi")

    path = edited(spleen / "gating.wsp", tmp_path / "odd.wsp", edit)
    imported = read_flowjo_workspace(path, "68983.fcs")
    assert set(imported.strategy.populations) == {
        "Lymphocytes", "Singlets", "Singlets2", "NK1_1+", "NK cells", "NK T cells", "NK1_1-", "T cells",
    }  # fmt: skip
    notes = "\n".join(imported.notes)
    assert "B cells and those below it left out: CurlyQuadGate" in notes
    assert "ab T cells and those below it left out: the scale of" in notes
    assert [(s.path[-1], s.kind) for s in imported.skipped] == [
        ("B cells", "CurlyQuadGate"),
        ("ab T cells", "PolygonGate"),
        ("gd T cells", "PolygonGate"),
    ]


def test_a_rectangle_needs_no_scale(spleen, tmp_path):
    def edit(root):
        for name in ("Comp-PE-Cy7-A", "Comp-PE-A"):
            scale(root, name).tag = scale(root, name).tag.replace("biex", "miltenyi")

    imported = read_flowjo_workspace(edited(spleen / "gating.wsp", tmp_path / "odd.wsp", edit), "68983.fcs")
    assert imported.notes == ()
    assert apply_gates(open_fcs(spleen / "68983.fcs"), imported.strategy).count("NK T cells") == 535


def test_compensation_and_scale_are_those_of_the_name(spleen, tmp_path):
    def edit(root):
        # FITC-A and Comp-FITC-A are two channels, each on a scale of its own.
        scale(root, "APC-A").set(f"{{{TRANSFORMATIONS}}}width", "-10")
        for channel in population(root, "NK1_1+").iter("{*}fcs-dimension"):
            channel.set(NAME, channel.get(NAME).replace("Comp-PE-Cy7-A", "PE-Cy7-A"))

    dataset = open_fcs(spleen / "68983.fcs")
    plain = read_flowjo_workspace(spleen / "gating.wsp", "68983.fcs").strategy
    imported = read_flowjo_workspace(edited(spleen / "gating.wsp", tmp_path / "odd.wsp", edit), "68983.fcs").strategy
    assert imported.gate("NK T cells").dimensions[0].channel == "PE-Cy7-A"
    assert imported.gate("NK T cells").dimensions[0].compensation == "uncompensated"
    assert imported.gate("NK T cells").dimensions[1].compensation == "Acquisition-defined"
    assert imported.gate("B cells").dimensions[1].compensation == "Acquisition-defined"
    gated, before = apply_gates(dataset, imported), apply_gates(dataset, plain)
    for name in ("NK1_1+", "T cells", "ab T cells", "gd T cells"):
        assert (gated.members(name) == before.members(name)).all(), name
    raw = dataset.read_events(["PE-Cy7-A"])[:, 0]
    pe = transform_events(
        dataset.read_events(), dataset.detectors, [Dimension("PE-A", "Acquisition-defined")], imported
    )[:, 0]
    inside = (raw >= 720.7030297295299) & (raw < 20417.303982270198) & (pe >= 2110.579281909504)
    inside &= pe < 59245.52086919367
    assert (gated.members("NK T cells") == (before.members("NK1_1+") & inside)).all()


def test_same_names_complements_and_booleans(spleen, tmp_path):
    def edit(root):
        population(root, "NK T cells").set("name", "NK cells+")
        population(root, "B cells").set("name", "NK cells+")
        population(root, "CD8 T cells").find("Gate")[0].set("eventsInside", "0")
        above = population(root, "Singlets2")
        children = above.find("Subpopulations")
        for kind, name, dependents in (
            ("OrNode", "either", ["NK1_1+/NK cells", "NK1_1-/T cells"]),
            ("NotNode", "lost", ["NK1_1-/Nowhere"]),
        ):
            node = etree.SubElement(children, kind, name=name, owningGroup="")
            below = etree.SubElement(node, "Dependents")
            for dependent in dependents:
                etree.SubElement(below, "Dependent", name=f"Lymphocytes/Singlets/Singlets2/{dependent}")

    imported = read_flowjo_workspace(edited(spleen / "gating.wsp", tmp_path / "odd.wsp", edit), "68983.fcs")
    dataset = open_fcs(spleen / "68983.fcs")
    plain = apply_gates(dataset, read_flowjo_workspace(spleen / "gating.wsp", "68983.fcs").strategy)
    gated = apply_gates(dataset, imported.strategy)
    assert (gated.members("NK1_1+/NK cells+") == plain.members("NK T cells")).all()
    assert (gated.members("NK1_1-/NK cells+") == plain.members("B cells")).all()
    assert imported.counts["NK1_1-/NK cells+"] == 2459
    assert (gated.members("CD8 T cells") == plain.members("ab T cells") & ~plain.members("CD8 T cells")).all()
    assert (gated.members("either") == plain.members("NK cells") | plain.members("T cells")).all()
    assert len(imported.notes) == 1
    assert "lost and those below it left out: it refers to" in imported.notes[0]


def test_a_sample_is_found_by_the_file_that_it_was_loaded_from(spleen):
    assert read_flowjo_workspace(spleen / "gating.wsp", "lymphocytes.fcs").sample == "68983.fcs"


def test_workspaces_that_do_not_fit_are_refused_by_name(spleen, tmp_path):
    with pytest.raises(GateError, match=r"'other\.fcs' is there 0 times, once is needed; the workspace has 68983\.fcs"):
        read_flowjo_workspace(spleen / "gating.wsp", "other.fcs")
    with pytest.raises(GateError, match="begins with 'Workspace'"):
        read_flowjo_workspace(spleen / "manualGating.xml", "68983.fcs")

    def older(root):
        root.set("flowJoVersion", "9.9")

    with pytest.raises(GateError, match=r"old\.wsp: not readable as a FlowJo 10 workspace"):
        read_flowjo_workspace(edited(spleen / "gating.wsp", tmp_path / "old.wsp", older), "68983.fcs")

    def spectral(root):
        for matrix in root.iter("{*}spilloverMatrix"):
            matrix.set("spectral", "1")
            matrix.set("weightOptAlgorithmType", "OLS")

    with pytest.raises(GateError, match="spectral"):
        read_flowjo_workspace(edited(spleen / "gating.wsp", tmp_path / "spectral.wsp", spectral), "68983.fcs")
