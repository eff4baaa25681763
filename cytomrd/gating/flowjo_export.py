"""Writing a FlowJo 10 workspace: one sample with its gates, and word of what FlowJo cannot hold.

Our own writer, as for Gating-ML: FlowKit's has no boolean, quadrant or ellipsoid gates, and leaves out the sample's
matrix, without which it reads its own workspaces back uncompensated. FlowJo keeps bounds and vertices as linear
values, knows one matrix a sample and one scale a channel, and gates on one or two channels at a time.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import numpy as np

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.export_scales import LARGEST, linear_edge
from cytomrd.gating.flowjo_axes import NAME
from cytomrd.gating.flowjo_export_axes import WorkspaceAxes, flowjo_text
from cytomrd.gating.gates import (
    ROOT,
    BooleanGate,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    PolygonGate,
    QuadrantGate,
    RatioDimension,
    RectangleGate,
)
from cytomrd.gating.xml_files import DATATYPES, GATING, TRANSFORMATIONS
from cytomrd.preprocess.compensation import Spillover

__all__ = ["write_flowjo_workspace"]

SAMPLE = "1"
ELLIPSE_VERTICES = 256
NODES = {"and": "AndNode", "or": "OrNode", "not": "NotNode"}


def write_flowjo_workspace(
    strategy: GatingStrategy,
    dataset: FcsDataset,
    path: str | Path,
    *,
    spillover: Spillover | None = None,
    uri: str | None = None,
) -> tuple[str, ...]:
    """Write the gates of one file as a FlowJo 10 workspace, whole or not at all.

    Parameters
    ----------
    strategy
        The gates.
    dataset
        The file that they gate.
    path
        The workspace to write.
    spillover
        What compensation ``"FCS"`` means; default is the dataset's own matrix.
    uri
        Where the workspace tells FlowJo to find the file; default is its name, which is the same folder.

    Returns
    -------
    tuple of str
        One sentence for each gate that FlowJo cannot hold and that was left out with all below it, or that stands
        there in another form; empty where nothing is to be said.

    Raises
    ------
    GateError
        If two detectors would bear one name in FlowJo.

    Notes
    -----
    Rectangles and booleans hold the same events to the last one, polygons but for rounding. FlowJo
    itself decides polygons on a grid, so its counts may differ by the few events next to an edge. No count is
    written: FlowJo counts anew.
    """
    from lxml import etree

    path = Path(path)
    workspace = _Workspace(strategy, dataset, spillover, uri if uri is not None else dataset.path.name)
    temporary = path.with_name(path.name + ".part")
    try:
        etree.ElementTree(workspace.root).write(
            str(temporary), encoding="utf-8", xml_declaration=True, pretty_print=True
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return tuple(workspace.notes)


class _Workspace:
    """The XML tree of one sample."""

    def __init__(self, strategy: GatingStrategy, dataset: FcsDataset, spillover: Spillover | None, uri: str):
        from lxml import etree

        self.element, self.strategy = etree.SubElement, strategy
        self.axes = WorkspaceAxes(strategy, dataset, spillover)
        self.notes: list[str] = list(self.axes.notes)
        self.gate_ids: dict[str, str] = {}
        spaces = {"gating": GATING, "transforms": TRANSFORMATIONS, "data-type": DATATYPES}
        attributes = {"version": "20.0", "flowJoVersion": "10.8.1", "curGroup": "All Samples"}
        self.root = etree.Element("Workspace", attributes, nsmap=spaces)
        self.axes.write_matrix(self.element(self.root, "Matrices"))
        group = self.element(
            self.element(self.root, "Groups"), "GroupNode", name="All Samples", annotation="", owningGroup="All Samples"
        )
        references = self.element(self.element(group, "Group", name="All Samples"), "SampleRefs")
        self.element(references, "SampleRef", sampleID=SAMPLE)
        sample = self.element(self.element(self.root, "SampleList"), "Sample")
        self.element(sample, "DataSet", uri=quote(uri), sampleID=SAMPLE)
        self.axes.write_matrix(sample)
        self.axes.write_scales(self.element(sample, "Transformations"))
        self._keywords(self.element(sample, "Keywords"), dataset)
        node = self.element(
            sample, "SampleNode", name=flowjo_text(dataset.path.name), annotation="", owningGroup="", sampleID=SAMPLE
        )
        # Population to its element, and to its names from the top; what is left out is in neither.
        self.node_of = {ROOT: node}
        self.path_of: dict[str, tuple[str, ...]] = {ROOT: ()}
        self.taken: dict[tuple[str, ...], set[str]] = {}
        for gate in strategy.gates:
            reason = self._why_not(gate)
            if reason:
                self.notes.append(f"population {gate.name} left out: {reason}")
            else:
                self._gate(gate)

    def _keywords(self, parent, dataset: FcsDataset) -> None:
        """Those that describe the channels: FlowJo reads the others from the file, and names of people stay there."""
        for keyword, value in dataset.keywords.items():
            if re.fullmatch(r"\$P[0-9]+[NSRGE]|\$PAR|\$TOT|\$CYT", keyword):
                self.element(parent, "Keyword", name=keyword, value=flowjo_text(value))

    def _why_not(self, gate: Gate) -> str:
        if gate.parent not in self.node_of:
            return f"it lies below {gate.parent}, which is left out"
        if isinstance(gate, BooleanGate):
            lost = [o.name for o in gate.operands if o.name not in self.node_of]
            return f"it refers to {', '.join(lost)}, which is left out" if lost else ""
        if any(isinstance(axis, RatioDimension) for axis in gate.dimensions):
            return "it is drawn on a ratio of two channels, which a workspace does not hold"
        reason = next(filter(None, map(self.axes.why_not, gate.dimensions)), "")
        if not reason and isinstance(gate, PolygonGate | EllipsoidGate):
            reason = self.axes.why_not_drawn(gate.dimensions)
        if not reason and isinstance(gate, EllipsoidGate):
            if len(gate.dimensions) != 2:
                reason = f"an ellipsoid on {len(gate.dimensions)} axes; FlowJo's ellipses have 2"
            elif not (np.linalg.eigvalsh(np.array(gate.covariance)) > 0).all():
                reason = "its covariance is not positive definite, so it is no ellipse"
        if not reason and isinstance(gate, PolygonGate | EllipsoidGate) and self._linear(gate) is None:
            reason = "a vertex lies beyond the end of its axis"
        return reason

    def _gate(self, gate: Gate) -> None:
        if isinstance(gate, BooleanGate):
            self._boolean(gate)
        elif isinstance(gate, RectangleGate):
            self._rectangle(gate)
        elif isinstance(gate, QuadrantGate):
            for cell in gate.quadrants:
                self._rectangle(RectangleGate(cell.name, gate.dimensions, cell.minimum, cell.maximum, gate.parent))
            # The gate itself holds what any of its cells holds.
            self._node("OrNode", gate.name, gate.parent, [self.path_of[cell.name] for cell in gate.quadrants])
        else:
            self._polygon(gate)

    def _own_name(self, name: str, parent: tuple[str, ...]) -> str:
        """A name without slashes, which part names in FlowJo's paths; no sibling bears it."""
        taken = self.taken.setdefault(parent, set())
        ending = name.rsplit("/", 1)[-1]
        candidates = [ending, name.replace("/", "_"), *(f"{name.replace('/', '_')} {i}" for i in range(2, 10_000))]
        chosen = next(flowjo_text(c) for c in candidates if c and flowjo_text(c) not in taken)
        taken.add(chosen)
        return chosen

    def _enter(self, tag: str, name: str, parent: str):
        """A new node for population ``name`` below ``parent``."""
        above = self.node_of[parent]
        children = above.find("Subpopulations")
        if children is None:
            children = self.element(above, "Subpopulations")
        own = self._own_name(name, self.path_of[parent])
        node = self.element(children, tag, name=own, annotation="", owningGroup="", count="-1")
        self.node_of[name], self.path_of[name] = node, (*self.path_of[parent], own)
        return node

    def _node(self, tag: str, name: str, parent: str, operands) -> None:
        dependents = self.element(self._enter(tag, name, parent), "Dependents")
        for path in operands:
            self.element(dependents, "Dependent", name="/".join(path))

    def _boolean(self, gate: BooleanGate) -> None:
        if gate.operator == "not" and gate.operands[0].complement:
            self._node("AndNode", gate.name, gate.parent, [self.path_of[gate.operands[0].name]])
            return
        paths = []
        for operand in gate.operands:
            if operand.complement:
                helper = f"not {operand.name}, for {gate.name}"
                self._node("NotNode", helper, gate.parent, [self.path_of[operand.name]])
                self.notes.append(f"population {helper!r} was added: FlowJo's {gate.operator} takes no complements")
                paths.append(self.path_of[helper])
            else:
                paths.append(self.path_of[operand.name])
        self._node(NODES[gate.operator], gate.name, gate.parent, paths)

    def _shape(self, kind: str, name: str, parent: str, axes, **attributes: str):
        """The gate element of a new population, with its dimensions: (shape, dimensions)."""
        node = self._enter("Population", name, parent)
        self.gate_ids[name] = f"ID{len(self.gate_ids) + 1}"
        ids = {f"{{{GATING}}}id": self.gate_ids[name]}
        if parent in self.gate_ids:
            ids[f"{{{GATING}}}parent_id"] = self.gate_ids[parent]
        shape = self.element(
            self.element(node, "Gate", ids), f"{{{GATING}}}{kind}", {"eventsInside": "1", **attributes, **ids}
        )
        dimensions = []
        for axis in axes:
            dimensions.append(self.element(shape, f"{{{GATING}}}dimension"))
            self.element(dimensions[-1], f"{{{DATATYPES}}}fcs-dimension", {NAME: self.axes.name_of(axis)})
        return shape, dimensions

    def _rectangle(self, gate: RectangleGate) -> None:
        """A rectangle on more than two channels is one within another, two channels each."""
        bounds = list(zip(gate.dimensions, gate.minimum, gate.maximum, strict=True))
        bounded = [b for b in bounds if b[1] is not None or b[2] is not None] or bounds[:1]
        pairs = [bounded[i : i + 2] for i in range(0, len(bounded), 2)]
        parent = gate.parent
        for number, pair in enumerate(pairs, start=1):
            name = gate.name if number == len(pairs) else f"{gate.name}, step {number} of {len(pairs)}"
            _, dimensions = self._shape("RectangleGate", name, parent, [b[0] for b in pair], percentX="0", percentY="0")
            written = [self._bounds(element, *bound) for element, bound in zip(dimensions, pair, strict=True)]
            if not any(written):
                dimensions[0].set(f"{{{GATING}}}min", repr(-LARGEST))
            parent = name
        if len(pairs) > 1:
            self.notes.append(f"population {gate.name} stands there in {len(pairs)} steps of two channels at most")

    def _bounds(self, element, axis, low: float | None, high: float | None) -> bool:
        transform = self.strategy.transforms.get(axis.transform)
        first = None if low is None else float(low) if transform is None else linear_edge(transform, low)
        end = None if high is None else float(high) if transform is None else linear_edge(transform, high)
        if first == -LARGEST:
            first = None
        if end == np.inf:
            end = None
        for side, value in (("min", first), ("max", end)):
            if value is not None:
                element.set(f"{{{GATING}}}{side}", repr(min(value, LARGEST)))
        return first is not None or end is not None

    def _polygon(self, gate: PolygonGate | EllipsoidGate) -> None:
        if isinstance(gate, EllipsoidGate):
            self.notes.append(
                f"population {gate.name} stands there as a polygon of {ELLIPSE_VERTICES} vertices: events next to the "
                "edge of the ellipse may be lost"
            )
        shape, _ = self._shape(
            "PolygonGate", gate.name, gate.parent, gate.dimensions, quadId="-1", gateResolution="256"
        )
        for vertex in self._linear(gate):
            element = self.element(shape, f"{{{GATING}}}vertex")
            for value in vertex:
                self.element(element, f"{{{GATING}}}coordinate", {f"{{{DATATYPES}}}value": repr(float(value))})

    def _linear(self, gate: PolygonGate | EllipsoidGate) -> np.ndarray | None:
        """Vertices as linear values; None where one has no place on its axis."""
        vertices = np.array(gate.vertices if isinstance(gate, PolygonGate) else _outline(gate), dtype=np.float64)
        linear = vertices.copy()
        for i, axis in enumerate(gate.dimensions):
            transform = self.strategy.transforms.get(axis.transform)
            if transform is not None:
                linear[:, i] = transform.inverse(vertices[:, i])
                if not np.allclose(transform.apply(linear[:, i]), vertices[:, i], rtol=1e-9, atol=1e-9):
                    return None
        return linear if np.isfinite(linear).all() else None


def _outline(gate: EllipsoidGate) -> np.ndarray:
    angles = np.linspace(0.0, 2.0 * np.pi, ELLIPSE_VERTICES, endpoint=False)
    half_axes = np.linalg.cholesky(np.array(gate.covariance)) * np.sqrt(gate.distance_square)
    return np.array(gate.mean) + np.column_stack([np.cos(angles), np.sin(angles)]) @ half_axes.T
