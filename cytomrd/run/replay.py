"""Counts of a finished run made again: gates of the results on the events of the file, against the tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.gated import GatedEvents
from cytomrd.gating.gates import ROOT
from cytomrd.gating.gating_ml import read_gating_ml
from cytomrd.panel import Panel
from cytomrd.run.gate_file import rare_population, without_time_gate
from cytomrd.run.results import sample_folder

__all__ = ["ReplayedFile", "check_sample", "replay_file"]

Rows = Sequence[Mapping[str, str]]


@dataclass(frozen=True, eq=False)
class ReplayedFile:
    """A file gated again: what did not agree, and what its sample's rows are compared with.

    ``rare`` are the events of the rare compartment, ``counts`` the events of every population.
    """

    file: str
    tube: str
    panel: Panel
    counts: Mapping[str, int]
    rare: np.ndarray
    n_counts: int
    problems: tuple[str, ...]


def replay_file(folder: Path, results: Path, entry: Mapping, panel: Panel, tables: Mapping[str, Rows]) -> ReplayedFile:
    """Apply the gates that were written to the file that was gated; ``entry`` is its line of the provenance."""
    dataset = open_fcs(folder / entry["file"])
    strategy = read_gating_ml(results / entry["gates"])
    rare = rare_population(panel)
    keep = (rare,) if rare in strategy.populations else ()
    gated = apply_gates(dataset, strategy, compartments=keep)
    rows = _of_file(tables["populations"], entry)
    (qc,) = _of_file(tables["qc"], entry) or ({},)
    opened = without_time_gate(strategy, panel) if int(qc.get("n_removed_by_time_qc") or 0) else None
    without_qc = apply_gates(dataset, opened) if opened is not None else None
    compared = [*_qc_counts(qc, gated), *_population_counts(rows, gated, without_qc, strategy)]
    problems = [_disagreement(entry["file"], what, table, count) for what, table, count in compared if table != count]
    there = {r["population"] for r in rows}
    problems += [f"{entry['file']}: populations.csv lacks {p}" for p in gated.populations if p not in there]
    counts = {name: gated.count(name) for name in gated.populations}
    events = gated.compartments[rare].events if keep else np.zeros(0, dtype=np.int64)
    return ReplayedFile(entry["file"], entry["tube"], panel, counts, events, len(compared), tuple(problems))


def _of_file(rows: Rows, entry: Mapping) -> list[Mapping[str, str]]:
    names = ("sample_id", "tube", "file")
    return [r for r in rows if all(r.get(n) == entry[n] for n in names)]


Compared = tuple[str, int | None, int | None]


def _qc_counts(row: Mapping[str, str], gated: GatedEvents) -> Iterator[Compared]:
    yield "qc.csv n_events", _count(row.get("n_events")), gated.n_total
    yield "qc.csv n_non_finite", _count(row.get("n_non_finite")), gated.n_non_finite


def _population_counts(rows: Rows, gated: GatedEvents, without_qc: GatedEvents | None, strategy) -> Iterator[Compared]:
    for row in rows:
        name = row["population"]
        place = f"populations.csv {name}"
        if name not in gated.populations:
            yield f"{place} n_events", _count(row["n_events"]), None
            continue
        parent = strategy.parent_of(name)
        n, n_finite = gated.count(name), gated.n_total - gated.n_non_finite
        n_parent = n_finite if parent == ROOT else gated.count(parent)
        yield f"{place} n_events", _count(row["n_events"]), n
        yield f"{place} n_parent", _count(row["n_parent"]), n_parent
        removed = 0
        if without_qc is not None:
            # of the time gate itself: what it left out of its parent
            removed = (without_qc.count(name) if name in without_qc.populations else n_parent) - n
        yield f"{place} n_removed_by_time_qc", _count(row["n_removed_by_time_qc"]), removed


def check_sample(
    sample_id: str, files: Sequence[ReplayedFile], results: Path, tables: Mapping[str, Rows]
) -> tuple[int, list[str]]:
    """Compare the rows of ``mrd.csv`` and ``car_nk.csv`` and the rare cells of a sample with its files' counts.

    Returns
    -------
    int, list of str
        How many counts were compared, and which do not agree.
    """
    problems = []
    panel, clonal, normal = files[0].panel, 0, 0
    for file, events, labels in _rare_cells(sample_id, files, results):
        if not np.array_equal(np.sort(events), file.rare):
            problems.append(f"{file.file}: the events of rare.h5ad are not those that its gates find")
        clonal, normal = clonal + int((labels > 0).sum()), normal + int((labels == 0).sum())
    compared = [*_mrd_counts(sample_id, files, tables, clonal, normal)]
    if panel.car_nk is not None:
        compared += _car_nk_counts(sample_id, files, tables)
    problems += [_disagreement(sample_id, what, table, count) for what, table, count in compared if table != count]
    return len(compared), problems


def _rare_cells(
    sample_id: str, files: Sequence[ReplayedFile], results: Path
) -> Iterator[tuple[ReplayedFile, np.ndarray, np.ndarray]]:
    import anndata

    try:
        obs = anndata.read_h5ad(results / sample_folder(sample_id) / "rare.h5ad", backed="r").obs
    except Exception:  # there is none without rare cells; that one changed or is gone is said by its hash
        return
    for file in files:
        own = obs[(obs["file"] == file.file) & (obs["tube"] == file.tube)]
        yield file, own["event"].to_numpy(), own["clone"].to_numpy()


def _mrd_counts(sample_id: str, files, tables, clonal: int, normal: int) -> Iterator[Compared]:
    spec = files[0].panel.mrd
    for row in (r for r in tables["mrd"] if spec is not None and r.get("sample_id") == sample_id):
        found = {
            "n_nucleated": sum(f.counts.get(spec.nucleated, 0) for f in files),
            "n_plasma_cells": sum(len(f.rare) for f in files),
            "n_clonal_pc": clonal,
            "n_normal_pc": normal,
        }
        yield from ((f"mrd.csv {name}", _count(row[name]), count) for name, count in found.items())


def _car_nk_counts(sample_id: str, files, tables) -> Iterator[Compared]:
    spec = files[0].panel.car_nk
    places = {"n_leukocytes": spec.leukocytes, "n_nk": spec.nk, "n_car_nk": spec.car_nk, "n_car_t": spec.car_t}
    for row in (r for r in tables["car_nk"] if r.get("sample_id") == sample_id):
        for name, population in places.items():
            if population in files[0].counts:
                yield f"car_nk.csv {name}", _count(row[name]), files[0].counts[population]


def _count(text: str | None) -> int | None:
    try:
        return int(text)
    except (TypeError, ValueError):
        return None


def _disagreement(where: str, what: str, table: int | None, count: int | None) -> str:
    return f"{where}: {what} is {'not a count' if table is None else table}; gated again it is {count}"
