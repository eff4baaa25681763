"""The background of the CAR reagent: which control speaks, what a blank would have shown, what is left net of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.stats import qmc

from cytomrd.errors import QuantificationError
from cytomrd.panel import CarNkSpec

__all__ = [
    "CONTROL_ORDER",
    "Background",
    "BlankLimits",
    "NetPositive",
    "background_limits",
    "choose_background",
    "net_positive",
]

CONTROL_ORDER = ("pre_infusion", "fmo", "isotype")
"""Roles of controls, the one that speaks first in front; the panel's reference comes last."""

_SOURCE_WORDS = {"pre_infusion": "pre-infusion sample", "fmo": "FMO control", "isotype": "isotype control"}
# Draws of the posterior are points of a scrambled Sobol sequence: the same every time, quantiles to about 0.1 %.
_LOG2_DRAWS = 13
_N_DRAWS = 2**_LOG2_DRAWS
_ROWS = {"positive": 0, "negative": 1, "background": 2, "between": 3, "reference": 4}
# A sample far below its background says that the control does not fit; no net interval can be had from the rest.
_MIN_POSTERIOR_ABOVE = 0.02


@dataclass(frozen=True, slots=True)
class Background:
    """Fraction of CAR-negative NK cells that pass the CAR threshold, as a control showed it.

    Attributes
    ----------
    n_positive, n_events
        NK cells of the control above the threshold, and all of them. For a panel's reference, the counts
        that carry the same mean and spread; they need not be whole.
    source
        Which control, in words; goes into ``background_source``.
    between_cv
        Coefficient of variation of the background between samples of one subject, beyond counting.
    """

    n_positive: float
    n_events: float
    source: str
    between_cv: float = 0.0

    def __post_init__(self):
        if not (0 <= self.n_positive <= self.n_events and self.n_events > 0):
            raise QuantificationError(
                f"background from {self.source}: {self.n_positive} of {self.n_events} NK cells is no fraction"
            )
        if not 0.0 <= self.between_cv < 10.0:
            raise QuantificationError(f"background from {self.source}: between_cv {self.between_cv} must be 0 or more")

    @property
    def fraction(self) -> float:
        """Positives over all, 0 to 1."""
        return self.n_positive / self.n_events


def choose_background(controls: Mapping[str, tuple[int, int]], spec: CarNkSpec) -> Background | None:
    """The control that speaks, by the order pre-infusion, FMO, isotype, panel reference.

    Parameters
    ----------
    controls
        Role of each control that is there to ``(n_positive, n_events)`` of its NK cells at the threshold.
        A control without NK cells is passed over.
    spec
        The panel's CAR-NK assay; its ``reference_background`` is the last resort.

    Returns
    -------
    Background or None
        A control's background varies between samples as the reagent's usual range does. An FMO lacks the reagent and
        cannot show what that stains by itself: the middle of the usual range is added to it. None where nothing
        can speak: then no net fraction may be given.

    Examples
    --------
    >>> from cytomrd.car_nk.background import choose_background
    >>> from cytomrd.panel import CarNkSpec
    >>> choose_background({"fmo": (3, 9000), "pre_infusion": (12, 20_000)}, CarNkSpec()).source
    'pre-infusion sample (12 of 20000 NK cells)'
    """
    unknown = sorted(set(controls) - set(CONTROL_ORDER))
    if unknown:
        raise QuantificationError(f"controls {unknown}: roles that can give a background are {list(CONTROL_ORDER)}")
    for role in CONTROL_ORDER:
        n_positive, n_events = controls.get(role, (0, 0))
        if n_events > 0:
            source = f"{_SOURCE_WORDS[role]} ({n_positive} of {n_events} NK cells)"
            reagent = sum(spec.usual_background) / 2.0 if role == "fmo" else 0.0
            if reagent > 0:
                n_positive = min(n_positive + reagent * n_events, n_events)
                source += f", usual {100 * reagent:g} % of the reagent added"
            return Background(n_positive, n_events, source, between_cv=_between_cv(spec))
    return _reference_background(spec)


def _between_cv(spec: CarNkSpec) -> float:
    """How far the background of one sample may stand from another's, beyond counting.

    A control is another tube than the sample: staining, spread of spillover and settings differ between them as between
    the samples behind the reagent's usual range, which is read as mean +- 2 SD.
    """
    low, high = spec.usual_background
    return (high - low) / 2.0 / (high + low) if high > 0 else 0.0


def _reference_background(spec: CarNkSpec) -> Background | None:
    mean = spec.reference_background
    if mean is None or not 0.0 < mean < 1.0:
        return None
    low, high = spec.usual_background
    # The usual range read as mean +- 2 SD; the beta distribution with that mean and SD has this many events.
    spread = max((high - low) / 4.0, mean * 0.05)
    n_events = max(2.0, mean * (1.0 - mean) / spread**2 - 1.0)
    return Background(mean * n_events, n_events, f"panel reference ({100 * mean:g} %)")


@dataclass(frozen=True, slots=True)
class BlankLimits:
    """What a sample without CAR+ NK cells would have shown among ``n_nk`` NK cells.

    Attributes
    ----------
    expected_events
        Background events expected.
    lob_events
        95th percentile of the background count, with the control's own uncertainty.
    lloq_events
        Net events needed to measure: the assay's, or more where the background's scatter (its 99.9th
        percentile above the expected count) is wider than that.
    probability
        Chance that background alone shows the observed count or more.
    """

    expected_events: float
    lob_events: int
    lloq_events: int
    probability: float


def background_limits(n_nk: int, n_car_nk: int, background: Background, *, lloq_events: int = 50) -> BlankLimits:
    """Limits of a blank, and how likely a blank is to look like this sample.

    The background count is binomial with a fraction drawn from the control's posterior.

    Examples
    --------
    >>> from cytomrd.car_nk.background import Background, background_limits
    >>> limits = background_limits(20_000, 80, Background(20, 20_000, "FMO control"))
    >>> limits.lob_events, limits.probability < 1e-6
    (32, True)
    """
    fractions = np.sort(_background_draws(background, _uniforms()))[::8]
    return BlankLimits(
        expected_events=float(n_nk * background.fraction),
        lob_events=_mixture_quantile(0.95, n_nk, fractions),
        lloq_events=max(
            lloq_events, int(np.ceil(_mixture_quantile(0.999, n_nk, fractions) - n_nk * background.fraction))
        ),
        probability=float(stats.binom.sf(n_car_nk - 1, n_nk, fractions).mean()),
    )


@dataclass(frozen=True, slots=True)
class NetPositive:
    """CAR+ NK cells net of background.

    Attributes
    ----------
    fraction, low, high
        Of NK cells, never negative, with its interval.
    events
        The same as events among the NK cells.
    low_draws, high_draws : arrays of shape (n_draws,)
        Draws of the net events for the lower and the upper limit of what is computed from them; floored at 0, and above
        0 for the upper one.
    reference_uniforms : array of shape (n_draws,)
        Uniform numbers paired with ``low_draws``, for the count that a concentration is relative to.
    """

    fraction: float
    low: float
    high: float
    events: float
    low_draws: np.ndarray
    high_draws: np.ndarray
    reference_uniforms: np.ndarray


def net_positive(n_nk: int, n_car_nk: int, background: Background, *, confidence: float = 0.95) -> NetPositive:
    """Fraction of NK cells that carry the CAR, from two binomials.

    Of the NK cells a fraction d carries the CAR and passes the threshold; of the others a fraction b passes too. So the
    observed fraction is d + (1 - d) b, and d = (observed - b) / (1 - b): the observed fraction minus the background of
    the cells that do not carry the CAR. The limits come from posterior draws of both binomials with the priors
    that make each limit of a single binomial exact (the beta distributions of Clopper and Pearson), so they err on the
    wide side. The lower limit is floored at 0; the upper one is taken among draws above 0, so a blank has one too.

    Parameters
    ----------
    n_nk, n_car_nk
        NK cells of the sample, and those above the threshold; ``n_nk`` at least 1.
    background
        From a control.
    confidence
        Of the interval.

    Examples
    --------
    >>> from cytomrd.car_nk.background import Background, net_positive
    >>> net = net_positive(50_000, 1_000, Background(50, 50_000, "FMO control"))
    >>> round(net.fraction, 4), net.low < 0.019 < net.high
    (0.019, True)
    """
    if not 0 <= n_car_nk <= n_nk or n_nk < 1:
        raise QuantificationError(f"{n_car_nk} CAR+ of {n_nk} NK cells is no fraction")
    uniforms = _uniforms()
    b = background.fraction
    fraction = max(0.0, (n_car_nk / n_nk - b) / (1.0 - b)) if b < 1.0 else 0.0
    tail = (1.0 - confidence) / 2.0
    low_events, low_fractions = _net_draws(n_nk, n_car_nk, background, uniforms, -1)
    high_events, high_fractions = _net_draws(n_nk, n_car_nk, background, uniforms, +1)
    above = high_events > 0
    if above.mean() < _MIN_POSTERIOR_ABOVE:
        # The control's background exceeds all that was seen: the gross fraction bounds the net one.
        high_fractions = stats.beta.ppf(uniforms[_ROWS["positive"]], n_car_nk + 1, max(n_nk - n_car_nk, 1e-9))
        high_events, above = high_fractions * n_nk, np.ones(high_fractions.size, dtype=bool)
    low = max(0.0, float(np.quantile(low_fractions, tail)))
    high = float(np.quantile(high_fractions[above], 1.0 - tail))
    return NetPositive(
        fraction=fraction,
        low=min(low, fraction),
        high=max(high, fraction),
        events=fraction * n_nk,
        low_draws=np.maximum(low_events, 0.0),
        high_draws=high_events[above],
        reference_uniforms=uniforms[_ROWS["reference"]],
    )


def _net_draws(
    n_nk: int, n_car_nk: int, background: Background, uniforms: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the net events and of the net fraction for a lower (-1) or an upper (+1) limit.

    Counts are independent Poisson numbers; a shape of k bounds the mean of a count k from below, k + 1 from above.
    """
    up = (1 + side) / 2.0
    positive = _gamma_draws(uniforms[_ROWS["positive"]], n_car_nk + up)
    negative = _gamma_draws(uniforms[_ROWS["negative"]], n_nk - n_car_nk + 1.0 - up)
    b = _background_draws(background, uniforms, shape_shift=1.0 - up)
    events = positive - b / (1.0 - b) * negative
    return events, events / np.maximum(positive + negative, 1e-12)


def _gamma_draws(uniforms: np.ndarray, shape: float) -> np.ndarray:
    return stats.gamma.ppf(uniforms, shape) if shape > 0 else np.zeros(uniforms.size)


def _uniforms() -> np.ndarray:
    points = qmc.Sobol(d=len(_ROWS), scramble=True, seed=20240607).random_base2(_LOG2_DRAWS)
    return np.clip(points, 1e-12, 1.0 - 1e-12).T


def _background_draws(background: Background, uniforms: np.ndarray, shape_shift: float = 0.5) -> np.ndarray:
    k, n = background.n_positive, background.n_events
    a, b = k + shape_shift, n - k + 1.0 - shape_shift
    draws = stats.beta.ppf(uniforms[_ROWS["background"]], a, b) if a > 0 and b > 0 else np.full(_N_DRAWS, float(b <= 0))
    if background.between_cv > 0:
        sigma = np.sqrt(np.log1p(background.between_cv**2))
        draws = draws * np.exp(sigma * stats.norm.ppf(uniforms[_ROWS["between"]]) - sigma**2 / 2.0)
    return np.clip(draws, 1e-15, 1.0 - 1e-9)


def _mixture_quantile(probability: float, n: int, fractions: np.ndarray) -> int:
    """Smallest count whose distribution function, averaged over the fractions, reaches ``probability``."""
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        if stats.binom.cdf(middle, n, fractions).mean() >= probability:
            high = middle
        else:
            low = middle
    return high
