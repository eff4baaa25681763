"""The gating path of a tube as a row of small plots: time first, then each parent with the gates drawn on it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from markupsafe import Markup

from cytomrd.gating.gates import ROOT
from cytomrd.report.cells import kinds_of
from cytomrd.report.plots import draw_gates, draw_time
from cytomrd.report.scale import common_plot, placed
from cytomrd.report.words import count_words, percent_words
from cytomrd.run.model import FileResult, GatePlot, RareCells, SampleResult

__all__ = ["gating_path"]

# Kinds of rare cells that are drawn over every step that they passed, not only where they are gated.
FOLLOWED = ("clonal", "unsure", "car")
GATES_A_PLOT = 4


def gating_path(sample: SampleResult, file: FileResult) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Title, note and drawing of each step to the answer, left to right; and of the populations gated beside it.

    Gates of one parent on the same axes share a plot.
    """
    to_answer, beside = _divided(file)
    steps = []
    if file.time_plot is not None:
        steps.append({"plot": draw_time(file.time_plot), "title": "Events per second", "note": _time_note(file)})
    return [*steps, *_steps(sample, file, to_answer)], list(_steps(sample, file, beside, follow=False))


def _divided(file: FileResult) -> tuple[list[GatePlot], list[GatePlot]]:
    """Plots up to the rare compartment and within it; the others."""
    plots = list(file.gate_plots)
    paths = {p.population: p.gate_path for p in file.populations}
    rare = {cells.population for cells in file.rare}
    last = max((i for i, p in enumerate(plots) if p.population in rare), default=len(plots))
    steps = [p for i, p in enumerate(plots) if i <= last or rare & {p.parent, *paths.get(p.population, ())}]
    return steps, [p for p in plots if p not in steps]


def _steps(
    sample: SampleResult, file: FileResult, chosen: list[GatePlot], *, follow: bool = True
) -> Iterator[dict[str, object]]:
    titles = {p.name: p.title for p in sample.panel.populations if p.title} if sample.panel is not None else {}
    titles |= {p.population: p.title for p in file.gate_plots} | {ROOT: "all events"}
    for plots in _by_parent(chosen):
        first = plots[0]
        parent = _lower(titles.get(first.parent, first.parent.replace("_", " ")))
        yield {
            "plot": _drawn(sample, file, plots, follow),
            "title": ", ".join(p.title for p in plots),
            "note": _note(plots, parent),
        }


def _by_parent(plots: list[GatePlot]) -> list[list[GatePlot]]:
    """Gates that cut the same events on the same axes, at the place of their first; one of several pieces alone."""
    groups: dict[tuple[object, ...], list[GatePlot]] = {}
    seen: dict[tuple[str, str, str], int] = {}
    for index, plot in enumerate(plots):
        key = (plot.parent, plot.x.marker, plot.y.marker)
        if len(plot.outlines) > 1:
            groups[(index,)] = [plot]
            continue
        seen[key] = seen.get(key, -1) + 1
        groups.setdefault((*key, seen[key] // GATES_A_PLOT), []).append(plot)
    return list(groups.values())


def _time_note(file: FileResult) -> str:
    removed = file.qc.n_removed_by_time
    left_out = f"{count_words(removed)} events left out, shaded" if removed else "nothing left out"
    return f"{count_words(file.qc.n_events)} events; {left_out}"


def _note(plots: list[GatePlot], parent: str) -> str:
    of_parent = f"{parent} ({count_words(plots[0].n_parent)})"
    if len(plots) == 1:
        return f"{count_words(plots[0].n_population)}: {_share(plots[0])} of {of_parent}"
    each = "; ".join(f"{p.title} {count_words(p.n_population)} ({_share(p)})" for p in plots)
    return f"of {of_parent}: {each}"


def _share(plot: GatePlot) -> str:
    return percent_words(plot.n_population / plot.n_parent) if plot.n_parent else "none"


def _lower(title: str) -> str:
    """``Plasma cells`` within a sentence; ``CD45+`` as it is."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title


def _drawn(sample: SampleResult, file: FileResult, plots: list[GatePlot], follow: bool) -> Markup:
    plots = [common_plot(p) for p in plots]
    return draw_gates(plots, _dots(sample, file, plots) if follow else {})


def _dots(sample: SampleResult, file: FileResult, plots: list[GatePlot]) -> dict[str, np.ndarray]:
    """The rare cells to draw over a plot.

    All of the kept compartment where it is gated and in what follows from it; those that matter in each step before.
    """
    plot = plots[0]
    for cells in file.rare:
        if plot.x.marker not in cells.markers or plot.y.marker not in cells.markers:
            continue
        gated_here = plot.parent == cells.population or any(p.population == cells.population for p in plots)
        if not gated_here and plot.parent not in _ancestors(file, cells):
            continue
        values = np.stack([placed(axis, cells) for axis in (plot.x, plot.y)], axis=1)
        return {
            kind: values[mask]
            for kind, mask in kinds_of(sample, cells.labels)
            if mask.any() and (gated_here or kind in FOLLOWED)
        }
    return {} if plot.dots is None else {"other": plot.dots}


def _ancestors(file: FileResult, cells: RareCells) -> set[str]:
    """Populations that hold every one of the rare cells."""
    path = next((p.gate_path for p in file.populations if p.population == cells.population), ())
    return {ROOT, *path[:-1]}
