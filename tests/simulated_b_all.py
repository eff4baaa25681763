"""A marrow for another MRD assay: leukaemic blasts among hematogones, in a tube with a nucleic acid dye."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import cytomrd as cm
from cytomrd.preprocess.compensation import Spillover

MARKERS = ("SYTO16", "CD19", "CD10", "CD20", "CD34", "CD38", "CD45")
DETECTORS = ("FITC-A", "PE-Cy7-A", "APC-A", "BV421-A", "PerCP-Cy5-5-A", "APC-Cy7-A", "BV510-A")
DARK = 130.0

# Share of all events, FSC, SSC, and median brightness in the order of MARKERS; 0 is unspecific.
_NUCLEUS = 20_000
POPULATIONS = {
    "granulocyte": (0.42, 110e3, 100e3, (_NUCLEUS, 0, 900, 0, 0, 500, 8_000)),
    "monocyte": (0.06, 100e3, 45e3, (_NUCLEUS, 0, 0, 0, 0, 4_000, 16_000)),
    "t_cell": (0.14, 70e3, 18e3, (_NUCLEUS, 0, 0, 0, 0, 900, 30_000)),
    "nk": (0.02, 74e3, 20e3, (_NUCLEUS, 0, 0, 0, 0, 5_000, 27_000)),
    "nucleated_red_cell": (0.12, 62e3, 16e3, (_NUCLEUS, 0, 0, 0, 0, 0, 0)),
    "progenitor": (0.01, 95e3, 26e3, (_NUCLEUS, 0, 0, 0, 6_000, 5_000, 3_500)),
    "b_cell": (0.03, 66e3, 17e3, (_NUCLEUS, 12_000, 0, 14_000, 0, 800, 25_000)),
    "hematogone_1": (0.003, 76e3, 17e3, (_NUCLEUS, 5_000, 14_000, 0, 5_000, 30_000, 2_500)),
    "hematogone_2": (0.013, 70e3, 16e3, (_NUCLEUS, 8_000, 6_000, 700, 0, 26_000, 6_000)),
    "hematogone_3": (0.005, 68e3, 16e3, (_NUCLEUS, 10_000, 3_000, 9_000, 0, 18_000, 12_000)),
    "erythrocyte": (0.179, 60e3, 9e3, (0, 0, 0, 0, 0, 0, 0)),
}
BLAST = (92e3, 20e3, (_NUCLEUS, 6_000, 55_000, 0, 7_000, 2_200, 700))
NUCLEATED = tuple(name for name in POPULATIONS if name != "erythrocyte")


def write_marrow(path: Path, n_events: int, n_blasts: int, *, seed: int) -> dict[str, int]:
    """Write one tube and return the events of each population."""
    rng = np.random.default_rng(seed)
    shift = np.exp(0.12 * rng.standard_normal(len(MARKERS)))
    names = [*POPULATIONS, "blast"]
    counts = rng.multinomial(n_events - n_blasts, [p[0] for p in POPULATIONS.values()]).tolist()
    counts.append(n_blasts)
    blocks = []
    for name, n in zip(names, counts, strict=True):
        fsc, ssc, levels = BLAST if name == "blast" else POPULATIONS[name][1:]
        area = fsc * np.exp(0.10 * rng.standard_normal(n))
        height = 1.9 * area**0.93 * np.exp(0.03 * rng.standard_normal(n))
        side = ssc * np.exp(0.20 * rng.standard_normal(n))
        specific = np.array(levels) * shift
        sd = np.where(specific > 3 * DARK, 0.40, 0.50)
        light = np.maximum(specific, DARK) * np.exp(sd * rng.standard_normal((n, len(MARKERS))))
        blocks.append(np.column_stack([area, height, side, light]))
    events = np.vstack(blocks)[rng.permutation(n_events)]
    matrix = np.eye(len(MARKERS)) + 0.02 * (1 - np.eye(len(MARKERS)))
    light = events[:, 3:] @ matrix
    events[:, 3:] = light + np.sqrt(light + 25.0**2) * rng.standard_normal(light.shape)
    time = np.sort(rng.uniform(0, n_events / 8_000, n_events))
    cm.write_fcs(
        path, np.column_stack([np.minimum(events, 262_143), time / 0.01]),
        ("FSC-A", "FSC-H", "SSC-A", *DETECTORS, "Time"), markers=("", "", "", *MARKERS, ""),
        spillover=Spillover(DETECTORS, matrix), timestep=0.01,
    )  # fmt: skip
    return dict(zip(names, counts, strict=True))
