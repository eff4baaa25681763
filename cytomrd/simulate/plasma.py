"""Plasma cells: the normal ones of a donor, and clones of several phenotypes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Literal

from cytomrd.simulate.cells import Level, Phenotype
from cytomrd.simulate.donors import Donor

__all__ = ["CLONES", "Clone", "clone_phenotype", "normal_plasma_phenotypes"]

LEVELS: Mapping[str, Mapping[str, float]] = MappingProxyType({
    "CD138": {"-": 120, "dim": 3_000, "+": 16_000, "++": 45_000},
    "CD38": {"-": 500, "dim": 7_000, "+": 70_000, "++": 130_000},
    "CD27": {"-": 350, "dim": 2_800, "+": 17_000, "++": 40_000},
    "CD56": {"-": 170, "dim": 3_500, "+": 24_000, "++": 75_000},
    "CD45": {"-": 260, "dim": 1_500, "+": 6_500, "++": 15_000},
    "CD19": {"-": 120, "dim": 1_200, "+": 4_800, "++": 10_000},
    "CD117": {"-": 110, "dim": 1_800, "+": 11_000, "++": 40_000},
    "CD81": {"-": 260, "dim": 1_300, "+": 7_000, "++": 16_000},
})  # fmt: skip
"""What a sign means on a plasma cell, in units of brightness."""

_LIGHT_CHAIN = 55_000.0
_OTHER_LIGHT_CHAIN = 480.0
# CD138 is shed while a sample waits, so it spreads most.
_SPREADS = {
    "CD38": 0.38, "CD138": 0.70, "CD27": 0.45, "CD45": 0.50, "CD56": 0.50, "CyIgKappa": 0.50, "CyIgLambda": 0.50,
}  # fmt: skip
_SCATTER = {"fsc": 114_000.0, "ssc": 47_000.0, "fsc_sd": 0.17, "ssc_sd": 0.26, "autofluorescence": 1.8}


@dataclass(frozen=True)
class Clone:
    """A clone of plasma cells.

    Attributes
    ----------
    light_chain
        ``"kappa"`` or ``"lambda"``.
    levels
        Marker to a sign (``"-"``, ``"dim"``, ``"+"``, ``"++"``) or a median in units. A marker left out is as on
        the commonest normal plasma cell.
    name
        Appears in tables of truth.
    heterogeneity
        Fraction of cells that, for each aberrant marker apart, stand one sign nearer to normal.
    """

    light_chain: Literal["kappa", "lambda"] = "kappa"
    levels: Mapping[str, str | float] = field(default_factory=dict)
    name: str = "clone"
    heterogeneity: float = 0.07

    def __post_init__(self):
        if self.light_chain not in ("kappa", "lambda"):
            raise ValueError(f"light_chain is {self.light_chain!r}; it must be 'kappa' or 'lambda'")
        for marker, level in self.levels.items():
            if marker not in LEVELS:
                raise ValueError(f"clone {self.name!r}: no marker {marker!r}; there are {', '.join(LEVELS)}")
            signs = list(LEVELS[marker])
            if isinstance(level, str) and level not in signs:
                raise ValueError(f"clone {self.name!r}: {marker} is {level!r}; it must be one of {signs} or a number")


_NORMAL = {"CD138": "+", "CD38": "++", "CD27": "+", "CD56": "-", "CD45": "+", "CD19": "+", "CD117": "-", "CD81": "+"}

CLONES: Mapping[str, Clone] = MappingProxyType({
    clone.name: clone
    for clone in (
        Clone("kappa", {"CD19": "-", "CD56": "+", "CD45": "-", "CD27": "-", "CD81": "-", "CD38": "+"}, "typical"),
        Clone("lambda", {"CD19": "-", "CD56": "-", "CD45": "-", "CD27": "dim", "CD81": "-", "CD117": "+", "CD38": "+"},
              "cd117"),
        Clone("kappa", {"CD19": "+", "CD56": "++", "CD45": "dim", "CD27": "dim", "CD81": "dim"}, "cd19_positive"),
        Clone("lambda", {"CD19": "-", "CD56": "+", "CD45": "+", "CD27": "-", "CD81": "dim"}, "cd45_positive"),
        Clone("kappa", {"CD19": "-", "CD56": "+", "CD45": "-", "CD27": "-", "CD81": "-", "CD38": "dim", "CD138": "++"},
              "cd38_low"),
        Clone("kappa", {"CD19": "-", "CD56": "-", "CD45": "-", "CD27": "-", "CD81": "-", "CD38": "+"}, "cd56_negative"),
        Clone("lambda", {"CD19": "-", "CD56": "+", "CD45": "-", "CD27": "+", "CD81": "-"}, "cd27_positive"),
        Clone("kappa", {"CD19": "-", "CD56": "++", "CD45": "-", "CD27": "-", "CD81": "+"}, "cd81_positive"),
    )
})  # fmt: skip
"""Clones by name; ``dataclasses.replace(CLONES["typical"], light_chain="lambda")`` makes others."""


def clone_phenotype(clone: Clone, population: str, donor: Donor) -> Phenotype:
    """The cells of a clone in a donor, whose own shift of each marker is the same in every tube."""
    levels = {}
    for marker, sign in {**_NORMAL, **clone.levels}.items():
        shift, main = donor.clone_shift.get(marker, 1.0), _brightness(marker, sign)
        other = _nearer_to_normal(marker, main)
        levels[marker] = ((1 - clone.heterogeneity, main * shift), (clone.heterogeneity, other * shift))
    # Clonal plasma cells are often larger than normal ones.
    scatter = {**_SCATTER, "fsc": _SCATTER["fsc"] * 1.06}
    return _plasma(population, 1.0, levels, clone.light_chain == "kappa", scatter)


def normal_plasma_phenotypes(donor: Donor) -> tuple[Phenotype, ...]:
    """Normal plasma cells: CD19 and CD56 by the donor's shares; CD45, CD27 and CD81 follow CD19; a few plasmablasts."""
    phenotypes = []
    for subset, share in donor.plasma_subsets.items():
        for levels, part in _subset_levels(subset, donor.plasma_cd45_fraction):
            for kappa in (True, False):
                light = donor.kappa_fraction if kappa else 1 - donor.kappa_fraction
                medians = {marker: _brightness(marker, sign) for marker, sign in levels.items()}
                phenotypes.append(_plasma("plasma_cell", share * part * light, medians, kappa, _SCATTER))
    return tuple(phenotypes)


def _subset_levels(subset: str, cd45_fraction: float) -> list[tuple[dict[str, str], float]]:
    """Sign patterns of one subset and their shares; ``subset`` is like ``"CD19+CD56-"`` or ``"plasmablast"``."""
    if subset == "plasmablast":
        return [({**_NORMAL, "CD138": "-", "CD27": "++", "CD45": "++", "CD81": "++"}, 1.0)]
    cd19, cd56 = "CD19+" in subset, "CD56+" in subset
    # CD19- normal plasma cells are the long-lived ones: less CD45 and CD81 on average.
    cd45 = min(0.98, cd45_fraction * (1.06 if cd19 else 0.70))
    options = {
        "CD45": (("+", cd45), ("-", 1 - cd45)),
        "CD81": (("+", 0.90), ("dim", 0.08), ("-", 0.02)) if cd19 else (("+", 0.62), ("dim", 0.29), ("-", 0.09)),
        "CD27": (("+", 0.93), ("dim", 0.06), ("-", 0.01)) if cd19 else (("+", 0.84), ("dim", 0.12), ("-", 0.04)),
    }
    base = {**_NORMAL, "CD19": "+" if cd19 else "-", "CD56": "dim" if cd56 else "-"}
    patterns = []
    for choice in product(*options.values()):
        levels = {**base, **{marker: sign for marker, (sign, _) in zip(options, choice, strict=True)}}
        patterns.append((levels, prod(part for _, part in choice)))
    return patterns


def _brightness(marker: str, sign: str | float) -> float:
    return float(LEVELS[marker][sign]) if isinstance(sign, str) else float(sign)


def _nearer_to_normal(marker: str, brightness: float) -> float:
    """The next sign's brightness on the way to normal; where it is normal already, the same."""
    normal = _brightness(marker, _NORMAL[marker])
    levels = LEVELS[marker].values()
    if brightness < normal:
        return min(v for v in levels if v > brightness)
    return max((v for v in levels if normal <= v < brightness), default=brightness)


def _plasma(population: str, share: float, levels: dict[str, Level], kappa: bool, scatter: dict) -> Phenotype:
    own, other = ("CyIgKappa", "CyIgLambda") if kappa else ("CyIgLambda", "CyIgKappa")
    light = {own: _LIGHT_CHAIN, other: _OTHER_LIGHT_CHAIN}
    blood = {"CD14+CD19": levels["CD19"]}  # the dump channel sees CD19
    return Phenotype(population, share, {**levels, **light, **blood}, spreads=_SPREADS, **scatter)
