"""The gating path as a row of small plots: time first, then each parent with its child's gate drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from cytomrd.preprocess.transforms import Linear
from cytomrd.report.axes import nice_ticks
from cytomrd.report.frame import Frame
from cytomrd.report.svg import Drawing, density_png, fitting
from cytomrd.report.words import number_words, percent_words
from cytomrd.run.model import GatePlot, PlotAxis, TimePlot

__all__ = ["draw_gate", "draw_gates", "draw_time"]

SIDE = 152.0
# Of a gate's name: width of a letter and height of a line.
LETTER, LINE = 5.9, 10.5


def draw_gate(plot: GatePlot, dots: Mapping[str, np.ndarray]) -> Markup:
    """The parent's events as density, the gate's outlines and its uncertainty, every rare event on top.

    Parameters
    ----------
    plot
        One step of the gating path.
    dots
        Events to draw one by one: kind (``clonal``, ``normal``, ``car``, ``unsure``, ``other``)
        to an array of shape (n, 2) on the transformed scales. Later kinds lie on top.
    """
    return draw_gates([plot], dots)


def draw_gates(plots: Sequence[GatePlot], dots: Mapping[str, np.ndarray]) -> Markup:
    """Several gates of one parent on the same axes, each with its name and its share; else as :func:`draw_gate`."""
    plot = plots[0]
    names = ", ".join(p.title for p in plots)
    frame = Frame(plot.x, plot.y, (SIDE, SIDE), f"{names}: {plot.x.label} against {plot.y.label}")
    events = round(float(plot.counts.sum()))
    frame.drawing.image(frame.left, frame.top, SIDE, SIDE, density_png(plot.counts), "density", events)
    for axis, low, high in dict.fromkeys(band for p in plots for band in p.bands):
        frame.band(axis, low, high)
    for kind, values in dots.items():
        frame.dots(frame.points(values), kind)
    for outline in (o for p in plots for o in p.outlines):
        frame.drawing.polyline(frame.points(outline), "gate", close=True)
    frame.x_axis()
    frame.y_axis()
    frame.box()
    _write_names(frame, [p for p in plots if p.outlines and p.n_parent])
    return frame.drawing.markup()


def _write_names(frame: Frame, plots: Sequence[GatePlot]) -> None:
    """Each gate's name and its share of the parent, at its upper edge, inside the plot area and clear of each other."""
    taken: list[tuple[float, float, float]] = []
    for plot in plots:
        outlines = [np.asarray(o, dtype=np.float64).reshape(-1, 2) for o in plot.outlines]
        corners = frame.points(np.concatenate(outlines))
        lines = _label(plot)
        half = LETTER * max(map(len, lines)) / 2
        middle = (corners[:, 0].min() + corners[:, 0].max()) / 2
        x = float(np.clip(middle, frame.left + half, max(frame.left + half, frame.left + SIDE - half)))
        y = float(np.clip(corners[:, 1].min() + LINE, frame.top + LINE, frame.top + SIDE - 4 - LINE * (len(lines) - 1)))
        for line in lines:
            while any(abs(y - other) < LINE and abs(x - at) < half + wide for at, other, wide in taken):
                y += LINE
            frame.drawing.text(x, y, line, "percent mid")
            taken.append((x, y, half))
            y += LINE


def _label(plot: GatePlot) -> list[str]:
    """``Singlets 94.0%``; on two lines where one is too short."""
    share = percent_words(plot.n_population / plot.n_parent)
    room = SIDE - 4.0
    if LETTER * (len(plot.title) + 1 + len(share)) <= room:
        return [f"{plot.title} {share}"]
    return [fitting(plot.title, room, LETTER / 0.56), share]


def draw_time(plot: TimePlot) -> Markup:
    """Events per second over the acquisition; stretches that were left out are shaded."""
    seconds = np.asarray(plot.seconds, dtype=np.float64)
    rate = np.nan_to_num(np.asarray(plot.events_per_s, dtype=np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    x = _linear_axis("Time (s)", float(seconds.min(initial=0.0)), float(seconds.max(initial=1.0)))
    y = _linear_axis("Events/s", 0.0, 1.08 * float(rate.max(initial=0.0)) or 1.0)
    frame = Frame(x, y, (SIDE, SIDE), "Events per second over the acquisition")
    for start, stop in plot.removed:
        x0, x1 = frame.across([start, stop])
        frame.drawing.rect(
            x0, frame.top, x1 - x0, SIDE, "removed", tip=f"left out: {number_words(start)} to {number_words(stop)} s"
        )
    line = frame.points(np.stack([seconds, rate], axis=1))
    if len(line):
        base = frame.top + SIDE
        frame.drawing.polyline(np.vstack([[line[0, 0], base], line, [line[-1, 0], base]]), "rate-area", close=True)
    _linear_ticks(frame)
    frame.box()
    return frame.drawing.markup()


def _linear_axis(label: str, low: float, high: float) -> PlotAxis:
    return PlotAxis(label, "", "", Linear(), low, high if high > low else low + 1.0)


def _linear_ticks(frame: Frame) -> None:
    """Round values on both axes, whose limits are plain numbers rather than positions on a scale."""
    drawing: Drawing = frame.drawing
    base = frame.top + frame.height
    for value in nice_ticks(frame.x.low, frame.x.high, 4):
        x = float(frame.across([value])[0])
        drawing.line(x, base, x, base + 4.5, "major")
        drawing.text(x, base + 14, f"{value:g}", "tick mid")
    for value in nice_ticks(frame.y.low, frame.y.high, 4):
        y = float(frame.up([value])[0])
        drawing.line(frame.left - 4.5, y, frame.left, y, "major")
        drawing.text(frame.left - 6, y + 3.3, f"{value / 1000:g}K" if value >= 1000 else f"{value:g}", "tick end")
    drawing.text(frame.left + frame.width / 2, base + 29, frame.x.label, "label mid")
    drawing.text(10, frame.top + frame.height / 2, frame.y.label, "label mid", rotate=True)
