"""Seeded marrow and blood with known truth, in memory or written as FCS.

Simulated files are simulated: figures obtained on them are about the software and not about an assay.
"""

from __future__ import annotations

from cytomrd.simulate.blood import Blood, plan_blood_tube, simulate_blood
from cytomrd.simulate.donors import Donor, draw_donor
from cytomrd.simulate.laws import LAWS, Law
from cytomrd.simulate.marrow import NUCLEATED_LABELS, plan_marrow_tube, simulate_marrow_tube
from cytomrd.simulate.plasma import CLONES, Clone
from cytomrd.simulate.tube import Clog, SimulatedTube, TubePlan

__all__ = [
    "CLONES",
    "LAWS",
    "NUCLEATED_LABELS",
    "Blood",
    "Clog",
    "Clone",
    "Donor",
    "Law",
    "SimulatedTube",
    "TubePlan",
    "draw_donor",
    "plan_blood_tube",
    "plan_marrow_tube",
    "simulate_blood",
    "simulate_marrow_tube",
]
