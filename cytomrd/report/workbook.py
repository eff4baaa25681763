"""Tables as one XLSX workbook: text stays text, a missing number is an empty cell, same tables give same bytes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from cytomrd.errors import RunError
from cytomrd.report.words import plain

__all__ = ["write_workbook"]

# The format's own limits (ECMA-376; "Excel specifications and limits").
MAX_ROWS, MAX_COLUMNS, MAX_TEXT, MAX_NAME = 1_048_576, 16_384, 32_767, 31
MAX_EXACT = 2**53
CREATED = datetime(2000, 1, 1)


def write_workbook(tables: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Write tables as sheets of one workbook.

    Parameters
    ----------
    tables
        Sheet name to a :class:`pandas.DataFrame` or to ``(columns, rows)``; a column is a name or has
        one (``.name``); a row is a mapping by column name or a sequence in the columns' order.
    path
        Where to write; the file appears whole or not at all.

    Raises
    ------
    RunError
        If a table is larger than a sheet, or two sheets would share a name.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from cytomrd.report.workbook import write_workbook
    >>> target = pathlib.Path(tempfile.mkdtemp()) / "results.xlsx"
    >>> write_workbook({"mrd": (["sample_id", "mrd_fraction"], [["S1", 1e-5]])}, target)
    >>> target.stat().st_size > 0
    True
    """
    import xlsxwriter

    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    options = {
        "in_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    try:
        book = xlsxwriter.Workbook(str(temporary), options)
        book.set_properties({"title": "cytomrd results", "created": CREATED})
        head = book.add_format({"bold": True, "bottom": 1})
        for name, (columns, rows) in _named(tables).items():
            _write_sheet(book.add_worksheet(name), columns, rows, head, name)
        book.close()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _named(tables: Mapping[str, Any]) -> dict[str, tuple[list[str], list[Sequence[Any]]]]:
    named = {}
    for name, table in tables.items():
        sheet = "".join("_" if c in "[]:*?/\\'" else c for c in plain(name))[:MAX_NAME] or "table"
        if sheet.lower() in {n.lower() for n in named}:
            raise RunError(f"two sheets would be named {sheet!r}; a sheet's name has {MAX_NAME} characters, any case")
        named[sheet] = _columns_and_rows(table)
    return named


def _columns_and_rows(table: Any) -> tuple[list[str], list[Sequence[Any]]]:
    if hasattr(table, "itertuples"):
        return [str(c) for c in table.columns], [tuple(r) for r in table.itertuples(index=False, name=None)]
    columns, rows = table
    names = [str(getattr(c, "name", c)) for c in columns]
    return names, [[row[n] for n in names] if isinstance(row, Mapping) else list(row) for row in rows]


def _write_sheet(sheet, columns: list[str], rows: list[Sequence[Any]], head, name: str) -> None:
    if len(rows) + 1 > MAX_ROWS or len(columns) > MAX_COLUMNS:
        raise RunError(
            f"table {name!r} has {len(rows)} rows and {len(columns)} columns; a sheet holds {MAX_ROWS - 1} and "
            f"{MAX_COLUMNS}: use its CSV file"
        )
    for column, title in enumerate(columns):
        sheet.write_string(0, column, _text(title), head)
        widest = max([len(str(row[column])) for row in rows[:200] if row[column] is not None], default=0)
        sheet.set_column(column, column, min(48, max(len(title), widest) + 2))
    for index, row in enumerate(rows, start=1):
        for column, value in enumerate(row):
            _write_cell(sheet, index, column, value)
    sheet.freeze_panes(1, 1)
    if rows and columns:
        sheet.autofilter(0, 0, len(rows), len(columns) - 1)


def _write_cell(sheet, row: int, column: int, value: Any) -> None:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own words for missing
        return
    if isinstance(value, bool | np.bool_):
        sheet.write_boolean(row, column, bool(value))
    elif isinstance(value, Integral):
        # A spreadsheet's numbers are doubles: an integer beyond 2^53 stays exact only as text.
        if abs(int(value)) > MAX_EXACT:
            sheet.write_string(row, column, str(int(value)))
        else:
            sheet.write_number(row, column, int(value))
    elif isinstance(value, Real):
        if math.isfinite(value):
            sheet.write_number(row, column, float(value))
    elif isinstance(value, list | tuple | set | frozenset):
        sheet.write_string(row, column, _text("; ".join(map(str, value))))
    elif hasattr(value, "isoformat"):
        sheet.write_string(row, column, _text(value.isoformat()))
    else:
        sheet.write_string(row, column, _text(str(value)))


def _text(text: str) -> str:
    text = plain(text)
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 12] + " … (cut off)"
