"""The linear width W of a logicle scale, read from a channel's negative events."""

from __future__ import annotations

import numpy as np

__all__ = ["logicle_width"]

MIN_W, MAX_W = 0.2, 1.4
MIN_NEGATIVE = 20
PERCENTILE = 0.05


def logicle_width(values: np.ndarray, *, T: float = 262144.0, M: float = 4.5) -> float:
    """Estimate the logicle width W such that the spread of the negatives becomes linear.

    W is half of ``M - log10(T / |r|)`` with r the 5th percentile of the values below
    zero (Parks, Roederer and Moore 2006, doi:10.1002/cyto.a.20258). It never fails: few or no
    negative values give the narrowest width, extreme ones the widest.

    Parameters
    ----------
    values
        Array of shape (n_events,), compensated scale values.
    T
        Top of the scale.
    M
        Decades.

    Returns
    -------
    W in decades, 0.2 to 1.4 and at most M / 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit import logicle_width
    >>> negatives = np.random.default_rng(0).normal(0, 150, 10_000)
    >>> 0.4 < logicle_width(negatives) < 0.8
    True
    >>> logicle_width(np.array([5.0, 7.0]))
    0.2
    """
    highest = min(MAX_W, M / 2.2)
    negative = values[np.isfinite(values) & (values < 0)]
    if len(negative) < max(MIN_NEGATIVE, 1e-3 * len(values)):
        return float(min(MIN_W, highest))
    reference = -np.quantile(negative, PERCENTILE)
    if not reference > 0 or not T > 0:
        return float(min(MIN_W, highest))
    return float(np.clip((M - np.log10(T / reference)) / 2.0, min(MIN_W, highest), highest))
