"""Response: the waterfall of best changes, the swimmer plot, and the exposure of each response."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date as Date

import numpy as np

from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words
from cytomrd.trial.endpoints import DAYS_PER_MONTH
from cytomrd.trial.figures.axes import Panel, dose_legend, dose_levels, finished, limits_of
from cytomrd.trial.figures.style import DOSE_CLASSES, LEVELS
from cytomrd.trial.pharmacokinetics import profiles
from cytomrd.trial.response.assessment import Assessment
from cytomrd.trial.response.from_study import SubjectResponse, study_responses
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialFigure

__all__ = ["BestChange", "best_change", "response_figures"]

PARAMETERS = {"serum": "serum M protein", "urine": "urine M protein", "flc": "dFLC", "marrow": "marrow plasma cells"}
TOP = 100.0


@dataclass(frozen=True)
class BestChange:
    """The lowest value after baseline of what the subject is measured by, as a change from baseline in percent."""

    subject: str
    level: str
    parameter: str
    percent: float


def response_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Waterfall, swimmer and Cmax against response."""
    courses = study_responses(study)
    if not courses:
        return ()
    changes = sorted((c for c in map(best_change, courses) if c), key=lambda c: (-c.percent, c.subject))
    missing = [_short(study, c.subject) for c in courses if c.subject not in {b.subject for b in changes}]
    left_out = (f"Without a value after baseline: {', '.join(missing)}.",) if missing else ()
    figures = []
    if changes:
        note = "The lowest value up to a new therapy; a rise over 100 % is cut. S serum, U urine, F dFLC, M marrow."
        figures.append(TrialFigure("waterfall", "Best change of the measured disease",
                                   _waterfall(study, changes), (note, *left_out)))  # fmt: skip
    note = "Each bar begins at the first infusion and ends at death or the last day known alive; colours are the level."
    figures.append(TrialFigure("swimmer", "Each subject's course", _swimmer(study, courses), (note,)))
    exposure = _exposure(study, courses)
    if exposure:
        figures.append(TrialFigure("cmax_response", "CAR-NK Cmax in blood against the best response", exposure,
                                   ("An open mark is a subject whose cells were never quantifiable: at half the limit "
                                    "of its samples.",)))  # fmt: skip
    return tuple(figures)


def _short(study: Study, subject: str) -> str:
    return subject.removeprefix(f"{study.settings.id}-")


def _value(assessment: Assessment, parameter: str) -> float | None:
    if parameter == "flc":
        if assessment.iflc is None or assessment.uflc is None:
            return None
        return assessment.iflc - assessment.uflc
    return {"serum": assessment.serum, "urine": assessment.urine, "marrow": assessment.bm}[parameter]


def best_change(course: SubjectResponse) -> BestChange | None:
    """The best change of a course; None where nothing was measurable or measured again."""
    best: BestChange | None = None
    for parameter in course.response.measurable:
        start = _value(course.baseline, parameter)
        values = [v for a in course.assessments if (v := _value(a, parameter)) is not None]
        if not start or not values:
            continue
        percent = 100.0 * (min(values) - start) / start
        # Of several measured, the one that fell least: the level is the lowest over them.
        if best is None or percent > best.percent:
            best = BestChange(course.subject, course.response.best_response, parameter, percent)
    return best


def _waterfall(study: Study, changes: Sequence[BestChange]) -> str:
    left, top, width, height = 62.0, 44.0, max(34.0 * len(changes), 260.0), 260.0
    drawing = Drawing(left + width + 44, top + height + 50, "Best change of the measured disease of each subject")
    ceiling = min(max(25.0, 25.0 * math.ceil(changes[0].percent / 25.0)), TOP)
    panel = Panel(drawing, left=left, top=top, width=width, height=height, x=(0.0, float(len(changes))),
                  y=(-100.0, ceiling))  # fmt: skip
    panel.y_axis(
        "Change from baseline, %", ticks=[t for t in (-100, -75, -50, -25, 0, 25, 50, 75, 100) if t <= ceiling]
    )
    for level, threshold in (("PR", -50.0), ("VGPR", -90.0)):
        drawing.line(left, panel.up(threshold), left + width, panel.up(threshold), "limit")
        drawing.text(left + width + 5, panel.up(threshold) + 4, level, "label")
    zero = panel.up(0.0)
    for place, change in enumerate(changes):
        end = panel.up(min(change.percent, ceiling))
        x = panel.across(place + 0.12)
        drawing.rect(x, min(zero, end), panel.across(place + 0.88) - x, max(abs(end - zero), 1.5),
                     f"bar {change.level.lower()}",
                     tip=f"{change.subject}: {change.percent:+.0f} % of {PARAMETERS[change.parameter]}, "
                     f"{change.level}")  # fmt: skip
        middle = panel.across(place + 0.5)
        drawing.text(middle, top + height + 16, _short(study, change.subject), "mid")
        drawing.text(middle, top + height + 30, change.parameter[0].upper(), "mid")
    drawing.line(left, zero, left + width, zero, "major")
    panel.box()
    _level_legend(drawing, {c.level for c in changes}, left, 18)
    return finished(drawing)


def _level_legend(drawing: Drawing, levels, x: float, y: float) -> None:
    for level in (level for level in LEVELS if level in levels):
        drawing.rect(x, y - 9, 11, 11, f"bar {level.lower()}")
        drawing.text(x + 16, y, level, "label")
        x += 26 + 8.0 * len(level)


def _swimmer(study: Study, courses: Sequence[SubjectResponse]) -> str:
    doses = dose_levels(study)
    ordered = sorted(courses, key=lambda c: (doses.index(c.dose_level), -_end(c)[0], c.subject))
    left, top, row, width = 74.0, 66.0, 21.0, 560.0
    height = row * len(ordered)
    drawing = Drawing(left + width + 24, top + height + 48, "Course of each subject: response over time")
    last = max(_end(c)[0] for c in ordered) / DAYS_PER_MONTH
    panel = Panel(drawing, left=left, top=top, width=width, height=height, x=(0.0, max(last * 1.06, 1.0)),
                  y=(float(len(ordered)), 0.0))  # fmt: skip
    for place, course in enumerate(ordered):
        y = top + row * place
        css = DOSE_CLASSES[doses.index(course.dose_level) % len(DOSE_CLASSES)]
        drawing.text(left - 8, y + row / 2 + 4, _short(study, course.subject), f"end {css}")
        _lane(panel, course, y + 3.5, row - 7)
    panel.x_axis("Months since the first infusion")
    panel.box()
    _level_legend(drawing, {v.level for c in ordered for v in c.response.visits}, left, 18)
    _mark_legend(drawing, left, 42)
    return finished(drawing)


def _days(course: SubjectResponse, day: Date) -> int:
    return (day - course.start).days


def _end(course: SubjectResponse) -> tuple[int, bool]:
    """Last day of the lane, and whether the subject was alive then."""
    if course.death is not None:
        return _days(course, course.death), False
    seen = [d for d in (course.last_alive, *(a.date for a in course.assessments)) if d is not None]
    return max([0, *(_days(course, d) for d in seen)]), True


def _lane(panel: Panel, course: SubjectResponse, y: float, height: float) -> None:
    end, alive = _end(course)
    visits = course.response.visits
    starts = [0, *(_days(course, v.date) for v in visits)]
    levels = ["", *(v.level for v in visits)]
    for start, stop, level in zip(starts, [*starts[1:], end], levels, strict=True):
        x0, x1 = (panel.across(d / DAYS_PER_MONTH) for d in (start, max(start, stop)))
        panel.drawing.rect(x0, y, x1 - x0, height, f"bar {level.lower()}" if level else "before",
                           tip=f"{course.subject}: {level or 'not yet assessed'} from day {start}")  # fmt: skip
    middle = y + height / 2
    response = course.response
    if response.onset_index is not None:
        _mark(panel, _days(course, visits[response.onset_index].date), middle, "triangle", "mark")
    if course.new_therapy is not None:
        _mark(panel, _days(course, course.new_therapy), middle, "square", "hollow")
    if response.pd_visit_index is not None:
        x = panel.across(_days(course, visits[response.pd_visit_index].date) / DAYS_PER_MONTH)
        panel.drawing.lines([(x - 4, middle - 4, x + 4, middle + 4), (x - 4, middle + 4, x + 4, middle - 4)], "cross")
    if alive:
        x = panel.across(end / DAYS_PER_MONTH)
        panel.drawing.path(f"M{x + 2:.1f} {middle - 4.5:.1f}l8 4.5-8 4.5z", "arrow")
    else:
        _mark(panel, end, middle, "diamond", "mark")


def _mark(panel: Panel, day: int, y: float, shape: str, css: str) -> None:
    panel.drawing.dots(np.array([[panel.across(day / DAYS_PER_MONTH), y]]), css, shape, 4.2)


def _mark_legend(drawing: Drawing, x: float, y: float) -> None:
    for shape, css, words in (
        ("triangle", "mark", "response begins"), ("cross", "cross", "progression"), ("square", "hollow", "new therapy"),
        ("diamond", "mark", "death"), ("arrow", "arrow", "alive"),
    ):  # fmt: skip
        if shape == "cross":
            drawing.lines([(x - 4, y - 8, x + 4, y), (x - 4, y, x + 4, y - 8)], css)
        elif shape == "arrow":
            drawing.path(f"M{x - 4:.1f} {y - 8.5:.1f}l8 4.5-8 4.5z", css)
        else:
            drawing.dots(np.array([[x, y - 4]]), css, shape, 4.2)
        drawing.text(x + 10, y, words, "label")
        x += 34 + 6.0 * len(words)


def _exposure(study: Study, courses: Sequence[SubjectResponse]) -> str:
    doses = dose_levels(study)
    level_of = {c.subject: c.response.best_response for c in courses}
    found = []
    for profile in profiles(study):
        if profile.matrix != "BLOOD" or profile.result is None or profile.usubjid not in level_of:
            continue
        cmax = profile.result.cmax
        limits = study.flow_car_nk.loc[study.flow_car_nk["sample_id"].isin(profile.samples), "lloq_cells_per_ul"]
        shown = cmax or (limits.min() / 2 if limits.notna().any() else None)
        if shown:
            dose = doses.index(profile.dose_level)
            found.append((profile.usubjid, level_of[profile.usubjid], dose, shown, bool(cmax)))
    if not found:
        return ""
    levels = [level for level in reversed(LEVELS) if any(level == f[1] for f in found)]
    left, top, width, height = 62.0, 46.0, max(74.0 * len(levels), 300.0), 260.0
    drawing = Drawing(left + width + 16, top + height + 40, "CAR-NK Cmax in blood against the best response")
    panel = Panel(drawing, left=left, top=top, width=width, height=height, x=(0.0, float(len(levels))),
                  y=limits_of((f[3] for f in found), log=True), log_y=True)  # fmt: skip
    panel.y_axis("Cmax, CAR+ NK cells/µL")
    dose_legend(drawing, doses, left, 20)
    for column, level in enumerate(levels):
        own = sorted((f for f in found if f[1] == level), key=lambda f: f[3])
        for place, (subject, _, dose, value, seen) in enumerate(own):
            x = column + (place + 1) / (len(own) + 1)
            panel.dot(x, value, dose, is_open=not seen, tip=f"{subject}: Cmax {number_words(value)}, {level}", size=4.0)
        drawing.text(panel.across(column + 0.5), top + height + 17, f"{level} ({len(own)})", "label mid")
    drawing.text(left + width / 2, top + height + 34, "Best confirmed response (subjects)", "label mid")
    panel.box()
    return finished(drawing)
