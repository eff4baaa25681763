"""What applying gates gives: a code and a pattern for each event, counts, histograms, and the rare compartments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.gates import Axis

__all__ = ["Compartment", "GatedEvents", "Histogram", "HistogramRequest"]


@dataclass(frozen=True)
class HistogramRequest:
    """Counts to be made of a population on one or two axes.

    Attributes
    ----------
    population
        A population of the strategy, or ``"root"`` for every event with finite values.
    x, y
        The axes; ``y`` None asks for a one-dimensional histogram.
    x_limits, y_limits
        (low, high) on the axes' scales. Events beyond them count in the edge bins.
    bins
        Number of bins on each axis.
    """

    population: str
    x: Axis
    y: Axis | None = None
    x_limits: tuple[float, float] = (0.0, 1.0)
    y_limits: tuple[float, float] = (0.0, 1.0)
    bins: int = 128


@dataclass(frozen=True, eq=False)
class Histogram:
    """The counts of one :class:`HistogramRequest`: int64 (bins,) or (bins, bins), x first."""

    request: HistogramRequest
    counts: np.ndarray


@dataclass(frozen=True, eq=False)
class Compartment:
    """The events of one population: ``events`` int64 indices, ``values`` float64 (n, n_channels) scale values."""

    events: np.ndarray
    values: np.ndarray


@dataclass(frozen=True, eq=False)
class GatedEvents:
    """Which populations each event is in, and what was counted on the way.

    Attributes
    ----------
    populations
        Names, as ``strategy.populations``.
    codes
        uint32 (n_total,): row of ``patterns`` that describes the event.
    patterns
        bool (n_patterns, n_populations): the distinct membership patterns, sorted.
    n_events
        int64 (n_populations,): events in each population.
    n_total
        Events in the file.
    n_non_finite
        Events with NaN or an infinity in a channel that a gate uses; in no population.
    histograms
        One :class:`Histogram` for each request, in order.
    compartments
        Population name to :class:`Compartment`.
    medians
        float64 (n_populations, n_dimensions), or None if not asked for.
    notes
        What the reader of a report should know.
    """

    populations: tuple[str, ...]
    codes: np.ndarray
    patterns: np.ndarray
    n_events: np.ndarray
    n_total: int
    n_non_finite: int
    histograms: tuple[Histogram, ...] = ()
    compartments: Mapping[str, Compartment] = field(default_factory=dict)
    medians: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def index(self, population: str) -> int:
        """Position of a population in ``populations``."""
        if population not in self.populations:
            raise GateError(f"no population {population!r}; there are {', '.join(self.populations)}")
        return self.populations.index(population)

    def count(self, population: str) -> int:
        """Events in a population."""
        return int(self.n_events[self.index(population)])

    def members(self, population: str) -> np.ndarray:
        """bool (n_total,): True where the event is in the population."""
        return self.patterns[:, self.index(population)][self.codes]
