"""Compensation of a block: only the detectors that are asked for."""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["compensate_column", "finite_events", "ratio_column"]


@kernel
def compensate_column(values, rows, coefficients, n, out):
    """``out[e] = sum_k coefficients[k] * values[rows[k], e]``: values float64 (n_channels, >= n), out float64 (>= n,).

    Four rows a sweep keep the running sum in registers; the order of the sum is fixed by ``rows``.
    """
    if rows.size == 0:
        out[:n] = 0.0
        return
    done = 0
    first = True
    while done < rows.size:
        left = rows.size - done
        if left >= 4:
            r0, r1, r2, r3 = values[rows[done]], values[rows[done + 1]], values[rows[done + 2]], values[rows[done + 3]]
            c0, c1 = coefficients[done], coefficients[done + 1]
            c2, c3 = coefficients[done + 2], coefficients[done + 3]
            if first:
                for e in range(n):
                    out[e] = c0 * r0[e] + c1 * r1[e] + c2 * r2[e] + c3 * r3[e]
            else:
                for e in range(n):
                    out[e] = out[e] + c0 * r0[e] + c1 * r1[e] + c2 * r2[e] + c3 * r3[e]
            done += 4
        else:
            r0 = values[rows[done]]
            c0 = coefficients[done]
            if first:
                for e in range(n):
                    out[e] = c0 * r0[e]
            else:
                for e in range(n):
                    out[e] += c0 * r0[e]
            done += 1
        first = False


@kernel
def ratio_column(x, y, scale, x_offset, y_offset, n, out):
    """``scale * ((x - x_offset) / (y - y_offset))`` for float64 (n,); a zero below gives inf or NaN, as IEEE says."""
    for e in range(n):
        out[e] = scale * ((x[e] - x_offset) / (y[e] - y_offset))


@kernel
def finite_events(values, rows, n, out):
    """out uint8 (n,): 1 where ``rows`` of values float64 (n_channels, n) are all finite; returns how many are not."""
    out[:n] = 1
    for row in rows:
        column = values[row]
        for e in range(n):
            # x - x is 0 for a finite x and NaN otherwise, and needs no branch.
            out[e] &= np.uint8(column[e] - column[e] == 0.0)
    finite = np.int64(0)
    for e in range(n):
        finite += out[e]
    return n - finite
