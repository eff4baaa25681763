"""The trail: who did what, when and why, one row an entry, and each entry's hash covers the one before.

SQLite refuses to change or remove a row; what goes around SQLite is found by :meth:`Trail.check`. An entry counts from
the moment it is committed: a process may be killed at any time, before or after, and never halfway. Several processes
write one after the other.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

from cytomrd import __version__
from cytomrd.errors import ReviewError, StaleEditError, StorageError, TrailError
from cytomrd.run.sealed import canonical

__all__ = ["EDITS", "NOTHING", "Entry", "Trail"]

# What changes a result, and so makes a new version of the sample.
EDITS = ("move", "cut", "reset", "call", "undo", "redo")
OTHERS = ("comment", "sign", "person")
# What the first entry follows.
NOTHING = "0" * 64
BUSY_S = 30.0
# Characters of what a person writes, and of the values of an edit: a call holds the events that it was made on.
MAX_TEXT, MAX_VALUE = 10_000, 100_000_000

TABLE = """
CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, sample_id TEXT NOT NULL, action TEXT NOT NULL,
    target TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, why TEXT NOT NULL, version INTEGER NOT NULL,
    software TEXT NOT NULL, before TEXT NOT NULL, hash TEXT NOT NULL
)"""
GUARDS = {
    "no_update": "BEFORE UPDATE ON entries BEGIN SELECT RAISE(ABORT, 'the trail is append-only'); END",
    "no_delete": "BEFORE DELETE ON entries BEGIN SELECT RAISE(ABORT, 'the trail is append-only'); END",
    "in_order": "BEFORE INSERT ON entries WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM entries) "
    "BEGIN SELECT RAISE(ABORT, 'the trail is append-only'); END",
}


@dataclass(frozen=True)
class Entry:
    """One row of the trail.

    Attributes
    ----------
    seq
        Its number, from 1 without a gap.
    at
        UTC, ISO 8601.
    who, sample_id
        The person, and the specimen it is about; none for what is done to people.
    action, target
        One of :data:`EDITS`, ``comment``, ``sign`` or ``person``; what it was done to.
    old, new
        The value before and after, as JSON.
    why
        In the person's words.
    version
        The sample's number of edits, this one counted.
    software
        Version of cytomrd.
    before, hash
        Hash of the entry before, and of this one with that.
    """

    seq: int
    at: str
    who: str
    sample_id: str
    action: str
    target: str
    old: str
    new: str
    why: str
    version: int
    software: str = __version__
    before: str = NOTHING
    hash: str = ""

    def hashed(self) -> str:
        """What ``hash`` must be."""
        return hashlib.sha256(canonical(astuple(self)[:-1])).hexdigest()


COLUMNS = ", ".join(f.name for f in fields(Entry))
PLACES = ", ".join("?" for _ in fields(Entry))


class Trail:
    """The trail of one run's reviews, in a file of its own.

    Parameters
    ----------
    path
        Made where there is none; on a local disk, as SQLite's write-ahead log asks for.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        with self._connection() as db:
            if _has_table(db):
                return
            db.execute("PRAGMA journal_mode = WAL")
            with _transaction(db):
                if not _has_table(db):  # another process may have been first
                    db.execute(TABLE)
                    for name, rule in GUARDS.items():
                        db.execute(f"CREATE TRIGGER {name} {rule}")

    def entries(self, sample_id: str | None = None, *, after: int = 0) -> tuple[Entry, ...]:
        """Entries with a number above ``after``, in order; of one sample, or of all."""
        with self._connection() as db:
            return _entries(db, sample_id, after)

    def head(self) -> tuple[int, str]:
        """Number and hash of the last entry; 0 and :data:`NOTHING` of an empty trail."""
        with self._connection() as db:
            return _head(db)

    def version(self, sample_id: str) -> int:
        """How many edits a sample has."""
        with self._connection() as db:
            return _version(db, sample_id)

    def append(
        self,
        *,
        who: str,
        sample_id: str,
        action: str,
        target: str = "",
        old: str = "null",
        new: str = "null",
        why: str = "",
        seen: int | None = None,
        last: Callable[[Entry], Entry] | None = None,
    ) -> Entry:
        """Add an entry; when this returns it is on the disk.

        Parameters
        ----------
        seen
            The version of the sample that the entry was made on; None where any will do, as for a comment.
        last
            Called with the entry before it is hashed, while no other can be written; gives the entry to write.

        Raises
        ------
        StaleEditError
            If the sample has another version by now: nothing is written.
        TrailError
            If the last entry is not as it was written: nothing is put on top of it.
        """
        if action not in EDITS + OTHERS:
            raise ReviewError(f"{action!r} is no action of the trail; there are {', '.join(EDITS + OTHERS)}")
        for text in (who, sample_id, target, why):
            _check_text(text, MAX_TEXT)
        for text in (old, new):
            _check_text(text, MAX_VALUE)
        with self._connection() as db, _transaction(db):
            seq, before = self._sound_head(db)
            version = _version(db, sample_id)
            if seen is not None and seen != version:
                since = [e for e in _entries(db, sample_id, 0) if e.version > seen and e.action in EDITS]
                raise StaleEditError(
                    f"{sample_id}: this was made on version {seen}, and the last is version {version}: look at what "
                    "changed, and do it again",
                    seen=seen, version=version, entries=tuple(since),
                )  # fmt: skip
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            entry = Entry(
                seq + 1, now, who, sample_id, action, target, old, new, why, version + (action in EDITS), before=before
            )
            entry = last(entry) if last is not None else entry
            entry = replace(entry, hash=entry.hashed())
            db.execute(f"INSERT INTO entries ({COLUMNS}) VALUES ({PLACES})", astuple(entry))
        return entry

    def _sound_head(self, db: sqlite3.Connection) -> tuple[int, str]:
        last = db.execute(f"SELECT {COLUMNS} FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
        if last is None:
            return 0, NOTHING
        entry = Entry(*last)
        if entry.hash != entry.hashed():
            problems = self.check()
            raise TrailError(f"{self.path}: was changed from outside, so nothing is added: {problems[0]}", problems)
        return entry.seq, entry.hash

    def check(self, anchors: tuple[tuple[int, str], ...] = ()) -> tuple[str, ...]:
        """What is wrong with the trail, in words and with the row; empty where it is whole.

        Parameters
        ----------
        anchors
            Number and hash of entries that are known from elsewhere: a tail that was cut off breaks no chain.
        """
        try:
            with self._connection() as db:
                found = [*_damage(db), *_guards_lost(db)]
                entries = _entries(db, None, 0)
        except (sqlite3.DatabaseError, TrailError) as error:
            return (f"{self.path.name}: cannot be read: {error}",)
        found += _broken_links(entries)
        known = {e.seq: e.hash for e in entries} | {0: NOTHING}
        for seq, digest in anchors:
            if known.get(seq) != digest:
                what = "is missing" if seq not in known else "is another"
                found.append(f"entry {seq} {what}: what was sealed elsewhere followed it")
        return tuple(dict.fromkeys(found))

    def require_whole(self, anchors: tuple[tuple[int, str], ...] = ()) -> None:
        """Refuse to go on with a trail that :meth:`check` finds something wrong with.

        Raises
        ------
        TrailError
            With all that was found.
        """
        problems = self.check(anchors)
        if problems:
            raise TrailError(
                f"{self.path}: the trail is not whole, so nothing is added until someone has looked: {problems[0]}",
                problems,
            )

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one task: threads and processes share nothing but the file."""
        try:
            db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        except sqlite3.Error as error:
            raise StorageError(f"{self.path}: the trail cannot be opened: {error}") from error
        try:
            # A committed entry outlives a loss of power too.
            db.execute("PRAGMA synchronous = FULL")
            yield db
        except sqlite3.OperationalError as error:
            raise StorageError(f"{self.path}: the trail cannot be read or written: {error}") from error
        except sqlite3.DatabaseError as error:
            raise TrailError(f"{self.path}: is no trail, or a damaged one: {error}", (str(error),)) from error
        finally:
            db.close()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One writer at a time from the first look on, so that what was looked at is still so when it is written."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _has_table(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'entries'").fetchone() is not None


def _entries(db: sqlite3.Connection, sample_id: str | None, after: int) -> tuple[Entry, ...]:
    rows = db.execute(
        f"SELECT {COLUMNS} FROM entries WHERE seq > ? AND (? IS NULL OR sample_id = ?) ORDER BY seq",
        (after, sample_id, sample_id),
    )
    return tuple(Entry(*row) for row in rows)


def _head(db: sqlite3.Connection) -> tuple[int, str]:
    return db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone() or (0, NOTHING)


def _version(db: sqlite3.Connection, sample_id: str) -> int:
    return db.execute("SELECT COALESCE(MAX(version), 0) FROM entries WHERE sample_id = ?", (sample_id,)).fetchone()[0]


def _check_text(text: str, longest: int) -> None:
    if not isinstance(text, str) or len(text) > longest:
        raise ReviewError(f"text of at most {longest:,} characters is kept")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ReviewError("half of a surrogate pair is no character; type the text again") from None


def _damage(db: sqlite3.Connection) -> Iterator[str]:
    for (said,) in db.execute("PRAGMA integrity_check(5)"):
        if said != "ok":
            yield f"the database is damaged: {said}"


def _guards_lost(db: sqlite3.Connection) -> Iterator[str]:
    there = dict(db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    for name, rule in GUARDS.items():
        if there.get(name) != f"CREATE TRIGGER {name} {rule}":
            yield f"the guard {name} was taken away or changed"


def _broken_links(entries: tuple[Entry, ...]) -> Iterator[str]:
    seq, before = 0, NOTHING
    for entry in entries:
        if entry.seq != seq + 1:
            missing = f"entry {seq + 1} is" if entry.seq == seq + 2 else f"entries {seq + 1} to {entry.seq - 1} are"
            yield f"{missing} missing"
        elif entry.before != before:
            yield f"entry {entry.seq} does not follow entry {seq}: one of them was changed, or their order"
        if entry.hash != entry.hashed():
            yield f"entry {entry.seq} was changed: it is not what its hash is of"
        seq, before = entry.seq, entry.hash
