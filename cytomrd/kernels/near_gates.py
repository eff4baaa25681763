"""Gates on positions that are known to within an error: decided where that is safe, named where it is not.

A position out of a table is off by at most ``error``. Most events lie further than that from
every edge; the others are handed back, to be decided on exact positions.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.gates import polygon_holds

__all__ = ["events_in_doubt", "grid_of_polygon", "points_near_ellipsoid", "points_near_polygon"]

CELLS = 128
OUTSIDE, INSIDE, EDGE = 0, 1, 2


def grid_of_polygon(
    vertices: np.ndarray, x_error: float = 0.0, y_error: float = 0.0
) -> tuple[np.ndarray, float, float, float, float]:
    """Grid (cells, left, bottom, cells per x, cells per y) over the box of a polygon float64 (n_vertices, 2).

    cells uint8 (CELLS, CELLS): INSIDE or OUTSIDE if all that is within the errors of the cell is, else EDGE.
    """
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    # A flat polygon still gets a box; the margin keeps rounding in the box's arithmetic on the safe side.
    size = np.maximum(high - low, 1e-9 * np.maximum(np.abs(high), np.abs(low)) + 1e-300)
    margin = np.array([x_error, y_error]) + 1e-6 * size
    low, size = low - 2 * margin, size + 4 * margin
    cells = np.empty((CELLS, CELLS), dtype=np.uint8)
    mark_cells(np.ascontiguousarray(vertices), low, size / CELLS, margin, cells)
    return cells, float(low[0]), float(low[1]), float(CELLS / size[0]), float(CELLS / size[1])


@kernel
def mark_cells(vertices, low, step, margin, cells):
    """Fill cells uint8 (CELLS, CELLS) for vertices float64 (n, 2); low, step, margin float64 (2,)."""
    cells[:, :] = OUTSIDE
    last = cells.shape[0] - 1
    for v in range(vertices.shape[0]):
        ax, ay = vertices[v - 1, 0], vertices[v - 1, 1]
        bx, by = vertices[v, 0], vertices[v, 1]
        if ay > by:
            ax, ay, bx, by = bx, by, ax, ay
        first_row = max(0, int((ay - margin[1] - low[1]) / step[1]))
        last_row = min(last, int((by + margin[1] - low[1]) / step[1]))
        for j in range(first_row, last_row + 1):
            # The part of the edge that runs through this row, and the cells that it touches there.
            start, end = 0.0, 1.0
            if by > ay:
                start = max(0.0, (low[1] + j * step[1] - margin[1] - ay) / (by - ay))
                end = min(1.0, (low[1] + (j + 1) * step[1] + margin[1] - ay) / (by - ay))
            one, other = ax + start * (bx - ax), ax + end * (bx - ax)
            first = max(0, int((min(one, other) - margin[0] - low[0]) / step[0]))
            final = min(last, int((max(one, other) + margin[0] - low[0]) / step[0]))
            cells[first : final + 1, j] = EDGE
    for j in range(last + 1):
        for i in range(last + 1):
            if cells[i, j] != EDGE:
                if i > 0 and cells[i - 1, j] != EDGE:
                    cells[i, j] = cells[i - 1, j]
                else:
                    x, y = low[0] + (i + 0.5) * step[0], low[1] + (j + 0.5) * step[1]
                    cells[i, j] = INSIDE if polygon_holds(x, y, vertices) else OUTSIDE


@kernel
def polygon_surely_holds(px, py, vertices, x_error, y_error):
    """INSIDE or OUTSIDE for a point known to within the errors, or EDGE where that is not certain."""
    inside = False
    x0, y0 = vertices[-1, 0], vertices[-1, 1]
    for v in range(vertices.shape[0]):
        x1, y1 = vertices[v, 0], vertices[v, 1]
        if abs(y1 - py) <= y_error:
            return EDGE
        upward = y0 <= py
        if upward != (y1 <= py):
            side = (x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)
            if abs(side) <= 1.001 * (x_error * abs(y1 - y0) + y_error * abs(x1 - x0)):
                return EDGE
            if (side > 0.0) if upward else (side < 0.0):
                inside = not inside
        x0, y0 = x1, y1
    return INSIDE if inside else OUTSIDE


@kernel
def points_near_polygon(x, y, vertices, grid, x_error, y_error, n, member, doubtful):
    """member uint8 (n,) is cleared where (x, y), float64 (n,), is not inside the polygon; cleared events are skipped.

    With both errors 0 every event is decided exactly. Else the events that the errors leave open are
    put into doubtful int64 (n,); returns how many.
    """
    cells, left, bottom, per_x, per_y = grid
    n_doubtful = 0
    exact = x_error == 0.0 and y_error == 0.0
    for e in range(n):
        if member[e]:
            column, row = (x[e] - left) * per_x, (y[e] - bottom) * per_y
            if not (column >= 0.0 and column < CELLS and row >= 0.0 and row < CELLS):
                member[e] = OUTSIDE
                continue
            found = cells[np.uint64(column), np.uint64(row)]
            if found == EDGE:
                if exact:
                    found = np.uint8(polygon_holds(x[e], y[e], vertices))
                else:
                    found = np.uint8(polygon_surely_holds(x[e], y[e], vertices, x_error, y_error))
                    if found == EDGE:
                        doubtful[n_doubtful] = e
                        n_doubtful += 1
            member[e] = found
    return n_doubtful


@kernel
def points_near_ellipsoid(columns, errors, mean, precision, distance_square, n, member, doubtful):
    """member uint8 (n,) is cleared where the squared distance exceeds distance_square; doubtful int64 (n,): the open.

    columns float64 (>= n_axes, >= n), known to within errors float64 (n_axes,); precision float64 (n_axes, n_axes).
    Returns how many events are doubtful.
    """
    n_axes = mean.size
    apart = np.empty(n_axes)
    n_doubtful = 0
    constant = 0.0
    for i in range(n_axes):
        for j in range(n_axes):
            constant += errors[i] * abs(precision[i, j]) * errors[j]
    for e in range(n):
        if not member[e]:
            continue
        for i in range(n_axes):
            apart[i] = columns[i, e] - mean[i]
        total, slope, size = 0.0, 0.0, 0.0
        for j in range(n_axes):
            turned, both = 0.0, 0.0
            for i in range(n_axes):
                part = apart[i] * precision[i, j]
                turned += part
                both += part + apart[i] * precision[j, i]
                size += abs(part * apart[j])
            total += turned * apart[j]
            slope += errors[j] * abs(both)
        # The last term is for rounding, which differs between this sum and the exact one.
        if abs(total - distance_square) <= 1.001 * (slope + constant) + 1e-13 * (size + distance_square):
            doubtful[n_doubtful] = e
            n_doubtful += 1
        else:
            member[e] = np.uint8(total <= distance_square)
    return n_doubtful


@kernel
def events_in_doubt(member, surely, n, doubtful):
    """Events whose member uint8 (n,) is 1 and surely uint8 (n,) is 0, into doubtful int64 (n,); returns how many."""
    n_doubtful = 0
    for e in range(n):
        if member[e] & (surely[e] ^ 1):
            doubtful[n_doubtful] = e
            n_doubtful += 1
    return n_doubtful
