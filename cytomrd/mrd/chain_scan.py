"""A scan for clones by light chain: cells that depart from normal, with neighbours of one light chain only.

Where many normal cells lie a dozen clonal ones are no denser than these, and neither mixture nor scan by number
(:mod:`cytomrd.mrd.scan`) stops there. Their light chain still gives them away to who stands among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN, KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.regions import FAR_SD

__all__ = ["chain_centres"]

# Neighbours among which one light chain may prevail; clonal part of them.
N_NEAREST, SHARES = (6, 8, 12, 16, 24), np.array([0.5, 0.75, 1.0])
# Places per tube, and the score from which one is handed on.
MAX_CENTRES, MIN_SCORE = 16, 2.5
# How far out an antigen lies does not matter beyond this many SDs: there it scatters as the instrument does.
FARTHEST = 6.0
# So many cells of another tube must show a level of a marker that is not in this one.
MIN_SHOWN = 3


def chain_centres(blocks: Sequence[Block], aberrant: Sequence[np.ndarray], usual: float) -> list[np.ndarray]:
    """Centres (n_markers,) of places where one light chain prevails, the most evident first.

    Parameters
    ----------
    blocks
        One per tube, in standard units.
    aberrant
        Per tube, bool (n_events,): events that depart from normal.
    usual
        Kappa among normal plasma cells.
    """
    d = 1 + max(int(b.columns.max()) for b in blocks)
    found = []
    for tube, block in enumerate(blocks):
        if block.chains is not None:
            others = [_beside(block, b) for b in blocks if b is not block and np.isin(b.columns, block.columns).any()]
            for score, centre in _in_tube(block, aberrant[tube], usual):
                found += [(score, whole) for whole in _completed(centre, d, block, others)]
    return [centre for _, centre in sorted(found, key=lambda f: -f[0])]


def _in_tube(block: Block, aberrant: np.ndarray, usual: float) -> list[tuple[float, np.ndarray]]:
    """Score and centre on the tube's own markers; no place has a better one's middle among its cells."""
    told = aberrant & ((block.chains == KAPPA) | (block.chains == LAMBDA))
    x, kappa = np.clip(block.x[told], -FARTHEST, FARTHEST), block.chains[told] == KAPPA
    if len(x) < N_NEAREST[0]:
        return []
    sizes = np.array([n for n in N_NEAREST if n <= len(x)])
    _, nearest = cKDTree(x).query(x, k=int(sizes[-1]))
    n_kappa = np.cumsum(kappa[nearest], axis=1)[:, sizes - 1]
    scores = np.stack([_prevails(n_kappa, sizes, usual), _prevails(sizes - n_kappa, sizes, 1.0 - usual)])
    best = scores.reshape(2, len(x), -1).max(axis=(0, 2))
    free, places = np.ones(len(x), dtype=bool), []
    for i in np.argsort(-best, kind="stable"):
        if best[i] < MIN_SCORE or len(places) == MAX_CENTRES:
            break
        if free[i]:
            chain, size = np.unravel_index(np.argmax(scores[:, i]), scores[:, i].shape)
            cells = nearest[i, : sizes[size]]
            own = cells[kappa[cells] == (chain == 0)]
            places.append((float(best[i]), block.x[told][own].mean(axis=0)))
            free[cells] = False
    return places


def _prevails(n: np.ndarray, of: np.ndarray, usual: float) -> np.ndarray:
    """Log likelihood ratio of a clone's share among neighbours against none, at its best share."""
    p = SHARES * CLONE_PURITY_MEAN + (1.0 - SHARES) * usual
    n, of = n[..., None], of[..., None]
    return (n * np.log(p / usual) + (of - n) * np.log((1.0 - p) / (1.0 - usual))).max(axis=-1)


def _beside(block: Block, other: Block) -> tuple[Block, np.ndarray, cKDTree]:
    """Another tube, the markers that both share, and its cells on these."""
    shared = np.intersect1d(block.columns, other.columns)
    at = np.clip(other.x[:, np.searchsorted(other.columns, shared)], -FARTHEST, FARTHEST)
    return other, shared, cKDTree(at)


def _completed(
    centre: np.ndarray, d: int, block: Block, others: Sequence[tuple[Block, np.ndarray, cKDTree]]
) -> list[np.ndarray]:
    """The centre with each level that cells of other tubes show, on markers that this one has not."""
    whole = np.zeros(d)
    whole[block.columns] = centre
    levels = {}
    for other, shared, tree in others:
        if tree.n < N_NEAREST[-1]:
            continue
        _, nearest = tree.query(np.clip(whole[shared], -FARTHEST, FARTHEST), k=N_NEAREST[-1])
        for place, column in enumerate(other.columns):
            if column not in block.columns:
                x = other.x[nearest, place]
                apart = [x[x < -FAR_SD], x[np.abs(x) <= FAR_SD], x[x > FAR_SD]]
                levels[column] = [float(part.mean()) for part in apart if len(part) >= MIN_SHOWN]
    found = []
    for values in product(*levels.values()):
        found.append(whole.copy())
        found[-1][list(levels)] = values
    return found
