"""What a cell of a study table may hold: each reader gives a value or raises ``ValueError`` in words."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches

from cytomrd.samplesheet.cells import has_time_of_day, read_date, read_number, read_text
from cytomrd.trial.study.columns import StudyColumn

__all__ = ["read_cell", "read_word"]

_TRUE, _FALSE = ("y", "yes", "true", "1"), ("n", "no", "false", "0")


def read_cell(column: StudyColumn, text: str, decimal_comma: bool) -> object:
    """The value of a stripped, non-empty cell.

    Raises
    ------
    ValueError
        With what was seen, what is allowed, and the remedy.
    """
    if column.kind == "text":
        return read_text(text, decimal_comma)
    if column.kind == "word":
        return read_word(text, column.values)
    if column.kind == "boolean":
        return _read_boolean(text)
    if column.kind in ("number", "integer"):
        return _read_number(column, text, decimal_comma)
    return _read_moment(column, text)


def read_word(text: str, values: tuple[str, ...]) -> str:
    """One of some words, in any case."""
    known = {value.casefold(): value for value in values}
    folded = " ".join(text.replace("_", " ").casefold().split())
    if folded in known:
        return known[folded]
    close = get_close_matches(folded, known, n=1)
    remedy = f"did you mean {known[close[0]]!r}?" if close else "write one of them"
    raise ValueError(f"{text!r} is not one of {', '.join(values)}; {remedy}")


def _read_boolean(text: str) -> bool:
    folded = text.casefold()
    if folded in _TRUE or folded in _FALSE:
        return folded in _TRUE
    raise ValueError(f"{text!r} is neither yes nor no; write Y or N")


def _read_number(column: StudyColumn, text: str, decimal_comma: bool) -> float | int:
    whole = column.kind == "integer"
    unit = f" in {column.unit}" if column.unit else ""
    hint = column.hint or f"write a number{unit}"
    read = read_number(column.low, column.high, low_hint=hint, high_hint=hint, whole=whole, open_low=column.above)
    value = read(text, decimal_comma)
    if column.values and str(int(value)) not in column.values:
        raise ValueError(f"{text!r} is not one of {', '.join(column.values)}; write one of them")
    return value


def _read_moment(column: StudyColumn, text: str) -> datetime:
    value = read_date(text, False)
    if value.tzinfo is not None:
        raise ValueError(f"{text!r} has an offset from UTC; write the local time of the site, without it")
    if column.kind == "datetime" and not has_time_of_day(text):
        raise ValueError(f"{text!r} has no time of day; write it as {value.date().isoformat()}T09:30")
    if column.kind == "date" and (value.hour or value.minute or value.second):
        raise ValueError(f"{text!r} has a time of day; write the date alone, {value.date().isoformat()}")
    return value
