"""Many events as AnnData on disk, at the cost of the numbers alone.

anndata spends most of its time on the names of the events, one Python string each. Here it writes a table of one
event, so that every encoding is its own, and the arrays in it are then replaced by the full ones: names become
bytes of fixed length, which anndata reads as strings, and ``X`` and the layer ``transformed`` are one array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.run.staging import staged_file

__all__ = ["EventTable", "write_event_table"]


@dataclass(frozen=True, eq=False)
class EventTable:
    """Events of a population with their clusters.

    Attributes
    ----------
    positions
        float32 (n_events, n_markers): ``X``.
    events
        int64 (n_events,): index in the file.
    cluster, metacluster
        int32 (n_events,): -1 where an event cannot be placed.
    populations
        Code of each event, (n_events,), and the names that the codes mean.
    file
        The file they are from.
    var
        Column name to one value a marker; ``marker`` names the rows.
    uns
        What ``uns["cytomrd"]`` holds.
    """

    positions: np.ndarray
    events: np.ndarray
    cluster: np.ndarray
    metacluster: np.ndarray
    populations: tuple[np.ndarray, tuple[str, ...]]
    file: str
    var: Mapping[str, list]
    uns: Mapping[str, object]


def write_event_table(
    target: Path, table: EventTable, linear: Iterable[tuple[int, np.ndarray, np.ndarray]], *, dtype=np.float32
) -> None:
    """Write the events as h5ad, whole or not at all.

    Parameters
    ----------
    target
        The file; it must not lie in a folder that is missing.
    table
        The events, at least one.
    linear
        (first event, raw, compensated) chunk by chunk: layers ``raw``, of ``dtype``, and ``compensated``, float32.
    dtype
        Type that holds the raw values exactly.
    """
    import h5py

    with staged_file(target) as stage:
        _write_one_event(stage, table)
        with h5py.File(stage, "r+") as file:
            for name, kind in (("raw", dtype), ("compensated", np.float32)):
                _replace(file, f"layers/{name}", None, shape=table.positions.shape, dtype=kind)
            for first, raw, compensated in linear:
                file["layers/raw"][first : first + len(raw)] = raw
                file["layers/compensated"][first : first + len(raw)] = compensated
            _replace(file, "X", table.positions)
            file["layers/transformed"] = file["X"]
            _replace(file, "obs/_index", np.arange(len(table.events)).astype("S"))
            _replace(file, "obs/event", table.events)
            _replace(file, "obs/cluster", table.cluster)
            for column, codes in _codes(table).items():
                kind = file[f"obs/{column}/codes"].dtype
                _replace(file, f"obs/{column}/codes", codes.astype(kind))


def _codes(table: EventTable) -> dict[str, np.ndarray]:
    n_events = len(table.events)
    return {
        "metacluster": table.metacluster - min(0, int(table.metacluster.min())),
        "population": table.populations[0],
        "file": np.zeros(n_events, dtype=np.int8),
    }


def _write_one_event(target: Path, table: EventTable) -> None:
    import anndata
    import pandas as pd

    lowest = min(0, int(table.metacluster.min()))
    categories = {
        "metacluster": [str(k) for k in range(lowest, int(table.metacluster.max()) + 1)],
        "population": list(table.populations[1]),
        "file": [table.file],
    }
    obs = pd.DataFrame({"event": table.events[:1], "cluster": table.cluster[:1]}, index=pd.Index(["0"]))
    for name, values in categories.items():
        obs[name] = pd.Categorical.from_codes([0], values)
    index = pd.Index([m.replace("/", "_") for m in table.var["marker"]])
    data = anndata.AnnData(X=table.positions[:1], obs=obs, var=pd.DataFrame(dict(table.var), index=index))
    for name in ("raw", "compensated"):
        data.layers[name] = table.positions[:1]
    data.uns["cytomrd"] = dict(table.uns)
    data.write_h5ad(target)


def _replace(file, name: str, values, **options) -> None:
    """Put other values in the place of a dataset and keep what it says about itself."""
    said = dict(file[name].attrs)
    del file[name]
    dataset = file.create_dataset(name, data=values, **options)
    for key, value in said.items():
        dataset.attrs[key] = value
