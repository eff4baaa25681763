"""Folding a trail into what is changed now."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cytomrd.review.calls import pack_events, unpack_events
from cytomrd.review.state import State, changes_between, fold
from cytomrd.review.trail import Trail

GATE, CUT = ("gate", "1", "g"), ("cut", "1", "c")


@pytest.fixture
def trail(tmp_path):
    return Trail(tmp_path / "trail.sqlite")


def enter(trail: Trail, action: str, before: State, after: State, base: str = "b") -> None:
    changes = changes_between(before, after)
    new = {"base": base, "set": [[key, value] for key, _, value in changes], "seal": ""}
    trail.append(
        who="Ada",
        sample_id="S",
        action=action,
        old=json.dumps([[k, old] for k, old, _ in changes]),
        new=json.dumps(new),
    )


def test_edits_undone_and_redone_end_where_they_should(trail):
    nothing, one = State(), State({GATE: {"minimum": [0.5]}})
    two = State({GATE: {"minimum": [0.5]}, CUT: 0.25})
    for action, before, after in (
        ("move", nothing, one), ("cut", one, two), ("undo", two, one), ("undo", one, nothing), ("redo", nothing, one)
    ):  # fmt: skip
        enter(trail, action, before, after)
    history = fold(trail.entries(), "b")
    assert dict(history.state.values) == dict(one.values)
    assert [e.action for e in history.done] == ["move"]
    assert [e.action for e in history.undone] == ["cut"]
    enter(trail, "reset", one, nothing)
    history = fold(trail.entries(), "b")
    assert (dict(history.state.values), [e.action for e in history.done]) == ({}, ["move", "reset"])
    assert history.undone == ()


def test_edits_on_an_earlier_gating_are_counted_and_no_part_of_this(trail):
    enter(trail, "move", State(), State({GATE: {"minimum": [0.5]}}), base="earlier")
    trail.append(who="Ada", sample_id="S", action="comment", why="gated again")
    enter(trail, "cut", State(), State({CUT: 0.25}))
    history = fold(trail.entries(), "b")
    assert dict(history.state.values) == {CUT: 0.25}
    assert (history.n_before, len(history.done)) == (1, 1)


def test_events_of_a_call_are_kept_exactly():
    for events in (
        [],
        [0],
        [5, 6, 4_000_000_000],
        np.sort(np.random.default_rng(0).choice(10**7, 5000, replace=False)),
    ):
        assert unpack_events(pack_events(np.array(events, dtype=np.int64))).tolist() == list(events)
