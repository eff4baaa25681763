"""One tube: its gates as `gate` fits them, a map of a population's events, metaclusters, and the file of it all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cytomrd import __version__
from cytomrd.errors import GateError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.gating.apply import GatedEvents, apply_gates, transform_events
from cytomrd.gating.clustering.mapping import map_events, topographic_error
from cytomrd.gating.clustering.metaclusters import N_METACLUSTERS, metacluster_nodes
from cytomrd.gating.clustering.training import fit_som_batch
from cytomrd.gating.fit import ControlCut, FittedGates, fit_gates
from cytomrd.gating.gates import ROOT
from cytomrd.panel import Panel, TubeSpec
from cytomrd.run.clusters_h5ad import EventTable, write_event_table
from cytomrd.run.plan import PlannedFile
from cytomrd.run.settings import RunSettings
from cytomrd.run.spillover import file_spillover

__all__ = ["ClusterChoices", "TubeClusters", "cluster_tube", "default_population"]

CHUNK = 131_072
# What the panel's gates have used up, or what says nothing about the kind of a cell.
LEFT_OUT_ROLES = ("time", "viability", "bead")
N_FOR_TOPOLOGY = 20_000
N_PASSES = 10


@dataclass(frozen=True)
class ClusterChoices:
    """Choices of a clustering.

    Attributes
    ----------
    grid
        (n_rows, n_columns) of the map.
    n_metaclusters
        How many.
    population
        Whose events; where None, the panel's nucleated cells or leukocytes.
    max_events
        Train on at most so many events, drawn at random; all are mapped.
    """

    grid: tuple[int, int] = (10, 10)
    n_metaclusters: int = N_METACLUSTERS
    population: str | None = None
    max_events: int | None = None


@dataclass(frozen=True, eq=False)
class TubeClusters:
    """What a tube gave: its rows of clusters.csv, and what a person wants to know at once."""

    tube: str
    file: str
    population: str
    n_events: int
    n_metaclusters: int
    markers: tuple[str, ...]
    rows: tuple[Mapping[str, object], ...]
    target: str


def default_population(panel: Panel, tube: str) -> str:
    """The panel's nucleated cells or leukocytes; every event where it names neither."""
    names = [p.name for p in panel.populations_of(tube)]
    wanted = (panel.mrd.nucleated,) if panel.mrd is not None else ()
    wanted += (panel.car_nk.leukocytes,) if panel.car_nk is not None else ()
    return next((name for name in (*wanted, "nucleated", "leukocytes") if name in names), ROOT)


def cluster_tube(
    planned: PlannedFile,
    panel: Panel,
    settings: RunSettings,
    target: Path,
    *,
    choices: ClusterChoices,
    folder: Path,
    controls: Mapping[str, ControlCut] | None = None,
) -> TubeClusters:
    """Gate one file, cluster a population of it on the panel's scales, and write ``target``.

    Raises
    ------
    GateError
        If the tube does not gate the population, or no event of it can be placed.
    """
    population = choices.population or default_population(panel, planned.tube)
    source, gated = _gate(planned, panel, settings, folder, controls or {}, population)
    tube, axes = panel.tube(planned.tube), source.fitted.axes
    markers = tuple(m for m, d in axes.items() if d.transform is not None and tube.channel(m).role != "time")
    clustered = tuple(m for m in markers if _is_clustered(tube, m))
    positions, raw_dtype = source.positions(markers)
    used = np.ascontiguousarray(positions[:, [markers.index(m) for m in clustered]])
    nodes, cluster, error = _map(used, choices, settings.random_state)
    topology = _topology(used, nodes, choices.grid)
    del used
    of_node = _by_size(metacluster_nodes(nodes, choices.n_metaclusters), cluster)
    n_placed = int((cluster >= 0).sum())
    table = EventTable(
        positions=positions,
        events=source.events,
        cluster=cluster,
        metacluster=np.where(cluster >= 0, of_node[cluster], -1).astype(np.int32),
        populations=_deepest(gated, source.fitted, source.events),
        file=planned.row.file,
        var=_var(tube, source.fitted, markers, clustered),
        uns={
            **_origin(planned, panel, source, population),
            "settings": _settings(choices, settings.random_state, min(choices.max_events or n_placed, n_placed)),
            "markers_clustered": list(clustered),
            "nodes": nodes,
            "node_metacluster": of_node,
            "quantisation_error": error,
            "topographic_error": topology,
        },
    )
    write_event_table(target, table, source.linear(markers), dtype=raw_dtype)
    return TubeClusters(
        tube=planned.tube,
        file=planned.row.file,
        population=population,
        n_events=len(source.events),
        n_metaclusters=int(of_node.max()) + 1,
        markers=markers,
        rows=tuple(_rows(planned, population, markers, table, of_node)),
        target=target.name,
    )


@dataclass(frozen=True, eq=False)
class _Source:
    """The events of a population on the panel's axes, read a chunk at a time."""

    dataset: FcsDataset
    fitted: FittedGates
    spillover: object
    events: np.ndarray

    def positions(self, markers: tuple[str, ...]) -> tuple[np.ndarray, np.dtype]:
        """float32 (n_events, n_markers) on the panel's scales, and the smallest type that holds the raw values."""
        axes = [self.fitted.axes[m] for m in markers]
        columns = [self.dataset.detectors.index(axis.channel) for axis in axes]
        out = np.empty((len(self.events), len(markers)), dtype=np.float32)
        fits = True
        for first, values in self._chunks():
            out[first : first + len(values)] = self._on(values, axes)
            raw = values[:, columns]
            fits = fits and np.array_equal(raw.astype(np.float32), raw, equal_nan=True)
        return out, np.dtype(np.float32 if fits else np.float64)

    def linear(self, markers: tuple[str, ...]) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yield (first, raw, compensated), both float64 (n, n_markers), in order."""
        axes = [replace(self.fitted.axes[m], transform=None) for m in markers]
        columns = [self.dataset.detectors.index(axis.channel) for axis in axes]
        for first, values in self._chunks():
            yield first, values[:, columns], self._on(values, axes)

    def _on(self, values: np.ndarray, axes) -> np.ndarray:
        return transform_events(values, self.dataset.detectors, axes, self.fitted.strategy, self.spillover)

    def _chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        for first in range(0, len(self.events), CHUNK):
            yield first, self.dataset.read_events(events=self.events[first : first + CHUNK])


def _gate(planned: PlannedFile, panel: Panel, settings: RunSettings, folder, controls, population: str):
    """The events of the population, and what every event is in: gates fitted and applied as `gate` does."""
    dataset = open_fcs(planned.path, strict=settings.strict)
    spillover = file_spillover(dataset, settings, folder)
    fitted = fit_gates(
        dataset,
        panel,
        planned.tube,
        match=planned.match,
        spillover=spillover,
        controls=controls,
        random_state=settings.random_state,
    )
    gated = apply_gates(dataset, fitted.strategy, spillover=spillover)
    return _Source(dataset, fitted, spillover, _events_of(population, gated)), gated


def _events_of(population: str, gated: GatedEvents) -> np.ndarray:
    if population == ROOT:
        return np.arange(gated.n_total)
    if population not in gated.populations:
        known = ", ".join(n for n in gated.populations if not n.startswith("_"))
        raise GateError(f"this tube gates no population {population!r}; it has {known}")
    return np.flatnonzero(gated.members(population))


def _is_clustered(tube: TubeSpec, marker: str) -> bool:
    """Fluorescence, and the areas of scatter: heights and widths follow the areas but for doublets."""
    role = tube.channel(marker).role
    return role not in LEFT_OUT_ROLES and (role != "scatter" or marker.upper().endswith("-A"))


def _map(positions: np.ndarray, choices: ClusterChoices, seed: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Nodes, the node of each event (-1 where a position is not finite), and the mean distance to it."""
    usable = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if not usable.size:
        raise GateError(f"none of {len(positions)} events can be clustered; choose another --population")
    if choices.max_events is not None and usable.size > choices.max_events:
        chosen = np.random.default_rng(seed).choice(usable.size, choices.max_events, replace=False)
        usable = usable[np.sort(chosen)]
    training = positions if usable.size == len(positions) else positions[usable]
    nodes = fit_som_batch(training, choices.grid, n_passes=N_PASSES, random_state=seed)
    cluster, distances = map_events(positions, nodes)
    return nodes, cluster, float(np.nanmean(distances))


def _topology(positions: np.ndarray, nodes: np.ndarray, grid: tuple[int, int]) -> float:
    sampled = positions[:: max(1, len(positions) // N_FOR_TOPOLOGY)]
    return topographic_error(sampled[np.isfinite(sampled).all(axis=1)], nodes, grid)


def _by_size(joined: np.ndarray, cluster: np.ndarray) -> np.ndarray:
    """Metacluster of each node, int32, numbered by falling number of events."""
    n_events = np.bincount(joined[cluster[cluster >= 0]], minlength=int(joined.max()) + 1)
    rank = np.empty(n_events.size, dtype=np.int32)
    rank[np.argsort(-n_events, kind="stable")] = np.arange(n_events.size)
    return rank[joined]


def _deepest(gated: GatedEvents, fitted: FittedGates, events: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Code of the population furthest down the tree that each event is in, and the names that the codes mean."""
    names = [n for n in gated.populations if not n.startswith("_")]
    depth = np.array([len(fitted.strategy.gate_path(n)) for n in names], dtype=np.int64)
    members = gated.patterns[:, [gated.index(n) for n in names]]
    # of equally deep ones the last in the panel's order
    best = np.where(members, depth * (len(names) + 1) + np.arange(len(names)), -1)
    of_pattern = (
        np.where(members.any(axis=1), best.argmax(axis=1), len(names)) if names else np.zeros(len(members), int)
    )
    used, codes = np.unique(of_pattern[gated.codes[events]], return_inverse=True)
    return codes.reshape(-1), tuple([*names, ROOT][i] for i in used)


def _var(tube: TubeSpec, fitted: FittedGates, markers, clustered) -> dict[str, list]:
    return {
        "detector": [fitted.axes[m].channel for m in markers],
        "marker": list(markers),
        "fluorochrome": [tube.channel(m).fluorochrome for m in markers],
        "clustered": [m in clustered for m in markers],
        "scale": [str(fitted.strategy.transforms[fitted.axes[m].transform]) for m in markers],
    }


def _origin(planned: PlannedFile, panel: Panel, source: _Source, population: str) -> dict:
    return {
        "cytomrd": __version__,
        "sample_id": planned.row.sample_id,
        "file": planned.row.file,
        "sha256": source.dataset.sha256,
        "panel": panel.id,
        "panel_version": panel.version,
        "tube": planned.tube,
        "population": population,
        "notes": list(source.fitted.notes),
    }


def _settings(choices: ClusterChoices, seed: int, n_trained: int) -> dict:
    return {
        "grid": np.array(choices.grid),
        "random_state": seed,
        "rule": "batch",
        "n_passes": N_PASSES,
        "n_trained": n_trained,
        "n_metaclusters": choices.n_metaclusters,
    }


def _rows(planned: PlannedFile, population: str, markers, table: EventTable, of_node: np.ndarray):
    """A row of clusters.csv for every node, empty ones too, by metacluster; then the events that have none."""
    order = np.argsort(table.cluster, kind="stable")
    bounds = np.searchsorted(table.cluster[order], np.arange(-1, len(of_node) + 1))
    shown = [(int(of_node[k]), int(k)) for k in np.lexsort((np.arange(len(of_node)), of_node))]
    for metacluster, cluster in [*shown, *([(-1, -1)] if bounds[1] > bounds[0] else [])]:
        members = order[bounds[cluster + 1] : bounds[cluster + 2]]
        positions = table.positions[members].astype(np.float64)
        medians = [_median(positions[:, j]) for j in range(len(markers))]
        yield {
            "sample_id": planned.row.sample_id,
            "tube": planned.tube,
            "file": planned.row.file,
            "population": population,
            "metacluster": metacluster,
            "cluster": cluster,
            "n_events": int(members.size),
            "fraction": members.size / len(table.cluster),
            **{f"median_transformed_{m}": value for m, value in zip(markers, medians, strict=True)},
        }


def _median(values: np.ndarray) -> float | None:
    values = values[np.isfinite(values)]
    return float(np.median(values)) if values.size else None
