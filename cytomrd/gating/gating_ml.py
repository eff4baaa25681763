"""Gating-ML 2.0: reading a strategy from a file and writing one that FlowKit and others re-read."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from cytomrd.errors import CytomrdError, GateError
from cytomrd.gating.from_flowkit import OUTLINE, strategy_from_flowkit
from cytomrd.gating.gates import FROM_FILE, UNCOMPENSATED, GatingStrategy
from cytomrd.gating.gating_ml_export import gate_ids, write_gating_ml
from cytomrd.gating.renaming import rename_populations
from cytomrd.gating.xml_files import DATATYPES, GATING, TRANSFORMATIONS, local_name, read_xml

__all__ = ["gate_ids", "read_gating_ml", "write_gating_ml"]

# What FlowJo puts before the name of a compensated channel.
COMPENSATED_PREFIX = "Comp-"


def read_gating_ml(path: str | Path) -> GatingStrategy:
    """Read a Gating-ML 2.0 file.

    Parameters
    ----------
    path
        The file. FlowJo's exports, which leave out how a channel is compensated, are read as
        FlowJo means them: ``Comp-X`` is channel X compensated with the file's own matrix, any
        other channel is uncompensated, and ``eventsInside="0"`` is the outside of a shape.

    Returns
    -------
    GatingStrategy
        Population names are the gates' ids, or the names that cytomrd wrote beside them.

    Raises
    ------
    GateError
        If the file is no Gating-ML 2.0, declares a DTD or entities, or uses what is not
        supported (bounded transformations, spectral matrices); the message names the file.
    """
    try:
        return _read(path)
    except CytomrdError as error:
        if str(path) not in str(error):
            error.add_note(f"in the gating file {path}")
        raise


def _read(path: str | Path) -> GatingStrategy:
    tree = read_xml(path)
    root = tree.getroot()
    if root.tag != f"{{{GATING}}}Gating-ML":
        raise GateError(f"{path}: the root element is {local_name(root)!r}; Gating-ML 2.0 begins with 'Gating-ML'")
    outside = _as_flowjo_means(root)
    _refuse_what_is_not_read(root)
    names = _written_names(root)
    given = _parsed(tree, path)
    strategy = strategy_from_flowkit(given, outside=outside, source=Path(path).name)
    return rename_populations(_in_order_of_the_file(strategy, root), names)


def _parsed(tree, path):
    """FlowKit's reading of the tree, its many kinds of error made one."""
    from flowkit import parse_gating_xml
    from lxml import etree

    try:
        return parse_gating_xml(BytesIO(etree.tostring(tree, encoding="utf-8", xml_declaration=True)))
    except Exception as error:
        raise GateError(f"{path}: not readable as Gating-ML 2.0: {error or type(error).__name__}") from error


def _as_flowjo_means(root) -> set[str]:
    """Fill in the compensation references that FlowJo leaves out; the ids of gates that mean their outside."""
    name, reference = f"{{{DATATYPES}}}name", f"{{{GATING}}}compensation-ref"
    for dimension in root.iter(f"{{{GATING}}}dimension", f"{{{GATING}}}divider"):
        if reference in dimension.attrib:
            continue
        dimension.set(reference, UNCOMPENSATED)
        for channel in dimension.iter(f"{{{DATATYPES}}}fcs-dimension"):
            if channel.get(name, "").startswith(COMPENSATED_PREFIX):
                channel.set(name, channel.get(name).removeprefix(COMPENSATED_PREFIX))
                dimension.set(reference, FROM_FILE)
    return {gate.get(f"{{{GATING}}}id") for gate in root if gate.get("eventsInside") == "0"}


def _refuse_what_is_not_read(root) -> None:
    """Parts of the standard that FlowKit passes over without a word would change the result."""
    for transform in root.iter(f"{{{TRANSFORMATIONS}}}transformation"):
        if any(f"{{{TRANSFORMATIONS}}}{bound}" in transform.attrib for bound in ("boundMin", "boundMax")):
            key = transform.get(f"{{{TRANSFORMATIONS}}}id")
            raise GateError(f"transformation {key!r} is bounded (boundMin, boundMax); only unbounded ones are read")
    for matrix in root.iter(f"{{{TRANSFORMATIONS}}}spectrumMatrix"):
        if matrix.get(f"{{{TRANSFORMATIONS}}}matrix-inverted-already") in ("true", "1"):
            key = matrix.get(f"{{{TRANSFORMATIONS}}}id")
            raise GateError(f"matrix {key!r} is given inverted; write the spillover matrix itself into the file")


def _written_names(root) -> dict[str, str]:
    """Id to population name, where :func:`write_gating_ml` noted one."""
    names = {}
    for note in root.iter("population"):
        if note.get("id") and note.get("name"):
            names[note.get("id")] = note.get("name")
    return names


def _in_order_of_the_file(strategy: GatingStrategy, root) -> GatingStrategy:
    """FlowKit groups gates by their kind; a person's order is the file's."""
    place = {gate.get(f"{{{GATING}}}id"): i for i, gate in enumerate(root)}
    outlined = {OUTLINE.format(gate_id): i for gate_id, i in place.items()}
    gates = sorted(strategy.gates, key=lambda gate: (place | outlined)[gate.name])
    return GatingStrategy(tuple(gates), strategy.transforms, strategy.spillovers)
