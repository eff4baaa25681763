"""The same strategy under other population names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from cytomrd.gating.gates import BooleanGate, Gate, GatingStrategy, QuadrantGate

__all__ = ["rename_populations"]


def rename_populations(strategy: GatingStrategy, names: Mapping[str, str]) -> GatingStrategy:
    """A strategy whose populations are called ``names[name]``, or as before where ``names`` is silent.

    Raises
    ------
    GateError
        If two populations would bear one name.
    """

    def called(name: str) -> str:
        return names.get(name, name)

    def renamed(gate: Gate) -> Gate:
        gate = replace(gate, name=called(gate.name), parent=called(gate.parent))
        if isinstance(gate, BooleanGate):
            return replace(gate, operands=tuple(replace(o, name=called(o.name)) for o in gate.operands))
        if isinstance(gate, QuadrantGate):
            return replace(gate, quadrants=tuple(replace(q, name=called(q.name)) for q in gate.quadrants))
        return gate

    return GatingStrategy(tuple(renamed(gate) for gate in strategy.gates), strategy.transforms, strategy.spillovers)
