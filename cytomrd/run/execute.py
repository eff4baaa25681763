"""Carrying out a plan: controls first, then every tube and the clones of every sample, over worker processes.

A sample that fails is boxed with its reason and the others go on. What is drawn
together over samples (the limit of blank, the CAR threshold of a subject) is
decided here, in the order of the plan, so the number of jobs changes nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from cytomrd.errors import CytomrdError
from cytomrd.panel import Panel
from cytomrd.run.blanks import Blank
from cytomrd.run.car_nk_sample import SubjectControl, finish_car_nk, subject_control
from cytomrd.run.gate_file import GatedFile, gate_file
from cytomrd.run.memory import admitted_jobs, refusal
from cytomrd.run.model import RunResult, SampleResult
from cytomrd.run.mrd_sample import ClonesOfSample, call_sample, finish_mrd
from cytomrd.run.plan import PlannedFile, PlannedSample, RunPlan
from cytomrd.run.settings import RunSettings
from cytomrd.run.tracking import track_clones
from cytomrd.run.workers import Task, run_tasks

__all__ = ["execute_plan"]

Progress = Callable[[str, int], None]


@dataclass(frozen=True, eq=False)
class GatedSample:
    """A sample after gating and before what needs the other samples."""

    planned: PlannedSample
    files: tuple[GatedFile, ...] = ()
    clones: ClonesOfSample | None = None
    errors: tuple[str, ...] = ()


def execute_plan(
    plan: RunPlan,
    settings: RunSettings,
    *,
    jobs: int = 1,
    max_memory_mb: float | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Gate every sample of the plan and quantify it.

    Parameters
    ----------
    plan
        From :func:`cytomrd.run.plan.plan_run`.
    settings
        Choices of this run.
    jobs
        Worker processes; the results do not depend on it.
    max_memory_mb
        What all processes together may hold, in MB: fewer jobs run at once where they would hold more, and a file
        that alone needs more is refused.
    progress
        Called with (sample id, events done) as each sample ends.
    """
    jobs = admitted_jobs(plan, jobs, max_memory_mb)
    controls = _subject_controls(plan, settings, jobs)
    gated = _Gating(plan, settings, controls, max_memory_mb, progress).run(jobs)
    ordered = [gated[s.sample_id] for s in plan.samples]
    blanks = _blanks(ordered)
    samples = tuple(_finish(s, plan.panels, controls.get(_control_key(s.planned)), blanks, settings) for s in ordered)
    return RunResult(folder=str(plan.folder), samples=track_clones(samples), notes=plan.notes, provenance={})


def _control_key(sample: PlannedSample) -> tuple[str, ...]:
    return tuple(f.row.file for f in sample.controls)


def _subject_controls(plan: RunPlan, settings: RunSettings, jobs: int) -> dict[tuple[str, ...], SubjectControl]:
    """One CAR threshold for each set of controls, so that a subject's series shares one."""
    wanted: dict[tuple[str, ...], PlannedSample] = {}
    for sample in plan.samples:
        if sample.controls:
            wanted.setdefault(_control_key(sample), sample)
    found: dict[tuple[str, ...], SubjectControl] = {}
    tasks = [Task(key, subject_control, (s.controls, plan.panels, settings, plan.folder)) for key, s in wanted.items()]
    run_tasks(tasks, jobs, lambda task, control: found.update({task.key: control}))
    return found


@dataclass(eq=False)
class _Gating:
    """Tubes gated one by one in any order; the clones of a sample called as soon as its last tube is there."""

    plan: RunPlan
    settings: RunSettings
    controls: Mapping[tuple[str, ...], SubjectControl]
    max_memory_mb: float | None
    progress: Progress | None
    done: dict[str, GatedSample] = field(default_factory=dict)
    tubes: dict[str, dict[int, GatedFile | str]] = field(default_factory=dict)

    def run(self, jobs: int) -> dict[str, GatedSample]:
        tasks = []
        # The largest first, so that none is left over for one worker at the end.
        for sample in sorted(self.plan.samples, key=lambda s: -sum(f.n_events for f in s.files)):
            reasons = [(f, f.error or refusal(f, self.max_memory_mb)) for f in sample.files]
            errors = tuple(f"{f.row.file}: {reason}" for f, reason in reasons if reason)
            if errors:
                self._end(GatedSample(sample, errors=errors))
            else:
                tasks += [(sample, index) for index in range(len(sample.files))]
        # Jobs without a tube of their own help to read and gate those there are.
        n_threads = max(1, jobs // max(1, len(tasks)))
        run_tasks([self._tube_task(*task, n_threads) for task in tasks], jobs, self._take)
        return self.done

    def _tube_task(self, sample: PlannedSample, index: int, n_threads: int) -> Task:
        file = sample.files[index]
        control = self.controls.get(_control_key(sample))
        cuts = {control.cut.cut: control.cut} if control is not None and control.cut is not None else {}
        panel = self.plan.panels[file.panel_id]
        return Task((sample, index), _gate_tube, (file, panel, self.settings, self.plan.folder, cuts, n_threads))

    def _take(self, task: Task, result) -> list[Task]:
        sample, index = task.key
        if index is None:
            self._end(_with_clones(self.done[sample.sample_id], result))
            return []
        tubes = self.tubes.setdefault(sample.sample_id, {})
        tubes[index] = result
        if len(tubes) < len(sample.files):
            return []
        in_order = [tubes[i] for i in range(len(tubes))]
        errors = tuple(t for t in in_order if isinstance(t, str))
        panel = self.plan.panels[sample.files[0].panel_id]
        if errors or panel.mrd is None:
            self._end(GatedSample(sample, () if errors else tuple(in_order), errors=errors))
            return []
        self.done[sample.sample_id] = GatedSample(sample, tuple(in_order))
        return [Task((sample, None), _call_clones, (tuple(in_order), panel, self.settings))]

    def _end(self, sample: GatedSample) -> None:
        self.done[sample.planned.sample_id] = sample
        self.tubes.pop(sample.planned.sample_id, None)
        if self.progress is not None:
            self.progress(sample.planned.sample_id, sum(f.n_events for f in sample.planned.files))


def _with_clones(sample: GatedSample, result: ClonesOfSample | str) -> GatedSample:
    if isinstance(result, str):
        return GatedSample(sample.planned, errors=(result,))
    return replace(sample, clones=result)


def _boxed(function: Callable):
    """What ``function()`` returns, or its error in words."""
    try:
        return function()
    except (CytomrdError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    except Exception as error:  # a defect of ours must not cost the rest of the batch
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        return f"internal error, please report: {type(error).__name__}: {error}\n{where}"


def _gate_tube(file: PlannedFile, panel: Panel, settings: RunSettings, folder, cuts, n_threads: int) -> GatedFile | str:
    return _boxed(lambda: gate_file(file, panel, settings, folder, controls=cuts, n_threads=n_threads))


def _call_clones(files: tuple[GatedFile, ...], panel: Panel, settings: RunSettings) -> ClonesOfSample | str:
    return _boxed(lambda: call_sample(files, panel, settings))


def _blanks(samples: list[GatedSample]) -> dict[str, list[Blank]]:
    """The run's negative marrows, by panel: what the limit of blank is made from."""
    blanks: dict[str, list[Blank]] = {}
    for sample in samples:
        if sample.clones is not None and sample.planned.role == "negative":
            files = [f.result for f in sample.files]
            blank = sample.clones.as_blank(files, held=any(f.qc.held for f in files))
            blanks.setdefault(files[0].panel_id, []).append(blank)
    return blanks


def _finish(sample: GatedSample, panels, control, blanks: Mapping[str, list[Blank]], settings) -> SampleResult:
    planned = sample.planned
    rows = tuple(f.row for f in planned.files)
    if sample.errors:
        return SampleResult(planned.sample_id, rows, planned.assay, "failed", errors=sample.errors)
    panel = panels[planned.files[0].panel_id]
    held = any(f.result.qc.held for f in sample.files)
    result = SampleResult(
        planned.sample_id,
        rows,
        panel.assay,
        "held" if held else "done",
        files=tuple(f.result for f in sample.files),
        panel=panel,
    )
    try:
        if sample.clones is not None:
            result = finish_mrd(result, sample.clones, panel, blanks.get(panel.id, []), settings)
        elif panel.car_nk is not None and planned.role in ("sample", "pre_infusion"):
            result = finish_car_nk(result, panel, control)
    except CytomrdError as error:
        return replace(result, status="failed", errors=(f"{type(error).__name__}: {error}",))
    return result
