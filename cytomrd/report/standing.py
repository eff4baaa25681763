"""Small pictures on one log axis: a result against its limits, light chains by cluster, marrow cells in their range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from cytomrd.report.svg import Drawing
from cytomrd.report.words import power_of_ten

__all__ = ["Interval", "Standing", "draw_intervals", "draw_standing"]

ROW = 17.0
# Width of a letter, of a limit's name, and the most that a row's label takes.
LETTER, NAME_WIDTH, MOST_LABEL = 5.4, 62.0, 230.0
SHAPES = {"clonal": "diamond", "normal": "circle", "unsure": "triangle", "car": "square"}


@dataclass(frozen=True)
class Standing:
    """A result on its axis.

    Attributes
    ----------
    value, low, high
        The estimate and its interval by counting; one not detected stands, open, on the limit.
    wide_low, wide_high
        The interval with the gates moved too, where it is known.
    detects, quantifies
        What this sample could detect and quantify.
    """

    value: float | None
    low: float | None
    high: float | None
    detected: bool
    detects: float | None = None
    quantifies: float | None = None
    wide_low: float | None = None
    wide_high: float | None = None


@dataclass(frozen=True)
class Interval:
    """One row: an estimate with its interval, words beside it and a kind that gives colour and shape.

    ``low`` 0 and ``high`` None run to the ends of the axis.
    """

    label: str
    value: float | None
    low: float | None
    high: float | None
    kind: str
    expected: tuple[float, float] | None = None
    tip: str = ""


class _LogAxis:
    """Whole decades from ``left`` over ``width`` pixels that hold some values."""

    def __init__(self, values: Sequence[float | None], left: float, width: float):
        known = [v for v in values if v is not None and math.isfinite(v) and v > 0]
        low, high = (min(known), max(known)) if known else (1e-6, 1e-4)
        self.first, self.last = math.floor(math.log10(low) - 0.1), math.ceil(math.log10(high) + 0.1)
        if self.last - self.first < 2:
            self.first -= 1
        self.left, self.width = left, width

    def at(self, value: float | None) -> float:
        """Pixel position; one off the axis stands on its edge, None on the right one."""
        if value is None:
            return self.left + self.width
        if value <= 0:
            return self.left
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.left + min(max(part, 0.0), 1.0) * self.width

    def draw(self, drawing: Drawing, top: float, base: float, label: str, *, percent: bool = False) -> None:
        """Rules, ticks and label; ``percent`` writes fractions as percent."""
        step = max(1, -(-(self.last - self.first) // (5 if percent else 7)))
        minor = [m * 10.0**k for k in range(self.first, self.last) for m in range(2, 10)]
        if step == 1 and self.last - self.first <= 5:
            drawing.ticks([(self.at(v), base) for v in minor], 0.0, 2.5, "minor")
        for power in range(self.first, self.last + 1, step):
            x = self.at(10.0**power)
            drawing.line(x, top, x, base, "rule")
            drawing.line(x, base, x, base + 4.5, "major")
            drawing.text(x, base + 15, _percent(power + 2) if percent else _decade(power), "tick mid")
        drawing.text(self.left + self.width / 2, base + 30, label, "label mid")


def _decade(power: int) -> str:
    return f"{10.0**power:g}" if -3 < power < 4 else power_of_ten(power)


def _percent(power: int) -> str:
    return (f"{10.0**power:g}" if -5 < power < 3 else power_of_ten(power)) + "%"


def draw_standing(standing: Standing, *, kind: str, label: str, title: str) -> Markup:
    """The result with its intervals on a log axis, what the sample could not have detected shaded.

    Parameters
    ----------
    kind
        ``clonal`` or ``car``.
    label
        Of the axis, with its unit.
    """
    left, width, top, height = 16.0, 400.0, 20.0, 34.0
    s = standing
    drawing = Drawing(left + width + 16, top + height + 34, title)
    seen = (s.low, s.value, s.high) if s.detected else (s.value, s.high)
    axis = _LogAxis([*seen, s.detects, s.quantifies, s.wide_low, s.wide_high], left, width)
    base, middle = top + height, top + height / 2
    drawing.rect(left, top, width, height, "area")
    limit = s.detects or s.quantifies
    if limit:
        drawing.rect(left, top, axis.at(limit) - left, height, "floor")
    axis.draw(drawing, top, base, label)
    _name_limits(drawing, axis, s, top, base)
    if s.wide_high is not None:
        drawing.line(axis.at(s.wide_low or 0.0), middle, axis.at(s.wide_high), middle, f"whisker wide {kind}")
        drawing.tip("95% with counting, cuts and compensation")
    if s.high is not None:
        css = f"whisker {'' if s.detected else 'unseen '}{kind}"
        drawing.line(axis.at(s.low or 0.0), middle, axis.at(s.high), middle, css)
        drawing.tip("95% by counting alone")
    place = s.value if s.detected and s.value else limit
    if place:
        mark = f"visit {kind}{'' if s.detected else ' open'}"
        drawing.dots(np.array([[axis.at(place), middle]]), mark, SHAPES[kind], 4.4)
    drawing.rect(left, top, width, height, "box")
    return drawing.markup("standing")


def _name_limits(drawing: Drawing, axis: _LogAxis, s: Standing, top: float, base: float) -> None:
    """Lines at what the sample could detect and quantify, their names above, leaning away from each other."""
    for value, name, css in ((s.detects, "could detect", "end"), (s.quantifies, "could quantify", "")):
        if not value:
            continue
        x = axis.at(value)
        if s.detects is None or x < NAME_WIDTH:  # no room on that side
            css = ""
        drawing.line(x, top - 4, x, base, "cut")
        drawing.text(x + (-2 if css else 2), top - 8, name, f"tick {css}".strip())


def draw_intervals(
    rows: Sequence[Interval],
    *,
    label: str,
    title: str,
    expected: tuple[float, float] | None = None,
    percent: bool = False,
) -> Markup:
    """Estimates with their intervals under each other on one log axis.

    Parameters
    ----------
    label
        Of the axis.
    expected
        A range that holds for every row, shaded; a row's own range goes before it.
    percent
        Whether the values are fractions to be read as percent.
    """
    left = min(10 + LETTER * max((len(r.label) for r in rows), default=0), MOST_LABEL)
    width, top = 250.0, 4.0
    height = ROW * len(rows) + 4
    drawing = Drawing(left + width + 16, top + height + 34, title)
    ranges = [v for r in rows for v in (r.expected or expected or ())]
    axis = _LogAxis([*(v for r in rows for v in (r.low, r.value, r.high)), *ranges], left, width)
    drawing.rect(left, top, width, height, "area")
    axis.draw(drawing, top, top + height, label, percent=percent)
    for index, row in enumerate(rows):
        y = top + 2 + ROW * (index + 0.5)
        span = row.expected or expected
        if span is not None:
            x0 = axis.at(span[0])
            drawing.rect(x0, y - ROW / 2, axis.at(span[1]) - x0, ROW, "expected")
        drawing.text(left - 6, y + 3.5, row.label, "tick end", within=left)
        if row.value is None:
            continue
        drawing.line(axis.at(row.low), y, axis.at(row.high), y, f"whisker {row.kind}")
        drawing.dots(np.array([[axis.at(row.value), y]]), f"visit {row.kind}", SHAPES[row.kind], 3.2)
        if row.tip:
            drawing.tip(row.tip)
    drawing.rect(left, top, width, height, "box")
    return drawing.markup("intervals")
