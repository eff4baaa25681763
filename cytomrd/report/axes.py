"""Ticks as cytometrists read them: -10³, 0, 10³, 10⁴, 10⁵ with minor ticks, on any scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cytomrd.preprocess.transforms import Linear, Log, Transform
from cytomrd.report.words import power_of_ten

__all__ = ["AxisTicks", "axis_ticks", "nice_ticks"]

# Minor ticks closer than this part of the axis run together: near zero the decades of a logicle scale do.
MINOR_GAP = 0.005


@dataclass(frozen=True)
class AxisTicks:
    """Positions on the transformed scale: ``major`` as (position, label), ``minor`` without a label."""

    major: tuple[tuple[float, str], ...]
    minor: tuple[float, ...]


def axis_ticks(transform: Transform, low: float, high: float, *, min_gap: float = 0.11) -> AxisTicks:
    """Ticks of a channel's axis between two limits.

    Parameters
    ----------
    transform
        The axis' scale; ``apply`` turns linear values into positions.
    low, high
        Limits of the axis on the transformed scale.
    min_gap
        Least distance between two labels, as a fraction of the axis. 0 is labelled first,
        then decades from the largest down; one too close to a label becomes a minor tick.

    Examples
    --------
    >>> from cytomrd.preprocess.transforms import Logicle
    >>> from cytomrd.report.axes import axis_ticks
    >>> [label for _, label in axis_ticks(Logicle(), 0.0, 1.0).major]
    ['0', '10³', '10⁴', '10⁵']
    """
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"an axis needs finite limits, the lower one first; got {low} to {high}")
    if isinstance(transform, Linear):
        ends = transform.inverse(np.array([low, high], dtype=np.float64))
        values = nice_ticks(float(ends[0]), float(ends[1]), 4)
        labelled = [(value, _thousands(value)) for value in values]
        halves = [(value, "") for value in nice_ticks(float(ends[0]), float(ends[1]), 8)]
        minor = tuple(position for position, _ in _placed(transform, halves, low, high))
        return AxisTicks(_placed(transform, labelled, low, high), minor)
    return _decade_ticks(transform, low, high, min_gap)


def _decade_ticks(transform, low, high, min_gap) -> AxisTicks:
    top = _top_decade(transform, high)
    signs = (1.0,) if isinstance(transform, Log) else (1.0, -1.0)
    decades = [(s * 10.0**k, ("−" if s < 0 else "") + power_of_ten(k)) for s in signs for k in range(top, -1, -1)]
    if not isinstance(transform, Log):
        decades.insert(0, (0.0, "0"))
    kept: list[tuple[float, str]] = []
    for position, label in _placed(transform, decades, low, high):
        if all(abs(position - other) >= min_gap * (high - low) for other, _ in kept):
            kept.append((position, label))
    minor = [v for sign in signs for k in range(1, top + 1) for v in _steps_of_decade(transform, sign, k, low, high)]
    return AxisTicks(tuple(sorted(kept)), tuple(sorted(minor)))


def _steps_of_decade(transform, sign, k, low, high) -> list[float]:
    """Positions of 1 to 9 times a power of ten within the limits: all of them, or none where they run together."""
    with np.errstate(all="ignore"):
        steps = np.asarray(transform.apply(sign * 10.0**k * np.arange(1, 11)), dtype=np.float64)
    if not np.isfinite(steps).all() or np.abs(np.diff(steps)).min() < MINOR_GAP * (high - low):
        return []
    return [float(v) for v in steps[:-1] if low - 1e-9 <= v <= high + 1e-9]


def _top_decade(transform, high) -> int:
    top = float(transform.inverse(np.array([high], dtype=np.float64))[0])
    return max(1, min(12, math.floor(math.log10(top)))) if math.isfinite(top) and top > 10 else 1


def _placed(transform, labelled, low, high):
    """Positions of values within the limits; those off the scale are left out."""
    if not labelled:
        return ()
    with np.errstate(all="ignore"):
        positions = np.asarray(transform.apply(np.array([v for v, _ in labelled], dtype=np.float64)))
    inside = (positions >= low - 1e-9) & (positions <= high + 1e-9)
    return tuple((float(p), label) for p, (_, label), ok in zip(positions, labelled, inside, strict=True) if ok)


def nice_ticks(low: float, high: float, about: int = 5) -> tuple[float, ...]:
    """Round values (1, 2, 2.5 or 5 times a power of ten) within the limits, ``about`` so many.

    Examples
    --------
    >>> from cytomrd.report.axes import nice_ticks
    >>> nice_ticks(0.0, 262144.0, 4)
    (0.0, 100000.0, 200000.0)
    """
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return (low,) if math.isfinite(low) else ()
    raw = span / max(1, about)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(s * magnitude for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * magnitude >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(i * step for i in range(first, last + 1))


def _thousands(value: float) -> str:
    """Scatter axes are read in thousands: 50K, 100K."""
    sign = "−" if value < 0 else ""
    value = abs(value)
    if value >= 1e6:
        return f"{sign}{value / 1e6:g}M"
    return f"{sign}{value / 1e3:g}K" if value >= 1e3 else f"{sign}{value:g}"
