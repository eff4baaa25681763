"""Clusters of a run: a map and metaclusters of each tube, its events as AnnData, and one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cytomrd import schema
from cytomrd.errors import CytomrdError, RunError
from cytomrd.gating.gates import ROOT
from cytomrd.panel import Panel
from cytomrd.run.car_nk_sample import subject_control
from cytomrd.run.cluster_tube import ClusterChoices, TubeClusters, cluster_tube
from cytomrd.run.memory import admitted_jobs, cluster_memory_mb, refusal
from cytomrd.run.plan import PlannedFile, PlannedSample, RunPlan
from cytomrd.run.results import safe_name
from cytomrd.run.settings import RunSettings
from cytomrd.run.staging import staged_folder
from cytomrd.run.workers import Failed, LocalPool, Task, run_tasks
from cytomrd.schema import Column, table_to_csv

__all__ = ["ClusteredSample", "cluster_run"]

TABLE_NAME = "clusters.csv"


@dataclass(frozen=True, eq=False)
class ClusteredSample:
    """The tubes of a sample, clustered; or why they are not."""

    sample_id: str
    tubes: tuple[TubeClusters, ...] = ()
    error: str | None = None


def cluster_run(
    plan: RunPlan,
    settings: RunSettings,
    out: Path,
    *,
    choices: ClusterChoices | None = None,
    jobs: int = 1,
    max_memory_mb: float | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> tuple[ClusteredSample, ...]:
    """Cluster every tube of the plan; write ``clusters.csv`` and a ``<sample_id>-<tube>.h5ad`` for each into ``out``.

    A sample that fails is left out with its reason, and the others go on. ``out`` is replaced when all is written.

    Parameters
    ----------
    plan
        From :func:`cytomrd.run.plan.plan_run`.
    settings
        Choices of the run; its ``random_state`` seeds gates and maps.
    out
        The folder to write.
    choices
        Choices of the clustering.
    jobs
        Worker processes; the results do not depend on it.
    max_memory_mb
        What all processes together may hold, in MB: fewer jobs run at once where they would hold more, and a sample
        with a file that alone needs more is refused.
    progress
        Called with (sample id, events done) as each sample ends.

    Raises
    ------
    RunError
        If no panel of the run has the population asked for, or not even an empty process fits into the memory.
    """
    choices = choices or ClusterChoices()
    _check_population(plan, choices.population)
    jobs = admitted_jobs(plan, jobs, max_memory_mb, need=cluster_memory_mb)
    controls = _controls(plan, settings)
    names = iter(_file_names(plan))
    found: dict[str, ClusteredSample] = {}
    targets_of: dict[str, list[Path]] = {}

    def end(sample: PlannedSample, clustered: ClusteredSample) -> None:
        found[sample.sample_id] = clustered
        if progress is not None:
            progress(sample.sample_id, sum(f.n_events for f in sample.files))

    def take(task: Task, result: tuple[TubeClusters, ...] | Failed) -> None:
        sample: PlannedSample = task.key
        if isinstance(result, Failed):
            for target in targets_of[sample.sample_id]:
                target.unlink(missing_ok=True)
            end(sample, ClusteredSample(sample.sample_id, error=str(result)))
        else:
            end(sample, ClusteredSample(sample.sample_id, result))

    with staged_folder(out) as stage:
        tasks = []
        for sample in plan.samples:
            targets = targets_of[sample.sample_id] = [stage / next(names) for _ in sample.files]
            if reason := _too_large(sample, max_memory_mb):
                end(sample, ClusteredSample(sample.sample_id, error=reason))
                continue
            cuts = controls.get(sample.control_files)
            arguments = (sample, plan.panels, settings, choices, plan.folder, cuts, targets)
            tasks.append(Task(sample, _cluster_sample, arguments))
        # The largest first, so that none is left over for one worker at the end.
        tasks.sort(key=lambda t: -sum(f.n_events for f in t.key.files))
        with LocalPool(jobs) as pool:
            run_tasks(tasks, pool, take)
        samples = tuple(found[s.sample_id] for s in plan.samples)
        (stage / TABLE_NAME).write_text(_table(samples), "utf-8", newline="")
    return samples


def _too_large(sample: PlannedSample, max_memory_mb: float | None) -> str | None:
    """Why a sample cannot be clustered within the memory allowed, or None."""
    reasons = ((f, refusal(f, max_memory_mb, need=cluster_memory_mb)) for f in sample.files)
    return "; ".join(f"{f.row.file}: {reason}" for f, reason in reasons if reason) or None


def _check_population(plan: RunPlan, population: str | None) -> None:
    if population is None or population == ROOT or not plan.panels:
        return
    known = {p.id: [spec.name for spec in p.populations] for p in plan.panels.values()}
    if not any(population in names for names in known.values()):
        lists = "; ".join(f"{panel}: {', '.join(names)}" for panel, names in known.items())
        raise RunError(f"no panel of this run has a population {population!r}. They have {lists}")


def _file_names(plan: RunPlan) -> list[str]:
    """A file name for each tube, in the order of the plan; a name that is taken gets a number."""
    names: list[str] = []
    for sample in plan.samples:
        for file in sample.files:
            stem = f"{safe_name(sample.sample_id)}-{safe_name(file.tube or 'unknown')}"
            name, number = f"{stem}.h5ad", 1
            # without regard to case, as some file systems compare
            while name.casefold() in {n.casefold() for n in names}:
                number += 1
                name = f"{stem} ({number}).h5ad"
            names.append(name)
    return names


def _controls(plan: RunPlan, settings: RunSettings) -> dict[tuple[str, ...], dict]:
    """The CAR cut of each set of controls, so that populations are those that `gate` finds."""
    wanted = {s.control_files: s.controls for s in plan.samples if s.controls}
    found = {}
    for key, controls in wanted.items():
        cut = subject_control(controls, plan.panels, settings, plan.folder).cut
        found[key] = {cut.cut: cut} if cut is not None else {}
    return found


def _cluster_sample(sample: PlannedSample, panels: Mapping[str, Panel], settings, choices, folder, controls, targets):
    tubes = []
    for file, target in zip(sample.files, targets, strict=True):
        if file.error:
            raise RunError(f"{file.row.file}: {file.error}")
        tubes.append(_cluster_file(file, panels, settings, choices, folder, controls, target))
    return tuple(tubes)


def _cluster_file(file: PlannedFile, panels, settings, choices, folder, controls, target: Path) -> TubeClusters:
    try:
        return cluster_tube(
            file, panels[file.panel_id], settings, target, choices=choices, folder=folder, controls=controls
        )
    except CytomrdError as error:
        error.add_note(f"file {file.row.file}")
        raise


def _table(samples: tuple[ClusteredSample, ...]) -> str:
    tubes = [tube for sample in samples for tube in sample.tubes]
    markers = list(dict.fromkeys(m for tube in tubes for m in tube.markers))
    medians = tuple(
        Column(f"median_transformed_{m}", "number", f"median of {m} on the panel's scale, 0 to 1") for m in markers
    )
    rows = [
        {**{c.name: None for c in medians}, **row}
        for tube in tubes
        for row in tube.rows
    ]  # fmt: skip
    return table_to_csv((*schema.CLUSTERS, *medians), rows)
