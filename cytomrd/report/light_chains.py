"""Light chains cluster by cluster: kappa against lambda of each clone, and the ratios with their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from cytomrd.mrd.clonality import ClusterSummary
from cytomrd.mrd.light_chain import Restriction
from cytomrd.report.rare import draw_pair
from cytomrd.report.standing import Interval, draw_intervals
from cytomrd.report.words import MISSING, count_words, interval_words, number_words, plural
from cytomrd.run.model import PlotAxis, SampleResult

__all__ = [
    "call_words",
    "chain_counts",
    "chain_markers",
    "chain_ratios",
    "clusters_of",
    "kind_of",
    "pairs_by_clone",
    "ratio_words",
]

MOST_RATIOS = 14
NAMES = {0: ("normal", "normal"), -1: ("indeterminate", "unsure")}


def clusters_of(sample: SampleResult) -> tuple[ClusterSummary, ...]:
    """Every cluster of a sample, clonal ones first."""
    return sample.clones.clusters if sample.clones is not None else ()


def chain_markers(sample: SampleResult) -> tuple[str, str]:
    """The markers of kappa and lambda."""
    mrd = sample.panel.mrd if sample.panel is not None else None
    return (mrd.kappa_marker, mrd.lambda_marker) if mrd is not None else ("CyIgKappa", "CyIgLambda")


def call_words(cluster: ClusterSummary) -> str:
    """``clonal 1``, ``normal``."""
    return cluster.call.replace("_", " ") + (f"\u00a0{cluster.clone}" if cluster.clone > 0 else "")


def kind_of(cluster: ClusterSummary) -> str:
    """The kind that gives its colour and shape."""
    return "clonal" if cluster.clone > 0 else "unsure" if cluster.clone < 0 else "normal"


def ratio_words(chains: Restriction) -> str:
    """Kappa to lambda with its interval, which is open where cells of one chain alone were seen."""
    ratio = number_words(chains.ratio)
    interval = interval_words(chains.ratio_low, chains.ratio_high)
    if interval != MISSING:
        return f"{ratio} ({interval})"
    return f"{ratio} (at least {number_words(chains.ratio_low)})" if chains.ratio_low else ratio


def chain_counts(sample: SampleResult) -> str:
    """``14 kappa, 0 lambda cells`` of the clonal clusters; of all where none is clonal."""
    clusters = clusters_of(sample)
    chains = [c.restriction for c in clusters if c.clone > 0] or [c.restriction for c in clusters]
    chains = [c for c in chains if c is not None]
    if not chains:
        return ""
    return f"{sum(c.n_kappa for c in chains):,} kappa, {sum(c.n_lambda for c in chains):,} lambda cells"


def chain_ratios(sample: SampleResult) -> dict[str, object] | None:
    """Kappa to lambda of each cluster with its interval, against the panel's normal range."""
    clusters = [c for c in clusters_of(sample) if c.restriction is not None and c.restriction.ratio is not None]
    if not clusters:
        return None
    normal = sample.panel.mrd.kappa_lambda_normal if sample.panel is not None and sample.panel.mrd is not None else None
    left_out = len(clusters) - MOST_RATIOS
    parts = [f"shaded: normal, {normal[0]:g} to {normal[1]:g}"] if normal is not None else []
    parts.append("beside each cluster its kappa and lambda cells")
    if left_out > 0:
        parts.append(f"{plural(left_out, 'more cluster')} in the tables")
    return {
        "plot": draw_intervals(
            [_interval(c) for c in clusters[:MOST_RATIOS]],
            label="Kappa : lambda",
            title="Kappa to lambda, cluster by cluster",
            expected=normal,
        ),
        "title": "Kappa : lambda by cluster",
        "note": "; ".join(parts),
    }


def _interval(cluster: ClusterSummary) -> Interval:
    chains = cluster.restriction
    label = f"{call_words(cluster)}, {chains.n_kappa} : {chains.n_lambda}"
    tip = f"{label}: {ratio_words(chains)}"
    return Interval(label, chains.ratio, chains.ratio_low or 0.0, chains.ratio_high, kind_of(cluster), tip=tip)


def pairs_by_clone(
    axes: tuple[PlotAxis, PlotAxis], values: np.ndarray, labels: np.ndarray, lines: Mapping[str, tuple]
) -> Iterator[dict[str, object]]:
    """Kappa against lambda of each clone and of the rest alone, where there is more than one of them.

    ``values`` has shape (n, 2), ``lines`` are the cuts and bands of :func:`cytomrd.report.rare.draw_pair`.
    """
    labels = np.asarray(labels)
    present = sorted(set(labels.tolist()), key=lambda label: (label <= 0, -label if label <= 0 else label))
    if len(present) < 2:
        return
    for label in present:
        name, kind = NAMES.get(label, (f"clone {label}", "clonal"))
        mask = labels == label
        yield {
            "plot": draw_pair(*axes, {kind: values[mask]}, **lines),
            "title": f"Kappa against lambda, {name}",
            "note": f"{count_words(int(mask.sum()))} cells",
        }
