"""Donors: how one person's cells differ from the next one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cytomrd.simulate.cells import BACKGROUND, BLOOD, MARROW
from cytomrd.simulate.laws import Law

__all__ = ["Donor", "draw_donor"]

_PLASMA_POPULATIONS = ("plasma_cell", "clonal_plasma_cell", "clonal_plasma_cell_2", "car_nk", "car_t")


@dataclass(frozen=True)
class Donor:
    """One person. Shifts are factors; shares are fractions 0 to 1.

    Attributes
    ----------
    marker_shift
        Marker to the factor on all of the person's cells (staining and expression).
    population_shift
        (population, marker) to the factor on that population alone.
    clone_shift
        Marker to the factor on the person's clone.
    abundance
        Population to the factor on its share of cells.
    plasma_subsets
        Share of ``"CD19+CD56-"``, ``"CD19-CD56-"``, ``"CD19-CD56+"``, ``"CD19+CD56+"``, ``"plasmablast"`` among
        normal plasma cells; they add up to 1.
    plasma_cd45_fraction
        CD45+ fraction of normal plasma cells.
    kappa_fraction
        Kappa+ fraction of normal plasma cells; 0.6 is a kappa:lambda ratio of 1.5.
    size_shift
        Factor on forward scatter.
    """

    marker_shift: Mapping[str, float]
    population_shift: Mapping[tuple[str, str], float]
    clone_shift: Mapping[str, float]
    abundance: Mapping[str, float]
    plasma_subsets: Mapping[str, float]
    plasma_cd45_fraction: float = 0.78
    kappa_fraction: float = 0.60
    size_shift: float = 1.0


def draw_donor(
    law: Law,
    random_state: int | np.random.SeedSequence,
    *,
    cd19_negative: float | None = None,
    cd56_positive: float | None = None,
    masked: Mapping[str, float] | None = None,
) -> Donor:
    """Draw a donor under a law.

    Parameters
    ----------
    law
        Gives the spread between donors.
    random_state
        The same seed gives the same donor.
    cd19_negative, cd56_positive
        Fractions of normal plasma cells to impose, for reactive marrow; drawn where left out
        (CD19+ 52-97 %, CD56+ 0-37 %: Liu 2012, J Clin Pathol 65:823).
    masked
        Marker to a factor on all cells, for therapy: ``{"CD38": 0.08}`` after an anti-CD38 antibody.

    Examples
    --------
    >>> from cytomrd.simulate import LAWS, draw_donor
    >>> donor = draw_donor(LAWS["clinical"], random_state=7)
    >>> round(sum(donor.plasma_subsets.values()), 6)
    1.0
    """
    rng = np.random.default_rng(random_state)
    markers = tuple(BACKGROUND)
    populations = tuple(dict.fromkeys([p.population for p in (*MARROW, *BLOOD)] + list(_PLASMA_POPULATIONS)))
    masked = masked or {}

    def factors(n: int, log_sd: float) -> list[float]:
        return np.exp(log_sd * rng.standard_normal(n)).tolist()

    marker_shift = dict(zip(markers, factors(len(markers), law.donor_shift), strict=True))
    marker_shift = {m: v * masked.get(m, 1.0) for m, v in marker_shift.items()}
    pairs = [(p, m) for p in populations for m in markers]
    population_shift = dict(zip(pairs, factors(len(pairs), law.population_shift), strict=True))
    clone_shift = dict(zip(markers, factors(len(markers), 0.25), strict=True))
    abundance = dict(zip(populations, factors(len(populations), law.abundance_shift), strict=True))
    # Beta distributions with the published means and ranges.
    drawn_19, drawn_56 = 0.03 + 0.45 * rng.beta(2.0, 3.3), 0.37 * rng.beta(1.0, 5.2)
    cd45_fraction = 0.41 + 0.57 * rng.beta(3.0, 1.6)
    cd19_negative = drawn_19 if cd19_negative is None else cd19_negative
    cd56_positive = drawn_56 if cd56_positive is None else cd56_positive
    ratio = 1.5 * np.exp(0.15 * rng.standard_normal())
    return Donor(
        marker_shift=marker_shift,
        population_shift=population_shift,
        clone_shift=clone_shift,
        abundance=abundance,
        plasma_subsets=_plasma_subsets(cd19_negative, cd56_positive),
        plasma_cd45_fraction=float(cd45_fraction),
        kappa_fraction=float(ratio / (1 + ratio)),
        size_shift=float(np.exp(0.03 * rng.standard_normal())),
    )


def _plasma_subsets(cd19_negative: float, cd56_positive: float) -> dict[str, float]:
    """CD56 sits mostly on CD19- cells: up to four fifths of it, as far as they reach."""
    double = min(0.8 * cd56_positive, 0.9 * cd19_negative)
    plasmablast = 0.04 * (1 - cd19_negative)
    single = min(cd56_positive - double, max(0.0, 1 - cd19_negative - plasmablast))
    return {
        "CD19+CD56-": float(1 - cd19_negative - single - plasmablast),
        "CD19-CD56-": float(cd19_negative - double),
        "CD19-CD56+": float(double),
        "CD19+CD56+": float(single),
        "plasmablast": float(plasmablast),
    }
