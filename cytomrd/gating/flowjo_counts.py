"""FlowJo's own counts beside those of exact gates, and for each difference the reason that accounts for it.

A reason is found, not guessed: the sample is gated again the way that FlowJo may have done it, and the first way that
gives FlowJo's count is named. The grid on which FlowJo decides polygons was found from its counts: on a linear axis
a value is rounded to its bin, on a biexponential rounded down, and vertices are moved to bins as events
are. Of 6144 such rules, 6 give all 15 counts of one real workspace, and 4 of these, which differ
in no count, give those of the other one too. Scales other than these two are taken to be rounded down.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.gating.apply import ArrayDataset, apply_gates, transform_events
from cytomrd.gating.flowjo import FlowJoGates, read_flowjo_workspace
from cytomrd.gating.gates import FROM_FILE, UNCOMPENSATED, Dimension, GatingStrategy, PolygonGate, RectangleGate
from cytomrd.preprocess.transforms import Biexponential, Linear, Transform

__all__ = ["CountComparison", "compare_with_flowjo"]

EQUAL = "equal"
UNEXPLAINED = "unexplained"
# Vertices are drawn on grid lines and stored with 16 digits: this much of a bin is rounding.
ON_THE_LINE = 1e-6


@dataclass(frozen=True)
class CountComparison:
    """One population, as FlowJo counted it and as exact gates do.

    Attributes
    ----------
    path
        Names from the top of FlowJo's tree.
    flowjo
        FlowJo's count; None where the workspace stores none.
    ours
        Count of the exact gates; None where the population was left out.
    on_grid
        Count with FlowJo's grid for polygons; None where the population was left out.
    reason
        ``"equal"``, what accounts for the difference, or ``"unexplained"``.
    """

    path: tuple[str, ...]
    flowjo: int | None
    ours: int | None
    on_grid: int | None
    reason: str

    @property
    def difference(self) -> int | None:
        """Ours less FlowJo's; None where either is missing."""
        return None if self.flowjo is None or self.ours is None else self.ours - self.flowjo

    @property
    def is_explained(self) -> bool:
        """False for a difference that nothing accounts for, and for what was left out."""
        return self.ours is not None and self.reason != UNEXPLAINED


@dataclass(frozen=True)
class _Reading:
    """A way in which FlowJo may have gated: which compensation, axes with or without ends, which polygons on grids."""

    what: str
    strategy: GatingStrategy
    floors: bool = False
    on_grid: frozenset[str] = frozenset()


def compare_with_flowjo(
    workspace: str | Path, fcs: str | Path | FcsDataset, *, sample: str | None = None
) -> tuple[CountComparison, ...]:
    """Compare the counts that FlowJo stored in a workspace with those of exact gates.

    Parameters
    ----------
    workspace
        FlowJo 10 workspace.
    fcs
        The file that the sample was loaded from. All of its events are held in memory.
    sample
        Name of the sample in the workspace, where the file is called otherwise.

    Returns
    -------
    One row a population, in the order of the tree, and one for each that was left out.

    Raises
    ------
    GateError
        If the workspace cannot be read, or its gates do not fit the file.
    FcsError
        If the file cannot be read.

    Notes
    -----
    The ways that are tried, in this order: polygons on FlowJo's grid; axes that end, so that events beyond their ends
    count at them (biexponential and FlowJo's logarithmic axes always end); both; then the same with no channel
    compensated, with every channel of the matrix compensated, and with the matrix of the file in
    place of the workspace's.
    """
    dataset = fcs if isinstance(fcs, FcsDataset) else open_fcs(fcs)
    gates = read_flowjo_workspace(workspace, sample if sample is not None else dataset.path)
    events = dataset.read_events()
    exact = apply_gates(dataset, gates.strategy)
    grids = frozenset(gates.bins)
    recounts: list[tuple[str, dict[str, int]]] = []
    readings = _readings(gates, dataset)
    on_grid = _recount(events, dataset, gates, _Reading("", gates.strategy, on_grid=grids))
    rows = []
    for name in gates.strategy.populations:
        if name not in gates.paths:
            continue  # the drawn shape of a population that lies outside of it
        flowjo, ours = gates.counts.get(name), exact.count(name)
        if flowjo is None or flowjo == ours:
            reason = "FlowJo stored no count" if flowjo is None else EQUAL
        elif flowjo == on_grid[name]:
            reason = _which_polygons(name, ours, events, dataset, gates)
        else:
            reason = _first_reason(name, flowjo, recounts, readings, events, dataset, gates)
        rows.append(CountComparison(gates.paths[name], flowjo, ours, on_grid[name], reason))
    rows += [CountComparison(s.path, None, None, None, f"left out: {s.reason}") for s in gates.skipped]
    return tuple(rows)


def _first_reason(name, flowjo, recounts, readings: Iterator[_Reading], events, dataset, gates) -> str:
    """The first reading that gives FlowJo's count; recounts already made are kept in ``recounts``."""
    for what, counts in recounts:
        if counts[name] == flowjo:
            return what
    for reading in readings:
        recounts.append((reading.what, _recount(events, dataset, gates, reading)))
        if recounts[-1][1][name] == flowjo:
            return reading.what
    return UNEXPLAINED


def _which_polygons(name: str, ours: int, events, dataset, gates: FlowJoGates) -> str:
    """The polygons on the way to a population whose grid, alone, changes its count; all of them where none does."""
    path = gates.strategy.gate_path(name)
    polygons = [g for g in (*path, *_operands_of(gates.strategy, path)) if g in gates.bins]
    alone = [
        g
        for g in polygons
        if _recount(events, dataset, gates, _Reading("", gates.strategy, on_grid=frozenset({g})))[name] != ours
    ]
    shown = ", ".join(f"{g} ({gates.bins[g]} bins)" for g in alone or polygons)
    return f"binned polygon: {shown}"


def _operands_of(strategy: GatingStrategy, path) -> list[str]:
    """Populations that booleans on the path refer to, and those on the way to them."""
    found: list[str] = []
    waiting = list(path[1:])
    while waiting:
        gate = strategy.gate(waiting.pop())
        for operand in getattr(gate, "operands", ()):
            new = [n for n in strategy.gate_path(operand.name)[1:] if n not in found]
            found += new
            waiting += new
    return found


def _readings(gates: FlowJoGates, dataset: FcsDataset) -> Iterator[_Reading]:
    """All ways but the plain grid, the likelier first."""
    grids = frozenset(gates.bins)
    for what, strategy in _bindings(gates.strategy, dataset):
        if what:
            yield _Reading(what, strategy)
            yield _Reading(f"{what}, with binned polygons", strategy, on_grid=grids)
        and_what = f"{what}, with " if what else ""
        yield _Reading(f"{and_what}axis floors: events beyond an axis count at its end", strategy, floors=True)
        yield _Reading(f"{and_what}axis floors and binned polygons", strategy, floors=True, on_grid=grids)


def _bindings(strategy: GatingStrategy, dataset: FcsDataset) -> Iterator[tuple[str, GatingStrategy]]:
    """The strategy under other readings of what is compensated with what."""
    yield "", strategy
    if not strategy.spillovers:
        return
    key, matrix = next(iter(strategy.spillovers.items()))
    yield "compensation binding: no channel compensated", _compensated(strategy, lambda d: UNCOMPENSATED)
    yield (
        "compensation binding: every channel of the matrix compensated",
        _compensated(strategy, lambda d: key if d.channel in matrix.detectors else UNCOMPENSATED),
    )
    own = dataset.spillover
    if own is not None and not (own.detectors == matrix.detectors and np.allclose(own.matrix, matrix.matrix)):
        yield (
            "compensation binding: the matrix of the file in place of the workspace's",
            _compensated(strategy, lambda d: FROM_FILE if d.compensation == key else d.compensation),
        )


def _compensated(strategy: GatingStrategy, of) -> GatingStrategy:
    gates = tuple(
        replace(g, dimensions=tuple(replace(d, compensation=of(d)) for d in g.dimensions))
        if hasattr(g, "dimensions")
        else g
        for g in strategy.gates
    )
    return replace(strategy, gates=gates)


def _recount(events: np.ndarray, dataset: FcsDataset, gates: FlowJoGates, reading: _Reading) -> dict[str, int]:
    """Events of each population under a reading: its altered axes become channels of their own."""
    columns, names, altered = [], [], []
    for gate in reading.strategy.gates:
        is_polygon = isinstance(gate, PolygonGate)
        name = gate.name.removesuffix(" (outline)")
        bins = gates.bins.get(name) if is_polygon and name in reading.on_grid else None
        if bins is None and not (reading.floors and isinstance(gate, PolygonGate | RectangleGate)):
            altered.append(gate)
            continue
        own = tuple(Dimension(f"{gate.name}, axis {i}") for i in range(len(gate.dimensions)))
        positions = transform_events(events, dataset.detectors, gate.dimensions, reading.strategy, dataset.spillover)
        scales = [reading.strategy.transforms.get(d.transform) for d in gate.dimensions]
        if reading.floors:
            positions = np.column_stack([_within_axis(p, s) for p, s in zip(positions.T, scales, strict=True)])
        if is_polygon:
            vertices = np.array(gate.vertices)
            if bins is not None:
                positions = np.column_stack([_bin(p, s, bins) for p, s in zip(positions.T, scales, strict=True)])
                drawn = [_bin(v, s, bins, ON_THE_LINE) for v, s in zip(vertices.T, scales, strict=True)]
                vertices = np.column_stack(drawn)
            gate = replace(gate, dimensions=own, vertices=tuple(map(tuple, vertices.tolist())))
        else:
            gate = _open_at_ends(replace(gate, dimensions=own), scales)
        columns.append(positions)
        names += [d.channel for d in own]
        altered.append(gate)
    table = ArrayDataset(np.hstack([events, *columns]), (*dataset.detectors, *names))
    strategy = replace(reading.strategy, gates=tuple(altered))
    counted = apply_gates(table, strategy, spillover=dataset.spillover if _asks_file(strategy) else None)
    return dict(zip(counted.populations, map(int, counted.n_events), strict=True))


def _asks_file(strategy: GatingStrategy) -> bool:
    axes = [d for g in strategy.gates for d in getattr(g, "dimensions", ())]
    return any(getattr(d, "compensation", None) == FROM_FILE for d in axes)


def _ends(scale: Transform | None) -> tuple[float, float]:
    """Positions at which an axis begins and ends; one without a scale has no ends that are known."""
    if scale is None:
        return -np.inf, np.inf
    return 0.0, float(scale.channel_range) if isinstance(scale, Biexponential) else 1.0


def _within_axis(positions: np.ndarray, scale: Transform | None) -> np.ndarray:
    low, high = _ends(scale)
    return np.clip(positions, low, np.nextafter(high, low) if np.isfinite(high) else high)


def _bin(positions: np.ndarray, scale: Transform | None, bins: int, tolerance: float = 0.0) -> np.ndarray:
    low, high = _ends(scale)
    if not np.isfinite([low, high]).all():
        return positions
    places = (positions - low) * (bins / (high - low))
    return np.floor(places + (0.5 if isinstance(scale, Linear) else tolerance))


def _open_at_ends(gate: RectangleGate, scales) -> RectangleGate:
    """Bounds at or beyond the ends of an axis hold what counts at these ends."""
    low, high = list(gate.minimum), list(gate.maximum)
    for i, scale in enumerate(scales):
        start, stop = _ends(scale)
        low[i] = None if low[i] is not None and low[i] <= start else low[i]
        high[i] = None if high[i] is not None and high[i] >= stop else high[i]
    if all(bound is None for bound in (*low, *high)):
        low[0] = -np.finfo(np.float64).max
    return replace(gate, minimum=tuple(low), maximum=tuple(high))
