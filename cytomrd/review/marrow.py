"""A gated marrow with a person's changes: every number of it again, by the code that found it first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cytomrd.gating.fit import FittedGates
from cytomrd.mrd.clonality import CloneCalls, TubeCells
from cytomrd.mrd.gate_error import label_newcomers
from cytomrd.panel import Panel
from cytomrd.review.calls import Beside, Caller, Clusters, cells_key
from cytomrd.review.shapes import shaped
from cytomrd.review.state import State
from cytomrd.review.tube import OpenTube
from cytomrd.run.blanks import Blank
from cytomrd.run.finish import finish_sample
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.gate_sample import GatedSample
from cytomrd.run.model import RareCells, SampleResult
from cytomrd.run.mrd_sample import call_sample, label_cells, tube_cells
from cytomrd.run.plan import PlannedSample
from cytomrd.run.settings import RunSettings
from cytomrd.run.tracking import track_clone

__all__ = ["Evaluated", "Marrow"]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A marrow in some state.

    Attributes
    ----------
    fitted
        Tube to its gates.
    sample
        The result, with the plasma cells labelled.
    notes
        What a person must know.
    settled
        False where the clusters are those of another state: counts of gates are right, calls are not final.
    find
        Gives ``clusters`` and ``called`` when they are first looked at.
    """

    state: State
    fitted: Mapping[str, FittedGates]
    sample: SampleResult
    notes: tuple[str, ...]
    settled: bool
    find: Callable[[], tuple[Clusters, Mapping[int, str]]]

    @cached_property
    def _found(self) -> tuple[Clusters, Mapping[int, str]]:
        return self.find()

    @property
    def clusters(self) -> Clusters:
        """Those in its plasma cells."""
        return self._found[0]

    @property
    def called(self) -> Mapping[int, str]:
        """Component of a cluster to the key of the call that a person made on it."""
        return self._found[1]


class Marrow:
    """One marrow, its tubes open.

    Parameters
    ----------
    planned, gated
        As the run planned and sealed it.
    blanks, others
        What is drawn together over samples: the run's negatives, and the subject's other marrows.
    beside
        A process for the clusters without time QC; None does all of it here.
    """

    def __init__(
        self,
        planned: PlannedSample,
        gated: GatedSample,
        panel: Panel,
        *,
        settings: RunSettings,
        blanks: Sequence[Blank] = (),
        others: Sequence[SampleResult] = (),
        beside: Beside | None = None,
        n_threads: int = 1,
    ):
        self.planned, self.panel, self.settings = planned, panel, settings
        self._blanks, self._others = tuple(blanks), tuple(others)
        self.automatic = self._finished(gated)
        self._caller = Caller(panel, settings.random_state, beside)
        with ThreadPoolExecutor(len(gated.files)) as threads:

            def opened(pair) -> OpenTube:
                return OpenTube.open(*pair, panel, settings=settings, n_threads=n_threads)

            tubes = threads.map(opened, zip(gated.files, planned.files, strict=True))
            self.tubes = {t.tube: t for t in tubes}

    def evaluate(self, state: State, *, medians: bool = False) -> Evaluated:
        """Every number in a state; ``medians`` adds those of the populations.

        Raises
        ------
        ReviewError
            If a gate cannot have the shape that it is given.
        """
        fitted = {name: shaped(tube.fitted, state.shapes(name)) for name, tube in self.tubes.items()}
        files = [self._gated(self.tubes[name], gates, medians=medians) for name, gates in fitted.items()]
        if not state.values:
            # The numbers are known; the clusters are found again for who looks at them.
            return Evaluated(state, fitted, self.automatic, (), True, lambda: (self._caller.clusters(files)[0], {}))
        clusters, without_qc = self._caller.clusters(files)
        calls, called, lost = clusters.with_calls(state.calls)
        found = {clusters.key: calls, without_qc.key: without_qc.with_calls(state.calls)[0]}
        sample = self._counted(files, lambda cells, *_, **__: found[cells_key(cells)])
        notes = tuple(
            f"{state.calls[key]['who']} called cluster {state.calls[key]['cluster']} {state.calls[key]['call']}: no "
            "cluster holds its events any more, so the call is not used"
            for key in lost
        )
        return Evaluated(state, fitted, sample, notes, True, lambda: (clusters, called))

    def glance(self, state: State, before: Evaluated) -> Evaluated:
        """A state with the clusters of the one before: at once, where finding them again would take a second.

        A plasma cell that was there keeps its label; one that is let in has that of the nearest, if it is as near.
        """
        if not self._differs(state, before):
            return self.evaluate(state)
        fitted = {name: shaped(tube.fitted, state.shapes(name)) for name, tube in self.tubes.items()}
        files = [self._gated(self.tubes[name], gates, medians=False) for name, gates in fitted.items()]
        known = {f.tube: f.rare[0] for f in before.sample.files if f.rare}

        def call(cells: Sequence[TubeCells], *_, **__) -> CloneCalls:
            qc = cells_key(cells) == cells_key([tube_cells(f, self.panel) for f in files])
            rare = [f.rare if qc else f.rare_without_qc for f in files]
            labels = [_held_labels(r, c, known[c.tube]) for r, c in zip(rare, cells, strict=True)]
            return replace(before.sample.clones, labels=tuple(labels))

        sample = self._counted(files, call)
        return Evaluated(state, fitted, sample, before.notes, False, lambda: before._found)

    def _differs(self, state: State, before: Evaluated) -> bool:
        """Whether gates differ, and not calls alone."""
        return any(state.shapes(name) != before.state.shapes(name) for name in self.tubes)

    def _counted(self, files: Sequence[GatedFile], call: Callable[..., CloneCalls]) -> SampleResult:
        clones = call_sample(files, self.panel, self.settings, call=call)
        return self._finished(GatedSample(label_cells([f.result for f in files], clones), clones))

    def _gated(self, tube: OpenTube, fitted: FittedGates, *, medians: bool) -> GatedFile:
        if fitted is tube.fitted:
            return replace(tube.gated(fitted), result=tube.file)
        return tube.measured(fitted) if medians else tube.gated(fitted)

    def _finished(self, gated: GatedSample) -> SampleResult:
        sample = finish_sample(self.planned, gated, self.panel, blanks=self._blanks, settings=self.settings)
        return track_clone(sample, self._others)


def _held_labels(rare: RareCells, cells: TubeCells, known: RareCells) -> np.ndarray:
    """Labels int64 (n,) of plasma cells by those of another state."""
    labels = np.zeros(len(rare.events), dtype=np.int64)
    places = np.searchsorted(known.events, rare.events)
    there = np.zeros(len(labels), dtype=bool)
    inside = places < len(known.events)
    there[inside] = known.events[places[inside]] == rare.events[inside]
    labels[there] = known.labels[places[there]]
    # What has no value on some marker is near nothing: it is judged when the clusters are found again.
    new = ~there & np.isfinite(cells.values).all(axis=1)
    seen = known.transformed[:, [known.markers.index(m) for m in cells.markers]]
    whole = np.isfinite(seen).all(axis=1)
    if new.any() and whole.any():
        labels[new] = label_newcomers(seen[whole], known.labels[whole], cells.values[new])
    return labels
