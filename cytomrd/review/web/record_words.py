"""What was written down, in words: entries of the trail, signatures, and what came between two looks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from cytomrd.errors import StaleEditError
from cytomrd.report.words import MISSING, join_words, linear_words, plural
from cytomrd.review.run import ReviewRun
from cytomrd.review.signature import SignatureState
from cytomrd.review.trail import Entry
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
    """What the JSON of an entry says of cuts, gates and calls. A cut says what its gates would say again."""
    try:
        held = json.loads(text)
        changes = {tuple(key): value for key, value in (held["set"] if isinstance(held, dict) else held)}
        cuts = [key for key in changes if key[0] == "cut"]
        gates = [key for key in changes if key[0] == "gate"]
        words = [_call_words(changes[key]) for key in changes if key[0] == "call"]
        words += [_cut_words(tube, name, changes["cut", tube, name], bench) for _, tube, name in cuts]
        if cuts and gates:
            return f"{'; '.join(words)} (in {join_words(name for _, _, name in gates)})"
        return "; ".join(
            [*words, *(_gate_words(tube, name, changes["gate", tube, name], bench) for _, tube, name in gates)]
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return text[:500]  # an entry that this version cannot read is shown as it stands


def _call_words(value: Mapping | None) -> str:
    return AUTOMATIC if value is None else f"cluster {value['cluster']} {CALLS.get(value['call'], value['call'])}"


def _cut_words(tube: str, name: str, value: float | None, bench: Workbench) -> str:
    fitted = bench.marrow.tubes[tube].fitted
    decision = next((d for d in fitted.decisions if d.name == name), None)
    position = value if value is not None else decision.value
    words = f"cut {name} {_linear(bench, tube, decision.marker if decision is not None else None, position)}"
    return f"{words}, {AUTOMATIC}" if value is None else words


def _gate_words(tube: str, name: str, value: Mapping | None, bench: Workbench) -> str:
    view = next((v for v in bench.gates(tube) if v.name == name), None)
    title = view.title if view is not None else name
    gate = bench.marrow.tubes[tube].fitted.strategy.gate(name) if value is None else None

    def geometry(part: str):
        return value.get(part) if value is not None else getattr(gate, part, None)

    words = ""
    if geometry("vertices"):
        words = plural(len(geometry("vertices")), "corner")
    elif geometry("mean"):
        words = f"centre ({', '.join(f'{v:.3g}' for v in geometry('mean'))})"
    elif geometry("minimum"):
        sides = zip(view.axes, geometry("minimum"), geometry("maximum"), strict=True) if view is not None else ()
        words = ", ".join(side for m, low, high in sides for side in _side_words(bench, tube, m, low, high))
    return f"{title}: {words}{f', {AUTOMATIC}' if value is None else ''}"


def _side_words(bench: Workbench, tube: str, marker: str, low: float | None, high: float | None) -> Iterator[str]:
    if low is not None:
        yield f"{marker} from {_linear(bench, tube, marker, low)}"
    if high is not None:
        yield f"{marker} below {_linear(bench, tube, marker, high)}"


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
