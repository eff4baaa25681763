"""SAS transport files, version 5 (TS-140), written by pyreadstat and read back before they count as written."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from cytomrd.errors import StudyError
from cytomrd.trial.cdisc.checks import check_dataset
from cytomrd.trial.cdisc.files import replace_file
from cytomrd.trial.cdisc.model import CdiscDataset

__all__ = ["read_xpt", "write_xpt"]

EPOCH = date(1960, 1, 1)
# Where the header keeps its times (TS-140: library created and modified, member created and modified).
_TIMES_AT = (144, 160, 464, 480)


def write_xpt(data: CdiscDataset, path: str | os.PathLike, *, created: datetime) -> Path:
    """Write a dataset as an XPT version 5 file, whole or not at all; returns its path.

    Parameters
    ----------
    data
        Checked first, since the writer accepts over-long, non-ASCII and out-of-range values silently.
    created
        Time that the header gets, so that the same data give the same bytes.

    Raises
    ------
    StudyError
        If the dataset must not be written, or the file does not give back what was written.
    """
    check_dataset(data)
    return replace_file(Path(path), lambda temporary: _write(data, temporary, created))


def _write(data: CdiscDataset, path: Path, created: datetime) -> None:
    import pyreadstat

    frame = pd.DataFrame({v.name: _xpt_column(v.kind, data.column(v.name)) for v in data.variables})
    pyreadstat.write_xport(
        frame,
        path,
        file_label=data.label,
        column_labels=[v.label for v in data.variables],
        table_name=data.name,
        file_format_version=5,
        variable_format={v.name: "DATE9" for v in data.variables if v.kind == "date"},
    )
    stamp = created.astimezone(UTC).strftime("%d%b%y:%H:%M:%S").upper().encode("ascii")
    with path.open("r+b") as file:
        for place in _TIMES_AT:
            file.seek(place)
            file.write(stamp)
    _check_written(data, path)


def read_xpt(path: str | os.PathLike) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Columns by name, and labels by name, of an XPT file. A blank text and a missing number are None.

    Dates come as :class:`datetime.date` where the variable has a date format.
    """
    import pyreadstat

    frame, meta = pyreadstat.read_xport(path, disable_datetime_conversion=True)
    columns: dict[str, list[Any]] = {}
    for name in meta.column_names:
        values = [None if value == "" or pd.isna(value) else value for value in frame[name].tolist()]
        if (meta.original_variable_types.get(name) or "").startswith("DATE"):
            values = [None if v is None else EPOCH + timedelta(days=round(v)) for v in values]
        columns[name] = values
    return columns, dict(meta.column_names_to_labels)


def _xpt_column(kind: str, values: tuple[Any, ...]) -> pd.Series:
    if kind in ("text", "iso"):
        return pd.Series(["" if v is None else v for v in values], dtype=object)
    if kind == "date":
        values = tuple(None if v is None else (v - EPOCH).days for v in values)
    return pd.Series([float("nan") if v is None else float(v) for v in values], dtype="float64")


def _check_written(data: CdiscDataset, path: Path) -> None:
    columns, labels = read_xpt(path)
    names = [v.name for v in data.variables]
    if list(columns) != names or [labels[n] for n in names] != [v.label for v in data.variables]:
        raise StudyError(f"{data.name}: the XPT file gives back other variables or labels than were written")
    for name in names:
        if columns[name] != list(data.column(name)):
            row = next(
                (i for i, (a, b) in enumerate(zip(columns[name], data.column(name), strict=False), 1) if a != b), 0
            )
            raise StudyError(
                f"{data.name}, {name}: the XPT file gives back another value than was written in row {row}"
            )
