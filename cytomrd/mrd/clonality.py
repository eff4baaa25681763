"""Which plasma cells are clonal: clusters over all tubes of a marrow, each judged by phenotype and light chain.

The steps: standard units (:mod:`cytomrd.mrd.standard`), clusters (:mod:`cytomrd.mrd.clusters`), a verdict on each
(:mod:`cytomrd.mrd.judge` by :mod:`cytomrd.mrd.rule`), small clones by their regions
(:mod:`cytomrd.mrd.region_search`), clones of what is left (:mod:`cytomrd.mrd.clones`), and here the labels of all
events and the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cytomrd.mrd.chain_scan import chain_centres
from cytomrd.mrd.clones import join_subclones, number_clones, separate_clones
from cytomrd.mrd.clusters import fit_clusters
from cytomrd.mrd.escape import escape_flags
from cytomrd.mrd.judge import Verdict, judge_clusters, judge_rest
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, Restriction, light_chain_ratio
from cytomrd.mrd.mixture import Block, Mixture, append_component, log_sum, thinned
from cytomrd.mrd.phenotype import AntigenScore
from cytomrd.mrd.populations import normal_populations
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.region_clone import RegionClone, component_of, left_by, verdict_of
from cytomrd.mrd.region_search import doubt_unconfirmed, find_by_region, set_aside
from cytomrd.mrd.region_starts import starts_of, with_settled
from cytomrd.mrd.rule import MIN_CLUSTER
from cytomrd.mrd.scan import scan_places
from cytomrd.mrd.standard import StandardView, TubeCells, check_tubes, fitting_sample, standardise
from cytomrd.panel import MrdSpec

__all__ = ["CloneCalls", "ClusterSummary", "JudgedCells", "TubeCells", "call_clones", "count_clones", "judge_cells"]

# Events of a component with a smaller probability of belonging do not add to a count; those of a region all do.
MIN_SHARE = 0.10
CHUNK = 65_536

# Fewer events than this in all tubes together are not said to be a clone of their own.
MIN_SUBCLONE = 20


@dataclass(frozen=True)
class ClusterSummary:
    """One cluster and what was decided about it.

    Attributes
    ----------
    clone
        Its number if clonal (1 is the largest), -1 if indeterminate, 0 if normal or not plasma cells.
    call
        ``clonal``, ``indeterminate``, ``normal`` or ``not_plasma_cells``.
    n_events
        Expected events, one per tube in the order of the tubes.
    antigens
        Score of each antigen.
    restriction
        Its light chains; None where no tube stains them.
    reason
        What decided, in words.
    medians
        Marker to the cluster's centre on the transformed scale of the first tube that has it.
    component
        Its place among the components of the mixture; -1 where that is not known.
    """

    clone: int
    call: str
    n_events: tuple[float, ...]
    antigens: tuple[AntigenScore, ...]
    restriction: Restriction | None
    reason: str
    medians: Mapping[str, float]
    component: int = -1

    @property
    def aberrancies(self) -> tuple[str, ...]:
        """Such as ``("CD19 reduced", "CD56 increased")``."""
        return tuple(f"{a.marker} {a.score}" for a in self.antigens if a.aberrant)


@dataclass(frozen=True)
class CloneCalls:
    """Labels of all plasma cells, and why.

    Attributes
    ----------
    tubes
        Tube ids, in the order of ``labels``.
    labels
        Per tube, int array (n_events,): 0 normal, 1 and up the clone's number, -1 indeterminate.
    clusters
        Every cluster, clonal ones first.
    light_chain
        ``"kappa"`` or ``"lambda"`` of the largest clone; ``""`` without a clone or where it is not known; both
        joined by ``+`` where subclones differ.
    kappa_lambda_ratio
        Of the clonal events, or of all plasma cells without a clone; None where no light chain was seen.
    decided_by
        One sentence.
    flags
        ``"CODE: words"``.
    count_sd
        Standard deviation, in events, of all clonal events together, from cells that may be the clone's or not.
    """

    tubes: tuple[str, ...]
    labels: tuple[np.ndarray, ...]
    clusters: tuple[ClusterSummary, ...]
    light_chain: str
    kappa_lambda_ratio: float | None
    decided_by: str
    flags: tuple[str, ...]
    count_sd: float = 0.0

    def n_clonal(self, tube: str) -> int:
        """Clonal events of one tube."""
        return int(np.count_nonzero(self.labels[self.tubes.index(tube)] > 0))


def call_clones(tubes: Sequence[TubeCells], spec: MrdSpec, *, random_state: int = 0) -> CloneCalls:
    """Find clonal plasma cells in the tubes of one marrow.

    Parameters
    ----------
    tubes
        The plasma cells of each tube. Tubes are linked by the markers they share.
    spec
        The panel's assay: antigens, light chains, limits of the ratio.
    random_state
        For the start of the mixture.

    Returns
    -------
    CloneCalls

    Raises
    ------
    QuantificationError
        If tubes do not fit their markers, or no antigen of the panel is among them.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.mrd.clonality import TubeCells, call_clones
    >>> from cytomrd.panel import AntigenSpec, MrdSpec
    >>> spec = MrdSpec(antigens=(AntigenSpec(marker="CD19", normal="+", abnormal=("reduced",)),))
    >>> cells = np.random.default_rng(0).normal(0.6, 0.05, (200, 2))
    >>> calls = call_clones([TubeCells("1", ("CD38", "CD19"), cells, {"CD19": 0.4})], spec)
    >>> calls.n_clonal("1"), calls.light_chain
    (0, '')
    """
    return count_clones(judge_cells(tubes, spec, random_state=random_state))


@dataclass(frozen=True, eq=False)
class JudgedCells:
    """Plasma cells in clusters, each judged by the rule.

    Attributes
    ----------
    mixture
        Its last components are the ``clones``; None where there are too few cells for a cluster.
    verdicts
        One for each component.
    clones
        Found by their regions.
    """

    view: StandardView
    spec: MrdSpec
    mixture: Mixture | None
    verdicts: tuple[Verdict, ...]
    clones: tuple[RegionClone, ...] = ()

    def shares(self, tube: int, block: Block) -> np.ndarray:
        """Probability of each component for each event of a tube, array (n_events, K)."""
        n_rest = self.mixture.n_components - len(self.clones)
        logs = self.mixture.log_parts(tube, block)[:, :n_rest]
        share = np.exp(logs - log_sum(logs)[:, None])
        left, own = np.ones(len(block.x)), []
        for clone in self.clones:
            own.append(left * clone.probability(tube, block))
            left = left - own[-1]
        return np.column_stack([share * left[:, None], *own])


def judge_cells(tubes: Sequence[TubeCells], spec: MrdSpec, *, random_state: int = 0) -> JudgedCells:
    """Find the clusters of a marrow's plasma cells and judge each; arguments as for :func:`call_clones`."""
    check_tubes(tubes, spec)
    view = standardise(tubes, spec)
    if view.n_events < MIN_CLUSTER:
        return JudgedCells(view, spec, None, ())
    blocks, aberrant = fitting_sample(view, random_state)
    places = scan_places(blocks, aberrant)
    mixture = fit_clusters(blocks, aberrant, places, random_state=random_state)
    mixture, verdicts, normal = judge_clusters(mixture, blocks, view, spec)
    by_chain = chain_centres(blocks, aberrant, normal[0] / sum(normal))
    starts = starts_of(mixture, verdicts, blocks, [p.centre for p in places], by_chain, view)
    aside, populations = set_aside(mixture, verdicts, blocks), normal_populations(mixture, verdicts, blocks)
    cells = Cells.measured(blocks, normal, starts, view.floor, aside, populations)
    starts = with_settled(starts, cells, view)
    clones = find_by_region(starts, cells, spec)
    left = [left_by(clones, t, b) for t, b in enumerate(blocks)]
    if clones:
        mixture, verdicts = judge_rest(mixture, blocks, left, view, spec, normal, verdicts)
    doubt_unconfirmed(mixture, verdicts, cells.without(left), spec)
    rest = thinned(blocks, left)
    join_subclones(mixture, verdicts, rest)
    mixture, verdicts = separate_clones(mixture, verdicts, rest, normal[0] / sum(normal))
    for clone in clones:
        mixture = append_component(mixture, component_of(clone, mixture, view.blocks))
        verdicts.append(verdict_of(clone, view, spec))
    number_clones(mixture, verdicts, blocks)
    return JudgedCells(view, spec, mixture, tuple(verdicts), tuple(clones))


def count_clones(judged: JudgedCells, verdicts: Sequence[Verdict] | None = None) -> CloneCalls:
    """Label every event by the verdicts on the clusters; other ``verdicts`` than the rule's are a person's."""
    view, mixture, cell = judged.view, judged.mixture, judged.spec.cell
    if mixture is None:
        return _too_few(view, cell)
    verdicts = judged.verdicts if verdicts is None else verdicts
    labels, counts, unsure = _assign(judged, verdicts)
    clusters = _summaries(mixture, verdicts, counts, view)
    escapes = escape_flags(mixture, verdicts, counts.sum(axis=0), view, judged.spec)
    return CloneCalls(
        tubes=tuple(t.tube for t in view.tubes),
        labels=labels,
        clusters=clusters,
        light_chain=_light_chain(clusters),
        kappa_lambda_ratio=_ratio(view, labels),
        decided_by=_decided_by(clusters, view, cell),
        flags=(*view.flags, *_cluster_flags(clusters, cell), *escapes),
        count_sd=float(np.sqrt(unsure)),
    )


def _assign(judged: JudgedCells, verdicts: Sequence[Verdict]) -> tuple[tuple[np.ndarray, ...], np.ndarray, float]:
    """Labels of all events, expected events by tube and component, and the variance of the clonal events' number.

    Of each clone the likeliest events are labelled, as many as the probabilities add up to: events in the overlap with
    normal cells then neither inflate nor thin out the count.
    """
    view, mixture = judged.view, judged.mixture
    numbers = [*sorted({v.clone for v in verdicts if v.clone > 0}), -1]
    members = np.array([[v.clone == number for v in verdicts] for number in numbers]).T.astype(float)
    labels, counts, unsure = [], np.zeros((len(view.x), mixture.n_components)), 0.0
    n_rest = mixture.n_components - len(judged.clones)
    for tube, (x, cols, chains, finite) in enumerate(zip(view.x, view.columns, view.chains, view.finite, strict=True)):
        probability, by_region = np.zeros((len(x), len(numbers))), np.zeros((len(x), len(numbers)), dtype=bool)
        for start in range(0, len(x), CHUNK):
            rows = slice(start, start + CHUNK)
            part = Block(x[rows], cols, np.ones(len(x[rows])), None if chains is None else chains[rows])
            share = judged.shares(tube, part)
            counts[tube] += share.sum(axis=0)
            probability[rows] = share @ members
            by_region[rows] = share[:, n_rest:] @ members[n_rest:] > 0
            clonal = probability[rows, :-1].sum(axis=1)
            unsure += float((clonal * (1.0 - clonal)).sum())
        found = np.zeros(len(x), dtype=np.int64)
        for j, number in enumerate(numbers):
            adds = (probability[:, j] >= MIN_SHARE) | by_region[:, j]
            p = np.where(adds & (found == 0), probability[:, j], 0.0)
            order = np.argsort(-p, kind="stable")[: round(float(p.sum()))]
            found[order] = number
        full = np.zeros(len(finite), dtype=np.int64)
        full[finite] = found
        labels.append(full)
    return tuple(labels), counts, unsure


def _summaries(mixture, verdicts, counts, view: StandardView) -> tuple[ClusterSummary, ...]:
    found, counts = [], counts.copy()
    for k, v in enumerate(verdicts):
        if v.stray:
            counts[:, v.part_of] += counts[:, k]
    for k, v in enumerate(verdicts):
        if v.stray or (mixture.fixed[k] and v.call == "normal"):
            continue
        medians = {m: view.scales[c].transformed(float(mixture.mean[k, c])) for c, m in enumerate(view.markers)}
        n = tuple(float(c) for c in counts[:, k])
        found.append(ClusterSummary(v.clone, v.call, n, v.antigens, v.restriction, v.reason, medians, k))
    rank = {"clonal": 0, "indeterminate": 1, "normal": 2, "not_plasma_cells": 3}
    return tuple(sorted(found, key=lambda c: (rank[c.call], c.clone, -sum(c.n_events))))


def _light_chain(clusters: Sequence[ClusterSummary]) -> str:
    clonal = [c for c in clusters if c.call == "clonal" and c.restriction is not None and c.restriction.n_evaluable > 0]
    chains = dict.fromkeys(c.restriction.chain for c in clonal if c.restriction.restricted)
    if not chains and clonal:
        chains = dict.fromkeys([clonal[0].restriction.chain])
    return "+".join(chains)


def _ratio(view: StandardView, labels: Sequence[np.ndarray]) -> float | None:
    clonal = any((label > 0).any() for label in labels)
    counts = np.zeros(2)
    for chains, label, finite in zip(view.chains, labels, view.finite, strict=True):
        if chains is not None:
            use = label[finite] > 0 if clonal else np.ones(len(chains), dtype=bool)
            counts += np.count_nonzero(chains[use] == KAPPA), np.count_nonzero(chains[use] == LAMBDA)
    return light_chain_ratio(*counts)


def _decided_by(clusters: Sequence[ClusterSummary], view: StandardView, cell: str) -> str:
    clonal = [c for c in clusters if c.call == "clonal"]
    if clonal:
        c = clonal[0]
        return f"{', '.join(c.aberrancies) or 'no aberrancy'}: {c.reason}"
    others = [c for c in clusters if c.call == "indeterminate"]
    if others:
        what = ", ".join(others[0].aberrancies) or "no aberrancy"
        return f"no clonal cluster; indeterminate: {what}: {others[0].reason}"
    without = "" if view.has_chains else " (no light chains measured)"
    return f"no cluster of {view.n_events} {cell}s is clonal{without}"


def _cluster_flags(clusters: Sequence[ClusterSummary], cell: str) -> list[str]:
    flags = []
    other = sum(sum(c.n_events) for c in clusters if c.call == "not_plasma_cells")
    if other >= MIN_CLUSTER:
        flags.append(f"NOT_PLASMA_CELLS: about {other:.0f} events gated as {cell}s have no light chain")
    sizes = Counter()
    for cluster in clusters:
        if cluster.clone > 0:
            sizes[cluster.clone] += sum(cluster.n_events)
    # Parts of a few events are as likely pieces of one clone as clones of their own.
    distinct = [clone for clone, n in sizes.items() if n >= MIN_SUBCLONE]
    if len(distinct) > 1:
        flags.append(f"SUBCLONES: {len(distinct)} clonal clusters differ")
    return flags


def _too_few(view: StandardView, cell: str) -> CloneCalls:
    labels = tuple(np.zeros(len(t.values), dtype=np.int64) for t in view.tubes)
    flag = f"FEW_PLASMA_CELLS: {view.n_events} {cell}s in all tubes, too few to look for a clone"
    reason = f"{view.n_events} {cell}s are too few for a cluster"
    tubes = tuple(t.tube for t in view.tubes)
    return CloneCalls(tubes, labels, (), "", _ratio(view, labels), reason, (*view.flags, flag))
