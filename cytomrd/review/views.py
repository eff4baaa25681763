"""What a page shows of a marrow under review: numbers beside each other, gates, clusters, rare events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from cytomrd import schema
from cytomrd.gating.fit import FittedGates
from cytomrd.gating.gates import ROOT, BooleanGate, EllipsoidGate, Gate, PolygonGate, RectangleGate
from cytomrd.mrd.clonality import ClusterSummary
from cytomrd.panel import Panel
from cytomrd.review.marrow import Evaluated
from cytomrd.review.shapes import linked_cuts
from cytomrd.run.model import FileResult, PlotAxis, RunResult, SampleResult
from cytomrd.run.plots import gate_outlines
from cytomrd.run.results import result_tables

__all__ = [
    "ClusterView",
    "DensityImage",
    "GateView",
    "Number",
    "RareEvents",
    "RareValue",
    "cluster_views",
    "gate_views",
    "numbers_of",
    "rare_events",
]

# Columns of mrd.csv that no gate and no call can change.
GIVEN = {"sample_id", "subject_id", "visit", "day", "collected_at", "panel", "panel_version", "tubes"}
COUNTED = ("n_events", "n_parent", "fraction_of_parent", "fraction_of_nucleated", "n_removed_by_time_qc")


@dataclass(frozen=True)
class Number:
    """One number: as found without a person, before a change, and after it.

    ``group`` is ``mrd`` (a column of mrd.csv), ``population`` (name and column of populations.csv) or ``qc``.
    """

    name: str
    tube: str
    group: str
    automatic: object
    old: object
    new: object

    @property
    def changed(self) -> bool:
        """Whether the change changes it."""
        return self.old != self.new


@dataclass(frozen=True, eq=False)
class GateView:
    """A gate as a page draws it.

    Attributes
    ----------
    kind
        ``rectangle``, ``polygon``, ``ellipse``, ``boolean`` or ``quadrant``.
    axes
        Markers of its axes; a channel without a marker by its name.
    plot
        The two markers on which the panel looks at it, or None.
    vertices, minimum, maximum
        Of a polygon, and of a rectangle by axis (None is open).
    cuts
        Which bounds are cuts of the panel: ``"CD38:minimum"`` to the cut's name.
    changed
        Whether a person changed it.
    words
        What a boolean gate is made of.
    """

    name: str
    title: str
    parent: str
    kind: str
    axes: tuple[str, ...]
    plot: tuple[str, str] | None
    vertices: tuple[tuple[float, float], ...]
    minimum: tuple[float | None, ...]
    maximum: tuple[float | None, ...]
    cuts: Mapping[str, str]
    n_events: int
    n_parent: int
    changed: bool
    words: str
    gate: Gate
    fitted: FittedGates

    def outlines(self, x: PlotAxis, y: PlotAxis) -> list[np.ndarray]:
        """Its outlines on two axes, each float64 (n, 2); none where it is not on them."""
        return gate_outlines(self.gate, self.fitted.strategy, x, y)


@dataclass(frozen=True, eq=False)
class DensityImage:
    """Events of a population on two axes: ``counts`` int64 (bins, bins), x first, from ``low`` to ``high`` of each."""

    population: str
    x: PlotAxis
    y: PlotAxis
    counts: np.ndarray

    @property
    def n_events(self) -> int:
        """Events of the population, those beyond the axes counted at their edge."""
        return int(self.counts.sum())


@dataclass(frozen=True, eq=False)
class RareEvents:
    """The plasma cells of a tube, every one: places on the transformed scale, label and cluster of each.

    ``labels`` are 0 normal, 1 and up the clone, -1 not sure; ``clusters`` the cluster's letter, "" in none.
    """

    tube: str
    events: np.ndarray
    markers: tuple[str, ...]
    transformed: np.ndarray
    compensated: np.ndarray
    labels: np.ndarray
    clusters: tuple[str, ...]


@dataclass(frozen=True)
class RareValue:
    """One channel of one event; ``compensated`` and ``transformed`` are None where the panel has no axis for it."""

    channel: str
    marker: str
    raw: float
    compensated: float | None
    transformed: float | None


@dataclass(frozen=True)
class ClusterView:
    """A cluster of plasma cells, what the rule calls it, and what a person did.

    ``n_events`` are its expected events by tube; ``call`` and ``automatic_call`` are ``clonal``, ``normal``,
    ``not_sure`` or ``not_plasma_cells``; ``called_by`` is "" where no person called it.
    """

    id: str
    call: str
    automatic_call: str
    called_by: str
    clone: int
    n_events: Mapping[str, float]
    aberrancies: tuple[str, ...]
    light_chain: str
    n_kappa: int
    n_lambda: int
    posterior: float | None
    reason: str
    medians: Mapping[str, float]


def numbers_of(automatic: SampleResult, old: SampleResult, new: SampleResult) -> tuple[Number, ...]:
    """Every number of a sample, in the order of the tables."""
    found = [{key: _plain(value) for key, value in _rows(s)} for s in (automatic, old, new)]
    return tuple(Number(*key, *(values.get(key) for values in found)) for key in found[0])


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _rows(sample: SampleResult) -> Iterator[tuple[tuple[str, str, str], object]]:
    tables = result_tables(RunResult("", (sample,), (), {}))
    for row in tables["mrd"][1]:
        for column in schema.MRD:
            if column.name not in GIVEN:
                yield (column.name, "", "mrd"), row.get(column.name)
    for row in tables["populations"][1]:
        for column in COUNTED:
            yield (f"{row['population']} {column}", row["tube"], "population"), row[column]
    for row in tables["qc"][1]:
        for column in ("status", "n_removed_by_time_qc", "n_doublets", "reason"):
            yield (column, row["tube"], "qc"), row[column]


def gate_views(evaluated: Evaluated, file: FileResult, panel: Panel, automatic: FittedGates) -> tuple[GateView, ...]:
    """The gates of a tube, parents first."""
    fitted = evaluated.fitted[file.tube]
    specs = {p.name: p for p in panel.populations_of(file.tube)}
    markers = {axis.channel: marker for marker, axis in fitted.axes.items()}
    before = {g.name: g for g in automatic.strategy.gates}
    counts = {p.population: p for p in file.populations}
    views = []
    for gate in fitted.strategy.gates:
        spec, count = specs.get(gate.name), counts.get(gate.name)
        channels = [getattr(d, "channel", "") for d in getattr(gate, "dimensions", ())]
        views.append(
            GateView(
                name=gate.name,
                title=(spec.title if spec else "") or gate.name.strip("_").replace("_", " "),
                parent=gate.parent,
                kind=_KIND.get(type(gate), "quadrant"),
                axes=tuple(markers.get(c, c) for c in channels),
                plot=spec.plot if spec and spec.plot and all(m in file.axes for m in spec.plot) else None,
                vertices=gate.vertices if isinstance(gate, PolygonGate) else (),
                minimum=gate.minimum if isinstance(gate, RectangleGate) else (),
                maximum=gate.maximum if isinstance(gate, RectangleGate) else (),
                cuts=linked_cuts(fitted, gate),
                n_events=count.n_events if count else 0,
                n_parent=count.n_parent if count else 0,
                changed=gate != before[gate.name],
                words=_boolean_words(gate),
                gate=gate,
                fitted=fitted,
            )
        )
    return tuple(views)


_KIND = {RectangleGate: "rectangle", PolygonGate: "polygon", EllipsoidGate: "ellipse", BooleanGate: "boolean"}


def _boolean_words(gate: Gate) -> str:
    if not isinstance(gate, BooleanGate):
        return ""
    names = [f"{'not ' if o.complement else ''}{o.name}" for o in gate.operands]
    whole = "not " + names[0] if gate.operator == "not" else f" {gate.operator} ".join(names)
    return whole if gate.parent == ROOT else f"{whole}, of {gate.parent}"


def rare_events(evaluated: Evaluated, tube: str) -> RareEvents:
    """Every plasma cell of a tube."""
    file = next(f for f in evaluated.sample.files if f.tube == tube)
    clusters = evaluated.clusters
    index = clusters.calls.tubes.index(tube)
    letters = {c.component: letter for letter, c in clusters.letters.items()}
    cells = file.rare[0]
    return RareEvents(
        tube=tube,
        events=cells.events,
        markers=cells.markers,
        transformed=cells.transformed,
        compensated=cells.compensated,
        labels=cells.labels,
        clusters=tuple(letters.get(int(c), "") for c in clusters.components[index]),
    )


def cluster_views(evaluated: Evaluated) -> tuple[ClusterView, ...]:
    """The clusters, in the order in which the rule puts them."""
    now = {c.component: c for c in (evaluated.sample.clones.clusters if evaluated.sample.clones else ())}
    return tuple(
        _cluster_view(letter, by_rule, now.get(by_rule.component, by_rule), evaluated)
        for letter, by_rule in evaluated.clusters.letters.items()
    )


def _cluster_view(letter: str, by_rule: ClusterSummary, now: ClusterSummary, evaluated: Evaluated) -> ClusterView:
    key = evaluated.called.get(by_rule.component)
    light = by_rule.restriction
    return ClusterView(
        id=letter,
        call=_PERSONS_WORD.get(now.call, now.call),
        automatic_call=_PERSONS_WORD.get(by_rule.call, by_rule.call),
        called_by=evaluated.state.calls[key]["who"] if key is not None else "",
        clone=now.clone,
        n_events=dict(zip(evaluated.clusters.calls.tubes, by_rule.n_events, strict=True)),
        aberrancies=by_rule.aberrancies,
        light_chain=light.chain if light is not None else "",
        n_kappa=light.n_kappa if light is not None else 0,
        n_lambda=light.n_lambda if light is not None else 0,
        posterior=light.posterior if light is not None else None,
        reason=now.reason,
        medians=by_rule.medians,
    )


_PERSONS_WORD = {"indeterminate": "not_sure"}
