"""Classes of events: phenotypes flattened into tables that a chunk of events can index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from cytomrd.simulate.cells import BACKGROUND, Phenotype
from cytomrd.simulate.donors import Donor
from cytomrd.simulate.instrument import own_light
from cytomrd.simulate.laws import Law

__all__ = ["ClassTable", "build_classes"]


@dataclass(frozen=True, eq=False)
class ClassTable:
    """Parameters of each class: rows are classes, columns of the last five are fluorochromes or (FSC, SSC).

    Attributes
    ----------
    population
        Label of each class, array of shape (n_classes,), uint8, an index into ``population_names``.
    share
        Share of each class within its population, float64.
    log_median, log_sd
        Brightness of the antibodies, float32, shape (n_classes, n_fluorochromes), natural log of units.
    own_light
        Autofluorescence in each detector, float32, units.
    log_scatter, scatter_sd
        FSC-A and SSC-A, float32, shape (n_classes, 2).
    sticky
        Log SD of the factor common to all antibodies, float32, shape (n_classes,).
    light_sd
        Log SD of the own light, float32, shape (n_classes,).
    """

    population_names: tuple[str, ...]
    population: np.ndarray
    share: np.ndarray
    log_median: np.ndarray
    log_sd: np.ndarray
    own_light: np.ndarray
    log_scatter: np.ndarray
    scatter_sd: np.ndarray
    sticky: np.ndarray
    light_sd: np.ndarray


def build_classes(
    law: Law,
    donor: Donor,
    phenotypes: Sequence[Phenotype],
    markers: Sequence[str],
    fluorochromes: Sequence[str],
    *,
    permeabilised: bool = False,
) -> ClassTable:
    """Flatten phenotypes, with their mixtures of levels, under a law and a donor.

    Permeabilised cells have more autofluorescence and unspecific binding, and lose some surface antigen.
    """
    names = tuple(dict.fromkeys(p.population for p in phenotypes))
    nonspecific = law.nonspecific * (1.2 if permeabilised else 1.0)
    light = own_light(law, fluorochromes) * (1.25 if permeabilised else 1.0)
    rows = []
    for phenotype in phenotypes:
        for levels, part in _pure_levels(phenotype.levels, markers):
            rows.append((phenotype, levels, phenotype.share * part))
    share = np.array([r[2] for r in rows])
    population = np.array([names.index(r[0].population) for r in rows], dtype=np.uint8)
    share = share / np.bincount(population, weights=share, minlength=len(names))[population]

    def median(phenotype: Phenotype, levels: Mapping[str, float], marker: str) -> float:
        background = BACKGROUND[marker] * nonspecific
        level = levels.get(marker, 0.0) * (0.85 if permeabilised and not marker.startswith("CyIg") else 1.0)
        level *= law.marker_scale.get(marker, 1.0) * donor.marker_shift.get(marker, 1.0)
        level *= donor.population_shift.get((phenotype.population, marker), 1.0)
        # A level below the unspecific binding is not seen; contrast bends what lies above it.
        return background * (max(level, background) / background) ** law.contrast

    def log_sd(phenotype: Phenotype, levels: Mapping[str, float], marker: str) -> float:
        default = phenotype.positive_sd if levels.get(marker, 0) > 3 * BACKGROUND[marker] else phenotype.negative_sd
        return law.spread * phenotype.spreads.get(marker, default)

    def table(values) -> np.ndarray:
        return np.array([[values(p, levels, m) for m in markers] for p, levels, _ in rows], dtype=np.float32)

    shining = np.array([p.glow > 0 for p, _, _ in rows])
    log_median = np.log(table(median))
    log_median[shining] = -20.0  # a bead binds nothing; its light is all its own
    return ClassTable(
        population_names=names,
        population=population,
        share=share,
        log_median=log_median,
        log_sd=table(log_sd),
        own_light=np.array([0 * light + p.glow if p.glow else light * p.autofluorescence for p, _, _ in rows], "f4"),
        log_scatter=np.log(np.array([[p.fsc * donor.size_shift, p.ssc] for p, _, _ in rows], dtype=np.float32)),
        scatter_sd=np.array([[p.fsc_sd, p.ssc_sd] for p, _, _ in rows], dtype=np.float32),
        sticky=np.array([p.sticky for p, _, _ in rows], dtype=np.float32),
        light_sd=np.where(shining, 0.05, 0.35).astype(np.float32),
    )


def _pure_levels(levels: Mapping[str, object], markers: Sequence[str]) -> list[tuple[dict[str, float], float]]:
    """Every combination of the mixtures among the tube's markers, with its share."""
    options = {}
    for marker in markers:
        if marker in levels:
            level = levels[marker]
            options[marker] = level if isinstance(level, tuple) else ((1.0, level),)
    pure = []
    for choice in product(*options.values()):
        share = 1.0
        for part, _ in choice:
            share *= part
        pure.append(({m: float(v) for m, (_, v) in zip(options, choice, strict=True)}, share))
    return pure
