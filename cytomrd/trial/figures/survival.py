"""Kaplan-Meier curves with the numbers at risk, for every time to an event."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.report.axes import nice_ticks
from cytomrd.report.svg import Drawing
from cytomrd.trial.endpoints import DAYS_PER_MONTH, TimeToEvent
from cytomrd.trial.figures.axes import Panel, dose_levels, dose_words, finished
from cytomrd.trial.figures.style import DOSE_CLASSES
from cytomrd.trial.study import Study
from cytomrd.trial.study_endpoints import study_endpoints
from cytomrd.trial.survival import KaplanMeier, kaplan_meier
from cytomrd.trial.table import TrialFigure

__all__ = ["duration_figures", "mrd_duration_figures", "persistence_figures", "survival_figures"]

TITLES = {
    "OS": "Overall survival", "PFS": "Progression-free survival", "DOR": "Duration of response",
    "MRDNEG": "Duration of MRD negativity", "PERSIST": "Persistence of CAR-NK cells in blood",
}  # fmt: skip
NOTE = "Kaplan-Meier; the band is the {percent:g} % interval (log-log) of all subjects, a tick is a censored subject."


def survival_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Overall and progression-free survival."""
    return _figures(study, ("OS", "PFS"))


def duration_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Duration of response."""
    return _figures(study, ("DOR",))


def mrd_duration_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Duration of MRD negativity."""
    return _figures(study, ("MRDNEG",))


def persistence_figures(study: Study) -> tuple[TrialFigure, ...]:
    """Persistence of the cells."""
    return _figures(study, ("PERSIST",))


def _figures(study: Study, names: Sequence[str]) -> tuple[TrialFigure, ...]:
    endpoints = study_endpoints(study)
    note = NOTE.format(percent=100 * study.settings.choices.confidence)
    return tuple(
        TrialFigure(f"km_{name.lower()}", TITLES[name], _curves(study, name, endpoints[name]), (note,))
        for name in names
        if endpoints[name]
    )


def _groups(study: Study, times: Sequence[TimeToEvent]) -> list[tuple[str, str, list[TimeToEvent]]]:
    """Name, class and times of all subjects, then of each dose level that has any."""
    groups = [("All", "all", list(times))]
    for place, dose in enumerate(dose_levels(study)):
        own = [t for t in times if study.dose_level[t.subject] == dose]
        if own:
            groups.append((dose_words(dose), DOSE_CLASSES[place % len(DOSE_CLASSES)], own))
    return groups


def _curves(study: Study, name: str, times: Sequence[TimeToEvent]) -> str:
    groups = _groups(study, times)
    days = name == "PERSIST"
    unit, scale = ("days", 1.0) if days else ("months", DAYS_PER_MONTH)
    left, top, width, height = 92.0, 26.0, 520.0, 230.0
    drawing = Drawing(left + width + 20, top + height + 66 + 17 * len(groups), TITLES[name])
    last = max(t.days for t in times) / scale
    panel = Panel(drawing, left=left, top=top, width=width, height=height, x=(0.0, last * 1.03), y=(0.0, 1.0))
    panel.y_axis(percent=True, ticks=(0.0, 0.25, 0.5, 0.75, 1.0))
    for label, css, own in reversed(groups):
        curve = kaplan_meier([t.days / scale for t in own], [t.event for t in own],
                             confidence=study.settings.choices.confidence)  # fmt: skip
        _draw_curve(panel, curve, css, max(t.days for t in own) / scale, band=label == "All")
    _say_median(panel, kaplan_meier([t.days / scale for t in times], [t.event for t in times]), unit)
    panel.x_axis(f"{unit.capitalize()} since {'onset of response' if name == 'DOR' else _origin(name)}")
    panel.box()
    _at_risk(panel, groups, scale)
    return finished(drawing)


def _origin(name: str) -> str:
    return "the first negative marrow" if name == "MRDNEG" else "the first infusion"


def _steps(times: Sequence[float], values: Sequence[float], end: float) -> tuple[list[float], list[float]]:
    """Corners of a step curve that begins at 1 and is drawn to ``end``."""
    x, y = [0.0], [1.0]
    for time, value in zip(times, values, strict=True):
        x += [time, time]
        y += [y[-1], value]
    return [*x, end], [*y, y[-1]]


def _draw_curve(panel: Panel, curve: KaplanMeier, css: str, end: float, *, band: bool) -> None:
    if band:
        known = [i for i, low in enumerate(curve.low) if low is not None]
        times = [curve.times[i] for i in known]
        until = min([end, *(t for i, t in enumerate(curve.times) if i not in known)])
        x, low = _steps(times, [curve.low[i] for i in known], until)
        _, high = _steps(times, [curve.high[i] for i in known], until)
        outline = np.concatenate([panel.points(x, high), panel.points(x, low)[::-1]])
        panel.drawing.polyline(outline, f"band {css}", close=True)
    x, y = _steps(curve.times, curve.survival, end)
    panel.drawing.polyline(panel.points(x, y), f"step {css}")
    for time in curve.censored:
        at = panel.up(y[max(i for i, t in enumerate(x) if t <= time)])
        place = panel.across(time)
        panel.drawing.line(place, at - 4.5, place, at + 4.5, f"censor {css}")


def _say_median(panel: Panel, curve: KaplanMeier, unit: str) -> None:
    found = curve.quantile()
    if found.time is None:
        words = "median not reached"
    else:
        low, high = (f"{v:.1f}" if v is not None else "not estimable" for v in (found.low, found.high))
        words = f"median {found.time:.1f} {unit} ({low} to {high})"
    panel.drawing.text(panel.left + panel.width, panel.top - 9, words, "label end")


def _at_risk(panel: Panel, groups, scale: float) -> None:
    """The number at risk below each tick."""
    base = panel.top + panel.height + 54
    panel.drawing.text(panel.left - 7, base, "At risk", "label end")
    for line, (label, css, own) in enumerate(groups, start=1):
        y = base + 17 * line - 3
        panel.drawing.text(panel.left - 24, y, label, f"end {css if css != 'all' else 'label'}")
        for tick in nice_ticks(*panel.x, 7):
            count = sum(t.days / scale >= tick for t in own)
            panel.drawing.text(panel.across(tick), y, str(count), "mid")
