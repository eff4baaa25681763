"""A compiled strategy as plain arrays, which one kernel runs over a block (`cytomrd.kernels.block`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cytomrd.gating.edges import Interval, interval_of_positions, interval_of_values
from cytomrd.gating.program import BooleanStep, BoundsStep, Column, EllipsoidStep, LinearSource, PolygonStep, Program
from cytomrd.kernels import block as of
from cytomrd.kernels.near_gates import SIDE, grid_of_polygon
from cytomrd.preprocess.transforms import ScaleTable, scale_grid, scale_table

__all__ = ["Buffers", "EncodedProgram", "encode_program", "events_in_a_block", "new_buffers"]

# What a block takes of memory at most; at 8192 events the columns of usual panels stay in the second-level cache.
BLOCK_BYTES = 3_800_000
MOST_EVENTS = 8192


class EncodedProgram(NamedTuple):
    """What `run_block` needs. Ranges are int64 (n, 2): first and end of an item's part in the flat array it names.

    Sources (linear values) have terms; columns have pieces (``TABLE``) or segments and starts (``GRID``); steps have
    arguments, which are bounds or operands, or the index of a polygon or an ellipsoid.
    """

    used_rows: np.ndarray
    source_kind: np.ndarray
    source_terms: np.ndarray
    term_rows: np.ndarray
    term_weights: np.ndarray
    ratios: np.ndarray
    column_source: np.ndarray
    column_way: np.ndarray
    column_kind: np.ndarray
    column_constants: np.ndarray
    column_error: np.ndarray
    column_part: np.ndarray
    column_offset: np.ndarray
    column_first: np.ndarray
    column_zero: np.ndarray
    column_starts: np.ndarray
    column_steps: np.ndarray
    pieces: np.ndarray
    segments: np.ndarray
    starts: np.ndarray
    step_op: np.ndarray
    step_population: np.ndarray
    step_parent: np.ndarray
    step_arguments: np.ndarray
    bound_on_scale: np.ndarray
    bound_values: np.ndarray
    bound_interval: np.ndarray
    bound_column: np.ndarray
    bound_limits: np.ndarray
    polygon_columns: np.ndarray
    polygon_vertices: np.ndarray
    polygon_cells: np.ndarray
    polygon_box: np.ndarray
    vertices: np.ndarray
    ellipsoid_axes: np.ndarray
    ellipsoid_matrix: np.ndarray
    ellipsoid_distance: np.ndarray
    axis_columns: np.ndarray
    axis_means: np.ndarray
    precisions: np.ndarray
    operands: np.ndarray
    complements: np.ndarray


class Buffers(NamedTuple):
    """What `run_block` fills; all arrays are as long as a block in their last axis.

    finite uint8; linear float64 (n_sources, .); scaled float64 (n_columns, .), of columns whose positions are needed;
    members uint8 (n_populations, .); the rest is scratch.
    """

    finite: np.ndarray
    linear: np.ndarray
    scaled: np.ndarray
    members: np.ndarray
    surely: np.ndarray
    doubtful: np.ndarray
    spare: np.ndarray


def events_in_a_block(program: Program) -> int:
    """How many events a block may hold, so that all that belongs to it stays below 4 MB."""
    # The file's bytes and their decoded columns, what `Buffers` holds, pattern bits and median bins.
    n_channels, n_populations = len(program.detectors), len(program.populations)
    columns = 2 * n_channels + len(program.sources) + len(program.columns) + 3
    an_event = 8 * columns + n_populations + 2 + 8 * (1 + n_populations // 64) + 4
    return max(256, min(MOST_EVENTS, BLOCK_BYTES // an_event // 256 * 256))


def new_buffers(program: Program, block_size: int) -> Buffers:
    """Buffers for blocks of at most ``block_size`` events."""
    return Buffers(
        finite=np.zeros(block_size, dtype=np.uint8),
        linear=np.empty((len(program.sources), block_size)),
        scaled=np.empty((len(program.columns), block_size)),
        members=np.zeros((len(program.populations), block_size), dtype=np.uint8),
        surely=np.empty(block_size, dtype=np.uint8),
        doubtful=np.empty(block_size, dtype=np.int64),
        spare=np.empty((2, block_size)),
    )


def encode_program(program: Program, *, exact: bool = False) -> EncodedProgram:
    """Flatten a program; ``exact`` computes every position instead of looking costly scales up."""
    tables = [None if exact or c.transform is None else scale_table(c.transform) for c in program.columns]
    columns = _columns(program, tables)
    return EncodedProgram(
        used_rows=program.used_rows,
        **_sources(program),
        **columns,
        **_steps(program, tables, columns["column_error"]),
    )


class _Flat:
    """Parts put one behind the other, and the range of each; one with a known ``key`` is there already."""

    def __init__(self, dtype, width: int | None = None):
        self._dtype, self._shape = dtype, (0,) if width is None else (0, width)
        self._parts: list[np.ndarray] = []
        self._ranges: dict[object, tuple[int, int]] = {}
        self._size = 0

    def add(self, part, key=None) -> tuple[int, int]:
        if key is None:
            return self._append(part)
        if key not in self._ranges:
            self._ranges[key] = self._append(part)
        return self._ranges[key]

    def _append(self, part) -> tuple[int, int]:
        part = np.asarray(part, dtype=self._dtype).reshape(-1, *self._shape[1:])
        self._parts.append(part)
        self._size += len(part)
        return self._size - len(part), self._size

    def array(self) -> np.ndarray:
        return np.ascontiguousarray(np.concatenate([np.empty(self._shape, self._dtype), *self._parts]))


def _ranges(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _sources(program: Program) -> dict[str, np.ndarray]:
    kinds, terms, ratios = [], [], []
    rows, weights = _Flat(np.int64), _Flat(np.float64)
    for source in program.sources:
        terms.append(rows.add(source.rows))
        if isinstance(source, LinearSource):
            kinds.append(of.ROW if source.coefficients is None else of.SUM)
            weights.add(np.ones(len(source.rows)) if source.coefficients is None else source.coefficients)
            ratios.append((0.0, 0.0, 0.0))
        else:
            kinds.append(of.RATIO)
            weights.add(np.ones(len(source.rows)))
            ratios.append((source.scale, source.x_offset, source.y_offset))
    return {
        "source_kind": np.array(kinds, dtype=np.int64),
        "source_terms": _ranges(terms),
        "term_rows": rows.array(),
        "term_weights": weights.array(),
        "ratios": np.array(ratios, dtype=np.float64).reshape(-1, 3),
    }


def _columns(program: Program, tables: list[ScaleTable | None]) -> dict[str, np.ndarray]:
    n = len(program.columns)
    found = {
        "column_source": np.array([c.source for c in program.columns], dtype=np.int64),
        "column_way": np.zeros(n, dtype=np.int64),
        "column_kind": np.zeros(n, dtype=np.int64),
        "column_constants": np.zeros((n, 8)),
        "column_error": np.array([0.0 if t is None else t.error for t in tables], dtype=np.float64),
        "column_part": np.zeros((n, 2), dtype=np.int64),
        "column_offset": np.zeros(n),
        "column_first": np.zeros(n, dtype=np.int64),
        "column_zero": np.zeros(n),
        "column_starts": np.zeros((n, 2), dtype=np.int64),
        "column_steps": np.zeros(n, dtype=np.int64),
    }
    pieces, segments, starts = _Flat(np.float64, 4), _Flat(np.float64, 3), _Flat(np.int32, 2)
    for i, (column, table) in enumerate(zip(program.columns, tables, strict=True)):
        found["column_way"][i] = _way(column, table, i in program.positions)
        if column.scale is None:
            continue
        found["column_kind"][i], found["column_constants"][i] = column.scale.kind, column.scale.constants
        if table is not None:
            found["column_part"][i] = pieces.add(table.pieces, column.transform)
            found["column_offset"][i], found["column_first"][i] = table.offset, table.first
            found["column_zero"][i] = table.zero
        elif (grid := scale_grid(column.transform)) is not None:
            found["column_part"][i] = segments.add(grid.segments, column.transform)
            found["column_starts"][i] = starts.add(grid.starts, column.transform)
            found["column_steps"][i] = grid.n_steps
            found["column_offset"][i], found["column_first"][i] = grid.offset, grid.first
    return {**found, "pieces": pieces.array(), "segments": segments.array(), "starts": starts.array()}


def _way(column: Column, table: ScaleTable | None, is_needed: bool) -> int:
    if column.scale is None:
        return of.AS_IT_IS
    if table is not None:
        return of.TABLE if is_needed else of.NOT_NEEDED
    return of.COMPUTED if scale_grid(column.transform) is None else of.GRID


def _steps(program: Program, tables, column_error: np.ndarray) -> dict[str, np.ndarray]:
    ops, arguments, n_polygons, n_ellipsoids = [], [], 0, 0
    bounds = [b for step in program.steps if isinstance(step, BoundsStep) for b in step.bounds]
    operands, complements = _Flat(np.int64), _Flat(np.uint8)
    n_bounds = 0
    for step in program.steps:
        if isinstance(step, BoundsStep):
            ops.append(of.BOUNDS)
            arguments.append((n_bounds, n_bounds + len(step.bounds)))
            n_bounds += len(step.bounds)
        elif isinstance(step, PolygonStep):
            ops.append(of.POLYGON)
            arguments.append((n_polygons, n_polygons + 1))
            n_polygons += 1
        elif isinstance(step, EllipsoidStep):
            ops.append(of.ELLIPSOID)
            arguments.append((n_ellipsoids, n_ellipsoids + 1))
            n_ellipsoids += 1
        elif isinstance(step, BooleanStep):
            ops.append(of.ALL_OF if step.is_and else of.ANY_OF)
            arguments.append(operands.add(step.operands))
            complements.add(step.complements)
    return {
        "step_op": np.array(ops, dtype=np.int64),
        "step_population": np.array([s.population for s in program.steps], dtype=np.int64),
        "step_parent": np.array([s.parent for s in program.steps], dtype=np.int64),
        "step_arguments": _ranges(arguments),
        **_bounds(program, bounds, tables),
        **_polygons([s for s in program.steps if isinstance(s, PolygonStep)], column_error),
        **_ellipsoids([s for s in program.steps if isinstance(s, EllipsoidStep)]),
        "operands": operands.array(),
        "complements": complements.array(),
    }


def _bounds(program: Program, bounds, tables) -> dict[str, np.ndarray]:
    held = [_held_against(program, tables, *bound) for bound in bounds]
    return {
        "bound_on_scale": np.array([on_scale for on_scale, _, _ in held], dtype=np.bool_),
        "bound_values": np.array([index for _, index, _ in held], dtype=np.int64),
        "bound_interval": np.array([interval for _, _, interval in held], dtype=np.float64).reshape(-1, 4),
        "bound_column": np.array([column for column, _, _ in bounds], dtype=np.int64),
        "bound_limits": np.array([(low, high) for _, low, high in bounds], dtype=np.float64).reshape(-1, 2),
    }


def _held_against(program: Program, tables, index: int, low: float, high: float) -> tuple[bool, int, Interval]:
    """What a bound is held against: positions of a column, or linear values of a source, and the interval."""
    column = program.columns[index]
    if column.scale is None:
        return False, column.source, interval_of_positions(low, high)
    if tables[index] is None:
        return True, index, interval_of_positions(low, high)
    return False, column.source, interval_of_values(low, high, column.scale)


def _polygons(steps: list[PolygonStep], column_error: np.ndarray) -> dict[str, np.ndarray]:
    vertices = _Flat(np.float64, 2)
    grids = [grid_of_polygon(s.vertices, column_error[s.x], column_error[s.y]) for s in steps]
    return {
        "polygon_columns": np.array([(s.x, s.y) for s in steps], dtype=np.int64).reshape(-1, 2),
        "polygon_vertices": _ranges([vertices.add(s.vertices) for s in steps]),
        "polygon_cells": np.array([grid[0] for grid in grids], dtype=np.uint8).reshape(-1, SIDE * SIDE),
        "polygon_box": np.array([grid[1:] for grid in grids], dtype=np.float64).reshape(-1, 4),
        "vertices": vertices.array(),
    }


def _ellipsoids(steps: list[EllipsoidStep]) -> dict[str, np.ndarray]:
    axes, means, precisions = _Flat(np.int64), _Flat(np.float64), _Flat(np.float64)
    ranges = [axes.add(s.columns) for s in steps]
    for step in steps:
        means.add(step.mean)
    return {
        "ellipsoid_axes": _ranges(ranges),
        "ellipsoid_matrix": np.array([precisions.add(s.precision.reshape(-1))[0] for s in steps], dtype=np.int64),
        "ellipsoid_distance": np.array([s.distance_square for s in steps], dtype=np.float64),
        "axis_columns": axes.array(),
        "axis_means": means.array(),
        "precisions": precisions.array(),
    }
