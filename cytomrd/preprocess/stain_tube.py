"""Events of a control tube: a single stain, or unstained cells."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["StainTube"]


@dataclass(frozen=True, eq=False)
class StainTube:
    """Events of a control tube.

    Attributes
    ----------
    name
        The file, for messages.
    values
        Shape (n_events, n_detectors), float64: linear signal, uncompensated.
    scatter
        Shape (n_events, 2): forward and side scatter; (n_events, 0) where the file lacks them.
    stain
        What stains it, in words; empty for unstained cells.
    detector
        Detector of the stain; empty for unstained cells.
    tops, scatter_tops
        Shapes (n_detectors,) and (2,): the highest value that a detector can give; None where not known.
    steps
        Shape (n_detectors,): distance of neighbouring values as a fraction of the value, for log
        amplifiers; 0 for linear channels.
    notes
        What was left out when it was read.
    """

    name: str
    values: np.ndarray
    scatter: np.ndarray
    stain: str = ""
    detector: str = ""
    tops: np.ndarray | None = None
    scatter_tops: np.ndarray | None = None
    steps: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def finite(self) -> StainTube:
        """The tube without events that hold a value which is no number."""
        return self.select(np.isfinite(self.values).all(axis=1) & np.isfinite(self.scatter).all(axis=1))

    def unsaturated(self) -> StainTube:
        """The tube without events at the upper end of a detector or of scatter."""
        keep = (self.values < _ends(self.values, self.tops)).all(axis=1)
        return self.select(keep & (self.scatter < _ends(self.scatter, self.scatter_tops)).all(axis=1))

    def saturated_share(self, column: int) -> float:
        """Share of all events that lie at the upper end of a detector."""
        end = _ends(self.values, self.tops)[column]
        return float((self.values[:, column] >= end).mean()) if len(self.values) else 0.0

    def select(self, keep: np.ndarray) -> StainTube:
        """The tube with these events alone."""
        return replace(self, values=self.values[keep], scatter=self.scatter[keep])


def _ends(values: np.ndarray, tops: np.ndarray | None) -> np.ndarray:
    """Where each channel ends, shape (n_channels,). A stated range that the data exceed is no limit."""
    if tops is None or not len(values):
        return np.full(values.shape[1], np.inf)
    return np.where(values.max(axis=0) > 1.001 * tops, np.inf, tops)
