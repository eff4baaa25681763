"""Cuts taken from a control sample: the threshold, its uncertainty, and the background above it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.stats import binom

from cytomrd.errors import GateError
from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.fit.cuts import ControlCut, CutDecision, fit_cut
from cytomrd.gating.fit.density import count_events
from cytomrd.gating.fit.result import FittedGates
from cytomrd.gating.gates import Dimension
from cytomrd.panel import CutSpec
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Transform

__all__ = ["control_decision", "fit_control_cut", "negative_peak"]

MIN_CONTROL_EVENTS = 200
# Places between the negative peak and the threshold at which the control's events are counted.
N_PLACES = 65


def fit_control_cut(
    dataset,
    fitted: FittedGates,
    cut_name: str,
    *,
    population: str,
    quantile: float = 0.999,
    width: float = 4.0,
    spillover: Spillover | None = None,
    source: str = "control",
    random_state: int = 0,
) -> ControlCut:
    """Take a threshold from a control sample, gated up to the population that it is for.

    It lies at the quantile, or nearer where the negative peak ends before that: cells that the reagent stains
    without the antigen are background to be measured and subtracted, and a threshold above them would lie
    among the cells that are sought.

    Parameters
    ----------
    dataset
        The control's file.
    fitted
        Gates fitted to the control (:func:`cytomrd.gating.fit.fit_gates`).
    cut_name
        The panel's cut, such as ``"CAR"``.
    population
        Whose events: NK cells, for a CAR on NK cells.
    quantile
        At most this fraction of the control's events lies below the threshold, 0 to 1.
    width
        Robust SDs above the main peak at which the negative cells end.
    spillover
        As given to ``fit_gates``.
    source
        How the report names the control.
    random_state
        Seed of the bootstrap of the peak's end.

    Returns
    -------
    The threshold on the compensated linear scale with its 95 % interval (of the quantile from order statistics,
    of the peak's end by bootstrap), and the control's events at or above the threshold.

    Raises
    ------
    GateError
        With fewer than 200 events in the population, or none below the threshold: no tail can be read from them.
    """
    marker = next((d.marker for d in fitted.decisions if d.name == cut_name), None)
    if marker is None or marker not in fitted.axes:
        known = ", ".join(d.name for d in fitted.decisions)
        raise GateError(f"no cut {cut_name!r} with a channel in this tube; it has {known}")
    if population not in fitted.strategy.populations:
        raise GateError(f"no population {population!r}; the tube has {', '.join(fitted.strategy.populations)}")
    gated = apply_gates(dataset, fitted.strategy, spillover=spillover, compartments=(population,))
    linear = replace(fitted.axes[marker], transform=None)
    values = gated.compartments[population].values
    values = transform_events(values, dataset.detectors, (linear,), fitted.strategy, spillover)[:, 0]
    values = np.sort(values[np.isfinite(values)])
    n = len(values)
    if n < MIN_CONTROL_EVENTS:
        raise GateError(
            f"cut {cut_name!r}: the control has {n} events of {population!r}, {MIN_CONTROL_EVENTS} are needed; "
            "acquire more of it, or use another control"
        )
    transform = fitted.strategy.transforms.get(fitted.axes[marker].transform)
    threshold, low, high = _quantile_with_interval(values, quantile)
    ends = _end_of_negatives(cut_name, marker, values, width, transform, random_state)
    if ends is not None and ends[0] < threshold:
        threshold, low, high = ends
    below = values[values < threshold]
    if not below.size:
        raise GateError(f"cut {cut_name!r}: all {n} events of {population!r} in the control have the same value")
    center, spread = negative_peak(below)
    places = np.linspace(center, threshold, N_PLACES)
    return ControlCut(
        cut=cut_name,
        value_linear=threshold,
        low_linear=min(low, threshold),
        high_linear=max(high, threshold),
        n_events=n,
        n_positive=int((values >= threshold).sum()),
        source=source,
        center_linear=center,
        spread_linear=spread,
        n_above=tuple((n - np.searchsorted(values, places)).tolist()),
    )


def negative_peak(values: np.ndarray) -> tuple[float, float]:
    """Median of values below a threshold, and its distance to their 16th percentile."""
    low, center = np.quantile(values, (0.1587, 0.5))
    return float(center), float(center - low)


def _quantile_with_interval(values: np.ndarray, quantile: float) -> tuple[float, float, float]:
    ranks = np.clip(binom.ppf((0.025, 0.975), len(values), quantile).astype(int), 0, len(values) - 1)
    return float(np.quantile(values, quantile)), float(values[ranks[0]]), float(values[ranks[1]])


def _end_of_negatives(
    cut_name: str, marker: str, values: np.ndarray, width: float, transform: Transform | None, random_state: int
) -> tuple[float, float, float] | None:
    """Where the main peak of the control ends and the interval of that, linear scale; None without a peak."""
    if transform is None:
        return None
    tail = CutSpec(
        name=cut_name, marker=marker, on="control", method="tail", width=width, bounds=(0, 1), fallback="none"
    )
    decision = fit_cut(tail, count_events(transform.apply(values)), random_state=random_state)
    if decision.status != "fitted":
        return None
    ends = transform.inverse(np.array([decision.value, decision.low, decision.high]))
    return tuple(float(v) for v in ends)


def control_decision(spec: CutSpec, control: ControlCut, dimension: Dimension, transforms) -> CutDecision | None:
    """The control's cut on this sample's scale; None where it is not finite there."""
    transform: Transform | None = transforms.get(dimension.transform)
    linear = np.array([control.value_linear, control.low_linear, control.high_linear])
    value, low, high = transform.apply(linear) if transform is not None else linear
    if not np.isfinite(value):
        return None
    low, high = (low if np.isfinite(low) else value), (high if np.isfinite(high) else value)
    reason = (
        f"from {control.source}: {control.n_positive} of {control.n_events} of its events at or above "
        f"{control.value_linear:.4g}"
    )
    if not spec.bounds[0] <= value <= spec.bounds[1]:
        reason += f"; at {value:.2f} it lies outside the panel's {spec.bounds[0]:g} to {spec.bounds[1]:g}: look at it"
    return CutDecision(
        name=spec.name,
        marker=spec.marker,
        method="control",
        value=float(value),
        low=float(min(low, value)),
        high=float(max(high, value)),
        status="control",
        reason=reason,
        n_events=control.n_events,
        on=spec.on,
    )
