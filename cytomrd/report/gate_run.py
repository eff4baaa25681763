"""The main job as one call: what is finished is kept, the rest is gated, and the results folder is written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cytomrd.report.publish import PublishedRun, publish
from cytomrd.run.execute import Progress, gate_plan
from cytomrd.run.gate_sample import content_of
from cytomrd.run.lock import hold_lock
from cytomrd.run.plan import RunPlan
from cytomrd.run.provenance import describe_run, read_current
from cytomrd.run.sealed import clear_unsealed
from cytomrd.run.settings import RunSettings
from cytomrd.run.staging import sample_store
from cytomrd.run.workers import Pool

__all__ = ["gate_run"]


def gate_run(
    plan: RunPlan,
    settings: RunSettings,
    out: Path,
    *,
    pool: Pool,
    started: datetime,
    max_memory_mb: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    content_of: Callable[[Path], str] = content_of,
    is_partial: bool = False,
) -> PublishedRun | dict:
    """Carry out a plan and write its results into ``out``, which this process holds meanwhile.

    Parameters
    ----------
    plan, settings, pool, max_memory_mb, force, progress, content_of
        As for :func:`cytomrd.run.execute.gate_plan`.
    out
        The results folder.
    started
        When the run began.
    is_partial
        Whether samples of the run are left out of the plan for now; what was gated of them before is kept then.

    Returns
    -------
    PublishedRun or dict
        The run as written; where ``out`` holds these very results already, their provenance.

    Raises
    ------
    RunLockedError
        If another process holds the folder.
    StorageError
        If results cannot be written; what is finished is kept for the next time.
    """
    with hold_lock(out) as check:
        store = sample_store(out)
        run = gate_plan(
            plan,
            settings,
            store,
            pool=pool,
            max_memory_mb=max_memory_mb,
            force=force,
            progress=progress,
            content_of=content_of,
        )
        known = None if force else read_current(out, run)
        if known is not None:
            return known
        published = publish(
            run,
            out,
            store,
            pool=pool,
            describe=lambda result: describe_run(run, result, jobs=pool.size, started=started),
            check=check,
        )
        if not is_partial:
            clear_unsealed(store, keep=run.folders)
    return published
