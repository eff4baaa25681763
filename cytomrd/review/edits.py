"""What a person may ask of a review: each edit a plain record, read strictly from what a page sends."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from cytomrd.errors import ReviewError
from cytomrd.fcs.text import printable

__all__ = [
    "CallCluster",
    "Edit",
    "MoveBound",
    "MoveCut",
    "MoveGate",
    "MoveVertex",
    "ResetAll",
    "ResetGate",
    "ReshapePolygon",
    "edit_from_json",
    "edit_to_json",
]

SIDES = ("minimum", "maximum")
# A person's words to those of the rule.
CALLS = {"clonal": "clonal", "normal": "normal", "not_sure": "indeterminate"}
MAX_VERTICES = 1000


@dataclass(frozen=True)
class MoveVertex:
    """One corner of a polygon to a place on the gate's two axes."""

    tube: str
    gate: str
    vertex: int
    x: float
    y: float


@dataclass(frozen=True)
class MoveGate:
    """A whole gate by so much on each marker's axis; a rectangle's bounds that are shared cuts go in every gate."""

    tube: str
    gate: str
    by: Mapping[str, float]


@dataclass(frozen=True)
class MoveBound:
    """One side of a rectangle. ``linked``: a bound that other gates share moves in all of them, and so does its cut."""

    tube: str
    gate: str
    marker: str
    side: str
    value: float
    linked: bool = True


@dataclass(frozen=True)
class ReshapePolygon:
    """Other corners for a polygon."""

    tube: str
    gate: str
    vertices: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class MoveCut:
    """A cut of the panel, in every gate that has it and in the calls on plasma cells."""

    tube: str
    cut: str
    value: float


@dataclass(frozen=True)
class ResetGate:
    """A gate as it was fitted."""

    tube: str
    gate: str


@dataclass(frozen=True)
class ResetAll:
    """Everything as it was found without a person."""


@dataclass(frozen=True)
class CallCluster:
    """A cluster of plasma cells called ``clonal``, ``normal`` or ``not_sure``."""

    cluster: str
    call: str


Edit = MoveVertex | MoveGate | MoveBound | ReshapePolygon | MoveCut | ResetGate | ResetAll | CallCluster
_KINDS = {kind.__name__: kind for kind in Edit.__args__}


def edit_to_json(edit: Edit) -> dict[str, object]:
    """The edit as JSON holds it, with its ``kind``."""
    return {"kind": type(edit).__name__, **asdict(edit)}


def edit_from_json(data: object) -> Edit:
    """The edit that a page sends.

    Raises
    ------
    ReviewError
        If it is none: another kind, fields that are missing, unknown or of another type, numbers that are not finite.
    """
    if not isinstance(data, Mapping) or data.get("kind") not in _KINDS:
        raise ReviewError(f"an edit has a kind, one of {', '.join(_KINDS)}")
    kind = _KINDS[data["kind"]]
    given = {name: value for name, value in data.items() if name != "kind"}
    known = {f.name: f for f in fields(kind)}
    for name in given.keys() - known.keys():
        raise ReviewError(f"{kind.__name__} has no {printable(str(name), 40)}; it has {', '.join(known)}")
    try:
        edit = kind(**{name: _READ[known[name].type](value) for name, value in given.items()})
    except TypeError as error:
        raise ReviewError(f"{kind.__name__}: {error}") from None
    _check(edit)
    return edit


def _check(edit: Edit) -> None:
    if isinstance(edit, MoveBound) and edit.side not in SIDES:
        raise ReviewError(f"side {printable(edit.side, 40)!r}; allowed are {', '.join(SIDES)}")
    if isinstance(edit, CallCluster) and edit.call not in CALLS:
        raise ReviewError(f"call {printable(edit.call, 40)!r}; allowed are {', '.join(CALLS)}")
    if isinstance(edit, ReshapePolygon) and not 3 <= len(edit.vertices) <= MAX_VERTICES:
        raise ReviewError(f"{len(edit.vertices)} corners; a polygon has 3 to {MAX_VERTICES}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not text")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.40} is not a finite number")
    return float(value)


def _index(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r:.40} is not a whole number")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.40} is neither true nor false")
    return value


def _shifts(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise TypeError("by is an object of markers and numbers")
    return {_text(marker): _number(by) for marker, by in value.items()}


def _corners(value: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, list | tuple) or any(not isinstance(v, list | tuple) or len(v) != 2 for v in value):
        raise TypeError("vertices are pairs of numbers")
    return tuple((_number(x), _number(y)) for x, y in value)


# By annotation, as the classes above write it.
_READ = {
    "str": _text,
    "float": _number,
    "int": _index,
    "bool": _truth,
    "Mapping[str, float]": _shifts,
    "tuple[tuple[float, float], ...]": _corners,
}
