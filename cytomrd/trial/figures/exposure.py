"""CAR-NK cells over time: every subject's curve, and the mean of each dose level, in blood and in marrow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words
from cytomrd.trial.car_concentration import with_concentrations
from cytomrd.trial.figures.axes import Panel, dose_legend, dose_levels, dose_words, finished, limits_of
from cytomrd.trial.figures.style import DOSE_CLASSES
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialFigure

__all__ = ["CarPoint", "car_points", "exposure_figures"]

BLQ = ("BELOW_LLOQ", "BELOW_LOD")
WORDS = {"BLOOD": "blood", "BONE MARROW": "bone marrow"}
OPEN = "An open mark is below the limit of quantification and stands at half of it; the axis is logarithmic."


@dataclass(frozen=True)
class CarPoint:
    """One evaluable sample: when, how much (or half the limit), and whether that could be quantified."""

    usubjid: str
    dose_level: float
    visit: str
    time_d: float
    planned_day: float
    value: float
    quantified: bool


def car_points(study: Study, matrix: str) -> tuple[tuple[CarPoint, ...], str]:
    """Points of all subjects in one matrix, and their unit.

    A sample that could not be evaluated, or is below a limit that is not known, is left out.
    """
    rows = with_concentrations(study.flow_car_nk)
    rows = rows[(rows["MATRIX"] == matrix) & rows["time_d"].notna() & rows["USUBJID"].isin(study.treated)]
    points = []
    for row in rows.sort_values(["USUBJID", "time_d"]).to_dict("records"):
        quantified = row["status"] == "QUANTIFIED"
        half = row["concentration_lloq"] / 2 if row["status"] in BLQ else None
        shown = row["concentration"] if quantified else half
        if shown is None or pd.isna(shown) or shown <= 0:
            continue
        points.append(CarPoint(
            row["USUBJID"], float(study.dose_level[row["USUBJID"]]), row["VISIT"], float(row["time_d"]),
            float(row["PLANNED_DAY"]), float(shown), quantified,
        ))  # fmt: skip
    unit = str(rows["concentration_unit"].iloc[0]) if len(rows) else ""
    return tuple(points), unit.replace("uL", "µL").replace("% of NK", "% of NK cells")


def exposure_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Individual and mean curves of each matrix that has samples."""
    figures = []
    for matrix, words in WORDS.items():
        points, unit = car_points(study, matrix)
        if not points:
            continue
        name = matrix.lower().replace(" ", "_")
        figures.append(TrialFigure(f"car_nk_{name}_individual", f"CAR-NK cells in {words}, by subject",
                                   _individual(study, points, unit, words), (OPEN,)))  # fmt: skip
        note = "Geometric means on planned days, with what is below the limit at half of it; the bars span one SD."
        figures.append(TrialFigure(f"car_nk_{name}_mean", f"CAR-NK cells in {words}, mean by dose level",
                                   _mean(study, points, unit, words), (note,)))  # fmt: skip
    return tuple(figures)


def _infusions(study: Study) -> tuple[float, ...]:
    return tuple(float(day) for day in sorted(study.dosing["PLANNED_DAY"].dropna().unique()))


def _span(points: Sequence[CarPoint]) -> tuple[float, float]:
    times = [p.time_d for p in points]
    low, high = min(*times, 0.0), max(*times, 28.0)
    return low - 0.03 * (high - low), high + 0.03 * (high - low)


def _individual(study: Study, points: Sequence[CarPoint], unit: str, words: str) -> str:
    doses = dose_levels(study)
    width, height, gap, left, top = 250.0, 230.0, 20.0, 62.0, 40.0
    drawing = Drawing(left + len(doses) * (width + gap), top + height + 48, f"CAR-NK cells in {words} of each subject")
    y = limits_of((p.value for p in points), log=True)
    for place, dose in enumerate(doses):
        panel = Panel(drawing, left=left + place * (width + gap), top=top, width=width, height=height,
                      x=_span(points), y=y, log_y=True)  # fmt: skip
        own = [p for p in points if p.dose_level == dose]
        subjects = list(dict.fromkeys(p.usubjid for p in own))
        panel.y_axis(f"CAR+ NK, {unit}" if place == 0 else "", numbers=place == 0)
        panel.infusions(_infusions(study))
        panel.head(f"{dose_words(dose)} cells (n = {len(subjects)})", DOSE_CLASSES[place % len(DOSE_CLASSES)])
        for subject in subjects:
            curve = [p for p in own if p.usubjid == subject]
            drawing.polyline(panel.points([p.time_d for p in curve], [p.value for p in curve]),
                             f"curve {DOSE_CLASSES[place % len(DOSE_CLASSES)]}")  # fmt: skip
            for p in curve:
                words_of = number_words(p.value) if p.quantified else f"< {number_words(2 * p.value)}"
                panel.dot(p.time_d, p.value, place, is_open=not p.quantified, size=2.8,
                          tip=f"{subject}, {p.visit}: {words_of} {unit}")  # fmt: skip
        panel.x_axis("Day (0 = first infusion)")
        panel.box()
    return finished(drawing)


def _mean(study: Study, points: Sequence[CarPoint], unit: str, words: str) -> str:
    doses = dose_levels(study)
    left, top, width, height = 62.0, 46.0, 560.0, 280.0
    drawing = Drawing(left + width + 16, top + height + 48, f"CAR-NK cells in {words}, mean of each dose level")
    means = {dose: _means([p for p in points if p.dose_level == dose]) for dose in doses}
    shown = [v for curve in means.values() for _, *values in curve for v in values]
    panel = Panel(drawing, left=left, top=top, width=width, height=height, x=_span(points),
                  y=limits_of(shown, log=True), log_y=True)  # fmt: skip
    panel.y_axis(f"CAR+ NK, {unit}")
    panel.infusions(_infusions(study))
    dose_legend(drawing, doses, left, 20)
    for place, dose in enumerate(doses):
        css = DOSE_CLASSES[place % len(DOSE_CLASSES)]
        shift = 0.18 * (place - (len(doses) - 1) / 2)  # side by side, so that no bar hides another
        curve = means[dose]
        drawing.polyline(panel.points([day + shift for day, *_ in curve], [m for _, _, m, _ in curve]), f"mean {css}")
        for day, low, middle, high in curve:
            x = panel.across(day + shift)
            drawing.line(x, panel.up(low), x, panel.up(high), f"whisker {css}")
            own = [p for p in points if p.dose_level == dose and p.planned_day == day]
            seen = sum(p.quantified for p in own)
            panel.dot(day + shift, middle, place, is_open=seen == 0,
                      tip=f"{dose_words(dose)}, day {day:g}: {number_words(middle)} {unit}, {seen} of {len(own)} "
                      "quantified")  # fmt: skip
    panel.x_axis("Planned day (0 = first infusion)")
    panel.box()
    return finished(drawing)


def _means(points: Sequence[CarPoint]) -> list[tuple[float, float, float, float]]:
    """Day, geometric mean less and plus one SD of the logarithms, by planned day."""
    curve = []
    for day in sorted({p.planned_day for p in points}):
        logs = [math.log(p.value) for p in points if p.planned_day == day]
        middle = math.fsum(logs) / len(logs)
        spread = math.sqrt(math.fsum((v - middle) ** 2 for v in logs) / (len(logs) - 1)) if len(logs) > 1 else 0.0
        curve.append((day, math.exp(middle - spread), math.exp(middle), math.exp(middle + spread)))
    return curve
