"""Gates on positions that are known to within an error: decided where that is safe, named where it is not.

A position out of a table is off by at most ``error``. Most events lie further than that from
every edge; the others are handed back, to be decided on exact positions.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.gates import polygon_holds

__all__ = [
    "events_in_doubt",
    "grid_of_polygon",
    "points_near_box",
    "points_near_ellipsoid",
    "points_near_polygon",
]

CELLS = 128
SIDE = CELLS + 2
# Bit 0: may be inside; bit 1: is not certain.
OUTSIDE, INSIDE, EDGE = 0, 1, 3
# With fewer members than this share, events are looked at one by one.
FEW = 0.2
LARGE = 1e140


@kernel
def grid_of_polygon(vertices, x_error, y_error):
    """Grid (cells, left, bottom, cells per x, cells per y) over the box of a polygon float64 (n_vertices, 2).

    cells uint8 (SIDE * SIDE,), x first: INSIDE or OUTSIDE if all that is within the errors of the cell is, else EDGE;
    around them a frame of cells OUTSIDE stands for all that is beyond the box.
    """
    low, step, margin = np.empty(2), np.empty(2), np.empty(2)
    for axis in range(2):
        least, most = vertices[:, axis].min(), vertices[:, axis].max()
        # A flat polygon still gets a box; the margin keeps rounding in the box's arithmetic on the safe side.
        size = max(most - least, 1e-9 * max(abs(most), abs(least)) + 1e-300)
        margin[axis] = (x_error if axis == 0 else y_error) + 1e-6 * size
        low[axis], step[axis] = least - 2.0 * margin[axis], (size + 4.0 * margin[axis]) / CELLS
    cells = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mark_cells(vertices, low, step, margin, cells[1:-1, 1:-1])
    return cells.reshape(SIDE * SIDE), low[0], low[1], 1.0 / step[0], 1.0 / step[1]


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
    # No edge runs between two neighbours that no edge touches, so both are on the same side.
    for i in range(last + 1):
        known = EDGE
        for j in range(last + 1):
            if cells[i, j] == EDGE:
                known = EDGE
                continue
            if known == EDGE and i > 0:
                known = cells[i - 1, j]
            if known == EDGE:
                x, y = low[0] + (i + 0.5) * step[0], low[1] + (j + 0.5) * step[1]
                known = INSIDE if polygon_holds(x, y, vertices) else OUTSIDE
            cells[i, j] = known


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
def points_near_polygon(x, y, vertices, grid, x_error, y_error, n, places, member, doubtful):
    """member uint8 (n,) is cleared where (x, y), float64 (n,), is not inside the polygon.

    With both errors 0 every event is decided exactly. Else the events that the errors leave open stay members and are
    put into doubtful int64 (n,); returns how many. places uint8 (>= n,) is scratch.
    """
    n_members = np.int64(0)
    for e in range(n):
        n_members += member[e]
    if n_members == 0:
        return 0
    find_cells(x, y, grid, n, n_members < FEW * n, places, member, doubtful)
    n_edge = np.int64(0)
    for e in range(n):
        n_edge += (places[e] >> 1) & member[e]
        member[e] &= places[e]
    if n_edge == 0:
        return 0
    n_doubtful = 0
    exact = x_error == 0.0 and y_error == 0.0
    for e in range(n):
        if (places[e] == EDGE) & (member[e] != 0):
            if exact:
                member[e] = np.uint8(polygon_holds(x[e], y[e], vertices))
                continue
            found = polygon_surely_holds(x[e], y[e], vertices, x_error, y_error)
            if found == EDGE:
                doubtful[n_doubtful] = e
                n_doubtful += 1
            else:
                member[e] = np.uint8(found)
    return n_doubtful


@kernel
def find_cells(x, y, grid, n, members_alone, places, member, index):
    """Fill places uint8 (n,) with the cells of grid that (x, y) fall into; index int64 (n,) is scratch."""
    cells, left, bottom, per_x, per_y = grid
    beyond = np.float64(SIDE - 1)
    if members_alone:
        for e in range(n):
            places[e] = OUTSIDE
            if member[e]:
                column, row = (x[e] - left) * per_x + 1.0, (y[e] - bottom) * per_y + 1.0
                if column >= 1.0 and column < beyond and row >= 1.0 and row < beyond:
                    places[e] = cells[np.uint64(column) * np.uint64(SIDE) + np.uint64(row)]
        return
    # No branch depends on an event here: where it falls cannot be predicted.
    for e in range(n):
        column, row = (x[e] - left) * per_x + 1.0, (y[e] - bottom) * per_y + 1.0
        # Written so that NaN falls into the frame.
        column, row = column if column > 0.0 else 0.0, row if row > 0.0 else 0.0
        index[e] = np.int64(min(column, beyond)) * SIDE + np.int64(min(row, beyond))
    for e in range(n):
        places[e] = cells[np.uint64(index[e])]


@kernel
def points_near_ellipsoid(columns, axes, errors, shape, n, spare, surely, member, doubtful):
    """member uint8 (n,) is cleared where the squared distance exceeds the ellipsoid's; doubtful int64 (n,): the open.

    columns float64 (n_columns, >= n), of which axes int64 (n_axes,) are known to within errors float64 (n_axes,);
    shape: mean float64 (n_axes,), precision float64 (n_axes, n_axes) of any kind, and the squared distance;
    spare float64 (2, >= n) and surely uint8 (>= n,) are scratch. Returns how many events are doubtful.
    """
    mean, precision, distance_square = shape
    # How far a distance can be off: by errors of the positions, |P_ij| (|a_i| e_j + e_i |a_j| + e_i e_j) summed, and
    # by rounding, here and in the exact sum, which adds up in another order. With q the sum of a_i squared, |a_i| is
    # at most (1 + q) / 2 and |a_i| |a_j| at most q, so all of it is at most fixed + by_size * q.
    fixed, by_size = 1e-13 * abs(distance_square), 0.0
    for i in range(mean.size):
        for j in range(mean.size):
            weight = abs(precision[i, j])
            fixed += 1.001 * weight * (0.5 * (errors[i] + errors[j]) + errors[i] * errors[j])
            by_size += weight * (0.501 * (errors[i] + errors[j]) + 1e-13)
    limits = distance_square, fixed, by_size
    if mean.size <= 3:
        # Where there are fewer axes the last one stands in, without weight.
        j, k = min(1, mean.size - 1), min(2, mean.size - 1)
        weights = np.zeros((3, 3))
        weights[: mean.size, : mean.size] = precision
        x, y, z = columns[axes[0]], columns[axes[j]], columns[axes[k]]
        _near_ellipsoid_of_three(x, y, z, (mean[0], mean[j], mean[k]), weights, limits, n, surely, member)
    else:
        _near_ellipsoid(columns, axes, mean, precision, limits, n, spare, surely, member)
    return events_in_doubt(member, surely, n, doubtful)


@kernel
def _near_ellipsoid_of_three(x, y, z, mean, precision, limits, n, surely, member):
    """`_near_ellipsoid` for three axes, written out: so it is turned into vector instructions, and needs no scratch."""
    distance_square, fixed, by_size = limits
    x_mean, y_mean, z_mean = mean
    xx, yy, zz = precision[0, 0], precision[1, 1], precision[2, 2]
    xy, xz = precision[0, 1] + precision[1, 0], precision[0, 2] + precision[2, 0]
    yz = precision[1, 2] + precision[2, 1]
    for e in range(n):
        a, b, c = x[e] - x_mean, y[e] - y_mean, z[e] - z_mean
        size = a * a + b * b + c * c
        beyond = (xx * a + xy * b + xz * c) * a + (yy * b + yz * c) * b + zz * c * c - distance_square
        margin = fixed + by_size * size
        # Where numbers overflow nothing is sure.
        is_sound = np.uint8(size < LARGE)
        member[e] &= np.uint8(1) ^ (np.uint8(beyond > margin) & is_sound)
        surely[e] = np.uint8(-beyond > margin) & is_sound


@kernel
def _near_ellipsoid(columns, axes, mean, precision, limits, n, spare, surely, member):
    """Clear member uint8 (n,) where a squared distance is surely too large; surely uint8 (n,): where it surely is not.

    limits: the squared distance, and the margin as a fixed part and one for each unit of the events' size squared.
    """
    distance_square, fixed, by_size = limits
    totals, sizes = spare[0], spare[1]
    totals[:n] = 0.0
    sizes[:n] = 0.0
    for i in range(mean.size):
        x = columns[axes[i]]
        for e in range(n):
            sizes[e] += (x[e] - mean[i]) * (x[e] - mean[i])
        for j in range(mean.size):
            y, weight = columns[axes[j]], precision[i, j]
            for e in range(n):
                totals[e] += weight * (x[e] - mean[i]) * (y[e] - mean[j])
    for e in range(n):
        margin = fixed + by_size * sizes[e]
        is_sound = np.uint8(sizes[e] < LARGE)
        member[e] &= np.uint8(1) ^ (np.uint8(totals[e] - distance_square > margin) & is_sound)
        surely[e] = np.uint8(distance_square - totals[e] > margin) & is_sound


@kernel
def points_near_box(scaled, linear, on_scale, rows, intervals, n, member, surely):
    """Clear member uint8 (n,) where an event cannot be within all bounds, and surely uint8 (n,) where it need not be.

    Bound k holds rows[k] of scaled, or of linear where not on_scale[k], against intervals[k]: possible from and to,
    sure from and to, both ends within; NaN is outside. scaled, linear float64 (., >= n); on_scale bool (n_bounds,);
    rows int64 (n_bounds,); intervals float64 (n_bounds, 4).
    """
    last = rows.size - 1
    in_doubt = False
    for k in range(rows.size):
        in_doubt |= intervals[k, 0] != intervals[k, 2] or intervals[k, 1] != intervals[k, 3]
    for i in range(0, rows.size, 3):
        # Three columns at once keep more of the memory busy; where bounds are left over the last counts again.
        j, k = min(i + 1, last), min(i + 2, last)
        x = scaled[rows[i]] if on_scale[i] else linear[rows[i]]
        y = scaled[rows[j]] if on_scale[j] else linear[rows[j]]
        z = scaled[rows[k]] if on_scale[k] else linear[rows[k]]
        _three_within(x, y, z, intervals[i, :2], intervals[j, :2], intervals[k, :2], n, member)
        if in_doubt:
            _three_within(x, y, z, intervals[i, 2:], intervals[j, 2:], intervals[k, 2:], n, surely)
    if not in_doubt:
        for e in range(n):
            surely[e] &= member[e]


@kernel
def _three_within(x, y, z, of_x, of_y, of_z, n, member):
    """Clear member uint8 (n,) where one of x, y, z float64 (>= n,) is not within its two ends."""
    x_from, x_to, y_from, y_to, z_from, z_to = of_x[0], of_x[1], of_y[0], of_y[1], of_z[0], of_z[1]
    for e in range(n):
        inside = np.uint8(x[e] >= x_from) & np.uint8(x[e] <= x_to)
        inside &= np.uint8(y[e] >= y_from) & np.uint8(y[e] <= y_to)
        inside &= np.uint8(z[e] >= z_from) & np.uint8(z[e] <= z_to)
        member[e] &= inside


@kernel
def events_in_doubt(member, surely, n, doubtful):
    """Events whose member uint8 (n,) is 1 and surely uint8 (n,) is 0, into doubtful int64 (n,); returns how many."""
    n_open = np.int64(0)
    for e in range(n):
        n_open += member[e] & (surely[e] ^ 1)
    if n_open == 0:
        return 0
    n_doubtful = 0
    for e in range(n):
        if member[e] & (surely[e] ^ 1):
            doubtful[n_doubtful] = e
            n_doubtful += 1
    return n_doubtful
