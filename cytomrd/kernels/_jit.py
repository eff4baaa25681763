"""The one place that calls numba: every kernel is declared with :func:`kernel`.

Compiled code is kept on disk, in a folder named by a digest of all kernel sources: numba itself looks only at the
file of the kernel it loads, and would go on using old code of what that kernel calls in other files.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

import numba
from numba.core.caching import FunctionCache

__all__ = ["kernel"]

FOLDER = "kernels-"


def kernel(function=None, **options):
    """Compile ``function`` on first call, without the GIL, cached on disk.

    NaN and infinities keep their IEEE meaning: no fast-math flag is ever set,
    since a membership decided on a reordered sum would depend on the machine. One kernel
    asks for "contract", fused multiplication and addition: its answers are certified.
    """

    def declare(function):
        dispatcher = numba.njit(**{"nogil": True, "error_model": "numpy", **options})(function)
        if numba.config.DISABLE_JIT:
            dispatcher.py_func = function
        elif _CACHE is not None:
            _keep_on_disk(dispatcher, function)
        return dispatcher

    return declare if function is None else declare(function)


def _keep_on_disk(dispatcher, function) -> None:
    chosen = numba.config.CACHE_DIR
    try:
        # numba reads the setting where a cache is made; other packages keep theirs.
        numba.config.CACHE_DIR = str(_CACHE)
        dispatcher._cache = _OneWriterCache(function)
    finally:
        numba.config.CACHE_DIR = chosen


class _OneWriterCache(FunctionCache):
    """numba's cache with one writer at a time: two at once can leave one signature with the other's code."""

    def save_overload(self, sig, data):
        from filelock import FileLock, Timeout

        # Code that is not kept is compiled again; a full disk or a stuck writer must not stop the work.
        with suppress(OSError, Timeout), FileLock(_CACHE / "writer.lock", timeout=60):
            super().save_overload(sig, data)


def _cache_folder(sources: Path) -> Path | None:
    """Where compiled code is kept: the user's choice, else beside the sources, else the user's cache; or nowhere."""
    digest = hashlib.sha256(numba.__version__.encode())
    try:
        for path in sorted(sources.glob("*.py")):
            digest.update(path.read_bytes())
    except OSError:
        return None
    beside = sources / "__pycache__"
    name = FOLDER + digest.hexdigest()[:16]
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "cytomrd"
    places = [Path(numba.config.CACHE_DIR)] if numba.config.CACHE_DIR else [beside, user]
    for place in places:
        folder = place / name
        with suppress(OSError, RuntimeError):
            if not folder.is_dir():
                folder.mkdir(parents=True)
                if place == beside:
                    _remove_older(place, folder)
            if os.access(folder, os.W_OK):
                return folder
    return None


def _remove_older(place: Path, folder: Path) -> None:
    for old in place.glob(FOLDER + "*"):
        if old != folder:
            shutil.rmtree(old, ignore_errors=True)


_CACHE = _cache_folder(Path(__file__).parent)
