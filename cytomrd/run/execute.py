"""Carrying out a plan: controls first, then every sample over the workers, each sealed as it ends.

A sample that was sealed before, from the same content, is kept. A sample that fails is boxed with its reason and the
others go on. What is drawn together over samples is decided afterwards, in the order of the plan
(:mod:`cytomrd.run.finish`), so neither the number of workers nor an interruption changes a result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cytomrd.run.blanks import Blank
from cytomrd.run.car_nk_sample import SubjectControl, subject_control
from cytomrd.run.gate_draws import spillover_files
from cytomrd.run.gate_sample import SampleJob, content_of, gate_sample, made_from
from cytomrd.run.memory import refusal
from cytomrd.run.plan import PlannedSample, RunPlan
from cytomrd.run.sealed import SealedSample, clear_unsealed, find_sealed
from cytomrd.run.settings import RunSettings
from cytomrd.run.workers import Failed, Pool, Task, run_tasks

__all__ = ["GatedRun", "Progress", "gate_plan"]

Progress = Callable[[str, int, str], None]
HASHING_THREADS = 4
log = logging.getLogger("cytomrd")


@dataclass(frozen=True, eq=False)
class GatedRun:
    """A plan carried out: each sample sealed or failed, and what was done again because something changed."""

    plan: RunPlan
    settings: RunSettings
    samples: tuple[SealedSample | Failed, ...]
    redone: tuple[str, ...] = ()

    @property
    def pairs(self) -> Iterator[tuple[PlannedSample, SealedSample | Failed]]:
        """Samples with what came of them, in the order of the plan."""
        return zip(self.plan.samples, self.samples, strict=True)

    @property
    def blanks(self) -> dict[str, list[Blank]]:
        """The run's negative marrows, by panel: what the limit of blank is made from."""
        blanks: dict[str, list[Blank]] = {}
        for planned, sealed in self.pairs:
            if planned.role == "negative" and isinstance(sealed, SealedSample) and sealed.summary:
                row, about = planned.files[0].row, sealed.summary["about"]
                blank = Blank(
                    sample_id=planned.sample_id,
                    donor=row.subject_id or planned.sample_id,
                    instrument=about["instrument"],
                    n_clonal=sum(sealed.summary["n_clonal"].values()),
                    n_nucleated=sum(sealed.summary["n_nucleated"].values()),
                    held=about["held"],
                )
                blanks.setdefault(planned.files[0].panel_id, []).append(blank)
        return blanks


def gate_plan(
    plan: RunPlan,
    settings: RunSettings,
    store: Path,
    *,
    pool: Pool,
    max_memory_mb: float | None = None,
    force: bool = False,
    progress: Progress | None = None,
    content_of: Callable[[Path], str] = content_of,
) -> GatedRun:
    """Gate every sample of the plan that is not sealed yet.

    Parameters
    ----------
    plan
        From :func:`cytomrd.run.plan.plan_run`.
    settings
        Choices of this run.
    store
        The folder of sealed samples; with workers elsewhere, on a file system that all share.
    pool
        The workers; the results do not depend on them.
    max_memory_mb
        A sample of which a file alone needs more is refused.
    force
        Gate again what is sealed.
    progress
        Called with (sample id, its events, ``"kept"``, ``"gated"`` or ``"failed"``) as each sample ends.
    content_of
        Gives the SHA-256 of a file of the run, to tell whether it is the one that was gated.

    Raises
    ------
    StorageError
        If results cannot be written; samples that are sealed stay.
    """
    tell = progress or (lambda sample_id, n_events, what: None)
    clear_unsealed(store)
    kept, redone = ({}, ()) if force else _kept(plan, settings, store, content_of)
    for line in redone:
        log.warning("%s", line)
    found: dict[str, SealedSample | Failed] = {}
    to_do = []

    def end(sample: PlannedSample, result: SealedSample | Failed, what: str) -> None:
        found[sample.sample_id] = result
        tell(sample.sample_id, sum(f.n_events for f in sample.files), what)

    for sample in plan.samples:
        reasons = [(f, f.error or refusal(f, max_memory_mb)) for f in sample.files]
        errors = tuple(f"{f.row.file}: {reason}" for f, reason in reasons if reason)
        if errors:
            end(sample, Failed(errors), "failed")
        elif sample.sample_id in kept:
            end(sample, kept[sample.sample_id], "kept")
        else:
            to_do.append(sample)
    controls = _subject_controls(to_do, plan, settings, pool)
    for sample in to_do:
        if isinstance(control := controls.get(sample.control_files), Failed):
            end(sample, Failed((f"its control ({', '.join(sample.control_files)}): {control}",)), "failed")
    left = [s for s in to_do if s.sample_id not in found]
    # Workers without a sample of their own help to read and gate those there are.
    n_threads = max(1, pool.size // max(1, len(left))) if pool.is_local else 1
    tasks = _sample_tasks(left, plan, settings, store, controls, n_threads)

    def take(task: Task, result: SealedSample | Failed) -> None:
        end(task.key, result, "failed" if isinstance(result, Failed) else "gated")

    run_tasks(tasks, pool, take)
    return GatedRun(plan, settings, tuple(found[s.sample_id] for s in plan.samples), redone)


def _sample_tasks(samples: list[PlannedSample], plan, settings, store, controls, n_threads: int) -> Iterator[Task]:
    """The largest first, so that none is left over for one worker at the end."""
    for sample in sorted(samples, key=lambda s: -sum(f.n_events for f in s.files)):
        panel = plan.panels[sample.files[0].panel_id]
        control = controls.get(sample.control_files)
        job = SampleJob(sample, panel, settings, plan.folder, store, control, n_threads)
        yield Task(sample, gate_sample, (job,))


def _subject_controls(
    samples: list[PlannedSample], plan: RunPlan, settings: RunSettings, pool: Pool
) -> dict[tuple[str, ...], SubjectControl | Failed]:
    """One CAR threshold for each set of controls, so that a subject's series shares one."""
    wanted = {s.control_files: s.controls for s in samples if s.controls}
    found: dict[tuple[str, ...], SubjectControl | Failed] = {}
    tasks = [Task(key, subject_control, (files, plan.panels, settings, plan.folder)) for key, files in wanted.items()]
    run_tasks(tasks, pool, lambda task, control: found.update({task.key: control}))
    return found


def _kept(
    plan: RunPlan, settings: RunSettings, store: Path, content_of: Callable[[Path], str]
) -> tuple[dict[str, SealedSample], tuple[str, ...]]:
    """Samples that are sealed from the same content, and for each of the others that was sealed what changed."""
    sealed = find_sealed(store)
    known = [s for s in plan.samples if s.sample_id in sealed and not any(f.error for f in s.files)]
    # Hashing releases the interpreter's lock; a file is read once, however many samples it is the control of.
    paths = dict.fromkeys(f.path for s in known for f in (*s.files, *s.controls))
    paths |= dict.fromkeys(spillover_files(settings, plan.folder))
    with ThreadPoolExecutor(HASHING_THREADS) as threads:
        content = dict(zip(paths, threads.map(content_of, paths), strict=True))
        kept, redone = {}, []
        for sample in known:
            panel = plan.panels[sample.files[0].panel_id]
            wanted = made_from(sample, panel, settings, plan.folder, content.__getitem__)
            same = [s for s in sealed[sample.sample_id] if s.made_from == wanted]
            if same and same[0].is_whole:
                kept[sample.sample_id] = same[0]
            elif same:
                redone.append(f"{sample.sample_id}: gated again, its stored result was damaged")
            else:
                changes = ", ".join(_changes(sealed[sample.sample_id][-1].made_from, wanted))
                redone.append(f"{sample.sample_id}: gated again: {changes}")
    return kept, tuple(redone)


def _changes(before: Mapping, now: Mapping) -> Iterator[str]:
    """What differs between two origins, in words."""
    for name in ("cytomrd", "settings", "panel"):
        if before.get(name) != now[name]:
            yield {"cytomrd": "another version", "settings": "other settings", "panel": "another panel"}[name]
    for name, words in (("files", "file"), ("controls", "control")):
        earlier = {f["file"]: f for f in before.get(name, ())}
        for file in now[name]:
            if earlier.get(file["file"]) != file:
                yield f"{words} {file['file']} {'changed' if file['file'] in earlier else 'is new'}"
        left = [f for f in earlier if f not in {g["file"] for g in now[name]}]
        yield from (f"{words} {f} is no longer part of it" for f in left)
