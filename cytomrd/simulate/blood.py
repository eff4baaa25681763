"""Blood (or marrow) tubes for CAR+ NK cells, with or without counting beads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from cytomrd.simulate.cells import BACKGROUND, BLOOD, Phenotype
from cytomrd.simulate.donors import Donor
from cytomrd.simulate.laws import Law
from cytomrd.simulate.planning import draw_clogs, plan_tube, seed_sequence
from cytomrd.simulate.plasma import CLONES, Clone, clone_phenotype
from cytomrd.simulate.tube import Clog, SimulatedTube, TubePlan

__all__ = ["BLOOD_TUBE", "LEUKOCYTE_LABELS", "NK_LABELS", "Blood", "plan_blood_tube", "simulate_blood"]

BLOOD_TUBE: Mapping[str, str] = MappingProxyType({
    "Viability": "FVS780", "CD45": "BV510", "CD3": "PerCPCy5.5", "CD56": "BV421", "CD16": "APC",
    "CD14+CD19": "FITC", "CD38": "PECy7", "CD138": "BV605", "CAR": "PE",
})  # fmt: skip
"""Marker to fluorochrome."""

_SHARES = {
    "granulocyte": 0.60, "eosinophil": 0.025, "basophil": 0.006, "monocyte": 0.09, "dendritic_cell": 0.006,
    "b_cell": 0.04, "t_cell": 0.233,
}  # fmt: skip
NK_LABELS = ("nk", "nk_reagent_positive", "car_nk")
"""Labels of NK cells: without CAR, without CAR but bright with its reagent, and with CAR."""
LEUKOCYTE_LABELS = (*_SHARES, "t_reagent_positive", "car_t", *NK_LABELS, "plasma_cell")
"""Labels that count as CD45+ leukocytes, circulating plasma cells included: whole, single, alive."""

_BEAD_UNITS = 118_000.0
_REAGENT_UNITS = 2_600.0
_CAR_UNITS = 12_000.0


@dataclass(frozen=True)
class Blood:
    """What circulates. Fractions are 0 to 1.

    Attributes
    ----------
    leukocytes_per_ul
        Living CD45+ cells per microlitre.
    nk_fraction
        NK cells, CAR+ ones included, of leukocytes.
    car_nk_fraction
        CAR+ of NK cells.
    car_t_fraction
        CAR+ of T cells.
    background_fraction
        CAR-negative NK cells that the reagent stains nevertheless; other leukocytes do so half as often.
    plasma_fraction
        Circulating clonal plasma cells, of leukocytes.
    dead_fraction, debris_fraction
        Of all events but beads.
    """

    leukocytes_per_ul: float = 5_000.0
    nk_fraction: float = 0.08
    car_nk_fraction: float = 0.0
    car_t_fraction: float = 0.0
    background_fraction: float = 0.0015
    plasma_fraction: float = 0.0005
    dead_fraction: float = 0.03
    debris_fraction: float = 0.10

    @property
    def car_nk_per_ul(self) -> float:
        """CAR+ NK cells per microlitre."""
        return self.leukocytes_per_ul * self.nk_fraction * self.car_nk_fraction


def plan_blood_tube(
    law: Law,
    donor: Donor,
    blood: Blood,
    n_leukocytes: int,
    *,
    beads_per_tube: float | None = None,
    sample_volume_ul: float = 100.0,
    n_car_nk: int | None = None,
    myeloma: Clone = CLONES["typical"],
    clogs: Sequence[Clog] | None = None,
    random_state: int | np.random.SeedSequence = 0,
) -> TubePlan:
    """Plan a blood tube; see :func:`simulate_blood`."""
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 3)))
    counts = _cell_counts(blood, donor, n_leukocytes, n_car_nk, rng)
    # Of n single cells, 1 - doublets - dead - debris of the events are left.
    whole = sum(counts.values()) / (1 - law.doublets - blood.dead_fraction - blood.debris_fraction)
    counts["dead"] = int(rng.poisson(whole * blood.dead_fraction))
    counts["debris"] = int(rng.poisson(whole * blood.debris_fraction))
    n_beads = 0
    if beads_per_tube:
        in_tube = blood.leukocytes_per_ul * sample_volume_ul
        if n_leukocytes > in_tube:
            raise ValueError(f"{n_leukocytes} leukocytes acquired, but {sample_volume_ul} uL hold {in_tube:.0f}")
        # The same part of the tube's cells and of its beads was acquired, and the same part of both was single.
        n_beads = int(rng.poisson(beads_per_tube * n_leukocytes / in_tube))
    counts["bead"] = n_beads
    n_doublets = int(rng.poisson((whole + n_beads) * law.doublets))
    phenotypes = [*BLOOD, *_special_phenotypes(), clone_phenotype(myeloma, "plasma_cell", donor)]
    return plan_tube(
        law,
        donor,
        phenotypes,
        counts,
        BLOOD_TUBE,
        n_doublets=n_doublets,
        clogs=draw_clogs(law, rng) if clogs is None else clogs,
        seed=seed,
    )


def simulate_blood(
    law: Law,
    donor: Donor,
    blood: Blood,
    n_leukocytes: int,
    *,
    beads_per_tube: float | None = None,
    sample_volume_ul: float = 100.0,
    n_car_nk: int | None = None,
    myeloma: Clone = CLONES["typical"],
    clogs: Sequence[Clog] | None = None,
    random_state: int | np.random.SeedSequence = 0,
) -> SimulatedTube:
    """Simulate one tube of the CAR+ NK panel.

    Parameters
    ----------
    law, donor
        How cells are measured, and whose they are.
    blood
        What circulates.
    n_leukocytes
        Living single leukocytes that were acquired; with beads this fixes the part of the tube that was acquired.
    beads_per_tube, sample_volume_ul
        Counting beads in the tube (None: no beads) and blood in it, in microlitres.
    n_car_nk
        Exactly so many CAR+ NK events, instead of a draw from ``blood.car_nk_fraction``.
    myeloma
        Phenotype of circulating plasma cells.
    clogs
        Disturbances of the flow; drawn from the law where left out.
    random_state
        The same arguments give the same events.

    Returns
    -------
    SimulatedTube
        Labels ``car_nk``, ``nk``, ``nk_reagent_positive``, ``t_cell``, ``car_t``, ``bead``, ``doublet``, ...

    Raises
    ------
    ValueError
        If fractions leave no room for other cells.

    Examples
    --------
    >>> from cytomrd.simulate import LAWS, Blood, draw_donor, simulate_blood
    >>> law = LAWS["clinical"]
    >>> tube = simulate_blood(
    ...     law, draw_donor(law, 1), Blood(car_nk_fraction=0.2), 10_000, beads_per_tube=50_000, random_state=3
    ... )
    >>> tube.counts["car_nk"] > 100, tube.counts["bead"] > 500
    (True, True)
    """
    plan = plan_blood_tube(
        law, donor, blood, n_leukocytes,
        beads_per_tube=beads_per_tube, sample_volume_ul=sample_volume_ul, n_car_nk=n_car_nk, myeloma=myeloma,
        clogs=clogs, random_state=random_state,
    )  # fmt: skip
    return plan.simulate()


def _cell_counts(blood: Blood, donor: Donor, n_leukocytes: int, n_car_nk: int | None, rng) -> dict[str, int]:
    rest = 1 - blood.nk_fraction - blood.plasma_fraction
    if rest <= 0:
        raise ValueError(f"NK and plasma cells take {1 - rest:.3g} of the leukocytes; other cells need room")
    shares = {name: share * donor.abundance.get(name, 1.0) for name, share in _SHARES.items()}
    total = sum(shares.values())
    names = ("nk", "plasma_cell", *shares)
    drawn = rng.multinomial(
        n_leukocytes, [blood.nk_fraction, blood.plasma_fraction, *(rest * s / total for s in shares.values())]
    )
    counts = dict(zip(names, drawn.tolist(), strict=True))
    if n_car_nk is None:
        n_car_nk = int(rng.binomial(counts["nk"], blood.car_nk_fraction))
    if n_car_nk > counts["nk"]:
        raise ValueError(f"{n_car_nk} CAR+ NK cells do not fit among {counts['nk']} NK cells")
    counts["car_nk"] = n_car_nk
    counts["nk"] -= n_car_nk
    for parent, stained, fraction in (
        ("nk", "nk_reagent_positive", blood.background_fraction),
        ("t_cell", "car_t", blood.car_t_fraction),
        ("t_cell", "t_reagent_positive", blood.background_fraction / 2),
    ):
        counts[stained] = int(rng.binomial(counts[parent], fraction))
        counts[parent] -= counts[stained]
    return counts


def _special_phenotypes() -> list[Phenotype]:
    """Infused CAR+ NK cells, cells that the reagent stains without CAR, CAR+ T cells, beads."""
    nk = next(p for p in BLOOD if p.population == "nk")
    t_cell = next(p for p in BLOOD if p.population == "t_cell")
    # Expanded NK cells: large, activated, CD56 brighter, CD16 partly shed.
    infused = replace(
        nk, population="car_nk", share=1.0, fsc=88_000.0, ssc=26_000.0, autofluorescence=1.4,
        levels={**nk.levels, "CD56": 22_000, "CD38": 9_500, "CD16": ((0.6, 13_000), (0.4, 700)), "CAR": _CAR_UNITS},
        spreads={"CD56": 0.55, "CAR": 0.55},
    )  # fmt: skip
    stained = {"spreads": {"CAR": 0.6}, "share": 1.0}
    return [
        infused,
        replace(nk, population="nk_reagent_positive", levels={**nk.levels, "CAR": _REAGENT_UNITS}, **stained),
        replace(t_cell, population="t_reagent_positive", levels={**t_cell.levels, "CAR": _REAGENT_UNITS}, **stained),
        replace(t_cell, population="car_t", share=1.0, levels={**t_cell.levels, "CAR": _CAR_UNITS},
                spreads={"CAR": 0.6}),
        Phenotype("bead", 1.0, fsc=38_000, ssc=62_000, fsc_sd=0.05, ssc_sd=0.07, sticky=0.0, glow=_BEAD_UNITS),
    ]  # fmt: skip


# A marker of the tube without a background would have no scale.
assert set(BLOOD_TUBE) <= set(BACKGROUND)
