"""Single stains with a known spillover matrix, of several laws."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cytomrd.preprocess.stain_tube import StainTube

DETECTORS = ("FITC-A", "PE-A", "PerCP-Cy5-5-A", "PE-Cy7-A", "APC-A", "APC-Cy7-A", "V450-A", "V500-A")
TRUE = np.array(
    [
        [1, 0.22, 0.04, 0.006, 0.001, 0, 0.002, 0.01],
        [0.012, 1, 0.30, 0.03, 0.001, 0, 0, 0.005],
        [0.001, 0.004, 1, 0.33, 0.05, 0.04, 0, 0],
        [0.002, 0.02, 0.03, 1, 0.001, 0.08, 0, 0],
        [0, 0.001, 0.02, 0.006, 1, 0.11, 0, 0],
        [0, 0, 0.004, 0.09, 0.07, 1, 0, 0.001],
        [0.001, 0, 0, 0, 0, 0, 1, 0.28],
        [0.03, 0.01, 0.002, 0, 0, 0, 0.12, 1],
    ]
)
AUTOFLUORESCENCE = np.array([0.6, 0.4, 0.5, 0.15, 0.1, 0.05, 0.7, 1.0])
TOP = 262143.0


@dataclass(frozen=True)
class Law:
    """How a control tube is made: kinds of cells with (share, FSC, SSC, autofluorescence), noise, stain."""

    kinds: tuple[tuple[float, float, float, float], ...] = (
        (0.55, 60_000, 20_000, 80.0), (0.12, 80_000, 50_000, 250.0), (0.33, 95_000, 120_000, 400.0),
    )  # fmt: skip
    stained_kind: int = 0
    stained: float = 0.3
    brightness: float = 8_000.0
    spread: float = 0.7
    af_spread: float = 0.35
    electronic: float = 25.0
    photons: float = 0.15
    debris: float = 0.0
    doublets: float = 0.0
    log_amplifier: bool = False


BLOOD = Law()
BEADS = Law(kinds=((1.0, 40_000, 60_000, 40.0),), stained=0.5, spread=0.15, af_spread=0.05)
CULTURE = Law(kinds=((1.0, 90_000, 40_000, 300.0),), stained=1.0, spread=0.4, af_spread=0.4)
CALIBUR = Law(kinds=((1.0, 420.0, 130.0, 4.0),), stained=1.0, brightness=700.0, spread=0.35, af_spread=0.3,
              electronic=0.0, photons=0.02, log_amplifier=True)  # fmt: skip
LAWS = {"blood": BLOOD, "beads": BEADS, "culture": CULTURE, "calibur": CALIBUR}


def draw_tube(law: Law, own: int | None, n: int = 20_000, *, seed: int = 0) -> StainTube:
    """Events of a single stain of a detector, or of unstained cells (None)."""
    rng = np.random.default_rng([seed, 0 if own is None else own + 1])
    share = np.array([k[0] for k in law.kinds])
    kind = rng.choice(len(share), n, p=share / share.sum())
    fsc, ssc, af = (np.array([k[c] for k in law.kinds])[kind] for c in (1, 2, 3))
    size = rng.lognormal(0, 0.12, n)
    fsc, ssc = fsc * size, ssc * size**1.5 * rng.lognormal(0, 0.2, n)
    signal = (af * size * rng.lognormal(0, law.af_spread, n))[:, None] * AUTOFLUORESCENCE
    signal = signal * rng.lognormal(0, 0.1, (n, len(DETECTORS)))
    if own is not None:
        stained = (kind == law.stained_kind) & (rng.random(n) < law.stained)
        dye = np.where(stained, law.brightness * size * rng.lognormal(0, law.spread, n), 0.0)
        signal = signal + dye[:, None] * TRUE[own]
    debris = rng.random(n) < law.debris
    fsc, ssc = np.where(debris, fsc * rng.uniform(0.02, 0.3, n), fsc), np.where(debris, ssc * 0.2, ssc)
    signal[debris] *= rng.uniform(0, 0.5, (debris.sum(), 1))
    pairs = np.flatnonzero(rng.random(n) < law.doublets)
    others = rng.integers(0, n, len(pairs))
    signal[pairs] += signal[others]
    fsc[pairs] += fsc[others]
    ssc[pairs] += ssc[others]
    values = signal + rng.normal(0, 1, signal.shape) * np.sqrt(
        law.electronic**2 + law.photons * signal * af.mean() ** 0.5
    )
    scatter = np.stack([fsc, ssc], axis=1)
    name = "unstained.fcs" if own is None else f"{DETECTORS[own]}.fcs"
    stain = "" if own is None else DETECTORS[own]
    steps = np.zeros(len(DETECTORS))
    tops = np.full(len(DETECTORS), TOP)
    if law.log_amplifier:
        channel = np.clip(np.floor(np.log10(np.maximum(values, 1.0)) * 256), 0, 1023)
        values, scatter = 10 ** (channel / 256), np.clip(np.round(scatter), 0, 1023)
        steps, tops = np.full(len(DETECTORS), np.log(10) / 256), np.full(len(DETECTORS), 10 ** (1023 / 256))
    else:
        values, scatter = np.minimum(values, TOP), np.minimum(scatter, TOP)
    return StainTube(name, values, scatter, stain, stain, 0.9999 * tops, None, steps)


def draw_set(law: Law, n: int = 20_000, *, seed: int = 0):
    """All single stains and the unstained tube."""
    stains = [draw_tube(law, k, n, seed=seed) for k in range(len(DETECTORS))]
    return stains, draw_tube(law, None, n, seed=seed)


NUISANCES = ("none", "unstained cells dimmer", "all cells a little stained", "stained cells brighter", "no unstained")


def draw_any(seed: int):
    """A set of a random law with one of `NUISANCES`: (nuisance, stains, unstained or None)."""
    rng = np.random.default_rng(seed)
    where = [(60_000, 20_000), (85_000, 55_000), (100_000, 130_000)][: int(rng.integers(1, 4))]
    kinds = tuple(
        (rng.uniform(0.1, 1), x * rng.uniform(0.8, 1.2), y * rng.uniform(0.8, 1.2), rng.uniform(50, 500))
        for x, y in where
    )
    law = Law(
        kinds, int(rng.integers(len(kinds))), stained=rng.choice([0.05, 0.2, 0.5, 0.9]),
        brightness=10 ** rng.uniform(3.2, 4.8), spread=rng.uniform(0.15, 1.2), af_spread=rng.uniform(0.1, 0.9),
        electronic=rng.uniform(10, 120), photons=rng.uniform(0.05, 1), debris=rng.choice([0, 0.1, 0.4]),
        doublets=rng.choice([0, 0.05]),
    )  # fmt: skip
    stains, unstained = draw_set(law, int(rng.choice([2_000, 10_000, 30_000])), seed=seed)
    nuisance = NUISANCES[seed % len(NUISANCES)]
    if nuisance == "unstained cells dimmer":
        unstained = replace(unstained, values=0.8 * unstained.values)
    elif nuisance == "all cells a little stained":
        stains = [replace(t, values=t.values + 150 * TRUE[k]) for k, t in enumerate(stains)]
    elif nuisance == "stained cells brighter":
        lit = [t.values[:, k] > 0.3 * law.brightness for k, t in enumerate(stains)]
        more = 100 * AUTOFLUORESCENCE
        stains = [replace(t, values=t.values + p[:, None] * more) for t, p in zip(stains, lit, strict=True)]
    return nuisance, stains, None if nuisance == "no unstained" else unstained
