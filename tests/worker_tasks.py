"""Tasks that fail in their own way; a worker process finds them only in a module outside the tests themselves."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_once(mark: Path) -> str:
    if mark.exists():
        return "done"
    mark.touch()
    return die()


def refuse(error: Exception) -> None:
    raise error


def append_entries(path: str, who: str, n: int) -> None:
    """Add entries to a review's trail."""
    from pathlib import Path

    from cytomrd.review.trail import Trail

    trail = Trail(Path(path))
    for i in range(n):
        trail.append(who=who, sample_id=f"S{i % 3}", action="move", target=str(i))
