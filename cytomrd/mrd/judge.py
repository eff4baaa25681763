"""Every cluster judged in rounds: the facts that the rule (:mod:`cytomrd.mrd.rule`) looks at, found from the mixture.

Each round measures clusters against the normal plasma cells that the one before found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from cytomrd.mrd.light_chain import KAPPA, LAMBDA, Restriction, normal_kappa, restriction
from cytomrd.mrd.mixture import Block, Mixture, thinned, usual_evaluable
from cytomrd.mrd.phenotype import AntigenScore, NormalLevel, normal_level, score_antigen
from cytomrd.mrd.rarity import expected_together, inside_box
from cytomrd.mrd.rule import Facts, judge_cluster
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = ["Verdict", "judge_clusters"]

# A tube whose share of a cluster differs this much (exact test, and fold) did not reproduce it.
NOT_REPRODUCED_P, NOT_REPRODUCED_FOLD = 1e-4, 4.0
# Prior probability of restriction by number of aberrancies: none, one, two, three, four and more.
PRIOR_RESTRICTED = (0.03, 0.03, 0.1, 0.25, 0.5)
# What the place of a cluster adds to that, in log odds: so much per unit of log (events seen / expected of normal cells
# there) beyond the usual. Clusters of normal cells seldom pass 2, clones seldom fall short of 3.
SURPRISE_SLOPE, USUAL_SURPRISE, SURPRISE_RANGE = 1.5, 1.5, (-2.0, 5.0)
# Events expected are not known better than this.
MIN_EXPECTED = 0.1


@dataclass
class Verdict:
    """The call of one component, what decided it, its clone's number, and the component it is a part of, if any.

    ``stray`` is a component of that one's cells which are nearer to normal on one antigen.
    """

    call: str
    reason: str
    antigens: tuple[AntigenScore, ...]
    restriction: Restriction | None
    clone: int = 0
    part_of: int | None = None
    stray: bool = False


def judge_clusters(
    mixture: Mixture, blocks: Sequence[Block], view: StandardView, spec: MrdSpec
) -> tuple[Mixture, list[Verdict], tuple[float, float]]:
    """Judge every component; each round uses the normal plasma cells that the one before found.

    Returns the mixture refitted with the patient's own light-chain ratio, the verdicts, and kappa among normal cells.
    """
    reference = suspects = np.zeros(mixture.n_components, dtype=bool)
    normal = normal_kappa()
    verdicts: list[Verdict] = []
    for _ in range(3):
        verdicts = _judge_round(mixture, blocks, view, spec, suspects, reference, normal)
        suspects = np.array([v.call in ("clonal", "indeterminate") for v in verdicts])
        reference = _reference(mixture, verdicts)
        normal = _own_kappa(mixture, blocks, reference)
        ratio = normal[0] / sum(normal)
        mixture = replace(mixture, kappa=np.full(mixture.n_components, ratio)).fit(blocks, 3)
    verdicts = _judge_round(mixture, blocks, view, spec, suspects, reference, normal)
    return mixture, verdicts, normal


def judge_rest(mixture, blocks, left, view, spec, normal, verdicts) -> tuple[Mixture, list[Verdict]]:
    """Judge the components again by what clones found by their regions leave of them.

    ``left`` is per tube the part of each event that is left, float64 (n_events,).
    """
    blocks = thinned(blocks, left)
    suspects = np.array([v.call in ("clonal", "indeterminate") for v in verdicts])
    reference = _reference(mixture, verdicts)
    own = sum(mixture.shares(t, b).T @ b.weight for t, b in enumerate(blocks))
    mixture = replace(mixture, weight=np.repeat(own[None] / own.sum(), len(blocks), axis=0))
    return mixture, _judge_round(mixture, blocks, view, spec, suspects, reference, normal, left=left)


def _reference(mixture: Mixture, verdicts: Sequence[Verdict]) -> np.ndarray:
    """Components of normal plasma cells that others are measured against, bool (n_components,)."""
    return np.array([
        v.call == "normal" and not f and sum(a.aberrant for a in v.antigens) <= 1
        for v, f in zip(verdicts, mixture.fixed, strict=True)
    ])  # fmt: skip


def _judge_round(mixture, blocks, view, spec, suspects, reference, normal, *, left=None) -> list[Verdict]:
    beside = left is not None
    left = left or [1.0] * len(blocks)
    shares = [mixture.shares(t, b, light=False) for t, b in enumerate(blocks)]
    n = np.array([b.weight @ s for b, s in zip(blocks, shares, strict=True)])
    levels = _normal_levels(mixture, n.sum(axis=0) * reference, view)
    usual = usual_evaluable(blocks)

    def facts(members: list[int], antigens) -> Facts:
        own = [s[:, members].sum(axis=1) * part for s, part in zip(shares, left, strict=True)]
        n_aberrant = sum(a.aberrant for a in antigens)
        surprise = _surprise(mixture, members, blocks, shares, suspects)
        prior = _prior_restricted(n_aberrant, surprise)
        counts = n[:, members].sum(axis=1)
        parts = n[:, members].sum(axis=0) / max(float(counts.sum()), 1e-9)
        identity = parts @ [_identity(mixture.mean[k], mixture, reference, n.sum(axis=0), view) for k in members]
        return Facts(
            n_events=counts,
            n_aberrant=n_aberrant,
            light=_test_light_chains(blocks, own, normal, spec, prior),
            evaluable=float(parts @ mixture.evaluable[members]),
            usual_evaluable=usual,
            spread=max(float(np.sqrt(np.diag(mixture.cov[k]).mean())) for k in members),
            scatter=bool(mixture.fixed[members].any()),
            reproduced=_reproduced(counts, np.array([b.total for b in blocks])),
            identity=view.is_identified(parts @ mixture.mean[members]),
            mean_identity=float(identity.mean()),
            prior=prior,
            n_stained=float(sum(counts[t] for t, b in enumerate(blocks) if b.chains is not None)),
            surprise=surprise,
        )

    verdicts = []
    for k in range(mixture.n_components):
        antigens = tuple(
            score_antigen(a, mixture.mean[k, view.markers.index(m)], view.cuts.get(m), levels.get(m))
            for m, a in view.antigens.items()
        )
        found = facts([k], antigens)
        verdicts.append(Verdict(*judge_cluster(found, spec, by_place=not beside), antigens, found.light))
    return verdicts


def _normal_levels(mixture: Mixture, n_reference: np.ndarray, view: StandardView) -> dict[str, NormalLevel]:
    levels = {}
    for marker, antigen in view.antigens.items():
        column = view.markers.index(marker)
        level = normal_level(
            antigen, mixture.mean[:, column], mixture.cov[:, column, column], n_reference, view.cuts.get(marker)
        )
        if level is not None:
            levels[marker] = level
    return levels


def _test_light_chains(blocks, own, normal, spec, prior) -> Restriction | None:
    """``own``: per tube the probability of each event to be of the cluster."""
    told = [t for t, block in enumerate(blocks) if block.chains is not None]
    if not told:
        return None
    share = np.concatenate([own[t] for t in told])
    return restriction(
        np.concatenate([blocks[t].chains for t in told]), share, np.full(len(share), normal[0] / sum(normal)),
        normal=normal, spec=spec, prior=prior,
    )  # fmt: skip


def _prior_restricted(n_aberrant: int, surprise: float) -> float:
    prior = PRIOR_RESTRICTED[min(n_aberrant, 4)]
    log_odds = np.log(prior / (1.0 - prior)) + np.clip(SURPRISE_SLOPE * (surprise - USUAL_SURPRISE), *SURPRISE_RANGE)
    return float(1.0 / (1.0 + np.exp(-log_odds)))


def _surprise(mixture: Mixture, members: Sequence[int], blocks, shares, suspects: np.ndarray) -> float:
    """Log of the events of a cluster over those expected of normal cells at its place, in the tube that tells most."""
    others = suspects.copy()
    others[members] = True
    found = []
    for tube, (block, share) in enumerate(zip(blocks, shares, strict=True)):
        cols, seen, expected = block.columns, 0.0, 0.0
        normal = block.weight * (1.0 - share[:, others].sum(axis=1))
        for k in members:
            centre = (mixture.mean[k] + mixture.shift[tube, k])[cols]
            inside = inside_box(block.x, centre, np.sqrt(np.diag(mixture.cov[k]))[cols])
            seen += float((block.weight * share[:, k])[inside.all(axis=1)].sum())
            expected += expected_together(inside, normal)
        found.append(np.log((seen + MIN_EXPECTED) / (expected + MIN_EXPECTED)))
    return float(max(found))


def _own_kappa(mixture: Mixture, blocks, reference: np.ndarray) -> tuple[float, float]:
    counts = np.zeros(2)
    for tube, block in enumerate(blocks):
        if block.chains is None or not reference.any():
            continue
        share = mixture.shares(tube, block, light=False)[:, reference].sum(axis=1) * block.weight
        counts += share[block.chains == KAPPA].sum(), share[block.chains == LAMBDA].sum()
    return normal_kappa(*counts)


def _reproduced(n: np.ndarray, totals: np.ndarray) -> bool:
    """Whether every tube shows the cluster at about the same share of its plasma cells."""
    if len(n) < 2 or totals.min() < 1:
        return True
    share = n / totals
    low, high = int(np.argmin(share)), int(np.argmax(share))
    if share[high] < NOT_REPRODUCED_FOLD * max(share[low], 1e-12):
        return True
    pair = round(n[low]) + round(n[high])
    p = stats.binom.cdf(round(n[low]), pair, totals[low] / (totals[low] + totals[high]))
    return bool(p > NOT_REPRODUCED_P)


def _identity(mean, mixture, reference, n, view: StandardView) -> np.ndarray:
    """SDs from the normal plasma cells on each marker that identifies them; zeros where that is not known."""
    columns = [i for i, m in enumerate(view.markers) if m not in view.antigens]
    if len(columns) < 2 or n[reference].sum() < 30:
        return np.zeros(1)
    share = n[reference] / n[reference].sum()
    centre = share @ mixture.mean[reference][:, columns]
    variance = np.array([np.diag(c)[columns] for c in mixture.cov[reference]])
    sd = np.sqrt(share @ (variance + (mixture.mean[reference][:, columns] - centre) ** 2))
    return (mean[columns] - centre) / sd
