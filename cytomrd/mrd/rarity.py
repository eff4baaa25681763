"""How many normal plasma cells are expected where a cluster lies, from how their antigens go together in pairs.

Normal plasma cells are a mixture of patterns, and a rare pattern (CD19- CD27- CD81-) makes a compact cluster without
being a clone. Its frequency follows from the frequency of the single antigens' levels and of their pairs; a clone
stands where these predict next to nothing.
"""

from __future__ import annotations

import numpy as np

__all__ = ["expected_together", "inside_box"]

# Half the width of the box around a cluster's centre, in the cluster's SDs.
HALF_WIDTH = 2.0
# Events of prior in favour of two antigens going together as chance has it.
PAIR_PRIOR = 1.0


def inside_box(x: np.ndarray, centre: np.ndarray, sd: np.ndarray) -> np.ndarray:
    """Whether each event lies near the centre on each marker, bool (n_events, n_markers)."""
    return np.abs(x - centre) < HALF_WIDTH * sd


def expected_together(inside: np.ndarray, weight: np.ndarray) -> float:
    """Events expected inside on all markers at once, from single markers and pairs alone.

    The pairs form a tree (Chow and Liu 1968): the one whose pairs are most clearly not independent.

    Parameters
    ----------
    inside : bool array of shape (n_events, n_markers)
        From :func:`inside_box`.
    weight : array of shape (n_events,)
        How many normal cells each event stands for.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.mrd.rarity import expected_together
    >>> inside = np.array([[1, 1], [1, 1], [0, 0], [0, 0]] * 100, dtype=bool)
    >>> abs(expected_together(inside, np.ones(400)) - 200) < 2
    True
    """
    total = float(weight.sum())
    if total <= 0:
        return 0.0
    near = inside.astype(float)
    single = weight @ near + 0.5
    together = (near * weight[:, None]).T @ near
    by_chance = np.outer(single, single) / (total + 1.0)
    lift = np.log((together + PAIR_PRIOR) / (by_chance + PAIR_PRIOR))
    log_expected = np.log(total) + np.log(single / (total + 1.0)).sum()
    return float(np.exp(log_expected + _tree_sum(_association(together, single, total + 1.0), lift)))


def _association(together: np.ndarray, single: np.ndarray, total: float) -> np.ndarray:
    """Mutual information of each pair of markers, in nats times events."""
    joint = np.clip(together, 0.25, None)
    a, b = single[:, None], single[None, :]
    gain = np.zeros_like(joint)
    for cell, rows, columns in (
        (joint, a, b),
        (a - joint, a, total - b),
        (b - joint, total - a, b),
        (total - a - b + joint, total - a, total - b),
    ):
        cell = np.maximum(cell, 0.25)
        gain += cell * np.log(cell * total / np.maximum(rows * columns, 1e-9))
    return gain


def _tree_sum(strength: np.ndarray, values: np.ndarray) -> float:
    """Sum of ``values`` over the edges of the maximum spanning tree by ``strength`` (Prim 1957)."""
    d = len(strength)
    joined, total = [0], 0.0
    while len(joined) < d:
        rest = [j for j in range(d) if j not in joined]
        at = int(np.argmax(strength[np.ix_(joined, rest)]))
        i, j = joined[at // len(rest)], rest[at % len(rest)]
        total += values[i, j]
        joined.append(j)
    return float(total)
