"""The scale of scatter, which every laboratory sets as it likes, read from the sample's own cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["USUAL_FORWARD", "USUAL_SIDE", "scatter_steps"]

USUAL_FORWARD = 0.46
"""Where panels expect the 80th percentile of the cells' forward scatter: large cells (scale 0 to 1)."""
USUAL_SIDE = 0.057
"""Where panels expect the 10th percentile of the cells' side scatter: lymphocytes and the like (scale 0 to 1)."""
# Cells are what lies above a share of the largest events, of which debris has none; then of the large cells.
LARGEST, SHARE_OF_LARGEST, SHARE_OF_LARGE = 0.98, 0.40, 0.45
FORWARD_QUANTILE, SIDE_QUANTILE = 0.80, 0.10
MIN_EVENTS = 1_000
STEPS = (-4, 1)


def scatter_steps(areas: Mapping[str, np.ndarray], tops: Mapping[str, float]) -> dict[str, int]:
    """How many times to double the end of the forward and side scatter scales so that cells lie where panels expect.

    Gains of scatter are set by eye, so that a bound on scatter means nothing until the scale is tied to
    cells. Whole doublings are used: they leave the scale of a usual instrument as it is, and two visits of a
    subject on the same one.

    Parameters
    ----------
    areas
        ``"FSC"`` and, where there is one, ``"SSC"``: arrays of shape (n_events,), scale values of a sample.
    tops
        The end of each scale as it would be.

    Returns
    -------
    Doublings, negative for halvings; none with fewer than 1000 events.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit.scatter import scatter_steps
    >>> cells = np.random.default_rng(0).lognormal(np.log(30_000), 0.2, 10_000)
    >>> scatter_steps({"FSC": cells}, {"FSC": 262144.0})
    {'FSC': -2}
    """
    forward = areas.get("FSC")
    if forward is None or np.isfinite(forward).sum() < MIN_EVENTS:
        return {}
    known = forward[np.isfinite(forward)]
    known = known[known > SHARE_OF_LARGEST * max(0.0, np.quantile(known, LARGEST))]
    if not known.size:
        return {}
    large = float(np.quantile(known, FORWARD_QUANTILE))
    steps = {"FSC": _steps(large, USUAL_FORWARD * tops["FSC"])}
    side = areas.get("SSC")
    if side is not None:
        cells = side[np.isfinite(side) & (forward > SHARE_OF_LARGE * large)]
        if len(cells) >= MIN_EVENTS // 2:
            smooth = float(np.quantile(cells, SIDE_QUANTILE))
            steps["SSC"] = _steps(smooth, USUAL_SIDE * tops["SSC"])
    return steps


def _steps(seen: float, usual: float) -> int:
    if not seen > 0 or not usual > 0:
        return 0
    return int(np.clip(np.rint(np.log2(seen / usual)), *STEPS))
