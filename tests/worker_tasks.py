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


def edit_until_killed(folder: str, acknowledged: str, seed: int) -> None:
    """Keep one edit after the other of a run's only marrow; a line for each that was kept: its number and hash."""
    import random

    from cytomrd.review.edits import MoveCut
    from cytomrd.review.people import Person
    from cytomrd.review.run import open_review

    bench, draw, parent = open_review(Path(folder)).workbench("BM"), random.Random(seed), os.getppid()
    with Path(acknowledged).open("a") as file:
        while os.getppid() == parent:
            edit = MoveCut("1", "CD117:bright", 0.7 + 0.2 * draw.random())
            entry = bench.keep(edit, who=Person("Ada", "analyst"), version=bench.version).entry
            file.write(f"{entry.seq} {entry.hash}\n")
            file.flush()
