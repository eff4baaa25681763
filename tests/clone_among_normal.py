"""A clone beside normal cells that lie on its side, in standard units."""

from __future__ import annotations

import numpy as np

from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block

PLACE = np.array([5.0, -5.0, -5.0, 0.0, -5.0])
NO_FLOOR = np.full(5, -np.inf)


def tubes(seed, n_clonal, *, light=LAMBDA, n_alike=60, near=0.4):
    """Two tubes of four shared markers and one more in the first; normal cells lie beside the clone, its cells last."""
    rng = np.random.default_rng(seed)
    blocks = []
    for columns in (np.arange(5), np.arange(4)):
        beside = PLACE[columns] * np.array([1.0, near, near, 1.0, 1.0])[columns]
        x = np.vstack([
            rng.standard_normal((1_500, len(columns))),
            beside + rng.standard_normal((n_alike, len(columns))),
            PLACE[columns] + rng.standard_normal((n_clonal, len(columns))),
        ])  # fmt: skip
        chains = np.where(rng.random(len(x)) < 0.6, KAPPA, LAMBDA).astype(np.int8)
        if n_clonal:
            chains[-n_clonal:] = light
        blocks.append(Block(x, columns, np.ones(len(x)), chains if len(columns) == 4 else None))
    return blocks
