"""Areas under a profile and under its first moment, segment by segment."""

from __future__ import annotations

from typing import Literal

import numpy as np

__all__ = ["AucMethod", "areas", "value_at"]

AucMethod = Literal["linear-up/log-down", "linear"]


def areas(times: np.ndarray, values: np.ndarray, method: AucMethod) -> tuple[np.ndarray, np.ndarray]:
    """Area and area under the moment curve of every segment; two arrays of shape (n_points - 1,).

    Logarithmic where the values fall and both are positive, else linear: the logarithm of 0 does not exist, and
    that of a ratio of 1 divides by 0.
    """
    t0, t1, c0, c1 = times[:-1], times[1:], values[:-1], values[1:]
    width = t1 - t0
    area = 0.5 * width * (c0 + c1)
    moment = 0.5 * width * (t0 * c0 + t1 * c1)
    if method == "linear":
        return area, moment
    falls = (c1 < c0) & (c1 > 0)
    if np.any(falls):
        width, t0, t1, c0, c1 = width[falls], t0[falls], t1[falls], c0[falls], c1[falls]
        rate = -np.log1p((c1 - c0) / c0) / width  # the constant of the exponential through both points
        area[falls] = (c0 - c1) / rate
        moment[falls] = (t0 * c0 - t1 * c1) / rate + (c0 - c1) / rate**2
    return area, moment


def value_at(time: float, times: np.ndarray, values: np.ndarray, method: AucMethod) -> float:
    """The value between two points, along the same curve that the area is taken of."""
    at = int(np.searchsorted(times, time))
    if times[at] == time:
        return float(values[at])
    t0, t1, c0, c1 = times[at - 1], times[at], values[at - 1], values[at]
    part = (time - t0) / (t1 - t0)
    if method != "linear" and 0 < c1 < c0:
        return float(c0 * (c1 / c0) ** part)
    return float(c0 + part * (c1 - c0))
