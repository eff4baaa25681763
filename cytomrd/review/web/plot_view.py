"""A plot of any population on any two channels: density, every rare cell as a mark, and the gates to take hold of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cytomrd.errors import ReviewError
from cytomrd.gating.gates import ROOT
from cytomrd.report.cells import kinds_of
from cytomrd.report.frame import Frame
from cytomrd.report.svg import density_png
from cytomrd.report.words import percent_words
from cytomrd.review.edits import Edit
from cytomrd.review.views import GateView
from cytomrd.review.web.gate_shapes import shape_of
from cytomrd.review.web.membership import rare_members
from cytomrd.review.workbench import Workbench
from cytomrd.run.model import FileResult, PlotAxis, SampleResult

__all__ = ["plot_view"]

SMALLEST, LARGEST = 220, 720
N_BINS = 256
DOTS_AS_VECTORS = 5_000  # one plot at a time can afford more than a report of many
TABLE = 129  # points of an axis' table of linear values, from which the page reads out a position


def plot_view(bench: Workbench, asked: Mapping[str, object], edit: Edit | None) -> dict[str, object]:
    """What the page needs to show a population and to let a person move the gates on it.

    Parameters
    ----------
    bench
        The sample.
    asked
        ``tube``, ``population``, the markers ``x`` and ``y``, and ``size``, the side of the plot in pixels.
    edit
        What is not kept yet, or None.
    """
    tube, population, x, y = (asked.get(k) for k in ("tube", "population", "x", "y"))
    if tube not in bench.tubes:
        raise ReviewError(f"no tube {str(tube)[:40]!r}; this sample has {', '.join(bench.tubes)}")
    axes = bench.axes(tube)
    if x not in axes or y not in axes or x == y:
        raise ReviewError(f"a plot needs two different channels of {', '.join(axes)}")
    views = bench.gates(tube, edit=edit)
    if population != ROOT and population not in {v.name for v in views}:
        raise ReviewError(f"no population {str(population)[:80]!r} in tube {tube}")
    size = asked.get("size")
    side = float(min(max(size, SMALLEST), LARGEST)) if isinstance(size, int | float) else 480.0
    result = bench.preview(edit).result if edit is not None else bench.result()
    file = next(f for f in result.files if f.tube == tube)
    density = bench.density(tube, population, x, y, bins=N_BINS, edit=edit)
    frame = Frame(density.x, density.y, (side, side), f"{density.x.label} against {density.y.label}")
    frame.drawing.image(frame.left, frame.top, side, side, density_png(density.counts), "density", density.n_events)
    gates = [_gate(v, density.x, density.y, file) for v in views if v.parent == population]
    dots = _draw_dots(frame, result, file, population, (x, y))
    frame.x_axis()
    frame.y_axis()
    frame.box()
    return {
        "svg": frame.drawing.markup("big"),
        "area": {"left": frame.left, "top": frame.top, "width": side, "height": side},
        "x": _axis(density.x),
        "y": _axis(density.y),
        "n": density.n_events,
        "gates": [gate for gate in gates if gate is not None],
        "dots": dots,
    }


def _axis(axis: PlotAxis) -> dict[str, object]:
    linear = axis.transform.inverse(np.linspace(axis.low, axis.high, TABLE))
    return {
        "marker": axis.marker,
        "label": axis.label,
        "low": axis.low,
        "high": axis.high,
        "linear": [float(f"{v:.6g}") for v in np.asarray(linear, dtype=np.float64)],
    }


def _gate(view: GateView, x: PlotAxis, y: PlotAxis, file: FileResult) -> dict[str, object] | None:
    """A gate on the plot: with a shape where it can be moved here, else its outlines alone."""
    shape = shape_of(view, x, y)
    outlines = [np.asarray(o, dtype=np.float64).tolist() for o in view.outlines(x, y)] if shape is None else []
    if shape is None and not outlines:
        return None
    count = next((p for p in file.populations if p.population == view.name), None)
    share = percent_words(count.fraction_of_parent) if count is not None and count.n_parent else ""
    return {"name": view.name, "title": view.title, "shape": shape, "outlines": outlines, "percent": share}


def _draw_dots(frame: Frame, result: SampleResult, file: FileResult, population: str, markers: tuple[str, str]):
    """Draw every rare cell of the population; give their places for the page to find the one that is pointed at."""
    found = []
    for cells in file.rare:
        if not set(markers) <= set(cells.markers):
            continue
        columns = [cells.markers.index(m) for m in markers]
        inside = rare_members(file, cells, population)
        values = cells.transformed[:, columns]
        for kind, mask in kinds_of(result, cells.labels):
            chosen = mask & inside
            frame.dots(frame.points(values[chosen]), kind, size=2.2, vectors=DOTS_AS_VECTORS)
            found.append(
                {
                    "kind": kind,
                    "events": cells.events[chosen].tolist(),
                    "at": np.round(frame.points(values[chosen]), 1).tolist(),
                }
            )
    return found
