"""The numbers that a scale needs, derived once from its published parameters.

Every scale ends as a kind, a vector of eight float64 constants and, for
FlowJo's biexponential, a lookup table; :mod:`cytomrd.kernels.transforms` works
on those alone.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "ASINH",
    "BIEXPONENTIAL",
    "CLAMPED_LOG",
    "HYPERLOG",
    "LINEAR",
    "LOG",
    "LOGICLE",
    "NO_TABLE",
    "asinh_constants",
    "biexponential_table",
    "clamped_log_constants",
    "decay_rate",
    "hyperlog_constants",
    "linear_constants",
    "log_constants",
    "logicle_constants",
]

LINEAR, LOG, ASINH, LOGICLE, HYPERLOG, BIEXPONENTIAL, CLAMPED_LOG = range(7)
NO_TABLE = np.zeros((2, 1))
LN10 = math.log(10.0)


def _vector(*numbers: float) -> np.ndarray:
    constants = np.zeros(8)
    constants[: len(numbers)] = numbers
    return constants


def decay_rate(b: float, w: float) -> float:
    """Root d of ``2 (ln d - ln b) + w (b + d) = 0``: the rate of the negative exponential, 0 < d <= b."""
    if w == 0.0:
        return b

    def excess(d: float) -> float:
        return 2.0 * (math.log(d) - math.log(b)) + w * (b + d)

    # The left side rises with d, so halving an interval around the root always ends.
    low, high = b * 1e-300, b
    for _ in range(2000):
        middle = math.sqrt(low * high) if high > 2.0 * low else (low + high) / 2.0
        if not low < middle < high:
            break
        if excess(middle) < 0.0:
            low = middle
        else:
            high = middle
    return high if abs(excess(high)) < abs(excess(low)) else low


def linear_constants(top: float, a: float) -> np.ndarray:
    """``(x + A) / (T + A)`` as (A, T + A)."""
    return _vector(a, top + a)


def log_constants(top: float, m: float) -> np.ndarray:
    """``(1 / M) log10(x / T) + 1`` as (T, 1 / M)."""
    return _vector(top, 1.0 / m)


def clamped_log_constants(offset: float, decades: float) -> np.ndarray:
    """``(log10(max(x, offset)) - log10(offset)) / decades`` as (offset, log10 offset, 1 / decades)."""
    return _vector(offset, math.log10(offset), 1.0 / decades)


def asinh_constants(top: float, m: float, a: float) -> np.ndarray:
    """``(asinh(x k) + s) / q`` as (k, s, q)."""
    return _vector(math.sinh(m * LN10) / top, a * LN10, (m + a) * LN10)


def logicle_constants(top: float, w: float, m: float, a: float) -> np.ndarray:
    """Constants (x1, b, d, p, q, slope) of ``x = p expm1(b u) - q expm1(-d u)`` with ``u = y - x1``.

    The published form ``a exp(b y) - c exp(-d y) - f`` (Moore and Parks 2012) is shifted to its
    zero x1, which takes the cancellation near zero out of it. ``slope`` is dx/du at zero.
    """
    b = (m + a) * LN10
    width = w / (m + a)
    x2 = a / (m + a)
    x1 = x2 + width
    x0 = x2 + 2.0 * width
    d = decay_rate(b, width)
    c_over_a = math.exp(x0 * (b + d))
    f_over_a = math.exp(b * x1) - c_over_a * math.exp(-d * x1)
    scale = top / (math.exp(b) - f_over_a - c_over_a * math.exp(-d))
    p = scale * math.exp(b * x1)
    q = scale * c_over_a * math.exp(-d * x1)
    return _vector(x1, b, d, p, q, p * b + q * d)


def hyperlog_constants(top: float, w: float, m: float, a: float) -> np.ndarray:
    """Constants (x1, b, c, p, slope) of ``x = p expm1(b u) + c u`` with ``u = y - x1`` (Gating-ML 2.0, 6.2.4)."""
    b = (m + a) * LN10
    width = w / (m + a)
    x2 = a / (m + a)
    x1 = x2 + width
    x0 = x2 + 2.0 * width
    c_over_a = math.exp(b * x0) / width
    f_over_a = math.exp(b * x1) + c_over_a * x1
    scale = top / (math.exp(b) + c_over_a - f_over_a)
    c = c_over_a * scale
    p = scale * math.exp(b * x1)
    return _vector(x1, b, c, p, p * b + c)


def biexponential_table(
    negative: float, width: float, positive: float, max_value: float, channel_range: int
) -> np.ndarray:
    """FlowJo's biexponential as a table of shape (2, channel_range + 1): scale values, then channels.

    One exponential rises over the positive decades and one falls; where they meet is the zero channel,
    and the channels below it mirror those above.
    """
    half_width = math.log10(-width) / 2.0
    decades = positive - half_width
    extra = max(negative, 0.0) + half_width
    zero = int(min(int(extra * channel_range / (extra + decades)), channel_range / 2))
    if zero > 0:
        decades = extra * channel_range / zero
    relative_width = half_width / decades
    rise = LN10 * decades
    fall = decay_rate(rise, relative_width)
    shift = math.exp((rise + fall) * (relative_width + extra / decades))
    steps = np.arange(channel_range + 1) / (channel_range + 1.0)
    curve = np.exp(steps * rise) - shift * np.exp(-steps * fall)
    table = np.empty((2, channel_range + 1))
    table[0] = max_value / math.exp(rise) * (curve - curve[zero])
    below = np.arange(zero)
    table[0, below] = -table[0, 2 * zero - below]
    table[1] = np.arange(channel_range + 1)
    return table
