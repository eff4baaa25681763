"""From numbers of cells wanted to a plan of a tube: the part that marrow and blood share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cytomrd.simulate.cells import Phenotype
from cytomrd.simulate.classes import build_classes
from cytomrd.simulate.donors import Donor
from cytomrd.simulate.instrument import FLUOROCHROMES, spillover_matrices
from cytomrd.simulate.laws import Law
from cytomrd.simulate.tube import Clog, TubePlan

__all__ = ["draw_clogs", "plan_tube", "seed_sequence"]


def seed_sequence(random_state: int | np.random.SeedSequence) -> np.random.SeedSequence:
    """A seed sequence as it is, or one made of a number."""
    return random_state if isinstance(random_state, np.random.SeedSequence) else np.random.SeedSequence(random_state)


def draw_clogs(law: Law, rng: np.random.Generator) -> tuple[Clog, ...]:
    """Clogs of one file, as often as the law has them; they do not overlap."""
    n = min(2, rng.poisson(law.clogs))
    return tuple(
        Clog(start=float((i + rng.uniform(0.2, 0.8)) / n), length=float(rng.uniform(0.003, 0.02 / n))) for i in range(n)
    )


def plan_tube(
    law: Law,
    donor: Donor,
    phenotypes: Sequence[Phenotype],
    population_counts: Mapping[str, int],
    fluorochrome_of: Mapping[str, str],
    *,
    n_doublets: int,
    clogs: Sequence[Clog],
    seed: np.random.SeedSequence,
    permeabilised: bool = False,
) -> TubePlan:
    """Spread each population's events over its classes and fix everything else of a tube.

    ``population_counts`` must name every population of ``phenotypes``; ``fluorochrome_of`` maps marker to dye, in the
    order of the channels.
    """
    markers = tuple(fluorochrome_of)
    fluorochromes = tuple(fluorochrome_of.values())
    detectors = tuple(FLUOROCHROMES[f].detector for f in fluorochromes)
    classes = build_classes(law, donor, phenotypes, markers, fluorochromes, permeabilised=permeabilised)
    rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 2)))
    counts = np.zeros(classes.share.size, dtype=np.int64)
    for index, name in enumerate(classes.population_names):
        own = np.flatnonzero(classes.population == index)
        counts[own] = rng.multinomial(population_counts[name], classes.share[own] / classes.share[own].sum())
    true, stated = spillover_matrices(law, fluorochromes, detectors)
    return TubePlan(
        law=law,
        classes=classes,
        counts=counts,
        n_doublets=int(n_doublets),
        markers=markers,
        fluorochromes=fluorochromes,
        detectors=detectors,
        spill=true,
        spillover=stated,
        clogs=tuple(clogs),
        seed=seed,
    )
