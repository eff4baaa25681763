"""Laws of simulation: what an instrument, a staining and a group of donors do to the same cells.

A method that was tuned on one law is judged on the others, so they differ in what
matters to a gate: range, noise, spillover, spread, brightness, shape, drift, donors.
None of them is measured on one real instrument; orders of magnitude follow common
digital cytometers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

__all__ = ["LAWS", "Law"]


@dataclass(frozen=True)
class Law:
    """How cells become numbers. Intensities in *units* are channel values of a 262144-range instrument.

    Attributes
    ----------
    name, description
        What it stands for.
    top
        Highest value of a channel (``$PnR``); brighter light saturates at ``top - 1``.
    gain
        Channel values per unit.
    electronic_noise
        Standard deviation of the detector's noise without light, in units.
    photon_noise
        Multiplies the shot noise, whose variance grows with the light that reaches the detector.
    spill_scale, spill_jitter
        Multiplies the table of spillover, and the log SD of each of its entries.
    spill_error
        Relative error of the matrix written to the file against the true one.
    autofluorescence, nonspecific
        Multiply the cells' own light and the unspecific binding of antibodies.
    spread, skew
        Multiplies the log SD of every population; bends its log-normal shape (positive: tail to the right).
    contrast
        Exponent on the ratio of specific to unspecific signal: below 1 the positives are dimmer.
    marker_scale
        Brightness of a marker's antibody against the table in :mod:`cytomrd.simulate.cells`.
    donor_shift, population_shift, abundance_shift
        Log SDs between donors: of a marker on all cells, of a marker on one population, of a population's share.
    doublets, debris, dead
        Fractions of all events.
    drift
        Relative change of signal from the first to the last event.
    clogs
        Mean number of clogs in a file.
    events_per_s
        Acquisition rate.
    pulse_width
        True where the instrument stores FSC-W beside FSC-A and FSC-H.
    """

    name: str
    description: str
    top: float = 262144.0
    gain: float = 1.0
    electronic_noise: float = 22.0
    photon_noise: float = 1.0
    spill_scale: float = 1.0
    spill_jitter: float = 0.15
    spill_error: float = 0.02
    autofluorescence: float = 1.0
    nonspecific: float = 1.0
    spread: float = 1.0
    skew: float = 0.0
    contrast: float = 1.0
    marker_scale: Mapping[str, float] = field(default_factory=dict)
    donor_shift: float = 0.18
    population_shift: float = 0.10
    abundance_shift: float = 0.35
    doublets: float = 0.030
    debris: float = 0.050
    dead: float = 0.010
    drift: float = 0.02
    clogs: float = 0.3
    events_per_s: float = 8000.0
    pulse_width: bool = False


LAWS: Mapping[str, Law] = MappingProxyType({
    law.name: law
    for law in (
        Law("clinical", "a well-kept three-laser clinical cytometer"),
        Law(
            "wide",
            "avalanche photodiodes: 22 bits of range, little noise, some markers brighter",
            top=4194304.0,
            gain=14.0,
            electronic_noise=9.0,
            photon_noise=0.6,
            spill_scale=0.8,
            spill_jitter=0.35,
            marker_scale={"CD38": 0.8, "CD138": 1.5, "CD117": 1.4, "CyIgKappa": 1.4, "CyIgLambda": 1.2, "CAR": 1.5},
            donor_shift=0.15,
            events_per_s=20000.0,
            pulse_width=True,
        ),
        Law(
            "crowded",
            "heavy spillover, autofluorescence and doublets, a drifting and clogging instrument",
            electronic_noise=35.0,
            photon_noise=1.9,
            spill_scale=1.6,
            spill_jitter=0.25,
            spill_error=0.04,
            autofluorescence=1.8,
            nonspecific=1.5,
            spread=1.1,
            doublets=0.06,
            debris=0.09,
            dead=0.025,
            drift=0.06,
            clogs=1.0,
            events_per_s=5000.0,
        ),
        Law(
            "varied",
            "other antibody clones and donors that differ widely; skewed populations",
            skew=0.12,
            spread=1.15,
            marker_scale={
                "CD38": 0.45, "CD27": 0.6, "CD56": 1.6, "CD45": 0.7, "CD19": 0.65, "CD81": 0.6, "CD138": 0.7,
                "CyIgKappa": 0.5, "CyIgLambda": 0.7, "CAR": 0.6,
            },
            donor_shift=0.35,
            population_shift=0.20,
            abundance_shift=0.6,
            spill_jitter=0.3,
        ),
        Law(
            "dim",
            "an older instrument on 20 bits: little contrast between negative and positive",
            top=1048576.0,
            gain=4.0,
            electronic_noise=30.0,
            photon_noise=1.5,
            contrast=0.90,
            skew=-0.10,
            nonspecific=1.3,
            spill_scale=1.2,
            donor_shift=0.22,
            drift=0.04,
            events_per_s=6000.0,
            pulse_width=True,
        ),
    )
})  # fmt: skip
