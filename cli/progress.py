"""A progress bar on stderr, and only where a person looks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]


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
