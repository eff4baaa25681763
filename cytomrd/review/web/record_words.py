"""What was written down, in words: entries of the trail, signatures, and what came between two looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from cytomrd.errors import StaleEditError
from cytomrd.report.words import MISSING, join_words, linear_words, plural
from cytomrd.review.run import ReviewRun
from cytomrd.review.signature import SignatureState
from cytomrd.review.trail import EDITS, Entry
from cytomrd.review.workbench import Workbench

__all__ = ["entry_view", "signature_views", "signing_view", "stale_words", "trail_view"]

ACTIONS = {
    "move": "moved",
    "cut": "moved the cut of",
    "reset": "reset",
    "call": "called",
    "undo": "took back:",
    "redo": "did again:",
    "comment": "commented",
    "sign": "signed",
}
CALLS = {"clonal": "clonal", "normal": "normal", "indeterminate": "not sure"}
AUTOMATIC = "automatic"
GEOMETRY = ("vertices", "minimum", "maximum", "mean")

Key = tuple[str, str, str]
Corners = Sequence[Sequence[float]]


def _moment(at: str) -> str:
    return at[:19].replace("T", " ") + " UTC" if at else MISSING


def entry_view(entry: Entry, bench: Workbench) -> dict[str, object]:
    """One entry as a row; its values on the linear scale, as a person reads them."""
    old, new = _changes_words(entry, bench) if entry.action in EDITS else ("", "")
    return {
        "number": str(entry.seq),
        "when": _moment(entry.at),
        "who": entry.who,
        "action": entry.action,
        "what": f"{ACTIONS.get(entry.action, entry.action)} {entry.target}".rstrip(),
        "old": old,
        "new": new,
        "why": entry.why,
    }


def _changes_words(entry: Entry, bench: Workbench) -> tuple[str, str]:
    """What was before and after. Gates that follow a cut say no more than that they do."""
    try:
        old = {tuple(key): value for key, value in json.loads(entry.old)}
        new = {tuple(key): value for key, value in json.loads(entry.new)["set"]}
        cuts = [key for key in new if key[0] == "cut"]
        gates = [key for key in new if key[0] == "gate"]
        followed = f" (in {join_words(name for _, _, name in gates)})" if cuts and gates else ""
        sides = []
        for values, others in ((old, new), (new, old)):
            words = [_call_words(values.get(key)) for key in new if key[0] == "call"]
            words += [_cut_words(key, values.get(key), bench) + followed for key in cuts]
            words += [_gate_words(key, values.get(key), others.get(key), bench) for key in gates if not cuts]
            sides.append("; ".join(words))
        return sides[0], sides[1]
    except (AttributeError, KeyError, TypeError, ValueError):
        return entry.old[:500], entry.new[:500]  # what this version cannot read is shown as it stands


def _call_words(value: Mapping | None) -> str:
    return AUTOMATIC if value is None else f"cluster {value['cluster']} {CALLS.get(value['call'], value['call'])}"


def _cut_words(key: Key, value: float | None, bench: Workbench) -> str:
    _, tube, name = key
    decision = next(d for d in bench.marrow.tubes[tube].fitted.decisions if d.name == name)
    words = f"cut {name} {_linear(bench, tube, decision.marker, decision.value if value is None else value)}"
    return f"{words}, {AUTOMATIC}" if value is None else words


def _gate_words(key: Key, value: Mapping | None, other: Mapping | None, bench: Workbench) -> str:
    """Where a gate lies; of a rectangle the sides, and of a polygon the corner, in which it differs from the other."""
    _, tube, name = key
    view = next(v for v in bench.gates(tube) if v.name == name)
    gate = bench.marrow.tubes[tube].fitted.strategy.gate(name)
    own, others = (
        {part: v[part] if v is not None and part in v else getattr(gate, part, ()) for part in GEOMETRY}
        for v in (value, other)
    )
    if own["vertices"]:
        words = _corner_words(own["vertices"], others["vertices"], view.axes, bench, tube)
    elif own["minimum"]:
        words = ", ".join(
            f"{marker} {word} {_linear(bench, tube, marker, own[side][i])}"
            for i, marker in enumerate(view.axes)
            for side, word in (("minimum", "from"), ("maximum", "below"))
            if own[side][i] is not None and own[side][i] != others[side][i]
        )
    else:
        words = f"centre {_place_words(own['mean'], view.axes, bench, tube)}"
    return f"{view.title}: {words}{f', {AUTOMATIC}' if value is None else ''}"


def _corner_words(own: Corners, others: Corners, axes: tuple[str, ...], bench: Workbench, tube: str) -> str:
    moved = [i for i, (a, b) in enumerate(zip(own, others, strict=False)) if tuple(a) != tuple(b)]
    if len(own) == len(others) and len(moved) == 1:
        return f"corner {moved[0] + 1} at {_place_words(own[moved[0]], axes, bench, tube)}"
    middle = [sum(values) / len(own) for values in zip(*own, strict=True)]
    return f"{plural(len(own), 'corner')} around {_place_words(middle, axes, bench, tube)}"


def _place_words(place: Sequence[float], axes: tuple[str, ...], bench: Workbench, tube: str) -> str:
    return ", ".join(f"{marker} {_linear(bench, tube, marker, v)}" for marker, v in zip(axes, place, strict=True))


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
            "short": f"{state.meaning.capitalize()} by {state.who}: {_holds(state)}",
            "words": f"{state.meaning.capitalize()} by {state.who} ({state.role}), version {state.version}.",
            "reasons": [state.reason] if state.reason else [],
            "when": _moment(state.at),
        }
        for state in states
    ]


def _holds(state: SignatureState) -> str:
    return "valid" if state.valid else f"not valid, {state.reason}"


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
