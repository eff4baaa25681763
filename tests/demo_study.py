"""The demo study with results as a perfect analysis would write them: the tables' chain without the gating."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path
from unittest.mock import patch

import numpy as np

from cytomrd import schema
from cytomrd.simulate.files import TubeFile
from cytomrd.simulate.study import write_demo_study
from cytomrd.simulate.truth import TubeTruth


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_true_study(folder: Path, **options) -> Path:
    """Write the demo study with empty FCS files, and for each run the results that its truth implies.

    A tube's counts are known from its plan, before an event exists.
    """
    with patch("cytomrd.simulate.study.write_tube", _without_events):
        truth = write_demo_study(folder, threads=1, **options)
    samples = {row["sample_id"]: row for row in read_csv(folder / "truth" / "samples.csv")}
    for run in truth.runs:
        write_true_results(folder / run, samples)
    return folder


def _without_events(folder: Path, file: TubeFile, blocks, *, random_state: int) -> tuple[TubeTruth, np.ndarray]:
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    counts = file.plan.population_counts
    truth = TubeTruth(
        file=file.path,
        sample_id=str(file.row["sample_id"]),
        tube=str(file.row["tube"]),
        label_names=tuple(counts),
        n_events=tuple(counts.values()),
        n_in_clog=(0,) * len(counts),
    )
    return truth, np.empty(0, dtype=np.uint8)


def write_true_results(run: Path, samples: dict[str, dict[str, str]]) -> None:
    """``mrd.csv``, ``car_nk.csv`` and ``provenance.json`` of one run."""
    results = run / "results"
    results.mkdir()
    mrd, car = [], []
    for sheet in {row["sample_id"]: row for row in read_csv(run / "samplesheet.csv")}.values():
        true = samples[sheet["sample_id"]]
        who = {name: sheet[name] for name in ("sample_id", "subject_id", "visit", "collected_at")}
        who["day"] = float(sheet["day"])
        (mrd if true["kind"] == "mrd" else car).append(who | (_mrd if true["kind"] == "mrd" else _car)(true))
    hashes = {}
    for name, columns, rows in (("mrd.csv", schema.MRD, mrd), ("car_nk.csv", schema.CAR_NK, car)):
        text = schema.table_to_csv(columns, [dict.fromkeys(c.name for c in columns) | row for row in rows])
        (results / name).write_text(text, encoding="utf-8")
        hashes[name] = hashlib.sha256(text.encode()).hexdigest()
    (results / "provenance.json").write_text(json.dumps({"outputs": hashes}), encoding="utf-8")


def _mrd(true: dict[str, str]) -> dict:
    n, k = int(true["n_nucleated"]), int(true["n_clonal_pc"])
    return {
        "n_nucleated": n, "n_plasma_cells": k + 60, "n_normal_pc": 60, "n_clonal_pc": k, "mrd_fraction": k / n,
        "ci_low": 0.8 * k / n, "ci_high": 1.2 * k / n, "lod": 20 / n, "lloq": 50 / n, "lob_events": 0,
        "status": true["status"], "light_chain": "kappa" if k else "", "flags": "", "panel": "euroflow-mm-mrd",
        "panel_version": "1.0.0", "tubes": "1;2",
    }  # fmt: skip


def _car(true: dict[str, str]) -> dict:
    n_nk, n_car = int(true["n_nk"]), int(true["n_car_nk"])
    blood = true["kind"] == "blood"
    per_ul = float(true["car_nk_per_ul"]) if blood else None
    return {
        "matrix": "PB" if blood else "BM", "n_leukocytes": 14_000, "n_nk": n_nk, "n_car_nk": n_car,
        "gross_fraction": n_car / n_nk, "background_fraction": 0.0, "background_source": "none needed",
        "net_fraction": n_car / n_nk, "ci_low": 0.9 * n_car / n_nk, "ci_high": min(1.0, 1.1 * n_car / n_nk),
        "cells_per_ul": per_ul, "method": "single_platform" if blood else "none",
        "lloq_cells_per_ul": (50 * per_ul / n_car if n_car else 10.0) if blood else None, "status": true["status"],
        "n_car_t": 0, "flags": "", "lloq_fraction": 50 / n_nk,
    }  # fmt: skip
