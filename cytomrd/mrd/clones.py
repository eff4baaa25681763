"""From clonal clusters to clones: subclones, numbers, and the normal cells that look like a clone.

A cluster found by phenotype may hold normal plasma cells of the same look, above all in a tube that lacks the markers
which tell them apart. Their light chains give them away: they get a component of their own, and are not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.light_chain import Restriction
from cytomrd.mrd.mixture import Block, Mixture, append_component, join_components
from cytomrd.mrd.rule import MAX_SPREAD, MIN_EVALUABLE, UNSEEN_CHAINS

__all__ = ["join_subclones", "number_clones", "separate_clones"]

# Share of a clone's cells with its own light chain, when its normal neighbours are parted from it.
CLONE_PURITY = 0.965
# Clusters whose centres differ by less than this many SDs on every marker are one clone.
SAME_CLONE_SD = 3.0
# A neighbour of a clone is its fringe from this posterior on: light chains that are not evidently polyclonal.
MIN_FRINGE = 0.3
# From this posterior on a cluster that shares two aberrancies with a clone and its light chain is part of it.
LEANING = 0.9
# Of a clone's cells, those that stray towards normal on one antigen, for each that lies this far from it.
STRAY_SHARE, STRAY_SD = 0.075, 3.0
# With at least two events and this share of the other light chain, normal cells are looked for in a clone.
IMPURE_EVENTS, IMPURE_SHARE = 2, 0.08
LEAST_CLONE_SHARE, MAX_CLONE_SHARE = 0.3, 0.85
ALIKE_SPREAD, UNSEEN_SD, N_SEPARATE_STEPS = 1.3, 1.5, 12
# A separation that leaves less of the clone than this part of what its light chains said is not believed.
MIN_LEFT = 0.5


def join_subclones(mixture: Mixture, verdicts: list[Verdict], blocks: Sequence[Block]) -> None:
    """Clusters that belong to a clone's disease without proof of their own, found from the clones outwards.

    A restricted cluster of a clone's light chain with an aberrancy is a subclone, and so is one that shares two
    aberrancies with a clone and leans its way. A cluster right beside a clone and no larger is its fringe unless its
    light chains are evidently polyclonal; the normal cells in it :func:`separate_clones` takes out. One that only tubes
    without light chains show is the clone as those see it, if it lies beside on the shared markers.
    """
    size = mixture.weight.T @ np.array([b.total for b in blocks])
    clones = [k for k, v in enumerate(verdicts) if v.call == "clonal" and v.restriction is not None]
    for home in clones:  # grows while it is gone through
        for k, v in enumerate(verdicts):
            light = v.restriction
            if v.call in ("clonal", "not_plasma_cells") or mixture.fixed[k] or light is None:
                continue
            if not any(a.aberrant for a in v.antigens) or np.sqrt(np.diag(mixture.cov[k]).mean()) > MAX_SPREAD:
                continue
            why = _belongs(mixture, verdicts, blocks, k, home, size)
            if why:
                v.call, v.part_of, v.reason = "clonal", home, f"{why}: {v.reason}"
                clones.append(k)


def _belongs(mixture: Mixture, verdicts: list[Verdict], blocks, k: int, home: int, size: np.ndarray) -> str:
    """Why component ``k`` belongs to the clone ``home``; empty where it does not."""
    one, light = verdicts[k], verdicts[k].restriction
    chain = clone_chain(verdicts, home)
    if one.call == "indeterminate" and light.n_evaluable < UNSEEN_CHAINS:
        shared = [c for c in range(mixture.mean.shape[1]) if all(c in b.columns for b in blocks)]
        blind = [tube for tube, block in enumerate(blocks) if block.chains is None]
        beside = any(_apart(mixture, k, home, shared, tube) < SAME_CLONE_SD for tube in blind)
        return "the clone in a tube without light chains" if beside else ""
    if mixture.evaluable[k] < MIN_EVALUABLE:
        return ""
    shared = {(a.marker, a.score) for a in one.antigens if a.aberrant}
    shared &= {(a.marker, a.score) for a in verdicts[home].antigens if a.aberrant}
    alike = light.chain == chain
    restricted = one.call == "indeterminate" and light.restricted
    if alike and (restricted or (len(shared) >= 2 and light.posterior > LEANING)):
        return "subclone"
    if size[k] > size[home] or _apart(mixture, k, home, range(mixture.mean.shape[1])) >= SAME_CLONE_SD:
        return ""
    unsaid = light.posterior > MIN_FRINGE if alike else light.n_evaluable < UNSEEN_CHAINS
    return "beside a clone" if unsaid else ""


def clone_chain(verdicts: Sequence[Verdict], k: int) -> str:
    """Light chain of the clone that a clonal component is, or is a part of."""
    while verdicts[k].part_of is not None:
        k = verdicts[k].part_of
    return verdicts[k].restriction.chain if verdicts[k].restriction is not None else ""


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
    clonal = [k for k, v in enumerate(verdicts) if v.call == "clonal" and v.restriction is not None]
    clonal = [k for k in clonal if clone_chain(verdicts, k)]
    for k in clonal:
        kappa[k] = CLONE_PURITY if clone_chain(verdicts, k) == "kappa" else 1.0 - CLONE_PURITY
    impure = [k for k in clonal if _is_impure(verdicts[k].restriction, clone_chain(verdicts, k))]
    mixture = replace(mixture, kappa=kappa)
    if not impure:
        return _with_strays(mixture.fit(blocks, N_SEPARATE_STEPS), list(verdicts))
    share = np.array([_share_of_clone(verdicts[k].restriction, clone_chain(verdicts, k), ratio) for k in impure])
    weight = mixture.weight.copy()
    alike = _cells_alike(mixture, impure, share, blocks, ratio)
    weight[:, impure] *= share
    joined = append_component(replace(mixture, weight=weight), alike)
    fitted = joined.fit(blocks, N_SEPARATE_STEPS)
    believed = (fitted.weight[0, impure] >= MIN_LEFT * joined.weight[0, impure]).all()
    reason = "normal cells that look like the clone"
    normal = [replace(verdicts[k], call="normal", clone=0, reason=reason) for k in impure]
    return _with_strays(fitted if believed else joined, [*verdicts, *normal])


def _with_strays(mixture: Mixture, verdicts: list[Verdict]) -> tuple[Mixture, list[Verdict]]:
    """For each aberrant antigen of a clone a component of its cells that are nearer to normal on that antigen alone.

    In standard units normal is 0. They take their part of the weight from nobody: a clone's own component has too
    little by as much.
    """
    parts, whose = [], []
    for k, v in enumerate(verdicts):
        if v.call != "clonal":
            continue
        for c in np.flatnonzero(np.abs(mixture.mean[k]) > STRAY_SD):
            mean, cov, shift = mixture.mean[k].copy(), mixture.cov[k].copy(), mixture.shift[:, k].copy()
            spread = abs(mean[c]) / 3.0
            mean[c] /= 2.0
            cov[c], cov[:, c] = 0.0, 0.0
            cov[c, c] = spread**2
            parts.append((STRAY_SHARE * mixture.weight[:, k], mean, cov, shift, mixture.kappa[k], mixture.evaluable[k]))
            whose.append(replace(v, part_of=k, stray=True))
    if not parts:
        return mixture, verdicts
    weight, mean, cov, shift, kappa, evaluable = (np.stack(p) for p in zip(*parts, strict=True))
    strays = Mixture(
        weight=weight.T, mean=mean, cov=cov, shift=shift.swapaxes(0, 1), kappa=kappa, evaluable=evaluable,
        fixed=np.ones(len(mean), dtype=bool),
    )  # fmt: skip
    return join_components(mixture, strays), [*verdicts, *whose]


def _share_of_clone(light: Restriction, chain: str, ratio: float) -> float:
    """What the other light chain leaves of a cluster to the clone, if normal cells have it as often as elsewhere."""
    other, usual = (light.n_lambda, 1.0 - ratio) if chain == "kappa" else (light.n_kappa, ratio)
    left = 1.0 - other / max(light.n_evaluable * usual, 1.0)
    return float(np.clip(left, LEAST_CLONE_SHARE, MAX_CLONE_SHARE))


def _is_impure(light: Restriction, chain: str) -> bool:
    other = light.n_lambda if chain == "kappa" else light.n_kappa
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
