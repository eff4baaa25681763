"""Clones found by their regions.

A mixture fitted by phenotype breaks a clone of a few dozen cells into pieces and puts normal cells with them. So a
suspicious cluster only says where to look: its region (:mod:`cytomrd.mrd.regions`) is weighed as a whole
(:mod:`cytomrd.mrd.evidence`), and what lies around it once a clone is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.mrd.evidence import EXPECTED_SD, TubeCount, weigh_region
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture, usual_evaluable
from cytomrd.mrd.phenotype import NormalLevel, score_antigen
from cytomrd.mrd.region_clone import RegionClone, Start, Weighed, share_of_clone
from cytomrd.mrd.regions import FAR_SD, SHARPER, WIDTHS, Region, measure_region
from cytomrd.mrd.rule import (
    MIN_CLUSTER,
    MIN_EVALUABLE,
    UNSEEN_CHAINS,
    RegionFacts,
    has_chains,
    is_clone,
    is_many_and_usual,
    may_decide,
    region_posterior,
)  # fmt: skip
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = ["beside_large", "doubt_unconfirmed", "error_of_expected", "find_by_region", "starts_of"]

# Aberrant antigens and events of a component from which a clone is looked for; a larger one is judged as it is.
MIN_ABERRANT, MIN_START, MAX_START, MAX_CLONES = 2, 3.0, 400.0, 8
# What lies around a clone's region holds at least and at most this part of the clone: the shell, and cells that stray.
SHELL, STRAYS = (0.1, 2.0), (0.33, 3.0)
# Part of a clone that strays on an antigen that just departs and on one that does by far, and the SDs between.
STRAY_NEAR, STRAY_FAR, STRAY_SD = 0.10, 0.025, 1.0
N_SETTLE = 3
# The region of a component that is called clonal has this much evidence at least.
CONFIRMED = 0.5
# A region is made sharper where it has this much evidence, and as long as that adds so much.
PROMISING, WORTH = 0.0, 1.0
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


def error_of_expected(starts: Sequence[Start], blocks: Sequence[Block], normal: tuple[float, float]) -> float:
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


def find_by_region(
    starts: Sequence[Start],
    blocks: Sequence[Block],
    normal: tuple[float, float],
    spec: MrdSpec,
    *,
    expected_sd: float = EXPECTED_SD,
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
    expected_sd
        From :func:`error_of_expected`.
    """
    clones: list[RegionClone] = []
    if not any(b.chains is not None and b.total > 0 for b in blocks):
        return clones
    cells = _Cells(list(blocks), normal, expected_sd, usual_evaluable(blocks))
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


def doubt_unconfirmed(
    mixture: Mixture,
    verdicts: Sequence[Verdict],
    blocks: Sequence[Block],
    normal: tuple[float, float],
    spec: MrdSpec,
    *,
    expected_sd: float = EXPECTED_SD,
) -> None:
    """Make small clonal components indeterminate whose region holds nothing but the normal cells expected there.

    The mixture may part normal cells of one look by what their light chain's light leaves on other markers: each part
    is then of one light chain. Their region has both. ``blocks`` are without the cells of clones that regions showed
    and of large ones.
    """
    if not any(b.chains is not None and b.total > 0 for b in blocks):
        return
    size = mixture.weight[0] * sum(b.total for b in blocks)
    for k, verdict in enumerate(verdicts):
        if verdict.call != "clonal" or size[k] > MAX_START:
            continue
        regions = (Region(mixture.mean[k] + mixture.shift[:, k], width) for width in WIDTHS)
        best = max(
            (_with_evidence(region, *measure_region(region, blocks, normal), expected_sd) for region in regions),
            key=_log_odds,
        )
        chains = _chains_of(best.region, blocks)
        kappa, lam = (float(np.count_nonzero(chains == chain)) for chain in (KAPPA, LAMBDA))
        if best.log_odds < CONFIRMED and is_many_and_usual(kappa, lam, spec):
            verdict.call, verdict.reason = "indeterminate", f"{verdict.reason}, but as many normal cells look like it"


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
    as_found = best
    if best.log_odds > PROMISING:
        best = _sharpened(best, cells)
    log_odds = max(_fair_odds(as_found), _fair_odds(best))
    posterior = region_posterior(start.n_aberrant, log_odds - np.log(start.tried))
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
    if sum(c.n for c in counts) < MIN_CLUSTER or not _is_told(counts, cells.evaluable):
        return None
    weighed = _with_evidence(region, counts, there, cells.expected_sd)
    return weighed if may_decide(weighed.normal_share, cells.expected_sd) else None


def _with_evidence(
    region: Region, counts: Sequence[TubeCount], there: tuple[float, float], expected_sd: float
) -> Weighed:
    evidence = weigh_region(counts, there, expected_sd=expected_sd)
    return Weighed(region, evidence, there, sum(c.n for c in counts))


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


def _fair_odds(weighed: Weighed) -> float:
    """Log odds less what the best of as many choices of where to begin gains by chance."""
    region = weighed.region
    return weighed.log_odds - len(region.sharper) * float(np.log(len(SHARPER) * max(np.count_nonzero(region.far), 1)))


def _with_neighbours(clone: RegionClone, cells: _Cells) -> RegionClone:
    """The clone with what lies around its region: the rest of the widest one, and cells that stray on one antigen."""
    core, parts = clone.parts[0], list(clone.parts)
    # Where normal cells are badly predicted, what lies around a clone is theirs as likely.
    known = EXPECTED_SD / cells.expected_sd
    size = float(np.mean(core.evidence.n_clone))
    for region in core.region.neighbours():
        part = np.array(STRAYS) * _straying(core.region, region.but_for) if region.around is None else np.array(SHELL)
        counts, there = measure_region(region, cells.blocks, cells.normal)
        evidence = weigh_region(
            counts, there, expected_sd=cells.expected_sd, sizes=tuple(part * size * known), chain=core.evidence.chain
        )
        parts.append(Weighed(region, evidence, there, sum(c.n for c in counts)))
        if region.around is not None:
            size += float(np.mean(evidence.n_clone))
    return replace(clone, parts=tuple(parts))


def _straying(region: Region, marker: int) -> float:
    """Part of a clone that does not depart on a marker: the less, the farther out its centre is."""
    beyond = float(np.abs(region.centre.mean(axis=0)[marker])) - FAR_SD
    return max(STRAY_NEAR * float(np.exp(-beyond / STRAY_SD)), STRAY_FAR)


def _is_told(counts: Sequence[TubeCount], evaluable: float) -> bool:
    """Whether its events have light chains as plasma cells have, and enough of them."""
    clear = sum(sum(c.chains) for c in counts if c.chains is not None)
    return round(clear) >= UNSEEN_CHAINS and has_chains(
        clear, sum(c.n for c in counts if c.chains is not None), evaluable
    )


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
    mixture: Mixture,
    verdicts: Sequence[Verdict],
    blocks: Sequence[Block],
    dense: Sequence[np.ndarray],
    one_chain: Sequence[np.ndarray],
    view: StandardView,
) -> list[Start]:
    """Components that may be a piece of a clone, and centres (n_markers,) of the scans by number and by light chain."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    starts = []
    for k, v in enumerate(verdicts):
        enough = sum(a.aberrant for a in v.antigens) >= MIN_ABERRANT and MIN_START <= size[k] <= MAX_START
        if enough and not mixture.fixed[k] and mixture.evaluable[k] >= MIN_EVALUABLE and v.identity:
            starts.append(Start(mixture.mean[k] + mixture.shift[:, k], v.antigens))
    for centres, tried in ((dense, 1), (one_chain, max(len(one_chain), 1))):
        for centre in map(np.nan_to_num, centres):
            antigens = tuple(
                score_antigen(a, centre[view.markers.index(m)], view.cuts.get(m), MAIN_POPULATION)
                for m, a in view.antigens.items()
            )
            if sum(a.aberrant for a in antigens) >= MIN_ABERRANT:
                starts.append(Start(np.repeat(centre[None], len(blocks), axis=0), antigens, tried))
    return starts
