"""Splitting wide components of a mixture: a component that spans two levels of a marker becomes two.

The start of a mixture lumps rare levels together (all CD19- plasma cells, whatever their CD45), and a clone among
them is then no cluster. A split is kept when it explains the component's own events much better.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cytomrd.mrd.mixture import MIN_GAIN, Block, Mixture, log_sum

__all__ = ["split_components", "split_suspicious"]

# A marker on which a component is wider than this, in SDs of the main population, may hold two levels.
WIDE_SD = 1.5
MIN_EVENTS, MIN_PART = 16.0, 5.0
N_MARKERS_TRIED, N_STEPS = 3, 8
MAX_COMPONENTS = 36
# A small component with two or more markers this far from the main population's may hold a clone beside normal cells
# of its kind. Its light chains judge the parts, so less of a gain is asked for.
FAR_SD, FAR_MARKERS, MAX_SMALL, SMALL_WIDE_SD, SMALL_GAIN = 2.5, 2, 200.0, 1.2, 12.0


def split_components(mixture: Mixture, blocks: Sequence[Block]) -> Mixture:
    """Split components until none gains by it.

    Parameters
    ----------
    mixture
        Fitted to ``blocks``; fixed components stay as they are.
    blocks
        One per tube.
    """
    waiting = [k for k in range(mixture.n_components) if not mixture.fixed[k]]
    while waiting and mixture.n_components < MAX_COMPONENTS:
        k = waiting.pop(0)
        halves = _best_split(mixture, k, blocks)
        if halves is None:
            continue
        mixture = _put_back(mixture, k, halves)
        waiting += [k, mixture.n_components - 1]
    return mixture


def split_suspicious(mixture: Mixture, blocks: Sequence[Block]) -> Mixture:
    """Split small components far from the main population, each part again as long as it gains.

    Parameters
    ----------
    mixture
        Fitted to ``blocks``.
    blocks
        One per tube.
    """
    size = mixture.weight.T @ np.array([b.total for b in blocks])
    far = (np.abs(mixture.mean) > FAR_SD).sum(axis=1) >= FAR_MARKERS
    waiting = list(np.flatnonzero(far & (size < MAX_SMALL) & ~mixture.fixed))
    while waiting:
        k = waiting.pop(0)
        halves = _best_split(mixture, k, blocks, wide=SMALL_WIDE_SD, least=SMALL_GAIN)
        if halves is not None:
            mixture = _put_back(mixture, k, halves)
            waiting += [k, mixture.n_components - 1]
    return mixture


def _best_split(
    mixture: Mixture, k: int, blocks: Sequence[Block], *, wide: float = WIDE_SD, least: float = MIN_GAIN
) -> Mixture | None:
    own = [mixture.shares(t, b)[:, k] for t, b in enumerate(blocks)]
    used = [share > 0.05 for share in own]
    parts = [
        Block(b.x[u], b.columns, b.weight[u] * s[u], None if b.chains is None else b.chains[u])
        for b, s, u in zip(blocks, own, used, strict=True)
    ]
    if sum(p.total for p in parts) < MIN_EVENTS:
        return None
    spread = np.sqrt(np.diag(mixture.cov[k]))
    best, best_gain = None, least
    for marker in np.argsort(-spread, kind="stable")[:N_MARKERS_TRIED]:
        if spread[marker] < wide:
            break
        halves, gain = _try_split(_alone(mixture, [k]), int(marker), parts)
        if gain > best_gain:
            best, best_gain = halves, gain
    return best


def _try_split(one: Mixture, marker: int, parts: list[Block]) -> tuple[Mixture | None, float]:
    """Two components from one, at first side by side on one marker; their gain over it in log likelihood."""
    before = sum(float(p.weight @ one.log_parts(t, p)[:, 0]) for t, p in enumerate(parts))
    spread = np.sqrt(one.cov[0, marker, marker])
    two = Mixture(
        weight=np.full((len(parts), 2), 0.5), mean=np.repeat(one.mean, 2, axis=0), cov=np.repeat(one.cov, 2, axis=0),
        shift=np.repeat(one.shift, 2, axis=1), kappa=np.repeat(one.kappa, 2), evaluable=np.repeat(one.evaluable, 2),
        fixed=np.zeros(2, dtype=bool),
    )  # fmt: skip
    two.mean[:, marker] += np.array([-1.0, 1.0]) * spread
    two.cov[:, marker, :] *= 0.5
    two.cov[:, :, marker] *= 0.5
    for _ in range(N_STEPS):
        two = two.step(parts, [two.shares(t, p) for t, p in enumerate(parts)])
        if (two.weight[0] * sum(p.total for p in parts)).min() < MIN_PART:
            return None, -np.inf
    after = sum(float(p.weight @ log_sum(two.log_parts(t, p))) for t, p in enumerate(parts))
    return two, after - before


def _alone(mixture: Mixture, chosen: list[int]) -> Mixture:
    """The chosen components as a mixture of their own."""
    weight = np.full((len(mixture.weight), len(chosen)), 1.0 / len(chosen))
    return replace(mixture.take(chosen), weight=weight)


def _put_back(mixture: Mixture, k: int, halves: Mixture) -> Mixture:
    """The mixture with component ``k`` replaced by the first half, and the second half at the end."""
    weight = np.concatenate([mixture.weight, mixture.weight[:, [k]] * halves.weight[:, [1]]], axis=1)
    weight[:, k] *= halves.weight[:, 0]
    grown = {name: getattr(mixture, name).copy() for name in ("mean", "cov", "kappa", "evaluable", "fixed")}
    for name, values in grown.items():
        values[k] = getattr(halves, name)[0]
        grown[name] = np.concatenate([values, getattr(halves, name)[1:]])
    shift = np.concatenate([mixture.shift, halves.shift[:, 1:]], axis=1)
    shift[:, k] = halves.shift[:, 0]
    return replace(mixture, weight=weight, shift=shift, **grown)
