"""Regions of a clone: wherever plasma cells depart from normal on the same antigens as a cluster does.

A cluster's own spread is a poor guide to a clone of a dozen cells: antigens below their cut scatter as the instrument
does, and a mixture breaks the clone into pieces. So a region is open: it lies beyond a part of the way from normal to
the cluster's centre, on every marker where that is far. Light chains take no part in its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cytomrd.mrd.evidence import TubeCount
from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.rarity import expected_together

__all__ = [
    "SHARPER",
    "WIDTHS",
    "Region",
    "chains_within",
    "departs",
    "kappa_of_normal",
    "measure_region",
    "relative_sizes",
]

# Markers farther than this from the main population depart, in its SDs.
FAR_SD = 2.5
# Where a region begins on markers that depart: at this part of the way to its centre, but no farther out than so many
# SDs; and its half width on the others. The widest first.
WIDTHS = ((0.4, 2.5, 3.0), (0.5, 4.0, 3.0), (0.7, 20.0, 2.5), (0.7, 20.0, 2.0), (0.8, 20.0, 2.0))
MAX_SHARE = 0.95
# Parts of the way at which a region may begin on one marker.
SHARPER = (0.85, 1.0)
# Prior events in favour of the usual light chains beyond a limit.
LIMIT_PRIOR = 60.0


@dataclass(frozen=True, eq=False)
class Region:
    """Where a clone's cells lie, in standard units.

    Attributes
    ----------
    centre : float64 (n_tubes, n_markers)
    width
        One of :data:`WIDTHS`.
    sharper
        Markers on which it begins at another part of the way, and that part.
    """

    centre: np.ndarray
    width: tuple[float, float, float]
    sharper: tuple[tuple[int, float], ...] = ()

    is_compact: ClassVar[bool] = False

    @property
    def far(self) -> np.ndarray:
        """Bool (n_markers,): markers that depart from normal."""
        return departs(self.centre)

    def on_markers(self, tube: int, block: Block) -> np.ndarray:
        """Bool (n_events, n_columns): whether each event lies in the region on each marker."""
        part, most, half_width = self.width
        parts, limits = np.full(self.centre.shape[1], part), np.full(self.centre.shape[1], most)
        for marker, at in self.sharper:
            parts[marker], limits[marker] = at, np.inf
        centre = self.centre[tube, block.columns]
        begins = np.minimum(np.abs(centre) * parts[block.columns], limits[block.columns])
        far = self.far[block.columns]
        return np.where(far, block.x * np.sign(centre) > begins, np.abs(block.x - centre) < half_width)

    def holds(self, tube: int, block: Block) -> np.ndarray:
        """Bool (n_events,): whether each event lies in it."""
        return self.on_markers(tube, block).all(axis=1)


def departs(centre: np.ndarray) -> np.ndarray:
    """Bool (n_markers,): markers on which a centre (n_tubes, n_markers) departs from normal."""
    return np.abs(centre.mean(axis=0)) > FAR_SD


def relative_sizes(blocks: Sequence[Block]) -> list[float]:
    """Plasma cells of each tube over those of a tube of mean size."""
    mean = max(float(np.mean([b.total for b in blocks])), 1e-9)
    return [b.total / mean for b in blocks]


def measure_region(
    region: Region, blocks: Sequence[Block], normal: tuple[float, float]
) -> tuple[list[TubeCount], tuple[float, float]]:
    """Events seen in a region, normal ones expected there, and kappa among those.

    Parameters
    ----------
    region, blocks
        Where, and all plasma cells, one block per tube.
    normal
        Beta parameters of kappa among normal plasma cells.

    Returns
    -------
    tuple
        One count per tube; and Beta parameters of kappa among the normal cells of the region. Normal cells are expected
        as their antigens go together in pairs. The clone's own cells must not speak for them: those inside count by
        what light chains leave to normal cells.
    """
    inside = [region.on_markers(t, b) for t, b in enumerate(blocks)]
    within = [i.all(axis=1) for i in inside]
    chains = [chains_within(b, w) for b, w in zip(blocks, within, strict=True)]
    n_kappa, n_lambda = (sum(c[i] for c in chains if c is not None) for i in (0, 1))
    share = _share_of_clone(n_kappa, n_lambda, normal[0] / sum(normal))
    counts = []
    for b, size, i, w, c in zip(blocks, relative_sizes(blocks), inside, within, chains, strict=True):
        without = np.where(w, 1.0 - share, 1.0) * b.weight
        if_normal, beside = expected_together(i, b.weight), expected_together(i, without)
        counts.append(TubeCount(float(b.weight[w].sum()), c, size, if_normal, beside))
    elsewhere = [(~i).sum(axis=1) >= 2 for i in inside]
    return counts, kappa_of_normal(region.far, blocks, inside, elsewhere, normal)


def chains_within(block: Block, within: np.ndarray) -> tuple[float, float] | None:
    """Kappa and lambda events among those ``within``, bool (n_events,); None where light chains are not stained."""
    if block.chains is None:
        return None
    kappa, lam = (float(block.weight[within & (block.chains == c)].sum()) for c in (KAPPA, LAMBDA))
    return kappa, lam


def kappa_of_normal(
    markers: np.ndarray,
    blocks: Sequence[Block],
    inside: Sequence[np.ndarray],
    elsewhere: Sequence[np.ndarray],
    normal: tuple[float, float],
) -> tuple[float, float]:
    """Beta parameters of kappa among the normal cells of a region, by what cells elsewhere within its limits show.

    A light chain is the brightest stain of its tube, and what its light leaves on another marker widens or moves the
    cells of that chain: far out on that marker normal cells are of one light chain too. Each marker's limit is asked by
    itself, among cells elsewhere, and the log odds add up.

    Parameters
    ----------
    markers
        Those with limits that matter, bool (n_markers,).
    blocks, inside
        All plasma cells, and whether each lies within the region's limits on each marker, bool (n_events, n_columns).
    elsewhere
        Which events do not lie in the region, bool (n_events,) per tube.
    normal
        Beta parameters of kappa among normal plasma cells.
    """
    total, usual = sum(normal), normal[0] / sum(normal)
    counts = np.repeat(np.array([[usual, 1.0 - usual]]) * LIMIT_PRIOR, len(markers), axis=0)
    for b, i, e in zip(blocks, inside, elsewhere, strict=True):
        if b.chains is None:
            continue
        rows = i & e[:, None]
        for place, chain in enumerate((KAPPA, LAMBDA)):
            counts[b.columns, place] += (b.weight * (b.chains == chain)) @ rows
    log_odds = np.log(normal[0] / normal[1])
    apart = (np.log(counts[:, 0] / counts[:, 1]) - log_odds)[markers].sum()
    kappa = 1.0 / (1.0 + np.exp(-(log_odds + apart)))
    return kappa * total, (1.0 - kappa) * total


def _share_of_clone(n_kappa: float, n_lambda: float, kappa: float) -> float:
    """What the rarer light chain leaves of a region to a clone of the other."""
    n = n_kappa + n_lambda
    other, usual = (n_lambda, 1.0 - kappa) if n_kappa >= kappa * n else (n_kappa, kappa)
    return float(np.clip(1.0 - (other + 0.5) / max(n * usual, 1.0), 0.0, MAX_SHARE))
