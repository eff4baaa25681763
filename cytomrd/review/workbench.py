"""One sample on the bench: look at a change, keep it, take it back, call a cluster, sign. The trail holds it all.

Several windows and several servers may have a sample open. Every edit names the version that it was made on, and one
made on a version that is not the last is refused with what came since.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from cytomrd.errors import CytomrdError, ReviewError, StaleEditError
from cytomrd.fcs.text import printable
from cytomrd.report.verdict import describe_sample
from cytomrd.report.words import plural
from cytomrd.review.calls import pack_events
from cytomrd.review.edits import CALLS, CallCluster, Edit, MoveBound, MoveCut, ResetAll, ResetGate
from cytomrd.review.marrow import Evaluated, Marrow
from cytomrd.review.people import People, Person
from cytomrd.review.recent import Recent
from cytomrd.review.shapes import edited
from cytomrd.review.signature import Bound, SignatureState, Signer, may_sign
from cytomrd.review.state import History, State, changes_between, fold
from cytomrd.review.trail import EDITS, Entry, Trail
from cytomrd.review.versions import Versions
from cytomrd.review.views import (
    ClusterView,
    DensityImage,
    GateView,
    Number,
    RareEvents,
    RareValue,
    cluster_views,
    gate_views,
    numbers_of,
    rare_events,
)
from cytomrd.run.model import PlotAxis, SampleResult
from cytomrd.run.sealed import SealedSample

__all__ = ["Kept", "Preview", "Signing", "Workbench"]

KEPT_PREVIEWS = 8
MAX_BINS = 1024
# Who looks and keeps nothing.
NOBODY = Person("", "")


@dataclass(frozen=True, eq=False)
class Preview:
    """What a change would do: every number beside the old one, the verdict in words, and how long it took.

    ``settled`` is False for a glance: the clusters of plasma cells were not found again yet.
    """

    numbers: tuple[Number, ...]
    sentence_old: str
    sentence_new: str
    result: SampleResult
    seconds: float
    notes: tuple[str, ...]
    settled: bool = True


@dataclass(frozen=True, eq=False)
class Kept:
    """An edit that is in the trail, and where the version that it made lies."""

    entry: Entry
    version: int
    preview: Preview
    folder: Path


@dataclass(frozen=True, eq=False)
class Signing:
    """What would be signed now, in words, and all that the signature is bound to."""

    version: int
    sentence: str
    numbers: tuple[str, ...]
    changes: tuple[str, ...]
    bound: Bound
    head: str


class Workbench:
    """A sample under review; its methods may be called from any thread.

    Parameters
    ----------
    marrow
        With its tubes open.
    sealed
        As it was gated.
    signer, versions
        Of this sample.
    """

    def __init__(
        self, marrow: Marrow, sealed: SealedSample, *, trail: Trail, people: People, signer: Signer, versions: Versions
    ):
        self.marrow, self.panel, self.automatic = marrow, marrow.panel, marrow.automatic
        self.sample_id = sealed.sample_id
        self.tubes = tuple(marrow.tubes)
        self._sealed, self._trail, self._people = sealed, trail, people
        self._signer, self._versions = signer, versions
        self._lock = RLock()
        self._previews = Recent(KEPT_PREVIEWS)
        self._entries: tuple[Entry, ...] = ()
        self._history = History(State(), (), ())
        self._catch_up()

    # ---------------------------------------------------------------- where the sample stands

    @property
    def version(self) -> int:
        """Number of kept edits: what the next must name."""
        self._catch_up()
        return max((e.version for e in self._entries), default=0)

    @property
    def may_undo(self) -> bool:
        """Whether there is an edit to take back."""
        self._catch_up()
        return bool(self._history.done)

    @property
    def may_redo(self) -> bool:
        """Whether there is an undo to take back."""
        self._catch_up()
        return bool(self._history.undone)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know of the sample as it stands."""
        n_before = self._current().n_before
        earlier = (f"no part of this: {plural(n_before, 'edit')} made on an earlier gating of the sample",)
        return (*self._evaluated().notes, *(earlier if n_before else ()))

    def result(self) -> SampleResult:
        """The result as kept."""
        return self._evaluated().sample

    def numbers(self) -> tuple[Number, ...]:
        """Every number as kept, beside the automatic one."""
        sample = self._evaluated().sample
        return numbers_of(self.automatic, sample, sample)

    def gates(self, tube: str, *, edit: Edit | None = None) -> tuple[GateView, ...]:
        """The gates of a tube, as kept or as an edit would have them."""
        self._check_tube(tube)
        evaluated = self._evaluated(edit)
        file = next(f for f in evaluated.sample.files if f.tube == tube)
        return gate_views(evaluated, file, self.panel, self.marrow.tubes[tube].fitted)

    def axes(self, tube: str) -> Mapping[str, PlotAxis]:
        """Marker to axis, of all that can be drawn."""
        self._check_tube(tube)
        return self.marrow.tubes[tube].file.axes

    def density(
        self, tube: str, population: str, x: str, y: str, *, bins: int = 256, edit: Edit | None = None
    ) -> DensityImage:
        """All events of a population on two axes, as kept or as an edit would have them."""
        self._check_tube(tube)
        if not 8 <= bins <= MAX_BINS:
            raise ReviewError(f"{bins} bins; allowed are 8 to {MAX_BINS}")
        fitted = self._evaluated(edit).fitted[tube]
        return DensityImage(population, *self.marrow.tubes[tube].image(fitted, population, x, y, bins=bins))

    def rare(self, tube: str, *, edit: Edit | None = None) -> RareEvents:
        """Every plasma cell of a tube."""
        self._check_tube(tube)
        return rare_events(self._evaluated(edit), tube)

    def rare_event(self, tube: str, event: int) -> tuple[RareValue, ...]:
        """One event in every channel of its file."""
        self._check_tube(tube)
        rows = self.marrow.tubes[tube].event(event)
        return tuple(RareValue(c, m, raw, *(None if v != v else v for v in (lin, pos))) for c, m, raw, lin, pos in rows)

    def clusters(self, *, edit: Edit | None = None) -> tuple[ClusterView, ...]:
        """The clusters of plasma cells."""
        return cluster_views(self._evaluated(edit))

    def trail(self) -> tuple[Entry, ...]:
        """The sample's entries."""
        self._catch_up()
        return self._entries

    # ---------------------------------------------------------------- edits

    def preview(self, edit: Edit, *, glance: bool = False) -> Preview:
        """What an edit would do to every number; nothing is kept.

        Parameters
        ----------
        glance
            Do not wait for the clusters of plasma cells to be found again: every count of a gate is right, and the
            plasma cells keep the labels that they had. ``settled`` says whether that is the last word.

        Raises
        ------
        ReviewError
            If the edit does not fit the gate or the cluster.
        """
        begun = time.perf_counter()
        with self._lock:
            self._catch_up()
            state, changed = self._history.state, self._edited(edit, NOBODY)
        before = self._at(state)
        known = not glance or _key(changed) in self._previews
        after = self._at(changed) if known else self.marrow.glance(changed, before)
        return self._preview(before, after, begun)

    def keep(self, edit: Edit, *, who: Person, version: int, why: str = "") -> Kept:
        """Enter an edit that was made on ``version`` in the trail, and write the result as a version of its own.

        Raises
        ------
        StaleEditError
            If the sample has another version by now.
        ReviewError
            If the edit does not fit, or changes nothing.
        """
        with self._lock:
            self._refuse_stale(version)
            after = self._edited(edit, who)
            return self._enter(after, who, version, why, action=_action(edit), target=_target(edit))

    def undo(self, *, who: Person, version: int, why: str = "") -> Kept:
        """Take back the last edit that still stands."""
        return self._step_back("undo", who, version, why)

    def redo(self, *, who: Person, version: int, why: str = "") -> Kept:
        """Make the edit again that was taken back last."""
        return self._step_back("redo", who, version, why)

    def comment(self, text: str, *, who: Person) -> Entry:
        """Say something in the trail; it changes no result and voids no signature."""
        if not text.strip():
            raise ReviewError("a comment without a word is none")
        entry = self._trail.append(who=who.name, sample_id=self.sample_id, action="comment", why=text)
        self._catch_up()
        return entry

    def _step_back(self, action: str, who: Person, version: int, why: str) -> Kept:
        with self._lock:
            self._refuse_stale(version)
            steps = self._history.done if action == "undo" else self._history.undone
            if not steps:
                raise ReviewError(f"there is nothing to {action}")
            step = steps[-1]
            values = json.loads(step.old) if action == "undo" else json.loads(step.new)["set"]
            after = self._history.state.with_changes((tuple(key), value) for key, value in values)
            return self._enter(after, who, version, why, action=action, target=step.target, of=step.seq)

    def _enter(
        self, after: State, who: Person, version: int, why: str, *, action: str, target: str, of: int | None = None
    ) -> Kept:
        begun = time.perf_counter()
        changes = changes_between(self._history.state, after)
        if not changes:
            raise ReviewError("that changes nothing: it is so already")
        self._trail.require_whole(self._versions.anchors())
        if not self._sealed.folder.exists():
            raise ReviewError(f"{self.sample_id}: was gated again meanwhile; open the review again")
        before = self._evaluated()
        evaluated = self.marrow.evaluate(after, medians=True)
        seal = self._versions.stage(evaluated.sample, self._about(after, version + 1))
        new = {"base": self._base, "set": [[key, value] for key, _, value in changes], "seal": seal}
        try:
            entry = self._trail.append(
                who=who.name,
                sample_id=self.sample_id,
                action=action,
                target=target,
                old=json.dumps([[key, old] for key, old, _ in changes], ensure_ascii=True),
                new=json.dumps(new | ({"of": of} if of is not None else {}), ensure_ascii=True),
                why=why,
                seen=version,
            )
        except CytomrdError:  # refused, so not entered; after anything else it may have been, and keeps its version
            self._versions.discard(seal)
            raise
        self._catch_up()
        preview = self._preview(before, evaluated, begun)
        return Kept(entry, entry.version, preview, self._versions.path(entry.version))

    def _about(self, state: State, version: int) -> dict[str, object]:
        return {
            "version": version,
            "base": self._base,
            "made_from": self._sealed.made_from,
            "state": [[key, value] for key, value in state.values.items()],
            "head": list(self._trail.head()),
        }

    # ---------------------------------------------------------------- signatures

    def what_is_signed(self) -> Signing:
        """What a signature would stand for now."""
        self._catch_up()
        verdict = describe_sample(self.result())
        changes = tuple(f"{e.target} ({e.action}, {e.who})" for e in self._history.done)
        bound = self._signer.bound(self.version, self._entries)
        return Signing(bound.version, verdict.sentence, verdict.numbers, changes, bound, self._trail.head()[1])

    def sign(self, *, who: Person, token: str, meaning: str, version: int) -> SignatureState:
        """Sign the result as it stands.

        Parameters
        ----------
        token
            The person's, typed again.
        meaning
            ``reviewed``, or ``approved`` by a reviewer after another person signed it as reviewed.
        version
            The version that the person looked at.

        Raises
        ------
        IdentityError
            If the token is another's, or the person may not approve.
        StaleEditError
            If the sample has another version by now.
        ReviewError
            If there is nothing to sign, or something that is signed is missing.
        """
        who = self._people.verify(who.name, token)
        with self._lock:
            self._refuse_stale(version)
            self._trail.require_whole(self._versions.anchors())
            may_sign(who, meaning, self.signatures(), version)
            bound = self._signer.bound(version, self._entries)
            if dict(bound.inputs) != {f.row.file: f.sha256 for f in self.automatic.files}:
                raise ReviewError("an input was changed since it was gated, so nothing is signed; gate it again")
            entry = self._trail.append(
                who=who.name,
                sample_id=self.sample_id,
                action="sign",
                seen=version,
                last=lambda e: self._signer.signed(e, who, meaning, bound),
            )
            return next(s for s in self.signatures() if s.seq == entry.seq)

    def signatures(self) -> tuple[SignatureState, ...]:
        """Every signature, and whether it holds, by what the trail says now and not by what is remembered of it."""
        entries = self._trail.entries(self.sample_id)
        return self._signer.states(entries, self._trail.check(self._versions.anchors()))

    # ---------------------------------------------------------------- inside

    @property
    def _base(self) -> str:
        return self._sealed.folder.name

    def _catch_up(self) -> None:
        """Take in what was entered since, by this process or another."""
        with self._lock:
            last = self._entries[-1].seq if self._entries else 0
            new = self._trail.entries(self.sample_id, after=last)
            if new:
                self._entries += new
                self._history = fold(self._entries, self._base)
                self._versions.settle(self._entries)

    def _current(self) -> History:
        self._catch_up()
        return self._history

    def _evaluated(self, edit: Edit | None = None) -> Evaluated:
        with self._lock:
            self._catch_up()
            state = self._history.state if edit is None else self._edited(edit, NOBODY)
        return self._at(state)

    def _at(self, state: State) -> Evaluated:
        """The marrow in a state; without the lock, so that a glance in another window does not wait for it."""
        return self._previews.get(_key(state), lambda: self.marrow.evaluate(state))

    def _edited(self, edit: Edit, who: Person) -> State:
        state = self._history.state
        if isinstance(edit, ResetAll):
            return State()
        if isinstance(edit, CallCluster):
            return self._called(state, edit, who)
        self._check_tube(edit.tube)
        shapes = edited(self.marrow.tubes[edit.tube].fitted, state.shapes(edit.tube), edit)
        return state.with_shapes(edit.tube, shapes)

    def _called(self, state: State, edit: CallCluster, who: Person) -> State:
        evaluated = self._evaluated()
        letters = evaluated.clusters.letters
        if edit.cluster not in letters:
            raise ReviewError(f"no cluster {printable(edit.cluster, 20)!r}; there are {', '.join(letters)}")
        component = letters[edit.cluster].component
        tubes = evaluated.clusters.calls.tubes
        members = dict(zip(tubes, evaluated.clusters.members(component), strict=True))
        if not any(len(m) for m in members.values()):
            raise ReviewError(f"cluster {edit.cluster} holds no event of its own; there is nothing to call")
        events = {tube: pack_events(m) for tube, m in members.items()}
        call = {"cluster": edit.cluster, "call": CALLS[edit.call], "who": who.name, "events": events}
        earlier = evaluated.called.get(component)
        key = f"{self._base[:8]}-{len(self._entries) + 1}"
        changes = [(("call", "", earlier), None)] if earlier is not None else []
        return state.with_changes([*changes, (("call", "", key), call)])

    def _preview(self, before: Evaluated, after: Evaluated, begun: float) -> Preview:
        return Preview(
            numbers=numbers_of(self.automatic, before.sample, after.sample),
            sentence_old=describe_sample(before.sample).sentence,
            sentence_new=describe_sample(after.sample).sentence,
            result=after.sample,
            seconds=time.perf_counter() - begun,
            notes=after.notes,
            settled=after.settled,
        )

    def _refuse_stale(self, seen: int) -> None:
        version = self.version
        if seen != version:
            since = tuple(e for e in self._entries if e.version > seen and e.action in EDITS)
            raise StaleEditError(
                f"{self.sample_id}: this was made on version {seen}, and the last is version {version}: look at what "
                "changed, and do it again",
                seen=seen, version=version, entries=since,
            )  # fmt: skip

    def _check_tube(self, tube: str) -> None:
        if tube not in self.tubes:
            raise ReviewError(f"no tube {printable(tube, 20)!r}; there are {', '.join(self.tubes)}")


def _key(state: State) -> str:
    return json.dumps([[k, v] for k, v in state.values.items()])


def _action(edit: Edit) -> str:
    if isinstance(edit, ResetGate | ResetAll):
        return "reset"
    if isinstance(edit, CallCluster):
        return "call"
    return "cut" if isinstance(edit, MoveCut) or (isinstance(edit, MoveBound) and edit.linked) else "move"


def _target(edit: Edit) -> str:
    if isinstance(edit, ResetAll):
        return "everything"
    if isinstance(edit, CallCluster):
        return f"cluster {edit.cluster}: {edit.call}"
    return f"tube {edit.tube}: {edit.cut if isinstance(edit, MoveCut) else edit.gate}"
