"""One process at a time on a results folder: a lock that says who and since when, and that no dead process holds.

The holder writes its name beside the folder and touches that file as long as it lives. On the same machine a holder is
known by its process id and the moment it started; of one on another machine only the touch is seen, and its age is
measured by the clock of the file system, so that clocks that differ, or are set back, do not matter.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import platform
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cytomrd.errors import RunError, RunLockedError

__all__ = ["hold_lock"]

HEARTBEAT_S, DEAD_AFTER_S = 15.0, 120.0
GUARD_TIMEOUT_S = 20.0
log = logging.getLogger("cytomrd")


@contextmanager
def hold_lock(out: Path) -> Iterator[Callable[[], None]]:
    """Hold the results folder for this process; yields a check that it is still held.

    Raises
    ------
    RunLockedError
        If another process holds it, saying who and since when; by the check, if another has taken it since, as
        happens to a process that was stopped for minutes.
    """
    holder = out.parent / f".{out.name}.holder"
    mine = _myself()
    end = threading.Event()
    beat = threading.Thread(target=_beat, args=(holder, mine, end), daemon=True)

    def check() -> None:
        if _read(holder) != mine:
            raise RunLockedError(f"{out}: another process took this folder over while this one was stopped; run again")

    try:  # from here on, since an interruption may come at any moment
        with _guarded(out):
            _refuse_living_holder(out, holder, mine)
            _write(holder, mine)
        beat.start()
        yield check
    finally:
        end.set()
        if beat.is_alive():
            beat.join()
        if _read(holder) == mine:
            _release(out, holder, mine)


def _release(out: Path, holder: Path, mine: Mapping[str, object]) -> None:
    with suppress(RunError), _guarded(out):
        if _read(holder) == mine:
            holder.unlink()


@contextmanager
def _guarded(out: Path) -> Iterator[None]:
    """For the moments in which a holder is judged and written, one process at a time."""
    from filelock import FileLock, Timeout

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(out.parent / f".{out.name}.lock", timeout=GUARD_TIMEOUT_S):
            yield
    except Timeout:
        raise RunLockedError(f"{out}: another process is taking or leaving this folder; try again") from None
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{out}: cannot be locked: {error}; choose a folder that you may write with --out") from error


def _refuse_living_holder(out: Path, holder: Path, mine: Mapping[str, object]) -> None:
    known = _read(holder)
    if known is None:
        return
    who = f"{known.get('user')} on {known.get('host')} (process {known.get('pid')}) since {known.get('since')}"
    if _lives(known, holder, mine):
        raise RunLockedError(f"{out}: held by {who}; wait for it to end, or choose another folder with --out")
    log.warning("%s: was held by %s, which is no more; going on from there", out, who)


def _lives(known: Mapping[str, object], holder: Path, mine: Mapping[str, object]) -> bool:
    if known.get("machine") == mine["machine"]:
        return _started(known.get("pid")) == known.get("started")
    return abs(_now_of(holder.parent) - holder.stat().st_mtime) <= DEAD_AFTER_S


def _now_of(folder: Path) -> float:
    """The time by the clock that stamps files here."""
    probe = folder / f".clock-{uuid.uuid4().hex}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink()


def _beat(holder: Path, mine: Mapping[str, object], end: threading.Event) -> None:
    while not end.wait(HEARTBEAT_S):
        if _read(holder) != mine:
            return
        with suppress(OSError):
            os.utime(holder)


def _read(holder: Path) -> dict[str, object] | None:
    """Who holds; an unreadable name is nobody known, on a machine unknown."""
    try:
        known = json.loads(holder.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(holder: Path, mine: Mapping[str, object]) -> None:
    stage = holder.with_name(f"{holder.name}-{mine['token']}")
    try:
        stage.write_text(json.dumps(mine), "utf-8")
        stage.replace(holder)
    finally:
        stage.unlink(missing_ok=True)


def _myself() -> dict[str, object]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return {
        "user": user,
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "started": _started(os.getpid()),
        "token": uuid.uuid4().hex,
    }


def _machine() -> str:
    """This machine since it was started, and within it the world of process ids that this process sees."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _started(pid: object) -> str | None:
    """When a process of this machine started, in the system's own words; None where there is none."""
    if not isinstance(pid, int) or pid <= 0:
        return None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        state, *fields = stat.rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except OSError:
        pass
    if Path("/proc/self/stat").exists() or os.name == "nt":
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"
