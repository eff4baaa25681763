"""Where negative ends and positive begins: valley, tail, quantile, control and fixed cuts, each with its evidence.

Everything here is on the transformed scale. A cut that the data do not support
becomes the panel's fallback, or no call; it is never moved to where it would
look plausible without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal
from zlib import crc32

import numpy as np

from cytomrd.gating.fit.density import (
    GRID,
    STEP,
    Counts,
    MainPeak,
    Valley,
    density_at,
    excess_beyond,
    find_valley,
    main_peak,
    overlap_at,
    valley_positions,
)
from cytomrd.panel import CutSpec

__all__ = ["ControlCut", "CutDecision", "fit_cut"]

N_BOOTSTRAP = 200
INTERVAL = (0.025, 0.975)
# A tail may be held farther from its peak than it was measured, less so nearer to it.
MAX_OUTWARD, MAX_INWARD = 0.25, 0.12
MAX_SPLIT = 0.3
MAX_MISS = 0.04
MISS_DEPTH = 2.0
SHALLOW_DEPTH = 1.1
SHALLOW_SDS = 2.0
# Beyond these shares of the smaller population on the wrong side of a valley, a reader is told.
MAX_OVERLAP, MAX_MISSED = 0.08, 0.6

Status = Literal["fitted", "fallback", "fixed", "control", "no_call"]


@dataclass(frozen=True)
class CutDecision:
    """A cut, its uncertainty, and why it is there.

    Attributes
    ----------
    name, marker
        Of the panel's cut.
    method
        How the value came about: ``"valley"``, ``"tail"``, ``"mixture"``, ``"quantile"``, ``"control"``,
        ``"fixed"`` or ``"borrowed"`` (from other samples).
    value, low, high
        The cut and its 95 % bootstrap interval on the transformed scale; None without a call.
    status
        ``"fitted"``, ``"fallback"``, ``"fixed"``, ``"control"`` or ``"no_call"``.
    reason
        In words, for the report.
    n_events
        Events that it was fitted on.
    n_smaller
        Those on the less populous side of the cut.
    on
        The population that it was fitted on.
    overlap
        Of a valley: events that lie on its wrong side, as a share of the smaller population.
    """

    name: str
    marker: str
    method: str
    value: float | None
    low: float | None
    high: float | None
    status: Status
    reason: str
    n_events: int
    n_smaller: int = 0
    on: str = ""
    overlap: float | None = None


@dataclass(frozen=True)
class ControlCut:
    """A cut taken from a control sample, on the compensated linear scale.

    Attributes
    ----------
    cut
        Name of the panel's cut.
    value_linear, low_linear, high_linear
        The threshold and its 95 % interval, in the channel's compensated scale values.
    n_events, n_positive
        Control events of the population, and how many of them lie at or above the threshold.
    source
        Which control: its file and role.
    center_linear, spread_linear
        Median of the control's events below the threshold, and its distance to their 16th percentile: the side of
        the negative peak that no positive event reaches. None where they were not measured.
    n_above
        Control events at or above places that run from the center to the threshold in equal steps, both included.
    """

    cut: str
    value_linear: float
    low_linear: float
    high_linear: float
    n_events: int
    n_positive: int
    source: str = "control"
    center_linear: float | None = None
    spread_linear: float | None = None
    n_above: tuple[int, ...] = ()


def fit_cut(
    spec: CutSpec, counts: Counts, *, ancestors: Iterable[tuple[str, Counts]] = (), random_state: int = 0
) -> CutDecision:
    """Fit one of the panel's cuts to the events of the population that it is fitted on.

    A ``control`` cut without a control goes to its fallback here. A ``value`` in the panel is the last
    resort of every fallback except ``none``.

    Parameters
    ----------
    spec
        The cut.
    counts
        Binned events of ``spec.on`` along ``spec.marker``.
    ancestors
        Populations above ``spec.on``, nearest first, with their events on the same axis; asked only where a tail
        is measured, to see whether the main peak is the negative (or, for a lower tail, the positive) one.
    random_state
        Seed of the bootstrap.

    Returns
    -------
    A decision; its status is ``"no_call"`` where the evidence is absent and the panel gives no fallback.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit import count_events, fit_cut
    >>> from cytomrd.panel import CutSpec
    >>> rng = np.random.default_rng(0)
    >>> values = np.r_[rng.normal(0.2, 0.04, 5000), rng.normal(0.7, 0.05, 300)]
    >>> decision = fit_cut(CutSpec(name="CD3", marker="CD3", on="cells"), count_events(values))
    >>> decision.status, 0.35 < decision.value < 0.6
    ('fitted', True)
    """
    if spec.method == "fixed":
        return _decision(spec, "fixed", spec.value, spec.value, spec.value, "fixed", "fixed by the panel", counts)
    if counts.n_within < spec.min_events:
        why = f"{counts.n_within} events of {spec.on!r}, {spec.min_events} needed"
        return _last_resort(spec, counts, why)
    seed = np.random.default_rng([random_state, crc32(spec.name.encode())])
    method = spec.method
    why = ""
    if method == "control":
        why, method = "no control sample for it", spec.fallback
    elif (first := _METHODS[method](spec, counts, seed, ancestors)).status != "no_call":
        return first
    else:
        why, method = first.reason, spec.fallback
    if method in ("none", "fixed", spec.method):
        return _last_resort(spec, counts, why)
    second = _METHODS[method](spec, counts, seed, ancestors)
    if second.status == "no_call":
        return _last_resort(spec, counts, f"{why}; {second.reason}")
    return _decision(
        spec, second.method, second.value, second.low, second.high, "fallback", f"{why}; {second.reason}", counts
    )


def _valley(spec: CutSpec, counts: Counts, rng: np.random.Generator, _ancestors) -> CutDecision:
    valley = _find_valley(spec, counts)
    if valley is None:
        return _no_call(spec, counts, f"no valley between two peaks within {_interval(spec.bounds)}")
    value, low, high, reason = _described(spec, counts, valley, rng)
    overlap, why = overlap_at(counts, valley, value), "the two populations overlap"
    if (missed := _missed_below(spec, counts, value)) > max(overlap, MAX_MISSED):
        overlap, why = missed, "more of a second population lies below it than above"
    if overlap > MAX_OVERLAP:
        reason += f"; {why}: about {100 * overlap:.0f} % of the smaller one would be on the wrong side"
    return replace(_decision(spec, "valley", value, low, high, "fitted", reason, counts), overlap=overlap)


def _missed_below(spec: CutSpec, counts: Counts, value: float) -> float:
    """Share of a second population that a valley beyond most of it leaves on the side of the main peak."""
    peak = main_peak(counts, side=spec.side)
    found = excess_beyond(counts, peak, side=spec.side) if peak is not None else None
    sign = 1.0 if spec.side == "upper" else -1.0
    if found is None or sign * (value - found[0]) <= 0:
        return 0.0
    n_beyond = int(counts.bins[sign * (GRID - value) >= 0].sum())
    return max(0.0, 1.0 - n_beyond / found[1])


def _valley_of(spec: CutSpec, counts: Counts, rng: np.random.Generator) -> tuple[float, float, float, str] | None:
    valley = _find_valley(spec, counts)
    return None if valley is None else _described(spec, counts, valley, rng)


def _described(spec: CutSpec, counts: Counts, valley: Valley, rng) -> tuple[float, float, float, str]:
    """The cut at a valley, its bootstrap interval, and the evidence in words."""
    value = float(np.clip(valley.position, *spec.bounds))
    positions = valley_positions(_resampled(counts, rng), valley, spec.bounds)
    low, high = np.quantile(positions, INTERVAL)
    reason = (
        f"valley between peaks at {valley.left:.2f} and {valley.right:.2f}, {valley.depth:.1f} times below the lower "
        f"peak (z = {valley.z:.0f}), seen at {valley.n_bandwidths} of 9 smoothing widths; "
        f"{100 * valley.minor:.3g} % of events on the smaller side"
    )
    if value != valley.position:
        reason += f"; its floor at {valley.position:.3f} is held at the panel's bound {value:g}"
    return value, low, high, reason


def _find_valley(spec: CutSpec, counts: Counts) -> Valley | None:
    return find_valley(counts, spec.bounds) or _valley_beside(spec, counts)


def _valley_beside(spec: CutSpec, counts: Counts) -> Valley | None:
    """A wide valley whose lowest place misses the bounds by a little and whose floor reaches into them."""
    valley = find_valley(counts, (spec.bounds[0] - MAX_MISS, spec.bounds[1] + MAX_MISS))
    if valley is None:
        return None
    held = float(np.clip(valley.position, *spec.bounds))
    at_bound, lower_peak = density_at(counts, held), min(density_at(counts, p) for p in (valley.left, valley.right))
    between = valley.left < held < valley.right
    return valley if between and at_bound * MISS_DEPTH <= lower_peak else None


def _tail(spec: CutSpec, counts: Counts, rng: np.random.Generator, ancestors) -> CutDecision:
    side = spec.side
    peak = main_peak(counts, side=side)
    if peak is None:
        return _no_call(spec, counts, "no main peak to measure a tail from")
    note = ""
    if spec.method == "valley" and (shallow := _shallow(spec, counts, peak, rng)) is not None:
        return shallow
    if (inherited := _inherited(spec, counts, peak, rng, ancestors)) is not None:
        return inherited
    beyond = peak.position > spec.bounds[1] if side == "upper" else peak.position < spec.bounds[0]
    if beyond and not spec.one_kind:
        # The main peak lies on the far side of where the cut may be: it is the other population.
        side = "lower" if side == "upper" else "upper"
        peak = main_peak(counts, side=side)
        note = f"the main peak at {peak.position:.2f} lies beyond the bounds and is taken as the other side; "
    elif not spec.one_kind and (borrowed := _borrowed(spec, counts, peak, ancestors)) is not None:
        return borrowed
    sign = 1.0 if side == "upper" else -1.0
    value = peak.position + sign * spec.width * peak.sd
    low, high = _bootstrap_tail(counts, rng, side, sign * spec.width, value)
    where = "above" if sign > 0 else "below"
    reason = f"{note}{spec.width:g} robust SDs ({peak.sd:.3f}) {where} the main peak at {peak.position:.2f}"
    return _within_bounds(spec, counts, "tail", value, low, high, reason, peak.position)


def _mixture(spec: CutSpec, counts: Counts, rng: np.random.Generator, ancestors) -> CutDecision:
    """A shallow valley, else where a second population outweighs the main one, else the tail."""
    peak = main_peak(counts, side=spec.side)
    near = None
    if peak is not None:
        near = _shallow(spec, counts, peak, rng) or _shoulder(spec, counts, peak, rng)
    return near or _tail(spec, counts, rng, ancestors)


def _shallow(spec: CutSpec, counts: Counts, peak: MainPeak, rng: np.random.Generator) -> CutDecision | None:
    """A valley that is real but shallow, nearer to the main peak than its tail would be cut.

    Two broad populations that overlap leave no deep valley; the tail of the larger one would take in half of
    the smaller. It must stand well off the main peak, since the top of one population has dents too.
    """
    valley = find_valley(counts, spec.bounds, min_depth=SHALLOW_DEPTH)
    if valley is None:
        return None
    sign = 1.0 if spec.side == "upper" else -1.0
    if not SHALLOW_SDS <= sign * (valley.position - peak.position) / peak.sd <= spec.width:
        return None
    value, low, high, reason = _described(spec, counts, valley, rng)
    return _decision(spec, "valley", value, low, high, "fitted", f"a shallow {reason}", counts)


def _shoulder(spec: CutSpec, counts: Counts, peak: MainPeak, rng: np.random.Generator) -> CutDecision | None:
    """Where a second population outweighs the flank of the main peak, nearer than the tail would be cut."""
    found = excess_beyond(counts, peak, side=spec.side)
    if found is None:
        return None
    place, n_excess = found
    sign = 1.0 if spec.side == "upper" else -1.0
    value = float(np.clip(place, *spec.bounds))
    # The panel's bound may hold the cut farther out, never nearer to the main peak.
    if sign * (value - place) < 0 or sign * (value - peak.position) > spec.width * peak.sd:
        return None
    values = []
    for bins in _resampled(counts, rng, 60):
        resampled = Counts(bins, counts.n_events)
        other = main_peak(resampled, side=spec.side)
        again = excess_beyond(resampled, other, side=spec.side) if other is not None else None
        values += [again[0]] if again is not None else []
    low, high = np.clip(np.quantile(values, INTERVAL), *spec.bounds) if values else (value, value)
    reason = (
        f"a second population outweighs the flank of the main peak at {peak.position:.2f} from {place:.2f} on: "
        f"{n_excess:.0f} events more than on its other flank"
    )
    if value != place:
        reason += f"; held at the panel's bound {value:g}"
    return _decision(spec, "mixture", value, low, high, "fitted", reason, counts)


def _borrowed(spec: CutSpec, counts: Counts, peak: MainPeak, ancestors) -> CutDecision | None:
    """The valley of a population above, where it shows that the main peak is not the one to measure a tail from."""
    for name, above in ancestors:
        found = _valley_of(spec, above, np.random.default_rng(crc32(f"{spec.name} {name}".encode())))
        if found is None:
            continue
        value, low, high, reason = found
        if (value > peak.position) == (spec.side == "upper"):
            return None
        reason = (
            f"the main peak at {peak.position:.2f} of {spec.on!r} lies beyond the valley of {name!r}, "
            f"so it is not the one to measure a tail from; the cut is that valley: {reason}"
        )
        if density_at(counts, value) > MAX_SPLIT:
            return _no_call(spec, counts, f"{reason}; but it would split the main peak")
        return _decision(spec, "valley", value, low, high, "fitted", reason, counts)
    return None


def _inherited(spec: CutSpec, counts: Counts, peak: MainPeak, rng, ancestors) -> CutDecision | None:
    """The tail of the panel's negatives, where the main peak lies beyond it and so is that of the positives."""
    above = next((counts for name, counts in ancestors if name == spec.negatives), None) if spec.negatives else None
    base = main_peak(above, side=spec.side) if above is not None else None
    if base is None:
        return None
    sign = 1.0 if spec.side == "upper" else -1.0
    value = base.position + sign * spec.width * base.sd
    if sign * (peak.position - np.clip(value, *spec.bounds)) <= 0:
        return None
    reason = (
        f"the main peak at {peak.position:.2f} of {spec.on!r} is positive: it lies beyond {spec.width:g} robust SDs "
        f"({base.sd:.3f}) of the negative one at {base.position:.2f} of {spec.negatives!r}, where the cut is"
    )
    low, high = _bootstrap_tail(above, rng, spec.side, sign * spec.width, value)
    return _within_bounds(spec, counts, "tail", value, low, high, reason, base.position)


def _bootstrap_tail(counts: Counts, rng: np.random.Generator, side: str, width: float, value: float):
    values = []
    for bins in _resampled(counts, rng, 60):
        peak = main_peak(Counts(bins, counts.n_events), side=side)
        if peak is not None:
            values.append(peak.position + width * peak.sd)
    return np.quantile(values, INTERVAL) if values else (value, value)


def _quantile(spec: CutSpec, counts: Counts, rng: np.random.Generator, _ancestors) -> CutDecision:
    value = _quantile_of(counts.bins, spec.quantile)
    values = [_quantile_of(bins, spec.quantile) for bins in _resampled(counts, rng)]
    low, high = np.quantile(values, INTERVAL)
    reason = f"quantile {spec.quantile:g} of {counts.n_within} events of {spec.on!r}"
    return _within_bounds(spec, counts, "quantile", value, low, high, reason, None)


def _within_bounds(spec, counts, method, value, low, high, reason, peak) -> CutDecision:
    """Keep a value within the panel's bounds, as long as that leaves the main peak on its own side."""
    bounded = float(np.clip(value, *spec.bounds))
    if bounded != value:
        wrong_side = peak is not None and (bounded - peak) * (value - peak) <= 0
        inward = peak is not None and abs(bounded - peak) < abs(value - peak)
        if abs(bounded - value) > (MAX_INWARD if inward else MAX_OUTWARD) or wrong_side:
            return _no_call(spec, counts, f"{reason}, at {value:.2f}, is outside {_interval(spec.bounds)}")
        reason += f", at {value:.3f}, held at the panel's bound {bounded:.3f}"
    low, high = np.clip((low, high), *spec.bounds)
    return _decision(spec, method, bounded, min(low, bounded), max(high, bounded), "fitted", reason, counts)


def _last_resort(spec: CutSpec, counts: Counts, why: str) -> CutDecision:
    """The panel's fixed value where it gives one, unless it asks for no call."""
    if spec.fallback == "none" or spec.value is None:
        return _no_call(spec, counts, why)
    reason = f"{why}; the panel's fixed value"
    return _decision(spec, "fixed", spec.value, spec.value, spec.value, "fallback", reason, counts)


def _no_call(spec: CutSpec, counts: Counts, why: str) -> CutDecision:
    return _decision(spec, spec.method, None, None, None, "no_call", why, counts)


def _decision(spec, method, value, low, high, status, reason, counts) -> CutDecision:
    if value is not None:
        value, low, high = float(value), float(min(low, value)), float(max(high, value))
    return CutDecision(
        name=spec.name,
        marker=spec.marker,
        method=method,
        value=value,
        low=low,
        high=high,
        status=status,
        reason=reason,
        n_events=counts.n_within,
        n_smaller=smaller_side(counts, value) if value is not None else 0,
        on=spec.on,
    )


def smaller_side(counts: Counts, value: float) -> int:
    """Events on the less populous side of a cut."""
    n_above = int(counts.bins[value <= GRID].sum())
    return min(n_above, counts.n_within - n_above)


def _resampled(counts: Counts, rng: np.random.Generator, n: int = N_BOOTSTRAP) -> np.ndarray:
    """Bootstrap resamples of the binned events, int64 array of shape (n, n_bins)."""
    return rng.poisson(counts.bins, size=(n, len(counts.bins)))


def _quantile_of(bins: np.ndarray, quantile: float) -> float:
    cumulative = np.cumsum(bins)
    place = np.searchsorted(cumulative, quantile * cumulative[-1])
    return float(GRID[min(place, len(GRID) - 1)] + STEP / 2)


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:g} to {bounds[1]:g}"


_METHODS = {"valley": _valley, "tail": _tail, "mixture": _mixture, "quantile": _quantile}
