"""What fitting a panel to a sample gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cytomrd.gating.fit.cuts import CutDecision
from cytomrd.gating.gates import Dimension, GatingStrategy

__all__ = ["FittedGates"]


@dataclass(frozen=True, eq=False)
class FittedGates:
    """A panel's gates, fitted to one sample: plain geometry, and the reasons for it.

    Attributes
    ----------
    strategy
        The gates. Populations carry the panel's names; helpers start with ``_``.
    decisions
        One for each boundary of debris and for each cut whose channel the tube has, in the panel's order.
    axes
        Marker to the axis that the gates use; channels that recorded nothing are left out.
    time_removed
        Intervals ``(start, stop)`` of the time channel that time QC left out.
    notes
        Remarks for the report: channels missed, populations left open or left out, scales raised.
    doubts
        Why no count of cells, such as the denominator, may be relied on; empty where they may.
    drift
        Largest shift of a channel's median from the first to the last tenth of the acquisition, on the
        transformed scale; None where it could not be judged.
    """

    strategy: GatingStrategy
    decisions: tuple[CutDecision, ...]
    axes: Mapping[str, Dimension]
    time_removed: tuple[tuple[float, float], ...]
    notes: tuple[str, ...]
    doubts: tuple[str, ...] = ()
    drift: float | None = None
