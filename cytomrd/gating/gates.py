"""Plain geometric gates, as Gating-ML 2.0 knows them, and the strategy that holds them.

Everything automatic ends here: a fitted gate is one of these, so that a person
can see it, move it, and re-run it in FlowKit or FlowJo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from cytomrd.errors import GateError
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Transform

__all__ = [
    "ROOT",
    "Axis",
    "BooleanGate",
    "Dimension",
    "EllipsoidGate",
    "Gate",
    "GatingStrategy",
    "Operand",
    "PolygonGate",
    "Quadrant",
    "QuadrantGate",
    "RatioDimension",
    "RectangleGate",
]

ROOT = "root"
UNCOMPENSATED = "uncompensated"
FROM_FILE = "FCS"


@dataclass(frozen=True, slots=True)
class Dimension:
    """One axis of a gate: a channel, how it is compensated, and its scale.

    Attributes
    ----------
    channel
        Detector name (``$PnN``).
    compensation
        ``"uncompensated"``, ``"FCS"`` (the file's own matrix) or the key of a
        matrix in :attr:`GatingStrategy.spillovers`.
    transform
        Key in :attr:`GatingStrategy.transforms`, or None for the linear scale
        values themselves.
    """

    channel: str
    compensation: str = UNCOMPENSATED
    transform: str | None = None


@dataclass(frozen=True, slots=True)
class RatioDimension:
    """``scale * (x - x_offset) / (y - y_offset)`` of two uncompensated channels (Gating-ML 2.0, 6.2.7)."""

    numerator: str
    denominator: str
    scale: float = 1.0
    x_offset: float = 0.0
    y_offset: float = 0.0
    transform: str | None = None


Axis = Dimension | RatioDimension


@dataclass(frozen=True, slots=True)
class RectangleGate:
    """Intervals ``minimum <= value < maximum`` on one or more axes; None is open."""

    name: str
    dimensions: tuple[Axis, ...]
    minimum: tuple[float | None, ...]
    maximum: tuple[float | None, ...]
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class PolygonGate:
    """A closed polygon on two axes, self-intersections allowed (even-odd rule)."""

    name: str
    dimensions: tuple[Axis, Axis]
    vertices: tuple[tuple[float, float], ...]
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class EllipsoidGate:
    """Points whose squared Mahalanobis distance is at most ``distance_square``."""

    name: str
    dimensions: tuple[Axis, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    distance_square: float
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class Quadrant:
    """One cell of a quadrant gate: per divided axis ``minimum <= value < maximum``."""

    name: str
    minimum: tuple[float | None, ...]
    maximum: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class QuadrantGate:
    """A set of named cells that share axes; each cell is a population of its own."""

    name: str
    dimensions: tuple[Axis, ...]
    quadrants: tuple[Quadrant, ...]
    parent: str = ROOT


@dataclass(frozen=True, slots=True)
class Operand:
    """A population that a boolean gate refers to, possibly its complement."""

    name: str
    complement: bool = False


@dataclass(frozen=True, slots=True)
class BooleanGate:
    """``and``, ``or`` or ``not`` of other populations, within the parent."""

    name: str
    operator: str
    operands: tuple[Operand, ...]
    parent: str = ROOT


Gate = RectangleGate | PolygonGate | EllipsoidGate | QuadrantGate | BooleanGate


@dataclass(frozen=True)
class GatingStrategy:
    """Gates in an order in which every gate follows what it refers to.

    Gate names (and quadrant names) are unique within a strategy, so a name
    is enough to refer to a population. An importer that meets the same name
    at two places of a tree must tell them apart (``"CD4/CD25+"``).

    Attributes
    ----------
    gates
        The gates, any order; they are sorted so that parents and operands
        come first, otherwise in the order given.
    transforms, spillovers
        What the dimensions refer to by key.
    """

    gates: tuple[Gate, ...]
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    spillovers: Mapping[str, Spillover] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "gates", _in_order(tuple(self.gates)))
        object.__setattr__(self, "transforms", MappingProxyType(dict(self.transforms)))
        object.__setattr__(self, "spillovers", MappingProxyType(dict(self.spillovers)))
        for gate in self.gates:
            _check(gate, self)

    def __reduce__(self):
        # a mapping proxy cannot travel between processes
        return GatingStrategy, (self.gates, dict(self.transforms), dict(self.spillovers))

    @property
    def populations(self) -> tuple[str, ...]:
        """Every population, in order; a quadrant gate stands before its quadrants."""
        names = []
        for gate in self.gates:
            names.append(gate.name)
            if isinstance(gate, QuadrantGate):
                names.extend(q.name for q in gate.quadrants)
        return tuple(names)

    def parent_of(self, population: str) -> str:
        """Name of the population that ``population`` is gated from."""
        for gate in self.gates:
            if gate.name == population:
                return gate.parent
            if isinstance(gate, QuadrantGate) and population in {q.name for q in gate.quadrants}:
                return gate.name
        raise GateError(f"no population {population!r} in this strategy; it has {', '.join(self.populations)}")

    def gate_path(self, population: str) -> tuple[str, ...]:
        """Path from the root to ``population``, both included."""
        path = [population]
        while path[-1] != ROOT:
            path.append(self.parent_of(path[-1]))
        return tuple(reversed(path))

    def gate(self, name: str) -> Gate:
        """The gate of that name."""
        for gate in self.gates:
            if gate.name == name:
                return gate
        raise GateError(f"no gate {name!r} in this strategy; it has {', '.join(g.name for g in self.gates)}")


def _names_of(gate: Gate) -> set[str]:
    own = {gate.name}
    if isinstance(gate, QuadrantGate):
        own |= {q.name for q in gate.quadrants}
    return own


def _needs_of(gate: Gate) -> set[str]:
    needs = {gate.parent} - {ROOT}
    if isinstance(gate, BooleanGate):
        needs |= {o.name for o in gate.operands}
    return needs


def _in_order(gates: tuple[Gate, ...]) -> tuple[Gate, ...]:
    known: set[str] = set()
    for gate in gates:
        twice = (_names_of(gate) & known) | ({ROOT} & _names_of(gate))
        if twice:
            raise GateError(f"population names must be unique and not {ROOT!r}; seen twice: {sorted(twice)}")
        known |= _names_of(gate)
    ordered: list[Gate] = []
    placed: set[str] = set()
    waiting = list(gates)
    while waiting:
        ready = next((g for g in waiting if _needs_of(g) <= placed), None)
        if ready is None:
            missing = sorted(set().union(*(_needs_of(g) for g in waiting)) - known)
            reason = f"unknown populations {missing}" if missing else "gates that refer to each other in a circle"
            raise GateError(f"{reason}, at {[g.name for g in waiting]}")
        waiting.remove(ready)
        ordered.append(ready)
        placed |= _names_of(ready)
    return tuple(ordered)


def _check(gate: Gate, strategy: GatingStrategy) -> None:
    if isinstance(gate, BooleanGate):
        if gate.operator not in ("and", "or", "not") or not gate.operands:
            raise GateError(f"gate {gate.name!r}: operator {gate.operator!r} with {len(gate.operands)} operands")
        if gate.operator == "not" and len(gate.operands) != 1:
            raise GateError(f"gate {gate.name!r}: 'not' takes one operand, {len(gate.operands)} given")
        return
    for dimension in gate.dimensions:
        if dimension.transform is not None and dimension.transform not in strategy.transforms:
            raise GateError(f"gate {gate.name!r}: no transform {dimension.transform!r} in the strategy")
        compensation = getattr(dimension, "compensation", UNCOMPENSATED)
        if compensation not in (UNCOMPENSATED, FROM_FILE) and compensation not in strategy.spillovers:
            raise GateError(f"gate {gate.name!r}: no spillover matrix {compensation!r} in the strategy")
    n = len(gate.dimensions)
    if isinstance(gate, RectangleGate):
        if not (len(gate.minimum) == len(gate.maximum) == n > 0):
            raise GateError(f"gate {gate.name!r}: {n} axes need {n} minima and {n} maxima")
        if all(low is None and high is None for low, high in zip(gate.minimum, gate.maximum, strict=True)):
            raise GateError(f"gate {gate.name!r} has no bound at all")
    elif isinstance(gate, PolygonGate):
        if n != 2 or len(gate.vertices) < 3 or not np.isfinite(np.array(gate.vertices)).all():
            raise GateError(f"gate {gate.name!r}: a polygon has two axes and at least 3 finite vertices")
    elif isinstance(gate, EllipsoidGate):
        covariance = np.array(gate.covariance, dtype=np.float64)
        if len(gate.mean) != n or covariance.shape != (n, n) or not gate.distance_square > 0:
            raise GateError(
                f"gate {gate.name!r}: an ellipsoid on {n} axes needs {n} means, a {n}x{n} covariance and a distance"
            )
        # Gating-ML's own conformance set holds a matrix that is not positive definite: only its inverse is asked for.
        if not np.isfinite(covariance).all() or np.linalg.cond(covariance) > 1e12:
            raise GateError(f"gate {gate.name!r}: the covariance has no inverse (or one of no accuracy)")
    elif any(len(q.minimum) != n or len(q.maximum) != n for q in gate.quadrants):
        raise GateError(f"gate {gate.name!r}: every quadrant needs {n} minima and {n} maxima")
