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
