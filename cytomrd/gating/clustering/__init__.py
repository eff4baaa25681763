"""Clusters of events: a self-organising map, the mapping of all events onto it, and metaclusters of its nodes.

The functions need numpy and the kernels; the estimators are loaded with scikit-learn on first use.
"""

from __future__ import annotations

from importlib import import_module

from cytomrd.gating.clustering.mapping import map_events, topographic_error
from cytomrd.gating.clustering.training import fit_som_batch, fit_som_online

__all__ = [
    "Metaclusters",
    "SelfOrganisingMap",
    "fit_som_batch",
    "fit_som_online",
    "map_events",
    "topographic_error",
]


def __getattr__(name: str):
    if name not in ("Metaclusters", "SelfOrganisingMap"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("cytomrd.gating.clustering.estimators"), name)
