"""How much more likely a region's events are with a clone among them: counts of every tube and light chains together.

Normal cells are expected in the region as their antigens go together elsewhere, but that is only known to a factor; a
clone adds the same share of cells in every tube, all of one light chain. Neither the number of the clone's cells nor
that of normal ones is known, so both are integrated over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.special import gammaln, logsumexp

from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN

__all__ = ["Evidence", "TubeCount", "weigh_region"]

# Log SD of what is expected of normal cells, and the fewest that are expected.
EXPECTED_SD, MIN_EXPECTED = 0.5, 0.15
# A clone's cells in a tube of mean size: from the first figure to the second, or to so many times the events seen.
LEAST_CLONE, MOST_CLONE, MOST_FOLD = 3.0, 60.0, 1.5
N_CLONE, N_NORMAL, N_KAPPA = 16, 15, 9
# Tubes of other markers hold other parts of a clone in its region.
PARTS = np.array([0.6, 1.0, 1.6])


@dataclass(frozen=True)
class TubeCount:
    """A region in one tube: events seen, kappa and lambda among them (None where not stained), the tube's relative size.

    ``if_normal`` and ``beside_clone`` are the normal cells expected there, by all events and without the clone's.
    """

    n: float
    chains: tuple[float, float] | None
    size: float
    if_normal: float
    beside_clone: float


@dataclass(frozen=True)
class Evidence:
    """Log Bayes factor of a clone of light chain ``chain``; its cells and normal ones in each tube.

    ``kappa`` is that of the normal cells there.
    """

    log_odds: float
    chain: str
    n_clone: tuple[float, ...]
    n_normal: tuple[float, ...]
    kappa: float


def weigh_region(
    tubes: Sequence[TubeCount],
    normal: tuple[float, float],
    *,
    sizes: tuple[float, float] | None = None,
    chain: str = "",
) -> Evidence:
    """Weigh a region's counts.

    Parameters
    ----------
    tubes
        Counts of each tube.
    normal
        Beta parameters of kappa among normal plasma cells.
    sizes
        Fewest and most cells of the clone in a tube of size 1, where they are known better than from the counts.
    chain
        Light chain of the clone where it is known.

    Examples
    --------
    >>> from cytomrd.mrd.evidence import TubeCount, weigh_region
    >>> tubes = [TubeCount(12, None, 1.0, 0.5, 0.3), TubeCount(10, (10, 0), 1.0, 0.5, 0.3)]
    >>> found = weigh_region(tubes, (60.0, 40.0))
    >>> found.chain, found.log_odds > 10, round(found.n_clone[0])
    ('kappa', True, 11)
    """
    n_tubes = len(tubes)
    kappa = np.clip(stats.beta.ppf((np.arange(N_KAPPA) + 0.5) / N_KAPPA, *normal), 0.02, 0.98)
    usual = normal[0] / sum(normal)
    places, tubes = [i for i, t in enumerate(tubes) if t.size > 0], [t for t in tubes if t.size > 0]
    n_normal, n_clone = np.zeros(n_tubes), np.zeros(n_tubes)
    without = sum(_without(tube, kappa) for tube in tubes)
    if sizes is None:
        sizes = LEAST_CLONE, max(MOST_CLONE, MOST_FOLD * max(t.n / t.size for t in tubes))
    clone = np.exp(np.linspace(*np.log(sizes), N_CLONE))
    by_chain = {
        chain: [_with(tube, clone, purity, kappa) for tube in tubes]
        for chain, purity in (("kappa", CLONE_PURITY_MEAN), ("lambda", 1.0 - CLONE_PURITY_MEAN))
    }
    logs = {chain: sum(found[0] for found in tubes_found) for chain, tubes_found in by_chain.items()}
    prior = {"kappa": np.log(usual), "lambda": np.log1p(-usual)}
    total = {chain: float(logsumexp(log)) - np.log(N_CLONE) + prior[chain] for chain, log in logs.items()}
    best = chain or max(total, key=total.get)
    weight = np.exp(logs[best] - logsumexp(logs[best]))
    n_normal[places] = [float(weight @ mean) for _, mean, _ in by_chain[best]]
    n_clone[places] = [t.size * float(weight @ (clone * part)) for t, (_, _, part) in zip(tubes, by_chain[best], strict=True)]
    return Evidence(
        log_odds=float(np.logaddexp(*total.values()) - without),
        chain=best,
        n_clone=tuple(n_clone.tolist()),
        n_normal=tuple(n_normal.tolist()),
        kappa=usual,
    )


def _expected(centre: float) -> np.ndarray:
    """Equally likely numbers of normal cells around the one expected."""
    middle = (np.arange(N_NORMAL) + 0.5) / N_NORMAL
    return max(centre, MIN_EXPECTED) * np.exp(EXPECTED_SD * stats.norm.ppf(middle))


def _poisson(n: float, mean: np.ndarray) -> np.ndarray:
    return n * np.log(mean) - mean - gammaln(n + 1.0)


def _without(tube: TubeCount, kappa: np.ndarray) -> float:
    log = float(logsumexp(_poisson(tube.n, _expected(tube.if_normal)))) - np.log(N_NORMAL)
    if tube.chains is not None:
        k, lam = tube.chains
        log += float(logsumexp(k * np.log(kappa) + lam * np.log1p(-kappa))) - np.log(N_KAPPA)
    return log


def _with(tube: TubeCount, clone: np.ndarray, purity: float, kappa: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log likelihood for each number of the clone's cells, and the mean number of normal ones beside them."""
    grid = np.meshgrid(PARTS, _expected(tube.beside_clone), indexing="ij")
    part, normal = (axis.ravel() for axis in grid)
    own = tube.size * clone[:, None] * part
    logs = _poisson(tube.n, own + normal)
    if tube.chains is not None:
        k, lam = tube.chains
        fraction = (own[..., None] * purity + normal[:, None] * kappa) / (own + normal)[..., None]
        logs = logs + logsumexp(k * np.log(fraction) + lam * np.log1p(-fraction), axis=2) - np.log(N_KAPPA)
    total = logsumexp(logs, axis=1)
    weight = np.exp(logs - total[:, None])
    return total - np.log(len(normal)), weight @ normal, weight @ part
