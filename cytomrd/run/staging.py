"""Results whole or not at all: a folder or file is written beside its place and renamed at the end."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cytomrd.errors import RunError
from cytomrd.run.sealed import storage_errors, sync_folder, sync_path

__all__ = ["check_results_folder", "sample_store", "staged_file", "staged_folder"]

# What shows that a folder is one of results; and what other commands may have put there before.
MARK, OTHERS = "provenance.json", {"clusters"}


def check_results_folder(out: Path, run: Path) -> None:
    """Refuse a folder that results must not take the place of, since everything in it would be lost.

    Raises
    ------
    RunError
        If ``out`` holds the run itself, or other things than results.
    """
    inside = out.resolve()
    if inside == run.resolve() or inside in run.resolve().parents:
        raise RunError(f"{out}: results would take the place of the run's own files; give a folder of their own")
    if not out.exists():
        return
    if not out.is_dir():
        raise RunError(f"{out}: is a file; give a folder for the results")
    found = sorted(p.name for p in out.iterdir())
    if found and MARK not in found and not set(found) <= OTHERS:
        raise RunError(
            f"{out}: holds {', '.join(found[:3])}{', ...' if len(found) > 3 else ''} and no {MARK}, so it was not "
            "written as results, which would take its place; move it away, or choose another folder with --out"
        )


def sample_store(out: Path) -> Path:
    """The folder of finished samples, beside the results: it outlives them, so that a run can go on.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    store = out.parent / f".{out.name}.samples"
    with storage_errors(store):
        store.mkdir(parents=True, exist_ok=True)
    return store


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``out`` when the block ends well, else vanishes.

    The caller holds the lock on ``out``: what a killed process left of its own stage is swept away first.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{out.name}.stage-"
    _sweep(out, prefix)
    stage = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent))
    try:
        yield stage
        stage.chmod(0o755)
        sync_folder(stage)
        if not out.exists():
            stage.rename(out)
        elif not _exchange(stage, out):
            old = Path(tempfile.mkdtemp(prefix=prefix, dir=out.parent)) / out.name
            out.rename(old)
            try:
                stage.rename(out)
            except OSError:
                old.rename(out)
                raise
            shutil.rmtree(old.parent, ignore_errors=True)
        sync_path(out.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _sweep(out: Path, prefix: str) -> None:
    for left in [p for p in out.parent.iterdir() if p.name.startswith(prefix)]:
        old = left / out.name
        if not out.exists() and (old / MARK).exists():
            old.rename(out)  # killed between the two renames
        shutil.rmtree(left, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders take each other's place in one step, where the system can: at no moment is there neither."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


@contextmanager
def staged_file(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the block ends well, else vanishes."""
    stage = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        yield stage
        stage.replace(target)
    finally:
        stage.unlink(missing_ok=True)
