"""Shares cells between a clone and the normal cells that lie around it, by place and light chain.

The clone has a centre, a spread on each marker and a light chain; normal cells are as dense as their pairs of markers
say (:mod:`cytomrd.mrd.pair_density`). A place of suspicion moves to where the cells are that normal ones do not explain
(:func:`settled_centre`), and a clone found there gets its shape and number (:func:`fit_shape`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize

from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN, KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block, thinned
from cytomrd.mrd.pair_density import PairDensity, Tree

__all__ = ["CloneShape", "Shared", "above", "centre_of", "fit_shape", "settled_centre"]

# SD of a clone in standard units, and its worth in events; part of its cells that scatter wider on a marker, and how
# much wider. No event farther than the reach, in SDs, is asked.
CLONE_SD, SD_EVENTS, TAIL, WIDER, REACH = 1.3, 8.0, 0.1, 2.2, 4.5
# Mean SD of all markers of what is no cluster: none of 45 clones of tuning laws passed 1.26, scattered cells do.
MOST_SPREAD = 1.4
# So far below the floor events are still told apart, in SDs.
BELOW = 1.0
# An event farther out than this adds no more to a spread.
MOST_AWAY = 4.0
# A clone's cells in a tube of mean size: at first, and the fewest and most.
FIRST, LEAST, MOST = 10.0, 3.0, 60.0
N_SETTLE, SETTLED = 12, 0.05
N_FIT, RENEW = 24, 4
# A clone has at most so many times the cells that it began with: clones of tuning laws grow to twice their region.
GROWTH = 2.5
# An event makes its own place dense: of normal cells' density it is left out by more than the clone's share of it.
SELF = 2.0
# Log SD of the normal cells where a clone lies around those that pairs tell, and how far from that they may be.
FOLD_SD, FOLDS = 1.0, (1e-3, 1e3)


@dataclass(frozen=True, eq=False)
class CloneShape:
    """Where a clone's cells lie and how many there are.

    Attributes
    ----------
    centre, sd
        float64 (n_tubes, n_markers) and (n_markers,), in standard units.
    n
        Its cells in each tube, float64 (n_tubes,).
    pure, usual
        Kappa among its cells and among normal ones.
    fold
        Normal cells where it lies, over those that pairs tell.
    """

    centre: np.ndarray
    sd: np.ndarray
    n: np.ndarray
    pure: float
    usual: float
    fold: float = 1.0

    @property
    def is_scatter(self) -> bool:
        """Whether it spreads wider than clones do, as cells that only depart from normal do."""
        return bool(self.sd.mean() > MOST_SPREAD)

    def near(self, tube: int, block: Block) -> np.ndarray:
        """The events within its reach, int64 (n_near,)."""
        away = np.abs(block.x - self.centre[tube, block.columns])
        return np.flatnonzero((away < REACH * self.sd[block.columns]).all(axis=1))

    def odds(self, tube: int, block: Block, log_normal: np.ndarray) -> np.ndarray:
        """Of each event to be its by place, float64 (n_events,), 0 beyond its reach.

        Against the log of normal cells per unit of each marker where the event lies.
        """
        sd, rows = self.sd[block.columns], self.near(tube, block)
        z = (block.x[rows] - self.centre[tube, block.columns]) / sd
        near = (1.0 - TAIL) * np.exp(-0.5 * z**2) + TAIL / WIDER * np.exp(-0.5 * (z / WIDER) ** 2)
        log = np.log(near).sum(axis=1) - np.log(sd * np.sqrt(2.0 * np.pi)).sum()
        found = np.zeros(len(block.x))
        found[rows] = np.exp(np.clip(np.log(self.n[tube] / self.fold) + log - log_normal[rows], -100.0, 100.0))
        return found

    def by_chain(self, block: Block) -> np.ndarray | float:
        """How much likelier each event's light chain is among its cells than among normal ones, float64 (n_events,)."""
        if block.chains is None:
            return 1.0
        kappa, lam = self.pure / self.usual, (1.0 - self.pure) / (1.0 - self.usual)
        return np.select([block.chains == KAPPA, block.chains == LAMBDA], [kappa, lam], 1.0)


@dataclass(frozen=True, eq=False)
class Shared:
    """A clone's shape and, for each tube, the normal cells that it shares events with."""

    shape: CloneShape
    normal: tuple[tuple[PairDensity, Tree], ...]
    floor: np.ndarray

    def odds(self, tube: int, block: Block) -> np.ndarray:
        """Of each event above the floor to be the clone's by place, float64 (n_events,)."""
        density, tree = self.normal[tube]
        rows, found = self.shape.near(tube, block), np.zeros(len(block.x))
        here = Block(block.x[rows], block.columns, block.weight[rows], None)
        found[rows] = self.shape.odds(tube, here, density.log_number(here.x, tree))
        return found

    def share(self, tube: int, block: Block) -> np.ndarray:
        """The clone's of each event above the floor, by place and light chain, float64 (n_events,)."""
        odds = self.odds(tube, block) * self.shape.by_chain(block)
        return odds / (1.0 + odds)

    def probability(self, tube: int, block: Block) -> np.ndarray:
        """Of each event to be the clone's, float64 (n_events,)."""
        return self.share(tube, above(block, self.floor))


def above(block: Block, floor: np.ndarray) -> Block:
    """The events with what lies below the floor (n_markers,) on a marker brought to just below it.

    How far below the negative cells' middle an event lies is noise, and noise has long tails.
    """
    return Block(np.maximum(block.x, floor[block.columns] - BELOW), block.columns, block.weight, block.chains)


def settled_centre(centre: np.ndarray, densities: Sequence[PairDensity], usual: float) -> np.ndarray:
    """Where a clone of the usual spread is likeliest near a place.

    Parameters
    ----------
    centre : float64 (n_tubes, n_markers)
        The place, in standard units; what tubes differ by stays.
    densities
        Of the cells of each tube.
    usual
        Kappa among normal plasma cells.

    Returns
    -------
    float64 (n_tubes, n_markers)
    """
    blocks = [d.block for d in densities]
    normal = [d.log_number(d.block.x, tree) for d, tree in _around(densities, centre)]
    shape = CloneShape(centre, np.full(centre.shape[1], CLONE_SD), np.full(len(blocks), FIRST), 0.5, usual)
    kappa, lam = (replace(shape, pure=pure) for pure in (CLONE_PURITY_MEAN, 1.0 - CLONE_PURITY_MEAN))
    ratios = [(kappa.by_chain(b), lam.by_chain(b)) for b in blocks]
    for _ in range(N_SETTLE):
        shares = []
        for t, block in enumerate(blocks):
            odds = shape.odds(t, block, normal[t])
            odds = max((odds * ratio for ratio in ratios[t]), key=lambda o: block.weight @ np.log1p(o))
            shares.append(block.weight * odds / (1.0 + odds))
        moved = centre_of(shares, blocks, shape.centre)
        steady = np.abs(moved - shape.centre).max() < SETTLED
        n = np.clip(np.mean([share.sum() for share in shares]), LEAST, MOST)
        shape = replace(shape, centre=moved, n=np.full(len(blocks), n))
        if steady:
            break
    return shape.centre


def fit_shape(
    centre: np.ndarray,
    shares: Sequence[np.ndarray],
    blocks: Sequence[Block],
    floor: np.ndarray,
    *,
    pure: float | None,
    usual: float,
) -> Shared:
    """Shape and number of a clone's cells, from what of each event is the clone's at first.

    Parameters
    ----------
    centre : float64 (n_tubes, n_markers)
        About where it is; what tubes differ by stays.
    shares
        Per tube, float64 (n_events,); it grows to :data:`GROWTH` times these at most.
    blocks
        All plasma cells, one block per tube. A clone is the same part of these in every tube.
    floor
        Middle of each marker's negative cells, float64 (n_markers,); -inf where that is not known.
    pure, usual
        Kappa among the clone's cells, None to share by place alone; and among normal plasma cells.
    """
    blocks = [above(b, floor) for b in blocks]
    sizes = np.array([b.total for b in blocks])
    shape = CloneShape(centre, np.full(centre.shape[1], CLONE_SD), sizes, usual if pure is None else pure, usual)
    shares = [share * b.weight for share, b in zip(shares, blocks, strict=True)]
    most, crowd = GROWTH * sum(share.sum() for share in shares), 1.0
    for step in range(N_FIT):
        n = sum(share.sum() for share in shares)
        # More would be normal cells: there are as many more of these.
        crowd *= max(n / max(most, 1e-9), 1.0)
        n = min(n, most) * sizes / max(sizes.sum(), 1e-9)
        shape = replace(_spread_of(shares, blocks, shape), n=np.maximum(n, 1.0))
        if step % RENEW == 0:
            left = [
                (1.0 - share / np.maximum(b.weight, 1e-12)) ** SELF for share, b in zip(shares, blocks, strict=True)
            ]
            normal = _around([PairDensity(b) for b in thinned(blocks, left)], shape.centre)
        elif step > RENEW and pure is not None:
            uncrowded = Shared(replace(shape, fold=shape.fold / crowd), normal, floor)
            shape = replace(shape, fold=crowd * _fold(uncrowded, blocks, shares))
        shared = Shared(shape, normal, floor)
        shares = [shared.share(t, b) * b.weight for t, b in enumerate(blocks)]
    return shared


def _fold(shared: Shared, blocks: Sequence[Block], shares: Sequence[np.ndarray]) -> float:
    """Normal cells where the clone lies over those that pairs tell, by cells there of the other light chain.

    Of the normal cells that by place may be the clone's, those of the other chain show how many there are. With the
    clone's own cells as samples of its place, as many are expected as the clone loses to normal ones by place.
    """
    shape, seen, expected = shared.shape, 0.0, 0.0
    for t, (b, share) in enumerate(zip(blocks, shares, strict=True)):
        if b.chains is None or share.sum() <= 0:
            continue
        odds = shared.odds(t, b)
        place = odds / (1.0 + odds)
        kept = float(share @ place / share.sum())
        other = b.chains == (LAMBDA if shape.pure > 0.5 else KAPPA)
        own_part, usual = (1.0 - shape.pure, 1.0 - shape.usual) if shape.pure > 0.5 else (shape.pure, shape.usual)
        seen += max(float((b.weight * place)[other].sum()) - own_part * float(share.sum()) * kept, 0.0)
        expected += usual * float(share.sum()) * (1.0 - kept)
    unit = expected / shape.fold
    # The likeliest log: of a Poisson number seen, with a normal prior. It lies between the two alone.
    within = -unit * FOLD_SD**2 - 1.0, seen * FOLD_SD**2 + 1.0
    log = optimize.brentq(lambda u: seen - unit * np.exp(u) - u / FOLD_SD**2, *within)
    return float(np.exp(np.clip(log, *np.log(FOLDS))))


def _around(densities: Sequence[PairDensity], centre: np.ndarray) -> tuple[tuple[PairDensity, Tree], ...]:
    return tuple((d, d.tree_near(c[d.block.columns])) for d, c in zip(densities, centre, strict=True))


def centre_of(shares: Sequence[np.ndarray], blocks: Sequence[Block], centre: np.ndarray) -> np.ndarray:
    """Mean of the shares over all tubes, moved in each as before; as before on a marker with next to none."""
    middle = centre.mean(axis=0)
    apart = centre - middle
    first, n = np.zeros(len(middle)), np.zeros(len(middle))
    for share, b, a in zip(shares, blocks, apart, strict=True):
        first[b.columns] += share @ (b.x - a[b.columns])
        n[b.columns] += share.sum()
    return np.where(n > 1.0, first / np.maximum(n, 1e-9), middle) + apart


def _spread_of(shares: Sequence[np.ndarray], blocks: Sequence[Block], shape: CloneShape) -> CloneShape:
    """The shape moved to its shares, and as wide as these."""
    centre = centre_of(shares, blocks, shape.centre)
    second, n = np.zeros(len(shape.sd)), np.zeros(len(shape.sd))
    for share, b, c in zip(shares, blocks, centre, strict=True):
        second[b.columns] += share @ np.clip(b.x - c[b.columns], -MOST_AWAY, MOST_AWAY) ** 2
        n[b.columns] += share.sum()
    return replace(shape, centre=centre, sd=np.sqrt((second + SD_EVENTS * CLONE_SD**2) / (n + SD_EVENTS)))
