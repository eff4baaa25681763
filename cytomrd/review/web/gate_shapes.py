"""Gates as the page moves them, and what a moved one is as an edit.

The page sends a gate's new shape on the axes of its plot. What changed against the gate that the person saw
decides which edit it is: one corner, the whole gate, one bound; what cannot be told apart is refused, never guessed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cytomrd.errors import ReviewError
from cytomrd.review.edits import Edit, MoveBound, MoveGate, MoveVertex, ReshapePolygon
from cytomrd.review.views import GateView
from cytomrd.review.workbench import Workbench
from cytomrd.run.model import PlotAxis

__all__ = ["edit_of_shape", "edit_of_value", "gate_view", "shape_of"]

MOST_CORNERS = 500
# Positions travel as decimal text and come back the same; a hand moves more than this.
_STILL = 1e-9
_OPEN = 1e6  # a bound that no scale reaches: open
SIDES = ("minimum", "maximum")


def gate_view(bench: Workbench, tube: str, name: str) -> GateView:
    """A gate of a tube."""
    if tube not in bench.tubes:
        raise ReviewError(f"no tube {str(tube)[:40]!r}; this sample has {', '.join(bench.tubes)}")
    for view in bench.gates(tube):
        if view.name == name:
            return view
    raise ReviewError(f"no gate {str(name)[:80]!r} in tube {tube}")


def shape_of(view: GateView, x: PlotAxis, y: PlotAxis) -> dict[str, object] | None:
    """A gate as the page's script moves it on two axes; None where it has no bound on them."""
    if view.kind == "rectangle":
        sides = {name: _sides(view, axis.marker) for name, axis in (("x", x), ("y", y))}
        return {"kind": "interval", **sides} if any(s and s != [None, None] for s in sides.values()) else None
    if len(view.axes) != 2 or set(view.axes) != {x.marker, y.marker}:
        return None
    if view.kind == "polygon":
        order = _order(view, x.marker)
        return {"kind": "polygon", "points": [[float(v[i]) for i in order] for v in view.vertices]}
    if view.kind == "ellipse":
        (outline,) = view.outlines(x, y)
        return {"kind": "ellipse", "points": np.asarray(outline, dtype=np.float64).tolist()}
    return None


def _order(view: GateView, x: str) -> tuple[int, int]:
    return (0, 1) if view.axes[0] == x else (1, 0)


def _sides(view: GateView, marker: str) -> list[float | None] | None:
    if marker not in view.axes:
        return None
    i = view.axes.index(marker)
    return [None if v is None or abs(v) > _OPEN else float(v) for v in (view.minimum[i], view.maximum[i])]


def edit_of_shape(bench: Workbench, asked: Mapping[str, object]) -> Edit | None:
    """The edit that makes a gate the shape that the page sent; None where that is the shape that is kept.

    Parameters
    ----------
    bench
        The sample.
    asked
        ``tube``, ``gate``, the plot's markers ``x`` and ``y``, ``shape``, and ``linked``: whether a cut that
        other gates share moves in all of them.

    Raises
    ------
    ReviewError
        If the shape is not that of the gate, is not finite, or changes more than one edit can.
    """
    tube, x, y, shape = (asked.get(k) for k in ("tube", "x", "y", "shape"))
    view = gate_view(bench, tube, asked.get("gate"))
    axes = bench.axes(tube)
    was = shape_of(view, axes[x], axes[y]) if x in axes and y in axes else None
    if was is None or not isinstance(shape, Mapping) or shape.get("kind") != was["kind"]:
        raise ReviewError(f"{view.title} has no such shape on {x} against {y}")
    if was["kind"] == "interval":
        return _interval_edit(view, tube, (x, y), was, shape, bool(asked.get("linked", True)))
    return _outline_edit(view, tube, (x, y), _points(was["points"]), _points(shape.get("points")))


def _points(given: object) -> np.ndarray:
    try:
        points = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ReviewError("the corners of a gate must be pairs of numbers") from error
    if points.ndim != 2 or points.shape[1] != 2 or not 3 <= len(points) <= MOST_CORNERS:
        raise ReviewError(f"a gate needs 3 to {MOST_CORNERS} corners, each a pair; got shape {points.shape}")
    if not np.isfinite(points).all() or np.abs(points).max() > _OPEN:
        raise ReviewError("the corners of a gate must be finite positions on its scales")
    return points


def _outline_edit(view: GateView, tube: str, markers: tuple[str, str], old: np.ndarray, new: np.ndarray) -> Edit | None:
    if len(old) == len(new):
        steps = new - old
        moved = np.flatnonzero(np.abs(steps).max(axis=1) > _STILL)
        if not len(moved):
            return None
        if np.abs(steps - steps[0]).max() <= _STILL:
            return MoveGate(tube, view.name, dict(zip(markers, map(float, steps[0]), strict=True)))
        if view.kind == "polygon" and len(moved) == 1:
            i = int(moved[0])
            x, y = new[i, list(_order(view, markers[0]))]
            return MoveVertex(tube, view.name, i, float(x), float(y))
    if view.kind != "polygon":
        raise ReviewError(f"{view.title} is an ellipse: it can be moved as a whole")
    order = list(_order(view, markers[0]))
    return ReshapePolygon(tube, view.name, tuple((float(a), float(b)) for a, b in new[:, order]))


def _interval_edit(
    view: GateView, tube: str, markers: tuple[str, str], old: Mapping, new: Mapping, linked: bool
) -> Edit | None:
    bounds, steps = 0, {}
    for axis, marker in zip(("x", "y"), markers, strict=True):
        for i, side in enumerate(SIDES):
            before = old[axis][i] if old[axis] else None
            if before is None:
                continue
            bounds += 1
            after = _finite((new.get(axis) or [None, None])[i])
            if abs(after - before) > _STILL:
                steps[marker, side] = (after, after - before)
    if not steps:
        return None
    if len(steps) == 1:
        ((marker, side), (value, _)) = next(iter(steps.items()))
        return MoveBound(tube, view.name, marker, side, value, linked)
    by = {marker: step for (marker, _), (_, step) in steps.items()}
    if any(abs(by[marker] - step) > 1e-6 for (marker, _), (_, step) in steps.items()) or len(steps) < bounds:
        raise ReviewError(f"one edge of {view.title} at a time: keep or discard the change before, then move the next")
    return MoveGate(tube, view.name, by)


def _finite(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or abs(value) > _OPEN:
        raise ReviewError(f"a bound must be a finite position on its scale; got {str(value)[:40]!r}")
    return float(value)


def edit_of_value(bench: Workbench, asked: Mapping[str, object]) -> Edit:
    """The edit that sets one bound to a value typed on the linear scale."""
    tube, marker, side, value = (asked.get(k) for k in ("tube", "marker", "side", "value"))
    view = gate_view(bench, tube, asked.get("gate"))
    if view.kind != "rectangle" or marker not in view.axes or side not in SIDES:
        raise ReviewError(f"{view.title} has no {str(side)[:20]} on {str(marker)[:80]}")
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ReviewError(f"a bound must be a number; got {str(value)[:40]!r}")
    position = float(bench.axes(tube)[marker].transform.apply(float(value)))
    return MoveBound(tube, view.name, marker, side, _finite(position), bool(asked.get("linked", True)))
