"""A run's results on disk, all at once: tables, gates, rare cells, workbook, report, provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cytomrd.report.render import render_report
from cytomrd.report.workbook import write_workbook
from cytomrd.run.model import RunResult
from cytomrd.run.provenance import write_provenance
from cytomrd.run.results import result_tables, write_result_files
from cytomrd.run.staging import staged_folder

__all__ = ["publish"]


def publish(run: RunResult, out: Path, provenance: Mapping[str, object]) -> None:
    """Write the results folder; it takes the place of an older one only when every file is written."""
    run = replace(run, provenance=provenance)
    with staged_folder(out) as stage:
        write_result_files(run, stage)
        write_workbook(result_tables(run), stage / "results.xlsx")
        (stage / "report.html").write_text(render_report(run), "utf-8")
        write_provenance(provenance, stage)
