"""Plasma cells of simulated marrows as fitted gates let them through, and how to draw a marrow of any size from them.

Gates are fitted to one large tube of each donor. Its gated events, and those of clones gated alike, are a store; a
marrow of ``N`` nucleated cells takes Poisson-drawn numbers from it, no event twice. So thousands of marrows cost one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from perturbed_donors import as_dataset

from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.fit import fit_gates
from cytomrd.gating.gate import match_tube
from cytomrd.mrd.clonality import TubeCells
from cytomrd.panel import Panel
from cytomrd.run.mrd_sample import CELL_ROLES
from cytomrd.simulate import CLONES, Clone, Donor, Law, draw_donor, simulate_marrow_tube

__all__ = ["PHENOTYPES", "Store", "draw_marrow", "fill_store", "load_store", "save_store"]

STORE_EVENTS, STORE_FRACTION, STORE_CLONAL = 5_000_000, 0.006, 400
TUBES = ("1", "2")
PHENOTYPES = {**CLONES, "lambda": replace(CLONES["typical"], name="lambda", light_chain="lambda")}


@dataclass(frozen=True)
class Store:
    """Gated events of one donor: per tube cuts, and arrays (n, markers) of normal, other and each clone's cells.

    ``recovered`` is the fraction of each clone's cells that the gate keeps; ``gate_seconds`` what fitting and applying
    the gates of both tubes took.
    """

    law: str
    donor: int
    reactive: bool
    markers: dict[str, tuple[str, ...]]
    cuts: dict[str, dict[str, float]]
    nucleated: dict[str, int]
    normal: dict[str, np.ndarray]
    mixed: dict[str, np.ndarray]
    other: dict[str, np.ndarray]
    clones: dict[str, dict[str, np.ndarray]]
    recovered: dict[str, float]
    gate_seconds: float


def fill_store(law: Law, seed: int, panel: Panel, *, reactive: tuple[float, float] | None = None) -> Store:
    """Simulate, fit and gate one donor; ``reactive`` imposes its CD19- and CD56+ fractions of normal plasma cells."""
    imposed = {} if reactive is None else {"cd19_negative": reactive[0], "cd56_positive": reactive[1]}
    donor = draw_donor(law, np.random.SeedSequence([seed, *law.name.encode()]), **imposed)
    parts = {name: {} for name in ("markers", "cuts", "nucleated", "normal", "mixed", "other")}
    clones, gate_seconds = {name: {} for name in PHENOTYPES}, 0.0
    for tube in TUBES:
        seeds = np.random.SeedSequence([seed, int(tube), *law.name.encode()]).spawn(len(PHENOTYPES) + 1)
        simulated = simulate_marrow_tube(law, donor, STORE_EVENTS, STORE_FRACTION, tube=tube, random_state=seeds[0])
        dataset = as_dataset(simulated)
        start = time.perf_counter()
        matched, spec, match = match_tube(dataset, panel, tube)
        fitted = fit_gates(dataset, matched, spec.id, match=match, spillover=dataset.spillover)
        channels = {c.marker for c in spec.channels if c.role in CELL_ROLES}
        markers = tuple(m for m in fitted.axes if m in channels)
        labels, values, parts["nucleated"][tube] = _gated(simulated, dataset, fitted, markers)
        gate_seconds += time.perf_counter() - start
        parts["markers"][tube] = markers
        parts["cuts"][tube] = {d.name: d.value for d in fitted.decisions if d.value is not None and d.name in markers}
        parts["normal"][tube] = values[labels == "plasma_cell"]
        parts["mixed"][tube] = values[labels == "doublet"]
        parts["other"][tube] = values[~np.isin(labels, ("plasma_cell", "doublet"))]
        for clone, clone_seed in zip(PHENOTYPES.values(), seeds[1:], strict=True):
            clones[clone.name][tube] = _clonal(law, donor, clone, tube, fitted, markers, clone_seed)
    recovered = {n: sum(len(v) for v in c.values()) / (len(TUBES) * STORE_CLONAL) for n, c in clones.items()}
    return Store(law.name, seed, reactive is not None, **parts, clones=clones, recovered=recovered,
                 gate_seconds=gate_seconds)  # fmt: skip


def _gated(simulated, dataset, fitted, markers) -> tuple[np.ndarray, np.ndarray, int]:
    events = apply_gates(dataset, fitted.strategy, spillover=dataset.spillover, compartments=("plasma_cells",))
    cells = events.compartments["plasma_cells"]
    axes = [fitted.axes[m] for m in markers]
    values = transform_events(cells.values, dataset.detectors, axes, fitted.strategy, dataset.spillover)
    labels = np.array(simulated.label_names)[simulated.labels[cells.events]]
    n_nucleated = int(events.n_events[events.populations.index("nucleated")])
    return labels, values, n_nucleated


def _clonal(law: Law, donor: Donor, clone: Clone, tube: str, fitted, markers, seed) -> np.ndarray:
    """A clone's cells through the donor's gates; the tube holds nothing but plasma cells."""
    simulated = simulate_marrow_tube(
        replace(law, doublets=0.0, debris=0.0, dead=0.0, clogs=0.0), donor, STORE_CLONAL + 10, 0.9, clone=clone,
        n_clonal=STORE_CLONAL, tube=tube, clogs=(), random_state=seed,
    )  # fmt: skip
    labels, values, _ = _gated(simulated, as_dataset(simulated), fitted, markers)
    return values[labels == "clonal_plasma_cell"]


def draw_marrow(
    store: Store,
    n_nucleated: int,
    plasma_fraction: float,
    clonal: dict[str, float],
    rng: np.random.Generator,
) -> tuple[tuple[TubeCells, ...], tuple[np.ndarray, ...]]:
    """A marrow of ``n_nucleated`` cells over its tubes, and the truth: 0 normal, 1 and up the clones in their order.

    ``clonal`` maps a phenotype to its fraction of nucleated cells, lost ones included.
    """
    tubes, truth = [], []
    for tube in TUBES:
        share = n_nucleated / len(TUBES) / store.nucleated[tube]
        plenty = plasma_fraction / STORE_FRACTION
        parts = [
            _take(store.normal[tube], share * plenty, rng),
            _take(store.mixed[tube], share * plenty, rng),
            _take(store.other[tube], share, rng),
        ]
        labels = [np.zeros(sum(map(len, parts)), dtype=int)]
        for number, (name, fraction) in enumerate(clonal.items(), start=1):
            wanted = fraction * n_nucleated / len(TUBES)
            parts.append(_take(store.clones[name][tube], wanted / STORE_CLONAL, rng))
            labels.append(np.full(len(parts[-1]), number))
        values, labels = np.concatenate(parts), np.concatenate(labels)
        order = rng.permutation(len(labels))
        tubes.append(TubeCells(tube, store.markers[tube], values[order], store.cuts[tube]))
        truth.append(labels[order])
    return tuple(tubes), tuple(truth)


def _take(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """A Poisson number of events with mean ``share`` of all, none twice; all of them at most."""
    return values[rng.permutation(len(values))[: rng.poisson(share * len(values))]]


def save_store(store: Store, path: Path) -> None:
    """Write a store as arrays and a line of JSON."""
    arrays = {f"{part}/{t}": getattr(store, part)[t] for part in ("normal", "mixed", "other") for t in TUBES}
    arrays |= {f"{clone}/{t}": values for clone, tubes in store.clones.items() for t, values in tubes.items()}
    plain = {f.name: getattr(store, f.name) for f in fields(store)}
    rest = {name: value for name, value in plain.items() if name not in ("normal", "mixed", "other", "clones")}
    with path.open("wb") as file:
        np.savez(file, rest=json.dumps(rest), **arrays)


def load_store(path: Path) -> Store:
    """Read what :func:`save_store` wrote."""
    with np.load(path) as file:
        rest = json.loads(str(file["rest"]))
        arrays = {name: file[name] for name in file.files if name != "rest"}
    rest["markers"] = {t: tuple(markers) for t, markers in rest["markers"].items()}
    parts = {part: {t: arrays[f"{part}/{t}"] for t in TUBES} for part in ("normal", "mixed", "other")}
    return Store(**rest, **parts, clones={c: {t: arrays[f"{c}/{t}"] for t in TUBES} for c in PHENOTYPES})
