"""The quality of a tube in two pictures: its signals over the acquisition, and the spill that compensation left."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from cytomrd.report.axes import nice_ticks
from cytomrd.report.compensation_plots import draw_matrix
from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words, percent_words
from cytomrd.run.model import FileResult, TubeQuality

__all__ = ["quality_views"]

LANE, WIDTH = 17.0, 300.0
# A lane shows this much of an axis above and below the channel's own median.
REACH = 0.06
# From this much on spill is said in words.
TOLD = 0.01


def quality_views(file: FileResult) -> list[dict[str, object]]:
    """The pictures of a tube with title and note."""
    quality = file.quality
    if quality is None:
        return []
    views = []
    if len(quality.seconds) and quality.markers:
        removed = file.time_plot.removed if file.time_plot is not None else ()
        drift = f"drift {percent_words(file.qc.drift)} of a scale at most; " if file.qc.drift is not None else ""
        views.append(
            {
                "plot": draw_lanes(quality, removed),
                "title": "Medians over time",
                "note": f"{drift}each lane is ±{REACH:.0%} of the channel's scale"
                + ("; shaded: left out" if removed else ""),
            }
        )
    matrix = _spill_view(quality)
    return [*views, matrix] if matrix is not None else views


def draw_lanes(quality: TubeQuality, removed: tuple[tuple[float, float], ...]) -> Markup:
    """Each channel's median over time in a lane of its own, about its middle over the whole acquisition."""
    left, top = 74.0, 4.0
    height = LANE * len(quality.markers)
    drawing = Drawing(left + WIDTH + 14, top + height + 34, "Medians of each channel over the acquisition")
    step = float(quality.seconds[1] - quality.seconds[0]) if len(quality.seconds) > 1 else 1.0
    first, last = float(quality.seconds[0]) - step / 2, float(quality.seconds[-1]) + step / 2

    def across(seconds):
        return left + np.clip((np.asarray(seconds) - first) / (last - first), 0.0, 1.0) * WIDTH

    for start, stop in removed:
        x0, x1 = across([start, stop])
        tip = f"left out: {number_words(start)} to {number_words(stop)} s"
        drawing.rect(float(x0), top, float(x1 - x0), height, "removed", tip=tip)
    x = across(quality.seconds)
    for j, marker in enumerate(quality.markers):
        middle = top + LANE * (j + 0.5)
        values = quality.medians[:, j]
        drawing.text(left - 6, middle + 3.4, marker, "tick end", within=left - 4)
        if j:
            drawing.line(left, top + LANE * j, left + WIDTH, top + LANE * j, "divider")
        known = np.isfinite(values)
        if not known.any():
            continue
        away = np.clip((values - np.median(values[known])) / REACH, -1.0, 1.0)
        for run in np.split(np.flatnonzero(known), np.flatnonzero(np.diff(np.flatnonzero(known)) > 1) + 1):
            y = middle - away[run] * (LANE / 2 - 1)
            drawing.polyline(np.round(np.stack([x[run], y], axis=1), 1), "rate")
    base = top + height
    for value in nice_ticks(first, last, 6):
        at = float(across([value])[0])
        drawing.line(at, base, at, base + 4.5, "major")
        drawing.text(at, base + 15, f"{value:g}", "tick mid")
    drawing.text(left + WIDTH / 2, base + 30, "Time (s)", "label mid")
    drawing.rect(left, top, WIDTH, height, "box")
    return drawing.markup("lanes")


def _spill_view(quality: TubeQuality) -> dict[str, object] | None:
    """The matrix of what is left, where anything could be told of it."""
    n = len(quality.spill_markers)
    left = np.array(quality.spill, dtype=np.float64).reshape(n, n)
    off = left.copy()
    np.fill_diagonal(off, np.nan)
    told = np.isfinite(off)
    rows, columns = told.any(axis=1), told.any(axis=0)
    if not told.any():
        return None
    names = np.array(quality.spill_markers)
    i, j = np.unravel_index(np.nanargmax(np.abs(off)), off.shape)
    worst = f"largest: {names[i]} into {names[j]} {_percent(off[i, j])}"
    parts = [
        worst + (", look at it" if abs(off[i, j]) >= TOLD else ""),
        "rows: bright cells; columns: where they lie against dark cells of the same scatter; "
        "above 0 may be dim staining; grey: cannot be told",
    ]
    return {
        "plot": draw_matrix(
            list(names[rows]),
            list(names[columns]),
            left[rows][:, columns],
            title="Spill left after compensation",
            tips=False,
        ),
        "title": "Spill left after compensation, percent",
        "note": "; ".join(parts),
    }


def _percent(value: float) -> str:
    return f"{100 * value:+.1f}%".replace("-", "−")
