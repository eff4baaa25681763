"""What the channels of a FlowJo workspace are called, compensated with and drawn on."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from cytomrd.errors import GateError
from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.flowjo_axes import BIEX_LENGTH, NAME
from cytomrd.gating.gates import (
    FROM_FILE,
    UNCOMPENSATED,
    Axis,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    GatingStrategy,
    PolygonGate,
)
from cytomrd.gating.xml_files import DATATYPES, TRANSFORMATIONS
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Asinh, Biexponential, FlowJoLog, Linear, Logicle, Transform

__all__ = ["WorkspaceAxes", "flowjo_text"]

KINDS = (Linear, Logicle, Biexponential, FlowJoLog, Asinh)
PREFIX = "Comp-"
TABLE_CHANNELS = 4096


def flowjo_text(text: str) -> str:
    """The text, with a question mark for each character that XML cannot carry."""
    return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "?", text)


class WorkspaceAxes:
    """One matrix and one scale a channel, chosen for a strategy; the rest is refused with a reason."""

    def __init__(self, strategy: GatingStrategy, dataset: FcsDataset, spillover: Spillover | None):
        self.strategy = strategy
        self.dataset = dataset
        self.given = spillover
        self.notes: list[str] = []
        self.own_name = _names(dataset)
        axes = [d for g in strategy.gates for d in getattr(g, "dimensions", ()) if isinstance(d, Dimension)]
        self.matrices = {key: self._matrix_of(key) for key in dict.fromkeys(d.compensation for d in axes)}
        users = Counter(
            key for d in axes if (key := d.compensation) != UNCOMPENSATED and self.matrices[key] is not None
        )
        self.key = users.most_common(1)[0][0] if users else UNCOMPENSATED
        self.matrix = self.matrices.get(self.key)
        self.scales = self._scales()
        for name in sorted({d.channel for d in axes if self._is_bare(d)}):
            self.notes.append(f"{name} is gated uncompensated: FlowJo reads it so, FlowKit compensates it")

    def _matrix_of(self, key: str) -> Spillover | None:
        if key == UNCOMPENSATED:
            return None
        if key == FROM_FILE:
            return self.given if self.given is not None else self.dataset.spillover
        return self.strategy.spillovers[key]

    def _is_compensated(self, axis: Dimension) -> bool:
        matrix = self.matrices[axis.compensation]
        return matrix is not None and axis.channel in matrix.detectors

    def _is_bare(self, axis: Dimension) -> bool:
        return self.matrix is not None and not self._is_compensated(axis) and axis.channel in self.matrix.detectors

    def name_of(self, axis: Dimension) -> str:
        """The channel's name in the workspace, which tells whether it is compensated."""
        own = self.own_name[axis.channel]
        return f"{PREFIX}{own}" if self._is_compensated(axis) else own

    def why_not(self, axis: Axis) -> str:
        """Why a gate on this axis has no place in the workspace; empty where it has."""
        if axis.channel not in self.own_name:
            return f"the file has no channel {axis.channel}"
        if self._is_compensated(axis) and not _same(self.matrices[axis.compensation], self.matrix):
            return f"it is compensated with a second matrix, {axis.compensation!r}; a workspace holds one a sample"
        transform = self.strategy.transforms.get(axis.transform)
        if transform is None or isinstance(transform, KINDS):
            return ""
        return f"{axis.channel} is on a {type(transform).__name__} scale, which FlowJo does not have"

    def why_not_drawn(self, axes: tuple[Dimension, ...]) -> str:
        """Why a polygon on these axes has no place: its form hangs on the scale, and a channel has one."""
        for axis in axes:
            transform = self.strategy.transforms.get(axis.transform)
            scale = self.scales[self.name_of(axis)]
            is_straight = isinstance(scale, Linear) and (transform is None or isinstance(transform, Linear))
            if scale != transform and not is_straight:
                return f"it is drawn on a second scale of {axis.channel}; a workspace holds one a channel"
            if isinstance(transform, Biexponential) and transform.channel_range != TABLE_CHANNELS:
                return f"{axis.channel} is on a biexponential of {transform.channel_range} channels"
        return ""

    def _scales(self) -> dict[str, Transform]:
        """Scale by name: the first that a polygon is drawn on, else a rectangle, else linear."""
        drawn = [g for g in self.strategy.gates if isinstance(g, PolygonGate | EllipsoidGate)]
        others = [g for g in self.strategy.gates if not isinstance(g, BooleanGate)]
        scales: dict[str, Transform] = {}
        for gate in (*drawn, *others):
            for axis in gate.dimensions:
                transform = self.strategy.transforms.get(getattr(axis, "transform", None))
                known = isinstance(axis, Dimension) and axis.channel in self.own_name
                if known and isinstance(transform, KINDS):
                    scales.setdefault(self.name_of(axis), transform)
        for channel in self.dataset.channels:
            own = self.own_name[channel.detector]
            compensated = f"{PREFIX}{own}"
            in_matrix = self.matrix is not None and channel.detector in self.matrix.detectors
            if in_matrix and compensated in scales:
                # FlowKit knows one scale for both.
                scales.setdefault(own, scales[compensated])
            # A power of two divides without rounding, so bounds on this scale stay what they are.
            scales.setdefault(own, Linear(T=float(2.0 ** np.ceil(np.log2(max(2.0, channel.range))))))
            if in_matrix:
                scales.setdefault(compensated, scales[own])
        return scales

    def write_matrix(self, parent) -> None:
        """Write the sample's matrix, where it has one."""
        from lxml.etree import SubElement

        if self.matrix is None:
            return
        attributes = {"spectral": "0", "prefix": PREFIX, "suffix": "", "name": "cytomrd", "version": "FlowJo-10.8.1"}
        element = SubElement(parent, f"{{{TRANSFORMATIONS}}}spilloverMatrix", attributes)
        element.set(f"{{{TRANSFORMATIONS}}}id", "cytomrd")
        names = [self.own_name.get(d, d) for d in self.matrix.detectors]
        parameters = SubElement(element, f"{{{DATATYPES}}}parameters")
        for name in names:
            SubElement(
                parameters, f"{{{DATATYPES}}}parameter", {NAME: name, "userProvidedCompInfix": f"{PREFIX}{name}"}
            )
        for name, row in zip(names, self.matrix.matrix, strict=True):
            line = SubElement(element, f"{{{TRANSFORMATIONS}}}spillover", {f"{{{DATATYPES}}}parameter": name})
            for seen_in, value in zip(names, row, strict=True):
                place = {f"{{{DATATYPES}}}parameter": seen_in, f"{{{TRANSFORMATIONS}}}value": repr(float(value))}
                SubElement(line, f"{{{TRANSFORMATIONS}}}coefficient", place)

    def write_scales(self, parent) -> None:
        """Write the scale of every channel."""
        from lxml.etree import SubElement

        for name, transform in self.scales.items():
            kind, numbers = _scale(transform)
            texts = {f"{{{TRANSFORMATIONS}}}{key}": value for key, value in numbers.items()}
            gain = {"gain": "1"} if kind == "linear" else {}
            scale = SubElement(parent, f"{{{TRANSFORMATIONS}}}{kind}", texts | gain)
            SubElement(scale, f"{{{DATATYPES}}}parameter", {NAME: name})


def _scale(transform: Transform) -> tuple[str, dict[str, str]]:
    """FlowJo's element for a scale, and its attributes."""
    if isinstance(transform, Linear):
        kind, numbers = "linear", {"minRange": -transform.A, "maxRange": transform.T}
    elif isinstance(transform, Logicle):
        kind, numbers = "logicle", {"T": transform.T, "W": transform.W, "M": transform.M, "A": transform.A}
    elif isinstance(transform, FlowJoLog):
        kind, numbers = "log", {"offset": transform.offset, "decades": transform.decades}
    elif isinstance(transform, Asinh):
        kind, numbers = "fasinh", {"T": transform.T, "M": transform.M, "A": transform.A}
    else:
        kind = "biex"
        numbers = {"maxRange": transform.max_value, "neg": transform.negative, "width": transform.width}
        numbers["pos"] = transform.positive
    length = {} if kind in ("linear", "log") else {"length": BIEX_LENGTH}
    return kind, length | {key: repr(float(number) + 0.0) for key, number in numbers.items()}


def _same(one: Spillover | None, other: Spillover | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.detectors == other.detectors and np.array_equal(one.matrix, other.matrix)


def _names(dataset: FcsDataset) -> dict[str, str]:
    """Detector to FlowJo's name for it, without slashes."""
    names = {detector: flowjo_text(detector.replace("/", "_")) for detector in dataset.detectors}
    for one in names.values():
        same = [d for d, name in names.items() if name in (one, f"{PREFIX}{one}")]
        if len(same) > 1:
            raise GateError(f"detectors {', '.join(same)} would bear one name in FlowJo; rename one in the file")
    return names
