"""Pictures of a ladder: what was found against what was put in, and how often it was found."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from cytomrd.mrd.ladder import LevelSummary, Mixture
from cytomrd.mrd.limits import detection_probability
from cytomrd.report.svg import Drawing
from cytomrd.report.words import percent_words, power_of_ten

__all__ = ["draw_hit_rates", "draw_linearity"]

LEFT, TOP, SIDE, BOTTOM, RIGHT = 52.0, 10.0, 300.0, 38.0, 10.0


class _Square:
    """A square plot area; x is the level on a log scale."""

    def __init__(self, levels: Sequence[float], title: str, y_label: str):
        self.first = math.floor(math.log10(min(levels)) - 0.05)
        self.last = max(math.ceil(math.log10(max(levels)) + 0.05), self.first + 1)
        self.drawing = Drawing(LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM, title)
        self.drawing.rect(LEFT, TOP, SIDE, SIDE, "area")
        for power in range(self.first, self.last + 1):
            x = self.across(10.0**power)
            self.drawing.line(x, TOP + SIDE, x, TOP + SIDE + 4.5, "major")
            self.drawing.text(x, TOP + SIDE + 16, power_of_ten(power), "tick mid")
        self.drawing.text(LEFT + SIDE / 2, TOP + SIDE + 33, "Clonal of nucleated cells, put in", "label mid")
        self.drawing.text(12, TOP + SIDE / 2, y_label, "label mid", rotate=True)

    def part(self, value: float) -> float:
        return (math.log10(value) - self.first) / (self.last - self.first)

    def across(self, level: float) -> float:
        return LEFT + SIDE * self.part(level)

    def up(self, part: float) -> float:
        return TOP + SIDE * (1 - min(max(part, 0.0), 1.0))

    def tick(self, part: float, text: str) -> None:
        self.drawing.line(LEFT - 4.5, self.up(part), LEFT, self.up(part), "major")
        self.drawing.text(LEFT - 7, self.up(part) + 3.3, text, "tick end")

    def markup(self) -> Markup:
        self.drawing.rect(LEFT, TOP, SIDE, SIDE, "box")
        return self.drawing.markup()


def draw_linearity(mixtures: Sequence[Mixture], threshold: int) -> Markup | None:
    """MRD found against the level, both on log scales; open where too few events were called to be positive."""
    done = [m for m in mixtures if m.level and not m.error and m.n_nucleated]
    if not done:
        return None
    square = _Square([m.level for m in done], "MRD found against MRD put in", "MRD found")
    for power in range(square.first, square.last + 1):
        square.tick(square.part(10.0**power), power_of_ten(power))
    square.drawing.line(LEFT, TOP + SIDE, LEFT + SIDE, TOP, "ideal")
    for css, positive in (("found", True), ("missed", False)):
        chosen = [m for m in done if (m.n_clonal >= threshold) == positive]
        # Mixtures of one level stand beside each other, in the order of their seeds.
        points = [
            (square.across(m.level) + 1.1 * (m.seed % 11 - 5), square.up(square.part(m.fraction)) if m.fraction
             else TOP + SIDE)
            for m in chosen
        ]  # fmt: skip
        square.drawing.dots(np.array(points).reshape(-1, 2), css, "circle", 2.2)
    return square.markup()


def draw_hit_rates(levels: Sequence[LevelSummary], n_wanted: int, threshold: int) -> Markup | None:
    """Share of mixtures called positive, with its interval, against what counting alone allows."""
    shown = [s for s in levels if s.level]
    if not shown:
        return None
    square = _Square([s.level for s in shown], "hit rate by level", "Called positive")
    for percent in (0, 25, 50, 75, 100):
        square.tick(percent / 100, f"{percent}%")
    grid = 10 ** np.linspace(square.first, square.last, 120)
    curve = [(square.across(v), square.up(detection_probability(v, n_wanted, threshold))) for v in grid]
    square.drawing.polyline(np.array(curve), "counting")
    for s in shown:
        x = square.across(s.level)
        square.drawing.line(x, square.up(s.hit_low), x, square.up(s.hit_high), "whisker found")
        square.drawing.dots(np.array([[x, square.up(s.hit_rate)]]), "found", "circle", 3.4)
        square.drawing.tip(f"{s.n_hits} of {s.n_runs}, {percent_words(s.hit_rate, s.hit_low, s.hit_high)}")
    return square.markup()
