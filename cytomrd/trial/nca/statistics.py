"""Summaries of PK parameters, and how exposure grows with the dose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytomrd.errors import QuantificationError

__all__ = ["PowerModel", "Summary", "fit_power_model", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """Summary of some values; None where too few are there to say.

    ``n`` counts the values that are there, ``n_blq`` those of 0 (all BLQ) among them, which are left out of the
    geometric statistics; ``n_missing`` those that were not calculated. Percentages are 0-100.
    """

    n: int
    n_missing: int
    n_blq: int
    mean: float | None = None
    sd: float | None = None
    cv_percent: float | None = None
    median: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    q1: float | None = None
    q3: float | None = None
    geometric_mean: float | None = None
    geometric_sd: float | None = None
    geometric_cv_percent: float | None = None
    geometric_low: float | None = None
    geometric_high: float | None = None


def summarise(values: Sequence[float | None], *, confidence: float = 0.95) -> Summary:
    """Summary of values; None and NaN are missing, 0 is all BLQ.

    The interval of the geometric mean is by Student's t on the logarithms; quartiles are those of SAS
    (definition 5: the mean of two neighbours where the rank falls between them).

    Examples
    --------
    >>> from cytomrd.trial.nca.statistics import summarise
    >>> made = summarise([12.1, 30.4, 8.8, 19.7, 0.0, None])
    >>> made.n, made.n_blq, made.n_missing, round(made.geometric_mean, 3)
    (5, 1, 1, 15.891)
    """
    given = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    x = given[~np.isnan(given)]
    if np.any(x < 0):
        raise QuantificationError(f"{x.min():g} among values of a PK summary; allowed is 0 or more")
    missing, blq = int(given.size - x.size), int(np.count_nonzero(x == 0))
    if not x.size:
        return Summary(0, missing, blq)
    mean = float(x.mean())
    sd = float(x.std(ddof=1)) if x.size > 1 else None
    q1, median, q3 = (float(q) for q in np.percentile(x, [25, 50, 75], method="averaged_inverted_cdf"))
    return Summary(
        n=int(x.size),
        n_missing=missing,
        n_blq=blq,
        mean=mean,
        sd=sd,
        cv_percent=100 * sd / mean if sd is not None and mean > 0 else None,
        median=median,
        minimum=float(x.min()),
        maximum=float(x.max()),
        q1=q1,
        q3=q3,
        **_geometric(x[x > 0], confidence),
    )


def _geometric(x: np.ndarray, confidence: float) -> dict[str, float]:
    if not x.size:
        return {}
    logs = np.log(x)
    made = {"geometric_mean": float(np.exp(logs.mean()))}
    if x.size < 2:
        return made
    s = float(logs.std(ddof=1))
    half = float(stats.t.ppf(0.5 + confidence / 2, x.size - 1)) * s / np.sqrt(x.size)
    return made | {
        "geometric_sd": float(np.exp(s)),
        "geometric_cv_percent": float(100 * np.sqrt(np.expm1(s**2))),
        "geometric_low": float(np.exp(logs.mean() - half)),
        "geometric_high": float(np.exp(logs.mean() + half)),
    }


@dataclass(frozen=True, slots=True)
class PowerModel:
    """``ln y = intercept + slope ln dose``: a slope of 1 is proportional to the dose.

    ``region_low`` to ``region_high`` is where the slope's interval must lie for proportionality within
    ``theta`` to ``1 / theta`` over the range of doses (Smith 2000, doi:10.1023/A:1026451721686).
    """

    slope: float
    standard_error: float
    low: float
    high: float
    intercept: float
    confidence: float
    n: int
    region_low: float
    region_high: float

    @property
    def verdict(self) -> str:
        """``proportional``, ``not proportional`` or ``inconclusive``, by the interval against the region."""
        if self.region_low <= self.low and self.high <= self.region_high:
            return "proportional"
        return "not proportional" if self.high < self.region_low or self.low > self.region_high else "inconclusive"


def fit_power_model(
    doses: Sequence[float], values: Sequence[float | None], *, confidence: float = 0.90, theta: float = 0.5
) -> PowerModel | None:
    """Least squares of ln y on ln dose; values missing or 0 are left out. None with fewer than 3 or one dose.

    Examples
    --------
    >>> from cytomrd.trial.nca.statistics import fit_power_model
    >>> round(fit_power_model([1, 2, 4, 8], [3, 6, 12, 24]).slope, 6)
    1.0
    """
    dose = np.asarray(doses, dtype=np.float64)
    y = np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)
    if dose.shape != y.shape or np.any(dose <= 0):
        raise QuantificationError(f"{dose.size} doses with {y.size} values; give one positive dose for each value")
    used = y > 0
    if np.count_nonzero(used) < 3 or np.unique(dose[used]).size < 2:
        return None
    x, z = np.log(dose[used]), np.log(y[used])
    n, dx = x.size, x - x.mean()
    slope = float(dx @ (z - z.mean()) / (dx @ dx))
    intercept = float(z.mean() - slope * x.mean())
    residual = z - intercept - slope * x
    error = float(np.sqrt(residual @ residual / (n - 2) / (dx @ dx)))
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 2)) * error
    reach = abs(np.log(theta)) / float(np.log(dose[used].max() / dose[used].min()))
    return PowerModel(slope, error, slope - half, slope + half, intercept, confidence, int(n), 1 - reach, 1 + reach)
