"""Marrow tubes for myeloma MRD, EuroFlow NGF: eight colours, two tubes, one donor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from cytomrd.simulate.cells import MARROW
from cytomrd.simulate.donors import Donor
from cytomrd.simulate.laws import Law
from cytomrd.simulate.planning import draw_clogs, plan_tube, seed_sequence
from cytomrd.simulate.plasma import Clone, clone_phenotype, normal_plasma_phenotypes
from cytomrd.simulate.tube import Clog, SimulatedTube, TubePlan

__all__ = ["CLONAL_LABELS", "MARROW_TUBES", "NUCLEATED_LABELS", "plan_marrow_tube", "simulate_marrow_tube"]

_BACKBONE = {
    "CD138": "BV421",
    "CD27": "BV510",
    "CD38": "FITC",
    "CD56": "PE",
    "CD45": "PerCPCy5.5",
    "CD19": "PECy7",
}
MARROW_TUBES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "1": {**_BACKBONE, "CD117": "APC", "CD81": "APCC750"},
    "2": {**_BACKBONE, "CyIgKappa": "APC", "CyIgLambda": "APCC750"},
})  # fmt: skip
"""Marker to fluorochrome of each tube (doi:10.1038/leu.2017.29)."""

_SHARES = {
    "granulocyte": 0.55, "nucleated_red_cell": 0.17, "t_cell": 0.12, "monocyte": 0.055, "eosinophil": 0.03,
    "b_cell": 0.022, "nk": 0.02, "progenitor": 0.013, "b_precursor": 0.012, "basophil": 0.003,
    "dendritic_cell": 0.003, "mast_cell": 0.00015,
}  # fmt: skip
CLONAL_LABELS = ("clonal_plasma_cell", "clonal_plasma_cell_2")
"""Labels of the first and the second clone."""
NUCLEATED_LABELS = (*_SHARES, "plasma_cell", *CLONAL_LABELS)
"""Labels that count as nucleated cells: whole, single, alive."""


def plan_marrow_tube(
    law: Law,
    donor: Donor,
    n_events: int,
    plasma_fraction: float = 0.002,
    *,
    clone: Clone | Sequence[Clone] | None = None,
    n_clonal: int | Sequence[int] | None = None,
    clonal_fraction: float | Sequence[float] | None = None,
    tube: str = "1",
    clogs: Sequence[Clog] | None = None,
    random_state: int | np.random.SeedSequence = 0,
) -> TubePlan:
    """Plan a marrow tube; see :func:`simulate_marrow_tube`. Its ``chunks()`` need constant memory."""
    seed = seed_sequence(random_state)
    rng = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 3)))
    clones = () if clone is None else (clone,) if isinstance(clone, Clone) else tuple(clone)
    if len(clones) > len(CLONAL_LABELS):
        raise ValueError(f"{len(clones)} clones; at most {len(CLONAL_LABELS)} can be told apart by label")
    if tube not in MARROW_TUBES:
        raise ValueError(f"tube is {tube!r}; it must be one of {list(MARROW_TUBES)}")
    if not 0 <= plasma_fraction < 1:
        raise ValueError(f"plasma_fraction is {plasma_fraction}; it must lie in [0, 1)")

    n_doublets, n_debris, n_dead = (rng.binomial(n_events, f) for f in (law.doublets, law.debris, law.dead))
    n_nucleated = n_events - n_doublets - n_debris - n_dead
    n_clones = _clonal_counts(clones, n_clonal, clonal_fraction, n_nucleated, rng)
    n_normal = n_nucleated - sum(n_clones)
    if n_normal < 0:
        raise ValueError(f"{sum(n_clones)} clonal cells do not fit among {n_nucleated} nucleated cells")
    shares = {name: share * donor.abundance.get(name, 1.0) for name, share in _SHARES.items()}
    total = sum(shares.values())
    probabilities = [plasma_fraction, *((1 - plasma_fraction) * s / total for s in shares.values())]
    drawn = rng.multinomial(n_normal, probabilities)
    counts = dict(zip(("plasma_cell", *shares), drawn.tolist(), strict=True))
    counts |= {"debris": n_debris, "dead": n_dead}
    counts |= dict(zip(CLONAL_LABELS, n_clones, strict=False))
    phenotypes = [
        *MARROW,
        *normal_plasma_phenotypes(donor),
        *(clone_phenotype(c, label, donor) for c, label in zip(clones, CLONAL_LABELS, strict=False)),
    ]
    return plan_tube(
        law,
        donor,
        phenotypes,
        counts,
        MARROW_TUBES[tube],
        n_doublets=n_doublets,
        clogs=draw_clogs(law, rng) if clogs is None else clogs,
        seed=seed,
        permeabilised=tube == "2",
    )


def simulate_marrow_tube(
    law: Law,
    donor: Donor,
    n_events: int,
    plasma_fraction: float = 0.002,
    *,
    clone: Clone | Sequence[Clone] | None = None,
    n_clonal: int | Sequence[int] | None = None,
    clonal_fraction: float | Sequence[float] | None = None,
    tube: str = "1",
    clogs: Sequence[Clog] | None = None,
    random_state: int | np.random.SeedSequence = 0,
) -> SimulatedTube:
    """Simulate one marrow tube of the EuroFlow myeloma panel.

    Parameters
    ----------
    law, donor
        How cells are measured, and whose they are; one donor for the tubes of one marrow.
    n_events
        All events of the file: cells, doublets, debris, dead cells.
    plasma_fraction
        Normal plasma cells as a fraction of nucleated cells.
    clone
        A clone, or two subclones.
    n_clonal
        Exactly so many clonal cells (single, alive), for each clone.
    clonal_fraction
        Instead of ``n_clonal``: of nucleated cells, drawn from a Poisson distribution.
    tube
        ``"1"`` (surface: CD117, CD81) or ``"2"`` (cytoplasmic light chains).
    clogs
        Disturbances of the flow; drawn from the law where left out.
    random_state
        The same arguments give the same events.

    Returns
    -------
    SimulatedTube
        Labels ``plasma_cell`` (normal), ``clonal_plasma_cell``, ``clonal_plasma_cell_2``, ``doublet``, ...

    Raises
    ------
    ValueError
        If the clones and their counts do not fit together or into the tube.

    Examples
    --------
    >>> from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube
    >>> law = LAWS["clinical"]
    >>> tube = simulate_marrow_tube(
    ...     law, draw_donor(law, 1), 20_000, 0.004, clone=CLONES["typical"], n_clonal=30, tube="2", random_state=2
    ... )
    >>> tube.events.shape, tube.counts["clonal_plasma_cell"]
    ((20000, 12), 30)
    """
    plan = plan_marrow_tube(
        law, donor, n_events, plasma_fraction,
        clone=clone, n_clonal=n_clonal, clonal_fraction=clonal_fraction, tube=tube, clogs=clogs,
        random_state=random_state,
    )  # fmt: skip
    return plan.simulate()


def _clonal_counts(clones, n_clonal, clonal_fraction, n_nucleated: int, rng) -> list[int]:
    if not clones:
        if n_clonal or clonal_fraction:
            raise ValueError("n_clonal or clonal_fraction is given, but no clone")
        return []
    if (n_clonal is None) == (clonal_fraction is None):
        raise ValueError("a clone needs either n_clonal or clonal_fraction")
    given = n_clonal if clonal_fraction is None else clonal_fraction
    values = [given] if np.ndim(given) == 0 else list(given)
    if len(values) != len(clones):
        raise ValueError(f"{len(clones)} clones, but {len(values)} counts")
    if clonal_fraction is None:
        return [int(v) for v in values]
    return [int(rng.poisson(v * n_nucleated)) for v in values]
