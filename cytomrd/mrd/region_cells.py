"""Plasma cells among which regions are weighed, and what is known of the normal ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cytomrd.mrd.evidence import EXPECTED_SD, TubeCount, weigh_region
from cytomrd.mrd.mixture import Block, thinned, usual_evaluable
from cytomrd.mrd.pair_density import PairDensity
from cytomrd.mrd.populations import Populations
from cytomrd.mrd.region_clone import Aside, Start, Weighed
from cytomrd.mrd.regions import SHARPER, WIDTHS, Region, measure_region
from cytomrd.mrd.rule import MIN_CLUSTER, UNSEEN_CHAINS, has_chains, may_decide
from cytomrd.mrd.sharing import above

__all__ = ["Cells", "fair_odds", "log_odds_of", "sharpened"]

# Prior worth in tubes of the usual error of what is expected; share of the way to one light chain that is suspicious.
EXPECTED_WORTH, EXPECTED_FOLD, RESTRICTED = 8.0, 1.5, 0.4
# A region is made sharper as long as that adds so much evidence.
WORTH = 1.0


@dataclass(frozen=True)
class Cells:
    """What is left of all plasma cells, and how well normal ones are known.

    Attributes
    ----------
    blocks
        One per tube, in standard units.
    normal
        Beta parameters of kappa among normal plasma cells.
    expected_sd
        Log SD of the normal cells that there are in a region around those expected.
    evaluable
        Part of plasma cells with one clear light chain.
    floor
        Middle of each marker's negative cells, float64 (n_markers,). No region begins below it: there cells scatter as
        the light of other stains does, light chains' among them.
    aside
        What the blocks are without.
    populations
        Large ones of normal cells, where they are known.
    """

    blocks: list[Block]
    normal: tuple[float, float]
    expected_sd: float
    evaluable: float
    floor: np.ndarray
    aside: Aside | None = None
    populations: Populations | None = None

    @classmethod
    def measured(
        cls,
        blocks: Sequence[Block],
        normal: tuple[float, float],
        starts: Sequence[Start],
        floor: np.ndarray | None = None,
        aside: Aside | None = None,
        populations: Populations | None = None,
    ) -> Cells:
        """With the error of what is expected as the regions of starts show it; without a floor where that is None."""
        if aside is not None:
            blocks = thinned(blocks, [aside.left(t, b) for t, b in enumerate(blocks)])
        if floor is None:
            floor = np.full(1 + max(int(b.columns.max()) for b in blocks), -np.inf)
        error, evaluable = _error_of_expected(starts, blocks, normal), usual_evaluable(blocks)
        return cls(list(blocks), normal, error, evaluable, floor, aside, populations)

    @property
    def has_chains(self) -> bool:
        """Whether any tube tells light chains of any cell."""
        return any(b.chains is not None and b.total > 0 for b in self.blocks)

    @property
    def usual(self) -> float:
        """Kappa among normal plasma cells."""
        return self.normal[0] / sum(self.normal)

    @cached_property
    def densities(self) -> list[PairDensity]:
        """How dense cells are above the floor, per tube."""
        return [PairDensity(above(b, self.floor)) for b in self.blocks]

    def without(self, left: Sequence[np.ndarray]) -> Cells:
        """What is ``left`` of each event, float64 (n_events,) per tube."""
        return replace(self, blocks=thinned(self.blocks, left))

    def region(self, centre: np.ndarray, width: tuple[float, float, float]) -> Region:
        """The region of a width around a centre (n_tubes, n_markers), no farther out than the floor."""
        return Region(np.maximum(centre, self.floor), width)

    def weigh(self, region: Region) -> Weighed:
        """A region with its evidence."""
        return self._with_evidence(region, *measure_region(region, self.blocks, self.normal))

    def weigh_for_clone(self, region: Region) -> Weighed | None:
        """A region that a clone may be found by, else None."""
        return self.weigh_counts(region, *measure_region(region, self.blocks, self.normal))

    def weigh_counts(self, region: Region, counts: Sequence[TubeCount], there: tuple[float, float]) -> Weighed | None:
        """A region by its counts: None where it holds too few cells, cells without light chains or many normal ones."""
        if sum(c.n for c in counts) < MIN_CLUSTER or not _is_told(counts, self.evaluable):
            return None
        weighed = self._with_evidence(region, counts, there)
        return weighed if may_decide(weighed.normal_share, self.expected_sd) else None

    def _with_evidence(self, region: Region, counts: Sequence[TubeCount], there: tuple[float, float]) -> Weighed:
        evidence = weigh_region(counts, there, expected_sd=self.expected_sd)
        return Weighed(region, evidence, there, sum(c.n for c in counts))

    def chains_in(self, region: Region) -> np.ndarray:
        """Light chains of a region's events, but for those that are mostly another clone's."""
        return np.concatenate(
            [b.chains[region.holds(t, b) & (b.weight > 0.5)] for t, b in enumerate(self.blocks) if b.chains is not None]
        )


def log_odds_of(weighed: Weighed | None) -> float:
    """Log odds of a region, to choose by; the least there are for none."""
    return -np.inf if weighed is None else weighed.log_odds


def sharpened(best: Weighed, cells: Cells) -> Weighed:
    """The region begun farther out on each marker where that is more evident: normal cells lie nearer to one side."""
    for marker in np.flatnonzero(best.region.far):
        for part in SHARPER:
            others = tuple(s for s in best.region.sharper if s[0] != marker)
            sharper = cells.weigh_for_clone(replace(best.region, sharper=(*others, (int(marker), part))))
            if log_odds_of(sharper) > best.log_odds + WORTH:
                best = sharper
    return best


def fair_odds(weighed: Weighed) -> float:
    """Log odds less what the best of as many choices of where to begin gains by chance."""
    region = weighed.region
    return weighed.log_odds - len(region.sharper) * float(np.log(len(SHARPER) * max(np.count_nonzero(region.far), 1)))


def _error_of_expected(starts: Sequence[Start], blocks: Sequence[Block], normal: tuple[float, float]) -> float:
    """Log SD of the normal cells that there are around those expected, by regions that do not look restricted.

    How well single antigens and their pairs predict a pattern depends on the donor: where normal cells mature along one
    line all of them go together, and more cells of rare patterns are there than pairs tell.
    """
    total, n = EXPECTED_SD**2 * EXPECTED_WORTH, EXPECTED_WORTH
    for start in starts:
        if start.tried > 1:
            continue
        counts, there = measure_region(Region(start.centre, WIDTHS[1]), blocks, normal)
        k, lam = (sum(c.chains[i] for c in counts if c.chains is not None) for i in (0, 1))
        kappa = there[0] / sum(there)
        own, usual = (k, kappa) if k > kappa * (k + lam) else (lam, 1.0 - kappa)
        if own > RESTRICTED * (k + lam) + (1.0 - RESTRICTED) * usual * (k + lam):
            continue
        for c in counts:
            total += np.log((c.n + 1.0) / (c.if_normal + 1.0)) ** 2
            n += 1.0
    return max(EXPECTED_SD, EXPECTED_FOLD * float(np.sqrt(total / n)))


def _is_told(counts: Sequence[TubeCount], evaluable: float) -> bool:
    """Whether its events have light chains as plasma cells have, and enough of them."""
    clear = sum(sum(c.chains) for c in counts if c.chains is not None)
    return round(clear) >= UNSEEN_CHAINS and has_chains(
        clear, sum(c.n for c in counts if c.chains is not None), evaluable
    )
