"""Metaclusters: the nodes of a map joined by scikit-learn's agglomerative clustering with average linkage."""

from __future__ import annotations

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.clustering.mapping import as_nodes

__all__ = ["N_METACLUSTERS", "metacluster_nodes"]

# FlowSOM's default too. The number of greatest silhouette was tried in its place: on marrow it was often 2, one node
# apart from all the others.
N_METACLUSTERS = 10


def metacluster_nodes(nodes, n_metaclusters: int = N_METACLUSTERS) -> np.ndarray:
    """Join the nodes of a map into metaclusters.

    Parameters
    ----------
    nodes
        Array of shape (n_nodes, n_dims).
    n_metaclusters
        How many. Nodes at fewer places than that make as many metaclusters as there are places.

    Returns
    -------
    numpy.ndarray
        int32 (n_nodes,): metacluster of each node, numbered from 0 in the order in which the nodes meet them.

    Examples
    --------
    >>> from cytomrd.gating.clustering.metaclusters import metacluster_nodes
    >>> metacluster_nodes([[0.0], [0.1], [5.0], [5.2], [9.0]], 3).tolist()
    [0, 0, 1, 1, 2]
    """
    nodes = as_nodes(nodes)
    if n_metaclusters < 1:
        raise GateError(f"{n_metaclusters} metaclusters; give 1 or more")
    # Nodes on one place are one thing to join, so that they cannot end up in two metaclusters.
    places, place_of = np.unique(nodes, axis=0, return_inverse=True)
    labels = _joined(places, n_metaclusters)[place_of.reshape(-1)]
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[number.reshape(-1)].astype(np.int32)


def _joined(places: np.ndarray, n: int) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    if n >= len(places):
        return np.arange(len(places))
    return AgglomerativeClustering(n, linkage="average").fit_predict(places)
