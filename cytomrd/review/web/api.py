"""What the page's script asks for, as JSON; and what a person does, each by the version that was seen."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import ClassVar

from tornado.web import HTTPError

from cytomrd.errors import CytomrdError, IdentityError, ReviewError, StaleEditError
from cytomrd.review.edits import Edit, edit_from_json, edit_to_json
from cytomrd.review.web.cells_view import cell_view, cells_view
from cytomrd.review.web.gate_shapes import edit_of_shape, edit_of_value
from cytomrd.review.web.handlers import Guarded
from cytomrd.review.web.plot_view import plot_view
from cytomrd.review.web.record_words import entry_view, signing_view, stale_words, trail_view
from cytomrd.review.web.sample_view import lines_view, sample_view
from cytomrd.review.workbench import Workbench

__all__ = ["READS", "WRITES", "Reads", "Writes"]

Asked = Mapping[str, object]


class _Json(Guarded):
    """A handler that takes a JSON object and gives one; what the engine refuses is said in its words."""

    actions: ClassVar[Mapping[str, Callable]] = {}
    wanted_without_window: ClassVar[bool] = False
    window_closed = False

    def on_connection_close(self) -> None:
        """The window is gone, or the person pressed Stop."""
        self.window_closed = True

    def prepare(self) -> None:
        """As every request; what is sent must be JSON and carry the session's word."""
        super().prepare()
        if self.request.headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            raise HTTPError(415, reason="Send application/json")
        given = self.request.headers.get("X-Csrf-Token", "")
        if not secrets.compare_digest(given.encode("utf-8", "replace"), self.session.csrf.encode("ascii")):
            raise HTTPError(403, reason="Refused: the request does not come from the page")

    async def post(self, name: str) -> None:
        """Do one thing, off the event loop."""
        action = self.actions.get(name)
        if action is None:
            raise HTTPError(404)
        try:
            asked = json.loads(self.request.body)
            if not isinstance(asked, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            raise HTTPError(400, reason="Send a JSON object") from error
        try:
            async with self._turn(asked):
                if self.window_closed and not self.wanted_without_window:
                    return
                answer = await self.desk.off_loop(action, self, asked)
        except StaleEditError as error:
            self.set_status(409)
            answer = {"error": stale_words(error), "version": error.version}
        except IdentityError as error:
            self.set_status(403)
            answer = {"error": str(error)}
        except CytomrdError as error:
            self.set_status(422)
            answer = {"error": str(error)}
        if not self.window_closed:
            self.finish(json.dumps(answer, allow_nan=False))

    def _turn(self, asked: Asked) -> AbstractAsyncContextManager:
        """Wait for what others, or earlier drags, ask of the same sample."""
        sample_id = asked.get("sample")
        return self.desk.turns[sample_id] if sample_id in self.desk.run.samples else nullcontext()

    def write_error(self, status_code: int, **details) -> None:
        """The reason as JSON."""
        self.finish(json.dumps({"error": self._reason}))

    def bench(self, asked: Asked) -> Workbench:
        """The sample that is asked about, looked up among the run's: a name from a request never becomes a path."""
        sample_id = asked.get("sample")
        if sample_id not in self.desk.run.samples:
            raise ReviewError(f"no sample {str(sample_id)[:80]!r} in this run that can be reviewed")
        return self.desk.run.workbench(sample_id)


def _text(asked: Asked, name: str, *, most: int = 4000) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str) or len(value) > most:
        raise ReviewError(f"{name} must be text of at most {most:,} characters")
    return value


def _whole(asked: Asked, name: str) -> int:
    value = asked.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ReviewError(f"{name} must be a whole number; got {str(value)[:40]!r}")
    return value


def _edit(asked: Asked) -> Edit | None:
    given = asked.get("edit")
    return None if given is None else edit_from_json(given)


def samples(handler: _Json, asked: Asked) -> object:
    """The run's samples, in order."""
    return lines_view(handler.desk.run)


def sample(handler: _Json, asked: Asked) -> object:
    """One sample: its numbers, tree, clusters, comments, signatures; with an edit, as it would be."""
    return sample_view(handler.bench(asked), _edit(asked))


def shape(handler: _Json, asked: Asked) -> object:
    """What a gate's new shape on the plot is as an edit, and what it would change."""
    bench = handler.bench(asked)
    edit = edit_of_value(bench, asked) if "value" in asked else edit_of_shape(bench, asked)
    return {"edit": edit_to_json(edit) if edit is not None else None, "sample": sample_view(bench, edit)}


def plot(handler: _Json, asked: Asked) -> object:
    """A population on two axes, with the gates below it."""
    return plot_view(handler.bench(asked), asked, _edit(asked))


def cells(handler: _Json, asked: Asked) -> object:
    """Rare cells with their values in every channel."""
    return cells_view(handler.bench(asked), asked, _edit(asked))


def cell(handler: _Json, asked: Asked) -> object:
    """One rare cell in full."""
    return cell_view(handler.bench(asked), asked, _edit(asked))


def trail(handler: _Json, asked: Asked) -> object:
    """The trail of a sample, and whether its chain holds."""
    return trail_view(handler.desk.run, handler.bench(asked))


def signing(handler: _Json, asked: Asked) -> object:
    """What exactly would be signed, in words."""
    return signing_view(handler.bench(asked))


def keep(handler: _Json, asked: Asked) -> object:
    """Keep an edit, on top of the version that the person saw."""
    bench, edit = handler.bench(asked), _edit(asked)
    if edit is None:
        raise ReviewError("nothing to keep: no edit was sent")
    kept = bench.keep(edit, who=handler.session.person, version=_whole(asked, "version"), why=_text(asked, "why"))
    return _done(handler, bench, kept.entry)


def undo(handler: _Json, asked: Asked) -> object:
    """Take the last kept edit back."""
    bench = handler.bench(asked)
    kept = bench.undo(who=handler.session.person, version=_whole(asked, "version"), why=_text(asked, "why"))
    return _done(handler, bench, kept.entry)


def redo(handler: _Json, asked: Asked) -> object:
    """Do again what was taken back."""
    bench = handler.bench(asked)
    kept = bench.redo(who=handler.session.person, version=_whole(asked, "version"), why=_text(asked, "why"))
    return _done(handler, bench, kept.entry)


def comment(handler: _Json, asked: Asked) -> object:
    """Write a comment down."""
    bench = handler.bench(asked)
    return _done(handler, bench, bench.comment(_text(asked, "text"), who=handler.session.person))


def sign(handler: _Json, asked: Asked) -> object:
    """Sign a version, with the token typed again."""
    bench = handler.bench(asked)
    state = bench.sign(
        who=handler.session.person,
        token=_text(asked, "token", most=500),
        meaning=_text(asked, "meaning", most=20),
        version=_whole(asked, "version"),
    )
    return _done(handler, bench, handler.desk.run.trail.entries(bench.sample_id, after=state.seq - 1)[0])


def _done(handler: _Json, bench: Workbench, entry) -> object:
    """The sample as it is now; the other windows hear of it."""
    said = entry_view(entry, bench)["what"]
    window = handler.request.headers.get("X-Window", "")[:40]
    handler.desk.tell({"sample": bench.sample_id, "entry": entry.seq, "who": entry.who, "what": said, "window": window})
    return sample_view(bench)


READS = {f.__name__: f for f in (samples, sample, shape, plot, cells, cell, trail, signing)}
WRITES = {f.__name__: f for f in (keep, undo, redo, comment, sign)}


class Reads(_Json):
    """Looks: nothing is kept."""

    actions = READS


class Writes(_Json):
    """What is kept, and told to the other windows; it is done even when the window was closed right after."""

    actions = WRITES
    wanted_without_window = True
