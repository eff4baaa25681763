"""The samplesheet of a run folder: one row a file, read whole or refused with every problem at once."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path

from cytomrd.errors import PanelError, SamplesheetError
from cytomrd.panel import Panel
from cytomrd.panel.library import read_panel
from cytomrd.samplesheet.cells import COLUMNS, has_time_of_day
from cytomrd.samplesheet.checks import (
    check_file,
    check_panel_and_tube,
    check_row,
    check_rows_together,
    filled_from_specimen,
)
from cytomrd.samplesheet.table import Table, read_table

__all__ = [
    "SAMPLESHEET_NAME",
    "SampleRow",
    "Samplesheet",
    "find_fcs_files",
    "format_samplesheet",
    "load_samplesheet",
    "read_samplesheet",
]

SAMPLESHEET_NAME = "samplesheet.csv"
REQUIRED = ("file", "sample_id")
FCS_SUFFIXES = (".fcs", ".lmd")


@dataclass(frozen=True)
class SampleRow:
    """One file of a run, as the samplesheet says it; the columns are in spec order.

    A text that is not given is ``""``, a number or time that is not given is None.
    ``day`` counts from the first infusion (0); ``sample_volume_ul`` is in microlitres;
    ``wbc_10e9_per_l`` in 10^9 cells per litre; ``row`` as a spreadsheet counts, the header being 1.
    """

    file: str
    sample_id: str
    subject_id: str = ""
    visit: str = ""
    day: float | None = None
    collected_at: datetime | None = None
    acquired_at: datetime | None = None
    matrix: str = ""
    panel: str = ""
    tube: str = ""
    role: str = "sample"
    stain: str = ""
    prior_therapy: tuple[str, ...] = ()
    pull: int | None = None
    beads_per_tube: float | None = None
    bead_lot: str = ""
    sample_volume_ul: float | None = None
    dilution: float | None = None
    wbc_10e9_per_l: float | None = None
    cbc_at: datetime | None = None
    row: int = 0


@dataclass(frozen=True)
class Samplesheet:
    """The rows of a samplesheet, and what is worth knowing about it without being wrong."""

    rows: tuple[SampleRow, ...]
    notes: tuple[str, ...] = ()


def read_samplesheet(folder: str | Path) -> tuple[SampleRow, ...]:
    """Rows of ``folder/samplesheet.csv``, in its order.

    Parameters
    ----------
    folder
        The run folder.

    Raises
    ------
    SamplesheetError
        If anything is wrong; ``problems`` lists everything, each with its row and a remedy.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cytomrd.samplesheet.sheet import read_samplesheet
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.fcs").write_bytes(b"FCS3.1")
    >>> _ = (folder / "samplesheet.csv").write_text("file,sample_id,matrix,day\\na.fcs,S1,BM,28\\n")
    >>> read_samplesheet(folder)[0].day
    28.0
    """
    return load_samplesheet(folder).rows


def load_samplesheet(folder: str | Path, *, missing_ok: bool = False) -> Samplesheet:
    """As :func:`read_samplesheet`, with notes: files that are not listed, dates without an hour, filled blanks.

    ``missing_ok`` allows rows of files that are not there (yet).

    Raises
    ------
    SamplesheetError
        If anything is wrong; ``problems`` lists everything.
    """
    folder = Path(folder)
    path = folder / SAMPLESHEET_NAME
    if not path.is_file():
        problem = f"{path} is missing; `cytomrd samplesheet {folder}` writes a draft to edit"
        raise SamplesheetError(problem, (problem,))
    reader = _Reader(folder, missing_ok)
    rows = reader.read(path)
    if reader.problems:
        problems = tuple(sorted(dict.fromkeys(reader.problems), key=_row_of))
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        listed = "\n".join(f"  {p}" for p in problems)
        raise SamplesheetError(f"{path} has {count}; nothing was done:\n{listed}", problems)
    return Samplesheet(rows, tuple(reader.notes))


def find_fcs_files(folder: str | Path) -> tuple[str, ...]:
    """Files that look like FCS (``.fcs``, ``.lmd``) at any depth, as sorted paths relative to the folder.

    Hidden files and folders are passed over, and so are links that lead out of the folder.
    """
    folder = Path(folder)
    inside = folder.resolve()
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in names:
            path = Path(here) / name
            if name.startswith(".") or path.suffix.lower() not in FCS_SUFFIXES:
                continue
            if path.is_file() and path.resolve().is_relative_to(inside):
                found.append(path.relative_to(folder).as_posix())
    return tuple(sorted(found))


def format_samplesheet(rows: Iterable[SampleRow]) -> str:
    """The text of a samplesheet with these rows, all columns, in the order of the specification."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_as_text(getattr(row, column)) for column in COLUMNS])
    return out.getvalue()


def _row_of(problem: str) -> int:
    """The row that a problem begins with; 0, so first, for the sheet as a whole."""
    found = re.match(r"row (\d+)", problem)
    return int(found[1]) if found else 0


def _as_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ";".join(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return str(value)


class _Reader:
    """Reads a samplesheet and collects its problems and notes."""

    def __init__(self, folder: Path, missing_ok: bool):
        self.folder = folder
        self.missing_ok = missing_ok
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.panels: dict[str, Panel | None] = {}
        self.row_of_file: dict[Path, int] = {}
        self.in_folder = find_fcs_files(folder)

    def read(self, path: Path) -> tuple[SampleRow, ...]:
        table = read_table(path)
        self.problems += table.problems
        if not table.header:
            return ()
        columns = self.columns(table)
        rows: list[SampleRow] = []
        row_of: dict[tuple[str, ...], int] = {}
        for number, cells in table.rows:
            if cells in row_of:
                self.problems.append(f"row {number} repeats row {row_of[cells]}; remove one of them")
                continue
            row_of[cells] = number
            rows.append(self.row(number, cells, columns, table.decimal_comma))
        if not table.rows and not table.problems:
            self.problems.append("there is no row below the header; write one row a file")
        self.problems += check_rows_together([r for r in rows if r.sample_id])
        if self.problems:
            return ()
        rows = self.filled(rows)
        self.note_oddities(rows)
        return tuple(rows)

    def columns(self, table: Table) -> list[str]:
        """Names of the columns in the order of the sheet; ``""`` for those that are not used."""
        columns: list[str] = []
        for i, cell in enumerate(table.header):
            name = cell.casefold()
            at = f"row {table.header_row}"
            if not name:
                held = next((f"row {n}: {c[i]!r}" for n, c in table.rows if len(c) > i and c[i]), "")
                if held:
                    self.problems.append(
                        f"{at}: column {i + 1} has no name but holds text ({held}); name it or empty it"
                    )
            elif name not in COLUMNS:
                close = get_close_matches(name, COLUMNS, n=1)
                remedy = f"did you mean {close[0]!r}?" if close else f"the columns are {', '.join(COLUMNS)}"
                self.problems.append(f"{at}: unknown column {cell!r}; {remedy}")
            elif name in columns:
                self.problems.append(f"{at}: column {name!r} stands twice; remove one of them")
            columns.append(name if name in COLUMNS and name not in columns else "")
        for name in REQUIRED:
            if name not in columns:
                self.problems.append(f"row {table.header_row}: column {name!r} is missing; every row needs it")
        return columns

    def row(self, number: int, cells: tuple[str, ...], columns: list[str], decimal_comma: bool) -> SampleRow:
        """One row, typed and checked by itself; a cell that is refused counts as blank."""
        if any(cells[len(columns) :]):
            self.problems.append(
                f"row {number}: {len(cells)} cells under {len(columns)} columns; a cell that holds the delimiter "
                "needs double quotes around it"
            )
        values: dict[str, object] = {"file": "", "sample_id": ""}
        refused = set()
        for column, text in zip(columns, cells, strict=False):
            if not column or not text:
                continue
            try:
                values[column] = COLUMNS[column](text, decimal_comma)
            except ValueError as error:
                refused.add(column)
                self.problems.append(f"row {number}, {column}: {error}")
                continue
            if column.endswith("_at") and not has_time_of_day(text):
                self.notes.append(f"row {number}, {column}: {text} has no time of day; it counts as midnight")
        for column in REQUIRED:
            if column in columns and not values[column] and column not in refused:
                self.problems.append(f"row {number}, {column}: is empty; every row needs it")
        row = SampleRow(**values, row=number)
        if not refused:
            self.problems += check_row(row)
        return self.with_panel(self.with_file(row)) if "panel" not in refused else self.with_file(row)

    def with_file(self, row: SampleRow) -> SampleRow:
        if not row.file:
            return row
        name, problem = check_file(row.file, self.folder, self.in_folder, missing_ok=self.missing_ok)
        if problem:
            self.problems.append(f"row {row.row}, file: {problem}")
            return row
        # The real path: two spellings, or a link beside its target, are one file.
        first = self.row_of_file.setdefault((self.folder / name).resolve(), row.row)
        if first != row.row:
            self.problems.append(f"row {row.row}, file: {name!r} is the file of row {first} already; remove one row")
        return replace(row, file=name)

    def with_panel(self, row: SampleRow) -> SampleRow:
        """The row with its tube, where the panel has only one; a panel that cannot be read is told once."""
        if row.panel and row.panel not in self.panels:
            self.panels[row.panel] = None
            try:
                self.panels[row.panel] = read_panel(row.panel, folder=self.folder)
            except (PanelError, OSError) as error:
                self.problems.append(f"row {row.row}, panel: {error}")
        panel = self.panels.get(row.panel)
        self.problems += check_panel_and_tube(row, panel)
        if panel is not None and not row.tube and len(panel.tubes) == 1:
            return replace(row, tube=panel.tubes[0].id)
        return row

    def filled(self, rows: list[SampleRow]) -> list[SampleRow]:
        gaps = filled_from_specimen(rows)
        for number, columns in gaps.items():
            self.notes.append(f"row {number}: {', '.join(columns)} taken from another row of the same sample")
        return [replace(row, **gaps.get(row.row, {})) for row in rows]

    def note_oddities(self, rows: Sequence[SampleRow]) -> None:
        """What is allowed and still worth a look."""
        first_of: dict[tuple[str, str, str, str], SampleRow] = {}
        for row in rows:
            panel = self.panels.get(row.panel)
            if panel is not None and row.matrix and panel.tissues and row.matrix not in panel.tissues:
                meant = ", ".join(panel.tissues)
                self.notes.append(f"row {row.row}: matrix {row.matrix}, but panel {panel.id} is meant for {meant}")
            if row.role == "pre_infusion" and row.day is not None and row.day > 0:
                self.notes.append(f"row {row.row}: a pre_infusion sample of day {row.day:g}, after the first infusion")
            first = first_of.setdefault((row.sample_id, row.panel, row.tube, row.role), row)
            if first is not row and row.tube:
                self.notes.append(
                    f"rows {first.row} and {row.row}: two files of sample {row.sample_id}, tube {row.tube}"
                )
        unlisted = [f for f in self.in_folder if f not in {r.file for r in rows}]
        if unlisted:
            self.notes.append(f"in the folder but not in {SAMPLESHEET_NAME}: {', '.join(unlisted)}")
