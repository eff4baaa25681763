"""CAR on the NK cells of a sample: the threshold, its interval, and the control that set it."""

from __future__ import annotations

import numpy as np

from cytomrd.report.cells import control_of
from cytomrd.report.rare import AntigenCut, draw_car_histogram, draw_car_threshold
from cytomrd.report.scale import common_axis, moved, placed
from cytomrd.report.words import count_words, linear_words
from cytomrd.run.model import FileResult, RareCells, RunResult, SampleResult
from cytomrd.run.tracking import on_axes

__all__ = ["car_views"]

SECOND_AXES = ("CD56", "CD16", "SSC-A")


def car_views(run: RunResult, sample: SampleResult) -> list[dict[str, object]]:
    """For each tube: CAR against CD56 with every CAR+ cell, and CAR as a histogram over the control's."""
    views = []
    for file in sample.files:
        decision = _car_decision(sample, file)
        for cells in file.rare:
            marker = decision.marker if decision is not None else _car_marker(sample, file)
            if marker in cells.markers and marker in file.axes:
                views += _views(run, sample, file, cells, marker, decision)
    return views


def _car_decision(sample: SampleResult, file: FileResult):
    spec = sample.panel.car_nk if sample.panel is not None else None
    name = spec.car_cut if spec is not None else "CAR"
    return next((d for d in file.decisions if d.name == name), None)


def _car_marker(sample: SampleResult, file: FileResult) -> str | None:
    spec = next((t for t in sample.panel.tubes if t.id == file.tube), None) if sample.panel is not None else None
    found = next((c.marker for c in spec.channels if c.role == "car"), None) if spec is not None else None
    return found or next((m for m in file.axes if "CAR" in m.upper()), None)


def _views(
    run: RunResult, sample: SampleResult, file: FileResult, cells: RareCells, marker: str, decision
) -> list[dict]:
    own, car = file.axes[marker], common_axis(file.axes[marker])
    threshold = AntigenCut()
    if decision is not None:
        ends = (decision.value, decision.low, decision.high)
        threshold = AntigenCut(*(None if v is None else float(moved(own, v)) for v in ends))
    control = control_of(run, sample)
    control_name, control_values = None, None
    if control is not None:
        control_name = control[0]
        theirs = on_axes(control[1], [car])
        control_values = theirs[:, 0] if theirs is not None else None
    values = placed(own, cells)
    positive = np.asarray(cells.labels) == 1
    views = []
    second = next((m for m in SECOND_AXES if m in cells.markers and m in file.axes), None)
    if second is not None:
        across = common_axis(file.axes[second])
        both = np.stack([placed(across, cells), values], axis=1)
        above = np.zeros((0, 2))
        if control is not None and threshold.value is not None:
            theirs = on_axes(control[1], [across, own])
            if theirs is not None:
                is_above = theirs[:, 1] >= decision.value
                above = np.stack([theirs[is_above, 0], moved(own, theirs[is_above, 1])], axis=1)
        n_control = f"; {count_words(len(above))} of the control above it" if control is not None else ""
        counted = f"{count_words(int(positive.sum()))} CAR+ of {count_words(len(values))} NK cells"
        views.append(
            {
                "plot": draw_car_threshold(across, car, both[~positive], both[positive], above, threshold),
                "title": f"{car.label} against {across.label}",
                "note": f"{counted}, each drawn{n_control}",
            }
        )
    views.append(
        {
            "plot": draw_car_histogram(car, values, control_values, threshold),
            "title": f"{car.label} on NK cells",
            "note": _threshold_note(file, marker, decision, control_name),
        }
    )
    return views


def _threshold_note(file: FileResult, marker: str, decision, control_name: str | None) -> str:
    parts = ["filled: this sample"]
    if control_name is not None:
        parts.append(f"outline: {control_name}, scaled to as many cells")
    if decision is not None and decision.value is not None:
        parts.append(f"threshold {linear_words(float(file.axes[marker].transform.inverse(decision.value)))}")
    return "; ".join(parts)
