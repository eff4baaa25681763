"""Progress on stderr: a bar where a person looks, lines in a log."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar", "run_progress"]

log = logging.getLogger("cytomrd")


@contextmanager
def progress_bar(what: str, *, total: float | None = None, quiet: bool = False) -> Iterator[Callable]:
    """Yield ``progress(done, total=None, label="")``; it does nothing when stderr is no terminal.

    Parameters
    ----------
    what
        The verb shown before the bar.
    total
        Amount of work, where it is known beforehand.
    """
    if quiet or not sys.stderr.isatty():
        yield lambda *args, **kwargs: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def progress(done: float, total: float | None = None, label: str = "") -> None:
            description = f"{what} {label}" if label else what
            bar.update(
                task, completed=int(done), description=description, **({} if total is None else {"total": int(total)})
            )

        yield progress


@contextmanager
def run_progress(n_samples: int, n_events: int, *, say_kept: bool = True, quiet: bool = False) -> Iterator[Callable]:
    """Yield ``progress(sample_id, n_events, what)``, called as each sample of a run ends.

    A terminal shows samples and time left; the log gets one line a sample (level info) with both, and where these are
    shown there is no bar. The time left goes by events, and only by those of samples that took time: those kept from
    an earlier run took none, and have no line where ``say_kept`` is false.
    """
    started = time.monotonic()
    n_ended, events_left, events_done = 0, n_events, 0
    # Lines that come while a bar stands would break it.
    with progress_bar("gating", total=n_events, quiet=quiet or log.isEnabledFor(logging.INFO)) as bar:

        def progress(sample_id: str, events: int, what: str) -> None:
            nonlocal n_ended, events_left, events_done
            n_ended, events_left = n_ended + 1, events_left - events
            events_done += events if what == "gated" else 0
            seconds = time.monotonic() - started
            left = seconds * events_left / events_done if events_done else None
            if what == "kept" and not say_kept:
                return
            bar(n_events - events_left, label=f"{n_ended} of {n_samples}: {sample_id} {what}")
            about = {"sample_id": sample_id, "what": what, "samples_done": n_ended, "samples": n_samples}
            about |= {"seconds": round(seconds, 1), "seconds_left": None if left is None else round(left, 1)}
            words = "" if left is None or not events_left else f", about {_duration(left)} left"
            log.info("%s %s (%d of %d samples%s)", sample_id, what, n_ended, n_samples, words, extra={"about": about})

        yield progress


def _duration(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
