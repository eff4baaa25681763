"""A study's tables on disk, all at once: CSV, workbook, page, notes, figures, CDISC, and where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from cytomrd import __version__
from cytomrd.errors import CytomrdError, RunError
from cytomrd.report.tables import csv_text
from cytomrd.report.workbook import MAX_NAME, write_workbook
from cytomrd.run.lock import hold_lock
from cytomrd.run.provenance import write_provenance
from cytomrd.run.staging import check_results_folder, staged_folder
from cytomrd.trial.figures.style import standalone
from cytomrd.trial.page import Made, plain_value, render_tables
from cytomrd.trial.study import Study, read_study
from cytomrd.trial.table import OUTCOMES, outcome_figures, outcome_tables, write_exports

__all__ = ["PAGE_NAME", "make_outcomes", "publish_tables"]

PAGE_NAME = "tables.html"
LISTING = "_list"  # ends the name of a listing's sheet


def make_outcomes(study: Study) -> tuple[Made, ...]:
    """Tables and figures of every outcome, in the order of the record."""
    made = []
    for outcome in OUTCOMES:
        try:
            made.append(Made(outcome, outcome_tables(outcome, study), outcome_figures(outcome, study)))
        except CytomrdError as error:
            error.add_note(f"while making outcome {outcome.number}, {outcome.title}")
            raise
    names = [table.id for m in made for table in m.tables]
    assert len(names) == len(set(names)), "two tables share a name"
    return tuple(made)


def publish_tables(folder: Path, out: Path) -> tuple[Study, tuple[Made, ...]]:
    """Write every table of a study folder into ``out``, which appears whole or not at all.

    Raises
    ------
    StudyError
        If the study has a problem that study.toml does not accept; nothing is written then.
    """
    check_results_folder(out, folder)
    _check_own(out)
    study = read_study(folder)
    made = make_outcomes(study)
    with hold_lock(out), staged_folder(out) as stage:
        for name, data in _data_frames(made):
            (stage / f"{name}.csv").write_text(csv_text(*_cells(data)), "utf-8", newline="")
        (stage / "notes.csv").write_text(csv_text(*_cells(_notes(study, made))), "utf-8", newline="")
        write_workbook(_sheets(study, made), stage / "tables.xlsx")
        (stage / PAGE_NAME).write_text(render_tables(study, made), "utf-8")
        _write_figures(made, stage)
        write_exports(study, stage)
        write_provenance(_provenance(study), stage)
    return study, made


def _check_own(out: Path) -> None:
    """Refuse a folder that holds another kind of results, such as those of a run."""
    known = out / "provenance.json"
    if known.is_file() and '"study":' not in known.read_text("utf-8", "replace"):
        raise RunError(f"{out}: holds other results than a study's tables; choose another folder with --out")


def _data_frames(made: Sequence[Made]) -> Iterator[tuple[str, pd.DataFrame]]:
    for m in made:
        for table in m.tables:
            yield table.id, table.data
            if table.listing is not None:
                yield f"{table.id}_listing", table.listing


def _cells(data: pd.DataFrame) -> tuple[list[str], list[list[object]]]:
    rows = data.itertuples(index=False, name=None)
    return [str(c) for c in data.columns], [[plain_value(v) for v in row] for row in rows]


def _notes(study: Study, made: Sequence[Made]) -> pd.DataFrame:
    rows = [{"outcome": "", "table": "", "kind": "remark on the data", "text": text} for text in study.remarks]
    rows += [
        {"outcome": m.outcome.number, "table": table.id, "title": table.title, "kind": kind, "text": text}
        for m in made
        for table in m.tables
        for kind, texts in (("note", table.notes), ("footnote", table.footnotes))
        for text in texts
    ]
    return pd.DataFrame(rows, columns=["outcome", "table", "title", "kind", "text"])


def _sheets(study: Study, made: Sequence[Made]) -> dict[str, tuple[list[str], list[list[object]]]]:
    """Sheet name to columns and rows; a name too long for a sheet is cut and stays unique."""
    sheets: dict[str, tuple[list[str], list[list[object]]]] = {}
    for name, data in (*_data_frames(made), ("notes", _notes(study, made))):
        end = LISTING if name.endswith("_listing") else ""
        stem = name.removesuffix("_listing")[: MAX_NAME - len(end)]
        sheet, number = stem + end, 2
        while sheet in sheets:
            sheet, number = f"{stem[: MAX_NAME - len(end) - 2]}_{number}{end}", number + 1
        sheets[sheet] = _cells(data)
    return sheets


def _write_figures(made: Sequence[Made], stage: Path) -> None:
    figures = [figure for m in made for figure in m.figures]
    if figures:
        (stage / "figures").mkdir()
    for figure in figures:
        (stage / "figures" / f"{figure.id}.svg").write_text(standalone(figure.svg), "utf-8")


def _provenance(study: Study) -> dict[str, object]:
    """What the tables were made from: nothing in it changes from one time of writing to the next."""
    return {
        "cytomrd": __version__,
        "study": study.settings.id,
        "settings": study.settings.model_dump(mode="json"),
        "inputs": study.sources,
        "runs": {
            run: {key: known.get(key) for key in ("cytomrd", "fingerprint", "inputs", "panels", "finished")}
            for run, known in study.provenance.items()
        },
        "accepted": [
            {"id": p.key, "table": p.table, "row": p.row, "column": p.column, "seen": p.seen, "reason": reason}
            for p, reason in study.accepted
        ],
        "warnings": [str(p) for p in study.warnings],
    }
