"""Clusters of plasma cells: found by the rule's own code, called by the rule, and by a person where one did.

A person's call is kept with the events that it was made on. When a moved gate lets in other plasma cells the clusters
are found anew, and the call goes to the cluster that holds most of those events; where none does it is not used, which
is said.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from threadpoolctl import threadpool_limits

from cytomrd.mrd.by_person import clusters_of_events, count_with_calls
from cytomrd.mrd.clonality import CloneCalls, ClusterSummary, JudgedCells, TubeCells, count_clones, judge_cells
from cytomrd.panel import MrdSpec, Panel
from cytomrd.review.recent import Recent
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.mrd_sample import tube_cells

__all__ = ["Caller", "Clusters", "cells_key", "pack_events", "unpack_events"]

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


class Caller:
    """Finds the clusters of gated tubes; those with and without time QC side by side, each on a processor.

    Parameters
    ----------
    panel, random_state
        As the run was gated.
    """

    def __init__(self, panel: Panel, random_state: int):
        self.panel, self.random_state = panel, random_state
        self._kept = Recent(KEPT_CLUSTERS)
        self._pool: ProcessPoolExecutor | None = None

    def clusters(self, files: Sequence[GatedFile]) -> tuple[Clusters, Clusters]:
        """With time QC, and as they would be without; the same where it left nothing out."""
        here = [tube_cells(f, self.panel) for f in files]
        if not any(f.result.n_without_qc for f in files):
            found = self._clusters(here, [f.rare.events for f in files])
            return found, found
        there = [tube_cells(f, self.panel, without_qc=True) for f in files]
        begun = None
        if cells_key(there) not in self._kept:
            begun = self._beside().submit(_judge, there, self.panel.mrd, self.random_state)
        found = self._clusters(here, [f.rare.events for f in files])
        return found, self._clusters(there, [f.rare_without_qc.events for f in files], begun)

    def _clusters(self, cells: list[TubeCells], events: Sequence[np.ndarray], begun: Future | None = None) -> Clusters:
        def made() -> Clusters:
            judged = _judge(cells, self.panel.mrd, self.random_state) if begun is None else begun.result()
            return Clusters(key, judged, count_clones(judged), tuple(events), clusters_of_events(judged))

        key = cells_key(cells)
        return self._kept.get(key, made)

    def _beside(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        return self._pool

    def warm_up(self) -> None:
        """Start the process beside this one, so that the first edit does not wait for it."""
        self._beside().submit(_ready)

    def close(self) -> None:
        """End the process beside this one."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None


def _ready() -> bool:
    return True


def _judge(cells: list[TubeCells], spec: MrdSpec, random_state: int) -> JudgedCells:
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
