"""Metaclusters: the nodes of a map joined by scikit-learn's agglomerative clustering with average linkage."""

from __future__ import annotations

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.clustering.mapping import as_nodes

__all__ = ["MAX_METACLUSTERS", "metacluster_nodes"]

MAX_METACLUSTERS = 20


def metacluster_nodes(nodes, n_metaclusters: int | None = None) -> np.ndarray:
    """Join the nodes of a map into metaclusters.

    Parameters
    ----------
    nodes
        Array of shape (n_nodes, n_dims).
    n_metaclusters
        How many; where None, the number from 2 to 20 whose mean silhouette over the nodes is greatest, the least of
        equals. Nodes at fewer places than asked for make as many metaclusters as there are places.

    Returns
    -------
    numpy.ndarray
        int32 (n_nodes,): metacluster of each node, numbered from 0 in the order in which the nodes meet them.

    Examples
    --------
    >>> from cytomrd.gating.clustering.metaclusters import metacluster_nodes
    >>> metacluster_nodes([[0.0], [0.1], [5.0], [5.2], [9.0]], 2).tolist()
    [0, 0, 1, 1, 1]
    >>> metacluster_nodes([[0.0], [0.1], [5.0], [5.2], [9.0], [9.1]]).tolist()
    [0, 0, 1, 1, 2, 2]
    """
    nodes = as_nodes(nodes)
    if n_metaclusters is not None and n_metaclusters < 1:
        raise GateError(f"{n_metaclusters} metaclusters; give 1 or more, or none to have the number chosen")
    # Nodes on one place are one thing to join, so that they cannot end up in two metaclusters.
    places, place_of = np.unique(nodes, axis=0, return_inverse=True)
    place_of = place_of.reshape(-1)
    if n_metaclusters is None:
        labels = _best_number(places)
    else:
        labels = _joined(places, min(n_metaclusters, len(places)))
    labels = labels[place_of]
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[number.reshape(-1)].astype(np.int32)


def _joined(places: np.ndarray, n: int) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    if n >= len(places):
        return np.arange(len(places))
    return AgglomerativeClustering(n, linkage="average").fit_predict(places)


def _best_number(places: np.ndarray) -> np.ndarray:
    from sklearn.metrics import silhouette_score

    if len(places) < 3:
        return np.arange(len(places))
    best, labels = -np.inf, None
    for n in range(2, min(MAX_METACLUSTERS, len(places) - 1) + 1):
        joined = _joined(places, n)
        score = silhouette_score(places, joined)
        if score > best:
            best, labels = score, joined
    return labels
