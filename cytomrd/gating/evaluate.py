"""One block of events through a compiled program: columns, then the gate tree.

Buffers are allocated once and reused, so that a file of any length needs the same few
megabytes. Costly scales come out of tables with a known error; the rare event that lies
within that error of a gate's edge is computed exactly, so membership is that of exact scales.
"""

from __future__ import annotations

import numpy as np

from cytomrd.gating.program import (
    NO_PARENT,
    BooleanStep,
    BoundsStep,
    Column,
    EllipsoidStep,
    LinearSource,
    PolygonStep,
    Program,
    Step,
)
from cytomrd.kernels.compensate import compensate_column, finite_events, ratio_column
from cytomrd.kernels.gates import combine_members, points_in_ellipsoid, points_in_interval, points_in_polygon
from cytomrd.kernels.near_gates import events_in_doubt, grid_of_polygon, points_near_ellipsoid, points_near_polygon
from cytomrd.kernels.scale_tables import look_up_column
from cytomrd.kernels.transforms import transform_column
from cytomrd.preprocess.transforms import scale_table

__all__ = ["BlockEvaluator"]


class BlockEvaluator:
    """Buffers and the run over one block.

    Parameters
    ----------
    program
        From :func:`cytomrd.gating.program.compile_strategy`, with every extra axis already added.
    block_size
        Most events that a block holds.
    exact
        Compute every position exactly; else look costly scales up, which changes no membership
        and moves a position by at most ``errors``.

    Attributes
    ----------
    members
        uint8 (n_populations, block_size): 1 where the event is in the population.
    finite
        uint8 (block_size,): 1 where every channel that a gate uses is finite.
    linear, scaled
        float64 arrays (block_size,) of the sources and the columns, as of the last block.
    errors
        Bound on the error of each column of ``scaled``.
    """

    def __init__(self, program: Program, block_size: int, *, exact: bool = False):
        self.program = program
        self.members = np.zeros((len(program.populations), block_size), dtype=np.uint8)
        self.finite = np.zeros(block_size, dtype=np.uint8)
        self.linear = [None if _is_row(s) else np.empty(block_size) for s in program.sources]
        self.scaled = [None if c.scale is None else np.empty(block_size) for c in program.columns]
        self.tables = [None if exact or c.transform is None else scale_table(c.transform) for c in program.columns]
        self.errors = [0.0 if table is None else table.error for table in self.tables]
        self._grids = {
            step.population: grid_of_polygon(step.vertices, self.errors[step.x], self.errors[step.y])
            for step in program.steps
            if isinstance(step, PolygonStep)
        }
        widest = max((len(s.columns) for s in program.steps if isinstance(s, EllipsoidStep)), default=0)
        self._axes = np.empty((widest, block_size))
        self._surely = np.empty(block_size, dtype=np.uint8)
        self._doubtful = np.empty(block_size, dtype=np.int64)
        self._sums = np.empty(block_size)

    def run(self, values: np.ndarray) -> int:
        """Fill ``members`` for ``values`` float64 (n_channels, n); returns how many events are not finite."""
        n = values.shape[1]
        n_bad = finite_events(values, self.program.used_rows, n, self.finite)
        self._fill_columns(values, n)
        for step in self.program.steps:
            member = self.members[step.population]
            member[:n] = (self.finite if step.parent == NO_PARENT else self.members[step.parent])[:n]
            if isinstance(step, BooleanStep):
                combine_members(self.members, step.operands, step.complements, step.is_and, n, member)
                continue
            n_doubtful = self._decide(step, n, member)
            if n_doubtful:
                events = self._doubtful[:n_doubtful]
                member[events] = self._decide_exactly(step, events)
        return n_bad

    def _decide(self, step: Step, n: int, member: np.ndarray) -> int:
        """Clear ``member`` where an event is not in the gate; returns how many events are left in doubt."""
        if isinstance(step, BoundsStep):
            return self._decide_bounds(step, n, member)
        if isinstance(step, PolygonStep):
            errors = self.errors[step.x], self.errors[step.y]
            x, y, grid = self.scaled[step.x], self.scaled[step.y], self._grids[step.population]
            return points_near_polygon(x, y, step.vertices, grid, *errors, n, member, self._doubtful)
        for axis, column in enumerate(step.columns):
            self._axes[axis, :n] = self.scaled[column][:n]
        errors = np.array([self.errors[column] for column in step.columns])
        shape = step.mean, step.precision, step.distance_square
        if errors.any():
            return points_near_ellipsoid(self._axes, errors, *shape, n, member, self._doubtful)
        points_in_ellipsoid(self._axes, *shape, n, member)
        return 0

    def _decide_bounds(self, step: BoundsStep, n: int, member: np.ndarray) -> int:
        in_doubt = any(self.errors[column] for column, _, _ in step.bounds)
        if in_doubt:
            self._surely[:n] = member[:n]
        for column, low, high in step.bounds:
            x, error = self.scaled[column], self.errors[column]
            points_in_interval(x, low - error, high + error, n, member)
            if in_doubt:
                points_in_interval(x, low + error, high - error, n, self._surely)
        return events_in_doubt(member, self._surely, n, self._doubtful) if in_doubt else 0

    def _decide_exactly(self, step: Step, events: np.ndarray) -> np.ndarray:
        """Membership uint8 of a few events in one gate (within its parent), on exact positions."""
        n = len(events)
        member = np.ones(n, dtype=np.uint8)
        if isinstance(step, BoundsStep):
            for column, low, high in step.bounds:
                points_in_interval(self._exactly(column, events), low, high, n, member)
        elif isinstance(step, PolygonStep):
            points_in_polygon(self._exactly(step.x, events), self._exactly(step.y, events), step.vertices, n, member)
        else:
            axes = np.array([self._exactly(column, events) for column in step.columns])
            points_in_ellipsoid(axes, step.mean, step.precision, step.distance_square, n, member)
        return member

    def _exactly(self, index: int, events: np.ndarray) -> np.ndarray:
        column: Column = self.program.columns[index]
        linear = self.linear[column.source][events]
        if column.scale is None:
            return linear
        out = np.empty_like(linear)
        transform_column(linear, *column.scale, out)
        return out

    def _fill_columns(self, values: np.ndarray, n: int) -> None:
        for i, source in enumerate(self.program.sources):
            if _is_row(source):
                self.linear[i] = values[source.rows[0]]
            elif isinstance(source, LinearSource):
                compensate_column(values, source.rows, source.coefficients, n, self.linear[i])
            else:
                x, y = values[source.rows[0]], values[source.rows[1]]
                ratio_column(x, y, source.scale, source.x_offset, source.y_offset, n, self.linear[i])
        for i, (column, table) in enumerate(zip(self.program.columns, self.tables, strict=True)):
            linear = self.linear[column.source]
            if column.scale is None:
                self.scaled[i] = linear
            elif table is None:
                transform_column(linear[:n], *column.scale, self.scaled[i])
            else:
                known = table.pieces, table.offset, table.first, table.zero
                look_up_column(linear, *known, *column.scale, n, self._sums, self.scaled[i])


def _is_row(source) -> bool:
    return isinstance(source, LinearSource) and source.coefficients is None
