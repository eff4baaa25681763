"""A scan for clones: places with more plasma cells of one light chain than normal ones could put there.

A mixture smooths over a wide sparse neighbourhood, and a dozen clonal cells in it are nobody's cluster. So every
aberrant event is tried as the centre of a small box. How many normal cells belong there follows from how the antigens
go together in pairs (:mod:`cytomrd.mrd.rarity`); each tube is a count of its own, and the light chains a third.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN, KAPPA, LAMBDA, NORMAL_KAPPA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.rarity import HALF_WIDTH, expected_together

__all__ = ["Place", "scan_places"]

# Places looked at closely per tube, those handed on, and the score from which they are.
N_CENTRES, MAX_PLACES, MIN_SCORE = 100, 20, 4.0
# The light chains may speak against a place; its excess alone must nominate it.
MIN_EXCESS = 2.0
MIN_INSIDE = 4
# Events this near a better one are not tried; centres that settle this near another are the same.
THIN, SETTLED = 1.2, 0.3
N_SHIFTS = 3
# Normal cells may be this many times what the pairs predict, and that many more.
EXPECTED_FOLD, EXPECTED_MORE = 3.0, 0.3
# However strange the place, normal cells of a kind not foreseen may be there: so much counts at most.
MAX_EXCESS = 10.0


@dataclass(frozen=True)
class Place:
    """Where a clone may be: centre (n_markers,) with NaN where no tube told, events inside per tube, score.

    ``excess`` is the part of the score that is not by light chains.
    """

    centre: np.ndarray
    n_inside: tuple[float, ...]
    score: float
    excess: float


def scan_places(blocks: Sequence[Block], aberrant: Sequence[np.ndarray]) -> list[Place]:
    """Places worth a component of their own, best first, none inside another's box.

    Parameters
    ----------
    blocks
        One per tube, in standard units.
    aberrant
        Per tube, bool (n_events,): events tried as centres.
    """
    d = 1 + max(int(b.columns.max()) for b in blocks)
    shared = [j for j in range(d) if all(j in b.columns for b in blocks)]
    kept: list[Place] = []
    # The tube with the most antigens first: another tube's places do not know those, and a clone found in both would
    # be two places.
    for tube in sorted(range(len(blocks)), key=lambda t: -len(blocks[t].columns)):
        block, settled, found = blocks[tube], [], []
        for row in _crowded(block, aberrant[tube]):
            centre = np.full(d, np.nan)
            centre[block.columns] = block.x[row]
            place = _settle(blocks, centre, settled)
            if place is not None and place.score > MIN_SCORE:
                found.append(place)
        earlier = list(kept)
        for place in sorted(found, key=lambda p: -p.score)[:MAX_PLACES]:
            beside = any(_same(place, other, block.columns) for other in kept[len(earlier) :])
            if not beside and not any(_same(place, other, shared) for other in earlier):
                kept.append(place)
    return kept


def _crowded(block: Block, aberrant: np.ndarray) -> np.ndarray:
    """Rows of aberrant events with many neighbours for what their single antigens predict, none near a better one."""
    rows = np.flatnonzero(aberrant)
    if rows.size == 0 or block.x.shape[1] == 0:
        return rows[:0]
    n = len(block.x)
    tree = cKDTree(block.x)
    inside = tree.query_ball_point(block.x[rows], HALF_WIDTH, p=np.inf, return_length=True).astype(float)
    log_expected = np.full(rows.size, np.log(n))
    for j in range(block.x.shape[1]):
        ordered = np.sort(block.x[:, j])
        low = np.searchsorted(ordered, block.x[rows, j] - HALF_WIDTH)
        high = np.searchsorted(ordered, block.x[rows, j] + HALF_WIDTH)
        log_expected += np.log((high - low) / n)
    score = _excess(inside, np.exp(log_expected))
    score[inside < MIN_INSIDE] = 0.0
    candidates = cKDTree(block.x[rows])
    free, best = score > 0, []
    for i in np.argsort(-score, kind="stable"):
        if free[i]:
            best.append(rows[i])
            free[candidates.query_ball_point(block.x[rows[i]], THIN, p=np.inf)] = False
            if len(best) == N_CENTRES:
                break
    return np.array(best, dtype=np.int64)


def _settle(blocks: Sequence[Block], centre: np.ndarray, settled: list[np.ndarray]) -> Place | None:
    """Move the centre to the mean of what is inside a few times; then the place's counts and score."""
    for _ in range(N_SHIFTS):
        first, n = np.zeros(centre.size), np.zeros(centre.size)
        for block in blocks:
            inside = _inside(block, centre).all(axis=1)
            first[block.columns] += (block.weight[inside, None] * block.x[inside]).sum(axis=0)
            n[block.columns] += block.weight[inside].sum()
        if n.max() < MIN_INSIDE:
            return None
        centre = np.where(n >= 2, first / np.maximum(n, 1e-9), centre)
    if any(np.nanmax(np.abs(centre - other)) < SETTLED for other in settled):
        return None
    settled.append(centre)
    counts, excess, light = [], 0.0, 0.0
    for block in blocks:
        inside = _inside(block, centre)
        within = inside.all(axis=1)
        # The clone's own cells, and those that stray on one marker, must not speak for the normal ones.
        others = inside.sum(axis=1) < inside.shape[1] - 1
        seen = float(block.weight[within].sum())
        expected = EXPECTED_FOLD * expected_together(inside[others], block.weight[others]) + EXPECTED_MORE
        excess += float(_excess(seen, expected))
        if block.chains is not None:
            light += max(_light_excess(block.chains[within], seen, e) for e in (expected / EXPECTED_FOLD, expected))
        counts.append(seen)
    if excess < MIN_EXCESS:
        return None
    return Place(centre, tuple(counts), min(excess, MAX_EXCESS) + light, excess)


def _inside(block: Block, centre: np.ndarray) -> np.ndarray:
    """Bool (n_events, n_known markers): whether each event lies in the box, on the markers where it has a centre."""
    known = np.isfinite(centre[block.columns])
    return np.abs(block.x[:, known] - centre[block.columns][known]) < HALF_WIDTH


def _excess(seen, expected):
    """Log likelihood ratio of a Poisson count against the one expected; 0 where there are fewer."""
    seen = np.asarray(seen, dtype=float)
    return np.where(seen > expected, seen * np.log(np.maximum(seen, 1e-9) / expected) - (seen - expected), 0.0)


def _light_excess(chains: np.ndarray, seen: float, expected: float) -> float:
    """Log likelihood ratio of one light chain among what exceeds the expected, against the usual two."""
    kappa, lam = np.count_nonzero(chains == KAPPA), np.count_nonzero(chains == LAMBDA)
    share = max(0.3, 1.0 - expected / max(seen, 1e-9))
    best = -np.inf
    for pure in (CLONE_PURITY_MEAN, 1.0 - CLONE_PURITY_MEAN):
        p = share * pure + (1.0 - share) * NORMAL_KAPPA
        best = max(best, kappa * np.log(p / NORMAL_KAPPA) + lam * np.log((1 - p) / (1 - NORMAL_KAPPA)))
    return float(best)


def _same(one: Place, other: Place, markers: Sequence[int]) -> bool:
    """Whether one place lies in the other's box on these markers."""
    apart = np.abs(one.centre - other.centre)[markers]
    return bool((apart[np.isfinite(apart)] < HALF_WIDTH).all())
