"""What a pass over the blocks gathers: codes, counts, histograms, medians and rare compartments."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.evaluate import BlockEvaluator
from cytomrd.gating.gated import Compartment, GatedEvents, Histogram, HistogramRequest
from cytomrd.gating.gates import ROOT
from cytomrd.gating.program import Program
from cytomrd.kernels.histograms import count_histograms
from cytomrd.kernels.medians import MEDIAN_BINS, count_medians, median_of_counts
from cytomrd.kernels.patterns import assign_codes, pack_members, relabel

__all__ = ["Collector", "gathered"]


class Collector:
    """Adds up the blocks of one stretch of events.

    Every number in it is an integer, so neither the order of blocks nor where stretches begin changes anything.

    Parameters
    ----------
    program
        The axes that are asked for are added to it.
    codes
        uint32 (n_events of the stretch,): filled with pattern codes.
    first
        Index of the stretch's first event.
    histograms, compartments, medians
        As for :func:`cytomrd.gating.apply.apply_gates`.
    """

    def __init__(self, program: Program, codes: np.ndarray, first: int, histograms, compartments, medians):
        self.program = program
        self.first = first
        self.n_non_finite = 0
        self.n_seen = 0
        self.patterns = _PatternTable(len(program.populations), codes)
        self.histograms = _HistogramCounts(program, histograms)
        self.medians = None if medians is None else _MedianCounts(program, medians)
        unknown = [name for name in compartments if name not in program.populations]
        if unknown:
            raise GateError(f"no population {unknown}; there are {', '.join(program.populations)}")
        self.kept = {name: ([], []) for name in compartments}

    def add(self, first: int, values: np.ndarray, evaluator: BlockEvaluator, n_bad: int) -> None:
        """Take in the block that ``evaluator`` has just run."""
        n = values.shape[1]
        self.n_seen += n
        self.n_non_finite += n_bad
        codes = self.patterns.add(first - self.first, evaluator.members, n)
        self.histograms.add(evaluator, n)
        if self.medians is not None:
            self.medians.add(evaluator, codes, self.patterns, n)
        for name, (events, kept_values) in self.kept.items():
            inside = np.flatnonzero(evaluator.members[self.program.populations.index(name), :n])
            if inside.size:
                events.append(inside + first)
                kept_values.append(values[:, inside].T.copy())


def gathered(collectors: Sequence[Collector], codes: np.ndarray) -> GatedEvents:
    """All that the collectors of neighbouring stretches have, in order; ``codes`` is the array of all of them."""
    program = collectors[0].program
    n_seen = sum(c.n_seen for c in collectors)
    if n_seen != codes.size:
        raise GateError(f"the dataset announced {codes.size} events and gave {n_seen}")
    patterns, n_events = _common_patterns([c.patterns for c in collectors])
    compartments = {
        name: Compartment(
            np.concatenate([*(e for c in collectors for e in c.kept[name][0]), np.empty(0, np.int64)]).astype(np.int64),
            np.concatenate([*(v for c in collectors for v in c.kept[name][1]), np.empty((0, len(program.detectors)))]),
        )
        for name in collectors[0].kept
    }
    return GatedEvents(
        populations=program.populations,
        codes=codes,
        patterns=patterns,
        n_events=n_events,
        n_total=codes.size,
        n_non_finite=sum(c.n_non_finite for c in collectors),
        histograms=collectors[0].histograms.with_counts(sum(c.histograms.counts for c in collectors)),
        compartments=compartments,
        medians=None if collectors[0].medians is None else _medians(collectors),
        notes=tuple(program.notes),
    )


class _PatternTable:
    """Distinct membership patterns in order of first sight, and a code for every event."""

    def __init__(self, n_populations: int, codes: np.ndarray):
        self.n_populations = n_populations
        self.n_words = max(1, -(-n_populations // 64))
        self.codes = codes
        self.n_patterns = 0
        self._words = np.empty((self.n_words, 0), dtype=np.uint64)
        self._set_capacity(256)

    def _set_capacity(self, capacity: int) -> None:
        bits = np.zeros((self.n_words, capacity), dtype=np.uint64)
        counts = np.zeros(capacity, dtype=np.int64)
        slots = np.full(4 * capacity, -1, dtype=np.int64)
        if self.n_patterns:
            # Entered in the order of their codes, the patterns known keep them.
            known = np.empty(self.n_patterns, dtype=np.uint32)
            assign_codes(self.bits, 0, self.n_patterns, bits, slots, 0, np.zeros_like(counts), known)
            counts[: self.n_patterns] = self.counts[: self.n_patterns]
        self.bits, self.counts, self._slots = bits, counts, slots

    def add(self, start: int, members: np.ndarray, n: int) -> np.ndarray:
        if self._words.shape[1] < n:
            self._words = np.empty((self.n_words, n), dtype=np.uint64)
        pack_members(members, n, self._words)
        codes = self.codes[start : start + n]
        done = 0
        while done < n:
            self.n_patterns, done = assign_codes(
                self._words, done, n, self.bits, self._slots, self.n_patterns, self.counts, codes
            )
            if done < n:
                self._set_capacity(2 * self.counts.size)
        return codes

    def members_of_patterns(self) -> np.ndarray:
        """bool (n_patterns, n_populations), in order of first sight."""
        words = self.bits[:, : self.n_patterns]
        population = np.arange(self.n_populations)
        shifts = (population % 64).astype(np.uint64)
        return ((words[population // 64] >> shifts[:, None]) & np.uint64(1)).astype(bool).T


def _common_patterns(tables: Sequence[_PatternTable]) -> tuple[np.ndarray, np.ndarray]:
    """One sorted list of patterns, all codes relabelled to it; (patterns, n_events per population)."""
    patterns = np.concatenate([table.members_of_patterns() for table in tables])
    counts = np.concatenate([table.counts[: table.n_patterns] for table in tables])
    order = np.lexsort(patterns.T[::-1]) if patterns.shape[1] else np.arange(len(patterns))
    ordered = patterns[order]
    is_new = np.ones(len(ordered), dtype=bool)
    is_new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    codes = np.empty(len(ordered), dtype=np.uint32)
    codes[order] = np.cumsum(is_new) - 1
    n_events = counts @ patterns.astype(np.int64)
    start = 0
    for table in tables:
        relabel(table.codes, codes[start : start + table.n_patterns])
        start += table.n_patterns
    return np.ascontiguousarray(ordered[is_new]), n_events


class _HistogramCounts:
    """The running counts of all requests, one behind the other."""

    def __init__(self, program: Program, requests: Sequence[HistogramRequest]):
        self.requests = tuple(requests)
        rows, scales, first = [], [], 0
        for request in self.requests:
            population, x, y = _places(program, request)
            rows.append((population, x, y, request.bins, first))
            scales.append((*_bins_per_unit(request, request.x_limits), *_bins_per_unit(request, request.y_limits)))
            first += request.bins if y < 0 else request.bins**2
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 5)
        self._scales = np.array(scales, dtype=np.float64).reshape(-1, 4)
        self.counts = np.zeros(first, dtype=np.int64)

    def add(self, evaluator: BlockEvaluator, n: int) -> None:
        of_block = evaluator.scaled, evaluator.members, evaluator.finite
        count_histograms(*of_block, self._rows, self._scales, n, self.counts)

    def with_counts(self, counts: np.ndarray) -> tuple[Histogram, ...]:
        """The requests with their parts of ``counts``, int64 as long as ``self.counts``."""
        made = []
        for request, first in zip(self.requests, self._rows[:, 4], strict=True):
            shape = (request.bins,) if request.y is None else (request.bins, request.bins)
            made.append(Histogram(request, counts[first : first + math.prod(shape)].reshape(shape)))
        return tuple(made)


def _places(program: Program, request: HistogramRequest) -> tuple[int, int, int]:
    """Population (-1: root), x and y column (-1: none) of a request."""
    if request.population != ROOT and request.population not in program.populations:
        raise GateError(
            f"histogram of {request.population!r}: no such population; there are {', '.join(program.populations)}"
        )
    if request.bins < 1:
        raise GateError(f"histogram of {request.population!r}: {request.bins} bins; at least 1 is needed")
    population = -1 if request.population == ROOT else program.populations.index(request.population)
    return population, program.column_of(request.x), -1 if request.y is None else program.column_of(request.y)


def _bins_per_unit(request: HistogramRequest, limits: tuple[float, float]) -> tuple[float, float]:
    """Lower limit, and bins for each unit of the scale."""
    low, high = limits
    if not (np.isfinite([low, high]).all() and high > low):
        raise GateError(f"histogram of {request.population!r}: limits {limits}; finite ones with low < high are needed")
    return low, request.bins / (high - low)


class _MedianCounts:
    """Fine histograms from which the medians of all populations are read.

    The commonest patterns have a row each and are added to their populations at the end; events of
    the others are added to each of their populations at once, so that memory stays bounded.
    """

    N_ROWS = 64

    def __init__(self, program: Program, dimensions):
        self.sources = np.array([program.source_of(dimension) for dimension in dimensions], dtype=np.int64)
        shape = (self.sources.size, self.N_ROWS + len(program.populations), MEDIAN_BINS)
        self.counts = np.zeros(shape, dtype=np.int64)
        self._bins = np.empty(0, dtype=np.int32)

    def add(self, evaluator: BlockEvaluator, codes: np.ndarray, patterns: _PatternTable, n: int) -> None:
        if self._bins.size < n:
            self._bins = np.empty(n, dtype=np.int32)
        count_medians(evaluator.linear, self.sources, codes, patterns.bits, self.N_ROWS, n, self._bins, self.counts)

    def of_population(self, source: int, population: int, patterns: _PatternTable) -> np.ndarray:
        """Counts int64 (MEDIAN_BINS,) of one source in one population."""
        has = (patterns.bits[population // 64, : self.N_ROWS] >> np.uint64(population % 64)) & np.uint64(1)
        counts = self.counts[source]
        return counts[self.N_ROWS + population] + has.astype(np.int64) @ counts[: self.N_ROWS]


def _medians(collectors: Sequence[Collector]) -> np.ndarray:
    """float64 (n_populations, n_dimensions)."""
    n_sources, n_populations = len(collectors[0].medians.sources), len(collectors[0].program.populations)
    medians = np.empty((n_populations, n_sources))
    for j in range(n_sources):
        for p in range(n_populations):
            medians[p, j] = median_of_counts(sum(c.medians.of_population(j, p, c.patterns) for c in collectors))
    return medians
