"""What people changed of a sample, folded from its trail: the trail is the only place where it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cytomrd.review.shapes import Shapes
from cytomrd.review.trail import EDITS, Entry

__all__ = ["Change", "History", "State", "changes_between", "fold"]

# (gate, cut or call; its tube, "" for a call; its name), and its value as JSON holds it; None is as it was found.
Key = tuple[str, str, str]
Change = tuple[Key, object]


@dataclass(frozen=True)
class State:
    """Everything that is not as it was found.

    Attributes
    ----------
    values
        A gate's geometry, a cut's place, or a call with the events that it was made on.
    """

    values: Mapping[Key, object] = field(default_factory=dict)

    def shapes(self, tube: str) -> Shapes:
        """The gates and cuts of one tube."""
        return Shapes(self._named("gate", tube), self._named("cut", tube))

    @property
    def calls(self) -> dict[str, Mapping]:
        """The calls on clusters, the oldest first."""
        return self._named("call", "")

    def _named(self, kind: str, tube: str) -> dict:
        return {name: value for (k, t, name), value in self.values.items() if (k, t) == (kind, tube)}

    def with_shapes(self, tube: str, shapes: Shapes) -> State:
        """The state with other gates and cuts in one tube."""
        others = {key: v for key, v in self.values.items() if key[0] == "call" or key[1] != tube}
        own = {("gate", tube, name): v for name, v in shapes.gates.items()}
        return State(others | own | {("cut", tube, name): v for name, v in shapes.cuts.items()})

    def with_changes(self, changes: Iterable[Change]) -> State:
        """The state after some changes."""
        values = dict(self.values)
        for key, value in changes:
            values.pop(key, None)
            if value is not None:
                values[key] = value
        return State(values)


@dataclass(frozen=True)
class History:
    """Where a sample stands.

    Attributes
    ----------
    state
        What is changed now.
    done, undone
        Edits that an undo, and that a redo would take, the next one last.
    edits
        All of them with undos and redos, in order.
    n_before
        Edits that were made on an earlier gating of the sample, and are no part of this.
    """

    state: State
    done: tuple[Entry, ...]
    undone: tuple[Entry, ...]
    edits: tuple[Entry, ...] = ()
    n_before: int = 0


def changes_between(before: State, after: State) -> list[tuple[Key, object, object]]:
    """(Key, old, new) of everything that differs."""
    keys = dict.fromkeys([*before.values, *after.values])
    pairs = [(key, before.values.get(key), after.values.get(key)) for key in keys]
    return [(key, old, new) for key, old, new in pairs if old != new]


def fold(entries: Sequence[Entry], base: str) -> History:
    """Go through a sample's entries; ``base`` names the gating that they must have been made on."""
    state, n_before = State(), 0
    done: list[Entry] = []
    undone: list[Entry] = []
    edits: list[Entry] = []
    for entry in entries:
        if entry.action not in EDITS:
            continue
        new = json.loads(entry.new)
        if new["base"] != base:
            n_before += 1
            continue
        edits.append(entry)
        state = state.with_changes((tuple(key), value) for key, value in new["set"])
        if entry.action == "undo":
            undone.append(done.pop())
        elif entry.action == "redo":
            done.append(undone.pop())
        else:
            done.append(entry)
            undone.clear()
    return History(state, tuple(done), tuple(undone), tuple(edits), n_before)
