"""A clone that its region gave away: each plasma cell's probability to be its, its component and its verdict.

It has no shape of its own. A cell belongs to it by what lies where the cell does: how many of the clone's cells and how
many normal ones are likely there (:mod:`cytomrd.mrd.evidence`), and the cell's light chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.mrd.evidence import Evidence
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.phenotype import AntigenScore
from cytomrd.mrd.regions import Region
from cytomrd.mrd.sharing import Shared
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = [
    "Aside",
    "Found",
    "RegionClone",
    "Start",
    "Weighed",
    "component_of",
    "left_by",
    "share_of_clone",
    "verdict_of",
]

# Prior SD of a clone and its worth in events; part of a clone's cells with one clear light chain.
PRIOR_SD, PRIOR_EVENTS, CLEAR = 1.2, 6.0, 0.93


@dataclass(frozen=True)
class Start:
    """Where to look: centre (n_tubes, n_markers) in standard units, and the antigens' scores there.

    ``tried`` is the number of places among which it was chosen by its light chains.
    """

    centre: np.ndarray
    antigens: tuple[AntigenScore, ...]
    tried: int = 1

    @property
    def n_aberrant(self) -> int:
        """Antigens that depart from normal in a way that counts."""
        return sum(a.aberrant for a in self.antigens)


@dataclass(frozen=True, eq=False)
class Weighed:
    """A region, its evidence, Beta parameters of kappa among its normal cells, and the events in it."""

    region: Region
    evidence: Evidence
    normal: tuple[float, float]
    n_events: float

    @property
    def log_odds(self) -> float:
        """Log Bayes factor of a clone."""
        return self.evidence.log_odds

    @property
    def normal_share(self) -> float:
        """Part of its events that are normal cells."""
        return sum(self.evidence.n_normal) / max(self.n_events, 1e-9)


@dataclass(frozen=True, eq=False)
class Found:
    """A region that holds a clone, where it was looked for, and the posterior, of all and of light chains alone."""

    core: Weighed
    start: Start
    posterior: float
    light_alone: float


@dataclass(frozen=True, eq=False)
class Aside:
    """Components of a mixture whose cells are no small clone's."""

    mixture: Mixture
    components: tuple[int, ...]

    def left(self, tube: int, block: Block) -> np.ndarray:
        """What they leave of each event, float64 (n_events,)."""
        if not self.components:
            return np.ones(len(block.x))
        return 1.0 - self.mixture.shares(tube, block, light=False)[:, list(self.components)].sum(axis=1)


@dataclass(frozen=True, eq=False)
class RegionClone:
    """A clone: where it was found, how events are shared between it and normal cells, and what is neither's.

    Without ``shared`` it is its region alone.
    """

    found: Found
    shared: Shared | None
    aside: Aside | None = None

    @property
    def core(self) -> Weighed:
        """The region that gave it away."""
        return self.found.core

    def probability(self, tube: int, block: Block) -> np.ndarray:
        """Of each event to be the clone's, float64 (n_events,)."""
        found = shares_in(self.core, tube, block) if self.shared is None else self.shared.probability(tube, block)
        return found if self.aside is None else found * self.aside.left(tube, block)


def shares_in(core: Weighed, tube: int, block: Block) -> np.ndarray:
    """Probability of each event to be a clone's by its region alone, float64 (n_events,)."""
    rows = np.flatnonzero(core.region.holds(tube, block))
    chains = None if block.chains is None else block.chains[rows]
    found = np.zeros(len(block.x))
    found[rows] = share_of_clone(core.evidence, tube, len(rows), chains)
    return found


def left_by(clones: Sequence[RegionClone], tube: int, block: Block) -> np.ndarray:
    """What clones leave of each event, float64 (n_events,)."""
    left = np.ones(len(block.x))
    for clone in clones:
        left = left * (1.0 - clone.probability(tube, block))
    return left


def share_of_clone(evidence: Evidence, tube: int, n: int, chains: np.ndarray | None) -> np.ndarray:
    """Probability of events in a region to be the clone's, by their light chain where it is known."""
    own, beside = evidence.n_clone[tube], evidence.n_normal[tube]
    pure = evidence.pure
    share = np.full(n, own / max(own + beside, 1e-12))
    if chains is not None:
        for chain, clonal, usual in ((KAPPA, pure, evidence.kappa), (LAMBDA, 1.0 - pure, 1.0 - evidence.kappa)):
            share[chains == chain] = own * clonal / max(own * clonal + beside * usual, 1e-12)
    return share


def component_of(clone: RegionClone, mixture: Mixture, blocks: Sequence[Block]) -> Mixture:
    """The clone as one component: its cells' mean and spread."""
    d, total = mixture.mean.shape[1], sum(b.total for b in blocks)
    n, first, second, whole = np.zeros(d), np.zeros(d), np.zeros(d), 0.0
    middle = clone.found.start.centre.mean(axis=0)
    shift = clone.found.start.centre - middle
    for t, b in enumerate(blocks):
        share, x = clone.probability(t, b) * b.weight, b.x - shift[t, b.columns]
        n[b.columns] += share.sum()
        first[b.columns] += share @ x
        second[b.columns] += share @ x**2
        whole += float(share.sum())
    mean = np.where(n > 0, first / np.maximum(n, 1e-9), middle)
    scatter = np.maximum(second - n * mean**2, 0.0)
    variance = (scatter + PRIOR_EVENTS * PRIOR_SD**2) / (n + PRIOR_EVENTS)
    return Mixture(
        weight=np.full((len(blocks), 1), whole / total), mean=mean[None], cov=np.diag(variance)[None],
        shift=shift[:, None], kappa=np.array([clone.core.evidence.pure]), evaluable=np.array([CLEAR]),
        fixed=np.zeros(1, dtype=bool),
    )  # fmt: skip


def verdict_of(clone: RegionClone, view: StandardView, spec: MrdSpec) -> Verdict:
    """The call of a clone's component, in words."""
    core = clone.core
    region, evidence = core.region, core.evidence
    chains, share = [], []
    for t, b in enumerate(view.blocks):
        if b.chains is not None:
            rows = region.holds(t, b)
            chains.append(b.chains[rows])
            share.append(share_of_clone(evidence, t, int(rows.sum()), None))
    chains, share = np.concatenate(chains), np.concatenate(share)
    light = restriction(chains, share, np.full(len(chains), evidence.kappa), normal=core.normal, spec=spec)
    light = replace(light, posterior=clone.found.posterior, chain=evidence.chain, by_posterior=True)
    n_aberrant = clone.found.start.n_aberrant
    reason = (
        f"{n_aberrant} aberrancies; {core.n_events:.0f} events where about {sum(evidence.n_normal):.1f} are normal, "
        f"{light.chain} restricted by posterior (kappa {light.n_kappa}, lambda {light.n_lambda}, "
        f"posterior {light.posterior:.3f})"
    )
    return Verdict("clonal", reason, clone.found.start.antigens, light)
