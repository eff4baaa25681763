"""Clusters of plasma cells: found by the rule's own code, called by the rule, and by a person where one did.

A person's call is kept with the events that it was made on. When a moved gate lets in other plasma cells the clusters
are found anew, and the call goes to the cluster that holds most of those events; where none does it is not used, which
is said.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
from threadpoolctl import threadpool_limits

from cytomrd.mrd.by_person import clusters_of_events, count_with_calls
from cytomrd.mrd.clonality import CloneCalls, ClusterSummary, JudgedCells, TubeCells, count_clones, judge_cells
from cytomrd.panel import MrdSpec, Panel
from cytomrd.review.recent import Recent
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.mrd_sample import tube_cells
from cytomrd.run.workers import LocalPool, Task

__all__ = ["Beside", "Caller", "Clusters", "cells_key", "pack_events", "unpack_events"]

# Of the events of a call and of a cluster together, how many both must hold.
MIN_SHARED = 0.5
KEPT_CLUSTERS = 8


@dataclass(frozen=True, eq=False)
class Clusters:
    """The clusters of a marrow's plasma cells, and which events are in which.

    Attributes
    ----------
    key
        Of the plasma cells that they were found in.
    calls
        As the rule calls them.
    events, components
        Per tube int64 (n_events,): positions in the file, and the likeliest component of each.
    """

    key: str
    judged: JudgedCells
    calls: CloneCalls
    events: tuple[np.ndarray, ...]
    components: tuple[np.ndarray, ...]

    @property
    def letters(self) -> dict[str, ClusterSummary]:
        """Name of each cluster that a person sees: A, B, ... in the order in which the rule puts them."""
        return {_letters(i): cluster for i, cluster in enumerate(self.calls.clusters)}

    def members(self, component: int) -> tuple[np.ndarray, ...]:
        """Per tube the events of a cluster."""
        return tuple(e[c == component] for e, c in zip(self.events, self.components, strict=True))

    def with_calls(self, said: Mapping[str, Mapping]) -> tuple[CloneCalls, dict[int, str], tuple[str, ...]]:
        """The calls with a person's; which component each went to (component to its key); keys that went to none."""
        used: dict[int, str] = {}
        for key, call in said.items():
            wanted = [unpack_events(call["events"].get(t, "")) for t in self.calls.tubes]
            component = self._holding_most(wanted)
            if component is not None and component not in used:
                used[component] = key
        calls = count_with_calls(self.judged, {c: said[key]["call"] for c, key in used.items()})
        return calls, used, tuple(key for key in said if key not in used.values())

    def _holding_most(self, wanted: Sequence[np.ndarray]) -> int | None:
        n_wanted = sum(len(w) for w in wanted)
        best, shared_most = None, 0.0
        for cluster in self.calls.clusters:
            own = self.members(cluster.component)
            both = sum(len(np.intersect1d(w, o, assume_unique=True)) for w, o in zip(wanted, own, strict=True))
            either = n_wanted + sum(len(o) for o in own) - both
            if either and both / either >= MIN_SHARED and both / either > shared_most:
                best, shared_most = cluster.component, both / either
        return best


class Beside:
    """One process beside this one, shared by all samples that are open; started at once, so that no edit waits."""

    def __init__(self):
        self._stack, self._lock, self._starts = ExitStack(), Lock(), True
        self._pool = self._stack.enter_context(LocalPool(1))
        self._pool.submit(Task("start", is_ready, ()))

    @contextmanager
    def judging(self, *arguments) -> Iterator[Callable[[], JudgedCells | None]]:
        """Judge cells there while the block does other work; gives None where another has the process, or it died."""
        if not self._lock.acquire(blocking=False):
            yield lambda: None
            return
        try:
            if self._starts:
                self._pool.finished()
                self._starts = False
            self._pool.submit(Task("judge", judge_cells_of, arguments))
            results: list[object] = []

            def result() -> JudgedCells | None:
                results.extend(found for _, found in self._pool.finished())
                return next((r for r in results if isinstance(r, JudgedCells)), None)

            try:
                yield result
            finally:
                if not results:
                    self._pool.finished()
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        self._stack.close()


class Caller:
    """Finds the clusters of gated tubes; those with and without time QC side by side.

    Parameters
    ----------
    panel, random_state
        As the run was gated.
    beside
        Where the second of them is found; None for here.
    """

    def __init__(self, panel: Panel, random_state: int, beside: Beside | None = None):
        self.panel, self.random_state, self._beside = panel, random_state, beside
        self._kept = Recent(KEPT_CLUSTERS)

    def clusters(self, files: Sequence[GatedFile]) -> tuple[Clusters, Clusters]:
        """With time QC, and as they would be without; the same where it left nothing out."""
        here = [tube_cells(f, self.panel) for f in files]
        events = [f.rare.events for f in files]
        if not any(f.result.n_without_qc for f in files):
            found = self._clusters(here, events)
            return found, found
        there = [tube_cells(f, self.panel, without_qc=True) for f in files]
        events_there = [f.rare_without_qc.events for f in files]
        if self._beside is None or cells_key(there) in self._kept:
            return self._clusters(here, events), self._clusters(there, events_there)
        with self._beside.judging(there, self.panel.mrd, self.random_state) as judged:
            found = self._clusters(here, events)
            return found, self._clusters(there, events_there, judged())

    def _clusters(
        self, cells: list[TubeCells], events: Sequence[np.ndarray], judged: JudgedCells | None = None
    ) -> Clusters:
        def made() -> Clusters:
            found = judged or judge_cells_of(cells, self.panel.mrd, self.random_state)
            return Clusters(key, found, count_clones(found), tuple(events), clusters_of_events(found))

        key = cells_key(cells)
        return self._kept.get(key, made)


def is_ready() -> bool:
    """Whether the process beside this one has loaded what it needs: to find this function it must."""
    return True


def judge_cells_of(cells: list[TubeCells], spec: MrdSpec, random_state: int) -> JudgedCells:
    """As a run's workers do: on one thread of linear algebra, so that the result is theirs to the last bit."""
    with threadpool_limits(1, "blas"):
        return judge_cells(cells, spec, random_state=random_state)


def cells_key(cells: Sequence[TubeCells]) -> str:
    """What tells plasma cells from others: their values and the cuts."""
    digest = hashlib.sha256()
    for tube in cells:
        digest.update(repr((tube.tube, tube.markers, sorted(tube.cuts.items()), tube.values.shape)).encode())
        digest.update(np.ascontiguousarray(tube.values).tobytes())
    return digest.hexdigest()


def pack_events(events: np.ndarray) -> str:
    """Positions in rising order as text: their differences, deflated."""
    steps = np.diff(np.asarray(events, dtype="<i8"), prepend=0).astype("<u4")
    return base64.b64encode(zlib.compress(steps.tobytes())).decode("ascii")


def unpack_events(text: str) -> np.ndarray:
    """What :func:`pack_events` made text of."""
    if not text:
        return np.zeros(0, dtype=np.int64)
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype="<u4").astype(np.int64).cumsum()


def _letters(index: int) -> str:
    """A, B, ..., Z, AA, AB, ..."""
    text = ""
    index += 1
    while index:
        index, letter = divmod(index - 1, 26)
        text = chr(ord("A") + letter) + text
    return text
