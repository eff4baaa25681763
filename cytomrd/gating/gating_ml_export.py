"""Writing Gating-ML 2.0: our own writer, since an export must lose nothing.

Ids in this XML must be XML names, so a population such as ``CD45+`` gets the id
``CD45pos``; its real name stands beside it and comes back on reading.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.export_scales import FLOWJO_SCALES, LARGEST, as_log, linear_edge, linear_polygon
from cytomrd.gating.gates import (
    FROM_FILE,
    ROOT,
    UNCOMPENSATED,
    BooleanGate,
    Dimension,
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
from cytomrd.preprocess.transforms import Asinh, Biexponential, FlowJoLog, Hyperlog, Linear, Log, Logicle, Transform

__all__ = ["gate_ids", "write_gating_ml"]

ELEMENTS = {Linear: "flin", Log: "flog", Asinh: "fasinh", Logicle: "logicle", Hyperlog: "hyperlog"}
FILE_MATRIX = "spillover"


def gate_ids(strategy: GatingStrategy) -> dict[str, str]:
    """Population name to the id that it has in a Gating-ML file.

    Examples
    --------
    >>> from cytomrd.gating.gates import Dimension, GatingStrategy, RectangleGate
    >>> from cytomrd.gating.gating_ml_export import gate_ids
    >>> gate_ids(GatingStrategy((RectangleGate("CD45+ live", (Dimension("V500-A"),), (1.0,), (None,)),)))
    {'CD45+ live': 'CD45pos_live'}
    """
    return _xml_names(strategy.populations, set())


def write_gating_ml(strategy: GatingStrategy, path: str | Path, *, spillover: Spillover | None = None) -> None:
    """Write a strategy as Gating-ML 2.0, whole or not at all.

    Parameters
    ----------
    strategy
        The gates. Those on FlowJo's biexponential or logarithm are written on the linear axis,
        since the standard has no such scale; membership stays the same.
    path
        The file to write.
    spillover
        Where given, written into the file in place of the reference ``"FCS"`` to each
        data file's own matrix, so that the gates no longer depend on it.

    Raises
    ------
    GateError
        If a gate has no equivalent in Gating-ML 2.0.
    """
    from lxml import etree

    path = Path(path)
    document = _Document(strategy, spillover)
    temporary = path.with_name(path.name + ".part")
    try:
        etree.ElementTree(document.root).write(
            str(temporary), encoding="utf-8", xml_declaration=True, pretty_print=True
        )
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _xml_names(names: Iterable[str], taken: set[str]) -> dict[str, str]:
    """An XML name for each name, none of them in ``taken``, which they join."""
    found = {}
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", name.replace("+", "pos").replace("/", "."))
        plain = plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}"
        candidate, number = plain, 2
        while candidate in taken:
            candidate, number = f"{plain}_{number}", number + 1
        taken.add(candidate)
        found[name] = candidate
    return found


class _Document:
    """The XML tree of one strategy."""

    def __init__(self, strategy: GatingStrategy, spillover: Spillover | None):
        from lxml import etree

        self.element, self.strategy = etree.SubElement, strategy
        self.spillovers = dict(strategy.spillovers) | ({} if spillover is None else {FROM_FILE: spillover})
        taken: set[str] = set()
        # The populations come first, so that a gate's id never depends on what its transforms are called.
        self.id_of = _xml_names(strategy.populations, taken)
        self.taken = taken
        self.transform_ids: dict[Transform, str] = {}
        self.matrix_ids: dict[str, str] = {}
        self.ratio_ids: dict[tuple, str] = {}
        spaces = {"gating": GATING, "transforms": TRANSFORMATIONS, "data-type": DATATYPES}
        self.root = etree.Element(f"{{{GATING}}}Gating-ML", nsmap=spaces)
        self._names()
        for gate in strategy.gates:
            self._gate(gate)

    def _names(self) -> None:
        info = self.element(self.root, f"{{{DATATYPES}}}custom_info")
        for name, gate_id in self.id_of.items():
            if name != gate_id:
                self.element(info, "population", id=gate_id, name=name)

    def _gate(self, gate: Gate) -> None:
        if isinstance(gate, BooleanGate):
            self._boolean(gate)
            return
        transforms = [self._transform_of(axis) for axis in gate.dimensions]
        # References may point forward, but some readers expect what a gate needs to stand before it.
        plain = self._plain_axes(gate, transforms)
        attributes = [
            self._axis_attributes(axis, transform) for axis, transform in zip(gate.dimensions, plain, strict=True)
        ]
        element = self.element(
            self.root, f"{{{GATING}}}{type(gate).__name__}", {f"{{{GATING}}}id": self.id_of[gate.name]}
        )
        if gate.parent != ROOT:
            element.set(f"{{{GATING}}}parent_id", self.id_of[gate.parent])
        if isinstance(gate, RectangleGate):
            self._rectangle(element, gate, transforms, plain, attributes)
        elif isinstance(gate, PolygonGate):
            self._polygon(element, gate, transforms, plain, attributes)
        elif isinstance(gate, EllipsoidGate):
            self._ellipsoid(element, gate, attributes)
        elif isinstance(gate, QuadrantGate):
            self._quadrants(element, gate, transforms, plain, attributes)

    def _transform_of(self, axis) -> Transform | None:
        return None if axis.transform is None else self.strategy.transforms[axis.transform]

    def _plain_axes(self, gate: Gate, transforms) -> list[Transform | None]:
        """The scale that each axis is written with: FlowJo's are left out, or replaced by an equal one."""
        if not any(isinstance(transform, FLOWJO_SCALES) for transform in transforms):
            return list(transforms)
        if isinstance(gate, EllipsoidGate):
            raise GateError(f"gate {gate.name!r}: an ellipsoid on a FlowJo scale has no equivalent in Gating-ML 2.0")
        plain: list[Transform | None] = []
        for axis, transform in enumerate(transforms):
            if isinstance(transform, FlowJoLog) and isinstance(gate, PolygonGate):
                if min(vertex[axis] for vertex in gate.vertices) <= 0.0:
                    raise GateError(
                        f"gate {gate.name!r}: a polygon that reaches the foot of FlowJo's logarithm has no equivalent "
                        "in Gating-ML 2.0; move its vertices above 0"
                    )
                plain.append(as_log(transform))
            else:
                plain.append(None if isinstance(transform, FLOWJO_SCALES) else transform)
        return plain

    def _axis_attributes(self, axis, transform) -> tuple[dict[str, str], str, str]:
        """Attributes of a dimension, and the tag and reference of the element inside it."""
        attributes = {f"{{{GATING}}}compensation-ref": self._matrix_id(axis)}
        if transform is not None:
            attributes[f"{{{GATING}}}transformation-ref"] = self._transform_id(transform, axis.transform)
        if isinstance(axis, RatioDimension):
            return attributes, "new-dimension", self._ratio_id(axis)
        return attributes, "fcs-dimension", axis.channel

    def _dimension(self, gate_element, attributes, tag: str = "dimension"):
        own, inner, reference = attributes
        element = self.element(gate_element, f"{{{GATING}}}{tag}", own)
        key = "name" if inner == "fcs-dimension" else "transformation-ref"
        self.element(element, f"{{{DATATYPES}}}{inner}", {f"{{{DATATYPES}}}{key}": reference})
        return element

    def _rectangle(self, element, gate, transforms, plain, attributes) -> None:
        sides = zip(gate.minimum, gate.maximum, transforms, plain, attributes, strict=True)
        for low, high, transform, written, attribute in sides:
            dimension = self._dimension(element, attribute)
            if attribute[1] == "new-dimension":
                # FlowKit 1.3 fails on a ratio that lacks a bound.
                dimension.set(f"{{{GATING}}}min", "-INF")
                dimension.set(f"{{{GATING}}}max", "INF")
            for key, value in (("min", low), ("max", high)):
                if value is not None:
                    on_linear = transform is not written
                    edge = min(linear_edge(transform, value), LARGEST) if on_linear else value
                    dimension.set(f"{{{GATING}}}{key}", repr(float(edge)))

    def _polygon(self, element, gate, transforms, plain, attributes) -> None:
        for attribute in attributes:
            self._dimension(element, attribute)
        vertices = np.array(gate.vertices, dtype=np.float64)
        scales = tuple(
            transform if isinstance(transform, Biexponential) and written is None else None
            for transform, written in zip(transforms, plain, strict=True)
        )
        if any(scale is not None for scale in scales):
            vertices = linear_polygon(vertices, scales, gate.name)
        for vertex in vertices:
            self._coordinates(self.element(element, f"{{{GATING}}}vertex"), "coordinate", vertex)

    def _ellipsoid(self, element, gate, attributes) -> None:
        for attribute in attributes:
            self._dimension(element, attribute)
        self._coordinates(self.element(element, f"{{{GATING}}}mean"), "coordinate", gate.mean)
        matrix = self.element(element, f"{{{GATING}}}covarianceMatrix")
        for row in gate.covariance:
            self._coordinates(self.element(matrix, f"{{{GATING}}}row"), "entry", row)
        square = {f"{{{DATATYPES}}}value": repr(float(gate.distance_square))}
        self.element(element, f"{{{GATING}}}distanceSquare", square)

    def _quadrants(self, element, gate, transforms, plain, attributes) -> None:
        edges = [
            _edge_values(gate, axis, transform if transform is not written else None)
            for axis, (transform, written) in enumerate(zip(transforms, plain, strict=True))
        ]
        dividers = list(
            _xml_names([f"{self.id_of[gate.name]}_axis{i + 1}" for i in range(len(edges))], self.taken).values()
        )
        for divider, values, attribute in zip(dividers, edges, attributes, strict=True):
            if not values:
                raise GateError(
                    f"gate {gate.name!r}: no quadrant divides axis {dividers.index(divider) + 1}; leave it out"
                )
            dimension = self._dimension(element, attribute, "divider")
            dimension.set(f"{{{GATING}}}id", divider)
            for value in sorted(values.values()):
                self.element(dimension, f"{{{GATING}}}value").text = repr(value)
        for quadrant in gate.quadrants:
            cell = self.element(element, f"{{{GATING}}}Quadrant", {f"{{{GATING}}}id": self.id_of[quadrant.name]})
            for divider, values, low, high in zip(dividers, edges, quadrant.minimum, quadrant.maximum, strict=True):
                if low is None and high is None:
                    continue
                location = _location(values, low, high, gate.name)
                place = {f"{{{GATING}}}divider_ref": divider, f"{{{GATING}}}location": repr(location)}
                self.element(cell, f"{{{GATING}}}position", place)

    def _boolean(self, gate: BooleanGate) -> None:
        element = self.element(self.root, f"{{{GATING}}}BooleanGate", {f"{{{GATING}}}id": self.id_of[gate.name]})
        if gate.parent != ROOT:
            element.set(f"{{{GATING}}}parent_id", self.id_of[gate.parent])
        operator = self.element(element, f"{{{GATING}}}{gate.operator}")
        operands = gate.operands
        if gate.operator != "not" and len(operands) == 1:
            # The standard wants two operands; one said twice is the same population.
            operands = operands * 2
        for operand in operands:
            reference = self.element(
                operator, f"{{{GATING}}}gateReference", {f"{{{GATING}}}ref": self.id_of[operand.name]}
            )
            if operand.complement:
                reference.set(f"{{{GATING}}}use-as-complement", "true")

    def _coordinates(self, element, tag: str, values) -> None:
        for value in values:
            self.element(element, f"{{{GATING}}}{tag}", {f"{{{DATATYPES}}}value": repr(float(value))})

    def _transform_id(self, transform: Transform, key: str) -> str:
        if transform not in self.transform_ids:
            self.transform_ids[transform] = _xml_names([key], self.taken)[key]
            wrapper = self._transformation(self.transform_ids[transform])
            numbers = {name: getattr(transform, name) for name in ("T", "W", "M", "A") if hasattr(transform, name)}
            attributes = {f"{{{TRANSFORMATIONS}}}{name}": repr(float(number)) for name, number in numbers.items()}
            self.element(wrapper, f"{{{TRANSFORMATIONS}}}{ELEMENTS[type(transform)]}", attributes)
        return self.transform_ids[transform]

    def _transformation(self, key: str):
        return self.element(self.root, f"{{{TRANSFORMATIONS}}}transformation", {f"{{{TRANSFORMATIONS}}}id": key})

    def _ratio_id(self, axis: RatioDimension) -> str:
        key = (axis.numerator, axis.denominator, axis.scale, axis.x_offset, axis.y_offset)
        if key not in self.ratio_ids:
            name = f"ratio_{axis.numerator}_{axis.denominator}"
            self.ratio_ids[key] = _xml_names([name], self.taken)[name]
            numbers = {"A": axis.scale, "B": axis.x_offset, "C": axis.y_offset}
            attributes = {f"{{{TRANSFORMATIONS}}}{letter}": repr(float(number)) for letter, number in numbers.items()}
            ratio = self.element(self._transformation(self.ratio_ids[key]), f"{{{TRANSFORMATIONS}}}fratio", attributes)
            for channel in (axis.numerator, axis.denominator):
                self._channel(ratio, channel)
        return self.ratio_ids[key]

    def _channel(self, element, name: str) -> None:
        self.element(element, f"{{{DATATYPES}}}fcs-dimension", {f"{{{DATATYPES}}}name": name})

    def _matrix_id(self, axis) -> str:
        key = axis.compensation if isinstance(axis, Dimension) else UNCOMPENSATED
        if key == UNCOMPENSATED or key not in self.spillovers:
            return key
        if key not in self.matrix_ids:
            self.matrix_ids[key] = self._matrix(key, self.spillovers[key])
        return self.matrix_ids[key]

    def _matrix(self, key: str, spillover: Spillover) -> str:
        if len(spillover.detectors) < 2:
            raise GateError(f"spillover matrix {key!r} has one detector or none; Gating-ML 2.0 wants at least 2")
        name = FILE_MATRIX if key == FROM_FILE else key
        matrix_id = _xml_names([name], self.taken)[name]
        element = self.element(
            self.root, f"{{{TRANSFORMATIONS}}}spectrumMatrix", {f"{{{TRANSFORMATIONS}}}id": matrix_id}
        )
        for part in ("fluorochromes", "detectors"):
            channels = self.element(element, f"{{{TRANSFORMATIONS}}}{part}")
            for detector in spillover.detectors:
                self._channel(channels, detector)
        for row in spillover.matrix:
            spectrum = self.element(element, f"{{{TRANSFORMATIONS}}}spectrum")
            for value in row:
                self.element(
                    spectrum, f"{{{TRANSFORMATIONS}}}coefficient", {f"{{{TRANSFORMATIONS}}}value": repr(float(value))}
                )
        return matrix_id


def _edge_values(gate: QuadrantGate, axis: int, flowjo_scale: Transform | None) -> dict[float, float]:
    """Every edge that a quadrant has on an axis, and what is written for it."""
    edges = {edge for quadrant in gate.quadrants for edge in (quadrant.minimum[axis], quadrant.maximum[axis])}
    edges.discard(None)
    if flowjo_scale is None:
        return {edge: float(edge) for edge in edges}
    return {edge: min(linear_edge(flowjo_scale, edge), LARGEST) for edge in edges}


def _location(values: dict[float, float], low: float | None, high: float | None, name: str) -> float:
    """A point of the interval low..high, which must be one step of the divider's ``values``."""
    ordered = sorted(values.values())
    bottom = None if low is None else values[low]
    top = None if high is None else values[high]
    expected = ordered[0] if bottom is None else next((v for v in ordered if v > bottom), None)
    if expected != top:
        raise GateError(
            f"gate {name!r}: a quadrant from {low} to {high} spans another quadrant's edge; Gating-ML 2.0 has no such"
        )
    # A cell holds its lower edge, so that edge itself lies in it.
    return bottom if bottom is not None else float(np.nextafter(top, -np.inf))
