"""Gates moved within their evidence: cuts within their bootstrap intervals, compensation within its error.

A scale is not drawn: it rises strictly, so that on its own it moves no event over a cut that stands where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from cytomrd.gating.fit import FittedGates
from cytomrd.gating.gates import UNCOMPENSATED, BooleanGate, Dimension, GatingStrategy, RectangleGate
from cytomrd.preprocess.compensation import Spillover

__all__ = ["draw_cuts", "draw_spillover", "loosened", "with_cuts"]

Z95 = 1.959964
EVERYTHING = -1e30


def draw_cuts(fitted: FittedGates, rng: np.random.Generator) -> dict[str, float]:
    """One draw of each cut, by name: normal within its interval, each side as wide as it is; as it is without one."""
    drawn = {}
    for d in fitted.decisions:
        z = float(rng.standard_normal())
        if d.value is None:
            continue
        low, high = (d.value if limit is None else limit for limit in (d.low, d.high))
        drawn[d.name] = d.value + z * ((high - d.value) if z > 0 else (d.value - low)) / Z95
    return drawn


def draw_spillover(spillover: Spillover, sd: np.ndarray, rng: np.random.Generator) -> Spillover:
    """One draw of a matrix; ``sd`` float64 of its shape. The diagonal stays as it is."""
    noise = rng.standard_normal(spillover.matrix.shape) * sd
    np.fill_diagonal(noise, 0.0)
    return replace(spillover, matrix=spillover.matrix + noise)


def with_cuts(fitted: FittedGates, cuts: Mapping[str, float]) -> GatingStrategy:
    """The fitted strategy with its cuts moved: every bound of a gate that is a cut's value follows it."""
    return _moved(fitted, lambda name: cuts[name], lambda name: cuts[name])


def loosened(fitted: FittedGates, draws: Sequence[Mapping[str, float]], *, margin: float) -> GatingStrategy:
    """A strategy whose gates hold every event that one of the draws lets pass, and more on compensated axes.

    A gate that says "not" of a loosened one would hold too little, so it is left open.

    Parameters
    ----------
    draws
        From :func:`draw_cuts`.
    margin
        Width on the transformed scale by which compensation may move an event.
    """
    lowest = {name: min(d[name] for d in draws) for name in draws[0]}
    highest = {name: max(d[name] for d in draws) for name in draws[0]}
    wide = _moved(fitted, lowest.__getitem__, highest.__getitem__, margin=margin)
    anything = Dimension(next(iter(fitted.axes.values())).channel)
    gates = [
        RectangleGate(g.name, (anything,), (EVERYTHING,), (None,), g.parent) if _excludes(g) else g for g in wide.gates
    ]
    return replace(wide, gates=tuple(gates))


def _excludes(gate) -> bool:
    return isinstance(gate, BooleanGate) and (gate.operator == "not" or any(o.complement for o in gate.operands))


def _moved(
    fitted: FittedGates, low_of: Callable[[str], float], high_of: Callable[[str], float], *, margin: float = 0.0
) -> GatingStrategy:
    names = {(fitted.axes[d.marker], d.value): d.name for d in fitted.decisions if d.marker in fitted.axes}

    def bounds(axis, low: float | None, high: float | None) -> tuple[float | None, float | None]:
        extra = margin if getattr(axis, "compensation", UNCOMPENSATED) != UNCOMPENSATED else 0.0
        if (axis, low) in names:
            low = low_of(names[axis, low]) - extra
        if (axis, high) in names:
            high = high_of(names[axis, high]) + extra
        if low is not None and high is not None and low >= high:
            high = float(np.nextafter(low, np.inf))  # a draw that leaves nothing between two cuts
        return low, high

    gates = []
    for gate in fitted.strategy.gates:
        if isinstance(gate, RectangleGate):
            sides = list(map(bounds, gate.dimensions, gate.minimum, gate.maximum))
            gate = replace(gate, minimum=tuple(low for low, _ in sides), maximum=tuple(high for _, high in sides))
        gates.append(gate)
    return replace(fitted.strategy, gates=tuple(gates))
