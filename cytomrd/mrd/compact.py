"""Compact regions: the places where a clone's cells outnumber the normal ones.

An open region (:mod:`cytomrd.mrd.regions`) finds a clone whatever its spread, and takes in the normal cells of its
side. Where one is promising, what lies there is given a shape by place alone (:mod:`cytomrd.mrd.sharing`). The places
at which that outnumbers normal cells hold few of these, so that light chains, which had no part in the shape, tell
more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import numpy as np
from scipy import stats

from cytomrd.mrd.evidence import TubeCount
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.pair_density import PairDensity
from cytomrd.mrd.populations import Populations
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.region_clone import Weighed, shares_in
from cytomrd.mrd.regions import chains_within, departs, kappa_of_normal, relative_sizes
from cytomrd.mrd.sharing import Shared, above, fit_shape

__all__ = ["CompactRegion", "compact_regions", "measure_compact"]

# A clone's cells outnumber normal ones by so much where its region ends.
LEAST_ODDS = (1.0, 4.0)
# A clone of more cells than this shows by its open region.
MOST_EVENTS = 60.0
# So unlikely are the tubes to hold such parts of one clone: the shape lies beside it on a marker of one of them.
UNLIKE_P = 0.01
# Places of a clone, by which the normal cells among them are reckoned.
N_PLACES = 1024
# Half width, in a clone's SDs, of the part of a marker on which cells elsewhere tell the light chains of normal ones.
WINDOW = 2.0


@dataclass(frozen=True, eq=False)
class CompactRegion:
    """Where a shape has more than ``least`` times the normal cells."""

    shared: Shared
    least: float

    is_compact: ClassVar[bool] = True
    sharper: ClassVar[tuple] = ()

    @property
    def centre(self) -> np.ndarray:
        """Float64 (n_tubes, n_markers), in standard units."""
        return self.shared.shape.centre

    @property
    def far(self) -> np.ndarray:
        """Bool (n_markers,): markers that depart from normal."""
        return departs(self.centre)

    def holds(self, tube: int, block: Block) -> np.ndarray:
        """Bool (n_events,): whether each event lies in it."""
        return self.shared.odds(tube, above(block, self.shared.floor)) > self.least

    def places(self, tube: int, columns: np.ndarray) -> tuple[Block, np.ndarray]:
        """Places in it, drawn as the clone's cells lie, and the log density of one of these there.

        Each stands for as many cells of a density as are there to one of the clone's, over :data:`N_PLACES`: within the
        region these are few, so that no place outweighs the others.
        """
        sd, z = self.shared.shape.sd[columns], _normal_places(len(columns))
        x = self.centre[tube, columns] + sd * z
        log_clone = -0.5 * (z**2).sum(axis=1) - np.log(sd * np.sqrt(2.0 * np.pi)).sum()
        inside = self.shared.odds(tube, Block(x, columns, np.ones(len(x)), None)) > self.least
        return Block(x[inside], columns, np.ones(np.count_nonzero(inside)), None), log_clone[inside]


def compact_regions(open_region: Weighed, cells: Cells) -> list[Weighed]:
    """The compact regions of what lies in an open one, with their evidence.

    None of what is scattered, of many cells, or not found alike in the tubes.

    Parameters
    ----------
    open_region
        Weighed among ``cells``.
    cells
        All plasma cells.
    """
    shares = [shares_in(open_region, t, replace(b, chains=None)) for t, b in enumerate(cells.blocks)]
    shared = fit_shape(open_region.region.centre, shares, cells.blocks, cells.floor, pure=None, usual=cells.usual)
    if shared.shape.is_scatter:
        return []
    found = []
    for region in (CompactRegion(shared, least) for least in LEAST_ODDS):
        counts, there = measure_compact(region, cells.blocks, cells.densities, cells.normal, cells.populations)
        weighed = cells.weigh_counts(region, counts, there)
        if weighed is not None and weighed.n_events <= MOST_EVENTS and _is_alike(counts):
            found.append(weighed)
    return found


def measure_compact(
    region: CompactRegion,
    blocks: Sequence[Block],
    densities: Sequence[PairDensity],
    normal: tuple[float, float],
    populations: Populations | None = None,
) -> tuple[list[TubeCount], tuple[float, float]]:
    """Events seen in a compact region, normal ones expected there, and kappa among those.

    Parameters
    ----------
    region, blocks
        Where, and all plasma cells, one block per tube.
    densities
        Of all plasma cells: what is expected if all of them are normal.
    normal
        Beta parameters of kappa among normal plasma cells.
    populations
        Of normal cells, where they are known: expected too where they have more.

    Returns
    -------
    tuple
        As of :func:`cytomrd.mrd.regions.measure_region`.
    """
    shape = region.shared.shape
    blocks = [above(b, region.shared.floor) for b in blocks]
    sizes, counts, windows = relative_sizes(blocks), [], []
    for t, (b, density, (beside, tree)) in enumerate(zip(blocks, densities, region.shared.normal, strict=True)):
        within = region.holds(t, b)
        places, log_clone = region.places(t, b.columns)
        all_normal, beside_clone = (d.log_number(places.x, tree) for d in (density, beside))
        if populations is not None:
            # Not beside a clone: a population that holds it was fitted to its cells as well.
            all_normal = np.maximum(all_normal, populations.log_number(t, places))
        expected = (float(np.exp(log - log_clone).sum() / N_PLACES) for log in (all_normal, beside_clone))
        counts.append(TubeCount(float(b.weight[within].sum()), chains_within(b, within), sizes[t], *expected))
        windows.append(np.abs(b.x - region.centre[t, b.columns]) < WINDOW * shape.sd[b.columns])
    elsewhere = [~window.all(axis=1) for window in windows]
    # It is narrow on every marker, and may be so where one chain's light alone leaves cells.
    every = np.ones(len(shape.sd), dtype=bool)
    return counts, kappa_of_normal(every, blocks, windows, elsewhere, normal)


def _is_alike(counts: Sequence[TubeCount]) -> bool:
    """Whether each tube may hold as much as its size says of what all of them hold."""
    n, size = sum(c.n for c in counts), sum(c.size for c in counts)
    return all(stats.binom.cdf(round(c.n), round(n), c.size / size) >= UNLIKE_P for c in counts)


@cache
def _normal_places(d: int) -> np.ndarray:
    """Places of a normal distribution of ``d`` markers, the same each time, float64 (N_PLACES, d)."""
    half = np.random.default_rng(0).standard_normal((N_PLACES // 2, d))
    return np.concatenate([half, -half])
