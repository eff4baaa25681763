"""The CSV tables of a study folder as typed data frames, with every problem of a cell collected."""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from pathlib import Path

import pandas as pd

from cytomrd.samplesheet.table import read_table
from cytomrd.trial.study.cells import read_cell
from cytomrd.trial.study.columns import TABLES, StudyColumn, StudyTable
from cytomrd.trial.study.problems import Problems

__all__ = ["read_tables", "sha256_of"]

DTYPES = {
    "text": object,
    "word": object,
    "number": "float64",
    "integer": "Int64",
    "boolean": "boolean",
    "datetime": "datetime64[ns]",
    "moment": "datetime64[ns]",
    "date": "datetime64[ns]",
}


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_tables(folder: Path, problems: Problems) -> tuple[dict[str, pd.DataFrame], dict[str, str]]:
    """Every table of the folder, and the SHA-256 of each file read.

    Text that is not given is ``""``, anything else that is not given is missing (NaN, NaT, NA).
    A cell that cannot be read is missing too, and a problem. Column ``row`` is the spreadsheet's row.
    """
    for path in sorted(folder.glob("*.csv")):
        if path.stem not in TABLES:
            close = get_close_matches(path.stem.casefold(), TABLES, n=1)
            remedy = f"did you mean {close[0]}.csv?" if close else f"the tables are {', '.join(TABLES)}"
            what = f"{path.name!r} is not a table of a study"
            problems.at(path.name, 0, "").refuse("UNKNOWN_TABLE", path.name, what, remedy=remedy)
    frames, sources = {}, {}
    for table in TABLES.values():
        path = folder / f"{table.name}.csv"
        if path.is_file():
            sources[path.name] = sha256_of(path)
            frames[table.name] = _read_one(path, table, problems)
            continue
        if table.required:
            what, remedy = f"{path.name} is missing", "write it, if only with its header where there is nothing to tell"
            problems.at(table.name, 0, "").refuse("MISSING_TABLE", "", what, remedy=remedy)
        frames[table.name] = _frame(table, [])
    return frames, sources


def _read_one(path: Path, table: StudyTable, problems: Problems) -> pd.DataFrame:
    sheet = read_table(path)
    for text in sheet.problems:
        what, _, remedy = text.partition("; ")
        if what == "the sheet is empty":
            remedy = f"its first row names the columns: {', '.join(table.by_name)}"
        remedy = remedy or "save it again as 'CSV UTF-8 (comma delimited)'"
        problems.at(table.name, 0, "").refuse("UNREADABLE", path.name, what, remedy=remedy)
    if not sheet.header:
        return _frame(table, [])
    columns = _columns(sheet, table, problems)
    rows = []
    for number, cells in sheet.rows:
        problems.cells[table.name, number] = cells
        if any(cells[len(columns) :]):
            what = f"{len(cells)} cells under {len(columns)} columns"
            remedy = "a cell that holds the delimiter needs double quotes around it"
            problems.at(table.name, number, "").refuse("TOO_MANY_CELLS", len(cells), what, remedy=remedy)
        padded = (*cells, *[""] * (len(columns) - len(cells)))
        rows.append({"row": number} | _row(table, number, dict(zip(columns, padded, strict=False)), sheet, problems))
    return _frame(table, rows)


def _columns(sheet, table: StudyTable, problems: Problems) -> list[StudyColumn | None]:
    """The columns in the sheet's order; None for one that is not used."""
    known = {name.casefold(): column for name, column in table.by_name.items()}
    at = sheet.header_row
    columns: list[StudyColumn | None] = []
    for cell in sheet.header:
        column = known.get(cell.casefold())
        if column is None and cell:
            close = get_close_matches(cell.casefold(), known, n=1)
            remedy = (
                f"did you mean {known[close[0]].name!r}?" if close else f"the columns are {', '.join(table.by_name)}"
            )
            what = f"unknown column {cell!r}"
            problems.at(table.name, at, cell).refuse("UNKNOWN_COLUMN", cell, what, remedy=remedy)
        elif column is not None and column in columns:
            what, remedy = f"column {cell!r} stands twice", "remove one of them"
            problems.at(table.name, at, cell).refuse("REPEATED_COLUMN", cell, what, remedy=remedy)
            column = None
        columns.append(column)
    for column in table.columns:
        if column.required and column not in columns:
            what, remedy = f"column {column.name!r} is missing", f"every row needs it: {column.meaning}"
            problems.at(table.name, at, column.name).refuse("MISSING_COLUMN", "", what, remedy=remedy)
    return columns


def _row(table: StudyTable, number: int, cells: dict, sheet, problems: Problems) -> dict[str, object]:
    values: dict[str, object] = {}
    for column, text in cells.items():
        if column is None:
            continue
        where = (table.name, number, column.name)
        if not text:
            if column.required:
                what, remedy = "is empty", f"every row needs it: {column.meaning}"
                problems.at(*where).refuse("EMPTY", "", what, remedy=remedy)
            continue
        try:
            values[column.name] = read_cell(column, text, sheet.decimal_comma)
        except ValueError as error:
            what, _, remedy = str(error).partition("; ")
            remedy = remedy or "correct the cell"
            problems.at(*where).refuse("BAD_VALUE", text, what, remedy=remedy)
    return values


def _frame(table: StudyTable, rows: list[dict[str, object]]) -> pd.DataFrame:
    data = {}
    for column in table.columns:
        blank = "" if column.kind in ("text", "word") else None
        values = [row.get(column.name, blank) for row in rows]
        data[column.name] = pd.Series(values, dtype=DTYPES[column.kind])
    data["row"] = pd.Series([row["row"] for row in rows], dtype="int64")
    return pd.DataFrame(data)
