"""A gated marrow with a person's changes: every number of it again, by the code that found it first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from cytomrd.gating.fit import FittedGates
from cytomrd.panel import Panel
from cytomrd.review.calls import Caller, Clusters, cells_key
from cytomrd.review.shapes import shaped
from cytomrd.review.state import State
from cytomrd.review.tube import OpenTube
from cytomrd.run.blanks import Blank
from cytomrd.run.finish import finish_sample
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.gate_sample import GatedSample
from cytomrd.run.model import SampleResult
from cytomrd.run.mrd_sample import call_sample, label_cells
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
    clusters
        Found in its plasma cells.
    called
        Component of a cluster to the key of the call that a person made on it.
    notes
        What a person must know.
    """

    state: State
    fitted: Mapping[str, FittedGates]
    sample: SampleResult
    clusters: Clusters
    called: Mapping[int, str]
    notes: tuple[str, ...]


class Marrow:
    """One marrow, its tubes open.

    Parameters
    ----------
    planned, gated
        As the run planned and sealed it.
    blanks, others
        What is drawn together over samples: the run's negatives, and the subject's other marrows.
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
        n_threads: int = 1,
    ):
        self.planned, self.panel, self.settings = planned, panel, settings
        self._blanks, self._others = tuple(blanks), tuple(others)
        self.automatic = self._finished(gated)
        self._caller = Caller(panel, settings.random_state)
        with ThreadPoolExecutor(len(gated.files)) as threads:

            def opened(pair) -> OpenTube:
                return OpenTube.open(*pair, panel, settings=settings, n_threads=n_threads)

            tubes = threads.map(opened, zip(gated.files, planned.files, strict=True))
            self.tubes = {t.tube: t for t in tubes}

    def evaluate(self, state: State, *, drawn: bool = False) -> Evaluated:
        """Every number in a state; ``drawn`` adds medians and what the report draws.

        Raises
        ------
        ReviewError
            If a gate cannot have the shape that it is given.
        """
        fitted = {name: shaped(tube.fitted, state.shapes(name)) for name, tube in self.tubes.items()}
        files = [self._gated(self.tubes[name], gates, drawn=drawn) for name, gates in fitted.items()]
        clusters, without_qc = self._caller.clusters(files)
        calls, called, lost = clusters.with_calls(state.calls)
        if not state.values:
            return Evaluated(state, fitted, self.automatic, clusters, called, ())
        found = {clusters.key: calls, without_qc.key: without_qc.with_calls(state.calls)[0]}
        clones = call_sample(files, self.panel, self.settings, call=lambda cells, *_, **__: found[cells_key(cells)])
        sample = self._finished(GatedSample(label_cells([f.result for f in files], clones), clones))
        notes = tuple(
            f"{state.calls[key]['who']} called cluster {state.calls[key]['cluster']} {state.calls[key]['call']}: no "
            "cluster holds its events any more, so the call is not used"
            for key in lost
        )
        return Evaluated(state, fitted, sample, clusters, called, notes)

    def _gated(self, tube: OpenTube, fitted: FittedGates, *, drawn: bool) -> GatedFile:
        if fitted is tube.fitted:
            return replace(tube.gated(fitted), result=tube.file)
        return tube.drawn(fitted) if drawn else tube.gated(fitted)

    def _finished(self, gated: GatedSample) -> SampleResult:
        sample = finish_sample(self.planned, gated, self.panel, blanks=self._blanks, settings=self.settings)
        return track_clone(sample, self._others)

    def warm_up(self) -> None:
        """Start what the first edit would wait for."""
        self._caller.warm_up()

    def close(self) -> None:
        """Let go of what was opened beside this process."""
        self._caller.close()
