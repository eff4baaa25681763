"""The in-silico ladder carried out: each mixture through the whole chain, all of it summarised and tabled."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from cytomrd import schema
from cytomrd.errors import CytomrdError
from cytomrd.mrd.ladder import Criterion, Mixture, Rung, judge_ladder, summarise_ladder
from cytomrd.panel import Panel
from cytomrd.run.finish import analyse_marrow
from cytomrd.run.kept_mixtures import KeptMixtures
from cytomrd.run.ladder_plan import LadderPlan, PlannedMixture
from cytomrd.run.mixtures import clonal_positions
from cytomrd.run.plan import PlannedSample, rows_to_files
from cytomrd.run.settings import RunSettings
from cytomrd.run.workers import Failed, Pool, Task, run_tasks
from cytomrd.schema import table_to_csv

__all__ = ["ValidationResult", "run_ladder", "validation_tables"]

Progress = Callable[[int, str], None]


@dataclass(frozen=True, eq=False)
class ValidationResult:
    """A ladder carried out."""

    plan: LadderPlan
    mixtures: tuple[Mixture, ...]
    rungs: tuple[Rung, ...]
    criteria: tuple[Criterion, ...]


def run_ladder(
    plan: LadderPlan, *, pool: Pool, store: Path | None = None, progress: Progress | None = None
) -> ValidationResult:
    """Send every mixture through the whole chain, FCS to status, and summarise.

    Parameters
    ----------
    plan
        From :func:`plan_simulated_ladder` or :func:`plan_own_ladder`.
    pool
        The workers; the results do not depend on them.
    store
        Where finished mixtures are kept; those that are there, made from the same, are not made again.
    progress
        Called with (nucleated cells done, what is done) after each mixture.

    Raises
    ------
    StorageError
        If a mixture cannot be kept; those before it are.
    """
    settings = plan.run_settings
    if plan.folder is not None and settings.spillover is not None:
        # The mixtures carry the matrix themselves.
        settings = settings.model_copy(update={"spillover": None})
    kept = KeptMixtures(store, plan)
    found: dict[int, Mixture] = {}

    def end(index: int, mixture: Mixture) -> None:
        found[index] = mixture
        if progress is not None:
            progress(sum(m.n_wanted for m in found.values()), f"{mixture.group} {mixture.level:.3g}")

    def take(task: Task, mixture: Mixture | Failed) -> None:
        if isinstance(mixture, Failed):
            mixture = replace(plan.mixtures[task.key].described, error=str(mixture))
        kept.keep(task.key, mixture)
        end(task.key, mixture)

    for index, mixture in kept.found():
        end(index, mixture)
    tasks = [
        Task(i, _run_mixture, (m, plan.panel, settings, plan.run_settings))
        for i, m in enumerate(plan.mixtures)
        if i not in found
    ]
    run_tasks(tasks, pool, take)
    kept.clear_others()
    mixtures = tuple(found[i] for i in range(len(plan.mixtures)))
    rungs = summarise_ladder(mixtures, lod_events=plan.panel.mrd.lod_events)
    return ValidationResult(plan, mixtures, rungs, judge_ladder(rungs))


def _run_mixture(planned: PlannedMixture, panel: Panel, settings: RunSettings, writing: RunSettings) -> Mixture:
    """Write a mixture, gate it as ``cytomrd gate`` does, and compare with what was put in.

    ``writing`` are the settings by which own files are read; a matrix that they name is written into the mixture.
    """
    with tempfile.TemporaryDirectory(prefix="cytomrd-") as folder:
        try:
            tubes = planned.source.write(Path(folder), writing)
            files = tuple(rows_to_files(Path(folder), [t.row for t in tubes], panel))
            unusable = [f"{f.row.file}: {f.error}" for f in files if f.error]
            if unusable:
                return replace(planned.described, error="; ".join(unusable))
            marrow = PlannedSample("mixture", panel.assay, files)
            sample = analyse_marrow(marrow, panel, settings, folder=Path(folder))
        except (CytomrdError, OSError) as error:
            return replace(planned.described, error=f"{type(error).__name__}: {error}")
    n_true = sum(len(t.clonal) for t in tubes)
    if sample.mrd is None:
        return replace(planned.described, n_true=n_true, error="; ".join(sample.errors) or "no result")
    n_right = sum(
        int(np.isin(clonal_positions(cells.labels, cells.events), tube.clonal).sum())
        for file, tube in zip(sample.files, tubes, strict=True)
        for cells in file.rare
    )
    mrd, with_gates = sample.mrd, sample.interval_with_gates or (None, None)
    return replace(
        planned.described,
        n_true=n_true,
        n_nucleated=mrd.n_nucleated,
        n_plasma_cells=mrd.n_plasma_cells,
        n_clonal=mrd.n_clonal_pc,
        n_right=n_right,
        n_indeterminate=mrd.n_indeterminate_pc,
        fraction=mrd.mrd_fraction,
        low=mrd.ci_low,
        high=mrd.ci_high,
        low_with_gates=with_gates[0],
        high_with_gates=with_gates[1],
    )


def validation_tables(result: ValidationResult) -> dict[str, str]:
    """Names and texts of the CSV files: every mixture, every level, every rung, every target."""
    return {
        "mixtures.csv": _csv(schema.MIXTURES, [asdict(m) for m in result.mixtures]),
        "levels.csv": _csv(
            schema.LADDER_LEVELS,
            [{"group": r.group, "n_wanted": r.n_wanted, **asdict(s)} for r in result.rungs for s in r.levels],
        ),
        "ladders.csv": _csv(schema.LADDERS, [_rung_row(r) for r in result.rungs]),
        "targets.csv": _csv(schema.LADDER_TARGETS, [asdict(c) for c in result.criteria]),
    }


def _csv(columns: Sequence[schema.Column], rows: Sequence[dict]) -> str:
    return table_to_csv(columns, [{c.name: row[c.name] for c in columns} for row in rows])


def _rung_row(rung: Rung) -> dict[str, object]:
    blank, line = rung.blank, rung.line
    return {
        **{name: getattr(rung, name) for name in (
            "group", "n_wanted", "threshold", "n_blanks", "n_blanks_positive", "false_per_million", "false_low",
            "false_high", "lod",
        )},
        "lob_events": blank.lob_events if blank is not None else None,
        "lob_high_events": blank.high_events if blank is not None else None,
        "lod_events": blank.lod_events if blank is not None else None,
        "slope": line.slope if line is not None else None,
        "slope_low": line.slope_low if line is not None else None,
        "slope_high": line.slope_high if line is not None else None,
        "r_squared": line.r_squared if line is not None else None,
    }  # fmt: skip
