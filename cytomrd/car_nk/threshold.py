"""The CAR threshold: a high quantile of a control's NK cells, with what the control can say about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytomrd.errors import QuantificationError

__all__ = ["ControlThreshold", "control_threshold"]

# Below this many events beyond the cut its place is ruled by single events.
MIN_EVENTS_BEYOND = 10
MIN_CONTROL_EVENTS = 100


@dataclass(frozen=True, slots=True)
class ControlThreshold:
    """A cut taken from a control.

    Attributes
    ----------
    cut, low, high
        The quantile and its distribution-free 95 % interval, on the scale of the values given. ``high`` is
        infinite where the control has too few events to bound the quantile from above.
    n_events, n_positive
        NK cells of the control, and those above ``cut``.
    quantile
        As asked.
    source
        Which control, in words.
    note
        Empty, or why the cut is weak.
    """

    cut: float
    low: float
    high: float
    n_events: int
    n_positive: int
    quantile: float
    source: str
    note: str = ""


def control_threshold(
    values: np.ndarray, *, quantile: float = 0.999, confidence: float = 0.95, source: str = "control"
) -> ControlThreshold:
    """CAR threshold as a quantile of a control's NK cells.

    Parameters
    ----------
    values : array of shape (n_events,)
        CAR signal of the control's NK cells, on any monotone scale (linear or transformed).
    quantile
        Fraction of the control's NK cells at or below the cut, between 0.5 and 1.
    confidence
        Of the interval from order statistics, which holds whatever the shape of the distribution.
    source
        Which control this is; kept with the result.

    Raises
    ------
    QuantificationError
        With fewer than 100 finite values, or a quantile out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.car_nk.threshold import control_threshold
    >>> found = control_threshold(np.arange(20_000.0), quantile=0.999)
    >>> found.n_positive, found.low <= found.cut <= found.high
    (20, True)
    """
    values = np.asarray(values, dtype=np.float64).ravel()
    ordered = np.sort(values[np.isfinite(values)])
    n = ordered.size
    if not 0.5 <= quantile < 1.0:
        raise QuantificationError(f"quantile {quantile}: a CAR threshold needs 0.5 to below 1, such as 0.999")
    if not 0.0 < confidence < 1.0:
        raise QuantificationError(f"confidence {confidence}: need a value between 0 and 1, such as 0.95")
    if n < MIN_CONTROL_EVENTS:
        raise QuantificationError(
            f"the control ({source}) has {n} NK cells with a finite CAR signal; a threshold needs at least "
            f"{MIN_CONTROL_EVENTS}: acquire more of it or name another control"
        )
    rank = min(n, max(1, int(np.ceil(quantile * n - 1e-9))))
    cut = ordered[rank - 1]
    tail = (1.0 - confidence) / 2.0
    low_rank = max(1, int(stats.binom.ppf(tail, n, quantile)))
    high_rank = int(stats.binom.ppf(1.0 - tail, n, quantile)) + 1
    beyond = n * (1.0 - quantile)
    note = ""
    if beyond < MIN_EVENTS_BEYOND:
        note = f"{n} NK cells place about {beyond:.1f} beyond the {quantile:g} quantile: the cut rests on few events"
    return ControlThreshold(
        cut=float(cut),
        low=float(ordered[low_rank - 1]),
        high=float(ordered[high_rank - 1]) if high_rank <= n else float("inf"),
        n_events=int(n),
        n_positive=int(np.count_nonzero(ordered > cut)),
        quantile=float(quantile),
        source=source,
        note=note,
    )
