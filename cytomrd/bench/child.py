"""What runs in a process of its own: ``python -m cytomrd.bench.child TASK ...``, one JSON object on stdout.

``memory KERNEL IMPLEMENTATION THREADS N_EVENTS FOLDER`` prints the memory that one call adds; the file is in FOLDER.
``first FOLDER N_EVENTS`` gates a small file and prints the counts: the time is taken from outside.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["main", "peak_of"]

WARM_UP_EVENTS = 1000


def main(arguments: list[str]) -> None:
    """Run one task."""
    task, *rest = arguments
    print(json.dumps({"memory": _memory, "first": _first}[task](*rest)))


def peak_of(run: Callable[[], object]) -> dict[str, float]:
    """Resident memory in MB before a call, and at its highest during it."""
    _restart_peak()
    before = _resident("VmRSS")
    result = run()
    peak = _resident("VmHWM")
    del result
    return {"before_mb": before, "peak_mb": peak}


def _memory(kernel: str, implementation: str, threads: str, n_events: str, folder: str) -> dict[str, float]:
    from cytomrd.bench.events import Events
    from cytomrd.bench.kernels import KERNELS, OURS

    chosen = next(k for k in KERNELS if k.name == kernel)

    def ready(n: int) -> Callable[[], object]:
        events = Events(n, Path(folder))
        if implementation != OURS:
            return chosen.peers[implementation](events)
        return chosen.ours(events) if chosen.threaded is None else chosen.threaded(events, int(threads))

    # Loads all code, and leaves no buffer of a block's size behind.
    ready(WARM_UP_EVENTS)()
    return peak_of(ready(int(n_events)))


def _first(folder: str, n_events: str) -> dict[str, int]:
    from cytomrd.bench.events import Events
    from cytomrd.bench.ours import whole_pass

    return whole_pass(Events(int(n_events), Path(folder)))()


def _restart_peak() -> None:
    """Let the highest memory seen start anew at what is in use; without it the peak of the whole life is reported."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return


def _resident(key: str) -> float:
    """A line of /proc/self/status in MB, or the peak that the system reports where there is no such file."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1e6 if sys.platform == "darwin" else 1e3)
    return next(int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith(key + ":"))


if __name__ == "__main__":
    main(sys.argv[1:])
