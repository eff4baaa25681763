"""Single stains of a spectral instrument with known spectra."""

from __future__ import annotations

import numpy as np

from cytomrd.preprocess.stain_tube import StainTube

PEAKS = (3, 7, 8, 13, 19, 24)
N_DETECTORS = 28
DETECTORS = tuple(f"D{k + 1}-A" for k in range(N_DETECTORS))
NAMES = tuple(f"dye {k + 1}" for k in range(len(PEAKS)))
AF = np.exp(-(((np.arange(N_DETECTORS) - 10) / 9.0) ** 2))


def spectrum(peak: float) -> np.ndarray:
    """Steep on the blue side, long on the red one."""
    off = np.arange(N_DETECTORS) - peak
    return np.exp(-((off / np.where(off < 0, 1.2, 3.5)) ** 2))


TRUE = np.array([spectrum(p) for p in PEAKS])


def draw_spectral(k: int | None, n: int = 4_000, *, seed: int = 0, stained: float = 0.4) -> StainTube:
    rng = np.random.default_rng([seed, 99 if k is None else k])
    size = rng.lognormal(0, 0.2, n)
    signal = (150 * size * rng.lognormal(0, 0.3, n))[:, None] * AF
    if k is not None:
        dye = np.where(rng.random(n) < stained, 20_000 * size * rng.lognormal(0, 0.5, n), 0.0)
        signal = signal + dye[:, None] * TRUE[k]
    values = signal + rng.normal(0, 1, signal.shape) * np.sqrt(20.0**2 + 2.0 * signal)
    scatter = np.stack([60_000 * size, 20_000 * size * rng.lognormal(0, 0.2, n)], axis=1)
    name = "unstained" if k is None else NAMES[k]
    return StainTube(f"{name}.fcs", values, scatter, "" if k is None else name)
