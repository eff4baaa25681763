"""One sample as the page shows it, as kept or with an edit that is not kept yet; and the list of samples."""

from __future__ import annotations

from cytomrd.report.marks import status_mark
from cytomrd.report.sample_words import visit_words
from cytomrd.report.verdict import NEEDS, describe_sample
from cytomrd.report.words import fraction_words, number_words, percent_words
from cytomrd.review.edits import Edit
from cytomrd.review.run import ReviewRun
from cytomrd.review.views import ClusterView, GateView, Number
from cytomrd.review.web.number_words import figure_views, value_words
from cytomrd.review.web.record_words import entry_view, signature_views
from cytomrd.review.workbench import Workbench
from cytomrd.run.model import SampleResult

__all__ = ["lines_view", "sample_view"]

CALL_WORDS = {"clonal": "clonal", "normal": "normal", "not_sure": "not sure", "not_plasma_cells": "no plasma cells"}


def lines_view(run: ReviewRun) -> dict[str, object]:
    """The samples of the run, each in a line."""
    lines = [run.line(sample_id) for sample_id in run.samples]
    return {
        "samples": [
            {
                "id": line.sample_id,
                "subject": line.subject_id,
                "visit": line.visit,
                "status": value_words("status", line.status),
                "mrd": fraction_words(line.mrd_fraction),
                "edits": line.n_edits,
                "signed": _signed_word(line.signed),
            }
            for line in lines
        ]
    }


def _signed_word(signed: tuple[str, ...]) -> str:
    if not signed:
        return ""
    return "signed" if all(words.endswith(", valid") for words in signed) else "signature not valid"


def sample_view(bench: Workbench, edit: Edit | None = None) -> dict[str, object]:
    """Everything that the page shows of a sample beside the plot: as kept, or as an edit would have it."""
    while True:
        version = bench.version
        view = _view(bench, edit)
        if bench.version == version:  # else another server on the same run kept something: numbers of two versions
            return {"version": version, **view}


def _view(bench: Workbench, edit: Edit | None) -> dict[str, object]:
    preview = bench.preview(edit) if edit is not None else None
    result = preview.result if preview is not None else bench.result()
    numbers = preview.numbers if preview is not None else bench.numbers()
    entries = bench.trail()
    verdict = describe_sample(result)
    return {
        "id": bench.sample_id,
        "assay": result.assay,
        "facts": _facts(result),
        "verdict": {
            "need": verdict.need,
            "word": NEEDS[verdict.need] if verdict.need in ("failed", "held") else verdict.word,
            "sentence": verdict.sentence,
            "numbers": list(verdict.numbers),
            "mark": status_mark(verdict.need, result.assay),
        },
        "notes": list(preview.notes if preview is not None else bench.notes),
        "seconds": f"{preview.seconds:.2f}" if preview is not None else "",
        "figures": figure_views(numbers),
        "tubes": [_tube(bench, result, tube, numbers, edit) for tube in bench.tubes],
        "clusters": [_cluster(view) for view in bench.clusters(edit=edit)],
        "undo": bench.may_undo,
        "redo": bench.may_redo,
        "signatures": signature_views(bench.signatures()),
        "comments": [entry_view(e, bench) for e in entries if e.action == "comment"],
        "entry": entries[-1].seq if entries else 0,
    }


def _facts(result: SampleResult) -> str:
    row = result.rows[0]
    parts = [row.subject_id and f"subject {row.subject_id}", visit_words(result), f"panel {result.files[0].panel_id}"]
    return " · ".join(part for part in parts if part)


def _tube(
    bench: Workbench, result: SampleResult, tube: str, numbers: tuple[Number, ...], edit: Edit | None
) -> dict[str, object]:
    file = next(f for f in result.files if f.tube == tube)
    spec = next((t for t in bench.panel.tubes if t.id == tube), None)
    counts = {n.name.removesuffix(" n_events"): n for n in numbers if n.group == "population" and n.tube == tube}
    views = bench.gates(tube, edit=edit)
    depth: dict[str, int] = {}
    for view in views:
        depth[view.name] = depth.get(view.parent, -1) + 1
    return {
        "id": tube,
        "title": f"Tube {tube}" + (f", {spec.title}" if spec is not None and spec.title else ""),
        "file": file.row.file,
        "axes": [{"marker": marker, "label": axis.label} for marker, axis in bench.axes(tube).items()],
        "populations": [_population(view, depth[view.name], counts.get(view.name), file) for view in _in_tree(views)],
    }


def _in_tree(views: tuple[GateView, ...]) -> list[GateView]:
    """Each population below its parent, as a tree is read."""
    below: dict[str, list[GateView]] = {}
    names = {v.name for v in views}
    for view in views:
        below.setdefault(view.parent if view.parent in names else "", []).append(view)
    ordered: list[GateView] = []

    def add(parent: str) -> None:
        for view in below.get(parent, ()):
            ordered.append(view)
            add(view.name)

    add("")
    return ordered


def _population(view: GateView, depth: int, number: Number | None, file) -> dict[str, object]:
    count = next((p for p in file.populations if p.population == view.name), None)
    now = number.new if number is not None else view.n_events
    kept = number.old if number is not None else view.n_events
    share = count.fraction_of_parent if count is not None else None
    return {
        "name": view.name,
        "title": view.title,
        "parent": view.parent,
        "depth": depth,
        "kind": view.kind,
        "plot": list(view.plot) if view.plot is not None else None,
        "axes": list(view.axes),
        "words": view.words,
        "now": f"{now:,}",
        "kept": f"{kept:,}",
        "changed": bool(now != kept),
        "percent": percent_words(share) if share is not None else "",
        "edited": view.changed,
        "shared": sorted(set(view.cuts.values())),
        "bounds": _bounds(view, file),
    }


def _bounds(view: GateView, file) -> list[dict[str, object]]:
    """Bounds of a rectangle on the linear scale, to be read and typed."""
    found = []
    if view.kind != "rectangle":
        return found
    for i, marker in enumerate(view.axes):
        axis = file.axes.get(marker)
        for side, word, values in (("minimum", "from", view.minimum), ("maximum", "below", view.maximum)):
            if axis is None or values[i] is None:
                continue
            linear = float(axis.transform.inverse(values[i]))
            found.append(
                {
                    "marker": marker,
                    "side": side,
                    "label": f"{axis.label} {word}",
                    "value": float(f"{linear:.5g}"),
                    "cut": view.cuts.get(f"{marker}:{side}", ""),
                }
            )
    return found


def _cluster(view: ClusterView) -> dict[str, object]:
    return {
        "id": view.id,
        "title": f"Cluster {view.id}",
        "now": view.call,
        "called": view.called_by,
        "automatic": CALL_WORDS[view.automatic_call],
        "cells": [[tube, f"tube {tube}: {n:,.0f}"] for tube, n in view.n_events.items()],
        "like": _like(view),
        "reason": view.reason,
    }


def _like(view: ClusterView) -> str:
    parts = [", ".join(view.aberrancies) or "no aberrancy"]
    if view.n_kappa + view.n_lambda:
        parts.append(f"kappa : lambda {view.n_kappa:,} : {view.n_lambda:,}")
    if view.posterior is not None:
        parts.append(f"probability of restriction {number_words(view.posterior)}")
    return "; ".join(parts)
