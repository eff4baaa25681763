"""Scales: float64 scale values in, positions on the scale out, exact to the last few bits."""

from __future__ import annotations

import math

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.constants import ASINH, BIEXPONENTIAL, CLAMPED_LOG, HYPERLOG, LINEAR, LOG, LOGICLE

__all__ = [
    "hyperlog_inverse_value",
    "hyperlog_value",
    "interpolate",
    "inverse_column",
    "inverse_value",
    "logicle_inverse_value",
    "logicle_value",
    "transform_column",
    "transform_value",
]

# Beyond it only the rising exponential counts, and its derivatives would overflow.
HUGE = 1e200


@kernel
def logicle_value(x, constants):
    """One logicle position (float64) of one scale value; constants float64 (8,) of ``logicle_constants``."""
    if not math.isfinite(x):
        return x
    x1, b, d, p, q, slope = constants[0], constants[1], constants[2], constants[3], constants[4], constants[5]
    size = abs(x)
    # Both are upper bounds of the root of a convex rising curve, so every step stays on the safe side.
    u = min(size / slope, math.log1p(size / p) / b)
    if size > HUGE:
        return x1 + math.copysign(u, x)
    for _ in range(30):
        rising = math.expm1(b * u)
        falling = math.expm1(-d * u)
        excess = p * rising - q * falling - size
        first = p * b * (rising + 1.0) + q * d * (falling + 1.0)
        second = p * b * b * (rising + 1.0) - q * d * d * (falling + 1.0)
        newton = excess / first
        step = newton / (1.0 - 0.5 * newton * second / first)
        u -= step
        # Convergence is cubic: the step after one of 1e-6 is below the last bit.
        if abs(step) <= 1e-6 * u:
            break
    return x1 + u if x >= 0.0 else x1 - u


@kernel
def logicle_inverse_value(y, constants):
    """One scale value (float64) of one logicle position."""
    u = abs(y - constants[0])
    x = constants[3] * math.expm1(constants[1] * u) - constants[4] * math.expm1(-constants[2] * u)
    return x if y >= constants[0] else -x


@kernel
def hyperlog_value(x, constants):
    """One hyperlog position (float64) of one scale value; constants float64 (8,) of ``hyperlog_constants``."""
    if not math.isfinite(x):
        return x
    x1, b, c, p, slope = constants[0], constants[1], constants[2], constants[3], constants[4]
    size = abs(x)
    u = min(size / slope, math.log1p(size / p) / b)
    if size > HUGE:
        return x1 + math.copysign(u, x)
    for _ in range(60):
        rising = math.expm1(b * u)
        excess = p * rising + c * u - size
        first = p * b * (rising + 1.0) + c
        second = p * b * b * (rising + 1.0)
        newton = excess / first
        step = newton / (1.0 - 0.5 * newton * second / first)
        u -= step
        if abs(step) <= 1e-6 * u:
            break
    return x1 + u if x >= 0.0 else x1 - u


@kernel
def hyperlog_inverse_value(y, constants):
    """One scale value (float64) of one hyperlog position."""
    u = abs(y - constants[0])
    x = constants[3] * math.expm1(constants[1] * u) + constants[2] * u
    return x if y >= constants[0] else -x


@kernel
def interpolate(x, grid, values):
    """Straight line between the neighbours in grid (float64, rising), the end values beyond it, NaN for NaN."""
    last = grid.size - 1
    if math.isnan(x):
        return x
    if x <= grid[0]:
        return values[0]
    if x >= grid[last]:
        return values[last]
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) >> 1
        if grid[middle] <= x:
            low = middle
        else:
            high = middle
    slope = (values[low + 1] - values[low]) / (grid[low + 1] - grid[low])
    return slope * (x - grid[low]) + values[low]


@kernel
def transform_value(x, kind, constants, table):
    """One position on the scale of one scale value; table float64 (2, n) for the biexponential."""
    if kind == LOGICLE:
        return logicle_value(x, constants)
    if kind == HYPERLOG:
        return hyperlog_value(x, constants)
    if kind == ASINH:
        return (math.asinh(x * constants[0]) + constants[1]) / constants[2]
    if kind == LINEAR:
        return (x + constants[0]) / constants[1]
    if kind == LOG:
        if x > 0.0:
            return constants[1] * math.log10(x / constants[0]) + 1.0
        return -np.inf if x == 0.0 else np.nan
    if kind == CLAMPED_LOG:
        inside = constants[0] if x < constants[0] else x
        return constants[2] * (math.log10(inside) - constants[1])
    if kind == BIEXPONENTIAL:
        return interpolate(x, table[0], table[1])
    return np.nan


@kernel
def inverse_value(y, kind, constants, table):
    """One scale value of one position on the scale."""
    if kind == LOGICLE:
        return logicle_inverse_value(y, constants)
    if kind == HYPERLOG:
        return hyperlog_inverse_value(y, constants)
    if kind == ASINH:
        return math.sinh(y * constants[2] - constants[1]) / constants[0]
    if kind == LINEAR:
        return y * constants[1] - constants[0]
    if kind == LOG:
        return constants[0] * 10.0 ** ((y - 1.0) / constants[1])
    if kind == CLAMPED_LOG:
        return 10.0 ** (max(y, 0.0) / constants[2] + constants[1])
    if kind == BIEXPONENTIAL:
        return interpolate(y, table[1], table[0])
    return np.nan


@kernel
def transform_column(x, kind, constants, table, out):
    """Positions of float64 (n,) scale values into out float64 (>= n,)."""
    if kind == LINEAR:
        for i in range(x.size):
            out[i] = (x[i] + constants[0]) / constants[1]
        return
    for i in range(x.size):
        out[i] = transform_value(x[i], kind, constants, table)


@kernel
def inverse_column(y, kind, constants, table, out):
    """Scale values of float64 (n,) positions into out float64 (>= n,)."""
    for i in range(y.size):
        out[i] = inverse_value(y[i], kind, constants, table)
