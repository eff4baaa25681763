"""The rule that calls a cluster clonal, normal or indeterminate.

A cluster is clonal with at least two aberrancies and light-chain restriction, with at least three aberrancies and light
chains that agree, or with at least three where next to no normal cell is expected and five light chains or more do not
speak against it. A cluster that is evidently polyclonal is normal. What is left and still suspicious is indeterminate.
Never is anything called on one antigen, nor on the ratio of all plasma cells, nor is a clone what no marker says is a
plasma cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytomrd.mrd.light_chain import Restriction
from cytomrd.panel import MrdSpec

__all__ = [
    "MAX_SPREAD",
    "MIN_CLUSTER",
    "MIN_EVALUABLE",
    "UNSEEN_CHAINS",
    "Facts",
    "RegionFacts",
    "has_chains",
    "is_clone",
    "is_many_and_usual",
    "judge_cluster",
    "may_decide",
    "region_posterior",
]

# Fewer events than this in all tubes together are no cluster.
MIN_CLUSTER = 8
# Mean spread in SDs of the main population beyond which a component is scatter, not a cluster.
MAX_SPREAD = 2.2
POLYCLONAL_POSTERIOR = 0.05
# With three aberrancies the phenotype decides, unless the light chains are less sure of restriction than this.
AGREEING_POSTERIOR = 0.98
# Two aberrancies are common among normal plasma cells: below this posterior of restriction they are no suspicion. Three
# and more are less common.
SUSPICIOUS_POSTERIOR = {2: 0.95, 3: 0.80}
# Below this evaluable fraction a cluster has no light chain: not plasma cells, or a clone that makes none.
MIN_EVALUABLE = 0.65
# So is a cluster of surely fewer evaluable events than plasma cells have, and of clearly fewer.
NOT_EVALUABLE_P, FEWER_EVALUABLE = 0.02, 0.15
# Fewer evaluable events than this in a cluster do not carry a call.
MIN_CHAINS = 5
# Fewer evaluable events than this say nothing of a cluster's light chain.
UNSEEN_CHAINS = 3
# Mean SDs of the markers that identify plasma cells, from which cells without a light chain may yet be some.
MIN_MEAN_IDENTITY = -2.0
# Without light chains a cluster must be more of a surprise than this. With them three aberrancies suffice from the
# second figure on, as long as the light chains do not speak against it: of 250 clusters of normal cells with three or
# more in 26 marrows of tuning laws none passed 2.9, and of the clonal ones four in five did.
SURPRISING, BEYOND_NORMAL, UNDENIED_POSTERIOR = 2.5, 3.0, 0.9

# For regions. Prior probability that a place of two, three, four and more aberrancies is a clone's; the share of normal
# cells that is much.
PRIOR_CLONE = {2: 0.1, 3: 0.25, 4: 0.5}
MOST_NORMAL = 0.3
# Least posterior by light chains alone with two and with three aberrancies and more: two need restriction, and five
# kappa cells reach 0.81, six 0.87, four lambda ones 0.90. Errors of the number of normal cells between which it rises
# to the last figure; from this error on a region with many normal cells is not weighed.
LEAST_LIGHT, UNRELIABLE_SD, LIGHT_DECIDES = {2: 0.85, 3: 0.4}, (0.6, 0.9), 0.9
BADLY_KNOWN, MANY_CHAINS = 0.75, 60.0
# Of a region with many normal cells, and of a compact one, which was drawn where more cells are than expected, their
# number says less: the least posterior of one, and of a compact one by light chains alone. They may say a little less,
# and be fewer, of three aberrancies where next to no cell is normal.
SURE_POSTERIOR, COMPACT_LIGHT = 0.998, {2: 0.95, 3: 0.8}
NEXT_TO_NONE, LONELY_LIGHT = 0.1, 0.7


@dataclass(frozen=True)
class Facts:
    """All that the rule looks at, for one cluster.

    Attributes
    ----------
    n_events
        Per tube, expected events: float64 (n_tubes,).
    n_aberrant
        Antigens that depart from normal in a way that counts.
    light
        Its light chains; None where no tube stains them.
    evaluable, usual_evaluable
        Fraction of its events with one clear light chain, and of all plasma cells.
    spread, scatter
        Mean SD, in SDs of the main population; whether it is the mixture's component for scattered events.
    reproduced
        Whether every tube shows it at about the same share.
    identity, mean_identity
        Whether one of the markers that identify the cells is as bright as usual, and their mean in SDs from normal.
    prior
        Probability of restriction before its light chains were looked at.
    n_stained
        Events in tubes that stain light chains.
    surprise
        Log of the events seen over those expected of normal cells at its place.
    """

    n_events: np.ndarray
    n_aberrant: int
    light: Restriction | None
    evaluable: float
    usual_evaluable: float
    spread: float
    scatter: bool
    reproduced: bool
    identity: bool
    mean_identity: float
    prior: float
    n_stained: float
    surprise: float


@dataclass(frozen=True)
class RegionFacts:
    """All that the rule looks at, for one region.

    Attributes
    ----------
    n_aberrant, posterior
        Antigens that depart from normal in a way that counts, and :func:`region_posterior`.
    light_alone
        Posterior of restriction by the region's light chains alone, one as likely as the other before.
    normal_share
        Part of its events that are normal cells.
    n_kappa, n_lambda
        All its evaluable events, normal ones too.
    expected_sd
        Log SD of the normal cells there are around those expected.
    is_compact
        Whether it was drawn around what is there (:mod:`cytomrd.mrd.compact`).
    """

    n_aberrant: int
    posterior: float
    light_alone: float
    normal_share: float
    n_kappa: float
    n_lambda: float
    expected_sd: float
    is_compact: bool = False

    @property
    def is_lonely(self) -> bool:
        """Whether it is compact, and three aberrancies part it from normal cells, of which it has next to none."""
        return self.is_compact and self.n_aberrant >= 3 and self.normal_share <= NEXT_TO_NONE


def region_posterior(n_aberrant: int, log_odds: float) -> float:
    """Probability of a clone in a region, from its log Bayes factor and the number of aberrancies.

    Examples
    --------
    >>> from cytomrd.mrd.rule import region_posterior
    >>> region_posterior(4, 0.0), round(region_posterior(2, 6.8), 2)
    (0.5, 0.99)
    """
    prior = PRIOR_CLONE[min(n_aberrant, 4)]
    return float(1.0 / (1.0 + np.exp(-np.clip(log_odds + np.log(prior / (1.0 - prior)), -700, 700))))


def may_decide(normal_share: float, expected_sd: float) -> bool:
    """Whether a region may be weighed: not if it is much of normal cells whose number is badly known."""
    return normal_share <= MOST_NORMAL or expected_sd <= BADLY_KNOWN


def is_clone(facts: RegionFacts, spec: MrdSpec) -> bool:
    """The rule for a region: two aberrancies and the panel's posterior, or three and a little less, and light chains
    that do not speak against it.

    Two aberrancies need restriction, and a few cells of one light chain show none. The worse normal cells are
    predicted, the more light chains must say by themselves; where there are many, their ratio must lie beyond what is
    normal, as a cluster's must: a little more of one chain is no clone. So they must where many of its cells are
    normal: that there are more of these than expected is no clone either. A compact region must show more.
    """
    few, many_normal = facts.n_aberrant < 3, facts.normal_share > MOST_NORMAL
    n_chains = facts.n_kappa + facts.n_lambda
    if (few or (facts.is_compact and not facts.is_lonely)) and (many_normal or n_chains < MIN_CHAINS):
        return False
    if n_chains < UNSEEN_CHAINS or is_many_and_usual(facts.n_kappa, facts.n_lambda, spec):
        return False
    asked = spec.restriction_posterior if few else AGREEING_POSTERIOR
    if facts.is_compact or many_normal:
        asked = max(asked, SURE_POSTERIOR)
    return bool(facts.posterior >= asked and facts.light_alone >= _least_light(facts))


def _least_light(facts: RegionFacts) -> float:
    """Least posterior of restriction by light chains alone that makes a region a clone's."""
    if facts.normal_share > MOST_NORMAL:
        return LIGHT_DECIDES
    by_number = COMPACT_LIGHT if facts.is_compact else LEAST_LIGHT
    least = LONELY_LIGHT if facts.is_lonely else by_number[min(facts.n_aberrant, 3)]
    return float(np.interp(facts.expected_sd, UNRELIABLE_SD, (least, LIGHT_DECIDES)))


def is_many_and_usual(n_kappa: float, n_lambda: float, spec: MrdSpec) -> bool:
    """Whether there are light chains enough for a ratio, and it is one of normal plasma cells."""
    low, high = spec.kappa_lambda_normal
    return n_kappa + n_lambda >= MANY_CHAINS and low * n_lambda <= n_kappa <= high * n_lambda


def judge_cluster(facts: Facts, spec: MrdSpec, *, by_place: bool = True) -> tuple[str, str]:
    """The rule: call and reason of one cluster. Beside a clone that its region gave away no place alone is clonal."""
    light, n = facts.light, float(facts.n_events.sum())
    count = f"{facts.n_aberrant} aberranc{'y' if facts.n_aberrant == 1 else 'ies'}"
    if facts.scatter or facts.spread > MAX_SPREAD:
        return "normal", "scattered events, no cluster"
    if n < MIN_CLUSTER:
        return "normal", f"{n:.1f} events, too few for a cluster"
    measured = light is not None and light.n_evaluable > 0
    beyond = measured and light.n_evaluable >= MIN_CHAINS and _beyond_limits(light, spec)
    # The place alone must not carry the call: the light chains must have spoken for it.
    agree = beyond and light.posterior >= max(AGREEING_POSTERIOR, facts.prior)
    # A few events of another tube's cluster do not show that it has no light chain.
    if light is not None and facts.n_stained >= MIN_CHAINS and not _has_chains(facts):
        if facts.n_aberrant >= 3 and facts.identity and facts.mean_identity > MIN_MEAN_IDENTITY:
            return "indeterminate", f"{count}, but no light chain: other cells, or a clone that makes none"
        return "not_plasma_cells", "no light chain"
    if measured and light.posterior < POLYCLONAL_POSTERIOR and not light.by_ratio:
        return "normal", f"polyclonal: kappa {light.n_kappa}, lambda {light.n_lambda}"
    if not facts.reproduced:
        suspicious = facts.n_aberrant >= 2
        return ("indeterminate" if suspicious else "normal"), f"{count}, but not found alike in the tubes"
    if beyond and light.restricted and facts.n_aberrant >= 2:
        how = "ratio" if light.by_ratio else "posterior"
        if light.by_ratio and light.by_posterior:
            how = "ratio and posterior"
        words = f"{count} and {light.chain} restricted by {how} ({_light_words(light)})"
        if not facts.identity:
            return "indeterminate", f"{words}, but no {spec.cell}s by any marker"
        return "clonal", words
    if facts.n_aberrant >= 3 and facts.identity:
        if agree:
            return "clonal", f"{count}; light chains agree ({_light_words(light)})"
        told = measured and light.n_evaluable >= MIN_CHAINS
        if by_place and told and facts.surprise > BEYOND_NORMAL and light.posterior > UNDENIED_POSTERIOR:
            return "clonal", f"{count} where normal cells do not lie ({_light_words(light)})"
        if light is None and facts.surprise > SURPRISING:
            return "clonal", f"{count}; no light chain of {spec.cell}s measured"
    odd = beyond or facts.surprise > SURPRISING
    if measured and odd and facts.n_aberrant >= 2 and light.posterior >= SUSPICIOUS_POSTERIOR[min(facts.n_aberrant, 3)]:
        return "indeterminate", f"{count}, light chains undecided ({_light_words(light)})"
    if measured and light.by_ratio and facts.n_aberrant <= 1:
        return "indeterminate", f"{light.chain} restricted by ratio ({_light_words(light)}) with {count}"
    if not measured and facts.n_aberrant >= 2 and facts.surprise > SURPRISING:
        return "indeterminate", f"{count}, no light chain of {spec.cell}s measured"
    return "normal", f"{count}" + (f"; {_light_words(light)}" if measured else "")


def has_chains(clear: float, n: float, usual: float) -> bool:
    """Whether as many of ``n`` events have one clear light chain as plasma cells have, or not surely fewer."""
    return bool(stats.binom.cdf(round(clear), round(n), usual) >= NOT_EVALUABLE_P)


def _has_chains(facts: Facts) -> bool:
    if facts.evaluable < MIN_EVALUABLE:
        return False
    clearly_fewer = facts.evaluable < facts.usual_evaluable - FEWER_EVALUABLE
    return not clearly_fewer or has_chains(facts.evaluable * facts.n_stained, facts.n_stained, facts.usual_evaluable)


def _beyond_limits(light: Restriction, spec: MrdSpec) -> bool:
    """Whether the ratio itself lies beyond what is normal; with too few events for a ratio the posterior may decide."""
    low, high = spec.kappa_lambda_normal
    return light.n_evaluable < spec.min_light_chain_events or not low <= light.ratio <= high


def _light_words(light: Restriction) -> str:
    return f"kappa {light.n_kappa}, lambda {light.n_lambda}, posterior {light.posterior:.3f}"
