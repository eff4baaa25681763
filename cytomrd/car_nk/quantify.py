"""CAR+ NK cells of one sample: gross, background, net, cells per microlitre, status."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from scipy import stats

from cytomrd.car_nk.absolute import DualPlatform, EventConcentration, SinglePlatform, Volumetric
from cytomrd.car_nk.background import Background, BlankLimits, NetPositive, background_limits, net_positive
from cytomrd.errors import QuantificationError
from cytomrd.panel import CarNkSpec

__all__ = ["CarNkResult", "CarNkStatus", "quantify_car_nk"]

CarNkStatus = Literal["QUANTIFIED", "BELOW_LLOQ", "BELOW_LOD", "NOT_EVALUABLE"]
AbsoluteMethod = SinglePlatform | Volumetric | DualPlatform
# A blank passes as detected in 5 % (EP17), and as quantified in 0.1 %.
DETECTED_PROBABILITY, QUANTIFIED_PROBABILITY = 0.05, 0.001


@dataclass(frozen=True, slots=True)
class CarNkResult:
    """One row of ``car_nk.csv``, without the columns that name the sample.

    Attributes
    ----------
    n_leukocytes, n_nk, n_car_nk, n_car_t
        Counted events; ``n_car_nk`` is gross.
    gross_fraction, background_fraction, net_fraction, ci_low, ci_high
        Of NK cells, 0 to 1; the interval (95 %) is of the net fraction. None where it cannot be said.
    background_source
        Which control, in words.
    cells_per_ul, cells_per_ul_low, cells_per_ul_high
        Net CAR+ NK cells per microlitre and its 95 % interval, which carries all counts.
    method
        ``single_platform``, ``volumetric``, ``dual_platform`` or ``none``.
    lloq_cells_per_ul, lloq_fraction, lloq_events
        Limit of quantification that this sample reached: per microlitre, of NK cells, in net events.
    lob_events
        Gross events that a blank stays at or under with 95 % confidence.
    net_events
        Net CAR+ NK events.
    median_car, median_cd16
        Median intensity of the CAR and of CD16 on NK cells above the CAR threshold, compensated, linear scale.
    status
        ``QUANTIFIED``, ``BELOW_LLOQ``, ``BELOW_LOD`` or ``NOT_EVALUABLE``.
    flags
        ``"CODE: words"``, in the order in which they arose.
    """

    n_leukocytes: int
    n_nk: int
    n_car_nk: int
    gross_fraction: float | None
    background_fraction: float | None
    background_source: str
    net_fraction: float | None
    ci_low: float | None
    ci_high: float | None
    cells_per_ul: float | None
    cells_per_ul_low: float | None
    cells_per_ul_high: float | None
    method: str
    lloq_cells_per_ul: float | None
    status: CarNkStatus
    n_car_t: int | None
    flags: tuple[str, ...]
    net_events: float | None = None
    lob_events: int | None = None
    lloq_events: int | None = None
    lloq_fraction: float | None = None
    median_car: float | None = None
    median_cd16: float | None = None


def quantify_car_nk(
    n_leukocytes: int,
    n_nk: int,
    n_car_nk: int,
    *,
    background: Background | None,
    absolute: AbsoluteMethod | None = None,
    spec: CarNkSpec | None = None,
    matrix: Literal["PB", "BM"] = "PB",
    n_car_t: int | None = None,
    collected_at: datetime | None = None,
    acquired_at: datetime | None = None,
    refusal: str = "",
    flags: tuple[str, ...] = (),
) -> CarNkResult:
    """Quantify CAR+ NK cells from counts.

    Parameters
    ----------
    n_leukocytes, n_nk, n_car_nk
        Events gated as CD45+ leukocytes, NK cells, and NK cells above the CAR threshold.
    background
        From a control (:func:`cytomrd.car_nk.background.choose_background`); None refuses a net number.
    absolute
        How events become cells per microlitre; None gives fractions alone.
    spec
        The panel's CAR-NK assay; the defaults are LOD 20 and LLOQ 50 events among at least 1e4 NK cells.
    matrix
        ``"BM"`` gives no cells per microlitre unless the instrument is volumetric.
    n_car_t
        CAR+ T cells, reported as they are.
    collected_at, acquired_at
        For the flag on storage.
    refusal
        ``"CODE: words"``: why the counts cannot be defended. No net number is given then.
    flags
        Put in front of those found here.

    Raises
    ------
    QuantificationError
        If the counts contradict each other.

    Examples
    --------
    >>> import cytomrd as cm
    >>> from cytomrd.car_nk.absolute import SinglePlatform
    >>> from cytomrd.car_nk.background import Background
    >>> result = cm.quantify_car_nk(
    ...     200_000, 20_000, 2_000, background=Background(40, 40_000, "FMO control"),
    ...     absolute=SinglePlatform(10_000, 50_000, "L1", 100.0))
    >>> result.status, round(result.cells_per_ul, 1)
    ('QUANTIFIED', 99.1)
    """
    spec = spec or CarNkSpec()
    _check_counts(n_leukocytes, n_nk, n_car_nk, n_car_t)
    if matrix not in ("PB", "BM"):
        raise QuantificationError(f"matrix {matrix!r}: need 'PB' (blood) or 'BM' (marrow)")
    concentration = _concentration(absolute, n_leukocytes, matrix)
    found = [*flags, *_sample_flags(n_nk, collected_at, acquired_at, spec)]
    common = {
        "n_leukocytes": int(n_leukocytes),
        "n_nk": int(n_nk),
        "n_car_nk": int(n_car_nk),
        "n_car_t": None if n_car_t is None else int(n_car_t),
        "gross_fraction": n_car_nk / n_nk if n_nk else None,
        "background_fraction": background.fraction if background else None,
        "background_source": background.source if background else "none",
        "method": concentration.method,
    }
    if refusal or background is None or n_nk == 0:
        if refusal:
            found.append(refusal)
        elif background is None:
            found.append(
                "NO_CONTROL: no pre-infusion sample, FMO, isotype or panel reference tells CAR+ from background"
            )
        return _not_evaluable(common, (*found, *concentration.flags))
    net = net_positive(n_nk, n_car_nk, background)
    blank = background_limits(n_nk, n_car_nk, background, lloq_events=spec.lloq_events)
    found += _background_flags(n_nk, n_car_nk, background, blank, spec)
    per_ul = _per_ul(net, concentration)
    return CarNkResult(
        **common,
        net_fraction=net.fraction,
        ci_low=net.low,
        ci_high=net.high,
        cells_per_ul=per_ul[0],
        cells_per_ul_low=per_ul[1],
        cells_per_ul_high=per_ul[2],
        lloq_cells_per_ul=_times(blank.lloq_events, concentration.per_event_per_ul),
        status=_status(net, blank, n_car_nk, spec),
        flags=(*found, *concentration.flags),
        net_events=net.events,
        lob_events=blank.lob_events,
        lloq_events=blank.lloq_events,
        lloq_fraction=min(1.0, blank.lloq_events / n_nk),
    )


def _status(net: NetPositive, blank: BlankLimits, n_car_nk: int, spec: CarNkSpec) -> CarNkStatus:
    if net.events < spec.lod_events or n_car_nk <= blank.lob_events or blank.probability > DETECTED_PROBABILITY:
        return "BELOW_LOD"
    if net.events < blank.lloq_events or blank.probability > QUANTIFIED_PROBABILITY:
        return "BELOW_LLOQ"
    return "QUANTIFIED"


def _per_ul(net: NetPositive, concentration: EventConcentration) -> tuple[float | None, float | None, float | None]:
    per_event = concentration.per_event_per_ul
    if per_event is None:
        return None, None, None
    low, high = net.low_draws, net.high_draws
    if concentration.n_reference is not None:
        # More reference events than counted make the concentration lower: shapes as for limits of a count.
        n = concentration.n_reference
        low = low * n / stats.gamma.ppf(net.reference_uniforms, n + 1.0)
        high = high * n / stats.gamma.ppf(net.reference_uniforms[: high.size], n)
    value = net.events * per_event
    low_limit = float(np.quantile(low, 0.025)) * per_event
    return value, min(value, low_limit), max(value, float(np.quantile(high, 0.975)) * per_event)


def _concentration(absolute: AbsoluteMethod | None, n_leukocytes: int, matrix: str) -> EventConcentration:
    if absolute is None:
        return EventConcentration("none")
    if matrix == "BM" and not isinstance(absolute, Volumetric):
        flag = "MARROW_FRACTION_ONLY: cells per uL of an aspirate need a volumetric instrument; fractions are given"
        return EventConcentration("none", flags=(flag,))
    return absolute.concentration(n_leukocytes)


def _sample_flags(n_nk: int, collected_at: datetime | None, acquired_at: datetime | None, spec: CarNkSpec) -> list[str]:
    flags = []
    if n_nk == 0:
        flags.append("NO_NK: no NK cell was gated")
    elif n_nk < spec.min_nk_events:
        flags.append(f"FEW_NK: {n_nk} NK cells, {spec.min_nk_events} are needed for the usual limits")
    if collected_at is None or acquired_at is None:
        return flags
    if (collected_at.tzinfo is None) != (acquired_at.tzinfo is None):
        return [*flags, "STORAGE_UNKNOWN: only one of collected_at and acquired_at has a time zone"]
    hours = (acquired_at - collected_at).total_seconds() / 3600.0
    if hours < 0:
        flags.append(f"STORAGE_NEGATIVE: acquired {-hours:.1f} h before it was collected; check the times")
    elif hours > spec.max_storage_h:
        flags.append(f"STORAGE: {hours:.1f} h from collection to acquisition, allowed are {spec.max_storage_h:g} h")
    return flags


def _background_flags(
    n_nk: int, n_car_nk: int, background: Background, blank: BlankLimits, spec: CarNkSpec
) -> list[str]:
    flags = []
    k, n = background.n_positive, background.n_events
    usual = spec.usual_background[1]
    low = stats.beta.ppf(0.025, k, n - k + 1) if k > 0 else 0.0
    if low > usual:
        flags.append(
            f"BACKGROUND_HIGH: {100 * background.fraction:.3g} % in {background.source}, usual to {100 * usual:g} %"
        )
    if background.source.startswith("panel reference"):
        flags.append("BACKGROUND_REFERENCE: no control of this subject; the panel's reference background was used")
    if blank.lloq_events > spec.lloq_events:
        flags.append(f"LLOQ_RAISED: the background's scatter needs {blank.lloq_events} net events to measure")
    expected = n_nk * background.fraction
    if expected - n_car_nk > 0 and stats.binom.cdf(n_car_nk, n_nk, max(low, 1e-15)) < 0.001 and low > 0:
        flags.append("BELOW_BACKGROUND: fewer CAR+ events than the background alone; the control does not fit")
    return flags


def _not_evaluable(common: dict, flags: tuple[str, ...]) -> CarNkResult:
    empty = dict.fromkeys(
        ("net_fraction", "ci_low", "ci_high", "cells_per_ul", "cells_per_ul_low", "cells_per_ul_high",
         "lloq_cells_per_ul")
    )  # fmt: skip
    return CarNkResult(**common, **empty, status="NOT_EVALUABLE", flags=flags)


def _times(count: float, per_event: float | None) -> float | None:
    return None if per_event is None else count * per_event


def _check_counts(n_leukocytes: int, n_nk: int, n_car_nk: int, n_car_t: int | None) -> None:
    counts = {"n_leukocytes": n_leukocytes, "n_nk": n_nk, "n_car_nk": n_car_nk, "n_car_t": n_car_t or 0}
    for name, value in counts.items():
        if value != int(value) or value < 0:
            raise QuantificationError(f"{name} is {value}: need a whole number of events, 0 or more")
    if not n_car_nk <= n_nk <= n_leukocytes:
        raise QuantificationError(
            f"{n_car_nk} CAR+ NK, {n_nk} NK, {n_leukocytes} leukocytes: each must be among the next"
        )
