"""Clones found by their regions: each plasma cell's probability to be a clone's, from what lies where it does.

A mixture fitted by phenotype breaks a clone of a few dozen cells into pieces and puts normal cells with them. So a
suspicious cluster only says where to look: its region (:mod:`cytomrd.mrd.regions`) is weighed as a whole
(:mod:`cytomrd.mrd.evidence`), and what lies around it once a clone is found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cytomrd.mrd.evidence import EXPECTED_SD, Evidence, TubeCount, weigh_region
from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN, KAPPA, LAMBDA, restriction
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.phenotype import AntigenScore, NormalLevel, score_antigen
from cytomrd.mrd.regions import SHARPER, WIDTHS, Region, measure_region
from cytomrd.mrd.rule import MIN_CLUSTER, MIN_EVALUABLE, UNSEEN_CHAINS
from cytomrd.mrd.scan import Place
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = [
    "Grown",
    "Start",
    "Weighed",
    "beside_large",
    "component_of",
    "grow_clones",
    "left_by",
    "starts_of",
    "verdict_of",
]

# Aberrant antigens and events of a component from which a clone is looked for; a larger one is judged as it is.
MIN_ABERRANT, MIN_START, MAX_START, MAX_CLONES = 2, 3.0, 400.0, 8
# Prior probability that a cluster of two, three, four and more aberrancies is a clone's.
PRIOR_CLONE = {2: 0.1, 3: 0.25, 4: 0.5}
# Light chains alone, before anything else is known, must be at least this likely restricted.
LEAST_POSTERIOR, MOST_NORMAL = 0.98, 0.3
LEAST_LIGHT = {2: 0.5, 3: 0.4, 4: 0.4}
# The worse the number of normal cells is known, the more the light chains must say by themselves.
UNRELIABLE_SD, LIGHT_DECIDES, BADLY_KNOWN = (0.6, 0.9), 0.9, 0.75
# What lies around a clone's region holds at least and at most this part of the clone: the shell, and cells that stray.
SHELL, STRAYS = (0.1, 2.0), (0.01, 0.3)
N_SETTLE = 3
# A region is made sharper where it has this much evidence, and as long as that adds so much.
PROMISING, WORTH = 0.0, 1.0
# Cells of which surely fewer have a clear light chain than plasma cells have are no plasma cells.
EVALUABLE_RANGE, NOT_EVALUABLE_P = (0.65, 0.92), 0.02
# Prior worth in tubes of the usual error of what is expected; share of the way to one light chain that is suspicious.
EXPECTED_WORTH, EXPECTED_FOLD, RESTRICTED = 8.0, 1.5, 0.4
# Prior SD of a clone and its worth in events.
PRIOR_SD, PRIOR_EVENTS, CLEAR = 1.2, 6.0, 0.93
# The main population in standard units.
MAIN_POPULATION = NormalLevel(0.0, 1.0, 100.0)


@dataclass(frozen=True)
class Start:
    """Where to look: centre (n_tubes, n_markers) in standard units, and the antigens' scores there."""

    centre: np.ndarray
    antigens: tuple[AntigenScore, ...]

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
    def is_mixed(self) -> bool:
        """Whether more of its cells are normal than a region may hold whose normal cells are badly known."""
        return sum(self.evidence.n_normal) > MOST_NORMAL * self.n_events


@dataclass(frozen=True, eq=False)
class Grown:
    """A clone: its regions, the innermost first, from where it was found, and the posterior that there is one."""

    parts: tuple[Weighed, ...]
    start: Start
    posterior: float

    def probability(self, tube: int, block: Block) -> np.ndarray:
        """Of each event to be the clone's, float64 (n_events,)."""
        found = np.zeros(len(block.x))
        for part in self.parts:
            rows = np.flatnonzero(part.region.holds(tube, block))
            chains = None if block.chains is None else block.chains[rows]
            found[rows] = np.maximum(found[rows], _share(part.evidence, tube, len(rows), chains))
        return found


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


def left_by(clones: Sequence[Grown], tube: int, block: Block) -> np.ndarray:
    """What clones leave of each event, float64 (n_events,)."""
    left = np.ones(len(block.x))
    for clone in clones:
        left = left * (1.0 - clone.probability(tube, block))
    return left


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


def grow_clones(
    starts: Sequence[Start], blocks: Sequence[Block], normal: tuple[float, float], spec: MrdSpec
) -> list[Grown]:
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
    clones: list[Grown] = []
    if all(b.chains is None for b in blocks):
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


def _at(start: Start, cells: _Cells, spec: MrdSpec) -> Grown | None:
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
    n_aberrant = min(start.n_aberrant, 4)
    prior = PRIOR_CLONE[n_aberrant]
    posterior = _logistic(best.log_odds + np.log(prior / (1.0 - prior)))
    mixed = n_aberrant < 3 and best.is_mixed
    asked = spec.restriction_posterior if n_aberrant < 3 else LEAST_POSTERIOR
    least = np.interp(cells.expected_sd, UNRELIABLE_SD, (LEAST_LIGHT[n_aberrant], LIGHT_DECIDES))
    if mixed or posterior < asked or _light_alone(best, cells.blocks, spec) < least:
        return None
    return Grown((best,), start, posterior)


def _weighed(region: Region, cells: _Cells) -> Weighed | None:
    """A region with its evidence; None where it holds too few cells, or cells without a light chain."""
    counts, there = measure_region(region, cells.blocks, cells.normal)
    n = sum(c.n for c in counts)
    if n < MIN_CLUSTER or not _is_told(counts, cells.evaluable):
        return None
    weighed = Weighed(region, weigh_region(counts, there, expected_sd=cells.expected_sd), there, n)
    return None if cells.expected_sd > BADLY_KNOWN and weighed.is_mixed else weighed


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


def _with_neighbours(clone: Grown, cells: _Cells) -> Grown:
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


def _light_alone(weighed: Weighed, blocks, spec) -> float:
    """Posterior of restriction by the light chains of the region alone, one as likely as the other before."""
    chains = np.concatenate(
        [b.chains[weighed.region.holds(t, b) & (b.weight > 0.5)] for t, b in enumerate(blocks) if b.chains is not None]
    )
    usual = np.full(len(chains), weighed.evidence.kappa)
    return restriction(chains, np.ones(len(chains)), usual, normal=weighed.normal, spec=spec).posterior


def _share(evidence: Evidence, tube: int, n: int, chains: np.ndarray | None) -> np.ndarray:
    """Probability of events in a region to be the clone's, by their light chain where it is known."""
    own, beside = evidence.n_clone[tube], evidence.n_normal[tube]
    pure = CLONE_PURITY_MEAN if evidence.chain == "kappa" else 1.0 - CLONE_PURITY_MEAN
    share = np.full(n, own / max(own + beside, 1e-12))
    if chains is not None:
        for chain, clonal, usual in ((KAPPA, pure, evidence.kappa), (LAMBDA, 1.0 - pure, 1.0 - evidence.kappa)):
            share[chains == chain] = own * clonal / max(own * clonal + beside * usual, 1e-12)
    return share


def _centre_of(weighed: Weighed, blocks) -> np.ndarray:
    """Where the clone's cells of a region are on average; what tubes differ by stays."""
    region = weighed.region
    middle = region.centre.mean(axis=0)
    apart = region.centre - middle
    first, n = np.zeros(len(middle)), np.zeros(len(middle))
    for t, b in enumerate(blocks):
        rows = region.holds(t, b)
        chains = None if b.chains is None else b.chains[rows]
        share = _share(weighed.evidence, t, int(rows.sum()), chains) * b.weight[rows]
        first[b.columns] += share @ (b.x[rows] - apart[t, b.columns])
        n[b.columns] += share.sum()
    return np.where(n > 1.0, first / np.maximum(n, 1e-9), middle) + apart


def component_of(clone: Grown, mixture: Mixture, blocks: Sequence[Block]) -> Mixture:
    """The clone as one component: its cells' mean and spread."""
    d, total = mixture.mean.shape[1], sum(b.total for b in blocks)
    n, first, second, whole = np.zeros(d), np.zeros(d), np.zeros(d), 0.0
    middle = clone.start.centre.mean(axis=0)
    shift = clone.start.centre - middle
    for t, b in enumerate(blocks):
        share, x = clone.probability(t, b) * b.weight, b.x - shift[t, b.columns]
        n[b.columns] += share.sum()
        first[b.columns] += share @ x
        second[b.columns] += share @ x**2
        whole += float(share.sum())
    mean = np.where(n > 0, first / np.maximum(n, 1e-9), middle)
    scatter = np.maximum(second - n * mean**2, 0.0)
    variance = (scatter + PRIOR_EVENTS * PRIOR_SD**2) / (n + PRIOR_EVENTS)
    pure = CLONE_PURITY_MEAN if clone.parts[0].evidence.chain == "kappa" else 1.0 - CLONE_PURITY_MEAN
    return Mixture(
        weight=np.full((len(blocks), 1), whole / total), mean=mean[None], cov=np.diag(variance)[None],
        shift=shift[:, None], kappa=np.array([pure]), evaluable=np.array([CLEAR]),
        fixed=np.zeros(1, dtype=bool),
    )  # fmt: skip


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


def verdict_of(clone: Grown, view: StandardView, spec: MrdSpec) -> Verdict:
    """The call of a clone's component, in words."""
    core = clone.parts[0]
    region, evidence = core.region, core.evidence
    chains, share = [], []
    for t, b in enumerate(view.blocks):
        if b.chains is not None:
            rows = region.holds(t, b)
            chains.append(b.chains[rows])
            share.append(_share(evidence, t, int(rows.sum()), None))
    chains, share = np.concatenate(chains), np.concatenate(share)
    light = restriction(chains, share, np.full(len(chains), evidence.kappa), normal=core.normal, spec=spec)
    light = replace(light, posterior=clone.posterior, chain=evidence.chain, by_posterior=True)
    n_aberrant = clone.start.n_aberrant
    reason = (
        f"{n_aberrant} aberrancies; {core.n_events:.0f} events where about {sum(evidence.n_normal):.1f} are normal, "
        f"{light.chain} restricted by posterior (kappa {light.n_kappa}, lambda {light.n_lambda}, "
        f"posterior {light.posterior:.3f})"
    )
    return Verdict("clonal", reason, clone.start.antigens, light)


def _logistic(log_odds: float) -> float:
    return float(1.0 / (1.0 + np.exp(-np.clip(log_odds, -700, 700))))
