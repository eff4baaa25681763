"""Antigens of a cluster scored as reduced, normal or increased against normal plasma cells.

The patient's own normal plasma cells come first; where they are too few, the cut between negative and positive decides.
What is normal for an antigen, and which departure counts, is the panel's to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cytomrd.panel import AntigenSpec

__all__ = ["AntigenScore", "NormalLevel", "normal_level", "score_antigen"]

# A cluster's centre this many SDs of the normal cells from their centre is aberrant: less where it lies beyond the
# cut too, more where it does not (weak expression), in between without a cut.
SHIFT_BEYOND_CUT, SHIFT_WITHOUT_CUT, SHIFT_SAME_SIDE = 1.5, 2.5, 2.0


@dataclass(frozen=True, slots=True)
class NormalLevel:
    """Centre and SD of the normal plasma cells' main level of one antigen, in standard units; events behind it."""

    centre: float
    sd: float
    n_events: float


@dataclass(frozen=True, slots=True)
class AntigenScore:
    """One antigen of one cluster.

    Attributes
    ----------
    marker
        The antigen.
    score
        ``reduced``, ``normal``, ``increased`` or ``unknown`` (neither normal cells nor a cut to compare with).
    aberrant
        Whether this departure counts as an aberrancy by the panel. An antigen that is both + and - on normal
        plasma cells is scored and never counts.
    shift
        SDs from the normal cells' centre; None without them.
    """

    marker: str
    score: str
    aberrant: bool
    shift: float | None


def score_antigen(antigen: AntigenSpec, centre: float, cut: float | None, normal: NormalLevel | None) -> AntigenScore:
    """Score one antigen at a cluster's centre.

    Parameters
    ----------
    antigen
        The panel's word on what is normal.
    centre, cut
        Of the cluster, and between negative and positive; same units as ``normal``.
    normal
        The patient's normal plasma cells; None where there are too few.

    Examples
    --------
    >>> from cytomrd.mrd.phenotype import NormalLevel, score_antigen
    >>> from cytomrd.panel import AntigenSpec
    >>> cd19 = AntigenSpec(marker="CD19", normal="+", abnormal=("reduced",))
    >>> score_antigen(cd19, -6.0, -4.0, NormalLevel(0.0, 1.0, 400)).score
    'reduced'
    """
    if normal is None and cut is None:
        return AntigenScore(antigen.marker, "unknown", False, None)
    shift = None if normal is None else (centre - normal.centre) / normal.sd
    below, above = (None, None) if cut is None else (centre < cut, centre >= cut)
    score = "normal"
    if _departs(below, None if shift is None else -shift, antigen.normal == "-"):
        score = "reduced"
    elif _departs(above, shift, antigen.normal == "+"):
        score = "increased"
    counts = score in antigen.abnormal and antigen.normal != "+/-"
    return AntigenScore(antigen.marker, score, counts, shift)


def _departs(beyond_cut: bool | None, distance: float | None, normal_side: bool) -> bool:
    """``normal_side``: the normal cells themselves lie on this side of the cut, so that side proves nothing."""
    if distance is None:
        return bool(beyond_cut) and not normal_side
    if beyond_cut is None:
        return distance > SHIFT_WITHOUT_CUT
    if beyond_cut and not normal_side:
        return distance > SHIFT_BEYOND_CUT
    return distance > SHIFT_SAME_SIDE


def normal_level(
    antigen: AntigenSpec, means: np.ndarray, variances: np.ndarray, n_events: np.ndarray, cut: float | None
) -> NormalLevel | None:
    """Main level of an antigen over the normal components, arrays (n_components,); None with fewer than 30 events."""
    use = n_events > 0
    if cut is not None and antigen.normal in "+-":
        side = means > cut if antigen.normal == "+" else means <= cut
        use &= side
    elif use.any():
        # Both signs are normal, or no cut: the level around the median event.
        middle = _weighted_median(means[use], n_events[use])
        use &= np.abs(means - middle) < 2.5
    total = float(n_events[use].sum())
    if total < 30.0:
        return None
    share = n_events[use] / total
    centre = float(share @ means[use])
    variance = float(share @ (variances[use] + (means[use] - centre) ** 2))
    return NormalLevel(centre, float(np.sqrt(variance)), total)


def _weighted_median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, cumulative[-1] / 2.0)])
