"""Reviewed results: each kept edit gives a version of its own, in a folder that is whole or not there.

A version is written under a temporary name and brought to the disk, then its edit is entered in the trail together
with the version's seal, then it gets its own name. Killed in between, the next to open the sample finds the folder by
its seal and gives it that name; a folder that no entry knows is no version.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cytomrd.review.trail import EDITS, Entry
from cytomrd.run.model import RunResult, SampleResult
from cytomrd.run.results import result_tables, safe_name, write_sample_files
from cytomrd.run.sealed import canonical, file_sha256, storage_errors, sync_folder, sync_path
from cytomrd.schema import table_to_csv

__all__ = ["MANIFEST", "Versions"]

MANIFEST = "version.json"
UNFINISHED, WAITING = ".unfinished-", ".waiting-"
# What a killed process left is nobody's after this long.
LEFT_AFTER_S = 86_400.0


@dataclass(frozen=True)
class Versions:
    """The reviewed versions of one sample, in ``folder``."""

    folder: Path

    @classmethod
    def of(cls, review: Path, sample_id: str) -> Versions:
        """Those of a sample, in the folder of a run's review."""
        return cls(review / "samples" / safe_name(sample_id))

    def path(self, version: int) -> Path:
        """Where a version is."""
        return self.folder / f"v{version}"

    def stage(self, sample: SampleResult, about: Mapping[str, object]) -> str:
        """Write a version that is not entered in the trail yet; returns its seal.

        Parameters
        ----------
        about
            What it was made from: version, changes, base, inputs, the trail's head.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        with storage_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            stage = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
            try:
                write_sample_files(sample.sample_id, sample.files, stage)
                for name, (columns, rows) in result_tables(RunResult("", (sample,), (), {})).items():
                    if rows:
                        (stage / f"{name}.csv").write_text(table_to_csv(columns, rows), "utf-8", newline="")
                files = {p.name: file_sha256(p) for p in sorted(stage.iterdir())}
                manifest = {**about, "sample_id": sample.sample_id, "files": files}
                seal = _seal(manifest)
                (stage / MANIFEST).write_bytes(canonical(manifest | {"seal": seal}))
                stage.chmod(0o755)
                sync_folder(stage)
                waiting = self.folder / (WAITING + seal)
                shutil.rmtree(waiting, ignore_errors=True)
                stage.rename(waiting)
                sync_path(self.folder)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
        return seal

    def discard(self, seal: str) -> None:
        """Take back a version whose edit was not entered."""
        shutil.rmtree(self.folder / (WAITING + seal), ignore_errors=True)

    def settle(self, entries: Sequence[Entry]) -> None:
        """Give every version that the trail knows its name, and sweep away what no entry will claim any more."""
        if not self.folder.is_dir():
            return
        with storage_errors(self.folder):
            for entry in _edits(entries):
                waiting, home = self.folder / (WAITING + _sealed_as(entry)), self.path(entry.version)
                if not home.exists() and waiting.exists():
                    with suppress(FileNotFoundError, FileExistsError):  # another process was first
                        waiting.rename(home)
            sync_path(self.folder)
            for path in self.folder.iterdir():
                if path.name.startswith((UNFINISHED, WAITING)) and time.time() - path.stat().st_mtime > LEFT_AFTER_S:
                    shutil.rmtree(path, ignore_errors=True)

    def problems(self, entries: Sequence[Entry]) -> Iterator[str]:
        """What is wrong with the versions that the trail knows, and those that it does not know."""
        known = {self.path(e.version): e for e in _edits(entries)}
        for entry in known.values():
            yield from (f"version {entry.version}: {problem}" for problem in self.damage(entry))
        for path in sorted(self.folder.glob("v*")):
            if path not in known:
                yield f"{path.name}: is no version of the trail; if it once was, entries were cut off the trail"

    def damage(self, entry: Entry) -> Iterator[str]:
        """How the version that an entry made differs from what was written."""
        manifest = self.manifest(entry.version)
        if manifest is None:
            yield f"{MANIFEST} is missing or cannot be read"
            return
        seal = manifest.pop("seal", None)
        raw = (self.path(entry.version) / MANIFEST).read_bytes()
        if seal != _sealed_as(entry) or seal != _seal(manifest) or raw != canonical(manifest | {"seal": seal}):
            yield f"{MANIFEST} was changed"
            return
        home = self.path(entry.version)
        for name, sha256 in manifest["files"].items():
            try:
                if file_sha256(home / name) != sha256:
                    yield f"{name} was changed"
            except OSError as error:
                yield f"{name} cannot be read: {error.strerror}"
        for path in home.iterdir():
            if path.name not in manifest["files"] and path.name != MANIFEST:
                yield f"{path.name} was added"

    def manifest(self, version: int) -> dict | None:
        """What a version says of itself; None where it does not."""
        try:
            found = json.loads((self.path(version) / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def anchors(self) -> tuple[tuple[int, str], ...]:
        """Entries of the trail that versions say came before them."""
        heads = [self.manifest(int(p.name[1:])) for p in self.folder.glob("v*") if p.name[1:].isdecimal()]
        return tuple((h["head"][0], h["head"][1]) for h in heads if h is not None and _is_head(h.get("head")))


def _is_head(head: object) -> bool:
    return isinstance(head, list) and len(head) == 2 and isinstance(head[0], int) and isinstance(head[1], str)


def _seal(manifest: Mapping[str, object]) -> str:
    return hashlib.sha256(canonical(manifest)).hexdigest()


def _edits(entries: Sequence[Entry]) -> list[Entry]:
    return [e for e in entries if e.action in EDITS]


def _sealed_as(entry: Entry) -> str:
    return str(json.loads(entry.new)["seal"])
