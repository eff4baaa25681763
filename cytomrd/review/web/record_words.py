"""What was written down, in words: entries of the trail, signatures, and what came between two looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cytomrd.errors import StaleEditError
from cytomrd.report.words import MISSING, join_words, linear_words, plural
from cytomrd.review.run import ReviewRun
from cytomrd.review.signature import SignatureState
from cytomrd.review.trail import Entry
from cytomrd.review.views import GateView
from cytomrd.review.workbench import Workbench

__all__ = ["entry_view", "signature_views", "signing_view", "stale_words", "trail_view"]

ACTIONS = {
    "move": "moved",
    "cut": "moved the cut of",
    "reset": "reset",
    "call": "called",
    "undo": "took back",
    "redo": "did again",
    "comment": "commented",
    "sign": "signed",
}
CALLS = {"clonal": "clonal", "normal": "normal", "indeterminate": "not sure"}
AS_FOUND = "as found"


def _moment(at: str) -> str:
    return at[:19].replace("T", " ") + " UTC" if at else MISSING


def entry_view(entry: Entry, bench: Workbench) -> dict[str, object]:
    """One entry as a row; its values on the linear scale, as a person reads them."""
    edits = entry.action not in ("comment", "sign")
    return {
        "number": str(entry.seq),
        "when": _moment(entry.at),
        "who": entry.who,
        "action": entry.action,
        "what": f"{ACTIONS.get(entry.action, entry.action)} {entry.target}".rstrip(),
        "old": _changes_words(entry.old, bench) if edits else "",
        "new": _changes_words(entry.new, bench) if edits else "",
        "why": entry.why,
    }


def _changes_words(text: str, bench: Workbench) -> str:
    """What the JSON of an entry says of gates, cuts and calls."""
    try:
        held = json.loads(text)
        changes = held["set"] if isinstance(held, dict) else held
        return "; ".join(_value_words(kind, tube, name, value, bench) for (kind, tube, name), value in changes)
    except (KeyError, TypeError, ValueError):
        return text[:500]  # an entry that this version cannot read is shown as it stands


def _value_words(kind: str, tube: str, name: str, value: object, bench: Workbench) -> str:
    if kind == "call":
        return AS_FOUND if value is None else f"cluster {value['cluster']} {CALLS.get(value['call'], value['call'])}"
    if value is None:
        return f"{name} {AS_FOUND}"
    views = bench.gates(tube)
    if kind == "cut":
        marker = next((key.rpartition(":")[0] for v in views for key, cut in v.cuts.items() if cut == name), None)
        return f"cut {name} {_linear(bench, tube, marker, value)}"
    view = next((v for v in views if v.name == name), None)
    return f"{name} {_geometry_words(view, value, bench, tube)}"


def _geometry_words(view: GateView | None, value: Mapping, bench: Workbench, tube: str) -> str:
    if "vertices" in value:
        first = ", ".join(f"{v:.3g}" for v in value["vertices"][0])
        return f"{plural(len(value['vertices']), 'corner')} from ({first})"
    if "mean" in value:
        return f"centre ({', '.join(f'{v:.3g}' for v in value['mean'])})"
    axes = view.axes if view is not None else [""] * len(value["minimum"])
    sides = []
    for marker, low, high in zip(axes, value["minimum"], value["maximum"], strict=True):
        if low is not None:
            sides.append(f"{marker} from {_linear(bench, tube, marker, low)}")
        if high is not None:
            sides.append(f"{marker} below {_linear(bench, tube, marker, high)}")
    return ", ".join(sides)


def _linear(bench: Workbench, tube: str, marker: str | None, position: float) -> str:
    axis = bench.axes(tube).get(marker)
    return f"{position:.4g}" if axis is None else linear_words(float(axis.transform.inverse(position)))


def trail_view(run: ReviewRun, bench: Workbench) -> dict[str, object]:
    """The entries of a sample, newest first, and whether the chain of the whole trail holds."""
    problems = run.problems()
    seq, head = run.trail.head()
    state = f"{plural(seq, 'entry', 'entries')} in this run's trail, chain unbroken. Head: {head[:16]}"
    if problems:
        state = f"The trail is broken: {'; '.join(problems)}"
    return {"holds": not problems, "state": state, "entries": [entry_view(e, bench) for e in reversed(bench.trail())]}


def signature_views(states: Iterable[SignatureState]) -> list[dict[str, object]]:
    """Each signature, and whether it holds."""
    return [
        {
            "valid": state.valid,
            "short": f"{state.meaning.capitalize()} by {state.who}: {'valid' if state.valid else 'not valid'}",
            "words": f"{state.meaning.capitalize()} by {state.who} ({state.role}), version {state.version}.",
            "reasons": [state.reason] if state.reason else [],
            "when": _moment(state.at),
        }
        for state in states
    ]


def signing_view(bench: Workbench) -> dict[str, object]:
    """What exactly would be signed now, in words."""
    shown = bench.what_is_signed()
    return {
        "version": shown.version,
        "sentence": shown.sentence,
        "numbers": list(shown.numbers),
        "changes": list(shown.changes) or ["nothing: the automatic result"],
        "inputs": [f"{file}: SHA-256 {sha256[:16]}…" for file, sha256 in shown.bound.inputs.items()],
    }


def stale_words(error: StaleEditError) -> str:
    """Who did what since the person looked."""
    since = [f"{e.who} {ACTIONS.get(e.action, e.action)} {e.target} at {e.at[11:19]} UTC" for e in error.entries]
    return (
        f"Not kept: meanwhile {join_words(since) or 'the sample has changed'}. Your change is not lost: look at it on "
        "top of that, then keep it again."
    )
