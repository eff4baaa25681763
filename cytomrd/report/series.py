"""A subject's series over real time: each visit with its interval, its limit of detection, and the infusions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from cytomrd.report.axes import nice_ticks
from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words, power_of_ten

__all__ = ["SeriesPoint", "draw_series", "draw_sparkline"]


@dataclass(frozen=True)
class SeriesPoint:
    """One visit: its place in time, the value with its interval, the limit of detection, and where to read more.

    A non-detect has ``detected`` False and stands, open, on its limit ``floor``; a sample that
    could not be evaluated has no value and stands there as a cross.
    """

    sample_id: str
    anchor: str
    visit: str
    day: float
    value: float | None
    low: float | None
    high: float | None
    floor: float | None
    detected: bool
    evaluable: bool
    words: str

    @property
    def place(self) -> float | None:
        """Where the mark stands: the value, or the limit for a non-detect."""
        shown = self.value if self.detected and self.value else self.floor
        return shown if shown is not None and math.isfinite(shown) and shown > 0 else None


class _LogScale:
    def __init__(self, values: Sequence[float], top: float, height: float):
        positive = [v for v in values if v is not None and math.isfinite(v) and v > 0]
        low, high = (min(positive), max(positive)) if positive else (1e-6, 1e-4)
        self.first, self.last = math.floor(math.log10(low) - 0.15), math.ceil(math.log10(high) + 0.1)
        if self.last - self.first < 2:
            self.first, self.last = self.first - 1, self.last + (self.last == self.first)
        self.top, self.height = top, height

    def up(self, value: float) -> float:
        if value is None or value <= 0:
            return self.top + self.height
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.top + (1.0 - min(max(part, 0.0), 1.0)) * self.height


def draw_series(
    points: Sequence[SeriesPoint],
    *,
    label: str,
    kind: str,
    floor_name: str,
    infusions_d: Sequence[float] = (),
    title: str = "",
    current: str = "",
) -> Markup:
    """Visits on a real time axis, values on a log axis.

    Parameters
    ----------
    points
        The visits; sorted by day here.
    label
        Of the value's axis, with its unit.
    kind
        ``clonal`` or ``car``: the colour and shape of the marks.
    floor_name
        What the shaded floor is, for the words under the pointer.
    infusions_d
        Days on which to mark an infusion, where they lie within the axis.
    current
        Anchor of the visit that is being read: it is ringed.
    """
    points = sorted(points, key=lambda p: p.day)
    left, top, width, height, bottom, right = 46.0, 32.0, 460.0, 190.0, 36.0, 14.0
    drawing = Drawing(left + width + right, top + height + bottom, title or label)
    drawing.rect(left, top, width, height, "area")
    scale = _LogScale([v for p in points for v in _shown(p)], top, height)
    days = [p.day for p in points]
    margin = max(1.0, 0.04 * (max(days) - min(days)))
    first, last = min(days) - margin, max(days) + margin

    def across(day: float) -> float:
        return left + (day - first) / (last - first) * width

    for position, upper in _decades(scale):
        drawing.line(left, position, left + width, position, "rule")
        drawing.text(left - 6, position + 3.3, power_of_ten(upper), "tick end")
    _draw_floors(drawing, points, days, across, scale, (left, left + width, top + height), floor_name)
    for day in infusions_d:
        if first <= day <= last:
            drawing.line(across(day), top, across(day), top + height, "infusion")
            drawing.path(f"M{across(day):.2f} {top - 1:.2f}l-4-7h8z", "infusion-mark")
            drawing.tip(f"infusion, day {day:g}")
    known = [(across(p.day), scale.up(p.place)) for p in points if p.place is not None]
    drawing.polyline(np.array(known), f"thread {kind}")
    for point in points:
        if current and point.anchor == current and point.place is not None:
            drawing.dots(np.array([[across(point.day), scale.up(point.place)]]), "current", "circle", 8.5)
        _draw_point(drawing, point, across(point.day), scale, kind)
    for day in (d for d in nice_ticks(first, last, 8) if d == round(d)):
        x = across(day)
        drawing.line(x, top + height, x, top + height + 4.5, "major")
        drawing.text(x, top + height + 15, f"{day:g}".replace("-", "−"), "tick mid")
    drawing.text(left + width / 2, top + height + 31, "Day (0 = first infusion)", "label mid")
    drawing.text(left - 36, 11, label, "label")
    drawing.rect(left, top, width, height, "box")
    return drawing.markup("series")


def _shown(point: SeriesPoint) -> tuple[float, ...]:
    """What must lie within the axis: a detected value with its interval, and the limit."""
    values = (point.low, point.value, point.high, point.floor) if point.detected else (point.floor,)
    return tuple(v for v in values if v)


def _decades(scale: _LogScale):
    for power in range(scale.first, scale.last + 1):
        yield scale.up(10.0**power), power


def _draw_floors(drawing, points, days, across, scale, edges, name) -> None:
    """Below each sample's limit nothing can be seen: shaded, to half way to the neighbouring visits."""
    left, right, base = edges
    for index, point in enumerate(points):
        if point.floor is None or not point.floor > 0:
            continue
        x0 = across((days[index - 1] + point.day) / 2) if index else left
        x1 = across((days[index + 1] + point.day) / 2) if index + 1 < len(points) else right
        y = scale.up(point.floor)
        drawing.rect(x0, y, x1 - x0, base - y, "floor", tip=f"{point.visit}: {name} {number_words(point.floor)}")


def _draw_point(drawing: Drawing, point: SeriesPoint, x: float, scale: _LogScale, kind: str) -> None:
    if point.place is None:
        return
    y = scale.up(point.place)
    if point.evaluable and point.high:
        low = scale.up(point.low) if point.low and point.low > 0 else scale.top + scale.height
        drawing.line(x, low, x, scale.up(point.high), f"whisker {kind}{'' if point.detected else ' unseen'}")
    if not point.evaluable:
        drawing.lines([(x - 3.5, y - 3.5, x + 3.5, y + 3.5), (x - 3.5, y + 3.5, x + 3.5, y - 3.5)], "unknown")
    else:
        shape = "diamond" if kind == "clonal" else "square"
        drawing.dots(np.array([[x, y]]), f"visit {kind}{'' if point.detected else ' open'}", shape, 3.6)
    drawing.tip(f"{point.visit}, day {number_words(point.day)}: {point.words}")


def draw_sparkline(points: Sequence[SeriesPoint], current: str, kind: str) -> Markup:
    """The subject's series in a table's row; the row's own visit is the large mark."""
    points = [p for p in sorted(points, key=lambda p: p.day) if p.place is not None]
    width, height = 92.0, 24.0
    drawing = Drawing(width, height, "the subject's series")
    if len(points) < 2:
        return Markup("")
    heights = np.log10([p.place for p in points])
    rise = (heights - heights.min()) / max(heights.max() - heights.min(), 0.5)
    first, span = points[0].day, (points[-1].day - points[0].day) or 1.0
    marks = [
        (5.0 + (p.day - first) / span * (width - 10.0), height - 4.0 - part * (height - 8.0))
        for p, part in zip(points, rise, strict=True)
    ]
    drawing.polyline(np.array(marks), f"thread {kind}")
    for point, mark in zip(points, marks, strict=True):
        own = point.anchor == current
        css = f"visit {kind}{'' if point.detected else ' open'}"
        drawing.dots(np.array([mark]), css, "diamond" if kind == "clonal" else "square", 3.0 if own else 1.5)
    return drawing.markup("spark")
