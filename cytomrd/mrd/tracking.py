"""A clone followed from an earlier visit: which plasma cells of a later sample look like it, and how many would anyway.

The call of a sample never hangs on this: the likeness of an earlier clone neither adds to a count nor lowers the
evidence that a cluster must show. It says where a person should look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["CloneTrack", "TrackedTube", "compare_tube", "track_flags"]

# Share of the earlier clone's own cells that its region holds.
REGION = 0.95
# Two visits differ by staining and instrument: SD on the transformed scale, about a seventh of a decade.
VISIT_SD = 0.03
# As many cells as the prior of the clone's spread counts for, and that spread.
PRIOR_EVENTS, PRIOR_SD = 10.0, 0.05
# Cells alike but not called are a finding from so many on, when chance gives so many this seldom.
MIN_UNCALLED, UNCALLED_P = 5, 1e-3
MOVED_SDS = 2.0


@dataclass(frozen=True)
class TrackedTube:
    """One tube of a later sample against the earlier clone.

    Attributes
    ----------
    n_earlier
        Clonal cells of the earlier visit.
    n_clonal, n_clonal_alike
        Clonal cells of this one, and those of them within the earlier clone's region.
    n_uncalled_alike, n_expected
        Other plasma cells within it, and how many of them chance would put there, by the normal plasma cells of the
        earlier visit.
    moved
        Markers on which the clonal cells lie elsewhere, such as ``"CD38 lower"``.
    """

    n_earlier: int
    n_clonal: int
    n_clonal_alike: int
    n_uncalled_alike: int
    n_expected: float
    moved: tuple[str, ...]


@dataclass(frozen=True)
class CloneTrack:
    """A sample against the clone of an earlier visit: ``visit`` in words, ``sample_id`` of that visit, the tubes."""

    visit: str
    sample_id: str
    tubes: tuple[TrackedTube, ...]

    @property
    def n_alike(self) -> int:
        """Plasma cells within the earlier clone's region, called or not."""
        return sum(t.n_clonal_alike + t.n_uncalled_alike for t in self.tubes)


def compare_tube(
    clone: np.ndarray, normal: np.ndarray, cells: np.ndarray, is_clonal: np.ndarray, *, markers: Sequence[str]
) -> TrackedTube:
    """Compare plasma cells with an earlier clone.

    Parameters
    ----------
    clone, normal
        Clonal and normal plasma cells of the earlier visit, float64 (n, n_markers), on this sample's scales.
    cells, is_clonal
        Plasma cells of this sample, float64 (n, n_markers), and bool (n,).
    markers
        Names of the columns.
    """
    centre = np.median(clone, axis=0)
    spread = (clone - centre).T @ (clone - centre) + PRIOR_EVENTS * PRIOR_SD**2 * np.eye(len(markers))
    covariance = spread / (len(clone) + PRIOR_EVENTS) + VISIT_SD**2 * np.eye(len(markers))
    precision = np.linalg.inv(covariance)
    radius = float(stats.chi2.ppf(REGION, len(markers)))

    def alike(values: np.ndarray) -> np.ndarray:
        away = values - centre
        return np.einsum("ij,jk,ik->i", away, precision, away) <= radius

    inside = alike(cells)
    # Half an event more, so that an earlier visit with few normal cells promises no region free of them.
    share = (np.count_nonzero(alike(normal)) + 0.5) / (len(normal) + 1.0)
    moved = ()
    if is_clonal.sum() >= 5:
        shift = (np.median(cells[is_clonal], axis=0) - centre) / np.sqrt(np.diag(covariance))
        moved = tuple(
            f"{m} {'lower' if s < 0 else 'higher'}" for m, s in zip(markers, shift, strict=True) if abs(s) > MOVED_SDS
        )
    return TrackedTube(
        n_earlier=len(clone),
        n_clonal=int(is_clonal.sum()),
        n_clonal_alike=int((inside & is_clonal).sum()),
        n_uncalled_alike=int((inside & ~is_clonal).sum()),
        n_expected=float(share * (~is_clonal).sum()),
        moved=moved,
    )


def track_flags(track: CloneTrack) -> tuple[str, ...]:
    """What a reader must know, as ``"CODE: words"``."""
    n_clonal, n_alike, n_uncalled = (
        sum(getattr(t, name) for t in track.tubes) for name in ("n_clonal", "n_clonal_alike", "n_uncalled_alike")
    )
    expected, n_earlier = sum(t.n_expected for t in track.tubes), sum(t.n_earlier for t in track.tubes)
    by_chance = f"{expected:.1f} expected by chance"
    flags = [
        f"TRACKED: {n_alike} of {n_clonal} clonal cells look like the clone at {track.visit} ({n_earlier} "
        f"cells), as do {n_uncalled} others ({by_chance}). No count or threshold was changed by it"
    ]
    chance = float(stats.poisson.sf(n_uncalled - 1, expected))
    if n_uncalled >= MIN_UNCALLED and chance < UNCALLED_P:
        flags.append(
            f"ALIKE_UNCALLED: {n_uncalled} cells look like the clone at {track.visit} and are not called clonal "
            f"({by_chance}): a person must look. They are not counted"
        )
    moved = dict.fromkeys(word for t in track.tubes for word in t.moved)
    if n_clonal >= 5 and n_alike < 0.5 * n_clonal:
        how = ", ".join(moved) or "no single marker"
        flags.append(f"CLONE_CHANGED: most clonal cells do not look like the clone at {track.visit} ({how})")
    return tuple(flags)
