"""A run's results on disk, all at once: tables, gates, rare cells, workbook, report, provenance."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cytomrd.report.cells import compared_with
from cytomrd.report.parts import Part, PartJob, write_part
from cytomrd.report.render import anchor_of, render_page
from cytomrd.report.verdict import Verdict
from cytomrd.report.workbook import write_workbook
from cytomrd.run.execute import GatedRun
from cytomrd.run.model import RunResult
from cytomrd.run.provenance import write_provenance
from cytomrd.run.results import result_tables, write_tables
from cytomrd.run.sealed import UNFINISHED, SealedSample, storage_errors
from cytomrd.run.staging import staged_folder
from cytomrd.run.workers import Failed, Pool, Task, run_tasks

__all__ = ["PublishedRun", "publish"]


@dataclass(frozen=True, eq=False)
class PublishedRun:
    """The run as its tables say it, and the verdict of each sample."""

    result: RunResult
    verdicts: tuple[Verdict, ...]


def publish(
    run: GatedRun,
    out: Path,
    store: Path,
    *,
    pool: Pool,
    describe: Callable[[RunResult], Mapping[str, object]],
    check: Callable[[], None],
) -> PublishedRun:
    """Write the results folder; it takes the place of an older one only when every file is written.

    Each sample's part is made by the workers; here the parts are joined. ``describe`` gives the provenance, ``check``
    raises where the folder is no longer ours to write.

    Raises
    ------
    StorageError
        If the folder cannot be written; the older one stays, and so do finished samples.
    """
    with (
        storage_errors(out),
        staged_folder(out) as stage,
        tempfile.TemporaryDirectory(dir=store, prefix=UNFINISHED) as articles,
    ):
        jobs = _jobs(run, Path(articles), stage)
        parts = _parts(jobs, pool)
        result = RunResult(str(run.plan.folder), tuple(p.sample for p in parts), run.plan.notes, {})
        result = replace(result, provenance=describe(result))
        write_tables(result, stage)
        write_workbook(result_tables(result), stage / "results.xlsx")
        verdicts = tuple(p.verdict for p in parts)
        with (stage / "report.html").open("w", encoding="utf-8", newline="") as page:
            page.writelines(render_page(result, verdicts, lambda i: jobs[i].article.read_text("utf-8")))
        write_provenance(result.provenance, stage)
        check()
    return PublishedRun(result, verdicts)


def _jobs(run: GatedRun, articles: Path, stage: Path) -> list[PartJob]:
    of_subject: dict[str, list] = {}
    for planned, sealed in run.pairs:
        if isinstance(sealed, SealedSample):
            of_subject.setdefault(planned.files[0].row.subject_id, []).append((planned, sealed))
    blanks = run.blanks
    return [
        PartJob(
            sample=planned,
            sealed=sealed,
            compared=compared_with(planned, of_subject.get(planned.files[0].row.subject_id, ())),
            panels=run.plan.panels,
            blanks=blanks,
            settings=run.settings,
            anchor=anchor_of(index),
            article=articles / f"{index}.html",
            results=stage,
        )
        for index, (planned, sealed) in enumerate(run.pairs)
    ]


def _parts(jobs: list[PartJob], pool: Pool) -> list[Part]:
    found: dict[int, Part] = {}

    def take(task: Task, part: Part | Failed) -> None:
        if isinstance(part, Failed):
            part = write_part(replace(jobs[task.key], sealed=part, compared=()))
        found[task.key] = part

    run_tasks([Task(i, write_part, (job,)) for i, job in enumerate(jobs)], pool, take)
    return [found[i] for i in range(len(jobs))]
