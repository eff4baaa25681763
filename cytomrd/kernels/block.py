"""A block of events through an encoded gating program (`cytomrd.gating.encode`): one call, no Python in between.

Linear values first, then the scales on them, then the gates in order. Where a fast way leaves an event in doubt,
that event is decided on exact positions, so membership never depends on the way.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.compensate import compensate_column, finite_events, ratio_column
from cytomrd.kernels.constants import NO_TABLE
from cytomrd.kernels.gates import combine_members, points_in_ellipsoid, polygon_holds
from cytomrd.kernels.grid_index import interpolate_column
from cytomrd.kernels.near_gates import (
    events_in_doubt,
    points_near_box,
    points_near_ellipsoid,
    points_near_polygon,
)
from cytomrd.kernels.scale_tables import look_up_column
from cytomrd.kernels.transforms import transform_column, transform_value

__all__ = ["run_block"]

# How a linear value comes about, and how a position comes from it.
ROW, SUM, RATIO = range(3)
NOT_NEEDED, AS_IT_IS, TABLE, GRID, COMPUTED = range(5)
BOUNDS, POLYGON, ELLIPSOID, ALL_OF, ANY_OF = range(5)
NO_PARENT = -1


@kernel
def run_block(values, n, program, buffers):
    """Fill ``buffers`` for values float64 (n_channels, >= n); returns how many events are not finite.

    program is a `cytomrd.gating.encode.EncodedProgram`, buffers a `cytomrd.gating.encode.Buffers`.
    """
    n_bad = finite_events(values, program.used_rows, n, buffers.finite)
    _fill_linear(values, n, program, buffers)
    _fill_scaled(n, program, buffers)
    for s in range(program.step_op.size):
        op, population, parent = program.step_op[s], program.step_population[s], program.step_parent[s]
        member = buffers.members[population]
        member[:n] = buffers.finite[:n] if parent == NO_PARENT else buffers.members[parent, :n]
        first, last = program.step_arguments[s, 0], program.step_arguments[s, 1]
        if op == BOUNDS:
            _decide_bounds(first, last, n, program, buffers, member)
        elif op == POLYGON:
            _decide_polygon(first, n, program, buffers, member)
        elif op == ELLIPSOID:
            _decide_ellipsoid(first, n, program, buffers, member)
        else:
            operands, complements = program.operands[first:last], program.complements[first:last]
            combine_members(buffers.members, operands, complements, op == ALL_OF, n, member)
    return n_bad


@kernel
def _fill_linear(values, n, program, buffers):
    for i in range(program.source_kind.size):
        first, last = program.source_terms[i, 0], program.source_terms[i, 1]
        rows, out = program.term_rows[first:last], buffers.linear[i]
        if program.source_kind[i] == ROW:
            out[:n] = values[rows[0], :n]
        elif program.source_kind[i] == SUM:
            compensate_column(values, rows, program.term_weights[first:last], n, out)
        else:
            scale, x_offset, y_offset = program.ratios[i, 0], program.ratios[i, 1], program.ratios[i, 2]
            ratio_column(values[rows[0]], values[rows[1]], scale, x_offset, y_offset, n, out)


@kernel
def _fill_scaled(n, program, buffers):
    for i in range(program.column_way.size):
        way = program.column_way[i]
        x, out = buffers.linear[program.column_source[i]], buffers.scaled[i]
        kind, constants = program.column_kind[i], program.column_constants[i]
        first, last = program.column_part[i, 0], program.column_part[i, 1]
        offset, first_bits = program.column_offset[i], program.column_first[i]
        if way == AS_IT_IS:
            out[:n] = x[:n]
        elif way == TABLE:
            pieces, zero = program.pieces[first:last], program.column_zero[i]
            look_up_column(x, pieces, offset, first_bits, zero, kind, constants, NO_TABLE, n, buffers.spare, out)
        elif way == GRID:
            segments = program.segments[first:last]
            starts = program.starts[program.column_starts[i, 0] : program.column_starts[i, 1]]
            n_steps = program.column_steps[i]
            interpolate_column(x, segments, starts, n_steps, offset, first_bits, n, buffers.spare, out)
        elif way == COMPUTED:
            transform_column(x[:n], kind, constants, NO_TABLE, out)


@kernel
def _decide_bounds(first, last, n, program, buffers, member):
    surely = buffers.surely
    surely[:n] = member[:n]
    on_scale, rows = program.bound_on_scale[first:last], program.bound_values[first:last]
    intervals = program.bound_interval[first:last]
    points_near_box(buffers.scaled, buffers.linear, on_scale, rows, intervals, n, member, surely)
    n_doubtful = events_in_doubt(member, surely, n, buffers.doubtful)
    for d in range(n_doubtful):
        e = buffers.doubtful[d]
        inside = True
        for k in range(first, last):
            position = _exact_position(program.bound_column[k], e, program, buffers)
            low, high = program.bound_limits[k, 0], program.bound_limits[k, 1]
            # An infinite limit is open: it holds an infinite position too.
            inside &= (position >= low) & ((position < high) | (high == np.inf))
        member[e] = np.uint8(inside)


@kernel
def _decide_polygon(p, n, program, buffers, member):
    x, y = program.polygon_columns[p, 0], program.polygon_columns[p, 1]
    first, last = program.polygon_vertices[p, 0], program.polygon_vertices[p, 1]
    vertices, box = program.vertices[first:last], program.polygon_box[p]
    grid = program.polygon_cells[p], box[0], box[1], box[2], box[3]
    x_error, y_error = program.column_error[x], program.column_error[y]
    px, py = buffers.scaled[x], buffers.scaled[y]
    n_doubtful = points_near_polygon(
        px, py, vertices, grid, x_error, y_error, n, buffers.surely, member, buffers.doubtful
    )
    for d in range(n_doubtful):
        e = buffers.doubtful[d]
        at_x, at_y = _exact_position(x, e, program, buffers), _exact_position(y, e, program, buffers)
        member[e] = np.uint8(polygon_holds(at_x, at_y, vertices))


@kernel
def _decide_ellipsoid(p, n, program, buffers, member):
    first, last = program.ellipsoid_axes[p, 0], program.ellipsoid_axes[p, 1]
    n_axes = last - first
    axes, mean = program.axis_columns[first:last], program.axis_means[first:last]
    start = program.ellipsoid_matrix[p]
    precision = program.precisions[start : start + n_axes * n_axes].reshape((n_axes, n_axes))
    distance_square = program.ellipsoid_distance[p]
    errors, exact, inside = np.empty(n_axes), np.empty((n_axes, 1)), np.empty(1, dtype=np.uint8)
    for a in range(n_axes):
        errors[a] = program.column_error[axes[a]]
    shape = mean, precision, distance_square
    n_doubtful = points_near_ellipsoid(
        buffers.scaled, axes, errors, shape, n, buffers.spare, buffers.surely, member, buffers.doubtful
    )
    for d in range(n_doubtful):
        e = buffers.doubtful[d]
        for a in range(n_axes):
            exact[a, 0] = _exact_position(axes[a], e, program, buffers)
        inside[0] = 1
        points_in_ellipsoid(exact, mean, precision, distance_square, 1, inside)
        member[e] = inside[0]


@kernel
def _exact_position(column, e, program, buffers):
    """Position of event e on a column, without the error of a table."""
    way = program.column_way[column]
    x = buffers.linear[program.column_source[column], e]
    if way == AS_IT_IS:
        return x
    if way in (TABLE, NOT_NEEDED):
        return transform_value(x, program.column_kind[column], program.column_constants[column], NO_TABLE)
    return buffers.scaled[column, e]
