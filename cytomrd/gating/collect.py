"""What a pass over the blocks gathers: codes, counts, histograms, medians and rare compartments."""

from __future__ import annotations

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.apply import Compartment, GatedEvents, Histogram, HistogramRequest
from cytomrd.gating.evaluate import BlockEvaluator
from cytomrd.gating.gates import ROOT
from cytomrd.gating.program import Program
from cytomrd.kernels.histograms import count_1d, count_2d
from cytomrd.kernels.medians import MEDIAN_BINS, count_codes, median_of_counts, octave_bins
from cytomrd.kernels.patterns import assign_codes, pack_members, relabel

__all__ = ["Collector"]


class Collector:
    """Adds up blocks; every number in it is an integer, so the order of blocks changes nothing."""

    def __init__(self, program: Program, n_total: int, histograms, compartments, medians):
        self.program = program
        self.n_total = n_total
        self.n_non_finite = 0
        self.n_seen = 0
        self.patterns = _PatternTable(len(program.populations), n_total)
        self.histograms = [_HistogramCounts(program, request) for request in histograms]
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
        codes = self.patterns.add(first, evaluator.members, n)
        for histogram in self.histograms:
            histogram.add(evaluator, n)
        if self.medians is not None:
            self.medians.add(evaluator, codes, self.patterns, n)
        for name, (events, kept_values) in self.kept.items():
            inside = np.flatnonzero(evaluator.members[self.program.populations.index(name), :n])
            if inside.size:
                events.append(inside + first)
                kept_values.append(values[:, inside].T.copy())

    def result(self) -> GatedEvents:
        """All that was gathered."""
        if self.n_seen != self.n_total:
            raise GateError(f"the dataset announced {self.n_total} events and gave {self.n_seen}")
        patterns, n_events = self.patterns.finish()
        n_channels = len(self.program.detectors)
        compartments = {
            name: Compartment(
                np.concatenate([*events, np.empty(0, np.int64)]).astype(np.int64),
                np.concatenate([*values, np.empty((0, n_channels))]),
            )
            for name, (events, values) in self.kept.items()
        }
        return GatedEvents(
            populations=self.program.populations,
            codes=self.patterns.codes,
            patterns=patterns,
            n_events=n_events,
            n_total=self.n_total,
            n_non_finite=self.n_non_finite,
            histograms=tuple(h.finish() for h in self.histograms),
            compartments=compartments,
            medians=None if self.medians is None else self.medians.finish(self.patterns.bits),
            notes=tuple(self.program.notes),
        )


class _PatternTable:
    """Distinct membership patterns in order of first sight, and a code for every event."""

    def __init__(self, n_populations: int, n_total: int):
        self.n_populations = n_populations
        self.n_words = max(1, -(-n_populations // 64))
        self.codes = np.zeros(n_total, dtype=np.uint32)
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

    def add(self, first: int, members: np.ndarray, n: int) -> np.ndarray:
        if self._words.shape[1] < n:
            self._words = np.empty((self.n_words, n), dtype=np.uint64)
        pack_members(members, n, self._words)
        codes = self.codes[first : first + n]
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

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Sort the patterns, relabel the codes; (patterns, n_events per population)."""
        patterns = self.members_of_patterns()
        n_events = self.counts[: self.n_patterns] @ patterns.astype(np.int64)
        order = np.lexsort(patterns.T[::-1]) if patterns.shape[1] else np.arange(self.n_patterns)
        new = np.empty(self.n_patterns, dtype=np.uint32)
        new[order] = np.arange(self.n_patterns, dtype=np.uint32)
        relabel(self.codes, new)
        return np.ascontiguousarray(patterns[order]), n_events


class _HistogramCounts:
    """The running counts of one request."""

    def __init__(self, program: Program, request: HistogramRequest):
        self.request = request
        if request.population != ROOT and request.population not in program.populations:
            raise GateError(
                f"histogram of {request.population!r}: no such population; there are {', '.join(program.populations)}"
            )
        if request.bins < 1:
            raise GateError(f"histogram of {request.population!r}: {request.bins} bins; at least 1 is needed")
        self.population = None if request.population == ROOT else program.populations.index(request.population)
        self.x = program.column_of(request.x)
        self.y = None if request.y is None else program.column_of(request.y)
        self.x_scale = self._bins_per_unit(request.x_limits)
        self.y_scale = self._bins_per_unit(request.y_limits)
        shape = (request.bins,) if self.y is None else (request.bins, request.bins)
        self.counts = np.zeros(shape, dtype=np.int64)

    def _bins_per_unit(self, limits: tuple[float, float]) -> float:
        low, high = limits
        if not (np.isfinite([low, high]).all() and high > low):
            raise GateError(
                f"histogram of {self.request.population!r}: limits {limits}; finite ones with low < high are needed"
            )
        return self.request.bins / (high - low)

    def add(self, evaluator: BlockEvaluator, n: int) -> None:
        member = evaluator.finite if self.population is None else evaluator.members[self.population]
        x, x_low = evaluator.scaled[self.x], self.request.x_limits[0]
        if self.y is None:
            count_1d(x, member, x_low, self.x_scale, n, self.counts)
        else:
            y, y_low = evaluator.scaled[self.y], self.request.y_limits[0]
            count_2d(x, y, member, x_low, self.x_scale, y_low, self.y_scale, n, self.counts)

    def finish(self) -> Histogram:
        return Histogram(self.request, self.counts)


class _MedianCounts:
    """Fine histograms from which the medians of all populations are read.

    The commonest patterns have a row each and are added to their populations at the end; events of
    the others are added to each of their populations at once, so that memory stays bounded.
    """

    N_ROWS = 64

    def __init__(self, program: Program, dimensions):
        self.sources = [program.source_of(dimension) for dimension in dimensions]
        shape = (len(self.sources), self.N_ROWS + len(program.populations), MEDIAN_BINS)
        self.counts = np.zeros(shape, dtype=np.int64)
        self._bins = np.empty(0, dtype=np.int32)

    def add(self, evaluator: BlockEvaluator, codes: np.ndarray, patterns: _PatternTable, n: int) -> None:
        if self._bins.size < n:
            self._bins = np.empty(n, dtype=np.int32)
        for counts, source in zip(self.counts, self.sources, strict=True):
            octave_bins(evaluator.linear[source][:n], self._bins)
            count_codes(self._bins, codes, patterns.bits, self.N_ROWS, n, counts)

    def finish(self, bits: np.ndarray) -> np.ndarray:
        n_populations = self.counts.shape[1] - self.N_ROWS
        medians = np.empty((n_populations, len(self.sources)))
        for j, counts in enumerate(self.counts):
            for p in range(n_populations):
                has = (bits[p // 64, : self.N_ROWS] >> np.uint64(p % 64)) & np.uint64(1)
                total = counts[self.N_ROWS + p] + has.astype(np.int64) @ counts[: self.N_ROWS]
                medians[p, j] = median_of_counts(total)
        return medians
