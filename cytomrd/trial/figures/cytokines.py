"""Cytokines, CRP and granzyme B over time: each subject, and the median of each dose level."""

from __future__ import annotations

import pandas as pd

from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words
from cytomrd.trial.cytokines import TESTS, cytokine_courses
from cytomrd.trial.figures.axes import Panel, dose_legend, dose_levels, finished, limits_of
from cytomrd.trial.figures.style import DOSE_CLASSES
from cytomrd.trial.groups import level_name
from cytomrd.trial.study import Study
from cytomrd.trial.study.units import LAB_TESTS
from cytomrd.trial.table import TrialFigure

__all__ = ["cytokine_figures"]

HORIZON_D = 35.0


def cytokine_figures(study: Study) -> tuple[TrialFigure, ...]:
    """One figure with a plot a test; a test without results is left out."""
    courses = cytokine_courses(study)
    courses = courses[courses["time_d"] <= HORIZON_D] if len(courses) else courses
    tests = [test for test in TESTS if len(courses) and (courses["test"] == test).any()]
    if not tests:
        return ()
    note = "Thin lines are subjects, thick ones the medians of each visit by dose level; below the limit at half of it."
    return (TrialFigure("cytokines", "Cytokines, CRP and granzyme B", _panels(study, courses, tests), (note,)),)


def _panels(study: Study, courses: pd.DataFrame, tests: list[str]) -> str:
    width, height, left, top, gap_x, gap_y = 300.0, 170.0, 62.0, 62.0, 74.0, 74.0
    rows = -(-len(tests) // 2)
    drawing = Drawing(left + 2 * width + gap_x + 16, top + rows * (height + gap_y) - 14, "Cytokines over time")
    doses = dose_levels(study)
    dose_legend(drawing, doses, left, 20)
    span = (min(-1.0, courses["time_d"].min()), courses["time_d"].max() + 1.0)
    infusions = [float(day) for day in sorted(study.dosing["PLANNED_DAY"].dropna().unique())]
    for number, test in enumerate(tests):
        own = courses[(courses["test"] == test) & (courses["value"] > 0)]
        panel = Panel(drawing, left=left + (number % 2) * (width + gap_x), top=top + (number // 2) * (height + gap_y),
                      width=width, height=height, x=span, y=limits_of(own["value"], log=True), log_y=True)  # fmt: skip
        unit = LAB_TESTS[test].unit
        panel.y_axis()
        panel.infusions(infusions)
        panel.head(f"{LAB_TESTS[test].name}, {unit}")
        for place, dose in enumerate(doses):
            _draw_dose(panel, own[own["dose_level"] == level_name(dose)], place, unit)
        panel.x_axis("Day (0 = first infusion)" if number >= len(tests) - 2 else "")
        panel.box()
    return finished(drawing)


def _draw_dose(panel: Panel, own: pd.DataFrame, place: int, unit: str) -> None:
    css = DOSE_CLASSES[place % len(DOSE_CLASSES)]
    for _, curve in own.groupby("USUBJID", sort=True):
        curve = curve.sort_values("time_d")
        panel.drawing.polyline(panel.points(curve["time_d"], curve["value"]), f"curve thin {css}")
    medians = own.groupby("VISIT").agg(time_d=("time_d", "median"), value=("value", "median")).sort_values("time_d")
    panel.drawing.polyline(panel.points(medians["time_d"], medians["value"]), f"mean {css}")
    for visit, row in medians.iterrows():
        words = f"{visit}: median {number_words(row['value'])} {unit}"
        panel.dot(row["time_d"], row["value"], place, tip=words, size=2.6)
