"""Donors for judging gates: four laws that no panel was tuned on, and donors who depart from them in every way asked.

Each judging takes seeds that no one has looked at: 10,000 to 10,039 were the first, 30,000 to 30,039
the second, 50,000 on are the present ones. A method may be tuned on :data:`TUNING_LAWS`, and on the judging laws at
other seeds, but for the last of them.
"""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.gating.apply import ArrayDataset
from cytomrd.simulate import (
    CLONES,
    LAWS,
    Blood,
    Donor,
    Law,
    SimulatedTube,
    draw_donor,
    simulate_blood,
    simulate_marrow_tube,
)

__all__ = [
    "CASES",
    "JUDGING_LAWS",
    "JUDGING_SEED",
    "TUNING_LAWS",
    "Case",
    "as_dataset",
    "draw_case",
    "draw_departed",
    "draw_run",
]

JUDGING_SEED = 70_000
TUNING_LAWS = tuple(LAWS.values())
JUDGING_LAWS = (
    Law(
        "amplified",
        "photomultipliers on 18 bits run hot: bright markers near the top, strong shot noise",
        gain=1.3,
        electronic_noise=15.0,
        photon_noise=2.2,
        spill_jitter=0.4,
        nonspecific=0.8,
        marker_scale={"CD45": 1.6, "CD38": 1.3, "CD19": 0.7, "CD56": 0.6, "CD3": 1.4, "CD16": 0.5, "CD138": 0.8},
        doublets=0.045,
        events_per_s=12_000.0,
        pulse_width=True,
    ),
    Law(
        "faint",
        "20 bits at a low gain: weak conjugates, much unspecific binding, tails to the left",
        top=1_048_576.0,
        gain=1.2,
        electronic_noise=40.0,
        contrast=0.93,
        nonspecific=1.6,
        skew=-0.15,
        spill_scale=0.7,
        marker_scale={"CD45": 0.6, "CD138": 1.2, "CD27": 1.5, "CD19": 1.3, "CD81": 0.7, "CD117": 0.6, "CD3": 0.6},
        donor_shift=0.25,
        abundance_shift=0.45,
        events_per_s=3_000.0,
    ),
    Law(
        "tailed",
        "22 bits, clean optics, populations with long right tails, many doublets and dead cells",
        top=4_194_304.0,
        gain=8.0,
        electronic_noise=12.0,
        photon_noise=0.5,
        spill_scale=1.3,
        skew=0.18,
        autofluorescence=0.6,
        marker_scale={"CD38": 0.6, "CD56": 1.8, "CD16": 1.5, "CD45": 1.2, "CD14+CD19": 0.6, "Viability": 0.7},
        population_shift=0.15,
        doublets=0.08,
        dead=0.03,
        events_per_s=25_000.0,
    ),
    Law(
        "aged",
        "photomultipliers on 18 bits at low voltage: tandems broken down, other clones, donors far apart",
        gain=0.6,
        electronic_noise=28.0,
        photon_noise=1.4,
        spill_scale=1.4,
        spill_jitter=0.3,
        nonspecific=1.2,
        contrast=0.95,
        skew=0.08,
        autofluorescence=1.3,
        marker_scale={"CD45": 0.8, "CD38": 0.7, "CD19": 0.5, "CD56": 1.3, "CD138": 0.9, "CD3": 0.8, "CAR": 0.7},
        donor_shift=0.30,
        population_shift=0.18,
        abundance_shift=0.5,
        doublets=0.05,
        dead=0.02,
        events_per_s=6_000.0,
    ),
)

CASES = (
    "plain",
    "hypocellular",
    "no B precursors",
    "CD38 lost",
    "autofluorescent",
    "clogged",
    "CD38 lost, no B precursors",
    "blast of debris",
)
"""What befalls a donor besides the departures that all have; donor ``i`` has ``CASES[i % 8]``."""

_MARROW_EVENTS, _HYPOCELLULAR_EVENTS, _BLOOD_LEUKOCYTES = 120_000, 15_000, 60_000

Channel = namedtuple("Channel", "range gain decades offset")


@dataclass(frozen=True)
class Case:
    """A donor's tube with its truth."""

    law: str
    case: str
    seed: int
    tube: str
    simulated: SimulatedTube


def draw_case(law: Law, i: int, *, blood: bool = False, first_seed: int = JUDGING_SEED) -> Case:
    """Draw the tube of donor ``i`` of a law (:func:`draw_departed`); a marrow is tube 1 or 2 by turns."""
    law, donor, rng = draw_departed(law, i, first_seed=first_seed)
    case, seed = CASES[i % len(CASES)], first_seed + i
    if blood:
        return Case(law.name, case, seed, "blood", _blood(law, donor, case, rng, seed))
    tube = "12"[(i // len(CASES)) % 2]
    return Case(law.name, case, seed, tube, _marrow(law, donor, case, rng, seed, tube))


def draw_departed(law: Law, i: int, *, first_seed: int = JUDGING_SEED) -> tuple[Law, Donor, np.random.Generator]:
    """Draw donor ``i`` of a law: means within 0.5 asinh units, spreads by 0.7 to 1.6, a matrix 2 % wrong, drift to 8 %.

    Every marker is shifted on all cells by its own factor of exp(-0.5) to exp(0.5); a donor has an instrument of
    their own, thus another spillover matrix: the law comes back with the donor.
    """
    seed = first_seed + i
    rng = np.random.default_rng([seed, *law.name.encode()])
    case = CASES[i % len(CASES)]
    law = replace(
        law,
        name=f"{law.name} {seed}",
        spread=law.spread * float(np.exp(rng.uniform(np.log(0.7), np.log(1.6)))),
        spill_error=0.02,
        drift=float(rng.uniform(0.0, 0.08)),
        clogs=2.0 if case == "clogged" else 0.3,
        debris=0.30 if case == "blast of debris" else float(rng.uniform(0.01, 0.30)),
        autofluorescence=law.autofluorescence * (3.0 if case == "autofluorescent" else 1.0),
    )
    donor = draw_donor(law, int(rng.integers(2**31)))
    shift = {m: v * float(np.exp(rng.uniform(-0.5, 0.5))) for m, v in donor.marker_shift.items()}
    if "CD38 lost" in case:
        shift["CD38"] *= 0.08
    abundance = dict(donor.abundance)
    if "no B precursors" in case:
        abundance["b_precursor"] = 0.0
    return law, replace(donor, marker_shift=shift, abundance=abundance), rng


def draw_run(law: Law, run: int, *, n_samples: int, first_seed: int) -> list[Case]:
    """Draw the marrows of a run: one instrument and one set of reagents, which depart from the law, other donors."""
    shared, reagents, _ = draw_departed(law, 8 * run, first_seed=first_seed)
    usual = draw_donor(replace(law, donor_shift=0.0), 0).marker_shift
    cases = []
    for i in range(n_samples):
        seed = first_seed + 1_000 * (run + 1) + i
        _, departed, rng = draw_departed(law, i, first_seed=first_seed + 1_000 * (run + 1))
        donor = draw_donor(law, int(rng.integers(2**31)))
        case = CASES[i % len(CASES)]
        shift = {m: v * reagents.marker_shift[m] / usual[m] for m, v in donor.marker_shift.items()}
        if "CD38 lost" in case:
            shift["CD38"] *= 0.08
        own = replace(
            shared,
            drift=float(rng.uniform(0.0, 0.08)),
            clogs=2.0 if case == "clogged" else 0.3,
            debris=0.30 if case == "blast of debris" else float(rng.uniform(0.01, 0.30)),
            autofluorescence=law.autofluorescence * (3.0 if case == "autofluorescent" else 1.0),
        )
        donor = replace(donor, marker_shift=shift, abundance=departed.abundance)
        cases.append(Case(law.name, case, seed, "12"[run % 2], _marrow(own, donor, case, rng, seed, "12"[run % 2])))
    return cases


def _marrow(law: Law, donor: Donor, case: str, rng, seed: int, tube: str) -> SimulatedTube:
    n_events = _HYPOCELLULAR_EVENTS if case == "hypocellular" else _MARROW_EVENTS
    clone = CLONES[list(CLONES)[int(rng.integers(len(CLONES)))]]
    return simulate_marrow_tube(
        law, donor, n_events, 0.004, clone=clone, n_clonal=n_events // 800, tube=tube, random_state=seed
    )


def _blood(law: Law, donor: Donor, case: str, rng, seed: int) -> SimulatedTube:
    blood = Blood(
        nk_fraction=float(rng.uniform(0.03, 0.2)), car_nk_fraction=0.1, plasma_fraction=0.002,
        dead_fraction=float(rng.uniform(0.01, 0.08)), debris_fraction=law.debris,
    )  # fmt: skip
    n_leukocytes = _BLOOD_LEUKOCYTES // (8 if case == "hypocellular" else 1)
    return simulate_blood(law, donor, blood, n_leukocytes, beads_per_tube=50_000, random_state=seed)


def as_dataset(tube: SimulatedTube) -> ArrayDataset:
    """A simulated tube as an opened file: scale values, marker names, ranges and the stated matrix."""
    dataset = ArrayDataset(tube.scale_events, tube.detectors, tube.spillover)
    dataset.markers = tube.markers
    dataset.channels = tuple(Channel(tube.top, 1.0, 0.0, 0.0) for _ in tube.detectors)
    return dataset
