"""Gate geometry: positions of a block's events in, membership (uint8, 1 = inside) out.

Boundaries follow the peers that trial laboratories re-run gates with: a rectangle
holds its minimum and not its maximum; a polygon holds points on its left and lower
edges and not those on its right and upper ones; an ellipsoid holds its boundary.
NaN is outside of every gate.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["combine_members", "points_in_ellipsoid", "points_in_interval", "points_in_polygon"]


@kernel
def points_in_interval(x, low, high, n, member):
    """member uint8 (n,) is cleared where not ``low <= x < high`` (x float64 (n,)); infinite bounds are open."""
    if low > -np.inf:
        for e in range(n):
            member[e] &= np.uint8(x[e] >= low)
    if high < np.inf:
        for e in range(n):
            member[e] &= np.uint8(x[e] < high)
    if not (low > -np.inf or high < np.inf):
        for e in range(n):
            member[e] &= np.uint8(x[e] == x[e])


@kernel
def polygon_holds(px, py, vertices):
    """Whether one point lies in the closed polygon float64 (n_vertices, 2), by the even-odd rule."""
    inside = False
    x0, y0 = vertices[-1, 0], vertices[-1, 1]
    for v in range(vertices.shape[0]):
        x1, y1 = vertices[v, 0], vertices[v, 1]
        upward = y0 <= py
        if upward != (y1 <= py):
            # Twice the signed area of the triangle: positive where the point is left of an upward edge.
            side = (x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)
            if (side > 0.0) if upward else (side < 0.0):
                inside = not inside
        x0, y0 = x1, y1
    return inside


@kernel
def points_in_polygon(x, y, vertices, n, member):
    """member uint8 (n,) is cleared where the point (x, y), float64 (n,), is not inside; cleared events are skipped."""
    left, right = vertices[:, 0].min(), vertices[:, 0].max()
    bottom, top = vertices[:, 1].min(), vertices[:, 1].max()
    for e in range(n):
        if member[e]:
            px, py = x[e], y[e]
            within = (px >= left) & (px <= right) & (py >= bottom) & (py <= top)
            member[e] = np.uint8(within and polygon_holds(px, py, vertices))


@kernel
def points_in_ellipsoid(columns, mean, precision, distance_square, n, member):
    """member uint8 (n,) is cleared where ``(x - mean)' precision (x - mean) > distance_square``.

    columns float64 (>= n_axes, >= n); mean float64 (n_axes,); precision float64 (n_axes, n_axes).
    """
    n_axes = mean.size
    apart = np.empty(n_axes)
    for e in range(n):
        if member[e]:
            for i in range(n_axes):
                apart[i] = columns[i, e] - mean[i]
            total = 0.0
            for j in range(n_axes):
                turned = 0.0
                for i in range(n_axes):
                    turned += apart[i] * precision[i, j]
                total += turned * apart[j]
            member[e] = np.uint8(total <= distance_square)


@kernel
def combine_members(members, operands, complements, is_and, n, member):
    """member uint8 (n,) is cleared where the and (or the or) of some rows of members uint8 (n_populations, >= n) is 0.

    operands int64 (n_operands,): the rows; complements uint8 (n_operands,): 1 where the complement of the row is meant.
    """
    if is_and:
        for k in range(operands.size):
            row = members[operands[k]]
            for e in range(n):
                member[e] &= row[e] ^ complements[k]
        return
    for e in range(n):
        any_of = np.uint8(0)
        for k in range(operands.size):
            any_of |= members[operands[k], e] ^ complements[k]
        member[e] &= any_of
