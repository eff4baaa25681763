"""Pictures of a spillover matrix: as a heat map, and each stain before and after compensation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.single_stains import StainFit
from cytomrd.preprocess.transforms import Logicle
from cytomrd.report.frame import Frame
from cytomrd.report.svg import Drawing
from cytomrd.run.model import PlotAxis

__all__ = ["draw_matrix", "draw_stain"]

CELL = (46.0, 22.0)
NARROW = 13.0
MOST_WITH_TEXT = 24
LETTER = 5.6
MAX_DOTS = 1_200
SIDE = 152.0
# Upper ends of the shades of |value|; spill of half the signal is as dark as any.
SHADES = (0.0005, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)


def draw_matrix(
    rows: Sequence[str], columns: Sequence[str], values: np.ndarray, *, title: str, tips: bool = True
) -> Markup:
    """A matrix in percent, shaded by size; what lies below zero in a colour of its own.

    Parameters
    ----------
    rows, columns
        Names; a cell whose row and column are called alike is the diagonal.
    values
        Shape (n_rows, n_columns), fractions; NaN where nothing can be told.
    tips
        Whether each cell says names and exact value under the pointer.
    """
    width, height = CELL
    with_text = len(columns) <= MOST_WITH_TEXT
    width = width if with_text else NARROW
    left = 14 + LETTER * max((len(r) for r in rows), default=0)
    top = 14 + LETTER * max((len(c) for c in columns), default=0)
    drawing = Drawing(left + width * len(columns) + 2, top + height * len(rows) + 2, title)
    for k, name in enumerate(columns):
        drawing.text(left + width * (k + 0.5) + 3.5, top - 6, name, "label heat-column", rotate=True)
    for r, name in enumerate(rows):
        y = top + height * r
        drawing.text(left - 7, y + height / 2 + 3.5, name, "label end")
        for k, column in enumerate(columns):
            x = left + width * k
            if name == column:
                drawing.rect(x, y, width - 1, height - 1, "heat own")
                continue
            value = float(values[r, k])
            if not np.isfinite(value):
                tip = f"{name} in {column}: cannot be told" if tips else ""
                drawing.rect(x, y, width - 1, height - 1, "heat untold", tip=tip)
                continue
            shade = int(np.searchsorted(SHADES, abs(value), side="right"))
            sign = "below" if value < 0 else "above"
            tip = f"{name} in {column}: {100 * value:.3f}%" if tips else ""
            drawing.rect(x, y, width - 1, height - 1, f"heat {sign} h{shade}", tip=tip)
            if not with_text:
                continue
            ink = "heat-text dark" if shade >= 7 else "heat-text"
            drawing.text(x + width / 2 - 0.5, y + height / 2 + 3.2, _percent(value), f"{ink} mid")
    return drawing.markup("heat-map")


def _percent(value: float) -> str:
    text = f"{100 * value:.1f}"
    return {"0.0": "0", "-0.0": "0"}.get(text, text).replace("-", "−")


def draw_stain(stain: StainFit, spillover: Spillover, other: str) -> tuple[Markup, Markup]:
    """Positives and negatives of a stain in its own and another detector, before and after compensation."""
    own, beside = spillover.detectors.index(stain.detector), spillover.detectors.index(other)
    positive, negative = _few(stain.positive[stain.slopes.kept]), _few(stain.negative)
    low, high = _limits(np.concatenate([positive, negative, _compensated(positive, spillover)])[:, [own, beside]])
    scale = _scale(low, high)
    axes = [
        PlotAxis(d, d, "", scale, float(scale.apply(low)), float(scale.apply(high))) for d in (stain.detector, other)
    ]
    pictures = []
    centre = np.median(stain.negative, axis=0)
    for word, change in (("before", lambda v: v), ("after", lambda v: _compensated(v, spillover))):
        title = f"{stain.detector} in {other}, {word} compensation"
        frame = Frame(axes[0], axes[1], (SIDE, SIDE), title)
        for kind, events in (("other", negative), ("normal", positive)):
            frame.dots(frame.points(scale.apply(change(events)[:, [own, beside]])), kind)
        bright = np.geomspace(max(high / 1e5, 1e-6), high, 80)
        line = centre + np.outer(bright, spillover.matrix[own])
        frame.drawing.polyline(frame.points(scale.apply(change(line)[:, [own, beside]])), "gate")
        frame.x_axis()
        frame.y_axis()
        frame.box()
        pictures.append(frame.drawing.markup())
    return pictures[0], pictures[1]


def _compensated(values: np.ndarray, spillover: Spillover) -> np.ndarray:
    return values @ spillover.inverse


def _few(values: np.ndarray) -> np.ndarray:
    """Evenly spaced events, so many as a drawing can carry."""
    return values[:: max(1, -(-len(values) // MAX_DOTS))]


def _limits(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, 0.001), float(values.max())
    return float(min(low, 0.0)), max(high * 1.2, 1.0)


def _scale(low: float, high: float) -> Logicle:
    """Logicle over the decades that the values take, with room for the negative ones."""
    decades = float(np.clip(np.log10(high) + 0.5, 2.5, 4.5))
    width = 0.5 * (decades - np.log10(high / max(-low, high * 10.0**-decades)))
    return Logicle(T=high, W=float(np.clip(width, 0.3, decades / 2.2)), M=decades)
