"""Taking a finished run elsewhere: its gates as Gating-ML or FlowJo workspaces, events as FCS or AnnData."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.errors import GateError, RunError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.fcs.writer import write_fcs
from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.flowjo_export import write_flowjo_workspace
from cytomrd.gating.gates import BooleanGate, Dimension, GatingStrategy
from cytomrd.gating.gating_ml import read_gating_ml
from cytomrd.run.results import safe_name
from cytomrd.run.staging import staged_file

__all__ = ["FORMATS", "ExportedFile", "GatedInput", "export_run", "finished_inputs"]

# Format to the ending of its files.
FORMATS = {"gating-ml": ".xml", "wsp": ".wsp", "fcs": ".fcs", "h5ad": ".h5ad"}
GATES = ("gating-ml", "wsp")


@dataclass(frozen=True)
class ExportedFile:
    """A file written, and what its format could not hold; one sentence each."""

    path: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GatedInput:
    """One file of a finished run, as its provenance names it, and the gates that were applied to it."""

    sample_id: str
    file: str
    tube: str
    sha256: str
    gates: Path


def finished_inputs(results: Path) -> tuple[GatedInput, ...]:
    """The files of a finished run.

    Raises
    ------
    RunError
        If the folder holds no finished run.
    """
    path = results / "provenance.json"
    try:
        inputs = json.loads(path.read_text("utf-8"))["inputs"]
        return tuple(
            GatedInput(i["sample_id"], i["file"], i["tube"], i["sha256"], results / i["gates"]) for i in inputs
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{results}: no finished run here ({error}); `cytomrd gate` makes one") from error


def export_run(
    folder: Path, results: Path, out: Path, *, form: str, population: str | None = None, force: bool = False
) -> Iterator[ExportedFile]:
    """Write one file for each gated tube into ``out``, and tell of each as it is there.

    Parameters
    ----------
    folder, results
        The run folder and its results.
    out
        Where to write; made where it does not exist.
    form
        ``"gating-ml"`` or ``"wsp"`` (the gates, the latter as a FlowJo 10 workspace), ``"fcs"`` (events of a
        population, scale values, with the file's keywords) or ``"h5ad"`` (the same as AnnData, with layers raw,
        compensated, transformed).
    population
        Whose events; every event where it is None.
    force
        Overwrite files that exist.

    Raises
    ------
    RunError
        If an input changed since it was gated, or a file exists.
    """
    inputs = finished_inputs(results)
    name = f"{safe_name('gates' if form in GATES else population or 'events')}{FORMATS[form]}"
    targets = [out / f"{safe_name(i.sample_id)}_tube{safe_name(i.tube)}_{name}" for i in inputs]
    taken = [t.name for t in targets if t.exists()]
    if taken and not force:
        raise RunError(f"{out} already holds {', '.join(taken)}; --force overwrites")
    out.mkdir(parents=True, exist_ok=True)
    for entry, target in zip(inputs, targets, strict=True):
        notes: tuple[str, ...] = ()
        with staged_file(target) as stage:
            if form == "gating-ml":
                shutil.copyfile(entry.gates, stage)
            elif form == "wsp":
                notes = _write_workspace(folder, entry, out, stage)
            else:
                _write_events(folder, entry, population, form, stage)
        yield ExportedFile(target, notes)


def _open_unchanged(folder: Path, entry: GatedInput) -> FcsDataset:
    dataset = open_fcs(folder / entry.file)
    if dataset.sha256 != entry.sha256:
        raise RunError(f"{entry.file} changed since it was gated; run `cytomrd gate` again")
    return dataset


def _write_workspace(folder: Path, entry: GatedInput, out: Path, target: Path) -> tuple[str, ...]:
    dataset = _open_unchanged(folder, entry)
    uri = Path(os.path.relpath(dataset.path.resolve(), out.resolve())).as_posix()
    return write_flowjo_workspace(read_gating_ml(entry.gates), dataset, target, uri=uri)


def _write_events(folder: Path, entry: GatedInput, population: str | None, form: str, target: Path) -> None:
    dataset = _open_unchanged(folder, entry)
    strategy = read_gating_ml(entry.gates)
    events = np.arange(dataset.n_events)
    if population is not None:
        if population not in strategy.populations:
            raise GateError(f"no population {population!r} in {entry.file}; it has {', '.join(strategy.populations)}")
        events = np.flatnonzero(apply_gates(dataset, strategy).members(population))
    if form == "fcs":
        _write_fcs(dataset, events, target)
    else:
        _write_h5ad(dataset, strategy, events, entry, target)


def _write_fcs(dataset: FcsDataset, events: np.ndarray, target: Path) -> None:
    """Scale values: log amplifiers, gains and the time step are worked in, so the copy says they are 1."""
    values = dataset.read_events(events=events)
    exact = bool((values.astype(np.float32) == values).all())
    write_fcs(
        target,
        values,
        dataset.detectors,
        markers=dataset.markers,
        keywords=dataset.keywords,
        ranges=[_scale_range(c) for c in dataset.channels],
        spillover=dataset.spillover,
        datatype="F" if exact else "D",
    )


def _scale_range(channel) -> float:
    if channel.decades:
        return channel.offset * 10**channel.decades
    return channel.range / channel.gain if channel.gain else channel.range


def _write_h5ad(dataset: FcsDataset, strategy: GatingStrategy, events: np.ndarray, entry: GatedInput, target: Path):
    import anndata
    import pandas as pd

    axes = _axes_of(strategy)
    detectors = tuple(dataset.detectors)
    raw = dataset.read_events(events=events)
    layers = {"raw": raw, "compensated": raw.copy(), "transformed": raw.copy()}
    for detector, dimension in axes.items():
        column = detectors.index(detector)
        linear = Dimension(detector, dimension.compensation)
        layers["compensated"][:, column] = transform_events(raw, detectors, [linear], strategy)[:, 0]
        layers["transformed"][:, column] = transform_events(raw, detectors, [dimension], strategy)[:, 0]
    data = anndata.AnnData(
        X=layers["transformed"],
        obs=pd.DataFrame({"event": events}, index=pd.Index(events.astype(str))),
        var=pd.DataFrame({"marker": list(dataset.markers)}, index=pd.Index([d.replace("/", "_") for d in detectors])),
    )
    for name, values in layers.items():
        data.layers[name] = values
    data.uns["cytomrd"] = {"file": entry.file, "sha256": entry.sha256, "scaled": sorted(axes)}
    data.write_h5ad(target)


def _axes_of(strategy: GatingStrategy) -> dict[str, Dimension]:
    """The scaled axis of each detector that a gate uses."""
    axes = {}
    for gate in strategy.gates:
        if isinstance(gate, BooleanGate):
            continue
        for dimension in gate.dimensions:
            if isinstance(dimension, Dimension) and dimension.transform is not None:
                axes.setdefault(dimension.channel, dimension)
    return axes
