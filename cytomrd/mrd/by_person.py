"""A person's calls on clusters of plasma cells, in the place of the rule's; everything after them is the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cytomrd.mrd.clonality import CloneCalls, JudgedCells, count_clones
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.mixture import Block

__all__ = ["CALLS", "clusters_of_events", "count_with_calls"]

# What a person may call a cluster, in the rule's words.
CALLS = ("clonal", "normal", "indeterminate")


def count_with_calls(judged: JudgedCells, calls: Mapping[int, str]) -> CloneCalls:
    """Label every event with some clusters called by a person.

    All events of a cluster that is called clonal count, and none of one that is called normal: the clusters stay as
    they were found. A cluster that the rule did not call clonal becomes a clone of its own.

    Parameters
    ----------
    calls
        Component of the mixture to one of :data:`CALLS`.
    """
    verdicts = judged.verdicts
    said = {k: call for k, call in calls.items() if call != verdicts[k].call}
    if not said:
        return count_clones(judged)
    found = count_clones(judged, _verdicts_with(verdicts, said))
    words = ", ".join(f"{sum(v == call for v in said.values())} {call}" for call in CALLS if call in said.values())
    return replace(
        found, flags=(*found.flags, f"CALLED_BY_PERSON: clusters called otherwise than by the rule: {words}")
    )


def _verdicts_with(verdicts: tuple[Verdict, ...], said: Mapping[int, str]) -> list[Verdict]:
    n_clones = max((v.clone for v in verdicts), default=0)
    changed = []
    for k, v in enumerate(verdicts):
        if k in said:
            n_clones += said[k] == "clonal"
            clone = {"clonal": n_clones, "normal": 0, "indeterminate": -1}[said[k]]
            v = replace(v, call=said[k], clone=clone, reason=f"called so by a person; the rule: {v.call}, {v.reason}")
        changed.append(v)
    # The cells of a cluster that stray are called as the cluster is: they are listed with it.
    return [replace(changed[v.part_of], part_of=v.part_of, stray=True) if v.stray else v for v in changed]


def clusters_of_events(judged: JudgedCells) -> tuple[np.ndarray, ...]:
    """Per tube int64 (n_events,): the component of each event's cluster, -1 where it was not judged."""
    found = []
    view, mixture = judged.view, judged.mixture
    home = np.array([v.part_of if v.stray else k for k, v in enumerate(judged.verdicts)], dtype=np.int64)
    for tube, (x, columns, chains, finite) in enumerate(
        zip(view.x, view.columns, view.chains, view.finite, strict=True)
    ):
        likeliest = np.full(len(finite), -1, dtype=np.int64)
        if mixture is not None and len(x):
            shares = judged.shares(tube, Block(x, columns, np.ones(len(x)), chains))
            likeliest[finite] = home[shares.argmax(axis=1)]
        found.append(likeliest)
    return tuple(found)
