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

from cytomrd.mrd.light_chain import CLONE_PURITY_MEAN

__all__ = ["Evidence", "TubeCount", "weigh_region"]

# Log SD of what is expected of normal cells at the least, and the fewest that are expected.
EXPECTED_SD, MIN_EXPECTED = 0.5, 0.15
# A clone's cells in a tube of mean size: from the first figure to the second, or to so many times the events seen.
LEAST_CLONE, MOST_CLONE, MOST_FOLD = 3.0, 60.0, 1.5
N_CLONE = 16
# Quantiles, each as likely as the next: of normal cells around those expected, with the long tails of a Student's t of
# three degrees of freedom, since a pattern may be far commoner than its pairs tell; and of their kappa.
NORMAL_Z, KAPPA_Z = stats.t.ppf((np.arange(15) + 0.5) / 15, 3), stats.norm.ppf((np.arange(9) + 0.5) / 9)
# Tubes of other markers hold other parts of a clone in its region.
PARTS = np.array([0.6, 1.0, 1.6])


@dataclass(frozen=True)
class TubeCount:
    """A region in one tube: events seen, kappa and lambda among them (None where not stained), and its relative size.

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

    @property
    def pure(self) -> float:
        """Kappa among the clone's cells."""
        return CLONE_PURITY_MEAN if self.chain == "kappa" else 1.0 - CLONE_PURITY_MEAN


def weigh_region(
    tubes: Sequence[TubeCount],
    normal: tuple[float, float],
    *,
    expected_sd: float = EXPECTED_SD,
) -> Evidence:
    """Weigh a region's counts.

    Parameters
    ----------
    tubes
        Counts of each tube.
    normal
        Beta parameters of kappa among normal plasma cells.
    expected_sd
        Log SD of the normal cells there are around those expected.

    Examples
    --------
    >>> from cytomrd.mrd.evidence import TubeCount, weigh_region
    >>> tubes = [TubeCount(12, None, 1.0, 0.5, 0.3), TubeCount(10, (10, 0), 1.0, 0.5, 0.3)]
    >>> found = weigh_region(tubes, (60.0, 40.0))
    >>> found.chain, found.log_odds > 10, round(found.n_clone[0])
    ('kappa', True, 11)
    """
    n_normal, n_clone = np.zeros(len(tubes)), np.zeros(len(tubes))
    places, tubes = [i for i, t in enumerate(tubes) if t.size > 0], [t for t in tubes if t.size > 0]
    usual = normal[0] / sum(normal)
    kappa = np.clip(usual + np.sqrt(usual * (1.0 - usual) / (sum(normal) + 1.0)) * KAPPA_Z, 0.02, 0.98)
    without = sum(_without(tube, kappa, expected_sd) for tube in tubes)
    most = max(MOST_CLONE, MOST_FOLD * max(t.n / t.size for t in tubes))
    clone = np.exp(np.linspace(*np.log((LEAST_CLONE, most)), N_CLONE))
    by_chain = {
        chain: [_with(tube, clone, purity, kappa, expected_sd) for tube in tubes]
        for chain, purity in (("kappa", CLONE_PURITY_MEAN), ("lambda", 1.0 - CLONE_PURITY_MEAN))
    }
    logs = {chain: sum(found[0] for found in in_tubes) for chain, in_tubes in by_chain.items()}
    total = {
        chain: _log_mean(logs[chain]) + np.log(prior) for chain, prior in (("kappa", usual), ("lambda", 1.0 - usual))
    }
    best = max(total, key=total.get)
    weight = np.exp(logs[best] - logs[best].max())
    weight /= weight.sum()
    n_normal[places] = [float(weight @ mean) for _, mean, _ in by_chain[best]]
    n_clone[places] = [
        t.size * float(weight @ (clone * part)) for t, (_, _, part) in zip(tubes, by_chain[best], strict=True)
    ]
    return Evidence(
        log_odds=float(np.logaddexp(*total.values()) - without),
        chain=best,
        n_clone=tuple(n_clone.tolist()),
        n_normal=tuple(n_normal.tolist()),
        kappa=usual,
    )


def _expected(centre: float, sd: float) -> np.ndarray:
    """Equally likely numbers of normal cells around the one expected."""
    return max(centre, MIN_EXPECTED) * np.exp(sd * NORMAL_Z)


def _poisson(n: float, mean: np.ndarray) -> np.ndarray:
    """Log likelihood but for the factorial, which is the same with a clone and without."""
    return n * np.log(mean) - mean


def _log_mean(logs: np.ndarray, axis: int = -1) -> np.ndarray:
    top = logs.max(axis=axis, keepdims=True)
    return np.log(np.exp(logs - top).mean(axis=axis)) + top.squeeze(axis)


def _without(tube: TubeCount, kappa: np.ndarray, sd: float) -> float:
    log = float(_log_mean(_poisson(tube.n, _expected(tube.if_normal, sd))))
    if tube.chains is not None:
        k, lam = tube.chains
        log += float(_log_mean(k * np.log(kappa) + lam * np.log1p(-kappa)))
    return log


def _with(tube: TubeCount, clone: np.ndarray, purity: float, kappa: np.ndarray, sd: float) -> tuple[np.ndarray, ...]:
    """For each number of the clone's cells log likelihood, mean number of normal ones beside them, and mean part."""
    grid = np.meshgrid(PARTS, _expected(tube.beside_clone, sd), indexing="ij")
    part, normal = (axis.ravel() for axis in grid)
    own = tube.size * clone[:, None] * part
    logs = _poisson(tube.n, own + normal)
    if tube.chains is not None:
        k, lam = tube.chains
        fraction = (own[..., None] * purity + normal[:, None] * kappa) / (own + normal)[..., None]
        logs = logs + _log_mean(k * np.log(fraction) + lam * np.log1p(-fraction))
    weight = np.exp(logs - logs.max(axis=1, keepdims=True))
    weight /= weight.sum(axis=1, keepdims=True)
    return _log_mean(logs), weight @ normal, weight @ part
