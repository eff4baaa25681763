"""The tree of a FlowJo workspace cut down to one sample, and to the populations that can be taken over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from urllib.parse import unquote

from cytomrd.errors import GateError
from cytomrd.gating.flowjo_axes import Axes
from cytomrd.gating.xml_files import DATATYPES, GATING, local_name

__all__ = ["BOOLEANS", "SkippedPopulation", "keep_one_sample", "path_of", "prune"]

SHAPES = ("RectangleGate", "PolygonGate", "EllipsoidGate")
BOOLEANS = ("AndNode", "OrNode", "NotNode")


@dataclass(frozen=True)
class SkippedPopulation:
    """A population that was left out, with all below it.

    Attributes
    ----------
    path
        Its names from the top of the tree.
    kind
        FlowJo's name of the gate, such as ``"CurlyQuadGate"``.
    reason
        Why.
    """

    path: tuple[str, ...]
    kind: str
    reason: str

    def __str__(self) -> str:
        return f"population {'/'.join(self.path)} and those below it left out: {self.reason}"


def path_of(element) -> tuple[str, ...]:
    """Names from the first population down to this one."""
    above = [e for e in element.iterancestors() if local_name(e) in ("Population", *BOOLEANS)]
    return tuple(e.get("name", "") for e in [*reversed(above), element])


def keep_one_sample(root, wanted: str, path: Path):
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


def prune(node, axes: Axes) -> tuple[SkippedPopulation, ...]:
    """Remove populations that cannot be taken over, with all below them, and tell which.

    Parameters
    ----------
    node
        The ``SampleNode``.
    axes
        What its channels mean.
    """
    skipped = []

    def leave_out(element, kind: str, reason: str) -> None:
        skipped.append(SkippedPopulation(path_of(element), kind, reason))
        element.getparent().remove(element)

    seen = set()
    for element in list(node.iter("Population", *BOOLEANS)):
        if node not in element.iterancestors():
            continue  # below one that was left out
        shape = _shape(element)
        kind = local_name(shape if shape is not None else element)
        reason = _why_not(element, shape, axes)
        path = path_of(element)
        if not reason and path in seen:
            reason = "another population of that name stands at the same place"
        if reason:
            leave_out(element, kind, reason)
        seen.add(path)
    # A boolean population falls with what it refers to, and may take another one with it.
    while True:
        there = {"/".join(path_of(e)) for e in node.iter("Population", *BOOLEANS)}
        broken = next((b for b in node.iter(*BOOLEANS) if _operands(b) - there), None)
        if broken is None:
            return tuple(skipped)
        leave_out(broken, local_name(broken), f"it refers to {', '.join(sorted(_operands(broken) - there))}")


def _shape(population):
    gate = population.find("Gate")
    return gate[0] if gate is not None and len(gate) == 1 else None


def _why_not(element, shape, axes: Axes) -> str:
    """Why a population cannot be taken over; empty where it can."""
    if not element.get("name"):
        return "it has no name"
    if element.get("owningGroup") is None:
        # FlowKit asks for it; it says nothing about the population.
        element.set("owningGroup", "")
    if local_name(element) in BOOLEANS:
        return "" if _operands(element) else "it refers to no population"
    kind = "no gate" if shape is None else local_name(shape)
    if kind not in SHAPES:
        return f"{kind}; {', '.join(SHAPES)} and boolean gates are supported"
    if shape.get("eventsInside", "1") not in ("0", "1"):
        return f"eventsInside is {shape.get('eventsInside')!r}; 0 and 1 are known"
    channels = [c.get(f"{{{DATATYPES}}}name", "") for c in shape.iter(f"{{{DATATYPES}}}fcs-dimension")]
    is_right = len(channels) > 0 if kind == "RectangleGate" else len(channels) == 2
    if not is_right or not all(channels):
        return f"{kind} on {len(channels)} channels ({', '.join(channels)}); 2 with a name are wanted"
    unknown = [c for c in channels if c in axes.not_in_file]
    if unknown:
        return f"the file has no channel {unknown[0]}; what FlowJo derives from others is not supported"
    lost = [c for c in channels if c in axes.without_scale]
    if lost and kind != "RectangleGate":
        # A rectangle's bounds are linear values: no scale is needed for them.
        return f"the scale of {lost[0]} is none of linear, log, logicle, fasinh, and biex with 256 channels"
    return _odd_number(shape, kind)


def _odd_number(shape, kind: str) -> str:
    texts = [c.get(f"{{{DATATYPES}}}value", "") for c in shape.iter(f"{{{GATING}}}coordinate")]
    for dimension in shape.iter(f"{{{GATING}}}dimension"):
        texts += [dimension.get(f"{{{GATING}}}{side}") for side in ("min", "max")]
    bad = next((text for text in texts if text is not None and not _is_number(text)), None)
    if bad is not None:
        return f"{bad[:40]!r} stands where a number is wanted"
    n_vertices = len(list(shape.iter(f"{{{GATING}}}vertex")))
    if kind == "PolygonGate" and n_vertices < 3:
        return f"a polygon of {n_vertices} vertices; at least 3 are wanted"
    if kind == "RectangleGate" and not any(text is not None for text in texts):
        return "a rectangle without a bound"
    return ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _operands(node) -> set[str]:
    return {dependent.get("name", "") for dependent in node.findall("Dependents/Dependent")}
