"""The scan for places where a clone may be."""

from __future__ import annotations

import numpy as np

from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.mixture import Block
from cytomrd.mrd.scan import scan_places

N = 600


def tubes(seed, n_clonal, light=LAMBDA):
    """Two tubes of five shared markers and one more in the first; the clone is low on three and high on the first."""
    rng = np.random.default_rng(seed)
    blocks = []
    for columns in (np.arange(6), np.arange(5)):
        normal = rng.standard_normal((N, len(columns)))
        # Any one marker is low in a fifth of the normal cells.
        normal -= 6.0 * (rng.random(normal.shape) < 0.2)
        place = np.array([6.0, -6.0, -6.0, -6.0, 0.0, -6.0])[: len(columns)]
        x = np.vstack([normal, place + rng.standard_normal((n_clonal, len(columns)))])
        chains = np.where(rng.random(len(x)) < 0.6, KAPPA, LAMBDA).astype(np.int8)
        if light is not None:
            chains[N:] = light
        blocks.append(Block(x, columns, np.ones(len(x)), chains if len(columns) == 5 else None))
    return blocks, [(b.x < -3.0).any(axis=1) for b in blocks]


def test_a_dozen_cells_in_each_tube_are_found():
    blocks, aberrant = tubes(0, 12)
    place = scan_places(blocks, aberrant)[0]
    assert np.abs(place.centre - [6, -6, -6, -6, 0, -6]).max() < 1.2
    assert min(place.n_inside) >= 7


def test_polyclonal_cells_at_a_strange_place_score_less():
    clonal = scan_places(*tubes(1, 14))[0].score
    scores = [p.score for p in scan_places(*tubes(1, 14, light=None))]
    assert max(scores, default=0.0) < clonal - 5.0


def test_normal_cells_alone_score_less_than_a_clone():
    clonal = scan_places(*tubes(0, 12))[0].score
    for seed in range(3):
        assert max((p.score for p in scan_places(*tubes(seed, 0))), default=0.0) < clonal - 5.0


def test_same_events_same_places():
    first, second = (scan_places(*tubes(2, 12)) for _ in range(2))
    assert [p.score for p in first] == [p.score for p in second]
