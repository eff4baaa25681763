"""The terminal slope: which of the last points fall on a straight line of the logarithm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["TerminalSlope", "fit_terminal_slope"]

MIN_POINTS = 3
R2_TOLERANCE = 1e-4  # of the best adjusted R^2; within it, more points win


@dataclass(frozen=True)
class TerminalSlope:
    """``lambda_z`` in 1/d, its points, its fit, and the line's intercept (logarithm of the value at time 0)."""

    lambda_z: float
    intercept: float
    n_points: int
    r2: float
    r2_adjusted: float
    low_d: float
    high_d: float

    @property
    def half_life_d(self) -> float:
        """Half-life in days."""
        return float(np.log(2.0) / self.lambda_z)

    @property
    def span(self) -> float:
        """Half-lives that the points cover."""
        return (self.high_d - self.low_d) / self.half_life_d


def fit_terminal_slope(times: np.ndarray, values: np.ndarray, after_d: float) -> TerminalSlope | None:
    """The best line through the last three or more quantifiable points strictly after ``after_d``.

    Of the lines that fall, the one with the largest adjusted R^2, and of those within 1e-4 of it the one with the
    most points; None where no line falls.
    """
    used = (times > after_d) & (values > 0)
    t, y = times[used], np.log(values[used])
    lines = [_line(t[-n:], y[-n:]) for n in range(MIN_POINTS, t.size + 1)]
    falling = [line for line in lines if line is not None and line.lambda_z > 0]
    if not falling:
        return None
    best = max(line.r2_adjusted for line in falling)
    return [line for line in falling if line.r2_adjusted > best - R2_TOLERANCE][-1]


def _line(t: np.ndarray, y: np.ndarray) -> TerminalSlope | None:
    n = t.size
    dt, dy = t - t.mean(), y - y.mean()
    total = float(dy @ dy)
    if total == 0:
        return None
    slope = float(dt @ dy) / float(dt @ dt)
    r2 = min(1.0, (float(dt @ dy) ** 2) / (float(dt @ dt) * total))
    adjusted = 1.0 - (1.0 - r2) * (n - 1) / (n - 2)
    intercept = float(y.mean() - slope * t.mean())
    return TerminalSlope(-slope, intercept, int(n), r2, adjusted, float(t[0]), float(t[-1]))
