"""Carrying out a plan: controls first, then every sample over the workers, each sealed as it ends.

Then those samples once more whose own evidence for a cut is weak and to which the others lend theirs
(:mod:`cytomrd.run.borrowing`).

A sample that was sealed before, from the same content, is kept. A sample that fails is boxed with its reason and the
others go on. What is drawn together over samples is decided afterwards, in the order of the plan
(:mod:`cytomrd.run.finish`), so neither the number of workers nor an interruption changes a result.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from cytomrd.run.blanks import Blank
from cytomrd.run.borrowing import Borrowed, find_borrowed
from cytomrd.run.car_nk_sample import SubjectControl, subject_control
from cytomrd.run.gate_draws import spillover_files
from cytomrd.run.gate_sample import SampleJob, content_of, described, gate_sample, made_from
from cytomrd.run.memory import refusal
from cytomrd.run.plan import PlannedSample, RunPlan
from cytomrd.run.sealed import SealedSample, clear_unsealed, find_sealed
from cytomrd.run.series_scales import SeriesScales, first_visit_scales
from cytomrd.run.settings import RunSettings
from cytomrd.run.workers import Failed, Pool, Task, run_tasks

__all__ = ["GatedRun", "Progress", "gate_plan"]

Progress = Callable[[str, int, str], None]
HASHING_THREADS = 4
log = logging.getLogger("cytomrd")


@dataclass(frozen=True, eq=False)
class GatedRun:
    """A plan carried out: each sample sealed or failed, and what was done again because something changed.

    ``by_itself`` is what came of each sample before it borrowed from others.
    """

    plan: RunPlan
    settings: RunSettings
    samples: tuple[SealedSample | Failed, ...]
    redone: tuple[str, ...] = ()
    by_itself: tuple[SealedSample | Failed, ...] = ()

    @property
    def folders(self) -> set[Path]:
        """The sealed folders that a later run goes on from."""
        return {s.folder for s in (*self.samples, *self.by_itself) if isinstance(s, SealedSample)}

    @property
    def pairs(self) -> Iterator[tuple[PlannedSample, SealedSample | Failed]]:
        """Samples with what came of them, in the order of the plan."""
        return zip(self.plan.samples, self.samples, strict=True)

    @property
    def blanks(self) -> dict[str, list[Blank]]:
        """The run's negative marrows, by panel: what the limit of blank is made from."""
        blanks: dict[str, list[Blank]] = {}
        for planned, sealed in self.pairs:
            if planned.role == "negative" and isinstance(sealed, SealedSample) and "about" in sealed.summary:
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

    def take(sample: PlannedSample, result: SealedSample | Failed) -> None:
        end(sample, result, "failed" if isinstance(result, Failed) else "gated")

    shared = _Shared()
    _gate_samples(to_do, plan, settings, store, pool=pool, take=take, shared=shared)
    alone = GatedRun(plan, settings, tuple(found[s.sample_id] for s in plan.samples), redone)
    return _with_borrowed(alone, store, pool=pool, force=force, shared=shared)


@dataclass(frozen=True, eq=False)
class _Shared:
    """What samples of a subject share, found once: CAR thresholds by control files, first visits' scales by file."""

    controls: dict[tuple[str, ...], SubjectControl | Failed] = field(default_factory=dict)
    scales: dict[str, SeriesScales | Failed] = field(default_factory=dict)


def _gate_samples(
    samples: list[PlannedSample],
    plan: RunPlan,
    settings: RunSettings,
    store: Path,
    *,
    pool: Pool,
    take: Callable[[PlannedSample, SealedSample | Failed], None],
    shared: _Shared,
    borrowed: Mapping[str, Borrowed] | None = None,
) -> None:
    """Gate samples with what their series share, the largest first: none is left over for one worker at the end."""
    _find_controls(samples, plan, settings, pool, shared)
    _find_scales(samples, plan, settings, pool, shared)
    # Workers without a sample of their own help to read and gate those there are.
    n_threads = max(1, pool.size // max(1, len(samples))) if pool.is_local else 1
    tasks = []
    for sample in sorted(samples, key=lambda s: -sum(f.n_events for f in s.files)):
        control = shared.controls.get(sample.control_files)
        first = {f.row.file: shared.scales[f.row.file] for f in sample.first_visit.values()}
        failed = [f"the first visit ({name}): {s}" for name, s in first.items() if isinstance(s, Failed)]
        if isinstance(control, Failed):
            failed.append(f"its control ({', '.join(sample.control_files)}): {control}")
        if failed:
            take(sample, Failed(tuple(failed)))
            continue
        panel, lent = plan.panels[sample.files[0].panel_id], (borrowed or {}).get(sample.sample_id, {})
        job = SampleJob(sample, panel, settings, plan.folder, store, control, first, lent, n_threads)
        tasks.append(Task(sample, gate_sample, (job,)))
    run_tasks(tasks, pool, lambda task, result: take(task.key, result))


def _with_borrowed(alone: GatedRun, store: Path, *, pool: Pool, force: bool, shared: _Shared) -> GatedRun:
    """Gate again, with what the others lend, the samples whose own evidence for a cut is weak."""
    found = {s.sample_id: result for s, result in alone.pairs}
    borrowed = find_borrowed(alone.plan, found)
    known = {} if force else find_sealed(store)
    to_do, redone = [], []
    for sample in alone.plan.samples:
        if sample.sample_id not in borrowed:
            continue
        own = found[sample.sample_id]
        before = known.get(sample.sample_id, ()) if isinstance(own, SealedSample) else ()
        before = [s for s in before if s.made_from | {"borrowed": {}} == own.made_from]
        same = [s for s in before if s.made_from["borrowed"] == described(borrowed[sample.sample_id]) and s.is_whole]
        if same:
            found[sample.sample_id] = same[0]
            continue
        to_do.append(sample)
        if any(s.made_from["borrowed"] for s in before):
            redone.append(f"{sample.sample_id}: gated again: what other samples lend to it changed")
    for line in redone:
        log.warning("%s", line)

    def take(sample: PlannedSample, result: SealedSample | Failed) -> None:
        found[sample.sample_id] = result
        log.info("%s gated again with cuts borrowed from other samples", sample.sample_id)

    _gate_samples(
        to_do, alone.plan, alone.settings, store, pool=pool, take=take, shared=shared, borrowed=borrowed
    )  # fmt: skip
    samples = tuple(found[s.sample_id] for s in alone.plan.samples)
    return replace(alone, samples=samples, redone=(*alone.redone, *redone), by_itself=alone.samples)


def _find_controls(samples: list[PlannedSample], plan: RunPlan, settings: RunSettings, pool: Pool, shared: _Shared):
    """One CAR threshold for each set of controls, so that a subject's series shares one."""
    wanted = {s.control_files: s.controls for s in samples if s.controls and s.control_files not in shared.controls}
    tasks = [Task(key, subject_control, (files, plan.panels, settings, plan.folder)) for key, files in wanted.items()]
    run_tasks(tasks, pool, lambda task, control: shared.controls.update({task.key: control}))


def _find_scales(samples: list[PlannedSample], plan: RunPlan, settings: RunSettings, pool: Pool, shared: _Shared):
    """The scales of each first visit of a series."""
    files = {f.row.file: f for s in samples for f in s.first_visit.values() if f.row.file not in shared.scales}
    tasks = [
        Task(name, first_visit_scales, (f, plan.panels[f.panel_id], settings, plan.folder)) for name, f in files.items()
    ]
    run_tasks(tasks, pool, lambda task, scales: shared.scales.update({task.key: scales}))


def _kept(
    plan: RunPlan, settings: RunSettings, store: Path, content_of: Callable[[Path], str]
) -> tuple[dict[str, SealedSample], tuple[str, ...]]:
    """Samples that are sealed from the same content, and for each of the others that was sealed what changed."""
    sealed = find_sealed(store)
    known = [s for s in plan.samples if s.sample_id in sealed and not any(f.error for f in s.files)]
    # Hashing releases the interpreter's lock; a file is read once, however many samples it is the control of.
    paths = dict.fromkeys(f.path for s in known for f in (*s.files, *s.controls, *s.first_visit.values()))
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
                redone.append(f"{sample.sample_id}: gated again: {changes or 'its result by itself is lost'}")
    return kept, tuple(redone)


def _changes(before: Mapping, now: Mapping) -> Iterator[str]:
    """What differs between two origins, in words."""
    for name in ("cytomrd", "settings", "panel"):
        if before.get(name) != now[name]:
            yield {"cytomrd": "another version", "settings": "other settings", "panel": "another panel"}[name]
    for name, words in (("files", "file"), ("controls", "control"), ("scales", "first visit")):
        earlier = {f["file"]: f for f in before.get(name, ())}
        for file in now[name]:
            if earlier.get(file["file"]) != file:
                yield f"{words} {file['file']} {'changed' if file['file'] in earlier else 'is new'}"
        left = [f for f in earlier if f not in {g["file"] for g in now[name]}]
        yield from (f"{words} {f} is no longer part of it" for f in left)
