"""Estimators in the manner of scikit-learn: a self-organising map, and a map with metaclusters."""

from __future__ import annotations

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from cytomrd.gating.clustering.mapping import map_events
from cytomrd.gating.clustering.metaclusters import N_METACLUSTERS, metacluster_nodes
from cytomrd.gating.clustering.training import fit_som_batch, fit_som_online

__all__ = ["Metaclusters", "SelfOrganisingMap"]

RULES = ("batch", "online")


class SelfOrganisingMap(ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin, BaseEstimator):
    """A self-organising map on a rectangular grid.

    Parameters
    ----------
    grid
        (n_rows, n_columns).
    rule
        ``"batch"``, or ``"online"`` for FlowSOM's rule, which is slower and reaches the same error.
    n_passes
        How often each event is used in training.
    random_state
        Seed, or a numpy RandomState.
    n_threads
        Threads; the result does not depend on it.

    Attributes
    ----------
    nodes_
        float64 (n_rows * n_columns, n_dims), row by row.
    labels_
        int32 (n_events,): node of each event of the training.
    quantisation_error_
        Mean distance of those events to their nodes.

    Notes
    -----
    Events with values that are not finite are refused with a ValueError, by ``predict`` too; to have them marked
    instead, map with :func:`cytomrd.gating.clustering.map_events`.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.clustering import SelfOrganisingMap
    >>> events = np.concatenate([np.full((50, 2), 0.2), np.full((50, 2), 0.8)])
    >>> som = SelfOrganisingMap(grid=(1, 2)).fit(events)
    >>> som.nodes_.shape, len(set(som.predict([[0.1, 0.2], [0.9, 0.7]])))
    ((2, 2), 2)
    """

    def __init__(self, grid=(10, 10), *, rule="batch", n_passes=10, random_state=0, n_threads=1):
        self.grid = grid
        self.rule = rule
        self.n_passes = n_passes
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X, y=None):
        """Train the map on events of shape (n_events, n_dims) and map them."""
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        self._fit_nodes(X)
        self.labels_, distances = map_events(X, self.nodes_, self.n_threads)
        self.quantisation_error_ = float(distances.mean())
        return self

    def _fit_nodes(self, X) -> None:
        if self.rule not in RULES:
            raise ValueError(f"rule {self.rule!r}; it is one of {', '.join(RULES)}")
        if len(tuple(self.grid)) != 2 or min(self.grid) < 1 or self.n_passes < 1:
            raise ValueError(f"grid {self.grid!r} and {self.n_passes} passes; each number must be at least 1")
        settings = {"n_passes": self.n_passes, "random_state": _seed(self.random_state)}
        grid = int(self.grid[0]), int(self.grid[1])
        if self.rule == "batch":
            self.nodes_ = fit_som_batch(X, grid, n_threads=self.n_threads, **settings)
        else:
            self.nodes_ = fit_som_online(X, grid, **settings)

    def predict(self, X):
        """Node of each event: int32 (n_events,), the lowest of equally near ones."""
        return self._map(X)[0]

    def transform(self, X):
        """Distance of each event to each node: float64 (n_events, n_nodes)."""
        from scipy.spatial.distance import cdist

        check_is_fitted(self)
        return cdist(validate_data(self, X, dtype=(np.float64, np.float32), reset=False), self.nodes_)

    def score(self, X, y=None):
        """Mean distance of the events to their nodes, negative: higher is better."""
        return -float(self._map(X)[1].mean())

    def _map(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return map_events(X, self.nodes_, self.n_threads)

    @property
    def _n_features_out(self) -> int:
        return len(self.nodes_)


class Metaclusters(ClusterMixin, BaseEstimator):
    """A self-organising map whose nodes are joined into metaclusters.

    Parameters
    ----------
    n_metaclusters
        How many; fewer only where the nodes lie at fewer places.
    grid, rule, n_passes, random_state, n_threads
        As for :class:`SelfOrganisingMap`.

    Attributes
    ----------
    map_
        The fitted :class:`SelfOrganisingMap`.
    node_labels_
        int32 (n_nodes,): metacluster of each node.
    labels_
        int32 (n_events,): metacluster of each event of the training, 0 for the one that has most of them.
    n_metaclusters_
        How many there are.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.clustering import Metaclusters
    >>> events = np.random.default_rng(0).normal(size=(600, 2)) * 0.1 + np.repeat([[0, 0], [3, 3]], [400, 200], axis=0)
    >>> clusters = Metaclusters(2, grid=(4, 4)).fit(events)
    >>> clusters.n_metaclusters_, clusters.predict([[0.1, 0.0], [3.0, 2.9]]).tolist()
    (2, [0, 1])
    """

    def __init__(
        self, n_metaclusters=N_METACLUSTERS, *, grid=(10, 10), rule="batch", n_passes=10, random_state=0, n_threads=1
    ):  # fmt: skip
        self.n_metaclusters = n_metaclusters
        self.grid = grid
        self.rule = rule
        self.n_passes = n_passes
        self.random_state = random_state
        self.n_threads = n_threads

    def fit(self, X, y=None):
        """Train the map on events of shape (n_events, n_dims) and join its nodes."""
        X = validate_data(self, X, dtype=(np.float64, np.float32))
        if self.n_metaclusters < 1:
            raise ValueError(f"{self.n_metaclusters} metaclusters; give 1 or more")
        self.map_ = SelfOrganisingMap(
            self.grid, rule=self.rule, n_passes=self.n_passes, random_state=self.random_state, n_threads=self.n_threads
        ).fit(X)
        joined = metacluster_nodes(self.map_.nodes_, self.n_metaclusters)
        self.n_metaclusters_ = int(joined.max()) + 1
        n_events = np.bincount(joined[self.map_.labels_], minlength=self.n_metaclusters_)
        rank = np.empty(self.n_metaclusters_, dtype=np.int32)
        rank[np.argsort(-n_events, kind="stable")] = np.arange(self.n_metaclusters_)
        self.node_labels_ = rank[joined]
        self.labels_ = self.node_labels_[self.map_.labels_]
        return self

    def predict(self, X):
        """Metacluster of each event: int32 (n_events,)."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=(np.float64, np.float32), reset=False)
        return self.node_labels_[self.map_.predict(X)]


def _seed(random_state) -> int:
    """A whole number as it is, so that the functions give the same map; a RandomState by a number drawn from it."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
