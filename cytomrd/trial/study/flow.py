"""Flow results of a study: read from the runs named in ``study.toml``, traced by their hashes, never typed in."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from cytomrd import schema
from cytomrd.schema import Column
from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.tables import sha256_of

__all__ = ["MATRIX_OF", "FlowResults", "read_flow"]

MATRIX_OF = {"PB": "BLOOD", "BM": "BONE MARROW"}
DTYPES = {"text": object, "number": "float64", "integer": "Int64", "boolean": "boolean"}


@dataclass(frozen=True)
class FlowResults:
    """``mrd`` and ``car_nk`` of all runs, each with ``run`` and ``row``; the hash of every file; provenance by run."""

    mrd: pd.DataFrame
    car_nk: pd.DataFrame
    sources: dict[str, str]
    provenance: dict[str, dict]


def read_flow(folder: Path, runs: tuple[str, ...], problems: Problems) -> FlowResults:
    """Results of the run folders, each table checked against the run's provenance."""
    kinds = {"mrd": schema.MRD, "car_nk": schema.CAR_NK}
    rows: dict[str, list[dict]] = {kind: [] for kind in kinds}
    sources, provenance = {}, {}
    for run in runs:
        known = _provenance(folder, run, problems)
        if known is None:
            continue
        provenance[run] = known
        for kind, columns in kinds.items():
            path = folder / run / "results" / f"{kind}.csv"
            name = f"{run}/results/{kind}.csv"
            if not path.is_file():
                what, remedy = f"{name} is missing", f"gate the run again: cytomrd gate {run}"
                problems.at(name).refuse("MISSING_RESULTS", "", what, remedy=remedy)
                continue
            sources[name] = sha256_of(path)
            if sources[name] != known.get("outputs", {}).get(f"{kind}.csv"):
                what = f"{name} is not the file that the run wrote (its SHA-256 differs from provenance.json)"
                problems.at(name).refuse(
                    "CHANGED_RESULTS", sources[name][:12], what, remedy="gate the run again: a result is never edited"
                )
                continue
            rows[kind] += _rows(path, name, columns, run, problems)
    return FlowResults(_frame(kinds["mrd"], rows["mrd"]), _frame(kinds["car_nk"], rows["car_nk"]), sources, provenance)


def _provenance(folder: Path, run: str, problems: Problems) -> dict | None:
    path = PurePosixPath(run)
    if path.is_absolute() or ".." in path.parts or "\\" in run:
        problems.at("study.toml", 0, "runs").refuse(
            "OUTSIDE",
            run,
            f"run {run!r} is not inside the study folder",
            remedy="copy the run folder into it, and write its path from there",
        )
        return None
    if not (folder / run).resolve().is_relative_to(folder.resolve()):
        problems.at("study.toml", 0, "runs").refuse(
            "OUTSIDE", run, f"run {run!r} is a link out of the study folder", remedy="copy the run folder into it"
        )
        return None
    try:
        known = json.loads((folder / run / "results" / "provenance.json").read_text("utf-8"))
        if isinstance(known, dict) and isinstance(known.get("outputs"), dict):
            return known
    except (OSError, ValueError):
        pass
    problems.at("study.toml", 0, "runs").refuse(
        "NO_RESULTS", run, f"run {run!r} has no finished results", remedy=f"gate it first: cytomrd gate {run}"
    )
    return None


def _rows(path: Path, name: str, columns: tuple[Column, ...], run: str, problems: Problems) -> list[dict]:
    reader = csv.reader(io.StringIO(path.read_text("utf-8"), newline=""))
    header = next(reader, [])
    rows = []
    for number, cells in enumerate(reader, start=2):
        problems.cells[name, number] = tuple(cells)
        given = dict(zip(header, cells, strict=False))
        rows.append({"run": run, "row": number} | {c.name: _value(c, given.get(c.name, "")) for c in columns})
    return rows


def _value(column: Column, text: str) -> object:
    if column.kind == "text":
        return text.removeprefix("'") if text[1:2] in ("=", "+", "-", "@") else text
    if text == "":
        return None
    if column.kind == "boolean":
        return text == "true"
    return int(text) if column.kind == "integer" else float(text)


def _frame(columns: tuple[Column, ...], rows: list[dict]) -> pd.DataFrame:
    data = {c.name: pd.Series([row[c.name] for row in rows], dtype=DTYPES[c.kind]) for c in columns}
    data["run"] = pd.Series([row["run"] for row in rows], dtype=object)
    data["row"] = pd.Series([row["row"] for row in rows], dtype="int64")
    return pd.DataFrame(data)
