"""Clones found by their regions.

A mixture fitted by phenotype breaks a clone of a few dozen cells into pieces and puts normal cells with them. So a
suspicious cluster only says where to look: its region (:mod:`cytomrd.mrd.regions`) is weighed as a whole
(:mod:`cytomrd.mrd.evidence`), and what of it stands out from normal cells (:mod:`cytomrd.mrd.compact`). A clone found
there is counted by its shape (:mod:`cytomrd.mrd.sharing`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.mrd.compact import compact_regions
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.region_cells import Cells, fair_odds, log_odds_of, sharpened
from cytomrd.mrd.region_clone import Aside, Found, RegionClone, Start, Weighed, shares_in
from cytomrd.mrd.region_starts import MAX_START, MIN_ABERRANT
from cytomrd.mrd.regions import WIDTHS, departs
from cytomrd.mrd.rule import (
    MIN_CLUSTER,
    MIN_EVALUABLE,
    RegionFacts,
    has_chains,
    is_clone,
    is_many_and_usual,
    region_posterior,
)
from cytomrd.mrd.sharing import centre_of, fit_shape
from cytomrd.panel import MrdSpec

__all__ = ["doubt_unconfirmed", "find_by_region", "set_aside"]

MAX_CLONES = 8
N_SETTLE = 3
# The region of a component that is called clonal has this much evidence at least.
CONFIRMED = 0.5
# A region is made sharper, and compact, where it has this much evidence.
PROMISING = 0.0


def set_aside(mixture: Mixture, verdicts: Sequence[Verdict], blocks: Sequence[Block]) -> Aside:
    """Components without light chains, which are no clone of one, and large clonal ones, which need no region."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    without = mixture.evaluable < MIN_EVALUABLE
    aside = [
        k
        for k, v in enumerate(verdicts)
        if v.call == "not_plasma_cells"
        or (v.call == "indeterminate" and without[k])
        or (v.call == "clonal" and size[k] > MAX_START)
    ]
    return Aside(mixture, tuple(aside))


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
        found = [f for f in (_at(start, cells, spec) for start in starts) if f is not None]
        found = [f for f in found if not clones or _is_further(f, clones[0], spec)]
        found.sort(key=lambda f: -f.core.log_odds)
        clone = next((clone for f in found if (clone := _whole(f, cells, spec)) is not None), None)
        if clone is None:
            break
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
        regions = (cells.region(mixture.mean[k] + mixture.shift[:, k], width) for width in WIDTHS)
        best = max((cells.weigh(region) for region in regions), key=log_odds_of)
        chains = cells.chains_in(best.region)
        kappa, lam = (float(np.count_nonzero(chains == chain)) for chain in (KAPPA, LAMBDA))
        if best.log_odds < CONFIRMED and is_many_and_usual(kappa, lam, spec):
            verdict.call, verdict.reason = "indeterminate", f"{verdict.reason}, but as many normal cells look like it"


def _at(start: Start, cells: Cells, spec: MrdSpec) -> Found | None:
    """The clone near a start, if there is one: by the most evident region that shows it, centred where the clone is."""
    centre, best = start.centre, None
    for _ in range(N_SETTLE):
        here = max((cells.weigh_for_clone(cells.region(centre, width)) for width in WIDTHS), key=log_odds_of)
        if here is None:
            break
        best = max(best, here, key=log_odds_of)
        if here.log_odds < PROMISING:
            break
        shares = [shares_in(here, t, b) * b.weight for t, b in enumerate(cells.blocks)]
        centre = centre_of(shares, cells.blocks, here.region.centre)
    if best is None:
        return None
    if best.log_odds <= PROMISING:
        return _judged(best, best.log_odds, start, cells, spec)
    sharper = sharpened(best, cells)
    tried = [(sharper, max(fair_odds(best), fair_odds(sharper)))]
    tried += [(compact, compact.log_odds) for compact in compact_regions(sharper, cells)]
    found = [f for region, log_odds in tried if (f := _judged(region, log_odds, start, cells, spec)) is not None]
    return max(found, key=lambda f: f.core.log_odds, default=None)


def _judged(best: Weighed, log_odds: float, start: Start, cells: Cells, spec: MrdSpec) -> Found | None:
    """A region as the clone's, by its log Bayes factor, where the rule calls it one."""
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
        is_compact=best.region.is_compact,
    )
    if not is_clone(facts, spec):
        return None
    return Found(best, start, posterior, facts.light_alone)


def _whole(found: Found, cells: Cells, spec: MrdSpec) -> RegionClone | None:
    """The clone of a region, with its cells that lie outside of it; None where its shape shows that it is none.

    Cells that only depart from normal spread wider than clones do: where light chains alone show a clone among them it
    is no more than its region, since its shape would take in whatever departs.
    """
    core, blocks = found.core, cells.blocks
    shares = [shares_in(core, t, b) for t, b in enumerate(blocks)]
    pure, usual = core.evidence.pure, cells.usual
    shared = fit_shape(core.region.centre, shares, blocks, cells.floor, pure=pure, usual=usual)
    if shared.shape.is_scatter and found.light_alone < spec.restriction_posterior:
        return None
    clone = RegionClone(found, None if shared.shape.is_scatter else shared, cells.aside)
    return clone if _still_departs(clone) and _is_plasma(clone, cells) else None


def _is_further(found: Found, first: RegionClone, spec: MrdSpec) -> bool:
    """Whether a clone beside the first has its light chain, as subclones have, or one that needs no other evidence.

    Cells that the first left over stand out by number: a compact region needs no other evidence either.
    """
    alike = found.core.evidence.chain == first.core.evidence.chain and not found.core.region.is_compact
    return alike or found.light_alone >= spec.restriction_posterior


def _still_departs(clone: RegionClone) -> bool:
    """Whether its shape departs from normal as its region does: else it is the fringe of normal cells."""
    if clone.shared is None:
        return True
    return np.count_nonzero(departs(clone.shared.shape.centre) & clone.core.region.far) >= MIN_ABERRANT


def _is_plasma(clone: RegionClone, cells: Cells) -> bool:
    """Whether it has cells enough, and as many of them a clear light chain as of plasma cells, or not surely fewer."""
    shares = [b.weight * clone.probability(t, b) for t, b in enumerate(cells.blocks)]
    told = [(share, b.chains) for share, b in zip(shares, cells.blocks, strict=True) if b.chains is not None]
    clear = sum(float(share[(chains == KAPPA) | (chains == LAMBDA)].sum()) for share, chains in told)
    n_told = sum(float(share.sum()) for share, _ in told)
    return sum(share.sum() for share in shares) >= MIN_CLUSTER and has_chains(clear, n_told, cells.evaluable)


def _light_alone(weighed: Weighed, chains: np.ndarray, spec: MrdSpec) -> float:
    """Posterior of restriction by the light chains of the region alone, one as likely as the other before."""
    usual = np.full(len(chains), weighed.evidence.kappa)
    return restriction(chains, np.ones(len(chains)), usual, normal=weighed.normal, spec=spec).posterior
