"""Where the edge of a rectangle lies among linear values, so that no event needs a position to be held against it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cytomrd.kernels.scale_tables import ROUNDING
from cytomrd.kernels.transforms import inverse_value, transform_value
from cytomrd.preprocess.transforms import ScaleConstants

__all__ = ["Interval", "interval_of_positions", "interval_of_values"]

LARGEST = float(np.finfo(np.float64).max)


class Interval(NamedTuple):
    """Values that can be, and values that surely are, within ``low <= position < high``; both ends belong to it."""

    possible_from: float
    possible_to: float
    sure_from: float
    sure_to: float


def interval_of_positions(low: float, high: float) -> Interval:
    """The interval of exact positions: nothing is in doubt."""
    last = _before(high)
    return Interval(low, last, low, last)


def interval_of_values(low: float, high: float, scale: ScaleConstants) -> Interval:
    """The interval of linear values on a strictly rising, unbounded scale; what rounding could turn is in doubt."""
    below_low, at_low = (-np.inf, -np.inf) if low == -np.inf else _bracket(low, scale)
    below_high, at_high = (np.inf, np.inf) if high == np.inf else _bracket(high, scale)
    possible_from = -np.inf if low == -np.inf else math.nextafter(below_low, np.inf)
    possible_to = np.inf if high == np.inf else _before(at_high)
    return Interval(possible_from, possible_to, at_low, below_high)


def _before(value: float) -> float:
    return value if value == np.inf else math.nextafter(value, -np.inf)


def _bracket(edge: float, scale: ScaleConstants) -> tuple[float, float]:
    """(below, above): positions as computed are under ``edge`` up to ``below``, and at or over it from ``above`` on.

    The computed position of x is off by less than ROUNDING for each unit of its size. So where it differs from the
    edge by ten times that, every value further out is on the same side.
    """
    clear = 10.0 * ROUNDING * max(1.0, abs(edge))
    middle = inverse_value(edge, *scale)
    if math.isfinite(middle):
        near_zero = abs(inverse_value(transform_value(0.0, *scale) + 1e-3, *scale))
        # A first step that is not far enough yet, so that the stretch in doubt stays short.
        step = clear * max(abs(middle), near_zero)
        return _step_out(middle, -step, edge, clear, scale), _step_out(middle, step, edge, clear, scale)
    # An edge that no finite value reaches.
    if middle > 0.0 and transform_value(LARGEST, *scale) <= edge - clear:
        return LARGEST, np.inf
    if middle < 0.0 and transform_value(-LARGEST, *scale) >= edge + clear:
        return -np.inf, -LARGEST
    return -np.inf, np.inf


def _step_out(middle: float, step: float, edge: float, clear: float, scale: ScaleConstants) -> float:
    """The first of middle + step, + 2 step, + 4 step, ... whose position is clear of the edge on that side, or inf."""
    direction = math.copysign(1.0, step)
    value = middle + step
    while math.isfinite(value) and direction * (transform_value(value, *scale) - edge) < clear:
        step *= 2.0
        value = middle + step
    return value
