"""From clonal clusters to clones: subclones, numbers, and the normal cells that look like a clone.

A cluster found by phenotype may hold normal plasma cells of the same look, above all in a tube that lacks the markers
which tell them apart. Their light chains give them away: they get a component of their own, and are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cytomrd.mrd.judge import MAX_SPREAD, MIN_EVALUABLE, Verdict
from cytomrd.mrd.light_chain import Restriction
from cytomrd.mrd.mixture import Block, Mixture, join_components

__all__ = ["join_subclones", "number_clones", "separate_clones"]

# Share of a clone's cells with its own light chain, when its normal neighbours are parted from it.
CLONE_PURITY = 0.965
# Clusters whose centres differ by less than this many SDs on every marker are one clone.
SAME_CLONE_SD = 3.0
# A neighbour of a clone is its fringe from this posterior on: light chains that are not evidently polyclonal.
MIN_FRINGE = 0.3
# Fewer evaluable events than this say nothing of a cluster's light chain.
UNSEEN_CHAINS = 3
# With at least two events and this share of the other light chain, normal cells are looked for in a clone.
IMPURE_EVENTS, IMPURE_SHARE = 2, 0.08
MAX_CLONE_SHARE, ALIKE_SPREAD, UNSEEN_SD, N_SEPARATE_STEPS = 0.85, 1.3, 1.5, 12
# A separation that leaves less of the clone than this part of what its light chains said is not believed.
MIN_LEFT = 0.5


def join_subclones(mixture: Mixture, verdicts: list[Verdict], blocks: Sequence[Block]) -> None:
    """Clusters that belong to a clone's disease without proof of their own.

    A restricted cluster of a clone's light chain with an aberrancy is a subclone. A cluster right beside the clone
    whose light chains lean its way is its fringe, the normal cells in which :func:`separate_clones` takes out. One
    that only tubes without light chains show is the clone as those see it, if it lies beside on the shared markers.
    """
    everywhere = [c for c in range(mixture.mean.shape[1]) if all(c in b.columns for b in blocks)]
    everything = range(mixture.mean.shape[1])
    blind = [tube for tube, block in enumerate(blocks) if block.chains is None]
    clones = [k for k, v in enumerate(verdicts) if v.call == "clonal" and v.restriction is not None]
    for k, v in enumerate(verdicts):
        light = v.restriction
        if k in clones or mixture.fixed[k] or light is None or not any(a.aberrant for a in v.antigens):
            continue
        if np.sqrt(np.diag(mixture.cov[k]).mean()) > MAX_SPREAD:
            continue
        if v.call == "indeterminate" and light.n_evaluable < UNSEEN_CHAINS:
            beside = [j for j in clones for tube in blind if _apart(mixture, k, j, everywhere, tube) < SAME_CLONE_SD]
            if beside:
                v.call, v.part_of = "clonal", beside[0]
                v.reason = f"the clone in a tube without light chains: {v.reason}"
            continue
        if mixture.evaluable[k] < MIN_EVALUABLE:
            continue
        alike = [j for j in clones if verdicts[j].restriction.chain == light.chain]
        if v.call == "indeterminate" and light.restricted and alike:
            v.call, v.reason = "clonal", f"subclone: {v.reason}"
        elif light.posterior > MIN_FRINGE and any(_apart(mixture, k, j, everything) < SAME_CLONE_SD for j in alike):
            v.call, v.reason = "clonal", f"beside a clone: {v.reason}"


def _apart(mixture: Mixture, a: int, b: int, markers: Sequence[int], tube: int | None = None) -> float:
    """Distance of two components' centres on the marker that parts them most, in SDs; in one tube, or over all."""
    variance = (np.diag(mixture.cov[a]) + np.diag(mixture.cov[b])) / 2.0
    centres = mixture.mean if tube is None else mixture.mean + mixture.shift[tube]
    return float(np.sqrt(((centres[a] - centres[b]) ** 2 / variance)[list(markers)].max(initial=0.0)))


def number_clones(mixture: Mixture, verdicts: list[Verdict], blocks) -> None:
    """Clusters of one light chain that overlap are one clone; the largest is number 1."""
    weight = mixture.weight.T @ np.array([b.total for b in blocks])
    clonal = [k for k, v in enumerate(verdicts) if v.call == "clonal"]
    groups: list[list[int]] = []
    for k in sorted(clonal, key=lambda j: -weight[j]):
        home = next((g for g in groups if any(_one_clone(mixture, verdicts, k, j) for j in g)), None)
        if home is None:
            groups.append([k])
        else:
            home.append(k)
    for number, group in enumerate(sorted(groups, key=lambda g: -sum(weight[j] for j in g)), start=1):
        for k in group:
            verdicts[k].clone = number
    for v in verdicts:
        if v.call == "indeterminate":
            v.clone = -1


def _one_clone(mixture: Mixture, verdicts: list[Verdict], a: int, b: int) -> bool:
    if verdicts[a].part_of == b or verdicts[b].part_of == a:
        return True
    one, other = verdicts[a].restriction, verdicts[b].restriction
    if one is not None and other is not None and one.restricted and other.restricted and one.chain != other.chain:
        return False
    return _apart(mixture, a, b, range(mixture.mean.shape[1])) < SAME_CLONE_SD


def separate_clones(
    mixture: Mixture, verdicts: Sequence[Verdict], blocks: Sequence[Block], ratio: float
) -> tuple[Mixture, list[Verdict]]:
    """Give each clone its light chain, and the normal cells that share its place a component of their own.

    Parameters
    ----------
    mixture, verdicts
        Fitted by phenotype, and judged.
    blocks
        What it was fitted to.
    ratio
        Kappa among evaluable normal plasma cells.

    Returns
    -------
    tuple
        The mixture with light chains and added components, and one verdict for each component.
    """
    kappa = np.full(mixture.n_components, ratio)
    impure = []
    for k, v in enumerate(verdicts):
        if v.call == "clonal" and v.restriction is not None and v.restriction.chain:
            kappa[k] = CLONE_PURITY if v.restriction.chain == "kappa" else 1.0 - CLONE_PURITY
            if _is_impure(v.restriction):
                impure.append(k)
    mixture = replace(mixture, kappa=kappa)
    if not impure:
        return mixture, list(verdicts)
    share = np.array([min(verdicts[k].restriction.clone_share, MAX_CLONE_SHARE) for k in impure])
    weight = mixture.weight.copy()
    alike = _cells_alike(mixture, impure, share, blocks, ratio)
    weight[:, impure] *= share
    # join_components makes room for what it adds; the room is in the clones already.
    joined = join_components(replace(mixture, weight=weight / (1.0 - alike.weight.sum(axis=1, keepdims=True))), alike)
    fitted = joined.fit(blocks, N_SEPARATE_STEPS)
    believed = (fitted.weight[0, impure] >= MIN_LEFT * joined.weight[0, impure]).all()
    reason = "normal cells that look like the clone"
    normal = [replace(verdicts[k], call="normal", clone=0, reason=reason) for k in impure]
    return (fitted if believed else joined), [*verdicts, *normal]


def _is_impure(light: Restriction) -> bool:
    other = min(light.n_kappa, light.n_lambda)
    return light.clone_share < 1.0 or (other >= IMPURE_EVENTS and other > IMPURE_SHARE * light.n_evaluable)


def _cells_alike(mixture: Mixture, impure: list[int], share: np.ndarray, blocks, ratio: float) -> Mixture:
    """Normal cells at the clones' places; on markers that no light-chain tube shows they are as normal cells are."""
    mean, cov = mixture.mean[impure].copy(), mixture.cov[impure] * ALIKE_SPREAD
    shown = {int(c) for b in blocks if b.chains is not None for c in b.columns}
    unseen = [c for c in range(mean.shape[1]) if c not in shown]
    mean[:, unseen] = 0.0
    cov[:, unseen, :] = 0.0
    cov[:, :, unseen] = 0.0
    cov[:, unseen, unseen] = UNSEEN_SD**2
    return Mixture(
        weight=mixture.weight[:, impure] * (1.0 - share), mean=mean, cov=cov, shift=mixture.shift[:, impure].copy(),
        kappa=np.full(len(impure), ratio), evaluable=mixture.evaluable[impure].copy(),
        fixed=np.zeros(len(impure), dtype=bool),
    )  # fmt: skip
