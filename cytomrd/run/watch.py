"""Watching a run folder: what is finished is gated and published, the rest is waited for and said."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

from cytomrd.errors import CytomrdError, RunError
from cytomrd.run.finished import FolderWatch, Look, unfinished

__all__ = ["WatchEnd", "watch_folder"]

NAMED = 5
log = logging.getLogger("cytomrd")


@dataclass(frozen=True, eq=False)
class WatchEnd:
    """How a watch ended.

    Attributes
    ----------
    found
        What the last call of ``gate`` gave; None where nothing was gated.
    waiting
        Sample id to what it still waited for.
    by_request
        Whether somebody ended it, and not the lack of anything new.
    """

    found: object
    waiting: Mapping[str, Sequence[str]]
    by_request: bool


def watch_folder(
    watch: FolderWatch, gate: Callable[[Look], object], *, interval_s: float, idle_s: float | None = None
) -> WatchEnd:
    """Look at a run folder every ``interval_s`` seconds and gate what is finished, until interrupted or idle.

    Parameters
    ----------
    watch
        The folder.
    gate
        Gates the finished samples of a look and writes the results.
    interval_s
        Seconds between two looks; a file that is to count as finished is the same in both.
    idle_s
        End when for so many seconds nothing changed in the folder.

    Raises
    ------
    CytomrdError
        That of the last look or round, where the watch ends with it. Until then it is said and tried again.
    KeyboardInterrupt
        If interrupted while samples were gated.
    """
    state = _State()
    log.info("watching %s, every %g s; Ctrl-C or SIGTERM ends it", watch.folder, interval_s)
    try:
        while True:
            began = monotonic()
            _step(watch, gate, state)
            if idle_s is not None and monotonic() - state.last_change > idle_s:
                break
            # A round over many samples takes time, whatever is new: what is finished meanwhile makes the next.
            sleep(max(interval_s, monotonic() - began))
    except KeyboardInterrupt:
        if state.is_gating:
            raise
        by_request = True
    else:
        by_request = False
    if state.problem is not None:
        raise state.problem
    if not state.published and not state.waiting and not by_request:
        raise RunError(f"no FCS file (*.fcs, *.lmd) came into {watch.folder}")
    return WatchEnd(state.found, state.waiting, by_request)


@dataclass(eq=False)
class _State:
    """What a watch has done and said so far."""

    found: object = None
    published: frozenset = frozenset()
    waiting: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    problem: CytomrdError | None = None
    is_gating: bool = False
    last_change: float = field(default_factory=monotonic)


def _step(watch: FolderWatch, gate: Callable[[Look], object], state: _State) -> None:
    """One look, and what follows from it."""
    try:
        look = watch.look()
        if look.moved:
            state.last_change = monotonic()
        _say_notes(state, look.notes)
        _say_waiting(state, look.waiting)
        if look.rows and _is_due(look, state.published):
            state.is_gating = True
            state.found = gate(look)
            state.is_gating = False
            state.published, state.last_change = look.state, monotonic()
            _say_published(look)
        state.problem = None
    except CytomrdError as error:
        state.is_gating = False
        if str(error) != str(state.problem):
            log.error("%s; tried again as long as this goes on", error, extra={"about": {"problem": str(error)}})
        state.problem = error


def _is_due(look: Look, published: frozenset) -> bool:
    """Whether something is new. What is merely gone counts when the folder is at rest: it may be on its way back."""
    return bool(look.state - published) or (look.state != published and not look.moved)


def _say_notes(state: _State, notes: Sequence[str]) -> None:
    for note in notes:
        if note not in state.notes:
            log.info("%s", note, extra={"about": {"note": note}})
    state.notes = notes


def _say_waiting(state: _State, waiting: Mapping[str, Sequence[str]]) -> None:
    """What is newly waited for, or for another reason than before."""
    new = {name: reasons for name, reasons in waiting.items() if reasons != state.waiting.get(name)}
    state.waiting = waiting
    if not new:
        return
    words = unfinished(new)
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    about = {"waiting": {name: list(reasons) for name, reasons in waiting.items()}}
    log.info("waiting for %s%s", ", ".join(words[:NAMED]), more, extra={"about": about})


def _say_published(look: Look) -> None:
    n = len({row.sample_id for row in look.rows})
    words = f"{n} samples" if n != 1 else "1 sample"
    about = {"samples": n, "samples_waited_for": len(look.waiting)}
    rest = f"{len(look.waiting)} waited for" if look.waiting else "none is waited for; watching for more"
    log.info("results of %s are written, %s", words, rest, extra={"about": about})
