"""What a count of clonal plasma cells among N nucleated cells proves: interval, limits, status.

Statistics alone; no events are seen here. The rules follow the consensus on flow MRD in myeloma
(Arroz 2016, doi:10.1002/cyto.b.21228) and CLSI EP17-A2 for the limits of blank and detection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

import numpy as np
from scipy import stats

from cytomrd.errors import QuantificationError

__all__ = [
    "MIN_DONORS",
    "LimitOfBlank",
    "MrdLimits",
    "MrdStatus",
    "clopper_pearson",
    "detection_probability",
    "limit_of_blank",
    "limit_of_detection",
    "mrd_limits",
    "poisson_limit_of_blank",
]

MrdStatus = Literal["POSITIVE", "POSITIVE_BELOW_LLOQ", "NEGATIVE", "NOT_EVALUABLE"]

TARGET_FRACTION = 1e-5
# EP17-A2 section 5.3: the normal quantile of a one-sided 5 % error.
EP17_QUANTILE = 1.645
# Fewer donors than this have no 95th percentile of their own (EP17-A2: rank 0.5 + 0.95 n exceeds n below 10; it is
# the largest value below 20).
MIN_DONORS_FOR_PERCENTILE = 20
# Fewer negative donors say too little about how donors differ: the limit is then provisional.
MIN_DONORS = 5


@dataclass(frozen=True, slots=True)
class MrdLimits:
    """What one count proves.

    Attributes
    ----------
    mrd_fraction
        Clonal plasma cells over nucleated cells, 0 to 1; None without nucleated cells.
    ci_low, ci_high
        Clopper-Pearson interval of the fraction; None without nucleated cells.
    lod, lloq
        The fractions that this sample could have detected and measured: the events needed over N.
        The limit of detection is never below the positivity threshold, so a high blank raises it.
    threshold_events
        Clonal events from which the sample is positive: ``max(lod_events, lob_events + 1)``.
    status
        ``POSITIVE``, ``POSITIVE_BELOW_LLOQ``, ``NEGATIVE`` or ``NOT_EVALUABLE``.
    below_1e_5
        Whether the fraction is below 1e-5; None where N or the sample's quality cannot tell.
    events_needed
        Nucleated cells still to be acquired before a negative result would be evaluable; 0 where N suffices.
    """

    mrd_fraction: float | None
    ci_low: float | None
    ci_high: float | None
    lod: float | None
    lloq: float | None
    threshold_events: int
    status: MrdStatus
    below_1e_5: bool | None
    events_needed: int


def clopper_pearson(n_positive: int, n_total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact (Clopper-Pearson) interval of a binomial fraction.

    Parameters
    ----------
    n_positive, n_total
        Counts, ``0 <= n_positive <= n_total`` and ``n_total >= 1``.
    confidence
        Two-sided confidence, between 0 and 1.

    Returns
    -------
    tuple of float
        Lower and upper limit, 0 to 1.

    Raises
    ------
    QuantificationError
        If the counts are not counts, or the confidence is not between 0 and 1.

    Examples
    --------
    >>> from cytomrd.mrd.limits import clopper_pearson
    >>> low, high = clopper_pearson(20, 2_000_000)
    >>> f"{low:.2e} {high:.2e}"
    '6.11e-06 1.54e-05'
    """
    k, n = _count(n_positive, "n_positive"), _count(n_total, "n_total")
    if n < 1 or k > n:
        raise QuantificationError(f"{k} of {n} events is no fraction: need 0 <= n_positive <= n_total, n_total >= 1")
    _check_confidence(confidence)
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if k == 0 else float(stats.beta.ppf(tail, k, n - k + 1))
    high = 1.0 if k == n else float(stats.beta.isf(tail, k + 1, n - k))
    return low, high


def mrd_limits(
    n_nucleated: int,
    n_clonal: int,
    *,
    lob_events: int = 0,
    lod_events: int = 20,
    lloq_events: int = 50,
    evaluable_nucleated: int = 3_000_000,
    quality_ok: bool = True,
    confidence: float = 0.95,
) -> MrdLimits:
    """Fraction, interval, limits and status of one MRD count.

    Parameters
    ----------
    n_nucleated
        Nucleated cells of all tubes together: the denominator.
    n_clonal
        Clonal plasma cells of all tubes together.
    lob_events
        Limit of blank in events, from the laboratory's own negative samples.
    lod_events, lloq_events
        Clonal events needed to detect (20) and to measure (50).
    evaluable_nucleated
        Nucleated cells from which an absence can be claimed at 1e-5; never under two million.
    quality_ok
        False where the sample cannot stand for the marrow (hemodilution). A positive stays positive.
    confidence
        Of the interval.

    Raises
    ------
    QuantificationError
        If the counts or limits contradict each other.

    Examples
    --------
    >>> from cytomrd.mrd.limits import mrd_limits
    >>> result = mrd_limits(10_000_000, 20)
    >>> result.status, result.mrd_fraction, result.below_1e_5
    ('POSITIVE_BELOW_LLOQ', 2e-06, True)
    >>> mrd_limits(1_000_000, 3).status, mrd_limits(1_000_000, 3).events_needed
    ('NOT_EVALUABLE', 2000000)
    """
    n, k = _count(n_nucleated, "n_nucleated"), _count(n_clonal, "n_clonal")
    lob, lod_k, lloq_k = _count(lob_events, "lob_events"), _count(lod_events, "lod_events"), _count(lloq_events, "lloq")
    evaluable = _count(evaluable_nucleated, "evaluable_nucleated")
    _check_confidence(confidence)
    if k > n:
        raise QuantificationError(f"{k} clonal among {n} nucleated cells: the clonal cells must be nucleated cells too")
    if lod_k < 1 or lloq_k < lod_k:
        raise QuantificationError(f"lod_events {lod_k} and lloq_events {lloq_k}: need 1 <= lod_events <= lloq_events")
    if evaluable < 2_000_000:
        raise QuantificationError(f"evaluable_nucleated {evaluable}: an absence at 1e-5 needs at least 2000000")
    threshold = max(lod_k, lob + 1)
    measurable = max(lloq_k, threshold)
    enough = n >= evaluable
    if k >= measurable:
        status: MrdStatus = "POSITIVE"
    elif k >= threshold:
        status = "POSITIVE_BELOW_LLOQ"
    elif enough and quality_ok:
        status = "NEGATIVE"
    else:
        status = "NOT_EVALUABLE"
    low, high = clopper_pearson(k, n, confidence) if n else (None, None)
    return MrdLimits(
        mrd_fraction=k / n if n else None,
        ci_low=low,
        ci_high=high,
        lod=threshold / n if n else None,
        lloq=measurable / n if n else None,
        threshold_events=threshold,
        status=status,
        below_1e_5=_below_target(k, n, quality_ok) if enough else None,
        events_needed=max(0, evaluable - n),
    )


def detection_probability(fraction: float, n_nucleated: int, threshold_events: int = 20) -> float:
    """Chance that a sample of ``n_nucleated`` cells holds at least ``threshold_events`` clonal ones (Poisson).

    Examples
    --------
    >>> from cytomrd.mrd.limits import detection_probability
    >>> round(detection_probability(1e-5, 3_000_000), 3)
    0.978
    """
    if not 0.0 <= fraction <= 1.0:
        raise QuantificationError(f"fraction {fraction}: need 0 to 1")
    return float(stats.poisson.sf(threshold_events - 1, fraction * n_nucleated))


def poisson_limit_of_blank(mean_events: float, confidence: float = 0.95) -> int:
    """The count that a blank with Poisson mean ``mean_events`` stays at or under with that confidence.

    Examples
    --------
    >>> from cytomrd.mrd.limits import poisson_limit_of_blank
    >>> [poisson_limit_of_blank(m) for m in (0, 1, 2, 5, 8, 10)]
    [0, 3, 5, 9, 13, 15]
    """
    if not (np.isfinite(mean_events) and mean_events >= 0):
        raise QuantificationError(f"mean blank {mean_events}: need a finite number of events, 0 or more")
    _check_confidence(confidence)
    return int(stats.poisson.ppf(confidence, mean_events)) if mean_events > 0 else 0


def limit_of_detection(lob_events: int, confidence: float = 0.95) -> float:
    """The Poisson mean whose counts exceed the limit of blank with that confidence.

    Examples
    --------
    >>> from cytomrd.mrd.limits import limit_of_detection
    >>> [round(limit_of_detection(b), 1) for b in (0, 3, 9)]
    [3.0, 7.8, 15.7]
    """
    _check_confidence(confidence)
    # P(X > b | mu) is the gamma distribution function of shape b + 1 at mu.
    return float(stats.gamma.ppf(confidence, _count(lob_events, "lob_events") + 1))


@dataclass(frozen=True, slots=True)
class LimitOfBlank:
    """The limit of blank from negative samples, for a sample of ``at_nucleated`` cells.

    Attributes
    ----------
    n_blanks, at_nucleated
        Negative donors, and the nucleated cells that the limits below are for.
    mean_rate
        False clonal events per nucleated cell over all donors.
    poisson_events
        95th percentile of a Poisson blank with that rate.
    parametric_events
        EP17's mean + 1.645 SD over donors, rounded up; None with fewer than two donors.
    empirical_events
        EP17's 95th percentile over donors, rounded up; None with fewer than 20 donors.
    lob_events
        The largest of those available: donors differ by more than Poisson.
    high_events
        Upper 95 % limit of the limit of blank itself, for so few or many donors: what it may turn out to be.
    lod_events
        EP17's LoB + 1.645 SD of a low positive sample, with Poisson spread.
    provisional
        True with fewer than five donors.
    reason
        Which of them decided, in words.
    """

    n_blanks: int
    at_nucleated: int
    mean_rate: float
    poisson_events: int
    parametric_events: int | None
    empirical_events: int | None
    lob_events: int
    high_events: int
    lod_events: float
    reason: str

    @property
    def provisional(self) -> bool:
        """Whether there are too few donors to speak of the laboratory's limit of blank."""
        return self.n_blanks < MIN_DONORS


def limit_of_blank(
    clonal_events: Sequence[int], nucleated_events: Sequence[int], *, at_nucleated: int | None = None
) -> LimitOfBlank:
    """Limit of blank from a laboratory's own negative samples (one panel, one instrument).

    Parameters
    ----------
    clonal_events, nucleated_events
        Per negative donor: events called clonal, and nucleated cells.
    at_nucleated
        Nucleated cells of the sample that the limit is for; default: the donors' median.

    Raises
    ------
    QuantificationError
        Without donors, or when the two do not belong together.

    Examples
    --------
    >>> from cytomrd.mrd.limits import limit_of_blank
    >>> limit_of_blank([0, 1, 2], [3_000_000] * 3).lob_events
    3
    """
    counts = np.array([_count(c, "clonal_events") for c in clonal_events], dtype=np.int64)
    nucleated = np.array([_count(n, "nucleated_events") for n in nucleated_events], dtype=np.int64)
    if counts.size == 0 or counts.shape != nucleated.shape or nucleated.min() < 1 or np.any(counts > nucleated):
        raise QuantificationError(
            f"{counts.size} clonal counts with {nucleated.size} nucleated counts: give one of each per negative donor"
        )
    n_at = int(np.median(nucleated)) if at_nucleated is None else _count(at_nucleated, "at_nucleated")
    expected = counts / nucleated * n_at
    rate = float(counts.sum() / nucleated.sum())
    found = {"Poisson": poisson_limit_of_blank(rate * n_at)}
    if counts.size >= 2:
        found["mean + 1.645 SD over donors"] = _up(expected.mean() + EP17_QUANTILE * expected.std(ddof=1))
    if counts.size >= MIN_DONORS_FOR_PERCENTILE:
        found["95th percentile over donors"] = _up(_ranked_percentile(expected, 0.95))
    decided = max(found, key=found.get)
    lob = found[decided]
    return LimitOfBlank(
        n_blanks=int(counts.size),
        at_nucleated=n_at,
        mean_rate=rate,
        poisson_events=found["Poisson"],
        parametric_events=found.get("mean + 1.645 SD over donors"),
        empirical_events=found.get("95th percentile over donors"),
        lob_events=lob,
        high_events=max(lob, _highest_blank(expected, int(counts.sum()), int(nucleated.sum()), n_at)),
        lod_events=limit_of_detection(lob),
        reason=f"{decided}, {counts.size} negative donor{'' if counts.size == 1 else 's'}",
    )


def _highest_blank(expected: np.ndarray, k: int, n: int, n_at: int) -> int:
    """Upper 95 % limit of the 95th percentile: of a Poisson blank, and of donors that differ (normal tolerance)."""
    # Garwood's limit of a Poisson mean: chi-square of 2 k + 2 degrees of freedom, halved.
    rate = float(stats.chi2.ppf(0.95, 2 * k + 2)) / 2.0 / n
    high = poisson_limit_of_blank(rate * n_at)
    size = expected.size
    if size >= 2:
        factor = float(stats.nct.ppf(0.95, size - 1, EP17_QUANTILE * np.sqrt(size))) / np.sqrt(size)
        high = max(high, _up(expected.mean() + factor * expected.std(ddof=1)))
    return high


def _below_target(k: int, n: int, quality_ok: bool) -> bool | None:
    below = k / n < TARGET_FRACTION
    # Blood in the aspirate dilutes the clone: a low fraction then proves nothing, a high one still does.
    return None if below and not quality_ok else below


def _ranked_percentile(values: np.ndarray, percentile: float) -> float:
    ordered = np.sort(values)
    rank = 0.5 + percentile * ordered.size
    return float(np.interp(rank, np.arange(1, ordered.size + 1), ordered))


def _up(value: float) -> int:
    return int(np.ceil(value - 1e-9))


def _count(value: int, name: str) -> int:
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise QuantificationError(f"{name} {value!r}: need a whole number of events")
    if value < 0:
        raise QuantificationError(f"{name} {value}: a count cannot be negative")
    return int(value)


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise QuantificationError(f"confidence {confidence}: need a value between 0 and 1, such as 0.95")
