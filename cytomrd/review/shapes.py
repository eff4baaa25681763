"""A tube's gates as a person has them: as fitted, but for other shapes of some gates and other places of some cuts.

A bound of a rectangle that lies where another gate's does, on the same axis, is one boundary seen from two sides: it
moves in both, so that what was left out of the one is still in the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cytomrd.errors import GateError, ReviewError
from cytomrd.fcs.text import printable
from cytomrd.gating.fit import FittedGates
from cytomrd.gating.gates import (
    Axis,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    PolygonGate,
    RectangleGate,
)
from cytomrd.review.edits import Edit, MoveBound, MoveCut, MoveGate, MoveVertex, ResetGate, ReshapePolygon

__all__ = ["Shapes", "edited", "linked_cuts", "shaped"]


@dataclass(frozen=True)
class Shapes:
    """What a person changed of one tube: gate name to geometry as JSON holds it, cut name to value."""

    gates: Mapping[str, Mapping[str, object]]
    cuts: Mapping[str, float]


def shaped(fitted: FittedGates, shapes: Shapes) -> FittedGates:
    """The fitted gates with a person's shapes; a cut that a person placed has no interval.

    Raises
    ------
    ReviewError
        If there is no such gate, or the shape is none.
    """
    if not shapes.gates and not shapes.cuts:
        return fitted
    known = {g.name for g in fitted.strategy.gates}
    for name in shapes.gates.keys() - known:
        raise ReviewError(f"no gate {printable(name, 60)!r}; there are {', '.join(sorted(known))}")
    try:
        gates = tuple(
            _with_geometry(g, shapes.gates[g.name]) if g.name in shapes.gates else g for g in fitted.strategy.gates
        )
        strategy = replace(fitted.strategy, gates=gates)
    except (GateError, KeyError, TypeError, ValueError) as error:
        raise ReviewError(f"that is no shape for a gate: {error}") from error
    decisions = tuple(
        replace(d, value=shapes.cuts[d.name], low=None, high=None, method="fixed", status="fixed", reason="by a person")
        if d.name in shapes.cuts
        else d
        for d in fitted.decisions
    )
    return replace(fitted, strategy=strategy, decisions=decisions)


def edited(automatic: FittedGates, shapes: Shapes, edit: Edit) -> Shapes:
    """The shapes after an edit of this tube.

    Raises
    ------
    ReviewError
        If the edit does not fit the gate: another kind of gate, no such corner or axis, nothing left between bounds.
    """
    now = shaped(automatic, shapes)
    if isinstance(edit, MoveCut):
        decision = next((d for d in now.decisions if d.name == edit.cut and d.value is not None), None)
        if decision is None:
            raise ReviewError(f"no cut {printable(edit.cut, 60)!r} in tube {edit.tube}")
        moved = _move_boundary(now, _axis(now, decision.marker), decision.value, edit.value)
        return _differences(automatic, moved.strategy, _values(moved) | {edit.cut: edit.value})
    gate = _gate(now.strategy, edit.gate)
    after = _EDITED[type(edit)](now, gate, edit, automatic)
    return _differences(automatic, after.strategy, _values(after))


def linked_cuts(fitted: FittedGates, gate: Gate) -> dict[str, str]:
    """Which bounds of a gate are cuts of the panel: ``"CD38:minimum"`` to the name of the cut."""
    found = {}
    if isinstance(gate, RectangleGate):
        markers = {axis: marker for marker, axis in fitted.axes.items()}
        for axis, low, high in zip(gate.dimensions, gate.minimum, gate.maximum, strict=True):
            for side, value in (("minimum", low), ("maximum", high)):
                name = next((n for n, at in _cuts_on(fitted, axis).items() if at == value), None)
                if value is not None and name is not None:
                    found[f"{markers[axis]}:{side}"] = name
    return found


def _moved_bound(now: FittedGates, gate: Gate, edit: MoveBound, automatic: FittedGates) -> FittedGates:
    index = _axis_index(now, _of_kind(gate, RectangleGate), edit.marker)
    old = getattr(gate, edit.side)[index]
    if old is None:
        raise ReviewError(f"{gate.name} is open on that side of {edit.marker}: there is no bound to move")
    if edit.linked:
        return _move_boundary(now, gate.dimensions[index], old, edit.value)
    bounds = list(getattr(gate, edit.side))
    bounds[index] = edit.value
    return _with_gates(now, {gate.name: _checked(replace(gate, **{edit.side: tuple(bounds)}))})


def _moved_gate(now: FittedGates, gate: Gate, edit: MoveGate, automatic: FittedGates) -> FittedGates:
    by = {_axis_index(now, gate, marker): shift for marker, shift in edit.by.items()}
    if isinstance(gate, PolygonGate):
        dx, dy = by.get(0, 0.0), by.get(1, 0.0)
        return _with_gates(now, {gate.name: replace(gate, vertices=tuple((x + dx, y + dy) for x, y in gate.vertices))})
    if isinstance(gate, EllipsoidGate):
        mean = tuple(m + by.get(i, 0.0) for i, m in enumerate(gate.mean))
        return _with_gates(now, {gate.name: replace(gate, mean=mean)})
    _of_kind(gate, RectangleGate)
    for index, shift in by.items():
        sides = [b for b in (gate.minimum[index], gate.maximum[index]) if b is not None]
        # The side that moves ahead goes first, so that the bounds never pass each other.
        for old in sorted(sides, reverse=shift > 0):
            now = _move_boundary(now, gate.dimensions[index], old, old + shift)
    return now


def _moved_vertex(now: FittedGates, gate: Gate, edit: MoveVertex, automatic: FittedGates) -> FittedGates:
    vertices = list(_of_kind(gate, PolygonGate).vertices)
    if not 0 <= edit.vertex < len(vertices):
        raise ReviewError(f"{gate.name} has corners 0 to {len(vertices) - 1}, and no corner {edit.vertex}")
    vertices[edit.vertex] = (edit.x, edit.y)
    return _with_gates(now, {gate.name: replace(gate, vertices=tuple(vertices))})


def _reshaped(now: FittedGates, gate: Gate, edit: ReshapePolygon, automatic: FittedGates) -> FittedGates:
    return _with_gates(now, {gate.name: replace(_of_kind(gate, PolygonGate), vertices=edit.vertices)})


def _reset(now: FittedGates, gate: Gate, edit: ResetGate, automatic: FittedGates) -> FittedGates:
    """A polygon as it was; a rectangle's bounds to where they were, with all that share them."""
    fitted = _gate(automatic.strategy, gate.name)
    if not isinstance(gate, RectangleGate):
        return _with_gates(now, {gate.name: fitted})
    for side in ("minimum", "maximum"):
        for index, axis in enumerate(gate.dimensions):
            old, new = getattr(_gate(now.strategy, gate.name), side)[index], getattr(fitted, side)[index]
            if old != new:
                now = _move_boundary(now, axis, old, new)
    return now


_EDITED: dict[type, Callable[..., FittedGates]] = {
    MoveBound: _moved_bound,
    MoveGate: _moved_gate,
    MoveVertex: _moved_vertex,
    ReshapePolygon: _reshaped,
    ResetGate: _reset,
}


def _move_boundary(now: FittedGates, axis: Axis, old: float, new: float) -> FittedGates:
    """One boundary on one axis, in every rectangle that has it and in the cuts that it stands for."""
    if not math.isfinite(new):
        raise ReviewError(f"{new} is no place for a boundary")

    def follow(dimensions, bounds):
        return tuple(new if d == axis and b == old else b for d, b in zip(dimensions, bounds, strict=True))

    changed = {}
    for gate in now.strategy.gates:
        if isinstance(gate, RectangleGate) and axis in gate.dimensions:
            after = replace(
                gate, minimum=follow(gate.dimensions, gate.minimum), maximum=follow(gate.dimensions, gate.maximum)
            )
            if after != gate:
                changed[gate.name] = _checked(after)
    cuts = {name for name, value in _cuts_on(now, axis).items() if value == old}
    decisions = tuple(replace(d, value=new) if d.name in cuts else d for d in now.decisions)
    return replace(_with_gates(now, changed), decisions=decisions)


def _checked(gate: RectangleGate) -> RectangleGate:
    for axis, low, high in zip(gate.dimensions, gate.minimum, gate.maximum, strict=True):
        if low is not None and high is not None and low >= high:
            channel = getattr(axis, "channel", "its axis")
            raise ReviewError(f"{gate.name}: nothing is left between {low:g} and {high:g} on {channel}")
    return gate


def _cuts_on(fitted: FittedGates, axis: Axis) -> dict[str, float]:
    return {d.name: d.value for d in fitted.decisions if d.value is not None and fitted.axes.get(d.marker) == axis}


def _axis(fitted: FittedGates, marker: str) -> Dimension:
    if marker not in fitted.axes:
        raise ReviewError(f"no marker {printable(marker, 60)!r} here; there are {', '.join(fitted.axes)}")
    return fitted.axes[marker]


def _axis_index(fitted: FittedGates, gate: Gate, marker: str) -> int:
    axis, dimensions = _axis(fitted, marker), getattr(gate, "dimensions", ())
    if axis not in dimensions:
        raise ReviewError(f"{gate.name} is no gate on {marker}")
    return dimensions.index(axis)


def _gate(strategy: GatingStrategy, name: str) -> Gate:
    found = next((g for g in strategy.gates if g.name == name), None)
    if found is None:
        raise ReviewError(f"no gate {printable(name, 60)!r}; there are {', '.join(g.name for g in strategy.gates)}")
    return found


def _of_kind(gate: Gate, kind: type) -> Gate:
    if not isinstance(gate, kind):
        words = {PolygonGate: "corners", RectangleGate: "bounds"}[kind]
        raise ReviewError(f"{gate.name} is a {type(gate).__name__} without {words} of its own to move")
    return gate


def _with_gates(fitted: FittedGates, changed: Mapping[str, Gate]) -> FittedGates:
    gates = tuple(changed.get(g.name, g) for g in fitted.strategy.gates)
    return replace(fitted, strategy=replace(fitted.strategy, gates=gates))


def _values(fitted: FittedGates) -> dict[str, float]:
    return {d.name: d.value for d in fitted.decisions if d.value is not None}


def _differences(automatic: FittedGates, strategy: GatingStrategy, cuts: Mapping[str, float]) -> Shapes:
    """What of the gates and cuts is not as it was fitted."""
    fitted = {g.name: g for g in automatic.strategy.gates}
    gates = {g.name: _geometry(g) for g in strategy.gates if g != fitted[g.name]}
    known = _values(automatic)
    return Shapes(gates, {name: value for name, value in cuts.items() if value != known[name]})


def _geometry(gate: Gate) -> dict[str, object]:
    """A gate's shape as JSON holds it; its axes and parent are those that were fitted."""
    if isinstance(gate, RectangleGate):
        return {"minimum": list(gate.minimum), "maximum": list(gate.maximum)}
    if isinstance(gate, PolygonGate):
        return {"vertices": [list(v) for v in gate.vertices]}
    return {"mean": list(gate.mean)}


def _with_geometry(gate: Gate, geometry: Mapping[str, object]) -> Gate:
    shape = {name: tuple(tuple(v) if isinstance(v, list) else v for v in values) for name, values in geometry.items()}
    after = replace(gate, **shape)
    return _checked(after) if isinstance(after, RectangleGate) else after
