"""Events to fit on: an even sample of the file, all events of a rare population, or a histogram of all events."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cytomrd.gating.apply import GatedEvents, HistogramRequest, apply_gates, transform_events
from cytomrd.gating.fit.density import BINS, HIGH, LOW, Counts, count_events
from cytomrd.gating.gates import (
    ROOT,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    PolygonGate,
    RectangleGate,
)
from cytomrd.kernels.gates import combine_members, points_in_ellipsoid, points_in_interval, points_in_polygon
from cytomrd.preprocess.compensation import Spillover

__all__ = ["EventSource", "read_sample"]

SAMPLE_SIZE = 250_000
ENOUGH = 20_000
TOO_MANY = 1_000_000


@dataclass(eq=False)
class EventSource:
    """Answers "these channels of that population" for a strategy that is still growing.

    Gates are only ever added, so what was found out about a population stays true.

    Attributes
    ----------
    dataset
        The file: ``detectors``, ``n_events``, ``blocks()``.
    spillover
        What compensation ``"FCS"`` means.
    sample
        Array of shape (n_sample, n_channels): evenly spaced events, scale values.
    n_threads
        Threads of a pass over all events.
    """

    dataset: object
    spillover: Spillover | None
    sample: np.ndarray
    n_threads: int = 1
    _members: dict[str, np.ndarray] = field(default_factory=dict)
    _columns: dict[Dimension, np.ndarray] = field(default_factory=dict)
    _deep: dict[str, np.ndarray] = field(default_factory=dict)
    _full: dict[tuple[str, Dimension], Counts] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """True where the sample is the whole file."""
        return len(self.sample) >= self.dataset.n_events

    def members(self, population: str, strategy: GatingStrategy) -> np.ndarray:
        """Which events of the sample are in ``population``: uint8 array of shape (n_sample,), 1 inside."""
        if population not in self._members:
            if population == ROOT:
                self._members[ROOT] = np.ones(len(self.sample), dtype=np.uint8)
            else:
                self._members[population] = self._gated(strategy.gate(population), strategy)
        return self._members[population]

    def columns(self, population: str, dimensions: tuple[Dimension, ...], strategy: GatingStrategy) -> np.ndarray:
        """The population's events on gate axes, those of the sample, or all where the sample has few.

        Returns
        -------
        Array of shape (n_events, n_dimensions).
        """
        members = self.members(population, strategy).astype(bool)
        n_members = int(members.sum())
        expected = n_members * self.dataset.n_events / max(1, len(self.sample))
        if self.is_complete or population == ROOT or n_members >= ENOUGH or expected > TOO_MANY:
            return np.stack([self._column(d, strategy)[members] for d in dimensions], axis=1)
        if population not in self._deep:
            path = _pruned(strategy, population)
            gated = self._pass(path, compartments=(population,))
            self._deep[population] = gated.compartments[population].values
        return transform_events(self._deep[population], self.dataset.detectors, dimensions, strategy, self.spillover)

    def counts(self, population: str, dimension: Dimension, strategy: GatingStrategy) -> Counts:
        """Binned events of the population along one axis, from the best sample at hand."""
        return count_events(self.columns(population, (dimension,), strategy)[:, 0])

    def full_counts(
        self, population: str, dimension: Dimension, strategy: GatingStrategy, others: tuple[Dimension, ...] = ()
    ) -> Counts:
        """Binned events of the population along one axis, from every event of the file.

        ``others`` are axes that will be asked for on the same population: they come from the same pass.
        """
        if (population, dimension) not in self._full:
            wanted = [d for d in dict.fromkeys((dimension, *others)) if (population, d) not in self._full]
            requests = [HistogramRequest(population, d, None, (LOW, HIGH), bins=BINS) for d in wanted]
            path = _pruned(strategy, population)
            gated = self._pass(path, histograms=requests)
            for axis, histogram in zip(wanted, gated.histograms, strict=True):
                bins = np.array(histogram.counts, dtype=np.int64).reshape(-1)
                n_events = int(bins.sum())
                # The first and last bin also hold what lies beyond the grid.
                bins[[0, -1]] = 0
                self._full[population, axis] = Counts(bins, n_events)
        return self._full[population, dimension]

    def _pass(self, strategy: GatingStrategy, **asked) -> GatedEvents:
        return apply_gates(self.dataset, strategy, spillover=self.spillover, n_threads=self.n_threads, **asked)

    def _column(self, dimension: Dimension, strategy: GatingStrategy) -> np.ndarray:
        if dimension not in self._columns:
            values = transform_events(self.sample, self.dataset.detectors, (dimension,), strategy, self.spillover)
            self._columns[dimension] = np.ascontiguousarray(values[:, 0])
        return self._columns[dimension]

    def _gated(self, gate: Gate, strategy: GatingStrategy) -> np.ndarray:
        """Membership of the sample in one gate, by the kernels that will gate the file."""
        member = self.members(gate.parent, strategy).copy()
        n = len(member)
        if isinstance(gate, BooleanGate):
            rows = np.stack([self.members(o.name, strategy) for o in gate.operands])
            complements = np.array([o.complement != (gate.operator == "not") for o in gate.operands], dtype=np.uint8)
            combine_members(rows, np.arange(len(rows)), complements, gate.operator != "or", n, member)
            return member
        columns = [self._column(d, strategy) for d in gate.dimensions]
        if isinstance(gate, RectangleGate):
            for column, low, high in zip(columns, gate.minimum, gate.maximum, strict=True):
                low, high = -np.inf if low is None else low, np.inf if high is None else high
                points_in_interval(column, low, high, n, member)
        elif isinstance(gate, PolygonGate):
            points_in_polygon(columns[0], columns[1], np.array(gate.vertices, dtype=np.float64), n, member)
        elif isinstance(gate, EllipsoidGate):
            precision = np.linalg.inv(np.array(gate.covariance, dtype=np.float64))
            mean = np.array(gate.mean, dtype=np.float64)
            points_in_ellipsoid(np.stack(columns), mean, precision, gate.distance_square, n, member)
        return member


def _pruned(strategy: GatingStrategy, population: str) -> GatingStrategy:
    """The gates that ``population`` needs, and no others: a pass costs what it must transform."""
    if population == ROOT:
        return GatingStrategy((), strategy.transforms, strategy.spillovers)
    needed, waiting = set(), [population]
    while waiting:
        name = waiting.pop()
        if name == ROOT or name in needed:
            continue
        needed.add(name)
        gate = strategy.gate(name)
        waiting.append(gate.parent)
        if isinstance(gate, BooleanGate):
            waiting.extend(o.name for o in gate.operands)
    gates = tuple(g for g in strategy.gates if g.name in needed)
    return GatingStrategy(gates, strategy.transforms, strategy.spillovers)


def read_sample(dataset, *, size: int = SAMPLE_SIZE) -> np.ndarray:
    """Read evenly spaced events of a file, the same ones each time.

    Parameters
    ----------
    dataset
        With ``n_events`` and ``blocks()``.
    size
        At most how many events.

    Returns
    -------
    Array of shape (n_sample, n_channels), scale values in the order of acquisition.
    """
    stride = max(1, -(-dataset.n_events // size))
    parts = []
    for first, values in dataset.blocks():
        offset = -first % stride
        parts.append(values[:, offset::stride].T.copy())
    if not parts:
        return np.empty((0, len(dataset.detectors)))
    return np.concatenate(parts)
