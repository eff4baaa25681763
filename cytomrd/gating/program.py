"""A gating strategy compiled for one set of detectors: rows, coefficients and steps instead of names.

Every linear value (a channel, compensated or not) and every scale on it is
worked out once per block, however many gates use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cytomrd.errors import CompensationError, GateError
from cytomrd.gating.gates import (
    FROM_FILE,
    ROOT,
    UNCOMPENSATED,
    Axis,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    PolygonGate,
    QuadrantGate,
    RatioDimension,
    RectangleGate,
)
from cytomrd.kernels.block import NO_PARENT
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import ScaleConstants, Transform, scale_constants

__all__ = [
    "BooleanStep",
    "BoundsStep",
    "Column",
    "EllipsoidStep",
    "LinearSource",
    "PolygonStep",
    "Program",
    "RatioSource",
    "compile_strategy",
]


@dataclass(frozen=True, eq=False)
class LinearSource:
    """A linear value: one row of the block (``coefficients`` None), or a sum over rows = compensation."""

    rows: np.ndarray
    coefficients: np.ndarray | None


@dataclass(frozen=True, eq=False)
class RatioSource:
    """``scale * (row x - x_offset) / (row y - y_offset)``."""

    rows: np.ndarray
    scale: float
    x_offset: float
    y_offset: float


@dataclass(frozen=True, eq=False)
class Column:
    """A source seen through a scale, or as it is where ``scale`` is None."""

    source: int
    transform: Transform | None
    scale: ScaleConstants | None


@dataclass(frozen=True, eq=False)
class BoundsStep:
    """``low <= column < high`` for each of ``bounds`` (column, low, high)."""

    population: int
    parent: int
    bounds: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, eq=False)
class PolygonStep:
    """Inside the polygon ``vertices`` float64 (n_vertices, 2) on columns x and y."""

    population: int
    parent: int
    x: int
    y: int
    vertices: np.ndarray


@dataclass(frozen=True, eq=False)
class EllipsoidStep:
    """Squared Mahalanobis distance at most ``distance_square``; ``precision`` is the inverse covariance."""

    population: int
    parent: int
    columns: tuple[int, ...]
    mean: np.ndarray
    precision: np.ndarray
    distance_square: float


@dataclass(frozen=True, eq=False)
class BooleanStep:
    """``and`` or ``or`` of populations (int64) or their complements (uint8, 1 = complement); ``not`` is an ``and``."""

    population: int
    parent: int
    is_and: bool
    operands: np.ndarray
    complements: np.ndarray


Step = BoundsStep | PolygonStep | EllipsoidStep | BooleanStep


@dataclass(eq=False)
class Program:
    """What :func:`cytomrd.gating.apply.apply_gates` runs over each block.

    Attributes
    ----------
    populations
        Names, in the strategy's order; a step's ``population`` is an index into it.
    sources, columns
        Linear values and the scales on them, each distinct one once.
    used_rows
        int64: channels (rows of a block) that decide a membership; an event with a
        non-finite value in one of them is in no population.
    positions
        Columns whose positions are needed, event by event; on a strictly rising scale the bounds of a rectangle
        can be held against linear values instead.
    steps
        In an order in which every step follows what it needs.
    notes
        What a reader of the result should know (for the report).
    """

    strategy: GatingStrategy
    detectors: tuple[str, ...]
    populations: tuple[str, ...]
    spillover: Spillover | None
    sources: list = field(default_factory=list)
    columns: list = field(default_factory=list)
    used_rows: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    positions: set[int] = field(default_factory=set)
    steps: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    _source_of: dict = field(default_factory=dict)
    _column_of: dict = field(default_factory=dict)
    _rows_of: dict[str, list[int]] = field(default_factory=dict)
    _matrix_rows: dict[Spillover, np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        for row, detector in enumerate(self.detectors):
            self._rows_of.setdefault(detector, []).append(row)

    def column_of(self, axis: Axis, *, for_bounds: bool = False) -> int:
        """Index in ``columns`` of an axis; an axis not met before is added. ``for_bounds`` asks for no positions."""
        if axis not in self._column_of:
            key = axis.transform
            if key is not None and key not in self.strategy.transforms:
                raise GateError(f"no transform {key!r} in the strategy; it has {sorted(self.strategy.transforms)}")
            transform = None if key is None else self.strategy.transforms[key]
            scale = None if transform is None else scale_constants(transform)
            self.columns.append(Column(self.source_of(axis), transform, scale))
            self._column_of[axis] = len(self.columns) - 1
        if not for_bounds:
            self.positions.add(self._column_of[axis])
        return self._column_of[axis]

    def source_of(self, axis: Axis) -> int:
        """Index in ``sources`` of an axis's linear value; one not met before is added."""
        if isinstance(axis, RatioDimension):
            key = (axis.numerator, axis.denominator, axis.scale, axis.x_offset, axis.y_offset)
        else:
            key = (axis.channel, axis.compensation)
        if key not in self._source_of:
            ratio = isinstance(axis, RatioDimension)
            self.sources.append(self._ratio_source(axis) if ratio else self._linear_source(axis))
            self._source_of[key] = len(self.sources) - 1
        return self._source_of[key]

    def _row_of(self, channel: str) -> int:
        rows = self._rows_of.get(channel, ())
        if len(rows) != 1:
            found = "twice" if rows else "nowhere"
            raise GateError(
                f"channel {channel!r} of a gate is {found} in the file; its detectors are {', '.join(self.detectors)}"
            )
        return rows[0]

    def _ratio_source(self, axis: RatioDimension) -> RatioSource:
        rows = np.array([self._row_of(axis.numerator), self._row_of(axis.denominator)], dtype=np.int64)
        return RatioSource(rows, float(axis.scale), float(axis.x_offset), float(axis.y_offset))

    def _linear_source(self, axis: Dimension) -> LinearSource:
        row = self._row_of(axis.channel)
        spillover = self._spillover_of(axis)
        if spillover is None or axis.channel not in spillover.detectors:
            return LinearSource(np.array([row], dtype=np.int64), None)
        weights = spillover.inverse[:, spillover.detectors.index(axis.channel)]
        used = np.flatnonzero(weights)
        rows = self._rows_of_matrix(spillover)[used]
        if len(rows) == 1 and weights[used[0]] == 1.0:
            return LinearSource(rows, None)
        return LinearSource(rows, np.ascontiguousarray(weights[used]))

    def _rows_of_matrix(self, spillover: Spillover) -> np.ndarray:
        """int64 (n_detectors,): the row of each of the matrix's detectors."""
        if spillover not in self._matrix_rows:
            missing = [name for name in spillover.detectors if name not in self._rows_of]
            if missing:
                raise CompensationError(
                    f"spillover matrix ({spillover.source}) names detectors that the file lacks: {', '.join(missing)}; "
                    f"the file has {', '.join(self.detectors)}; give the matrix that belongs to this file"
                )
            self._matrix_rows[spillover] = np.array([self._row_of(name) for name in spillover.detectors], np.int64)
        return self._matrix_rows[spillover]

    def _spillover_of(self, axis: Dimension) -> Spillover | None:
        if axis.compensation == UNCOMPENSATED:
            return None
        if axis.compensation != FROM_FILE:
            if axis.compensation not in self.strategy.spillovers:
                raise GateError(
                    f"no spillover matrix {axis.compensation!r} in the strategy; it has "
                    f"{sorted(self.strategy.spillovers)}"
                )
            return self.strategy.spillovers[axis.compensation]
        if self.spillover is None:
            # Gating-ML 2.0, 4.3: where the file brings no matrix, "FCS" means uncompensated.
            note = "the gates ask for the file's own spillover matrix; it has none, so nothing was compensated"
            if note not in self.notes:
                self.notes.append(note)
        return self.spillover


def compile_strategy(strategy: GatingStrategy, detectors: Sequence[str], spillover: Spillover | None = None) -> Program:
    """Turn names into rows and gates into steps.

    Parameters
    ----------
    strategy
        The gates.
    detectors
        ``$PnN`` of the file's channels, in order.
    spillover
        What compensation ``"FCS"`` means; None where the file has no matrix.

    Returns
    -------
    Program

    Raises
    ------
    GateError
        If a gate's channel is not in the file, or is there twice.
    CompensationError
        If a spillover matrix names a detector that the file lacks.
    """
    populations = strategy.populations
    program = Program(strategy, tuple(detectors), populations, spillover)
    index = {name: i for i, name in enumerate(populations)} | {ROOT: NO_PARENT}
    for gate in strategy.gates:
        program.steps.extend(_steps_of(gate, program, index))
    rows = [source.rows for source in program.sources]
    program.used_rows = np.unique(np.concatenate([*rows, np.empty(0, np.int64)])).astype(np.int64)
    return program


def _steps_of(gate: Gate, program: Program, index: dict[str, int]) -> list[Step]:
    population, parent = index[gate.name], index[gate.parent]
    if isinstance(gate, BooleanGate):
        operands = [index[operand.name] for operand in gate.operands]
        complements = [operand.complement != (gate.operator == "not") for operand in gate.operands]
        return [_boolean_step(population, parent, gate.operator != "or", operands, complements)]
    for_bounds = isinstance(gate, RectangleGate | QuadrantGate)
    columns = tuple(program.column_of(axis, for_bounds=for_bounds) for axis in gate.dimensions)
    if isinstance(gate, RectangleGate):
        return [BoundsStep(population, parent, _bounds(columns, gate.minimum, gate.maximum))]
    if isinstance(gate, PolygonGate):
        vertices = np.ascontiguousarray(gate.vertices, dtype=np.float64)
        return [PolygonStep(population, parent, *columns, vertices)]
    if isinstance(gate, EllipsoidGate):
        precision = np.linalg.inv(np.array(gate.covariance, dtype=np.float64))
        mean = np.array(gate.mean, dtype=np.float64)
        return [EllipsoidStep(population, parent, columns, mean, precision, float(gate.distance_square))]
    return _quadrant_steps(gate, columns, index)


def _quadrant_steps(gate: QuadrantGate, columns: tuple[int, ...], index: dict[str, int]) -> list[Step]:
    parent = index[gate.parent]
    cells = [BoundsStep(index[q.name], parent, _bounds(columns, q.minimum, q.maximum)) for q in gate.quadrants]
    members = [cell.population for cell in cells]
    # The quadrant gate itself holds what any of its quadrants holds.
    return [*cells, _boolean_step(index[gate.name], parent, False, members, [False] * len(members))]


def _boolean_step(population: int, parent: int, is_and: bool, operands, complements) -> BooleanStep:
    rows, turned = np.array(operands, dtype=np.int64), np.array(complements, dtype=np.uint8)
    return BooleanStep(population, parent, is_and, rows, turned)


def _bounds(columns, minimum, maximum) -> tuple[tuple[int, float, float], ...]:
    return tuple(
        (column, -np.inf if low is None else float(low), np.inf if high is None else float(high))
        for column, low, high in zip(columns, minimum, maximum, strict=True)
        if low is not None or high is not None
    )
