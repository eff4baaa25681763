"""Marrows of known clonal content, written as FCS: simulated afresh, or mixed from a laboratory's own files.

A mixture of own files is a negative donor's marrow in which some events, drawn by chance, give their place (and their
time) to clonal events of another donor. No event stands twice in a mixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.errors import RunError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.fcs.writer import write_fcs
from cytomrd.run.settings import RunSettings
from cytomrd.run.spillover import file_spillover
from cytomrd.samplesheet import SampleRow
from cytomrd.simulate import CLONES, Law, draw_donor, plan_marrow_tube
from cytomrd.simulate.marrow import CLONAL_LABELS, MARROW_TUBES
from cytomrd.simulate.tube import CHUNK_EVENTS, TIMESTEP_S

__all__ = [
    "SIMULATED_PANEL",
    "OwnMixture",
    "OwnTube",
    "SimulatedMixture",
    "WrittenTube",
    "clonal_positions",
    "draw_pools",
]

SIMULATED_PANEL = "euroflow-mm-mrd"
# Normal plasma cells of nucleated cells, drawn evenly on a log scale: after treatment, and of any blank.
PLASMA_AFTER_TREATMENT, PLASMA_OF_BLANKS = (2e-4, 5e-3), (2e-4, 2e-2)


@dataclass(frozen=True, eq=False)
class WrittenTube:
    """A tube of a mixture on disk: its row, and the sorted positions of its clonal events."""

    row: SampleRow
    clonal: np.ndarray


@dataclass(frozen=True)
class SimulatedMixture:
    """A donor, drawn afresh, with a clone at a level; every event is simulated for this mixture alone.

    ``entropy`` is the seed of donor, plasma cells and events.
    """

    law: Law
    level: float
    n_wanted: int
    clone: str
    entropy: tuple[int, ...]

    def made_from(self, content_of: Callable[[Path], str]) -> list[object]:
        """All that decides its content; ``content_of`` gives that of a file."""
        return [repr(self), repr(CLONES[self.clone]) if self.clone else ""]

    def write(self, folder: Path, settings: RunSettings) -> tuple[WrittenTube, ...]:
        """Write both tubes into a folder."""
        donor_seed, rate_seed, *tube_seeds = np.random.SeedSequence(self.entropy).spawn(2 + len(MARROW_TUBES))
        donor = draw_donor(self.law, donor_seed)
        lowest, highest = np.log10(PLASMA_AFTER_TREATMENT if self.level else PLASMA_OF_BLANKS)
        plasma_fraction = float(10 ** np.random.default_rng(rate_seed).uniform(lowest, highest))
        whole = 1 - self.law.doublets - self.law.debris - self.law.dead
        n_events = round(self.n_wanted / len(MARROW_TUBES) / whole)
        written = []
        for tube, seed in zip(MARROW_TUBES, tube_seeds, strict=True):
            plan = plan_marrow_tube(
                self.law, donor, n_events, plasma_fraction, clone=CLONES[self.clone] if self.level else None,
                clonal_fraction=self.level or None, tube=tube, random_state=seed,
            )  # fmt: skip
            clonal: list[np.ndarray] = []
            labels = [i for i, name in enumerate(plan.label_names) if name in CLONAL_LABELS]

            def blocks(plan=plan, clonal=clonal, labels=labels) -> Iterator[np.ndarray]:
                for i, (events, names) in enumerate(plan.chunks()):
                    clonal.append(i * CHUNK_EVENTS + np.flatnonzero(np.isin(names, labels)))
                    yield events

            ranges = [self.law.top] * len(plan.channel_detectors)
            ranges[-1] = max(self.law.top, np.ceil(plan.duration_s / TIMESTEP_S) + 1)
            row = SampleRow(f"tube{tube}.fcs", "mixture", panel=SIMULATED_PANEL, tube=tube, matrix="BM", pull=1)
            write_fcs(
                folder / row.file, blocks(), plan.channel_detectors, n_events=plan.n_events,
                markers=plan.channel_markers, ranges=ranges, spillover=plan.spillover, timestep=TIMESTEP_S,
                keywords={"$CYT": f"simulated ({self.law.name})"},
            )  # fmt: skip
            written.append(WrittenTube(row, np.concatenate(clonal)))
        return tuple(written)


@dataclass(frozen=True, eq=False)
class OwnTube:
    """What a mixture takes for one tube: a negative's file, how many events of it, and clonal events of another.

    ``clonal`` are positions in ``donor``; ``n_events`` of the ``blank`` are kept.
    """

    row: SampleRow
    blank: Path
    n_events: int
    donor: Path | None
    clonal: np.ndarray


@dataclass(frozen=True, eq=False)
class OwnMixture:
    """A negative donor's marrow with clonal events of another donor.

    ``folder`` is the run's, for a spillover matrix that it names; ``entropy`` the seed of the draws.
    """

    folder: Path
    tubes: tuple[OwnTube, ...]
    entropy: tuple[int, ...]

    def made_from(self, content_of: Callable[[Path], str]) -> list[object]:
        """All that decides its content; ``content_of`` gives that of a file."""
        tubes = [
            [repr(t.row), content_of(t.blank), t.n_events, content_of(t.donor) if t.donor else "", t.clonal.tolist()]
            for t in self.tubes
        ]
        return [list(self.entropy), tubes]

    def write(self, folder: Path, settings: RunSettings) -> tuple[WrittenTube, ...]:
        """Write all tubes into a folder."""
        seeds = np.random.SeedSequence(self.entropy).spawn(len(self.tubes))
        return tuple(self._write(folder, t, s, settings) for t, s in zip(self.tubes, seeds, strict=True))

    def _write(self, folder: Path, tube: OwnTube, seed: np.random.SeedSequence, settings: RunSettings) -> WrittenTube:
        rng = np.random.default_rng(seed)
        blank = open_fcs(tube.blank, strict=settings.strict)
        spillover = file_spillover(blank, settings, self.folder)
        kept = np.sort(rng.choice(blank.n_events, tube.n_events, replace=False))
        places = np.sort(rng.choice(tube.n_events, len(tube.clonal), replace=False))
        clonal = self._clonal_events(tube, blank, settings)

        def blocks() -> Iterator[np.ndarray]:
            done = 0
            for first, values in blank.blocks():
                here = kept[done : np.searchsorted(kept, first + values.shape[1])] - first
                events = values[:, here].T.copy()
                put = (places >= done) & (places < done + len(here))
                _give_place(events, places[put] - done, clonal[put], blank)
                done += len(here)
                yield _as_stored(events, blank)

        written = f"tube{tube.row.tube or 1}.fcs"
        write_fcs(
            folder / written, blocks(), blank.detectors, n_events=tube.n_events, markers=blank.markers,
            ranges=[_top(c) for c in blank.channels], gains=[1.0 if c.decades else c.gain for c in blank.channels],
            spillover=spillover, timestep=blank.timestep, datatype="D",
            keywords={k: blank.keywords[k] for k in ("$CYT", "$CYTSN") if k in blank.keywords},
        )  # fmt: skip
        row = SampleRow(
            written, "mixture", panel=tube.row.panel, tube=tube.row.tube, matrix=tube.row.matrix, pull=tube.row.pull
        )
        return WrittenTube(row, places)

    def _clonal_events(self, tube: OwnTube, blank: FcsDataset, settings: RunSettings) -> np.ndarray:
        """Clonal events in the channels of the blank, with its spillover instead of their own: (n, n_channels)."""
        if not len(tube.clonal):
            return np.empty((0, len(blank.detectors)))
        donor = open_fcs(tube.donor, strict=settings.strict)
        absent = [d for d in blank.detectors if d not in donor.detectors]
        if absent:
            raise RunError(f"{donor.path}: lacks {', '.join(absent)} of {blank.path}; mix tubes of one instrument")
        events = donor.read_events(list(blank.detectors), tube.clonal)
        theirs, ours = (file_spillover(d, settings, self.folder) for d in (donor, blank))
        if theirs is None and ours is None:
            return events
        if theirs is None or ours is None or theirs.detectors != ours.detectors:
            raise RunError(f"{donor.path} and {blank.path}: compensated over different detectors; they cannot mix")
        columns = [list(blank.detectors).index(d) for d in ours.detectors]
        events[:, columns] = events[:, columns] @ theirs.inverse @ ours.matrix
        return events


def _give_place(events: np.ndarray, rows: np.ndarray, clonal: np.ndarray, blank: FcsDataset) -> None:
    """Put clonal events in place of others, which leave them their time."""
    time = [i for i, c in enumerate(blank.channels) if c.is_time]
    kept = events[np.ix_(rows, time)]
    events[rows] = clonal
    events[np.ix_(rows, time)] = kept


def _as_stored(events: np.ndarray, blank: FcsDataset) -> np.ndarray:
    """Scale values as they are stored with the blank's gains and time step; what was logarithmic is stored linear."""
    for i, channel in enumerate(blank.channels):
        if channel.is_time and blank.timestep is not None:
            events[:, i] /= blank.timestep
        elif not channel.decades:
            events[:, i] *= channel.gain
    return events


def _top(channel) -> float:
    return channel.offset * 10**channel.decades if channel.decades else channel.range


def clonal_positions(labels: np.ndarray, events: np.ndarray) -> np.ndarray:
    """Positions in the file of the rare cells that are called clonal, sorted."""
    return np.sort(np.asarray(events)[np.asarray(labels) > 0])


def draw_pools(pools: Mapping[str, np.ndarray], means: Mapping[str, float], n_seeds: int, rng) -> tuple[list, int]:
    """Clonal events of each seed and tube: Poisson-drawn counts, taken from shuffled pools one after the other.

    Returns a list of {tube: positions}, and how often a pool had to be begun again: events then stand in several
    mixtures, never twice in one.

    Raises
    ------
    RunError
        If a single mixture needs more events than a pool has.
    """
    drawn: list[dict[str, np.ndarray]] = []
    left = {tube: np.empty(0, dtype=np.int64) for tube in pools}
    begun = dict.fromkeys(pools, -1)
    for _ in range(n_seeds):
        of_seed = {}
        for tube, pool in pools.items():
            n = int(rng.poisson(means[tube]))
            if n > len(pool):
                raise RunError(f"tube {tube}: {n} clonal events are needed, the clone has {len(pool)}")
            if n > len(left[tube]):
                # The rest is left over: mixing it with the next round could give one event twice.
                left[tube] = rng.permutation(pool)
                begun[tube] += 1
            of_seed[tube], left[tube] = left[tube][:n], left[tube][n:]
        drawn.append(of_seed)
    return drawn, sum(max(0, n) for n in begun.values())
