"""Results whole or not at all: a lock on the folder, and a staging folder renamed at the end."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from cytomrd.errors import RunError, RunLockedError, StorageError
from cytomrd.run.sealed import sync_folder

__all__ = ["check_results_folder", "hold_lock", "sample_store", "staged_file", "staged_folder"]

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


@contextmanager
def hold_lock(out: Path) -> Iterator[None]:
    """Hold the results folder for this process, or say who does and since when.

    Raises
    ------
    RunLockedError
        If another process holds it.
    """
    from filelock import FileLock, Timeout

    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.parent / f".{out.name}.lock"
    holder = path.with_suffix(".holder")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        try:
            who = json.loads(holder.read_text("utf-8"))
            known = f"held by {who['user']} on {who['host']} (process {who['pid']}) since {who['since']}"
        except (OSError, ValueError, KeyError):
            known = "held by another process"
        raise RunLockedError(f"{out}: {known}; wait for it to end, or choose another folder with --out") from None
    except OSError as error:
        raise RunError(f"{out}: cannot be locked: {error}; choose a folder that you may write with --out") from error
    try:
        who = {"user": _user(), "host": socket.gethostname(), "pid": os.getpid()}
        holder.write_text(json.dumps(who | {"since": datetime.now(UTC).isoformat(timespec="seconds")}), "utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def sample_store(out: Path) -> Path:
    """The folder of finished samples, beside the results: it outlives them, so that a run can go on.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    store = out.parent / f".{out.name}.samples"
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{store}: cannot be made: {error.strerror or error}") from error
    return store


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@contextmanager
def staged_folder(out: Path) -> Iterator[Path]:
    """A temporary folder that takes the place of ``out`` when the block ends well, else vanishes."""
    out.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield stage
        stage.chmod(0o755)
        sync_folder(stage)
        old = None
        if out.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{out.name}-old-", dir=out.parent))
            out.rename(old / out.name)
        try:
            stage.rename(out)
        except OSError:
            if old is not None:
                (old / out.name).rename(out)
            raise
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def staged_file(target: Path) -> Iterator[Path]:
    """A temporary path beside ``target`` that takes its place when the block ends well, else vanishes."""
    stage = target.with_name(f".{os.getpid()}-{target.name}")
    try:
        yield stage
        stage.replace(target)
    finally:
        stage.unlink(missing_ok=True)
