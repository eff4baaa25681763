"""Finished samples on disk: a folder for each, whole or not there, that says what it was made from.

A folder is written under a temporary name, synced, and renamed; its manifest holds the hash of every file and of
itself. A process may be killed at any instant: what has the final name is finished, everything else is swept away.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cytomrd.errors import StorageError

__all__ = [
    "UNFINISHED",
    "SealedSample",
    "canonical",
    "clear_unsealed",
    "file_sha256",
    "find_sealed",
    "seal_sample",
    "storage_errors",
    "sync_folder",
    "sync_path",
]

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished-"


@dataclass(frozen=True, eq=False)
class SealedSample:
    """A finished sample: where it is, what it was made from, and what other samples need to know of it.

    Attributes
    ----------
    made_from
        Version, settings, panel and the content of every file that decided the result.
    summary
        ``n_nucleated`` and ``n_clonal`` by tube, and ``about`` (``instrument``, ``held``), where the panel asks for
        them.
    files
        Name to SHA-256 of each file of the folder.
    """

    folder: Path
    sample_id: str
    made_from: Mapping[str, object]
    summary: Mapping[str, Mapping[str, object]]
    files: Mapping[str, str]

    @property
    def is_whole(self) -> bool:
        """Whether every file is still what was written."""
        try:
            return all(file_sha256(self.folder / name) == sha256 for name, sha256 in self.files.items())
        except OSError:
            return False


def seal_sample(
    store: Path,
    sample_id: str,
    made_from: Mapping[str, object],
    write: Callable[[Path], Mapping[str, Mapping[str, object]]],
) -> SealedSample:
    """Write a sample's folder with ``write(folder)``, which returns its summary, and give it its final name.

    Raises
    ------
    StorageError
        If the folder cannot be written: a full disk, a folder that is read-only.
    """
    name = hashlib.sha256(canonical([sample_id, made_from])).hexdigest()[:32]
    with storage_errors(store):
        stage = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=store))
        try:
            summary = write(stage)
            files = {p.relative_to(stage).as_posix(): file_sha256(p) for p in sorted(stage.rglob("*")) if p.is_file()}
            manifest = {"sample_id": sample_id, "made_from": made_from, "summary": summary, "files": files}
            sealed = manifest | {"seal": hashlib.sha256(canonical(manifest)).hexdigest()}
            (stage / MANIFEST).write_bytes(canonical(sealed))
            sync_folder(stage)
            _take_place(stage, store / name)
            sync_path(store)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    return SealedSample(store / name, sample_id, made_from, summary, files)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Say of an error of the system within that results cannot be written, and what to do."""
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written: {_reason(error)}; finished samples are kept: mend that, and run the same "
            "command again"
        ) from error


def _reason(error: OSError) -> str:
    """The system's words, which HDF5 hides in its own."""
    hidden = re.search(r"error message = '([^']*)'", str(error))
    return hidden[1] if hidden else error.strerror or str(error)


def _take_place(stage: Path, target: Path) -> None:
    """Rename; a folder of that name is one of the same content, or was damaged since."""
    if target.exists():
        shutil.rmtree(target)
    stage.rename(target)


def find_sealed(store: Path) -> dict[str, list[SealedSample]]:
    """Sample id to its sealed folders, whatever they were made from; folders without a sound manifest are not."""
    found: dict[str, list[SealedSample]] = {}
    for sample in _sealed(store):
        found.setdefault(sample.sample_id, []).append(sample)
    return found


def _sealed(store: Path) -> Iterator[SealedSample]:
    for folder in sorted(store.iterdir()):
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            seal = manifest.pop("seal")
            if seal == hashlib.sha256(canonical(manifest)).hexdigest():
                yield SealedSample(folder, **manifest)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def clear_unsealed(store: Path, keep: set[Path] | None = None) -> None:
    """Remove what a killed process left, and where ``keep`` is given all other sealed folders too."""
    for path in store.iterdir():
        if path.name.startswith(UNFINISHED) or (keep is not None and path not in keep):
            shutil.rmtree(path, ignore_errors=True)


def canonical(value: object) -> bytes:
    """A value as JSON in one way only, so that equal values have equal hashes."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Bring a folder and all in it to the disk: a rename that outlives its content would be half a result."""
    for path in folder.rglob("*"):
        sync_path(path)
    sync_path(folder)


def sync_path(path: Path) -> None:
    """Bring one file, or the names in one folder, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
