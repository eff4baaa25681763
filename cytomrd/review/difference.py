"""Moved gates applied to all events by what they change: the events on one side before and on the other now.

The moved gates alone are held, as they were and as they are, against every event. Only an event that lies inside one
and outside the other can be in another population than before; these few go through the whole tree twice, as it was
and as it is, and what is known of the rest stays. The result is that of applying all gates to all events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.apply import ArrayDataset, Compartment, GatedEvents, apply_gates
from cytomrd.gating.gates import ROOT, BooleanGate, Gate, GatingStrategy, Operand, RectangleGate
from cytomrd.preprocess.compensation import Spillover
from cytomrd.review.recent import Recent

__all__ = ["KnownGates"]

CHANGED = "changed"
KEPT = 2


@dataclass(frozen=True, eq=False)
class _Known:
    strategy: GatingStrategy
    gated: GatedEvents


class KnownGates:
    """Applies strategies to one file as :func:`cytomrd.gating.apply.apply_gates` does, but for the codes of events.

    The first strategy with some gates is applied as a whole; another with the same gates in other shapes, by what it
    changes. What is drawn and medians are asked of the whole alone.
    """

    def __init__(self, dataset: FcsDataset):
        self._dataset = dataset
        self._known: dict[tuple, _Known] = {}
        self._moved_past = Recent(KEPT)

    def apply(
        self,
        dataset: FcsDataset,
        strategy: GatingStrategy,
        *,
        spillover: Spillover | None = None,
        compartments: Sequence[str] = (),
        n_threads: int = 1,
        **wanted,
    ) -> GatedEvents:
        """Counts and compartments of a strategy; ``codes`` are those of the file the first time alone."""
        options = {"spillover": spillover, "compartments": compartments, "n_threads": n_threads}
        if dataset is not self._dataset or wanted.get("medians") is not None or wanted.get("histograms"):
            return apply_gates(dataset, strategy, **options, **wanted)
        tree = tuple((g.name, g.parent, type(g), getattr(g, "dimensions", ())) for g in strategy.gates)
        key = tree, tuple(compartments)
        known = self._known.get(key)
        if known is None:
            gated = apply_gates(dataset, strategy, **options)
            # Nothing here asks for the codes: 4 bytes an event are not kept.
            self._known[key] = _Known(strategy, replace(gated, codes=np.zeros(0, dtype=np.uint32)))
            return gated
        return self._changed(known, strategy, options)

    def _changed(self, known: _Known, strategy: GatingStrategy, options: Mapping) -> GatedEvents:
        pairs = [(old, new) for old, new in zip(known.strategy.gates, strategy.gates, strict=True) if old != new]
        if not pairs:
            return known.gated
        between = _between(pairs)
        # With and without time QC the same gates move, past the same events.
        found = self._moved_past.get(between, lambda: self._events(replace(strategy, gates=between), options))
        few = ArrayDataset(found.values, self._dataset.detectors)
        before, after = (apply_gates(few, s, **options) for s in (known.strategy, strategy))
        return replace(
            known.gated,
            n_events=known.gated.n_events - before.n_events + after.n_events,
            compartments={
                name: _joined(known.gated.compartments[name], found.events, after.compartments[name])
                for name in options["compartments"]
            },
        )

    def _events(self, strategy: GatingStrategy, options: Mapping) -> Compartment:
        return apply_gates(self._dataset, strategy, **options | {"compartments": (CHANGED,)}).compartments[CHANGED]


def _between(pairs: Sequence[tuple[Gate, Gate]]) -> tuple[Gate, ...]:
    """Gates for all events that a move can have passed, whatever their parents; the last holds them all."""
    gates: dict[Gate, None] = {}
    past: list[str] = []
    for i, (old, new) in enumerate(pairs):
        bands = _bands(old, new) if isinstance(old, RectangleGate) else None
        if bands is not None:
            gates |= dict.fromkeys(bands)
            past += [band.name for band in bands]
            continue
        names = f"old {i}", f"new {i}"
        gates |= {replace(g, name=name, parent=ROOT): None for g, name in zip((old, new), names, strict=True)}
        for name, inside, outside in ((f"left {i}", *names), (f"came {i}", *reversed(names))):
            gates[BooleanGate(name, "and", (Operand(inside), Operand(outside, complement=True)))] = None
            past.append(name)
    return (*gates, BooleanGate(CHANGED, "or", tuple(Operand(name) for name in dict.fromkeys(past))))


def _bands(old: RectangleGate, new: RectangleGate) -> list[RectangleGate] | None:
    """The stretches of its axes that a rectangle's bounds went over; None where a bound was opened or closed."""
    bands = []
    for side in ("minimum", "maximum"):
        for axis, before, after in zip(old.dimensions, getattr(old, side), getattr(new, side), strict=True):
            if before == after:
                continue
            if before is None or after is None:
                return None
            low, high = sorted((before, after))
            # A bound that many gates share is one stretch.
            bands.append(RectangleGate(f"{axis} {low!r} to {high!r}", (axis,), (low,), (high,)))
    return bands


def _joined(known: Compartment, changed: np.ndarray, after: Compartment) -> Compartment:
    """A compartment without the events that changed, and with those of them that are in it now, in order."""
    stays = ~np.isin(known.events, changed, assume_unique=True)
    events = np.concatenate([known.events[stays], changed[after.events]])
    values = np.concatenate([known.values[stays], after.values])
    order = np.argsort(events, kind="stable")
    return Compartment(events[order], np.ascontiguousarray(values[order]))
