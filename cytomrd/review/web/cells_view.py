"""Single rare cells: a page of a table with every channel, and one cell in full."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cytomrd.errors import ReviewError
from cytomrd.report.words import number_words
from cytomrd.review.edits import Edit
from cytomrd.review.views import RareEvents
from cytomrd.review.workbench import Workbench

__all__ = ["cell_view", "cells_view"]

PAGE = 50
KINDS = ((lambda label: label == 0, "normal", "normal"), (lambda label: label == -1, "unsure", "not sure"))


def cells_view(bench: Workbench, asked: Mapping[str, object], edit: Edit | None) -> dict[str, object]:
    """A page of the rare cells of a tube, all or those of one cluster.

    Parameters
    ----------
    bench
        The sample.
    asked
        ``tube``; ``cluster``, its id or empty for every rare cell; ``first``, where the page begins, or ``event``, a
        cell that the page must hold.
    edit
        What is not kept yet, or None.
    """
    tube, cluster, first, event = (
        asked.get("tube"),
        asked.get("cluster") or "",
        asked.get("first", 0),
        asked.get("event"),
    )
    rare = _rare(bench, tube, edit)
    chosen = np.flatnonzero(np.array([cluster in ("", c) for c in rare.clusters], dtype=bool))
    if event is not None:
        places = np.flatnonzero(rare.events[chosen] == event)
        first = int(places[0]) // PAGE * PAGE if len(places) else 0
    if not isinstance(first, int) or first < 0:
        raise ReviewError(f"a page begins at a whole number; got {str(first)[:40]!r}")
    axes = bench.axes(tube)
    rows = [
        {
            "event": int(rare.events[i]),
            "cluster": rare.clusters[i],
            **_kind(int(rare.labels[i])),
            "values": [number_words(float(v)) for v in rare.compensated[i]],
        }
        for i in chosen[first : first + PAGE]
    ]
    return {
        "title": f"Cells of cluster {cluster}, tube {tube}" if cluster else f"Rare cells of tube {tube}",
        "tube": tube,
        "cluster": cluster,
        "columns": [axes[m].label if m in axes else m for m in rare.markers],
        "first": first,
        "size": PAGE,
        "n": len(chosen),
        "rows": rows,
    }


def cell_view(bench: Workbench, asked: Mapping[str, object], edit: Edit | None) -> dict[str, object]:
    """One rare cell: its value in every channel, as recorded, compensated, and on its scale."""
    tube, event = asked.get("tube"), asked.get("event")
    rare = _rare(bench, tube, edit)
    places = np.flatnonzero(rare.events == event)
    if isinstance(event, bool) or not len(places):
        raise ReviewError(f"event {str(event)[:40]} is no rare cell of tube {tube}")
    i = int(places[0])
    return {
        "event": int(event),
        "tube": tube,
        "cluster": rare.clusters[i],
        **_kind(int(rare.labels[i])),
        "values": [
            {
                "channel": value.channel,
                "marker": value.marker,
                "raw": number_words(value.raw, 5),
                "compensated": number_words(value.compensated, 5),
                "transformed": number_words(value.transformed, 4),
            }
            for value in bench.rare_event(tube, int(event))
        ],
    }


def _rare(bench: Workbench, tube: object, edit: Edit | None) -> RareEvents:
    if tube not in bench.tubes:
        raise ReviewError(f"no tube {str(tube)[:40]!r}; this sample has {', '.join(bench.tubes)}")
    return bench.rare(tube, edit=edit)


def _kind(label: int) -> dict[str, str]:
    for holds, kind, word in KINDS:
        if holds(label):
            return {"kind": kind, "word": word}
    return {"kind": "clonal", "word": "clonal"}
