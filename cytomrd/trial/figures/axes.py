"""The plot area that the trial's figures share: a frame with a linear or logarithmic axis in either direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from cytomrd.report.axes import nice_ticks
from cytomrd.report.svg import Drawing
from cytomrd.report.words import power_of_ten
from cytomrd.trial.figures.style import DOSE_CLASSES
from cytomrd.trial.study import Study

__all__ = ["DOSE_MARKS", "Panel", "dose_legend", "dose_levels", "dose_words", "finished", "limits_of"]

DOSE_MARKS = ("circle", "square", "triangle", "diamond", "circle", "square")


def dose_levels(study: Study) -> tuple[float, ...]:
    """Dose levels in the order of study.toml, then any other that a treated subject has: nobody is left out."""
    planned = tuple(study.settings.dose_levels)
    given = {float(study.dose_level[subject]) for subject in study.treated}
    return (*planned, *sorted(given - set(planned)))


def dose_words(dose: float) -> str:
    """A dose level in words: ``1.5 × 10⁸``."""
    exponent = math.floor(math.log10(dose))
    return f"{dose / 10.0**exponent:g} × {power_of_ten(exponent)}"


def limits_of(values: Iterable[float], *, log: bool) -> tuple[float, float]:
    """Limits of an axis that hold all values; 1, 2 or 5 times a power of ten where it is logarithmic."""
    finite = [v for v in values if v is not None and math.isfinite(v) and (v > 0 or not log)]
    if not finite:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(finite), max(finite)
    if not log:
        return low, high if high > low else low + 1.0
    below = max(v for v in _round_values(low) if v <= 0.95 * low)
    above = min(v for v in _round_values(high) if v >= 1.05 * high)
    return below, max(above, 10.0 * below)


def _round_values(near: float) -> list[float]:
    """1, 2 and 5 times the powers of ten around a value."""
    power = math.floor(math.log10(near))
    return [step * 10.0**k for k in range(power - 1, power + 2) for step in (1.0, 2.0, 5.0)]


class Panel:
    """One plot area on a drawing.

    Parameters
    ----------
    drawing
        What it is drawn on.
    left, top, width, height
        Of the plot area, in pixels.
    x, y
        Limits of the axes.
    log_y
        Whether the vertical axis is logarithmic.
    """

    def __init__(
        self,
        drawing: Drawing,
        *,
        left: float,
        top: float,
        width: float,
        height: float,
        x: tuple[float, float],
        y: tuple[float, float],
        log_x: bool = False,
        log_y: bool = False,
    ):
        self.drawing, self.left, self.top, self.width, self.height = drawing, left, top, width, height
        self.x, self.y, self.log_x, self.log_y = x, y, log_x, log_y
        drawing.rect(left, top, width, height, "area")

    def across(self, value: float) -> float:
        """Pixel position of a value on the x axis."""
        return self.left + _part(value, self.x, self.log_x) * self.width

    def up(self, value: float) -> float:
        """Pixel position of a value on the y axis."""
        return self.top + (1.0 - _part(value, self.y, self.log_y)) * self.height

    def points(self, x: Sequence[float], y: Sequence[float]) -> np.ndarray:
        """Pixel positions, array of shape (n, 2)."""
        return np.array([(self.across(a), self.up(b)) for a, b in zip(x, y, strict=True)]).reshape(-1, 2)

    def x_axis(self, label: str = "", ticks: Sequence[float] | None = None) -> None:
        """Ticks and label below."""
        base = self.top + self.height
        for value in _ticks(self.x, self.log_x, 7) if ticks is None else ticks:
            place = self.across(value)
            self.drawing.line(place, base, place, base + 4.5, "major")
            self.drawing.text(place, base + 16, _tick_words(value, self.log_x), "mid")
        if label:
            self.drawing.text(self.left + self.width / 2, base + 33, label, "label mid")

    def y_axis(
        self, label: str = "", *, percent: bool = False, ticks: Sequence[float] | None = None, numbers: bool = True
    ) -> None:
        """Rules, ticks and label on the left; without ``numbers`` for a panel that stands beside another."""
        for value in _ticks(self.y, self.log_y, 5) if ticks is None else ticks:
            place = self.up(value)
            self.drawing.line(self.left, place, self.left + self.width, place, "rule")
            words = f"{100 * value:g} %" if percent else _tick_words(value, self.log_y)
            if numbers:
                self.drawing.text(self.left - 7, place + 3.8, words, "end")
        if label:
            self.drawing.text(self.left - 46, self.top + self.height / 2, label, "label mid", rotate=True)

    def infusions(self, days: Iterable[float]) -> None:
        """A dotted line and a mark at each infusion."""
        for value in days:
            place = self.across(value)
            self.drawing.line(place, self.top, place, self.top + self.height, "infusion")
            self.drawing.path(f"M{place:.2f} {self.top - 1:.2f}l-4-7h8z", "infusion-mark")
            self.drawing.tip(f"infusion, day {value:g}")

    def box(self) -> None:
        """The outline, drawn last."""
        self.drawing.rect(self.left, self.top, self.width, self.height, "box")

    def head(self, text: str, css: str = "") -> None:
        """A title above the plot area."""
        self.drawing.text(self.left, self.top - 12, text, f"head {css}".strip())

    def dot(self, x: float, y: float, dose: int, *, is_open: bool = False, tip: str = "", size: float = 3.2) -> None:
        """A mark of a dose level, open for a value that was not quantifiable."""
        css = f"dot{' open' if is_open else ''} {DOSE_CLASSES[dose % len(DOSE_CLASSES)]}"
        place = np.array([[self.across(x), self.up(y)]])
        self.drawing.dots(place, css, DOSE_MARKS[dose % len(DOSE_MARKS)], size)
        if tip:
            self.drawing.tip(tip)


def _part(value: float, limits: tuple[float, float], log: bool) -> float:
    low, high = limits
    if log:
        value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _ticks(limits: tuple[float, float], log: bool, about: int) -> tuple[float, ...]:
    if not log:
        return nice_ticks(limits[0], limits[1], about)
    first, last = math.ceil(math.log10(limits[0]) - 1e-9), math.floor(math.log10(limits[1]) + 1e-9)
    if last - first < 2:  # decades alone would be one or two ticks
        steps = (step * 10.0**k for k in range(first - 1, last + 1) for step in (1.0, 2.0, 5.0))
        return tuple(v for v in steps if limits[0] * (1 - 1e-9) <= v <= limits[1] * (1 + 1e-9))
    return tuple(10.0**k for k in range(first, last + 1))


def _tick_words(value: float, log: bool) -> str:
    power = math.log10(value) if log else 0.5
    if log and abs(power - round(power)) < 1e-9 and not 0.01 <= value <= 1000:
        return power_of_ten(round(power))
    return _plain_number(value)


def _plain_number(value: float) -> str:
    """A tick's number."""
    return f"{value:g}".replace("-", "−")


def dose_legend(drawing: Drawing, doses: Sequence[float], x: float, y: float) -> None:
    """One line: mark and words of every dose level."""
    for place, dose in enumerate(doses):
        css = DOSE_CLASSES[place % len(DOSE_CLASSES)]
        at = x + 128.0 * place
        drawing.dots(np.array([[at, y - 3.6]]), f"dot {css}", DOSE_MARKS[place % len(DOSE_MARKS)], 3.6)
        drawing.text(at + 9, y, f"{dose_words(dose)} cells", "label")


def finished(drawing: Drawing) -> str:
    """The figure as plain text, with the class that its style sheet colours."""
    return str.__str__(drawing.markup("trial"))
