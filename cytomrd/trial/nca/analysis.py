"""Non-compartmental analysis of one profile: peak, areas, terminal slope, and what each infusion gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cytomrd.trial.nca.areas import AucMethod, areas, value_at
from cytomrd.trial.nca.profile import Middle, Profile, read_profile
from cytomrd.trial.nca.terminal import TerminalSlope, fit_terminal_slope

__all__ = ["HORIZON_D", "NcaResult", "nca"]

HORIZON_D = 28.0
MAX_EXTRAPOLATED = 20.0  # percent
MIN_R2, MIN_SPAN = 0.9, 2.0


@dataclass(frozen=True, slots=True)
class NcaResult:
    """What a profile shows; None is not calculated.

    Times are days since the first infusion, concentrations in the unit given (cells/uL), areas in that unit times
    days. :data:`cytomrd.trial.nca.parameters.PARAMETERS` has the label, unit, rule and inputs of every number.
    ``auc_0_28d_status`` is ``OBSERVED``, ``INTERPOLATED``, ``OBSERVED_TAIL_BLQ``, ``EXTRAPOLATED``, ``ALL_BLQ`` or
    ``NOT_CALCULATED``; ``auc_by_dose`` and ``cmax_by_dose`` have one entry for each infusion.
    """

    cmax: float | None = None
    tmax_d: float | None = None
    clast: float | None = None
    tlast_d: float | None = None
    lambda_z: float | None = None
    half_life_d: float | None = None
    lambda_z_n_points: int | None = None
    lambda_z_r2: float | None = None
    lambda_z_r2_adjusted: float | None = None
    lambda_z_low_d: float | None = None
    lambda_z_high_d: float | None = None
    lambda_z_span: float | None = None
    clast_predicted: float | None = None
    auc_last: float | None = None
    auc_all: float | None = None
    auc_0_28d: float | None = None
    auc_0_28d_status: str = "NOT_CALCULATED"
    auc_0_28d_extrapolated_percent: float | None = None
    auc_inf_observed: float | None = None
    auc_inf_predicted: float | None = None
    extrapolated_percent: float | None = None
    aumc_last: float | None = None
    mrt_last_d: float | None = None
    cmax_by_dose: tuple[float | None, ...] = ()
    auc_by_dose: tuple[float | None, ...] = ()
    flags: tuple[str, ...] = ()


def nca(
    times_d: Sequence[float],
    concentrations: Sequence[float],
    *,
    infusions_d: Sequence[float] = (0.0,),
    lloq: float | Sequence[float] | None = None,
    middle: Middle = "drop",
    method: AucMethod = "linear-up/log-down",
    predose_window_d: float = 1.0,
) -> NcaResult:
    """Non-compartmental analysis of one profile of CAR-NK cells.

    Parameters
    ----------
    times_d
        Actual days since the start of the first infusion, negative before it.
    concentrations
        One for each time; 0, NaN, or below ``lloq`` is below the limit of quantification. A sample that is missing
        is left out of both.
    infusions_d
        Starts of the infusions in days; the first is 0.
    lloq
        Lower limit of quantification, one for all or one for each value.
    middle
        What a value below the limit between two quantifiable ones of a dosing interval is: dropped, or 0.
    method
        Of the areas.
    predose_window_d
        How long before an infusion a sample may be taken to stand for the value at its start.

    Raises
    ------
    QuantificationError
        For times that repeat, values that are negative, or parts that do not belong together.

    Notes
    -----
    The last value at or before 0 stands at 0; without one 0 is assumed. The terminal slope takes points after the
    peak and after the peak that follows the last infusion. The area to day 28 uses or interpolates the value at
    28; where the cells fell below the limit before, it ends with the last quantifiable value; where nothing was
    seen after it, the exponential of the terminal slope is added if that is at most 20 % of the area.

    Examples
    --------
    >>> from cytomrd.trial.nca import nca
    >>> result = nca([0, 1, 3, 7, 14, 28], [0, 20, 35, 18, 4, 0])
    >>> result.cmax, result.tmax_d, round(result.auc_0_28d, 1), result.flags
    (35.0, 3.0, 232.4, ('OBSERVED_TAIL_BLQ', 'NO_LAMBDA_Z'))
    """
    profile = read_profile(
        times_d,
        concentrations,
        infusions_d=infusions_d,
        lloq=lloq,
        middle=middle,
        predose_window_d=predose_window_d,
    )
    if profile.observed_d <= 0:
        return NcaResult(flags=(*profile.flags, "NO_POSTDOSE"))
    if not profile.quantifiable.any():
        zeros = tuple(0.0 if has else None for has in _has_split(profile))
        return NcaResult(
            cmax=0.0,
            auc_last=0.0,
            auc_all=0.0,
            auc_0_28d=0.0,
            auc_0_28d_status="ALL_BLQ",
            cmax_by_dose=tuple(_cmax_of(profile, k) for k in range(len(profile.infusions_d))),
            auc_by_dose=zeros,
            flags=(*profile.flags, "ALL_BLQ"),
        )
    return _analyse(profile, method)


def _analyse(profile: Profile, method: AucMethod) -> NcaResult:
    t, c = profile.times_d, profile.values
    peak = int(np.argmax(c))  # the first of ties
    last = int(np.flatnonzero(profile.quantifiable)[-1])
    slope = fit_terminal_slope(t, c, _after(profile, peak))
    area, moment = areas(t, c, method)
    area, moment = np.where(profile.gaps, 0.0, area), np.where(profile.gaps, 0.0, moment)
    auc_last, aumc_last = float(area[:last].sum()), float(moment[:last].sum())
    auc_28, status, percent = _to_horizon(profile, area, last, slope, method)
    flags = [*profile.flags]
    if status in ("OBSERVED_TAIL_BLQ", "NOT_CALCULATED"):
        flags.append("OBSERVED_TAIL_BLQ" if status == "OBSERVED_TAIL_BLQ" else "TAIL_NOT_EXTRAPOLATED")
    terminal = _terminal_values(slope, float(c[last]), float(t[last]), auc_last)
    flags += _slope_flags(slope, terminal)
    return NcaResult(
        cmax=float(c[peak]),
        tmax_d=float(t[peak]),
        clast=float(c[last]),
        tlast_d=float(t[last]),
        auc_last=auc_last,
        auc_all=float(area[: last + 1].sum()),
        auc_0_28d=auc_28,
        auc_0_28d_status=status,
        auc_0_28d_extrapolated_percent=percent,
        aumc_last=aumc_last,
        mrt_last_d=aumc_last / auc_last if auc_last > 0 else None,
        cmax_by_dose=tuple(_cmax_of(profile, k) for k in range(len(profile.infusions_d))),
        auc_by_dose=_auc_by_dose(profile, area, auc_28, last, method),
        flags=tuple(flags),
        **terminal,
    )


def _after(profile: Profile, peak: int) -> float:
    """The terminal phase comes after the peak, and after the peak that follows the last infusion."""
    t, c = profile.times_d, profile.values
    later = np.flatnonzero((t > profile.infusions_d[-1]) & profile.quantifiable)
    if len(profile.infusions_d) == 1 or not later.size:
        return max(float(t[peak]), profile.infusions_d[-1])
    return max(float(t[peak]), float(t[later[np.argmax(c[later])]]))


def _terminal_values(slope: TerminalSlope | None, clast: float, tlast: float, auc_last: float) -> dict[str, object]:
    if slope is None:
        return {}
    predicted = float(np.exp(slope.intercept - slope.lambda_z * tlast))
    tail = clast / slope.lambda_z
    return {
        "lambda_z": slope.lambda_z,
        "half_life_d": slope.half_life_d,
        "lambda_z_n_points": slope.n_points,
        "lambda_z_r2": slope.r2,
        "lambda_z_r2_adjusted": slope.r2_adjusted,
        "lambda_z_low_d": slope.low_d,
        "lambda_z_high_d": slope.high_d,
        "lambda_z_span": slope.span,
        "clast_predicted": predicted,
        "auc_inf_observed": auc_last + tail,
        "auc_inf_predicted": auc_last + predicted / slope.lambda_z,
        "extrapolated_percent": 100.0 * tail / (auc_last + tail),
    }


def _slope_flags(slope: TerminalSlope | None, terminal: dict[str, object]) -> list[str]:
    if slope is None:
        return ["NO_LAMBDA_Z"]
    found = {
        "LAMBDA_Z_R2_LT_0.9": slope.r2 < MIN_R2,
        "LAMBDA_Z_SPAN_LT_2": slope.span < MIN_SPAN - 1e-9,
        "EXTRAPOLATED_GT_20": terminal["extrapolated_percent"] > MAX_EXTRAPOLATED,
    }
    return [flag for flag, is_so in found.items() if is_so]


def _to_horizon(
    profile: Profile, area: np.ndarray, last: int, slope: TerminalSlope | None, method: AucMethod
) -> tuple[float | None, str, float | None]:
    """Area from 0 to day 28, how it came about, and the percent of it that was extrapolated."""
    t, c = profile.times_d, profile.values
    to_last = float(area[:last].sum())
    if t[last] >= HORIZON_D:
        at = int(np.searchsorted(t, HORIZON_D))
        if t[at] == HORIZON_D:
            return float(area[:at].sum()), "OBSERVED", 0.0
        return float(area[: at - 1].sum()) + _part_to(HORIZON_D, profile, method), "INTERPOLATED", 0.0
    if profile.observed_d > t[last]:
        return to_last, "OBSERVED_TAIL_BLQ", 0.0
    if slope is None:
        return None, "NOT_CALCULATED", None
    tail = float(c[last]) / slope.lambda_z * -float(np.expm1(-slope.lambda_z * (HORIZON_D - t[last])))
    percent = 100.0 * tail / (to_last + tail)
    if percent > MAX_EXTRAPOLATED:
        return None, "NOT_CALCULATED", percent
    return to_last + tail, "EXTRAPOLATED", percent


def _part_to(time: float, profile: Profile, method: AucMethod) -> float:
    """Area of the segment that holds ``time``, from its beginning to it."""
    t, c = profile.times_d, profile.values
    at = int(np.searchsorted(t, time))
    if profile.gaps[at - 1]:
        return 0.0
    value = value_at(time, t, c, method)
    part, _ = areas(np.array([t[at - 1], time]), np.array([c[at - 1], value]), method)
    return float(part[0])


def _has_split(profile: Profile) -> tuple[bool, ...]:
    """Whether the area of each infusion can be told: a value must stand at its start and at that of the next."""
    ends = (*profile.predose[1:], profile.infusions_d[-1] < HORIZON_D)
    return tuple(begins and ends_well for begins, ends_well in zip(profile.predose, ends, strict=True))


def _auc_by_dose(
    profile: Profile, area: np.ndarray, auc_28: float | None, last: int, method: AucMethod
) -> tuple[float | None, ...]:
    """Area from each infusion to the next; the last to day 28, so that they add up to the area to day 28."""
    t, starts = profile.times_d, profile.infusions_d
    edge = np.cumsum(np.concatenate([[0.0], area]))
    edge[last + 1 :] = edge[last]  # nothing is drawn from the last quantifiable value to one below the limit
    at = [float(edge[np.searchsorted(t, s)]) if has else None for s, has in zip(starts, profile.predose, strict=True)]
    at.append(auc_28)
    return tuple(
        end - begin if has and begin is not None and end is not None else None
        for begin, end, has in zip(at, at[1:], _has_split(profile), strict=False)
    )


def _cmax_of(profile: Profile, number: int) -> float | None:
    """Peak of the values after an infusion, up to and with the one before the next; None without any."""
    starts, t = profile.infusions_d, profile.times_d
    end = starts[number + 1] if number + 1 < len(starts) else np.inf
    inside = (t > starts[number]) & (t <= end)
    if number == 0:
        inside |= t == 0.0
    return float(profile.values[inside].max()) if inside.any() else None
