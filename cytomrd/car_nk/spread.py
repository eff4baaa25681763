"""Spread of spillover: a sample whose negative NK cells reach nearer to the threshold than the control's did."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cytomrd.car_nk.background import Background
from cytomrd.gating.fit import ControlCut, negative_peak

__all__ = ["NegativeReach", "background_at_reach", "negative_reach"]

MIN_NEGATIVES = 100
# Nearer than this the threshold runs through the negative cells, and what lies below it no longer shows their spread.
MIN_SPREADS = 2.5
MIN_RISE = 0.1
# Variance of the log of the distance from a peak to a threshold in its spreads, times the number of events.
_DISTANCE_VARIANCE = 2.2
_CLEAR_SDS = 3.0


@dataclass(frozen=True, slots=True)
class NegativeReach:
    """How many spreads above the negative peak the threshold lies, in the sample and in the control.

    ``nearer`` says that it is nearer in the sample by more than chance.
    """

    sample: float
    control: float
    nearer: bool

    @property
    def refusal(self) -> str:
        """Why no number can be given, or nothing."""
        if not self.nearer or self.sample >= MIN_SPREADS:
            return ""
        return f"CAR_SPREAD: {self._words}, {MIN_SPREADS:g} are needed; look at what spills into the CAR channel"

    @property
    def _words(self) -> str:
        return (
            f"the CAR threshold lies {self.sample:.2g} spreads above this sample's negative NK cells and "
            f"{self.control:.2g} above the control's"
        )


def negative_reach(cut: ControlCut, car: np.ndarray) -> NegativeReach | None:
    """Compare a sample's negative NK cells with the control's.

    Light that spills into the CAR channel is compensated in the mean, and its noise stays: NK cells that are brighter
    in a spilling channel spread farther, to both sides. So the lower half of the negative peak, which no CAR+ cell
    reaches, tells how far the upper one does.

    Parameters
    ----------
    cut
        The control's threshold with its negative peak.
    car : array of shape (n_nk,)
        CAR of the sample's NK cells, compensated, linear scale.

    Returns
    -------
    None where the control's peak was not measured, or the sample has fewer than 100 negative NK cells.
    """
    negatives = car[np.isfinite(car) & (car < cut.value_linear)]
    if not cut.spread_linear or not cut.n_above or len(negatives) < MIN_NEGATIVES:
        return None
    center, spread = negative_peak(negatives)
    if spread <= 0:
        return None
    control = (cut.value_linear - cut.center_linear) / cut.spread_linear
    sample = (cut.value_linear - center) / spread
    error = np.sqrt(_DISTANCE_VARIANCE * (1.0 / len(negatives) + 1.0 / cut.n_events))
    return NegativeReach(sample, control, bool(np.log(sample / control) < -_CLEAR_SDS * error))


def background_at_reach(
    background: Background, cut: ControlCut, reach: NegativeReach, n_nk: int
) -> tuple[Background, str]:
    """The background at a threshold as near to the control's peak as it is to the sample's.

    Parameters
    ----------
    background
        Of the control, at its threshold.
    cut, reach
        The control's threshold, and how near it is to the sample's negative NK cells.
    n_nk
        NK cells of the sample; a rise of less than one event among them is left alone.

    Returns
    -------
    The background, higher where the threshold clearly lies nearer, with the rise as one more SD of it; and a
    flag that says so, or nothing.
    """
    if not reach.nearer:
        return background, ""
    place = reach.sample / reach.control * (len(cut.n_above) - 1)
    n_positive = float(np.interp(place, np.arange(len(cut.n_above)), cut.n_above))
    rise = n_positive - background.n_positive
    if rise < MIN_RISE * background.n_positive or rise * n_nk < background.n_events:
        return background, ""
    raised = replace(
        background,
        n_positive=n_positive,
        source=f"{background.source}, at this sample's spread",
        between_cv=float(np.hypot(background.between_cv, rise / n_positive)),
    )
    instead = f"{100 * raised.fraction:.2g} % background is reckoned with instead of {100 * background.fraction:.2g} %"
    return raised, f"CAR_SPREAD: {reach._words}; {instead}"
