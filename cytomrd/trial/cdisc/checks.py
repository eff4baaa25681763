"""What must hold of a dataset before it is written: the writers and readers of these formats let all of it pass.

pyreadstat writes over-long, non-ASCII and out-of-range values without a word, and the JSON schema of Dataset-JSON
checks neither the length of a row nor the type of a cell; so both are checked here, for every format at once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

from cytomrd.errors import StudyError
from cytomrd.trial.cdisc.model import CdiscDataset, Variable
from cytomrd.trial.cdisc.terms import codelist

__all__ = ["MAX_LABEL", "MAX_NAME", "MAX_TEXT", "check_dataset", "dataset_problems"]

# SAS XPORT version 5 (TS-140), as regulators ask for it.
MAX_NAME, MAX_LABEL, MAX_TEXT = 8, 40, 200
# IBM hexadecimal floats hold 16^-65 to 16^63; integers beyond 2^53 are not exact once read into a double.
_LARGEST, _SMALLEST, _EXACT = 16.0**63, 16.0**-65, 2**53
_NAME = re.compile(r"[A-Z][A-Z0-9]*")
_ISO = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?)?)?)?")


def check_dataset(data: CdiscDataset) -> None:
    """Refuse a dataset that a format or the terminology does not allow.

    Raises
    ------
    StudyError
        With every problem: dataset, row, variable, value, and what is allowed.
    """
    problems = list(dataset_problems(data))
    if problems:
        count = f"{len(problems)} problems" if len(problems) > 1 else "a problem"
        shown = "\n".join(f"  {p}" for p in problems[:50])
        more = f"\n  and {len(problems) - 50} more" if len(problems) > 50 else ""
        raise StudyError(f"{data.name} has {count}; it was not written:\n{shown}{more}")


def dataset_problems(data: CdiscDataset) -> Iterator[str]:
    """Every problem of a dataset, in words.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.checks import dataset_problems
    >>> from cytomrd.trial.cdisc.model import CdiscDataset, Variable
    >>> dm = CdiscDataset("DM", "Demographics", "SDTM", "SPECIAL PURPOSE", "One record per subject",
    ...                   (Variable("AGE", "Age", "integer"),), ((61.5,),))
    >>> list(dataset_problems(dm))
    ['DM row 1, AGE: 61.5 is not a whole number']
    """
    yield from _shape_problems(data)
    names = [v.name for v in data.variables]
    for number, row in enumerate(data.rows, start=1):
        if len(row) != len(names):
            yield f"{data.name} row {number}: {len(row)} values for {len(names)} variables"
            continue
        for variable, value in zip(data.variables, row, strict=True):
            for problem in _cell_problems(variable, value):
                yield f"{data.name} row {number}, {variable.name}: {problem}"
    if all(len(row) == len(names) for row in data.rows):
        yield from _key_problems(data, names)


def _shape_problems(data: CdiscDataset) -> Iterator[str]:
    seen: set[str] = set()
    for kind, name, label in (
        ("dataset", data.name, data.label),
        *(("variable", v.name, v.label) for v in data.variables),
    ):
        what = f"{data.name}: {kind} {name!r}"
        if len(name) > MAX_NAME or not _NAME.fullmatch(name):
            yield f"{what}: a name is a letter A-Z and at most {MAX_NAME - 1} letters or digits"
        if not 0 < len(label) <= MAX_LABEL or not label.isascii():
            yield f"{what}: label {label!r} has {len(label)} characters; 1 to {MAX_LABEL} of ASCII are allowed"
        if kind == "variable" and name in seen:
            yield f"{what} stands twice"
        seen.add(name if kind == "variable" else "")


def _cell_problems(variable: Variable, value: Any) -> Iterator[str]:
    if value is None:
        if variable.required:
            yield "is missing; the variable is required"
        return
    if variable.kind in ("text", "iso"):
        yield from _text_problems(variable, value)
    elif variable.kind == "date":
        if not isinstance(value, date) or isinstance(value, datetime):
            yield f"{value!r} is not a date"
    elif isinstance(value, bool) or not isinstance(value, int | float):
        yield f"{value!r} is not a number"
    elif not math.isfinite(value):
        yield f"{value} is not finite; a missing number is left out"
    elif value and not _SMALLEST <= abs(value) < _LARGEST:
        yield f"{value:g} is out of range; 5.4e-79 to 7.2e75 can be written"
    elif variable.kind == "integer" and value != int(value):
        yield f"{value} is not a whole number"
    elif variable.kind == "integer" and not isinstance(value, int):
        yield f"{value!r} is a float; a whole number is written as one"
    elif variable.kind == "integer" and abs(value) > _EXACT:
        yield f"{value} is beyond 2^53 and would not be read back exactly"


def _text_problems(variable: Variable, value: Any) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{value!r} is not text"
        return
    if not value.isascii() or not value.isprintable():
        yield f"{value!r} holds characters other than printable ASCII"
    if len(value) > MAX_TEXT:
        yield f"text of {len(value)} characters; {MAX_TEXT} can be written: {value[:40]!r}..."
    if variable.kind == "iso" and not _ISO.fullmatch(value):
        yield f"{value!r} is not a date or time in ISO 8601, as 2026-03-02T08:30"
    if value != value.rstrip() or not value:
        yield f"{value!r} is blank or ends in blanks, which XPT does not keep"
    if variable.codelist:
        known = codelist(variable.codelist)
        if value not in known and value not in variable.terms:
            more = f" nor a term of the sponsor ({', '.join(variable.terms)})" if variable.terms else ""
            yield f"{value!r} is not in codelist {known.short_name} ({known.code}){more}"
        elif value not in known and not known.extensible:
            yield f"{value!r} is not in codelist {known.short_name} ({known.code}), which may not be extended"
    elif variable.terms and value not in variable.terms:
        yield f"{value!r} is not one of {', '.join(variable.terms)}"


def _key_problems(data: CdiscDataset, names: list[str]) -> Iterator[str]:
    order = [names.index(name) for name in data.keys]
    first: dict[tuple, int] = {}
    for number, row in enumerate(data.rows, start=1):
        key = tuple(row[i] for i in order)
        if order and first.setdefault(key, number) != number:
            named = ", ".join(f"{n} {v}" for n, v in zip(data.keys, key, strict=True))
            yield f"{data.name} row {number} repeats the key of row {first[key]}: {named}"
