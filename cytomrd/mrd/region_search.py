"""Clones found by their regions.

A mixture fitted by phenotype breaks a clone of a few dozen cells into pieces and puts normal cells with them. So a
suspicious cluster only says where to look: its region (:mod:`cytomrd.mrd.regions`) is weighed as a whole
(:mod:`cytomrd.mrd.evidence`), and what lies around it once a clone is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cytomrd.mrd.evidence import EXPECTED_SD, TubeCount, weigh_region
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.phenotype import NormalLevel, score_antigen
from cytomrd.mrd.region_clone import RegionClone, Start, Weighed, share_of_clone
from cytomrd.mrd.regions import SHARPER, WIDTHS, Region, measure_region
from cytomrd.mrd.rule import (
    MIN_CLUSTER,
    MIN_EVALUABLE,
    UNSEEN_CHAINS,
    RegionFacts,
    is_clone,
    may_decide,
    region_posterior,
)  # fmt: skip
from cytomrd.mrd.scan import Place
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = ["beside_large", "find_by_region", "starts_of"]

# Aberrant antigens and events of a component from which a clone is looked for; a larger one is judged as it is.
MIN_ABERRANT, MIN_START, MAX_START, MAX_CLONES = 2, 3.0, 400.0, 8
# What lies around a clone's region holds at least and at most this part of the clone: the shell, and cells that stray.
SHELL, STRAYS = (0.1, 2.0), (0.01, 0.3)
N_SETTLE = 3
# A region is made sharper where it has this much evidence, and as long as that adds so much.
PROMISING, WORTH = 0.0, 1.0
# Cells of which surely fewer have a clear light chain than plasma cells have are no plasma cells.
EVALUABLE_RANGE, NOT_EVALUABLE_P = (0.65, 0.92), 0.02
# Prior worth in tubes of the usual error of what is expected; share of the way to one light chain that is suspicious.
EXPECTED_WORTH, EXPECTED_FOLD, RESTRICTED = 8.0, 1.5, 0.4
# The main population in standard units.
MAIN_POPULATION = NormalLevel(0.0, 1.0, 100.0)


def beside_large(mixture: Mixture, verdicts: Sequence[Verdict], blocks: Sequence[Block]) -> list[Block]:
    """The blocks without the cells of large clonal components, which need no region to be seen."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    large = [k for k, v in enumerate(verdicts) if v.call == "clonal" and size[k] > MAX_START]
    if not large:
        return list(blocks)
    return [
        Block(b.x, b.columns, b.weight * (1.0 - mixture.shares(t, b, light=False)[:, large].sum(axis=1)), b.chains)
        for t, b in enumerate(blocks)
    ]


@dataclass
class _Cells:
    """What is left of all plasma cells, kappa among normal ones, and how well these are known."""

    blocks: list[Block]
    normal: tuple[float, float]
    expected_sd: float
    evaluable: float


def _expected_sd(starts: Sequence[Start], blocks: Sequence[Block], normal: tuple[float, float]) -> float:
    """Log SD of the normal cells that there are around those expected, by regions that do not look restricted.

    How well single antigens and their pairs predict a pattern depends on the donor: where normal cells mature along one
    line all of them go together, and more cells of rare patterns are there than pairs tell.
    """
    total, n = EXPECTED_SD**2 * EXPECTED_WORTH, EXPECTED_WORTH
    for start in starts:
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


def find_by_region(
    starts: Sequence[Start], blocks: Sequence[Block], normal: tuple[float, float], spec: MrdSpec
) -> list[RegionClone]:
    """Find clones one after the other, the most evident first, each among what those before left.

    Parameters
    ----------
    starts
        Where to look.
    blocks
        All plasma cells, one per tube, in standard units.
    normal
        Beta parameters of kappa among normal plasma cells.
    spec
        For the posterior asked for.
    """
    clones: list[RegionClone] = []
    if not any(b.chains is not None and b.total > 0 for b in blocks):
        return clones
    cells = _Cells(list(blocks), normal, _expected_sd(starts, blocks, normal), _evaluable(blocks))
    while len(clones) < MAX_CLONES:
        found = [g for g in (_at(start, cells, spec) for start in starts) if g is not None]
        if not found:
            break
        clone = _with_neighbours(max(found, key=lambda g: g.parts[0].log_odds), cells)
        clones.append(clone)
        cells.blocks = [
            Block(b.x, b.columns, b.weight * (1.0 - clone.probability(t, b)), b.chains)
            for t, b in enumerate(cells.blocks)
        ]
    return clones


def _at(start: Start, cells: _Cells, spec: MrdSpec) -> RegionClone | None:
    """The clone near a start, if there is one: the region with the most evidence, its centre moved to the clone's."""
    centre, best = start.centre, None
    for _ in range(N_SETTLE):
        here = max((_weighed(Region(centre, width), cells) for width in WIDTHS), key=_log_odds)
        if here is None:
            break
        best = max(best, here, key=_log_odds)
        if here.log_odds < PROMISING:
            break
        centre = _centre_of(here, cells.blocks)
    if best is None:
        return None
    if best.log_odds > PROMISING:
        best = _sharpened(best, cells)
    posterior = region_posterior(start.n_aberrant, best.log_odds)
    chains = _chains_of(best.region, cells.blocks)
    facts = RegionFacts(
        n_aberrant=start.n_aberrant,
        posterior=posterior,
        light_alone=_light_alone(best, chains, spec),
        normal_share=best.normal_share,
        n_kappa=float(np.count_nonzero(chains == KAPPA)),
        n_lambda=float(np.count_nonzero(chains == LAMBDA)),
        expected_sd=cells.expected_sd,
    )
    if not is_clone(facts, spec):
        return None
    return RegionClone((best,), start, posterior)


def _weighed(region: Region, cells: _Cells) -> Weighed | None:
    """A region with its evidence; None where it holds too few cells, or cells without a light chain."""
    counts, there = measure_region(region, cells.blocks, cells.normal)
    n = sum(c.n for c in counts)
    if n < MIN_CLUSTER or not _is_told(counts, cells.evaluable):
        return None
    weighed = Weighed(region, weigh_region(counts, there, expected_sd=cells.expected_sd), there, n)
    return weighed if may_decide(weighed.normal_share, cells.expected_sd) else None


def _log_odds(weighed: Weighed | None) -> float:
    return -np.inf if weighed is None else weighed.log_odds


def _sharpened(best: Weighed, cells: _Cells) -> Weighed:
    """The region begun farther out on each marker where that is more evident: normal cells lie nearer to one side."""
    for marker in np.flatnonzero(best.region.far):
        for part in SHARPER:
            others = tuple(s for s in best.region.sharper if s[0] != marker)
            sharper = _weighed(replace(best.region, sharper=(*others, (int(marker), part))), cells)
            if _log_odds(sharper) > best.log_odds + WORTH:
                best = sharper
    return best


def _with_neighbours(clone: RegionClone, cells: _Cells) -> RegionClone:
    """The clone with what lies around its region: the rest of the widest one, and cells that stray on one antigen."""
    core = clone.parts[0]
    # Where normal cells are badly predicted, what lies around a clone is theirs as likely.
    size, parts = float(np.mean(core.evidence.n_clone)) * EXPECTED_SD / cells.expected_sd, list(clone.parts)
    for region in core.region.neighbours():
        low, high = STRAYS if region.around is None else SHELL
        counts, there = measure_region(region, cells.blocks, cells.normal)
        evidence = weigh_region(
            counts, there, expected_sd=cells.expected_sd, sizes=(low * size, high * size), chain=core.evidence.chain
        )
        parts.append(Weighed(region, evidence, there, sum(c.n for c in counts)))
    return replace(clone, parts=tuple(parts))


def _is_told(counts: Sequence[TubeCount], evaluable: float) -> bool:
    """Whether as many events have one clear light chain as plasma cells have, or not surely fewer."""
    clear = round(sum(sum(c.chains) for c in counts if c.chains is not None))
    n = round(sum(c.n for c in counts if c.chains is not None))
    return clear >= UNSEEN_CHAINS and bool(stats.binom.cdf(clear, n, evaluable) >= NOT_EVALUABLE_P)


def _evaluable(blocks: Sequence[Block]) -> float:
    """Part of all plasma cells with one clear light chain."""
    told = [b for b in blocks if b.chains is not None]
    clear = sum(float(b.weight[(b.chains == KAPPA) | (b.chains == LAMBDA)].sum()) for b in told)
    return float(np.clip(clear / sum(b.total for b in told), *EVALUABLE_RANGE))


def _chains_of(region: Region, blocks: Sequence[Block]) -> np.ndarray:
    """Light chains of a region's events, but for those that are mostly another clone's."""
    return np.concatenate(
        [b.chains[region.holds(t, b) & (b.weight > 0.5)] for t, b in enumerate(blocks) if b.chains is not None]
    )


def _light_alone(weighed: Weighed, chains: np.ndarray, spec: MrdSpec) -> float:
    """Posterior of restriction by the light chains of the region alone, one as likely as the other before."""
    usual = np.full(len(chains), weighed.evidence.kappa)
    return restriction(chains, np.ones(len(chains)), usual, normal=weighed.normal, spec=spec).posterior


def _centre_of(weighed: Weighed, blocks) -> np.ndarray:
    """Where the clone's cells of a region are on average; what tubes differ by stays."""
    region = weighed.region
    middle = region.centre.mean(axis=0)
    apart = region.centre - middle
    first, n = np.zeros(len(middle)), np.zeros(len(middle))
    for t, b in enumerate(blocks):
        rows = region.holds(t, b)
        chains = None if b.chains is None else b.chains[rows]
        share = share_of_clone(weighed.evidence, t, int(rows.sum()), chains) * b.weight[rows]
        first[b.columns] += share @ (b.x[rows] - apart[t, b.columns])
        n[b.columns] += share.sum()
    return np.where(n > 1.0, first / np.maximum(n, 1e-9), middle) + apart


def starts_of(
    mixture: Mixture, verdicts: Sequence[Verdict], blocks: Sequence[Block], places: Sequence[Place], view: StandardView
) -> list[Start]:
    """Components that may be a piece of a clone, and places of the scan."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    starts = []
    for k, v in enumerate(verdicts):
        enough = sum(a.aberrant for a in v.antigens) >= MIN_ABERRANT and MIN_START <= size[k] <= MAX_START
        if enough and not mixture.fixed[k] and mixture.evaluable[k] >= MIN_EVALUABLE and v.identity:
            starts.append(Start(mixture.mean[k] + mixture.shift[:, k], v.antigens))
    for place in places:
        centre = np.nan_to_num(place.centre)
        antigens = tuple(
            score_antigen(a, centre[view.markers.index(m)], view.cuts.get(m), MAIN_POPULATION)
            for m, a in view.antigens.items()
        )
        if sum(a.aberrant for a in antigens) >= MIN_ABERRANT:
            starts.append(Start(np.repeat(centre[None], len(blocks), axis=0), antigens))
    return starts
