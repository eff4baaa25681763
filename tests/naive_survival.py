"""A slow Kaplan-Meier in exact fractions, as a textbook writes it."""

from __future__ import annotations

from fractions import Fraction


def survival_after(times, events, t) -> Fraction:
    """Probability of no event up to and including ``t``."""
    s = Fraction(1)
    for u in sorted({u for u, d in zip(times, events, strict=True) if d and u <= t}):
        at_risk = sum(v >= u for v in times)
        dead = sum(v == u and d for v, d in zip(times, events, strict=True))
        s *= 1 - Fraction(dead, at_risk)
    return s


def greenwood_variance(times, events, t) -> Fraction:
    """Variance of the survival after ``t``, where that is above 0."""
    total = Fraction(0)
    for u in sorted({u for u, d in zip(times, events, strict=True) if d and u <= t}):
        at_risk = sum(v >= u for v in times)
        dead = sum(v == u and d for v, d in zip(times, events, strict=True))
        total += Fraction(dead, at_risk * (at_risk - dead))
    return survival_after(times, events, t) ** 2 * total


def quantile(times, events, share) -> Fraction | None:
    """First time with survival below 1 - share; midpoint with it where the curve is flat at 1 - share."""
    level, at = 1 - Fraction(share), sorted({Fraction(u) for u, d in zip(times, events, strict=True) if d})
    below = [u for u in at if survival_after(times, events, u) < level]
    equal = [u for u in at if survival_after(times, events, u) == level]
    if not below:
        return None
    return (equal[0] + below[0]) / 2 if equal else below[0]
