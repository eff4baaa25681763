"""Instruments: fluorochromes, the detectors that see them, spillover, own light and noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from cytomrd.preprocess.compensation import Spillover
from cytomrd.simulate.laws import Law

__all__ = ["FLUOROCHROMES", "Fluorochrome", "own_light", "shot_noise", "spillover_matrices"]


@dataclass(frozen=True)
class Fluorochrome:
    """A dye and the detector meant for it.

    ``own_light`` is a lymphocyte's autofluorescence in that detector, in units; ``noise`` is the variance
    of the shot noise per unit of light (the fewer photoelectrons a unit stands for, the larger).
    """

    detector: str
    own_light: float
    noise: float


FLUOROCHROMES: Mapping[str, Fluorochrome] = MappingProxyType({
    "BV421": Fluorochrome("BV421-A", 60.0, 6.0),
    "BV510": Fluorochrome("BV510-A", 160.0, 12.0),
    "BV605": Fluorochrome("BV605-A", 90.0, 9.0),
    "BV650": Fluorochrome("BV650-A", 60.0, 9.0),
    "FITC": Fluorochrome("FITC-A", 130.0, 8.0),
    "PE": Fluorochrome("PE-A", 90.0, 4.0),
    "PerCPCy5.5": Fluorochrome("PerCP-Cy5-5-A", 60.0, 22.0),
    "PECy7": Fluorochrome("PE-Cy7-A", 25.0, 14.0),
    "APC": Fluorochrome("APC-A", 30.0, 8.0),
    "AF700": Fluorochrome("AF700-A", 25.0, 18.0),
    "APCC750": Fluorochrome("APC-C750-A", 25.0, 24.0),
    "FVS780": Fluorochrome("APC-Cy7-A", 25.0, 24.0),
})  # fmt: skip

# (dye, detector of the other dye): fraction of the dye's own signal. Round figures in the usual order.
_SPILL: Mapping[tuple[str, str], float] = MappingProxyType({
    ("BV421", "BV510"): 0.11, ("BV421", "BV605"): 0.02, ("BV421", "BV650"): 0.008,
    ("BV510", "BV421"): 0.05, ("BV510", "BV605"): 0.28, ("BV510", "BV650"): 0.12, ("BV510", "FITC"): 0.012,
    ("BV510", "PerCPCy5.5"): 0.015,
    ("BV605", "BV421"): 0.03, ("BV605", "BV510"): 0.02, ("BV605", "BV650"): 0.42, ("BV605", "PE"): 0.08,
    ("BV605", "PerCPCy5.5"): 0.07, ("BV605", "AF700"): 0.06,
    ("BV650", "BV421"): 0.03, ("BV650", "BV605"): 0.12, ("BV650", "APC"): 0.25, ("BV650", "AF700"): 0.12,
    ("FITC", "BV510"): 0.025, ("FITC", "PE"): 0.20, ("FITC", "PerCPCy5.5"): 0.025, ("FITC", "BV605"): 0.006,
    ("PE", "FITC"): 0.010, ("PE", "BV605"): 0.06, ("PE", "PerCPCy5.5"): 0.17, ("PE", "PECy7"): 0.020,
    ("PerCPCy5.5", "PECy7"): 0.22, ("PerCPCy5.5", "APC"): 0.020, ("PerCPCy5.5", "AF700"): 0.12,
    ("PerCPCy5.5", "APCC750"): 0.05, ("PerCPCy5.5", "BV650"): 0.06,
    ("PECy7", "PE"): 0.020, ("PECy7", "PerCPCy5.5"): 0.010, ("PECy7", "APCC750"): 0.06,
    ("APC", "PerCPCy5.5"): 0.008, ("APC", "BV650"): 0.10, ("APC", "AF700"): 0.20, ("APC", "APCC750"): 0.11,
    ("AF700", "APC"): 0.02, ("AF700", "APCC750"): 0.40, ("AF700", "PECy7"): 0.02,
    ("APCC750", "APC"): 0.06, ("APCC750", "PECy7"): 0.09, ("APCC750", "AF700"): 0.08,
})  # fmt: skip
_SAME_BAND = {"FVS780": "APCC750"}


def spillover_matrices(
    law: Law, fluorochromes: Sequence[str], detectors: Sequence[str]
) -> tuple[np.ndarray, Spillover]:
    """The spillover that happens, and the one that the file's keyword states.

    Returns
    -------
    true
        Array of shape (n_fluorochromes, n_fluorochromes), float64; row = dye, column = detector.
    stated
        The same within ``law.spill_error``, since a lab's matrix is measured.
    """
    # Seeded by the law's name: an instrument has one matrix, whatever sample runs on it.
    rng = np.random.default_rng(list(law.name.encode()))
    n = len(fluorochromes)
    bands = [_SAME_BAND.get(f, f) for f in fluorochromes]
    jitter = np.exp(law.spill_jitter * rng.standard_normal((n, n)))
    error = 1 + law.spill_error * rng.standard_normal((n, n))
    true = np.eye(n)
    for i, row in enumerate(bands):
        for j, column in enumerate(bands):
            if i != j:
                true[i, j] = min(0.75, _SPILL.get((row, column), 0.0) * law.spill_scale * jitter[i, j])
    stated = np.where(np.eye(n, dtype=bool), 1.0, true * error)
    return true, Spillover(tuple(detectors), np.round(stated, 6), source="$SPILLOVER")


def own_light(law: Law, fluorochromes: Sequence[str]) -> np.ndarray:
    """A lymphocyte's autofluorescence in each detector, in units, array of shape (n_fluorochromes,)."""
    return law.autofluorescence * np.array([FLUOROCHROMES[f].own_light for f in fluorochromes])


def shot_noise(law: Law, fluorochromes: Sequence[str]) -> np.ndarray:
    """Variance of the noise per unit of light, in units, array of shape (n_fluorochromes,)."""
    return law.photon_noise * np.array([FLUOROCHROMES[f].noise for f in fluorochromes])
