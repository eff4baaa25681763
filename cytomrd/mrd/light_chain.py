"""Light chains: which events can speak, and how sure a cluster's restriction is.

Normal plasma cells of one donor are a mixture of kappa and lambda near 1.5 : 1, a clone makes one of them. The test is
always per cluster: a ratio over all plasma cells hides a small clone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytomrd.mrd.limits import clopper_pearson
from cytomrd.panel import MrdSpec

__all__ = ["KAPPA", "LAMBDA", "NO_CHAIN", "Restriction", "label_light_chains", "restriction", "two_mode_cut"]

KAPPA, LAMBDA, NO_CHAIN, BOTH_CHAINS = 1, 2, 0, 3
# Kappa among normal plasma cells, before the patient's own are seen: 1.5 : 1, and 0.45 to 0.75 in nearly all donors.
NORMAL_KAPPA = 0.60
NORMAL_KAPPA_EVENTS = 30.0
# However many normal cells are counted, a subset of them may lie this far from the rest (SD 0.05 at 0.6).
MAX_KAPPA_EVENTS = 90.0
# Purity of a clone: mean 0.94; the rest is doublets and cells stained for both.
CLONE_PURITY, CLONE_PURITY_MEAN = (16.0, 1.0), 0.94
_GRID = 24
# How much of a cluster is the clone, the rest being normal cells at the same place: all of it, as likely as not.
CLONE_SHARES = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3])
CLONE_SHARE_PRIOR = np.array([0.58] + [0.06] * 7)


@dataclass(frozen=True, slots=True)
class Restriction:
    """The light chains of one cluster.

    Attributes
    ----------
    n_kappa, n_lambda
        Evaluable events, by soft count rounded.
    ratio
        Kappa over lambda, with half an event added to both where one of them is 0; None without events.
    ratio_low, ratio_high
        Its exact 95 % interval.
    posterior
        That the cluster is restricted to one chain; 0.5 before any event is seen.
    chain
        ``"kappa"`` or ``"lambda"``, the likelier one; empty without evaluable events.
    by_ratio, by_posterior
        Which of the two rules says restricted.
    clone_share
        Share of the cluster's cells that the clone explains; the rest are normal ones that look alike.
    """

    n_kappa: int
    n_lambda: int
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    posterior: float
    chain: str
    by_ratio: bool
    by_posterior: bool
    clone_share: float = 1.0

    @property
    def restricted(self) -> bool:
        """Whether either rule says so."""
        return self.by_ratio or self.by_posterior

    @property
    def n_evaluable(self) -> int:
        """Kappa and lambda events together."""
        return self.n_kappa + self.n_lambda


def label_light_chains(
    values: np.ndarray, markers: Sequence[str], cuts: Mapping[str, float], spec: MrdSpec
) -> np.ndarray | None:
    """Light chain of each event: ``KAPPA``, ``LAMBDA``, ``NO_CHAIN`` or ``BOTH_CHAINS``.

    Only an event clearly positive for one chain and not for the other can be evaluated. A missing cut is looked for
    in the data; without one the tube cannot tell.

    Parameters
    ----------
    values : array of shape (n_events, n_markers)
        Transformed scale.
    markers, cuts, spec
        Of the tube, and the panel's assay.

    Returns
    -------
    array of shape (n_events,), int8, or None
        None where the tube lacks a light chain, or a cut that can be found.
    """
    positive = []
    for marker in (spec.kappa_marker, spec.lambda_marker):
        if marker not in markers:
            return None
        column = values[:, list(markers).index(marker)]
        cut = cuts.get(marker)
        cut = two_mode_cut(column) if cut is None or not np.isfinite(cut) else cut
        if cut is None:
            return None
        positive.append(column > cut)
    kappa, lam = positive
    return (KAPPA * (kappa & ~lam) + LAMBDA * (lam & ~kappa) + BOTH_CHAINS * (kappa & lam)).astype(np.int8)


def two_mode_cut(column: np.ndarray) -> float | None:
    """Cut between two modes by least within-class variance (Otsu 1979); None where there are no two clear modes.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.mrd.light_chain import two_mode_cut
    >>> round(two_mode_cut(np.r_[np.linspace(0.1, 0.3, 50), np.linspace(0.6, 0.8, 50)]), 2)
    0.45
    """
    ordered = np.sort(column[np.isfinite(column)])
    n = ordered.size
    if n < 20:
        return None
    total, squares = np.cumsum(ordered), np.cumsum(ordered**2)
    below = np.arange(1, n)
    above = n - below
    within_low = squares[:-1] - total[:-1] ** 2 / below
    within_high = squares[-1] - squares[:-1] - (total[-1] - total[:-1]) ** 2 / above
    at = int(np.argmin(within_low + within_high))
    sd_low, sd_high = np.sqrt(max(within_low[at], 0) / below[at]), np.sqrt(max(within_high[at], 0) / above[at])
    gap = (total[-1] - total[at]) / above[at] - total[at] / below[at]
    # Ashman's D above 3 and a few per cent on either side: two modes, not two halves of one.
    if min(below[at], above[at]) < max(5, 0.03 * n) or gap < 3.0 * np.sqrt((sd_low**2 + sd_high**2) / 2 + 1e-12):
        return None
    return float((ordered[at] + ordered[at + 1]) / 2.0)


def normal_kappa(n_kappa: float = 0.0, n_lambda: float = 0.0) -> tuple[float, float]:
    """Beta distribution of kappa among normal plasma cells, from the prior and the patient's own normal ones."""
    a = NORMAL_KAPPA * NORMAL_KAPPA_EVENTS + n_kappa
    b = (1.0 - NORMAL_KAPPA) * NORMAL_KAPPA_EVENTS + n_lambda
    shrink = min(1.0, MAX_KAPPA_EVENTS / (a + b))
    return a * shrink, b * shrink


def restriction(
    chains: np.ndarray,
    share: np.ndarray,
    others_kappa: np.ndarray,
    *,
    normal: tuple[float, float],
    spec: MrdSpec,
    prior: float = 0.5,
) -> Restriction:
    """Test one cluster for light-chain restriction, allowing for the normal cells that lie among it.

    Each evaluable event belongs to the cluster with probability ``share``, found without its light chain; else it has
    the light chain of whatever else lies there. The posterior compares a clone (purity about 0.94, kappa or lambda)
    with a polyclonal cluster, whose kappa fraction varies as ``normal`` does.

    Parameters
    ----------
    chains : array of shape (n_events,)
        From :func:`label_light_chains`.
    share : array of shape (n_events,)
        Probability of belonging to the cluster by phenotype.
    others_kappa : array of shape (n_events,)
        Probability that an event of the other clusters at that place is kappa.
    normal
        Beta parameters of the kappa fraction among normal plasma cells.
    spec
        For the ratio's limits, the events it needs, and the posterior asked for.
    prior
        Probability of restriction before the light chains are seen.
    """
    speaks = ((chains == KAPPA) | (chains == LAMBDA)) & (share > 0.02)
    kappa, share, others = chains[speaks] == KAPPA, share[speaks], others_kappa[speaks]
    n_kappa, n_lambda = round(float(share[kappa].sum())), round(float(share[~kappa].sum()))
    usual = normal[0] / sum(normal)
    purity = _quantiles(*CLONE_PURITY)
    by_share = {
        chain: np.array([
            _log_mean_likelihood(c * clone + (1.0 - c) * usual, kappa, share, others) for c in CLONE_SHARES
        ])
        for chain, clone in (("kappa", purity), ("lambda", 1.0 - purity))
    }  # fmt: skip
    evidence = {
        "kappa": np.log(usual) + np.logaddexp.reduce(by_share["kappa"] + np.log(CLONE_SHARE_PRIOR)),
        "lambda": np.log1p(-usual) + np.logaddexp.reduce(by_share["lambda"] + np.log(CLONE_SHARE_PRIOR)),
    }
    chain = max(evidence, key=evidence.get)
    polyclonal = _log_mean_likelihood(_quantiles(*normal), kappa, share, others)
    log_odds = np.logaddexp(*evidence.values()) - polyclonal + np.log(prior / (1.0 - prior))
    posterior = float(1.0 / (1.0 + np.exp(-np.clip(log_odds, -700, 700))))
    low, high = _ratio_interval(n_kappa, n_lambda)
    limits = spec.kappa_lambda_normal
    enough = n_kappa + n_lambda >= spec.min_light_chain_events
    return Restriction(
        n_kappa=n_kappa,
        n_lambda=n_lambda,
        ratio=light_chain_ratio(n_kappa, n_lambda),
        ratio_low=low,
        ratio_high=high,
        posterior=posterior,
        chain=chain if kappa.size else "",
        by_ratio=bool(enough and (low > limits[1] or high < limits[0])),
        by_posterior=bool(n_kappa + n_lambda >= 3 and posterior >= spec.restriction_posterior),
        clone_share=_clone_share(by_share[chain]),
    )


def _clone_share(log_likelihood: np.ndarray) -> float:
    """All of the cluster, unless a smaller share is clearly likelier (by 2 in log likelihood)."""
    best = int(np.argmax(log_likelihood))
    return float(CLONE_SHARES[best]) if log_likelihood[best] > log_likelihood[0] + 2.0 else 1.0


def light_chain_ratio(n_kappa: float, n_lambda: float) -> float | None:
    """Kappa over lambda; half an event is added to both where one is 0, so that it stays finite."""
    if n_kappa + n_lambda == 0:
        return None
    if n_kappa == 0 or n_lambda == 0:
        return (n_kappa + 0.5) / (n_lambda + 0.5)
    return n_kappa / n_lambda


def _ratio_interval(n_kappa: int, n_lambda: int) -> tuple[float | None, float | None]:
    if n_kappa + n_lambda == 0:
        return None, None
    low, high = clopper_pearson(n_kappa, n_kappa + n_lambda)
    return low / (1.0 - low) if low < 1.0 else float("inf"), high / (1.0 - high) if high < 1.0 else float("inf")


def _quantiles(a: float, b: float) -> np.ndarray:
    middle = (np.arange(_GRID) + 0.5) / _GRID
    return np.clip(stats.beta.ppf(middle, a, b), 1e-4, 1.0 - 1e-4)


def _log_mean_likelihood(fractions: np.ndarray, kappa: np.ndarray, share: np.ndarray, others: np.ndarray) -> float:
    if kappa.size == 0:
        return 0.0
    own = np.where(kappa, fractions[:, None], 1.0 - fractions[:, None])
    elsewhere = np.where(kappa, others, 1.0 - others)
    logs = np.log(share * own + (1.0 - share) * elsewhere).sum(axis=1)
    return float(np.logaddexp.reduce(logs) - np.log(fractions.size))
