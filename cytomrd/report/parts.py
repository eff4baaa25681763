"""What a worker makes of one sample for the results: its part of the report, and its own files."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cytomrd.gating.gates import GatingStrategy
from cytomrd.panel import Panel
from cytomrd.report.render import render_article
from cytomrd.report.verdict import Verdict, describe_sample
from cytomrd.run.blanks import Blank
from cytomrd.run.finish import failed_sample, finish_sample
from cytomrd.run.gate_sample import RESULT_FILES, read_gated
from cytomrd.run.model import RunResult, SampleResult
from cytomrd.run.plan import PlannedSample
from cytomrd.run.results import sample_folder
from cytomrd.run.sealed import SealedSample, storage_errors
from cytomrd.run.settings import RunSettings
from cytomrd.run.tracking import track_clone
from cytomrd.run.workers import Failed

__all__ = ["Part", "PartJob", "write_part"]


@dataclass(frozen=True, eq=False)
class PartJob:
    """A sample with what it is seen beside, and where its article (``article``) and files (``results``) go."""

    sample: PlannedSample
    sealed: SealedSample | Failed
    compared: tuple[tuple[PlannedSample, SealedSample], ...]
    panels: Mapping[str, Panel]
    blanks: Mapping[str, Sequence[Blank]]
    settings: RunSettings
    anchor: str
    article: Path
    results: Path


@dataclass(frozen=True, eq=False)
class Part:
    """A finished sample without its events: what tables and the page's overview say of it."""

    sample: SampleResult
    verdict: Verdict


def write_part(job: PartJob) -> Part:
    """Finish a sample, write its article and its files."""
    sample = _finished(job, job.sample, job.sealed)
    others = tuple(_finished(job, *pair) for pair in job.compared)
    sample = track_clone(sample, others)
    verdict = describe_sample(sample)
    article = render_article(RunResult("", (sample, *others), (), {}), sample, verdict, job.anchor)
    with storage_errors(job.results):
        job.article.write_text(article, "utf-8")
        if isinstance(job.sealed, SealedSample):
            own = job.results / sample_folder(sample.sample_id)
            own.mkdir(parents=True, exist_ok=True)
            for path in (job.sealed.folder / RESULT_FILES).iterdir():
                shutil.copyfile(path, own / path.name)
    return Part(_without_events(sample), verdict)


def _finished(job: PartJob, planned: PlannedSample, sealed: SealedSample | Failed) -> SampleResult:
    if isinstance(sealed, Failed):
        return failed_sample(planned, sealed.reasons)
    panel = job.panels[planned.files[0].panel_id]
    gated = read_gated(sealed)
    return finish_sample(planned, gated, panel, blanks=job.blanks.get(panel.id, ()), settings=job.settings)


def _without_events(sample: SampleResult) -> SampleResult:
    files = tuple(replace(f, strategy=GatingStrategy(()), gate_plots=(), time_plot=None, rare=()) for f in sample.files)
    return replace(sample, files=files, clones=None)
