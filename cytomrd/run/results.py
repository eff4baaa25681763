"""The result files of a run: tables, gates, and the rare cells as AnnData."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from cytomrd import schema
from cytomrd.gating.gates import BooleanGate, GatingStrategy, Operand, QuadrantGate
from cytomrd.gating.gating_ml import write_gating_ml
from cytomrd.run.model import FileResult, PopulationCount, RunResult, SampleResult
from cytomrd.schema import Column, table_to_csv

__all__ = [
    "gates_file",
    "merge_strategies",
    "result_tables",
    "safe_name",
    "sample_folder",
    "write_sample_files",
    "write_tables",
]

# File systems take 255 bytes of a name, and some names are made of a sample and a tube.
MAX_FOLDER_NAME = 120

Table = tuple[tuple[Column, ...], list[dict[str, object]]]


def result_tables(run: RunResult) -> dict[str, Table]:
    """Every table of the run: name to (columns, rows)."""
    populations, medians = _population_rows(run)
    return {
        "mrd": (schema.MRD, [_mrd_row(s) for s in run.samples if s.mrd is not None]),
        "car_nk": (schema.CAR_NK, [_car_nk_row(s) for s in run.samples if s.car_nk is not None]),
        "populations": ((*schema.POPULATIONS, *medians), populations),
        "qc": (schema.QC, list(_qc_rows(run))),
    }


def write_tables(run: RunResult, folder: Path) -> None:
    """Write the CSV tables."""
    for name, (columns, rows) in result_tables(run).items():
        (folder / f"{name}.csv").write_text(table_to_csv(columns, rows), "utf-8", newline="")


def write_sample_files(sample_id: str, files: Sequence[FileResult], folder: Path) -> None:
    """Write a sample's ``gates.xml`` and ``rare.h5ad`` into a folder of its own."""
    _write_gates(files, folder)
    _write_rare(sample_id, files, folder / "rare.h5ad")


def sample_folder(sample_id: str) -> str:
    """Where a sample's own files are, relative to the results folder."""
    return f"samples/{safe_name(sample_id)}"


def safe_name(sample_id: str) -> str:
    """A sample id as a folder name: letters, digits, ``._-``; anything else by its code point, so none collide.

    Examples
    --------
    >>> from cytomrd.run.results import safe_name
    >>> safe_name("S01/BM")
    'S01%2FBM'
    """
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else f"%{ord(c):02X}" for c in sample_id)
    if len(kept) > MAX_FOLDER_NAME:
        # Of a long id in another script the code points no longer fit: its hash tells it from others that begin alike.
        return kept[: MAX_FOLDER_NAME - 17] + "-" + sha256(sample_id.encode("utf-8", "replace")).hexdigest()[:16]
    return kept if kept.strip(". ") else "".join(f"%{ord(c):02X}" for c in sample_id)


def _who(sample: SampleResult) -> dict[str, object]:
    row = sample.rows[0]
    return {
        "sample_id": sample.sample_id,
        "subject_id": row.subject_id,
        "visit": row.visit,
        "day": row.day,
        "collected_at": row.collected_at.isoformat() if row.collected_at else None,
    }


def _mrd_row(sample: SampleResult) -> dict[str, object]:
    result = sample.mrd
    first = sample.files[0]
    named = {c.name: getattr(result, c.name) for c in schema.MRD if hasattr(result, c.name)}
    return {
        **named,
        **_who(sample),
        **_lob_columns(sample),
        **_gate_columns(sample),
        "tracked_from": sample.track.sample_id if sample.track is not None else None,
        "n_alike_earlier": sample.track.n_alike if sample.track is not None else None,
        "n_removed_by_qc": sum(f.qc.n_removed_by_time for f in sample.files),
        "mrd_fraction_without_qc": sample.mrd_fraction_without_qc,
        "flags": _joined(sample.flags),
        "panel": first.panel_id,
        "panel_version": first.panel_version,
        "tubes": ";".join(f.tube for f in sample.files),
    }


def _lob_columns(sample: SampleResult) -> dict[str, object]:
    lob = sample.lob
    return {
        "lob_high_events": lob.high_events if lob is not None else None,
        "lob_donors": lob.n_donors if lob is not None else None,
        "lob_source": lob.source if lob is not None else None,
    }


def _gate_columns(sample: SampleResult) -> dict[str, object]:
    low, high = sample.interval_with_gates or (None, None)
    sd = sample.gate_error.sd if sample.gate_error is not None else None
    return {"mrd_low_with_gates": low, "mrd_high_with_gates": high, "mrd_sd_gates": sd}


def _joined(flags: Sequence[str]) -> str:
    """Flags in one cell; a semicolon of their own words would part them."""
    return ";".join(flag.replace(";", ",") for flag in flags)


def _car_nk_row(sample: SampleResult) -> dict[str, object]:
    result = sample.car_nk
    named = {c.name: getattr(result, c.name) for c in schema.CAR_NK if hasattr(result, c.name)}
    return {**named, **_who(sample), "matrix": sample.rows[0].matrix, "flags": _joined(sample.flags)}


def _population_rows(run: RunResult) -> tuple[list[dict[str, object]], tuple[Column, ...]]:
    files = [(s, f) for s in run.samples for f in s.files]
    markers = list(dict.fromkeys(marker for _, f in files for marker in f.axes))
    medians = tuple(
        Column(f"median_intensity_{m}", "number", f"median of {m}, compensated, linear scale") for m in markers
    )
    rows = []
    for sample, file in files:
        for count in file.populations:
            rows.append(
                {
                    "sample_id": sample.sample_id,
                    "tube": file.tube,
                    "file": file.row.file,
                    "population": count.population,
                    "gate_path": "/".join(count.gate_path),
                    "n_events": count.n_events,
                    "n_parent": count.n_parent,
                    "fraction_of_parent": count.fraction_of_parent,
                    "fraction_of_nucleated": count.fraction_of_nucleated,
                    "n_removed_by_time_qc": _removed_by_time(file, count),
                    **{f"median_intensity_{m}": count.median_intensity.get(m) for m in markers},
                }
            )
    return rows, medians


def _removed_by_time(file: FileResult, count: PopulationCount) -> int:
    """What time QC took from a population; from the time gate itself, what it left out of its parent."""
    if not file.n_without_qc:
        return 0
    return file.n_without_qc.get(count.population, count.n_parent) - count.n_events


def _qc_rows(run: RunResult) -> Iterator[dict[str, object]]:
    blank = {c.name: None for c in schema.QC}
    for sample in run.samples:
        for file in sample.files:
            qc = file.qc
            yield {
                "sample_id": sample.sample_id,
                "tube": file.tube,
                "file": file.row.file,
                "role": file.row.role,
                "status": "held" if qc.held else "ok",
                "n_events": qc.n_events,
                "n_non_finite": qc.n_non_finite,
                "n_upper_margin": qc.n_upper_margin,
                "n_removed_by_time_qc": qc.n_removed_by_time,
                "n_doublets": qc.n_doublets,
                "drift": qc.drift,
                "spillover_condition": qc.spillover_condition,
                "findings": ";".join(str(f) for f in file.findings),
                "reason": ";".join(qc.held),
            }
        if not sample.files:
            reason = "; ".join(sample.errors)
            for row in sample.rows:
                who = {"sample_id": sample.sample_id, "file": row.file, "tube": row.tube, "role": row.role}
                yield {**blank, **who, "status": "failed", "reason": reason}


def gates_file(sample: SampleResult, file: FileResult) -> str:
    """Where the gates of one tube are, relative to the results folder, ready to apply to its FCS."""
    return f"{sample_folder(sample.sample_id)}/{_gates_name(sample.files, file)}"


def _gates_name(files: Sequence[FileResult], file: FileResult) -> str:
    return "gates.xml" if len(files) == 1 else f"gates-tube-{safe_name(file.tube)}.xml"


def _write_gates(files: Sequence[FileResult], folder: Path) -> None:
    """``gates.xml`` holds all tubes; with several, each tube has a file of its own beside it."""
    for file in files:
        write_gating_ml(file.strategy, folder / _gates_name(files, file))
    if len(files) > 1:
        merged = merge_strategies({f.tube: f.strategy for f in files})
        write_gating_ml(merged, folder / "gates.xml")


def merge_strategies(strategies: Mapping[str, GatingStrategy]) -> GatingStrategy:
    """One strategy of several tubes' gates, every name prefixed with its tube."""
    gates, transforms, spillovers = [], {}, {}
    for tube, strategy in strategies.items():
        prefix = f"tube{tube}:"
        transforms |= {prefix + key: value for key, value in strategy.transforms.items()}
        spillovers |= {prefix + key: value for key, value in strategy.spillovers.items()}
        gates += [_prefixed(gate, prefix, strategy) for gate in strategy.gates]
    return GatingStrategy(tuple(gates), transforms, spillovers)


def _prefixed(gate, prefix: str, strategy: GatingStrategy):
    parent = gate.parent if gate.parent == "root" else prefix + gate.parent
    gate = replace(gate, name=prefix + gate.name, parent=parent)
    if isinstance(gate, BooleanGate):
        return replace(gate, operands=tuple(Operand(prefix + o.name, o.complement) for o in gate.operands))

    def renamed(axis):
        changes = {"transform": None if axis.transform is None else prefix + axis.transform}
        if getattr(axis, "compensation", None) in strategy.spillovers:
            changes["compensation"] = prefix + axis.compensation
        return replace(axis, **changes)

    gate = replace(gate, dimensions=tuple(renamed(d) for d in gate.dimensions))
    if isinstance(gate, QuadrantGate):
        gate = replace(gate, quadrants=tuple(replace(q, name=prefix + q.name) for q in gate.quadrants))
    return gate


def _write_rare(sample_id: str, files: Sequence[FileResult], path: Path) -> None:
    """The rare compartments of all tubes as one AnnData; a channel that a tube lacks is NaN there."""
    import anndata
    import pandas as pd

    parts = [(file, cells) for file in files for cells in file.rare]
    if not parts:
        return
    markers = list(dict.fromkeys(m for _, cells in parts for m in cells.markers))
    layers = {name: [] for name in ("raw", "compensated", "transformed")}
    obs = []
    for file, cells in parts:
        detectors = list(file.detectors)
        columns = [detectors.index(file.axes[m].detector) if m in file.axes else None for m in cells.markers]
        raw = np.full((len(cells.events), len(cells.markers)), np.nan)
        for j, column in enumerate(columns):
            if column is not None:
                raw[:, j] = cells.raw[:, column]
        for name, values in (("raw", raw), ("compensated", cells.compensated), ("transformed", cells.transformed)):
            full = np.full((len(cells.events), len(markers)), np.nan)
            full[:, [markers.index(m) for m in cells.markers]] = values
            layers[name].append(full)
        obs.append(_obs(file, cells))
    table = pd.concat(obs, ignore_index=True)
    table.index = table.index.astype(str)
    for column in ("population", "file", "tube"):
        table[column] = table[column].astype("category")
    result = anndata.AnnData(X=np.concatenate(layers["transformed"]), obs=table, var=_var(files, markers))
    for name, blocks in layers.items():
        result.layers[name] = np.concatenate(blocks)
    result.uns["cytomrd"] = {
        "sample_id": sample_id,
        "panel": files[0].panel_id,
        "panel_version": files[0].panel_version,
        "sha256": {f"tube {f.tube}": f.sha256 for f in files},
    }
    result.write_h5ad(path)


def _obs(file: FileResult, cells):
    import pandas as pd

    return pd.DataFrame(
        {
            "population": cells.population,
            "clone": cells.labels,
            "file": file.row.file,
            "tube": file.tube,
            "event": cells.events,
        }
    )


def _var(files: Sequence[FileResult], markers: list[str]):
    import pandas as pd

    axes = {m: file.axes[m] for file in reversed(files) for m in file.axes}
    return pd.DataFrame(
        {
            "detector": [axes[m].detector if m in axes else "" for m in markers],
            "marker": markers,
            "fluorochrome": [axes[m].fluorochrome if m in axes else "" for m in markers],
        },
        index=pd.Index([m.replace("/", "_") for m in markers]),
    )
