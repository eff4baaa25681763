"""One Gaussian mixture over several tubes of a marrow that share only some of their markers.

A component is a population of the marrow, so it has one mean and one covariance over all markers; a tube shows it
through its own markers. Fitted by expectation-maximisation with the absent markers integrated out (Ghahramani and
Jordan 1994), a weak inverse-Wishart prior on covariances, and a shrunken shift of each component between tubes, since
staining differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cytomrd.mrd.light_chain import KAPPA, LAMBDA

__all__ = [
    "MIN_GAIN",
    "Block",
    "Mixture",
    "append_component",
    "join_components",
    "log_sum",
    "thinned",
    "usual_evaluable",
]

# Prior SD of a component in units of the main population's own SD, and its worth in events per marker.
PRIOR_SD = 1.0
PRIOR_EVENTS_PER_MARKER = 4.0
# SD of the shift of one component between tubes, in the same units.
TUBE_SHIFT_SD = 0.6
# One more component must raise the log likelihood by this much. Its share, its means and its variances alone, found at
# the best of many places, gain 15 to 20 where there is nothing: every clump of a wide population would be a cluster.
MIN_GAIN = 25.0
# No sample has a smaller or larger part of plasma cells with one clear light chain.
EVALUABLE_RANGE = (0.65, 0.92)
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class Block:
    """Events of one tube: ``x`` (n_events, n_columns) standardised, ``columns`` their places among all markers.

    ``weight`` (n_events,) is how many events each stands for; ``chains`` the light chains or None.
    """

    x: np.ndarray
    columns: np.ndarray
    weight: np.ndarray
    chains: np.ndarray | None

    @property
    def total(self) -> float:
        """Events that the block stands for."""
        return float(self.weight.sum())

    @cached_property
    def moments(self) -> np.ndarray:
        """One, each marker, and each product of two, array (n_events, 1 + D + D (D + 1) / 2).

        A Gaussian's log density is linear in these, and so are the sums that refit it: one product of matrices does
        for all components what would be a loop over them.
        """
        i, j = np.triu_indices(self.x.shape[1])
        return np.concatenate([np.ones((len(self.x), 1)), self.x, self.x[:, i] * self.x[:, j]], axis=1)

    def take(self, chosen: np.ndarray) -> Block:
        """The chosen events, each standing for itself."""
        chains = None if self.chains is None else self.chains[chosen]
        return Block(self.x[chosen], self.columns, np.ones(len(self.x[chosen])), chains)


@dataclass(frozen=True)
class Mixture:
    """Parameters of ``K`` components over ``D`` markers and ``T`` tubes.

    Attributes
    ----------
    weight : (T, K)
    mean : (K, D)
    cov : (K, D, D)
    shift : (T, K, D)
    kappa, evaluable : (K,)
        Kappa among evaluable events, and the evaluable fraction, in tubes that stain light chains.
    fixed : (K,) bool
        Components whose place and shape are not fitted (the scatter).
    """

    weight: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    shift: np.ndarray
    kappa: np.ndarray
    evaluable: np.ndarray
    fixed: np.ndarray

    @property
    def n_components(self) -> int:
        """K."""
        return len(self.mean)

    def take(self, chosen: Sequence[int]) -> Mixture:
        """The chosen components, with the weights that they have."""
        return Mixture(
            weight=self.weight[:, chosen], mean=self.mean[chosen], cov=self.cov[chosen], shift=self.shift[:, chosen],
            kappa=self.kappa[chosen], evaluable=self.evaluable[chosen], fixed=self.fixed[chosen],
        )  # fmt: skip

    def log_parts(self, tube: int, block: Block, *, light: bool = True) -> np.ndarray:
        """Log of weight x density of each event under each component, array (n_events, K)."""
        cols = block.columns
        i, j = np.triu_indices(len(cols))
        factors = np.linalg.cholesky(self.cov[:, cols[:, None], cols])
        whiten = np.linalg.inv(factors)
        precision = np.swapaxes(whiten, 1, 2) @ whiten
        centres = (self.mean + self.shift[tube])[:, cols]
        linear = np.einsum("kij,kj->ki", precision, centres)
        constant = np.log(np.maximum(self.weight[tube], 1e-300)) - 0.5 * len(cols) * _LOG_2PI
        constant -= np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        constant -= 0.5 * np.einsum("ki,ki->k", linear, centres)
        products = np.where(i == j, -0.5, -1.0) * precision[:, i, j]
        parts = block.moments @ np.concatenate([constant[:, None], linear, products], axis=1).T
        if light and block.chains is not None:
            parts += self.log_light(block.chains)
        return parts

    def log_light(self, chains: np.ndarray) -> np.ndarray:
        """Log probability of each event's light chain under each component, array (n_events, K)."""
        table = np.log(np.stack([1.0 - self.evaluable, self.evaluable * self.kappa, self.evaluable * (1 - self.kappa)]))
        return table[np.where(chains == KAPPA, 1, np.where(chains == LAMBDA, 2, 0))]

    def shares(self, tube: int, block: Block, *, light: bool = True) -> np.ndarray:
        """Probability of each component for each event, array (n_events, K)."""
        parts = self.log_parts(tube, block, light=light)
        return np.exp(parts - log_sum(parts)[:, None])

    def step(self, blocks: Sequence[Block], shares: Sequence[np.ndarray]) -> Mixture:
        """One maximisation step from the shares of every tube."""
        new = replace(
            self, weight=self.weight.copy(), mean=self.mean.copy(), cov=self.cov.copy(),
            shift=self.shift.copy(), evaluable=self.evaluable.copy(),
        )  # fmt: skip
        weighted = [share * block.weight[:, None] for share, block in zip(shares, blocks, strict=True)]
        # The tubes hold the same marrow: a population has the same share in all of them.
        new.weight[:] = sum(share.sum(axis=0) for share in weighted) / max(sum(b.total for b in blocks), 1e-12)
        sums = [share.T @ block.moments for share, block in zip(weighted, blocks, strict=True)]
        for k in range(self.n_components):
            if not self.fixed[k]:
                new.mean[k], new.cov[k], new.shift[:, k] = self._component(k, blocks, [s[k] for s in sums])
        new.evaluable[:] = evaluable_fractions(blocks, weighted)
        return new

    def fit(self, blocks: Sequence[Block], n_steps: int) -> Mixture:
        """That many steps of expectation-maximisation."""
        mixture = self
        for _ in range(n_steps):
            mixture = mixture.step(blocks, [mixture.shares(t, b) for t, b in enumerate(blocks)])
        return mixture

    def _component(self, k: int, blocks: Sequence[Block], sums: Sequence[np.ndarray]):
        """Mean, covariance and shifts of one component from its weighted sums of :attr:`Block.moments` by tube."""
        d = self.mean.shape[1]
        first, second, n_total, per_tube = np.zeros(d), np.zeros((d, d)), 0.0, []
        for tube, (block, moments) in enumerate(zip(blocks, sums, strict=True)):
            cols = block.columns
            n, m1, m2 = _around(moments, (self.mean[k] + self.shift[tube, k])[cols])
            spread, rest = _regression(self.cov[k], cols)
            first += spread @ m1
            second += spread @ m2 @ spread.T + n * rest
            n_total += n
            per_tube.append((n, m1))
        delta = first / max(n_total, 1e-9)
        scatter = second - n_total * np.outer(delta, delta)
        prior = PRIOR_EVENTS_PER_MARKER * d
        cov = (scatter + prior * PRIOR_SD**2 * np.eye(d)) / (n_total + prior)
        shift = self.shift[:, k].copy()
        for tube, ((n, m1), block) in enumerate(zip(per_tube, blocks, strict=True)):
            if n <= 0 or len(blocks) == 1:
                continue
            cols = block.columns
            seen = shift[tube, cols] + m1 / n - delta[cols]
            shift[tube, cols] = seen * n / (n + np.diag(cov)[cols] / TUBE_SHIFT_SD**2)
        return self.mean[k] + delta, cov, shift


def evaluable_fractions(blocks: Sequence[Block], shares: Sequence[np.ndarray]) -> np.ndarray:
    """Fraction of each component's events with one clear light chain, with one event of prior at 0.9."""
    clear, total = 0.9, 1.0
    for block, r in zip(blocks, shares, strict=True):
        if block.chains is not None:
            clear = clear + r[(block.chains == KAPPA) | (block.chains == LAMBDA)].sum(axis=0)
            total = total + r.sum(axis=0)
    return clear / total


def usual_evaluable(blocks: Sequence[Block]) -> float:
    """Fraction of all plasma cells with one clear light chain."""
    told = [b for b in blocks if b.chains is not None]
    clear = sum(float(b.weight[(b.chains == KAPPA) | (b.chains == LAMBDA)].sum()) for b in told)
    return float(np.clip(clear / max(sum(b.total for b in told), 1e-9), *EVALUABLE_RANGE))


def thinned(blocks: Sequence[Block], left: Sequence[np.ndarray]) -> list[Block]:
    """The blocks with what is ``left`` of each event, float64 (n_events,) per tube."""
    return [Block(b.x, b.columns, b.weight * part, b.chains) for b, part in zip(blocks, left, strict=True)]


def join_components(mixture: Mixture, others: Mixture) -> Mixture:
    """Both sets of components; the weights of the first make room for the second."""
    room = 1.0 - others.weight.sum(axis=1, keepdims=True)
    return Mixture(
        weight=np.concatenate([mixture.weight * room, others.weight], axis=1),
        mean=np.concatenate([mixture.mean, others.mean]),
        cov=np.concatenate([mixture.cov, others.cov]),
        shift=np.concatenate([mixture.shift, others.shift], axis=1),
        kappa=np.concatenate([mixture.kappa, others.kappa]),
        evaluable=np.concatenate([mixture.evaluable, others.evaluable]),
        fixed=np.concatenate([mixture.fixed, others.fixed]),
    )


def append_component(mixture: Mixture, other: Mixture) -> Mixture:
    """Both sets of components, each with the weights that it has: the room for the second is there already."""
    room = 1.0 - other.weight.sum(axis=1, keepdims=True)
    return join_components(replace(mixture, weight=mixture.weight / room), other)


def log_sum(parts: np.ndarray) -> np.ndarray:
    """Log of the sum over components of ``exp(parts)``, array (n_events,)."""
    top = parts.max(axis=1)
    return top + np.log(np.exp(parts - top[:, None]).sum(axis=1))


def _regression(cov: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How the markers seen predict all of them, (D, n_columns), and the covariance left over, (D, D)."""
    d = len(cov)
    unseen = np.ones(d, dtype=bool)
    unseen[cols] = False
    absent = np.flatnonzero(unseen)
    spread, rest = np.zeros((d, len(cols))), np.zeros((d, d))
    spread[cols, np.arange(len(cols))] = 1.0
    if absent.size:
        across = cov[cols[:, None], absent]
        slope = np.linalg.solve(cov[cols[:, None], cols], across).T
        spread[absent] = slope
        rest[absent[:, None], absent] = cov[absent[:, None], absent] - slope @ across
    return spread, rest


def _around(moments: np.ndarray, centre: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Weight, first (D,) and second (D, D) moments around a centre, from those around zero."""
    d = len(centre)
    n, first = float(moments[0]), moments[1 : 1 + d]
    second = np.empty((d, d))
    second[np.triu_indices(d)] = moments[1 + d :]
    second = np.triu(second) + np.triu(second, 1).T
    cross = np.outer(first, centre)
    return n, first - n * centre, second - cross - cross.T + n * np.outer(centre, centre)
