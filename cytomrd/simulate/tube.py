"""Tubes: events of planned classes, made in chunks that depend on the seed and their number alone.

A plan fixes how many events of every class each chunk holds, so the counts of rare cells are exact and
known before an event exists; a chunk is then made from its own generator, in any order, on any thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from cytomrd.preprocess.compensation import Spillover
from cytomrd.simulate.classes import ClassTable
from cytomrd.simulate.instrument import shot_noise
from cytomrd.simulate.laws import Law

__all__ = ["CHUNK_EVENTS", "Clog", "SimulatedTube", "TubePlan"]

CHUNK_EVENTS = 32_768
TIMESTEP_S = 0.01
_FSC_THRESHOLD = 5_000.0
_SIDE_BY_SIDE = 0.12  # of doublets: they cross the laser abreast, and height adds up like area


@dataclass(frozen=True)
class Clog:
    """A clog: from ``start`` (fraction of the file's events) for ``length``, light falls and few events pass."""

    start: float
    length: float
    signal: float = 0.75
    rate: float = 0.15


@dataclass(frozen=True, eq=False)
class SimulatedTube:
    """A tube in memory.

    Attributes
    ----------
    events
        float32, shape (n_events, n_channels), as an instrument would store them: not compensated, Time in ticks.
    detectors, markers
        ``$PnN`` and ``$PnS`` of the channels; a scatter or time channel has no marker (``""``).
    spillover
        The matrix stated in the file.
    labels
        uint8, shape (n_events,), index into ``label_names``.
    label_names
        Populations, with ``"doublet"`` as the last.
    in_clog
        bool, shape (n_events,): events that passed during a clog.
    timestep_s
        Seconds per unit of the Time channel.
    top
        ``$PnR`` of the signal channels.
    """

    events: np.ndarray
    detectors: tuple[str, ...]
    markers: tuple[str, ...]
    spillover: Spillover
    labels: np.ndarray
    label_names: tuple[str, ...]
    in_clog: np.ndarray
    timestep_s: float
    top: float

    @property
    def scale_events(self) -> np.ndarray:
        """The events on the scale that a reader gives, float64: as stored, but Time in seconds."""
        scaled = self.events.astype(np.float64)
        scaled[:, self.detectors.index("Time")] *= self.timestep_s
        return scaled

    @property
    def counts(self) -> Mapping[str, int]:
        """Events of each label."""
        n = np.bincount(self.labels, minlength=len(self.label_names))
        return MappingProxyType(dict(zip(self.label_names, n.tolist(), strict=True)))


@dataclass(frozen=True, eq=False)
class TubePlan:
    """A tube before its events exist; ``chunk(i)`` makes a part, ``simulate()`` all of it.

    Attributes
    ----------
    law, classes
        How cells look and how they are measured.
    counts
        Events of each class, int64, shape (n_classes,).
    n_doublets
        Events that are two cells (or beads) at once.
    markers, fluorochromes, detectors
        Of the fluorescence channels.
    spill, spillover
        The true matrix and the stated one.
    clogs
        Disturbances of the flow.
    seed
        Source of every chunk's generator.
    """

    law: Law
    classes: ClassTable
    counts: np.ndarray
    n_doublets: int
    markers: tuple[str, ...]
    fluorochromes: tuple[str, ...]
    detectors: tuple[str, ...]
    spill: np.ndarray
    spillover: Spillover
    clogs: tuple[Clog, ...]
    seed: np.random.SeedSequence

    @property
    def n_events(self) -> int:
        """All events of the tube."""
        return int(self.counts.sum()) + self.n_doublets

    @property
    def n_chunks(self) -> int:
        """Chunks of :data:`CHUNK_EVENTS` events, the last one shorter."""
        return -(-self.n_events // CHUNK_EVENTS)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Populations and ``"doublet"``."""
        return (*self.classes.population_names, "doublet")

    @property
    def scatter_detectors(self) -> tuple[str, ...]:
        """Scatter channels, in the order of the file."""
        return ("FSC-A", "FSC-H", *(("FSC-W",) if self.law.pulse_width else ()), "SSC-A")

    @property
    def channel_detectors(self) -> tuple[str, ...]:
        """``$PnN`` of every channel."""
        return (*self.scatter_detectors, *self.detectors, "Time")

    @property
    def channel_markers(self) -> tuple[str, ...]:
        """``$PnS`` of every channel."""
        return (*("" for _ in self.scatter_detectors), *self.markers, "")

    @property
    def population_counts(self) -> Mapping[str, int]:
        """Events of each label, doublets included."""
        n = np.bincount(self.classes.population, weights=self.counts, minlength=len(self.label_names) - 1)
        values = [*n.astype(np.int64).tolist(), self.n_doublets]
        return MappingProxyType(dict(zip(self.label_names, values, strict=True)))

    @cached_property
    def _chunk_counts(self) -> np.ndarray:
        """Events of each class (and doublets, last) in each chunk: drawn without replacement from the totals."""
        rng = np.random.Generator(np.random.PCG64(self._seeds(0)))
        left = np.append(self.counts, self.n_doublets)
        chunks = np.empty((self.n_chunks, left.size), dtype=np.int64)
        for i in range(self.n_chunks):
            size = min(CHUNK_EVENTS, int(left.sum()))
            chunks[i] = rng.multivariate_hypergeometric(left, size, method="marginals")
            left -= chunks[i]
        return chunks

    @cached_property
    def _clock(self) -> tuple[np.ndarray, np.ndarray]:
        """Event number against seconds, piecewise linear: clogs stretch time."""
        edges = sorted({0.0, 1.0, *(e for c in self.clogs for e in (c.start, min(1.0, c.start + c.length)))})
        seconds = [0.0]
        for left, right in pairwise(edges):
            slow = min((c.rate for c in self.clogs if c.start <= left < c.start + c.length), default=1.0)
            seconds.append(seconds[-1] + (right - left) * self.n_events / (self.law.events_per_s * slow))
        return np.array(edges) * self.n_events, np.array(seconds)

    @property
    def duration_s(self) -> float:
        """Time of the whole acquisition, in seconds."""
        return float(self._clock[1][-1])

    def _seeds(self, *key: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, *key))

    def in_clog(self, first: int, n: int) -> np.ndarray:
        """True for the events of ``first .. first + n`` that pass during a clog."""
        position = np.arange(first, first + n) / max(1, self.n_events)
        clogged = np.zeros(n, dtype=bool)
        for clog in self.clogs:
            clogged |= (position >= clog.start) & (position < clog.start + clog.length)
        return clogged

    def chunk(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Events (float32, (n, n_channels)) and labels (uint8, (n,)) of chunk ``i``."""
        rng = np.random.Generator(np.random.SFC64(self._seeds(1, i)))
        n_classes = self.counts.size
        which = np.repeat(np.arange(n_classes + 1, dtype=np.uint16), self._chunk_counts[i])
        rng.shuffle(which)
        doublets = np.flatnonzero(which == n_classes)
        labels = np.append(self.classes.population, np.uint8(len(self.classes.population_names)))[which]
        partners = rng.choice(n_classes, size=(2, doublets.size), p=self.counts / self.counts.sum())
        which[doublets] = partners[0]
        scatter, light = self._cells(np.concatenate([which, partners[1].astype(np.uint16)]), rng)
        return self._measure(i, scatter, light, doublets, rng), labels

    def _cells(self, which: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Scatter (FSC-A, FSC-H, SSC-A) and light at the detectors, float32, without noise, in units."""
        table, n = self.classes, which.size
        size = rng.standard_normal(n, dtype=np.float32)
        z = rng.standard_normal((n, 2), dtype=np.float32)
        z[:, 0] = size
        scatter = np.empty((n, 3), dtype=np.float32)
        areas = np.exp(table.log_scatter.take(which, axis=0) + table.scatter_sd.take(which, axis=0) * z)
        # The trigger cuts what is too small; debris piles up above it, as it does in files.
        areas[:, 0] = _FSC_THRESHOLD + np.abs(areas[:, 0] - _FSC_THRESHOLD)
        scatter[:, 0] = areas[:, 0]
        scatter[:, 2] = areas[:, 1]
        # A pulse of a larger cell is wider: height grows a little slower than area.
        scatter[:, 1] = 1.9 * areas[:, 0] ** 0.93 * np.exp(0.035 * rng.standard_normal(n, dtype=np.float32))

        light = rng.standard_normal((n, len(self.markers)), dtype=np.float32)
        if self.law.skew:
            light += np.float32(0.5 * self.law.skew) * (light * light - 1)
        light *= table.log_sd.take(which, axis=0)
        light += table.log_median.take(which, axis=0)
        common = table.sticky.take(which) * (0.5 * size + 0.87 * rng.standard_normal(n, dtype=np.float32))
        light += common[:, None]
        np.exp(light, out=light)
        light = light @ self.spill.astype(np.float32)
        own = np.exp(table.light_sd.take(which) * rng.standard_normal(n, dtype=np.float32))
        light += table.own_light.take(which, axis=0) * own[:, None]
        return scatter, light

    def _measure(self, i, scatter, light, doublets, rng) -> np.ndarray:
        """Join doublets, then clog, drift, noise, gain and the top of the range."""
        law, n = self.law, scatter.shape[0] - doublets.size
        scatter, second = scatter[:n], scatter[n:]
        light[doublets] += light[n:]
        light = light[:n]
        abreast = rng.random(doublets.size) < _SIDE_BY_SIDE
        heights = np.maximum(scatter[doublets, 1], second[:, 1]) * (1 + 0.12 * rng.random(doublets.size))
        heights = np.where(abreast, 0.92 * (scatter[doublets, 1] + second[:, 1]), heights)
        scatter[doublets] += second
        scatter[doublets, 1] = heights

        first = i * CHUNK_EVENTS
        steps = rng.standard_exponential(n + 1, dtype=np.float32).cumsum(dtype=np.float64)
        numbers = first + n * steps[:-1] / steps[-1]
        seconds = np.interp(numbers, *self._clock)
        factor = 1 - law.drift * (numbers / self.n_events).astype(np.float32)
        clogged = self.in_clog(first, n)
        if clogged.any():
            factor[clogged] *= np.float32(min(c.signal for c in self.clogs)) * np.exp(
                0.10 * rng.standard_normal(int(clogged.sum()), dtype=np.float32)
            )
        light *= factor[:, None]
        scatter *= factor[:, None]

        noise = light * shot_noise(law, self.fluorochromes).astype(np.float32)
        noise += np.float32(law.electronic_noise**2)
        np.sqrt(noise, out=noise)
        noise *= rng.standard_normal(noise.shape, dtype=np.float32)
        light += noise
        events = np.empty((n, len(self.channel_detectors)), dtype=np.float32)
        n_scatter = len(self.scatter_detectors)
        events[:, 0:2] = scatter[:, 0:2]
        if law.pulse_width:
            # Width is not amplified: 65536 is a pulse as wide as its height says.
            events[:, 2] = scatter[:, 0] / scatter[:, 1] * np.float32(65536.0 / law.gain)
        events[:, n_scatter - 1] = scatter[:, 2]
        events[:, n_scatter:-1] = light
        signals = events[:, :-1]
        signals *= np.float32(law.gain)
        np.minimum(signals, np.float32(law.top - 1), out=signals)
        events[:, -1] = np.floor(seconds / TIMESTEP_S)
        return events

    def chunks(self, threads: int = 1) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All chunks in order; a few more than ``threads`` of them exist at a time."""
        if threads <= 1:
            yield from map(self.chunk, range(self.n_chunks))
            return
        _ = self._chunk_counts, self._clock  # made before threads could race for them
        with ThreadPoolExecutor(threads) as pool:
            pending: deque = deque()
            for i in range(self.n_chunks):
                pending.append(pool.submit(self.chunk, i))
                if len(pending) > threads + 1:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()

    def simulate(self) -> SimulatedTube:
        """All events in memory."""
        events = np.empty((self.n_events, len(self.channel_detectors)), dtype=np.float32)
        labels = np.empty(self.n_events, dtype=np.uint8)
        for i, (values, names) in enumerate(self.chunks()):
            part = slice(i * CHUNK_EVENTS, i * CHUNK_EVENTS + len(names))
            events[part], labels[part] = values, names
        return SimulatedTube(
            events=events,
            detectors=self.channel_detectors,
            markers=self.channel_markers,
            spillover=self.spillover,
            labels=labels,
            label_names=self.label_names,
            in_clog=self.in_clog(0, self.n_events),
            timestep_s=TIMESTEP_S,
            top=self.law.top,
        )
