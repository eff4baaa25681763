"""Signatures: who stands for which result, bound to the exact inputs, gates and numbers, and void after any change.

A signature is an entry of the trail with a code over it and over everything that it stands for. The code is made with
a key that lies beside the trail, so that it shows a change by anyone who cannot read that key; whoever can is stopped
by what was noted elsewhere: the head of the trail, as every signature and every version has it.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from cytomrd.errors import IdentityError, ReviewError
from cytomrd.review.people import Person
from cytomrd.review.recent import Recent
from cytomrd.review.trail import EDITS, Entry
from cytomrd.review.versions import Versions
from cytomrd.run.results import sample_folder
from cytomrd.run.sealed import SealedSample, canonical, file_sha256, storage_errors

__all__ = ["MEANINGS", "Bound", "RememberedHashes", "SignatureState", "Signer", "may_sign"]

MEANINGS = ("reviewed", "approved")
KEY_BYTES = 32
REMEMBERED = 10_000
PUBLISHED = ("mrd.csv", "populations.csv", "qc.csv")


@dataclass(frozen=True)
class Bound:
    """What a signature stands for.

    Attributes
    ----------
    base
        The gating without a person: its sealed folder, and that folder's seal.
    inputs
        File to SHA-256.
    published
        What the results folder says of the sample: table or file to SHA-256 of its rows or bytes.
    made_from
        Panel, settings and version of the software.
    version, seal
        The reviewed version and the seal of its result; "" where it is the automatic one.
    """

    base: tuple[str, str]
    inputs: Mapping[str, str]
    published: Mapping[str, str]
    made_from: Mapping[str, object]
    version: int
    seal: str


@dataclass(frozen=True)
class SignatureState:
    """A signature, and whether it holds: ``reason`` says why not."""

    seq: int
    who: str
    role: str
    meaning: str
    at: str
    version: int
    valid: bool
    reason: str
    head: str


@dataclass(frozen=True)
class Signer:
    """Signs the results of one sample and tells which signatures hold.

    Parameters
    ----------
    review, results, folder
        The folders of the review, the results and the run.
    sealed
        The sample as it was gated.
    files
        Its files, relative to the run.
    sha256
        Gives the hash of an input: :class:`RememberedHashes` where it is asked for often.
    """

    review: Path
    results: Path
    folder: Path
    sealed: SealedSample
    files: tuple[str, ...]
    sha256: Callable[[Path], str] = file_sha256

    def bound(self, version: int, entries: Sequence[Entry]) -> Bound:
        """What a signature would stand for now.

        Raises
        ------
        ReviewError
            If an input or a result is not there.
        """
        last = self._last_edit(entries)
        try:
            inputs = {name: self.sha256(self.folder / name) for name in self.files}
            published = dict(_published(self.results, self.sealed.sample_id))
        except OSError as error:
            raise ReviewError(f"{error.filename}: cannot be read ({error.strerror}), so nothing is signed") from error
        return Bound(
            base=(self.sealed.folder.name, _manifest_sha256(self.sealed)),
            inputs=inputs,
            published=published,
            made_from={k: v for k, v in self.sealed.made_from.items() if k not in ("files", "controls")},
            version=version,
            seal=json.loads(last.new)["seal"] if last is not None else "",
        )

    def signed(self, entry: Entry, who: Person, meaning: str, bound: Bound) -> Entry:
        """The entry of a signature, with its code."""
        said = {"meaning": meaning, "role": who.role, "bound": _as_json(bound)}
        code = self._code(entry, said)
        return replace(entry, target=meaning, new=canonical(said | {"code": code}).decode("ascii"))

    def states(self, entries: Sequence[Entry], trail_problems: Sequence[str]) -> tuple[SignatureState, ...]:
        """Every signature of the sample, the oldest first."""
        found: list[SignatureState] = []
        for entry in (e for e in entries if e.action == "sign"):
            try:
                said = json.loads(entry.new)
                reason = next(self._doubts(entry, said, entries, trail_problems), "")
                role, meaning = str(said["role"]), str(said["meaning"])
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                role, meaning, reason = "", entry.target, "the signature cannot be read: it was tampered with"
            if not reason and meaning == "approved" and not _reviewed_by_another(found, entry):
                reason = "the review that it approves does not hold"
            found.append(
                SignatureState(
                    entry.seq, entry.who, role, meaning, entry.at, entry.version, not reason, reason, entry.before
                )
            )
        return tuple(found)

    def _doubts(self, entry: Entry, said: dict, entries, trail_problems) -> Iterator[str]:
        """Why a signature does not hold, what weighs most first."""
        code = said.pop("code")
        if not hmac.compare_digest(code, self._code(entry, said)):
            yield "the signature was tampered with"
        if trail_problems:
            yield f"the trail is broken: {trail_problems[0]}"
        bound = said["bound"]
        now = max((e.version for e in entries), default=0)
        if now != entry.version:
            yield f"changed since: signed was version {entry.version}, and the last is version {now}"
        for name, digest in bound["inputs"].items():
            try:
                if self.sha256(self.folder / name) != digest:
                    yield f"input {name} was changed since"
            except OSError as error:
                yield f"input {name} is missing: {error.strerror}"
        if bound["base"] != [self.sealed.folder.name, _manifest_sha256(self.sealed)] or not self.sealed.is_whole:
            yield "the sample was gated again since, or its gating was changed"
        if bound["published"] != dict(_published_or_none(self.results, self.sealed.sample_id)):
            yield "the results folder says something else than when it was signed"
        last = self._last_edit(entries)
        if last is not None:
            damage = next(Versions.of(self.review, entry.sample_id).damage(last), None)
            if damage is not None:
                yield f"the reviewed result was changed since: {damage}"

    def _last_edit(self, entries: Sequence[Entry]) -> Entry | None:
        """The last edit of this gating: what was done to an earlier one is no part of the result."""
        edits = [e for e in entries if e.action in EDITS and json.loads(e.new)["base"] == self.sealed.folder.name]
        return edits[-1] if edits else None

    def _code(self, entry: Entry, said: Mapping[str, object]) -> str:
        known = replace(entry, target="", new="", hash="")
        return hmac.new(self._key(), canonical([astuple(known), said]), "sha256").hexdigest()

    def _key(self) -> bytes:
        """Made with the first signature, whole or not at all; only its owner may read it."""
        path = self.review / "key"
        with storage_errors(path):
            if not path.exists():
                descriptor, stage = tempfile.mkstemp(prefix=".key-", dir=self.review)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(secrets.token_bytes(KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
                with suppress(FileExistsError):  # another process was first
                    os.link(stage, path)
                Path(stage).unlink()
            return path.read_bytes()


class RememberedHashes:
    """Hashes of files, worked out again when the system says that a file was touched: its time of change is its own."""

    def __init__(self):
        self._known = Recent(REMEMBERED)

    def __call__(self, path: Path) -> str:
        """SHA-256 of a file."""
        s = path.stat()
        key = path, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns
        return self._known.get(key, lambda: file_sha256(path))


def may_sign(who: Person, meaning: str, states: Sequence[SignatureState], version: int) -> None:
    """Refuse a signature that would mean nothing.

    Raises
    ------
    ReviewError
        If there is no such meaning, nothing to approve, or it is signed already.
    IdentityError
        If the person may not approve.
    """
    if meaning not in MEANINGS:
        raise ReviewError(f"meaning {meaning!r:.40}; allowed are {', '.join(MEANINGS)}")
    standing = [s for s in states if s.valid and s.version == version]
    if any(s.who == who.name and s.meaning == meaning for s in standing):
        raise ReviewError(f"{who.name} has signed this version as {meaning} already")
    if meaning == "approved":
        if who.role != "reviewer":
            raise IdentityError(f"{who.name} is {who.role}; only a reviewer approves")
        if not any(s.meaning == "reviewed" and s.who != who.name for s in standing):
            raise ReviewError("another person must sign this version as reviewed before it can be approved")


def _reviewed_by_another(earlier: Sequence[SignatureState], entry: Entry) -> bool:
    return any(
        s.valid and s.meaning == "reviewed" and s.who != entry.who and s.version == entry.version for s in earlier
    )


def _as_json(bound: Bound) -> dict[str, object]:
    return {
        "base": list(bound.base),
        "inputs": dict(bound.inputs),
        "published": dict(bound.published),
        "made_from": dict(bound.made_from),
        "version": bound.version,
        "seal": bound.seal,
    }


def _manifest_sha256(sealed: SealedSample) -> str:
    return hashlib.sha256(canonical([sealed.sample_id, sealed.made_from, sealed.summary, sealed.files])).hexdigest()


def _published(results: Path, sample_id: str) -> Iterator[tuple[str, str]]:
    """The sample's own rows and files: other samples of the run may be gated again without touching a signature."""
    for name in PUBLISHED:
        with (results / name).open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        own = [row for row in rows[1:] if row and row[rows[0].index("sample_id")] == sample_id]
        yield name, hashlib.sha256(canonical([rows[0], own])).hexdigest()
    folder = results / sample_folder(sample_id)
    for path in sorted(folder.iterdir()):
        yield path.relative_to(results).as_posix(), file_sha256(path)


def _published_or_none(results: Path, sample_id: str) -> list[tuple[str, str]]:
    try:
        return list(_published(results, sample_id))
    except (OSError, ValueError, csv.Error):
        return []
