"""Dataset-JSON 1.1: writing, checking against what the schema leaves out, reading again.

https://wiki.cdisc.org/display/DATASETJSON (CDISC Dataset-JSON v1.1).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from cytomrd import __version__
from cytomrd.errors import StudyError
from cytomrd.trial.cdisc.checks import check_dataset
from cytomrd.trial.cdisc.files import replace_file
from cytomrd.trial.cdisc.model import CdiscDataset, Variable, iso_precision, text_length

__all__ = ["dataset_json", "dataset_json_problems", "read_dataset_json", "write_dataset_json"]

VERSION = "1.1.0"
_TYPES = {"text": "string", "integer": "integer", "float": "double", "date": "date"}
# Python types of a cell by the column's dataType; None stands for missing in every one of them.
_CELLS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "date": (str,), "datetime": (str,), "time": (str,), "URI": (str,), "decimal": (str,),
    "integer": (int,), "double": (float, int), "float": (float, int), "boolean": (bool,),
}  # fmt: skip
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def dataset_json(data: CdiscDataset, *, study_id: str, created: datetime) -> dict[str, Any]:
    """A dataset as the object that a Dataset-JSON file holds.

    Parameters
    ----------
    data
        Checked here; see :func:`cytomrd.trial.cdisc.checks.check_dataset`.
    study_id
        Identifies the study, and with the model the metadata version that Define-XML describes.
    created
        Time of creation, with a time zone or in UTC.

    Raises
    ------
    StudyError
        If the dataset must not be written.
    """
    check_dataset(data)
    return {
        "datasetJSONCreationDateTime": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "datasetJSONVersion": VERSION,
        "fileOID": f"{study_id}.{data.model}.{data.name}",
        "originator": "cytomrd",
        "sourceSystem": {"name": "cytomrd", "version": __version__},
        "studyOID": f"STDY.{study_id}",
        "metaDataVersionOID": f"MDV.{study_id}.{data.model}",
        "metaDataRef": "define.xml",
        "itemGroupOID": f"IG.{data.name}",
        "records": len(data.rows),
        "name": data.name,
        "label": data.label,
        "columns": [_column(data, v) for v in data.variables],
        "rows": [[_cell(v) for v in row] for row in data.rows],
    }


def write_dataset_json(data: CdiscDataset, path: str | os.PathLike, *, study_id: str, created: datetime) -> Path:
    """Write a dataset as one Dataset-JSON file, whole or not at all; returns its path.

    Raises
    ------
    StudyError
        If the dataset must not be written.
    """
    content = dataset_json(data, study_id=study_id, created=created)
    if problems := list(dataset_json_problems(content)):
        raise StudyError(f"{data.name}: not Dataset-JSON 1.1: " + "; ".join(problems[:20]))
    return replace_file(Path(path), lambda temporary: temporary.write_text(_text(content), encoding="ascii"))


def read_dataset_json(path: str | os.PathLike) -> dict[str, Any]:
    """Read a Dataset-JSON file and check it.

    Raises
    ------
    StudyError
        If it is not JSON, or rows and columns do not fit together.
    """
    try:
        content = json.loads(Path(path).read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not JSON: {error}") from error
    if problems := list(dataset_json_problems(content)):
        raise StudyError(f"{path}: not Dataset-JSON 1.1:\n" + "\n".join(f"  {p}" for p in problems[:50]))
    return content


def dataset_json_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """What the schema does not check: number of records, length of each row, type of each cell.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.dataset_json import dataset_json_problems
    >>> list(dataset_json_problems({"records": 1, "columns": [{"name": "AGE", "dataType": "integer"}],
    ...                             "rows": [["61"]]}))
    ["row 1, AGE: '61' is not of type integer"]
    """
    columns, rows = content.get("columns", []), content.get("rows", [])
    if content.get("records") != len(rows):
        yield f"records is {content.get('records')}, but there are {len(rows)} rows"
    names = [c["name"] for c in columns]
    if len(set(names)) != len(names):
        yield f"a column's name stands twice: {', '.join(n for n in sorted(set(names)) if names.count(n) > 1)}"
    for number, row in enumerate(rows, start=1):
        if len(row) != len(columns):
            yield f"row {number}: {len(row)} cells for {len(columns)} columns"
            continue
        for column, value in zip(columns, row, strict=True):
            if not _fits(column, value):
                yield f"row {number}, {column['name']}: {value!r} is not of type {column['dataType']}"


def _fits(column: Mapping[str, Any], value: Any) -> bool:
    if value is None:
        return True
    kind = column["dataType"]
    if not isinstance(value, _CELLS[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    if kind == "date":
        return bool(_DATE.fullmatch(value))
    return not ("length" in column and kind == "string" and len(value) > column["length"])


def _text(content: Mapping[str, Any]) -> str:
    """The JSON with one row a line, so that a person can read and compare it."""
    head = _dumps({name: value for name, value in content.items() if name != "rows"})
    rows = ",\n".join(_dumps(row) for row in content["rows"])
    return f'{head[:-1]},"rows":[\n{rows}\n]}}\n'


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def _column(data: CdiscDataset, variable: Variable) -> dict[str, Any]:
    kind = _TYPES.get(variable.kind) or iso_precision(data.column(variable.name))
    column: dict[str, Any] = {
        "itemOID": f"IT.{data.name}.{variable.name}",
        "name": variable.name,
        "label": variable.label,
        "dataType": kind or "string",
    }
    if variable.kind == "date":
        column |= {"targetDataType": "integer", "displayFormat": "E8601DA."}
    if column["dataType"] == "string":
        column["length"] = text_length(data.column(variable.name))
    if variable.key:
        column["keySequence"] = variable.key
    return column


def _cell(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
