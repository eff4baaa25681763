"""Whether two implementations found the same on the same data: a benchmark of a wrong result says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytomrd.gating.clustering import map_events

__all__ = [
    "Agreement",
    "as_good_a_map",
    "as_near",
    "close_columns",
    "close_values",
    "same_counts",
    "same_members",
    "same_rows",
]


@dataclass(frozen=True)
class Agreement:
    """How far two results are apart: events that differ, or the largest error, and what is allowed."""

    mismatches: int | None = None
    max_error: float | None = None
    allowed: float = 0.0

    @property
    def holds(self) -> bool:
        """No more difference than is allowed."""
        return not self.mismatches and (self.max_error is None or self.max_error <= self.allowed)


def same_members(ours, theirs) -> Agreement:
    """Membership of every event, in one population or several."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        return Agreement(mismatches=max(ours.size, theirs.size))
    return Agreement(mismatches=int(np.count_nonzero(ours.astype(bool) != theirs.astype(bool))))


def same_counts(ours, theirs) -> Agreement:
    """Counts, by name or as an array: the events that are counted somewhere else."""
    if isinstance(ours, dict):
        names = sorted(set(ours) | set(theirs))
        ours, theirs = ([int(counts.get(name, -1)) for name in names] for counts in (ours, theirs))
    ours, theirs = np.asarray(ours, dtype=np.int64), np.asarray(theirs, dtype=np.int64)
    if ours.shape != theirs.shape:
        return Agreement(mismatches=int(max(ours.sum(), theirs.sum())))
    return Agreement(mismatches=int(np.abs(ours - theirs).sum()))


def same_rows(ours: np.ndarray, theirs: np.ndarray, byte_order: str = "<") -> Agreement:
    """Values as read: ``ours`` (n_events, n_channels); ``theirs`` the same, flat, or flat bytes of 3-byte integers."""
    theirs = np.asarray(theirs)
    if theirs.size == 3 * ours.size and theirs.dtype == np.uint8:
        octets = theirs.reshape(-1, 3).astype(np.uint32)
        high, low = (0, 2) if byte_order == ">" else (2, 0)
        theirs = octets[:, high] << 16 | octets[:, 1] << 8 | octets[:, low]
    if theirs.size != ours.size:
        return Agreement(mismatches=ours.size)
    return Agreement(mismatches=int(np.count_nonzero(ours != theirs.reshape(ours.shape))))


def close_values(ours, theirs, *, allowed: float, unit: float = 1.0) -> Agreement:
    """Largest difference in ``unit``; NaN and infinities must stand at the same places."""
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if ours.shape != theirs.shape:
        return Agreement(mismatches=max(ours.size, theirs.size))
    finite = np.isfinite(ours) & np.isfinite(theirs)
    elsewhere = ~finite & (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    if elsewhere.any():
        return Agreement(mismatches=int(np.count_nonzero(elsewhere)))
    return Agreement(max_error=float(np.abs(ours[finite] - theirs[finite]).max(initial=0.0)) / unit, allowed=allowed)


def as_near(ours, theirs) -> Agreement:
    """Nearest nodes of (events, nodes, nearest): two may be chosen that are equally near, but for rounding."""
    (events, nodes, mine), (_, _, other) = ours, theirs
    chosen = [np.linalg.norm(events - nodes[np.asarray(which, dtype=np.int64)], axis=1) for which in (mine, other)]
    return close_values(*chosen, allowed=1e-5)


def as_good_a_map(ours, theirs) -> Agreement:
    """Maps (events, nodes of each): by how much of theirs the mean distance to our nearest node is larger.

    Training starts at random: on few events two good maps differ by a few percent, so the maps of all calls count.
    """
    mean = [np.mean([map_events(events, nodes)[1].mean() for nodes in maps]) for events, maps in (ours, theirs)]
    return Agreement(max_error=max(float(mean[0] / mean[1]) - 1.0, 0.0), allowed=0.05)


def close_columns(ours: np.ndarray, theirs: np.ndarray, *, allowed: float, unit: float) -> Agreement:
    """Ten compensated channels: ours (10, n_events), theirs the same or rows (n_events, 14)."""
    if theirs.shape[0] == ours.shape[1]:
        theirs = theirs[:, 2:12].T
    return close_values(ours, theirs, allowed=allowed, unit=unit)
