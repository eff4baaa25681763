"""Cells: what each population of marrow and blood looks like before an instrument sees it.

Brightness is in units of a 262144-range instrument (see :class:`cytomrd.simulate.laws.Law`). The order of
brightness between populations follows common knowledge of the field; the values are round on purpose. The
shares of normal plasma cells follow Liu 2012 (J Clin Pathol 65:823); clones follow PMC3005703, table 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["BACKGROUND", "BLOOD", "MARROW", "Level", "Phenotype"]

Level = float | tuple[tuple[float, float], ...]
"""A median brightness in units, or a mixture of (share, median) pairs."""

BACKGROUND: Mapping[str, float] = {
    "CD138": 70, "CD27": 170, "CD38": 130, "CD56": 110, "CD45": 110, "CD19": 90, "CD117": 80, "CD81": 110,
    "CyIgKappa": 260, "CyIgLambda": 300, "Viability": 160, "CD3": 110, "CD16": 110, "CD14+CD19": 130, "CAR": 90,
}  # fmt: skip
"""Median unspecific binding of each antibody; free light chains of plasma stick to every cell."""


@dataclass(frozen=True)
class Phenotype:
    """One kind of cell.

    Attributes
    ----------
    population
        The label of its events.
    share
        Its share of the population (relative to the population's other phenotypes).
    levels
        Marker to :data:`Level`; a marker left out is at its unspecific background.
    fsc, ssc
        Median scatter areas, in units.
    fsc_sd, ssc_sd
        Their log SDs.
    autofluorescence
        Relative to a lymphocyte's.
    positive_sd, negative_sd
        Log SDs of markers that are named in ``levels`` and of those that are not.
    sticky
        Log SD of a factor common to all markers of a cell; large in dying cells, which bind everything.
    spreads
        Marker to log SD, where it differs.
    glow
        Own light in every detector, in units, instead of autofluorescence: beads.
    """

    population: str
    share: float = 1.0
    levels: Mapping[str, Level] = field(default_factory=dict)
    fsc: float = 70_000.0
    ssc: float = 18_000.0
    fsc_sd: float = 0.12
    ssc_sd: float = 0.22
    autofluorescence: float = 1.0
    positive_sd: float = 0.42
    negative_sd: float = 0.50
    sticky: float = 0.12
    spreads: Mapping[str, float] = field(default_factory=dict)
    glow: float = 0.0


_T_CD27 = ((0.75, 9_000), (0.25, 500))
_B_LIGHT_KAPPA = {"CyIgKappa": 3_500, "CyIgLambda": 420}
_B_LIGHT_LAMBDA = {"CyIgKappa": 380, "CyIgLambda": 3_500}
_NAIVE_B = {"CD19": 11_000, "CD45": 24_000, "CD81": 6_500, "CD38": 2_800, "CD14+CD19": 12_000}
_MEMORY_B = {"CD19": 14_000, "CD45": 26_000, "CD81": 4_500, "CD38": 700, "CD27": 6_000, "CD14+CD19": 15_000}

_LYMPHOID = (
    Phenotype("t_cell", 0.60, {"CD45": 30_000, "CD27": _T_CD27, "CD38": ((0.6, 1_800), (0.4, 450)), "CD81": 3_000,
                               "CD3": 16_000, "CD16": ((0.97, 110), (0.03, 4_000))}),
    Phenotype("t_cell", 0.34, {"CD45": 31_000, "CD27": _T_CD27, "CD38": ((0.5, 1_500), (0.5, 400)), "CD81": 2_400,
                               "CD3": 14_000}, ssc=19_500),
    Phenotype("t_cell", 0.06, {"CD45": 33_000, "CD27": ((0.3, 6_000), (0.7, 300)), "CD38": 1_200, "CD81": 2_000,
                               "CD56": 5_500, "CD3": 13_000, "CD16": ((0.8, 110), (0.2, 3_000))},
              ssc=21_000, spreads={"CD56": 0.7}),
    Phenotype("b_cell", 0.38, {**_NAIVE_B, **_B_LIGHT_KAPPA}, fsc=66_000, ssc=17_500),
    Phenotype("b_cell", 0.25, {**_NAIVE_B, **_B_LIGHT_LAMBDA}, fsc=66_000, ssc=17_500),
    Phenotype("b_cell", 0.22, {**_MEMORY_B, **_B_LIGHT_KAPPA}, fsc=72_000, ssc=19_000),
    Phenotype("b_cell", 0.15, {**_MEMORY_B, **_B_LIGHT_LAMBDA}, fsc=72_000, ssc=19_000),
    Phenotype("nk", 0.84, {"CD45": 28_000, "CD56": 8_500, "CD38": 6_500, "CD81": 2_600, "CD16": 26_000,
                           "CD27": ((0.15, 2_500), (0.85, 250))}, fsc=74_000, ssc=21_000, spreads={"CD56": 0.5}),
    Phenotype("nk", 0.07, {"CD45": 25_000, "CD56": 65_000, "CD38": 8_000, "CD81": 3_000, "CD27": 4_500,
                           "CD16": ((0.7, 160), (0.3, 2_500)), "CD117": ((0.6, 80), (0.4, 1_200))},
              fsc=78_000, ssc=22_000),
    Phenotype("nk", 0.06, {"CD45": 27_000, "CD56": 6_500, "CD38": 6_000, "CD81": 2_600, "CD16": 350},
              fsc=73_000, ssc=20_500, spreads={"CD56": 0.5}),
    Phenotype("nk", 0.03, {"CD45": 28_000, "CD56": 450, "CD38": 5_500, "CD81": 2_600, "CD16": 20_000},
              fsc=73_000, ssc=20_500),
)  # fmt: skip

_MYELOID_BLOOD = (
    Phenotype("granulocyte", 1.0, {"CD45": 8_500, "CD16": 55_000, "CD38": 450, "CD81": 350, "CD14+CD19": 700,
                                   "CyIgKappa": 700, "CyIgLambda": 750},
              fsc=118_000, ssc=105_000, ssc_sd=0.24, autofluorescence=2.2),
    Phenotype("eosinophil", 1.0, {"CD45": 12_000, "CD38": 700, "CD81": 900, "CD19": 260, "CyIgKappa": 1_100,
                                  "CyIgLambda": 1_200, "CD14+CD19": 500},
              fsc=96_000, ssc=158_000, autofluorescence=7.0),
    Phenotype("basophil", 1.0, {"CD45": 9_000, "CD38": 9_000, "CD81": 1_200, "CD56": ((0.9, 110), (0.1, 900))},
              fsc=78_000, ssc=25_000, autofluorescence=1.3),
    Phenotype("monocyte", 0.84, {"CD45": 19_000, "CD38": 7_000, "CD81": 2_500, "CD14+CD19": 32_000,
                                 "CD56": ((0.9, 160), (0.1, 2_500)), "CyIgKappa": 900, "CyIgLambda": 950},
              fsc=108_000, ssc=46_000, ssc_sd=0.20, autofluorescence=2.8, sticky=0.2),
    Phenotype("monocyte", 0.16, {"CD45": 22_000, "CD38": 2_500, "CD81": 2_200, "CD14+CD19": 3_500, "CD16": 17_000,
                                 "CyIgKappa": 900, "CyIgLambda": 950},
              fsc=98_000, ssc=36_000, autofluorescence=2.5, sticky=0.2),
    Phenotype("dendritic_cell", 1.0, {"CD45": 13_000, "CD38": 11_000, "CD81": 3_500,
                                      "CD56": ((0.85, 110), (0.15, 1_500))},
              fsc=88_000, ssc=27_000, autofluorescence=1.4),
)  # fmt: skip

_MARROW_ONLY = (
    Phenotype("granulocyte", 0.55, {"CD45": 5_500, "CD38": 1_300, "CD81": 500, "CyIgKappa": 800, "CyIgLambda": 850,
                                    "CD56": ((0.96, 120), (0.04, 1_300))},
              fsc=125_000, ssc=118_000, ssc_sd=0.26, autofluorescence=2.6),
    Phenotype("granulocyte", 0.06, {"CD45": 3_800, "CD38": 5_000, "CD81": 1_300, "CD117": ((0.5, 2_500), (0.5, 150)),
                                    "CyIgKappa": 700, "CyIgLambda": 750},
              fsc=140_000, ssc=80_000, ssc_sd=0.30, autofluorescence=2.8),
    Phenotype("b_precursor", 0.3, {"CD19": 4_500, "CD45": 1_500, "CD38": 30_000, "CD81": 20_000}, fsc=66_000,
              ssc=14_500, autofluorescence=0.9),
    Phenotype("b_precursor", 0.7, {"CD19": 7_500, "CD45": 5_500, "CD38": 24_000, "CD81": 16_000,
                                   "CyIgKappa": ((0.8, 260), (0.2, 1_500)), "CyIgLambda": ((0.87, 300), (0.13, 1_500))},
              fsc=60_000, ssc=13_500, autofluorescence=0.8),
    Phenotype("nucleated_red_cell", 0.93, {"CD81": 320, "CD38": 160}, fsc=46_000, ssc=14_000, fsc_sd=0.16, ssc_sd=0.28,
              autofluorescence=0.7),
    Phenotype("nucleated_red_cell", 0.07, {"CD81": 2_000, "CD38": 1_200, "CD117": 5_000, "CD45": 700}, fsc=95_000,
              ssc=28_000, fsc_sd=0.18, ssc_sd=0.28, autofluorescence=1.6),
    Phenotype("progenitor", 1.0, {"CD45": 4_500, "CD38": ((0.9, 9_000), (0.1, 900)), "CD81": 4_500,
                                  "CD117": ((0.65, 8_000), (0.35, 150))}, fsc=98_000, ssc=27_000,
              autofluorescence=1.5),
    Phenotype("mast_cell", 1.0, {"CD45": 12_000, "CD117": 110_000, "CD38": 1_500, "CD81": 2_500}, fsc=128_000,
              ssc=95_000, ssc_sd=0.3, autofluorescence=5.0),
)  # fmt: skip

_DEAD = (
    Phenotype("dead", 0.6, {"Viability": 42_000, "CD45": 5_000, "CD16": 3_000, "CD14+CD19": 900}, fsc=58_000,
              ssc=70_000, fsc_sd=0.25, ssc_sd=0.40, autofluorescence=4.5, sticky=0.9),
    Phenotype("dead", 0.4, {"Viability": 30_000, "CD45": 14_000, "CD3": 4_000}, fsc=42_000, ssc=32_000, fsc_sd=0.22,
              ssc_sd=0.35, autofluorescence=2.5, sticky=0.8),
)  # fmt: skip
_DEBRIS = (
    Phenotype("debris", 0.7, {}, fsc=11_000, ssc=5_500, fsc_sd=0.45, ssc_sd=0.60, autofluorescence=0.15,
              negative_sd=0.7),
    Phenotype("debris", 0.3, {"CD38": 260}, fsc=21_000, ssc=6_500, fsc_sd=0.30, ssc_sd=0.45, autofluorescence=0.25,
              negative_sd=0.6),
)  # fmt: skip

# Mature neutrophils of blood make up the rest of marrow's granulocytes.
MARROW: tuple[Phenotype, ...] = (*_LYMPHOID, *_MYELOID_BLOOD, *_MARROW_ONLY, *_DEAD, *_DEBRIS)
"""Marrow without its plasma cells, which depend on the donor."""

BLOOD: tuple[Phenotype, ...] = (*_LYMPHOID, *_MYELOID_BLOOD, *_DEAD, *_DEBRIS)
"""Blood without CAR+ cells, plasma cells and beads, which depend on the sample."""
