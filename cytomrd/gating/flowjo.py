"""FlowJo 10 workspaces: one sample's gates as a strategy, and what could not be taken over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from cytomrd.errors import CytomrdError, GateError
from cytomrd.gating.from_flowkit import population_names, strategy_from_flowkit
from cytomrd.gating.gates import GatingStrategy
from cytomrd.gating.xml_files import DATATYPES, local_name, read_xml

__all__ = ["FlowJoGates", "read_flowjo_workspace"]

SHAPES = ("RectangleGate", "PolygonGate", "EllipsoidGate")
SCALES = ("linear", "log", "logicle", "biex", "fasinh")
BOOLEANS = ("AndNode", "OrNode", "NotNode")
NAME = f"{{{DATATYPES}}}name"


@dataclass(frozen=True)
class FlowJoGates:
    """What a workspace says about one sample.

    Attributes
    ----------
    strategy
        The gates. FlowJo's ellipses come as polygons of 128 vertices.
    counts
        Population name to the number of events that FlowJo counted, where it did.
    notes
        What was left out and why, one sentence each; empty if nothing was.
    sample
        Name of the sample in the workspace.
    """

    strategy: GatingStrategy
    counts: Mapping[str, int]
    notes: tuple[str, ...]
    sample: str


def read_flowjo_workspace(path: str | Path, sample: str | Path) -> FlowJoGates:
    """Read one sample's gates from a FlowJo 10 workspace (``.wsp``).

    Parameters
    ----------
    path
        The workspace.
    sample
        The FCS file or its name. It is looked for among the workspace's sample names, and
        then among the names of the files that the samples were loaded from.

    Returns
    -------
    FlowJoGates
        Gates on scales or of shapes that are not supported are left out with everything below
        them, and noted.

    Raises
    ------
    GateError
        If the file is no FlowJo 10 workspace, the sample is not in it or is in it twice, or its
        matrix is spectral; the message names the file.

    Notes
    -----
    FlowJo gates on a grid of 256 (or 1024) bins; here polygons are exact, so a count may differ
    by the few events next to an edge.
    """
    try:
        return _read(Path(path), Path(sample).name)
    except CytomrdError as error:
        if str(path) not in str(error):
            error.add_note(f"in the FlowJo workspace {path}")
        raise


def _read(path: Path, wanted: str) -> FlowJoGates:
    tree = read_xml(path)
    root = tree.getroot()
    if local_name(root) != "Workspace":
        raise GateError(f"{path}: the root element is {local_name(root)!r}; a FlowJo workspace begins with 'Workspace'")
    sample = _keep_only(root, wanted, path)
    node = sample.find("SampleNode")
    notes = _prune(sample, node)
    counts = dict(_counts(node))
    name = node.get("name")
    strategy = strategy_from_flowkit(
        _parsed(tree, path, name), sample_id=name, detector_of=_detectors(sample), source=path.name
    )
    return FlowJoGates(strategy, counts, tuple(notes), name)


def _parsed(tree, path: Path, name: str):
    import flowkit
    from lxml import etree

    data = BytesIO(etree.tostring(tree, encoding="utf-8", xml_declaration=True))
    try:
        return flowkit.Workspace(data, load_missing_file_data=True).get_gating_strategy(name)
    except Exception as error:
        raise GateError(f"{path}: not readable as a FlowJo 10 workspace: {error or type(error).__name__}") from error


def _keep_only(root, wanted: str, path: Path):
    """Take all samples but one out of the tree, so that what is odd about the others does no harm."""
    samples = [sample for sample in root.findall("SampleList/Sample") if sample.find("SampleNode") is not None]
    named = [s for s in samples if s.find("SampleNode").get("name") == wanted]
    named = named or [s for s in samples if _file_name(s) == wanted]
    if len(named) != 1:
        known = ", ".join(s.find("SampleNode").get("name", "?") for s in samples)
        raise GateError(
            f"{path}: sample {wanted!r} is there {len(named)} times, once is needed; the workspace has {known}"
        )
    chosen = named[0]
    for other in root.findall("SampleList/Sample"):
        if other is not chosen:
            other.getparent().remove(other)
    for reference in root.findall("Groups/GroupNode/Group/SampleRefs/SampleRef"):
        if reference.get("sampleID") != chosen.find("SampleNode").get("sampleID"):
            reference.getparent().remove(reference)
    # A group's own copy of the gates is never used: each sample holds its whole tree.
    for group in root.findall("Groups/GroupNode"):
        for copies in group.findall("Subpopulations"):
            group.remove(copies)
    return chosen


def _file_name(sample) -> str:
    data = sample.find("DataSet")
    uri = unquote(data.get("uri", "")) if data is not None else ""
    return PurePosixPath(PureWindowsPath(uri).as_posix()).name


def _detectors(sample) -> dict[str, str]:
    """FlowJo's channel name (slashes turned into underscores) to ``$PnN``."""
    keywords = {k.get("name", "").strip(): k.get("value", "") for k in sample.findall("Keywords/Keyword")}
    names = [value for key, value in keywords.items() if re.fullmatch(r"\$P[0-9]+N", key)]
    return {name.replace("/", "_"): name for name in names}


def _prune(sample, node) -> list[str]:
    """Remove gates that cannot be taken over, with all below them; one note for each."""
    notes = []
    lost_scales = set()
    for scale in list(sample.find("Transformations") if sample.find("Transformations") is not None else ()):
        kind = local_name(scale)
        if kind not in SCALES or (kind == "biex" and not _has_length(scale, "256")):
            lost_scales |= {parameter.get(NAME) for parameter in scale.iter(f"{{{DATATYPES}}}parameter")}
            scale.getparent().remove(scale)
    matrix = next((e for e in sample if local_name(e) == "spilloverMatrix"), None)
    prefix, suffix = ("", "") if matrix is None else (matrix.get("prefix", ""), matrix.get("suffix", ""))
    for population in list(node.iter("Population")):
        reason = _why_not(population, lost_scales, prefix, suffix)
        if reason:
            notes.append(f"population {'/'.join(_path(population))} and those below it left out: {reason}")
            population.getparent().remove(population)
    # A boolean population falls with what it refers to, and may take another one with it.
    while True:
        there = {"/".join(_path(e)) for e in node.iter("Population", *BOOLEANS)}
        broken = next((b for b in node.iter(*BOOLEANS) if _operands(b) - there), None)
        if broken is None:
            return notes
        lost = ", ".join(sorted(_operands(broken) - there))
        notes.append(f"population {'/'.join(_path(broken))} and those below it left out: it refers to {lost}")
        broken.getparent().remove(broken)


def _has_length(scale, length: str) -> bool:
    return any(key.rpartition("}")[2] == "length" and value == length for key, value in scale.attrib.items())


def _why_not(population, lost_scales, prefix: str, suffix: str) -> str:
    gate = population.find("Gate")
    shape = None if gate is None or len(gate) != 1 else gate[0]
    if shape is None or local_name(shape) not in SHAPES:
        kind = "no gate" if shape is None else local_name(shape)
        return f"{kind}; {', '.join(SHAPES)} and boolean gates are supported"
    for channel in shape.iter(f"{{{DATATYPES}}}fcs-dimension"):
        name = channel.get(NAME, "")
        if {name, name.removeprefix(prefix).removesuffix(suffix)} & lost_scales:
            return f"the scale of {name} is not one of {', '.join(SCALES)} (biex with 256 channels)"
    return ""


def _path(element) -> tuple[str, ...]:
    """Names from the first population down to this one."""
    above = [e for e in element.iterancestors() if local_name(e) in ("Population", *BOOLEANS)]
    return tuple(e.get("name", "") for e in [*reversed(above), element])


def _operands(node) -> set[str]:
    return {dependent.get("name", "") for dependent in node.findall("Dependents/Dependent")}


def _counts(node):
    populations = list(node.iter("Population", *BOOLEANS))
    names = population_names([_path(e) for e in populations])
    for element in populations:
        if element.get("count", "").isdigit():
            yield names[_path(element)], int(element.get("count"))
