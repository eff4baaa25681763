"""How many normal plasma cells are expected where a cluster lies, from how their antigens go together in pairs.

Normal plasma cells are a mixture of patterns, and a rare pattern (CD19- CD27- CD81-) makes a compact cluster without
being a clone. Its frequency follows from the frequency of the single antigens' levels and of their pairs; a clone
stands where these predict next to nothing.
"""

from __future__ import annotations

import numpy as np

__all__ = ["expected_together", "inside_box", "pair_tree"]

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
    single, together, of = _counts(inside, weight)
    by_chance = np.outer(single, single) / of
    lift = np.log((together + PAIR_PRIOR) / (by_chance + PAIR_PRIOR))
    log_expected = np.log(total) + np.log(single / of).sum()
    return float(np.exp(log_expected + sum(lift[edge] for edge in _tree(_association(together, single, of)))))


def pair_tree(inside: np.ndarray, weight: np.ndarray) -> list[tuple[int, int]]:
    """The pairs of :func:`expected_together`, each with the smaller marker first."""
    single, together, total = _counts(inside, weight)
    return [(min(e), max(e)) for e in _tree(_association(together, single, total))]


def _counts(inside: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Events inside on each marker, on each pair, and all."""
    near = inside.astype(float)
    return weight @ near + 0.5, (near * weight[:, None]).T @ near, float(weight.sum()) + 1.0


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


def _tree(strength: np.ndarray) -> list[tuple[int, int]]:
    """Edges of the maximum spanning tree by ``strength`` (Prim 1957)."""
    d = len(strength)
    joined, edges = [0], []
    while len(joined) < d:
        rest = [j for j in range(d) if j not in joined]
        at = int(np.argmax(strength[np.ix_(joined, rest)]))
        i, j = joined[at // len(rest)], rest[at % len(rest)]
        edges.append((i, j))
        joined.append(j)
    return edges
