"""Carrying out a plan: controls and blanks first, then the samples, each in a process of its own.

A sample that fails is boxed with its reason and the others go on. What is drawn
together over samples (the limit of blank, the CAR threshold of a subject) is
decided here, in the order of the plan, so the number of jobs changes nothing.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context

from cytomrd.errors import CytomrdError
from cytomrd.panel import Panel
from cytomrd.run.car_nk_sample import SubjectControl, finish_car_nk, subject_control
from cytomrd.run.gate_file import GatedFile, gate_file
from cytomrd.run.model import RunResult, SampleResult
from cytomrd.run.mrd_sample import Blank, ClonesOfSample, call_sample, finish_mrd
from cytomrd.run.plan import PlannedFile, PlannedSample, RunPlan
from cytomrd.run.settings import RunSettings

__all__ = ["execute_plan", "run_tasks"]

Progress = Callable[[str, int], None]


@dataclass(frozen=True, eq=False)
class GatedSample:
    """A sample after gating and before what needs the other samples."""

    planned: PlannedSample
    files: tuple[GatedFile, ...]
    clones: ClonesOfSample | None
    errors: tuple[str, ...] = ()


def execute_plan(plan: RunPlan, settings: RunSettings, *, jobs: int = 1, progress: Progress | None = None) -> RunResult:
    """Gate every sample of the plan and quantify it.

    Parameters
    ----------
    plan
        From :func:`cytomrd.run.plan.plan_run`.
    settings
        Choices of this run.
    jobs
        Worker processes; the results do not depend on it.
    progress
        Called with (sample id, events done) as each sample ends.
    """
    controls = _subject_controls(plan, settings, jobs)
    tasks = [(s, plan.panels, settings, plan.folder, controls.get(_control_key(s))) for s in plan.samples]
    gated: dict[str, GatedSample] = {}
    for sample in run_tasks(_gate_sample, tasks, jobs):
        gated[sample.planned.sample_id] = sample
        if progress is not None:
            progress(sample.planned.sample_id, sum(f.n_events for f in sample.planned.files))
    ordered = [gated[s.sample_id] for s in plan.samples]
    blanks = _blanks(ordered)
    samples = tuple(_finish(s, plan.panels, controls.get(_control_key(s.planned)), blanks, settings) for s in ordered)
    return RunResult(folder=str(plan.folder), samples=samples, notes=plan.notes, provenance={})


def run_tasks(function, tasks: list[tuple], jobs: int) -> Iterator:
    """Call ``function`` with each task, in this process or in several; results come as they are done."""
    if jobs <= 1 or len(tasks) <= 1:
        yield from (function(*task) for task in tasks)
        return
    # One task alone compiles and caches the kernels, so that no two workers write the cache at once.
    first, *rest = sorted(tasks, key=_size)
    yield function(*first)
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(function, *task) for task in reversed(rest)]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _size(task: tuple) -> int:
    planned = task[0] if isinstance(task[0], PlannedSample) else task[1]
    files = planned.files if isinstance(planned, PlannedSample) else planned
    return sum(f.n_events for f in files)


def _control_key(sample: PlannedSample) -> tuple[str, ...]:
    return tuple(f.row.file for f in sample.controls)


def _subject_controls(plan: RunPlan, settings: RunSettings, jobs: int) -> dict[tuple[str, ...], SubjectControl]:
    """One CAR threshold for each set of controls, so that a subject's series shares one."""
    wanted: dict[tuple[str, ...], PlannedSample] = {}
    for sample in plan.samples:
        if sample.controls:
            wanted.setdefault(_control_key(sample), sample)
    tasks = [(key, s.controls, plan.panels, settings, plan.folder) for key, s in wanted.items()]
    return dict(run_tasks(_control_task, tasks, jobs))


def _control_task(key, controls: tuple[PlannedFile, ...], panels: Mapping[str, Panel], settings, folder):
    return key, subject_control(controls, panels, settings, folder)


def _gate_sample(sample: PlannedSample, panels, settings: RunSettings, folder, control) -> GatedSample:
    errors = [f"{f.row.file}: {f.error}" for f in sample.files if f.error]
    if errors:
        return GatedSample(sample, (), None, tuple(errors))
    controls = {control.cut.cut: control.cut} if control is not None and control.cut is not None else {}
    try:
        files = tuple(gate_file(f, panels[f.panel_id], settings, folder, controls=controls) for f in sample.files)
        panel = panels[sample.files[0].panel_id]
        clones = call_sample(files, panel, settings) if panel.mrd is not None else None
    except (CytomrdError, OSError) as error:
        return GatedSample(sample, (), None, (f"{type(error).__name__}: {error}",))
    except Exception as error:  # a defect of ours must not cost the rest of the batch
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        return GatedSample(
            sample, (), None, (f"internal error, please report: {type(error).__name__}: {error}\n{where}",)
        )
    return GatedSample(sample, files, clones)


def _blanks(samples: list[GatedSample]) -> dict[str, list[Blank]]:
    """The run's negative marrows, by panel: what the limit of blank is made from."""
    blanks: dict[str, list[Blank]] = {}
    for sample in samples:
        if sample.clones is not None and sample.planned.role == "negative":
            blanks.setdefault(sample.planned.files[0].panel_id, []).append(sample.clones.blank)
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
