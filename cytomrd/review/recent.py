"""Results kept for the next time that they are asked for: undo, redo and a second window then wait for nothing."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

__all__ = ["Recent"]


class Recent:
    """The results last asked for, at most ``size`` of them; two threads may work out the same one at a time."""

    def __init__(self, size: int):
        self._size, self._found, self._lock = size, OrderedDict(), Lock()

    def __contains__(self, key: Hashable) -> bool:
        with self._lock:
            return key in self._found

    def get(self, key: Hashable, make: Callable[[], object]) -> object:
        """What is kept under ``key``, or what ``make`` gives."""
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        value = make()
        with self._lock:
            self._found[key] = value
            while len(self._found) > self._size:
                self._found.popitem(last=False)
        return value
