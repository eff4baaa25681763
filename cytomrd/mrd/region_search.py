"""Clones found by their regions.

A mixture fitted by phenotype breaks a clone of a few dozen cells into pieces and puts normal cells with them. So a
suspicious cluster only says where to look: its region (:mod:`cytomrd.mrd.regions`) is weighed as a whole
(:mod:`cytomrd.mrd.evidence`), and what lies around it once a clone is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cytomrd.mrd.evidence import EXPECTED_SD
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.region_cells import Cells, fair_odds, log_odds_of, sharpened
from cytomrd.mrd.region_clone import RegionClone, Start, Weighed, share_of_clone
from cytomrd.mrd.region_starts import MAX_START
from cytomrd.mrd.regions import FAR_SD, WIDTHS, Region
from cytomrd.mrd.rule import RegionFacts, is_clone, is_many_and_usual, region_posterior
from cytomrd.panel import MrdSpec

__all__ = ["beside_large", "doubt_unconfirmed", "find_by_region"]

MAX_CLONES = 8
# What lies around a clone's region holds at least and at most this part of the clone: the shell, and cells that stray.
SHELL, STRAYS = (0.1, 2.0), (0.33, 3.0)
# Part of a clone that strays on an antigen that just departs and on one that does by far, and the SDs between.
STRAY_NEAR, STRAY_FAR, STRAY_SD = 0.10, 0.025, 1.0
N_SETTLE = 3
# The region of a component that is called clonal has this much evidence at least.
CONFIRMED = 0.5
# A region is made sharper where it has this much evidence.
PROMISING = 0.0


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


def find_by_region(starts: Sequence[Start], cells: Cells, spec: MrdSpec) -> list[RegionClone]:
    """Find clones one after the other, the most evident first, each among what those before left.

    Parameters
    ----------
    starts
        Where to look.
    cells
        All plasma cells.
    spec
        For the posterior asked for.
    """
    clones: list[RegionClone] = []
    while cells.has_chains and len(clones) < MAX_CLONES:
        found = [g for g in (_at(start, cells, spec) for start in starts) if g is not None]
        if not found:
            break
        clone = _with_neighbours(max(found, key=lambda g: g.parts[0].log_odds), cells)
        clones.append(clone)
        cells = cells.without([1.0 - clone.probability(t, b) for t, b in enumerate(cells.blocks)])
    return clones


def doubt_unconfirmed(mixture: Mixture, verdicts: Sequence[Verdict], cells: Cells, spec: MrdSpec) -> None:
    """Make small clonal components indeterminate whose region holds nothing but the normal cells expected there.

    The mixture may part normal cells of one look by what their light chain's light leaves on other markers: each part
    is then of one light chain. Their region has both. ``cells`` are without those of clones that regions showed and of
    large ones.
    """
    size = mixture.weight[0] * sum(b.total for b in cells.blocks)
    for k, verdict in enumerate(verdicts):
        if verdict.call != "clonal" or size[k] > MAX_START or not cells.has_chains:
            continue
        regions = (Region(mixture.mean[k] + mixture.shift[:, k], width) for width in WIDTHS)
        best = max((cells.weigh(region) for region in regions), key=log_odds_of)
        chains = cells.chains_in(best.region)
        kappa, lam = (float(np.count_nonzero(chains == chain)) for chain in (KAPPA, LAMBDA))
        if best.log_odds < CONFIRMED and is_many_and_usual(kappa, lam, spec):
            verdict.call, verdict.reason = "indeterminate", f"{verdict.reason}, but as many normal cells look like it"


def _at(start: Start, cells: Cells, spec: MrdSpec) -> RegionClone | None:
    """The clone near a start, if there is one: the region with the most evidence, its centre moved to the clone's."""
    centre, best = start.centre, None
    for _ in range(N_SETTLE):
        here = max((cells.weigh_for_clone(Region(centre, width)) for width in WIDTHS), key=log_odds_of)
        if here is None:
            break
        best = max(best, here, key=log_odds_of)
        if here.log_odds < PROMISING:
            break
        centre = _centre_of(here, cells.blocks)
    if best is None:
        return None
    as_found = best
    if best.log_odds > PROMISING:
        best = sharpened(best, cells)
    log_odds = max(fair_odds(as_found), fair_odds(best))
    posterior = region_posterior(start.n_aberrant, log_odds - np.log(start.tried))
    chains = cells.chains_in(best.region)
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


def _with_neighbours(clone: RegionClone, cells: Cells) -> RegionClone:
    """The clone with what lies around its region: the rest of the widest one, and cells that stray on one antigen."""
    core, parts = clone.parts[0], list(clone.parts)
    # Where normal cells are badly predicted, what lies around a clone is theirs as likely.
    known = EXPECTED_SD / cells.expected_sd
    size = float(np.mean(core.evidence.n_clone))
    for region in core.region.neighbours():
        part = np.array(STRAYS) * _straying(core.region, region.but_for) if region.around is None else np.array(SHELL)
        parts.append(cells.weigh(region, sizes=tuple(part * size * known), chain=core.evidence.chain))
        if region.around is not None:
            size += float(np.mean(parts[-1].evidence.n_clone))
    return replace(clone, parts=tuple(parts))


def _straying(region: Region, marker: int) -> float:
    """Part of a clone that does not depart on a marker: the less, the farther out its centre is."""
    beyond = float(np.abs(region.centre.mean(axis=0)[marker])) - FAR_SD
    return max(STRAY_NEAR * float(np.exp(-beyond / STRAY_SD)), STRAY_FAR)


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
