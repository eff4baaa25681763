"""Applying gates: one pass over the file's blocks gives codes, counts, histograms and rare compartments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Lock

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.gated import Compartment, GatedEvents, Histogram, HistogramRequest
from cytomrd.gating.gates import FROM_FILE, Axis, Dimension, GatingStrategy
from cytomrd.preprocess.compensation import Spillover

__all__ = [
    "ArrayDataset",
    "Compartment",
    "GatedEvents",
    "Histogram",
    "HistogramRequest",
    "apply_gates",
    "transform_events",
]

# Starting a thread and merging its counts must cost little beside its work.
EVENTS_WORTH_A_THREAD = 250_000


class ArrayDataset:
    """An array of events that can be gated as a file can.

    Parameters
    ----------
    events
        Array of shape (n_events, n_channels), scale values.
    detectors
        Names of the channels.
    spillover
        What compensation ``"FCS"`` means, if anything.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.apply import ArrayDataset, apply_gates
    >>> from cytomrd.gating.gates import Dimension, GatingStrategy, RectangleGate
    >>> events = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0]])
    >>> gate = RectangleGate("bright", (Dimension("FL1-A"),), minimum=(2.0,), maximum=(None,))
    >>> apply_gates(ArrayDataset(events, ("FL1-A", "FL2-A")), GatingStrategy((gate,))).count("bright")
    2
    """

    def __init__(self, events: np.ndarray, detectors: Sequence[str], spillover: Spillover | None = None):
        self.events = np.asarray(events)
        self.detectors = tuple(detectors)
        self.spillover = spillover
        if self.events.ndim != 2 or self.events.shape[1] != len(self.detectors):
            raise GateError(f"events of shape {self.events.shape} for {len(self.detectors)} detectors")

    @property
    def n_events(self) -> int:
        """Number of events."""
        return self.events.shape[0]

    def blocks(self, n_events: int = 8192, start: int = 0, stop: int | None = None):
        """Yield (first event, float64 (n_channels, n)) for events start..stop."""
        stop = self.n_events if stop is None else min(stop, self.n_events)
        for first in range(start, stop, n_events):
            block = self.events[first : min(first + n_events, stop)]
            yield first, np.ascontiguousarray(block.T, dtype=np.float64)


def apply_gates(
    dataset,
    strategy: GatingStrategy,
    *,
    spillover: Spillover | None = None,
    histograms: Sequence[HistogramRequest] = (),
    compartments: Sequence[str] = (),
    medians: Sequence[Dimension] | None = None,
    n_threads: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> GatedEvents:
    """Apply a strategy to every event of a dataset, in one pass.

    Parameters
    ----------
    dataset
        An :class:`~cytomrd.fcs.dataset.FcsDataset`, an :class:`ArrayDataset`, or anything
        with ``detectors``, ``n_events`` and ``blocks()``.
    strategy
        The gates.
    spillover
        What compensation ``"FCS"`` means; default is the dataset's own matrix.
    histograms
        Histograms to count on the way.
    compartments
        Populations whose events are kept with all their channels; meant for rare ones.
    medians
        Dimensions whose median is wanted in every population, on the linear scale
        (compensated as the dimension says). They come from bins 1/128 of an octave of
        ``|x| + 64`` wide with a straight line inside the bin, so the error is below
        0.8 % of ``|median| + 64``, in practice a tenth of that; NaN for an empty
        population and beyond +-1.3e8.
    n_threads
        Threads to share the events among; the result is the same for any number. Few events are not shared.
    progress
        Called with (events done, events in all) after each block, by one thread at a time.

    Returns
    -------
    GatedEvents

    Raises
    ------
    GateError
        If a channel, transform or population is not there.
    CompensationError
        If the matrix that is needed does not fit the dataset.

    Notes
    -----
    A thread's blocks take at most 4 MB, whatever the file and its channels. Beside them there is what
    is returned, and in each thread the counts asked for: 8 bytes a bin of a histogram, and for medians
    43 kB a dimension and each of the populations and 64 more. An event with a NaN or an infinite value
    in a channel that a gate uses is in no population.
    """
    from cytomrd.gating.collect import Collector, gathered
    from cytomrd.gating.encode import encode_program, events_in_a_block
    from cytomrd.gating.evaluate import BlockEvaluator
    from cytomrd.gating.program import compile_strategy

    program = compile_strategy(strategy, dataset.detectors, _own_spillover(dataset, strategy, spillover, medians))
    codes = np.zeros(dataset.n_events, dtype=np.uint32)
    stretches = _stretches(dataset.n_events, n_threads)
    collectors = [
        Collector(program, codes[s.start : s.stop], s.start, histograms, compartments, medians) for s in stretches
    ]
    done = _SharedProgress(progress, dataset.n_events)
    block_size = min(events_in_a_block(program), max(dataset.n_events, 1))
    encoded = encode_program(program)

    def run(collector: Collector, events: range) -> None:
        evaluator = BlockEvaluator(program, block_size, encoded)
        part = {} if len(stretches) == 1 else {"start": events.start, "stop": events.stop}
        for first, values in dataset.blocks(n_events=block_size, **part):
            n_bad = evaluator.run(values)
            collector.add(first, values, evaluator, n_bad)
            done.add(values.shape[1])

    if len(stretches) == 1:
        run(collectors[0], stretches[0])
    else:
        with ThreadPoolExecutor(len(stretches)) as pool:
            list(pool.map(run, collectors, stretches))
    return gathered(collectors, codes)


def _stretches(n_events: int, n_threads: int) -> list[range]:
    """Neighbouring ranges, one a thread; fewer where there is little to share."""
    n = max(1, min(n_threads, n_events // EVENTS_WORTH_A_THREAD))
    edges = [n_events * i // n for i in range(n + 1)]
    return [range(a, b) for a, b in pairwise(edges)]


class _SharedProgress:
    """Adds up what threads have done, and tells of it one call at a time."""

    def __init__(self, report: Callable[[int, int], None] | None, n_total: int):
        self._report, self._n_total, self._done, self._lock = report, n_total, 0, Lock()

    def add(self, n_events: int) -> None:
        if self._report is not None:
            with self._lock:
                self._done += n_events
                self._report(self._done, self._n_total)


def transform_events(
    values: np.ndarray,
    detectors: Sequence[str],
    dimensions: Sequence[Axis],
    strategy: GatingStrategy,
    spillover: Spillover | None = None,
) -> np.ndarray:
    """Positions of a few events on the strategy's axes, compensated and transformed.

    Parameters
    ----------
    values
        Array of shape (n_events, n_channels), scale values.
    detectors
        Names of the channels.
    dimensions
        The axes wanted.
    strategy
        Holds the transforms and matrices that the axes name.
    spillover
        What compensation ``"FCS"`` means.

    Returns
    -------
    numpy.ndarray
        float64 of shape (n_events, n_dimensions).
    """
    from cytomrd.gating.encode import encode_program, events_in_a_block
    from cytomrd.gating.evaluate import BlockEvaluator
    from cytomrd.gating.program import compile_strategy

    empty = GatingStrategy((), transforms=strategy.transforms, spillovers=strategy.spillovers)
    program = compile_strategy(empty, detectors, spillover)
    columns = [program.column_of(axis) for axis in dimensions]
    out = np.empty((len(values), len(columns)))
    block_size = events_in_a_block(program)
    evaluator = BlockEvaluator(program, block_size, encode_program(program, exact=True))
    for first, block in ArrayDataset(values, detectors).blocks(block_size):
        evaluator.run(block)
        n = block.shape[1]
        for j, column in enumerate(columns):
            out[first : first + n, j] = evaluator.scaled[column][:n]
    return out


def _own_spillover(dataset, strategy, given, medians) -> Spillover | None:
    """The matrix that "FCS" stands for; the dataset is asked only where a gate needs it, since it may refuse."""
    if given is not None:
        return given
    axes = [axis for gate in strategy.gates for axis in getattr(gate, "dimensions", ())] + list(medians or ())
    if any(getattr(axis, "compensation", None) == FROM_FILE for axis in axes):
        return getattr(dataset, "spillover", None)
    return None
