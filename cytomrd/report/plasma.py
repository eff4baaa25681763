"""The plasma cells of a marrow: antigen by antigen, light chains, and the clusters with what decided each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cytomrd.mrd.clonality import ClusterSummary
from cytomrd.panel import AntigenSpec
from cytomrd.report.cells import cell_word, cut_on, earlier_clone, kinds_of
from cytomrd.report.light_chains import (
    call_words,
    chain_markers,
    chain_ratios,
    clusters_of,
    kind_of,
    pairs_by_clone,
    ratio_words,
)
from cytomrd.report.rare import AntigenCut, EarlierClone, draw_antigen, draw_pair
from cytomrd.report.scale import common_axis, moved, placed
from cytomrd.report.tables import Table
from cytomrd.report.words import MISSING, count_words, join_words, number_words, percent_words
from cytomrd.run.model import FileResult, RareCells, RunResult, SampleResult
from cytomrd.run.tracking import on_axes

__all__ = ["plasma_view"]

# Pairs on which plasma cells, and B precursors, are usually looked at; those that the tube carries are drawn.
PAIRS = (("CD38", "CD138"), ("CD45", "CD38"), ("CD19", "CD56"), ("CD27", "CD81"), ("CD81", "CD117"), ("CD45", "CD19"),
         ("CD10", "CD38"), ("CD34", "CD10"), ("CD20", "CD10"))  # fmt: skip
# Targets of antibodies and cells: their state on the plasma cells is always said (spared, dim, lost).
THERAPY_TARGETS = ("CD38", "CD269")


def plasma_view(run: RunResult, sample: SampleResult) -> dict[str, object]:
    """Strips, pairs and light chains for each tube, and the tables of antigens and clusters."""
    tubes = []
    for file in sample.files:
        for cells in file.rare:
            strips = list(_strips(run, sample, file, cells))
            pairs = list(_pairs(run, sample, file, cells))
            if strips or pairs:
                tubes.append({"title": f"Tube {file.tube}", "strips": strips, "pairs": pairs})
    cells = f"{cell_word(sample)}s"
    return {
        "title": cells[0].upper() + cells[1:],
        "cells": cells,
        "tubes": tubes,
        "antigens": _antigen_table(sample),
        "clusters": _cluster_table(sample, normal=False),
        "normal_clusters": _cluster_table(sample, normal=True),
        "chains": chain_ratios(sample),
    }


def _antigens(sample: SampleResult) -> Mapping[str, AntigenSpec]:
    mrd = sample.panel.mrd if sample.panel is not None else None
    return {a.marker: a for a in mrd.antigens} if mrd is not None else {}


def _markers_shown(sample: SampleResult, file: FileResult, cells: RareCells) -> list[str]:
    """Stained antigens of the tube, the aberrancy antigens of the panel first, light chains apart."""
    stained = [
        m for m in cells.markers if m in file.axes and file.axes[m].fluorochrome and m not in chain_markers(sample)
    ]
    known = _antigens(sample)
    return sorted(stained, key=lambda m: (m not in known, list(known).index(m) if m in known else 0))


def _cut_of(sample: SampleResult, file: FileResult, marker: str) -> AntigenCut:
    antigen = _antigens(sample).get(marker)
    normal = antigen.normal if antigen is not None else ""
    decision = cut_on(file, marker)
    if decision is None:
        return AntigenCut(normal=normal)
    axis = file.axes[marker]
    value, low, high = (
        None if v is None else float(moved(axis, v)) for v in (decision.value, decision.low, decision.high)
    )
    return AntigenCut(value, low, high, normal)


def _strips(run: RunResult, sample: SampleResult, file: FileResult, cells: RareCells) -> Iterator[dict[str, object]]:
    before = earlier_clone(run, sample, file)
    for marker in _markers_shown(sample, file, cells):
        axis = common_axis(file.axes[marker])
        values = placed(axis, cells)
        kinds = {kind: values[mask] for kind, mask in kinds_of(sample, cells.labels)}
        earlier = None
        if before is not None:
            visit, other, mask = before
            theirs = on_axes(other, [axis])
            earlier = EarlierClone(visit, theirs[mask, 0]) if theirs is not None else None
        cut = _cut_of(sample, file, marker)
        yield {
            "plot": draw_antigen(axis, kinds, cut, earlier),
            "title": axis.label,
            "note": _strip_note(file, cells, marker, _antigens(sample).get(marker)),
        }


def _strip_note(file: FileResult, cells: RareCells, marker: str, antigen: AntigenSpec | None) -> str:
    labels = np.asarray(cells.labels)
    parts = []
    for kind, mask in (("clonal", labels >= 1), ("normal", labels == 0)):
        share = _positive(file, cells, marker, mask)
        if share is not None:
            parts.append(f"{kind} {percent_words(share)} +")
    if antigen is not None and antigen.normal_range is not None:
        parts.append(f"reference {_range(antigen.normal_range)} +")
    return "; ".join(parts) or "no cut on this antigen"


def _range(interval: tuple[float, float]) -> str:
    return f"{100 * interval[0]:.0f}–{100 * interval[1]:.0f}%"


def _positive(file: FileResult, cells: RareCells, marker: str, mask: np.ndarray) -> float | None:
    """Share of some cells at or above the antigen's cut, on the scale on which it was set."""
    decision = cut_on(file, marker)
    if decision is None or not mask.any():
        return None
    return float(np.mean(cells.transformed[mask, cells.markers.index(marker)] >= decision.value))


def _pairs(run: RunResult, sample: SampleResult, file: FileResult, cells: RareCells) -> Iterator[dict[str, object]]:
    before = earlier_clone(run, sample, file)
    chains = chain_markers(sample)
    for x, y in (chains, *PAIRS):
        if not {x, y} <= set(cells.markers) & set(file.axes):
            continue
        axes = (common_axis(file.axes[x]), common_axis(file.axes[y]))
        values = np.stack([placed(file.axes[marker], cells) for marker in (x, y)], axis=1)
        cuts = [(name, _cut_of(sample, file, marker)) for name, marker in (("x", x), ("y", y))]
        earlier = None
        if before is not None:
            visit, other, mask = before
            theirs = on_axes(other, axes)
            earlier = EarlierClone(visit, theirs[mask]) if theirs is not None else None
        lines = {
            "cuts": tuple((name, cut.value) for name, cut in cuts if cut.value is not None),
            "bands": tuple((n, c.low, c.high) for n, c in cuts if c.low is not None and c.high is not None),
        }
        kinds = {kind: values[mask] for kind, mask in kinds_of(sample, cells.labels)}
        yield {
            "plot": draw_pair(*axes, kinds, earlier=earlier, **lines),
            "title": "Kappa against lambda" if (x, y) == chains else f"{x} against {y}",
            "note": _counts_note(sample, cells)
            + (f"; dashed: the clone at {before[0]}" if earlier is not None else ""),
        }
        if (x, y) == chains:
            yield from pairs_by_clone(axes, values, cells.labels, lines)


def _counts_note(sample: SampleResult, cells: RareCells) -> str:
    counts = [(kind, int(mask.sum())) for kind, mask in kinds_of(sample, cells.labels)]
    shown = [f"{count_words(n)} {kind}" for kind, n in reversed(counts) if n or kind != "unsure"]
    return ", ".join(shown)


def _antigen_table(sample: SampleResult) -> Table:
    """Each antigen on clonal and normal plasma cells against the panel's reference; targets of therapy among them."""
    rows = []
    known = _antigens(sample)
    for file in sample.files:
        for cells in file.rare:
            clonal, normal = np.asarray(cells.labels) >= 1, np.asarray(cells.labels) == 0
            for marker in _markers_shown(sample, file, cells):
                column = cells.markers.index(marker)
                antigen = known.get(marker)
                shown = [_positive(file, cells, marker, mask) for mask in (clonal, normal)]
                medians = [_median(cells.compensated[mask, column]) for mask in (clonal, normal)]
                reference = MISSING
                if antigen is not None:
                    reference = _range(antigen.normal_range) if antigen.normal_range else f"mostly {antigen.normal}"
                rows.append(
                    (
                        file.axes[marker].label + (" (target)" if marker in THERAPY_TARGETS else ""),
                        file.tube,
                        percent_words(shown[0]),
                        percent_words(shown[1]),
                        reference,
                        number_words(medians[0]),
                        number_words(medians[1]),
                    )
                )
    heads = (
        ("Antigen", False), ("Tube", False), ("Clonal, positive", True), ("Normal, positive", True),
        ("Reference, positive", True), ("Clonal, median", True), ("Normal, median", True),
    )  # fmt: skip
    return Table(heads, tuple(rows))


def _median(values: np.ndarray) -> float | None:
    return float(np.median(values)) if len(values) else None


def _cluster_table(sample: SampleResult, *, normal: bool) -> Table:
    """One row a cluster: its size, aberrancies, light chains, and what decided; the normal ones apart."""
    heads = (
        ("Call", False), ("Cells, by tube", True), ("Aberrancies", False), ("Kappa : lambda cells", True),
        ("Ratio (95% interval)", True), ("Posterior of restriction", True), ("Decided by", False),
    )  # fmt: skip
    chosen = (c for c in clusters_of(sample) if (kind_of(c) == "normal") == normal)
    return Table(heads, tuple(_cluster_row(c) for c in chosen))


def _cluster_row(cluster: ClusterSummary) -> tuple[str, ...]:
    call = call_words(cluster)
    cells = " + ".join(count_words(n) for n in cluster.n_events)
    chains = cluster.restriction
    light = (MISSING, MISSING, MISSING)
    if chains is not None:
        light = (f"{chains.n_kappa} : {chains.n_lambda}", ratio_words(chains), _probability(chains.posterior))
    return (call, cells, join_words(cluster.aberrancies) or "none", *light, cluster.reason)


def _probability(value: float) -> str:
    if value > 0.999:
        return "> 0.999"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"
