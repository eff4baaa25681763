"""One thread for linear algebra, so that peers are compared thread for thread.

On a machine that is busy, or has few cores, the threads of a BLAS wait for each other and make small products
up to twenty times slower: a ratio to that would flatter us.
"""

from __future__ import annotations

import os

from cytomrd.run.workers import THREAD_SETTINGS

__all__ = ["environment_as_found", "use_one_blas_thread"]

_SET_HERE: list[str] = []


def use_one_blas_thread() -> None:
    """Ask for one thread, where the user has not asked for another number. Call it before numpy is imported."""
    for name in THREAD_SETTINGS:
        if name not in os.environ:
            os.environ[name] = "1"
            _SET_HERE.append(name)


def environment_as_found() -> dict[str, str]:
    """The environment without what was set here: for commands that are measured as a user runs them."""
    return {name: value for name, value in os.environ.items() if name not in _SET_HERE}
