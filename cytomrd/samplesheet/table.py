"""The text of a samplesheet as numbered rows of cells, whatever spreadsheet wrote it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Table", "read_table"]

MAX_SHEET_BYTES = 10_000_000
REMEDY = "save the sheet as 'CSV UTF-8 (comma delimited)'"


@dataclass(frozen=True)
class Table:
    """Header and rows, each with its number as a spreadsheet counts, the first row being 1.

    ``decimal_comma`` says that the sheet is of a spreadsheet that parts cells by semicolons
    or tabs, and so may write 7,5 for seven and a half.
    """

    header: tuple[str, ...] = ()
    header_row: int = 1
    rows: tuple[tuple[int, tuple[str, ...]], ...] = ()
    decimal_comma: bool = False
    problems: tuple[str, ...] = ()


def read_table(path: Path) -> Table:
    """Read a CSV: UTF-8 with or without a byte order mark, or UTF-16; comma, semicolon or tab.

    Cells are stripped of blanks at both ends, and rows without any text are left out.
    What cannot be read for certain is a problem of the table and never a guess.
    """
    size = path.stat().st_size
    if size > MAX_SHEET_BYTES:
        return Table(problems=(f"{size} bytes are too many for a samplesheet; is this the right file?",))
    raw = path.read_bytes()
    if raw[:4] == b"PK\x03\x04":
        return Table(problems=(f"this is a workbook and not a CSV; {REMEDY}",))
    try:
        text = raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return Table(problems=(f"line {line}: byte {raw[error.start]:#04x} is not UTF-8; {REMEDY}",))
    if "\0" in text:
        return Table(problems=(f"this is not a text; {REMEDY}",))
    return _parse(text)


def _parse(text: str) -> Table:
    lines = text.splitlines()
    # Some spreadsheets announce the delimiter in a first line of their own.
    announced = 1 if lines and lines[0].strip().lower().startswith("sep=") else 0
    first = next((line for line in lines[announced:] if line.strip()), "")
    if not first.strip(",;\t "):
        return Table(problems=("the sheet is empty; its first row names the columns: file, sample_id, ...",))
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[tuple[int, tuple[str, ...]]] = []
    problems = ()
    try:
        for number, cells in enumerate(reader, start=1):
            stripped = tuple(c.strip() for c in cells)
            if number > announced and any(stripped):
                records.append((number, stripped))
    except csv.Error as error:
        problems = (f"line {reader.line_num}: {error}; check the quotation marks",)
    if not records:
        return Table(problems=problems or ("the sheet is empty",))
    (number, header), *rows = records
    return Table(header, number, tuple(rows), delimiter != ",", problems)
