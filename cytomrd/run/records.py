"""A gated sample as files: JSON for what is said of it, arrays beside it; nothing in them is ever run.

A record is rebuilt from the data classes that the annotations of a gated sample lead to, and from no others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np

from cytomrd.errors import RunError

__all__ = ["read_record", "write_record"]

RECORD_NAME, ARRAYS_NAME = "record.json", "arrays.npz"
KIND = "$"


def write_record(value: object, folder: Path) -> None:
    """Write a data class as ``record.json`` and ``arrays.npz``."""
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(_encoded(value, arrays, _classes(type(value))), ensure_ascii=True, separators=(",", ":"))
    (folder / RECORD_NAME).write_text(text, "utf-8")
    np.savez(folder / ARRAYS_NAME, **arrays)


def read_record(folder: Path, kind: type) -> object:
    """The value of class ``kind`` that :func:`write_record` wrote; sequences come back as tuples."""
    tree = json.loads((folder / RECORD_NAME).read_text("utf-8"))
    with np.load(folder / ARRAYS_NAME, allow_pickle=False) as arrays:
        return _decoded(tree, arrays, _classes(kind))


@cache
def _classes(root: type) -> dict[str, type]:
    """Name to data class, for all that the annotations of ``root`` lead to."""
    found: dict[str, type] = {}
    waiting: list[object] = [root]
    while waiting:
        hint = waiting.pop()
        waiting += get_args(hint)
        if is_dataclass(hint) and hint.__name__ not in found:
            found[hint.__name__] = hint
            waiting += get_type_hints(hint).values()
    return found


def _encoded(value: object, arrays: dict[str, np.ndarray], classes: Mapping[str, type]) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_encoded(v, arrays, classes) for v in value]
    if isinstance(value, Mapping):
        return {KIND: "mapping", "items": [_encoded(item, arrays, classes) for item in value.items()]}
    if isinstance(value, datetime):
        return {KIND: "datetime", "text": value.isoformat()}
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = _smallest(value)
        return {KIND: "array", "name": name, "dtype": value.dtype.str}
    name = type(value).__name__
    if classes.get(name) is not type(value):
        raise TypeError(f"{name} is not part of the record; annotate the field that holds it")
    return {KIND: name} | {f.name: _encoded(getattr(value, f.name), arrays, classes) for f in fields(value) if f.init}


def _smallest(values: np.ndarray) -> np.ndarray:
    """Counts and labels in the smallest type that holds them: most bins of a histogram hold a few events."""
    if values.dtype.kind not in "iu" or not values.size:
        return values
    return values.astype(np.result_type(np.min_scalar_type(values.min()), np.min_scalar_type(values.max())))


def _decoded(tree: object, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> object:
    if isinstance(tree, list):
        return tuple(_decoded(v, arrays, classes) for v in tree)
    if not isinstance(tree, dict):
        return tree
    kind = tree[KIND]
    if kind == "mapping":
        return dict(_decoded(item, arrays, classes) for item in tree["items"])
    if kind == "datetime":
        return datetime.fromisoformat(tree["text"])
    if kind == "array":
        return arrays[tree["name"]].astype(tree["dtype"], copy=False)
    if kind not in classes:
        raise RunError(f"a sample's record holds {kind!r}, which this version does not know; gate the sample again")
    return classes[kind](**{name: _decoded(v, arrays, classes) for name, v in tree.items() if name != KIND})
