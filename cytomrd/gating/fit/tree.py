"""Fitting a panel's population tree to a sample, from the root down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from cytomrd.errors import CytomrdError, GateError
from cytomrd.gating.fit.borrow import BorrowedCut, borrow_cut
from cytomrd.gating.fit.controls import control_decision
from cytomrd.gating.fit.cuts import MAX_OVERLAP, ControlCut, CutDecision, fit_cut
from cytomrd.gating.fit.debris import Stain, fit_cells
from cytomrd.gating.fit.density import MIN_SIDE_EVENTS, Counts
from cytomrd.gating.fit.ellipse import fit_ellipse
from cytomrd.gating.fit.result import FittedGates
from cytomrd.gating.fit.sampling import EventSource, read_sample
from cytomrd.gating.fit.scales import Axes, fit_axes
from cytomrd.gating.fit.singlets import fit_singlets
from cytomrd.gating.gates import (
    ROOT,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    Operand,
    PolygonGate,
    RectangleGate,
)
from cytomrd.panel import (
    BooleanSpec,
    CellsSpec,
    CutSpec,
    EllipseSpec,
    Panel,
    PhenotypeSpec,
    PolygonSpec,
    PopulationSpec,
    RangeSpec,
    SingletsSpec,
    TimeSpec,
    TubeSpec,
    parse_phenotype,
)
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.time_qc import check_time
from cytomrd.preprocess.transforms import Transform

__all__ = ["fit_gates", "read_scales"]

EVERYTHING = -1e30
MIN_EVENTS = 50


class _Missing(Exception):
    """A gate that cannot be built here; ``excludes`` tells whether leaving it open keeps its sense."""

    def __init__(self, why: str, *, excludes: bool):
        super().__init__(why)
        self.why, self.excludes = why, excludes


@dataclass(eq=False)
class _Fit:
    """State of one fit; ``silent`` says of each marker without signal what its channel holds."""

    panel: Panel
    tube: TubeSpec
    source: EventSource
    axes: Axes
    controls: Mapping[str, ControlCut]
    borrowed: Mapping[str, BorrowedCut]
    random_state: int
    gates: list[Gate] = field(default_factory=list)
    decisions: dict[str, CutDecision] = field(default_factory=dict)
    boundaries: list[CutDecision] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    silent: Mapping[str, str] = field(default_factory=dict)
    time_removed: tuple[tuple[float, float], ...] = ()
    drift: float | None = None
    _strategy: GatingStrategy | None = None

    @property
    def strategy(self) -> GatingStrategy:
        """The gates so far."""
        if self._strategy is None or len(self._strategy.gates) != len(self.gates):
            self._strategy = GatingStrategy(tuple(self.gates), self.axes.transforms)
        return self._strategy

    def axis(self, marker: str) -> Dimension | None:
        return self.axes.dimensions.get(marker)

    def columns(self, population: str, dimensions: tuple[Dimension, ...]) -> np.ndarray:
        return self.source.columns(population, dimensions, self.strategy)


def fit_gates(
    dataset,
    panel: Panel,
    tube_id: str,
    *,
    match,
    spillover: Spillover | None,
    controls: Mapping[str, ControlCut] | None = None,
    borrowed: Mapping[str, BorrowedCut] | None = None,
    series: Mapping[str, Transform] | None = None,
    random_state: int = 0,
    n_threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> FittedGates:
    """Turn a panel's data-driven gates into plain gates for one file.

    The result depends on the file, the panel, the controls, what is borrowed, the series and ``random_state``
    alone.

    Parameters
    ----------
    dataset
        The file (:func:`cytomrd.open_fcs`), or events in memory
        (:class:`cytomrd.gating.apply.ArrayDataset`).
    panel, tube_id
        The panel and which of its tubes this is.
    match
        With ``detector_of``: marker to detector (:func:`cytomrd.panel.matching.match_channels`).
    spillover
        The matrix to compensate with, or None.
    controls
        Cut name to a cut from a control sample, for cuts of method ``control``.
    borrowed
        Cut name to where other samples have it, used where this sample's own evidence is weak.
    series
        Marker to the scale of the series that the sample belongs to (:func:`read_scales` of its first).
    random_state
        Seed of the bootstrap intervals.
    n_threads
        Threads of the passes over all events; they change nothing.
    progress
        Called with the number of events read.

    Returns
    -------
    Gates, decisions and notes.

    Raises
    ------
    GateError
        If a population that is not optional lacks a channel, a cut that it needs has no call, or hardly an event
        is in the assay's denominator: the message names the cut, the evidence and the remedy.
    """
    tube = panel.tube(tube_id)
    sample = read_sample(dataset)
    if len(sample) < MIN_EVENTS:
        raise GateError(f"the file has {len(sample)} events, {MIN_EVENTS} needed to fit a gate; acquire more")
    if progress is not None:
        progress(dataset.n_events)
    axes = fit_axes(tube, match.detector_of, dataset, sample, spillover, series)
    source = EventSource(dataset, spillover, sample, n_threads)
    fit = _Fit(panel, tube, source, axes, controls or {}, borrowed or {}, random_state)
    fit.notes.extend(axes.notes)
    fit.silent = _silent_channels(tube, axes, dataset.detectors, sample)
    fit.notes.extend(f"{marker} recorded nothing: {why}; it is not used" for marker, why in fit.silent.items())
    denominator = _denominator(panel)
    for spec in panel.populations_of(tube_id):
        _add_population(fit, spec)
        if spec.name == denominator:
            _check_denominator(fit, denominator)
    for cut in panel.cuts:
        if fit.axis(cut.marker) is not None and (cut.on == ROOT or cut.on in fit.strategy.populations):
            _decide(fit, cut)
    return FittedGates(
        strategy=fit.strategy,
        decisions=(*fit.boundaries, *(fit.decisions[c.name] for c in panel.cuts if c.name in fit.decisions)),
        axes={m: d for m, d in axes.dimensions.items() if m not in fit.silent},
        time_removed=fit.time_removed,
        notes=(*fit.notes, *_overlaps(fit)),
        doubts=tuple(fit.doubts),
        drift=fit.drift,
    )


def _overlaps(fit: _Fit) -> list[str]:
    """What to say of cuts at valleys between populations that overlap."""
    told = [d for d in fit.decisions.values() if d.status == "fitted" and (d.overlap or 0.0) > MAX_OVERLAP]
    return [
        f"cut {d.name}: about {100 * d.overlap:.0f} % of the smaller population lies on its wrong side; counts that "
        "rest on it are that uncertain"
        for d in told
    ]


def read_scales(dataset, tube: TubeSpec, *, match, spillover: Spillover | None) -> dict[str, Transform]:
    """Marker to the scale that a file gives its channels, for the other files of a series; see :func:`fit_gates`."""
    axes = fit_axes(tube, match.detector_of, dataset, read_sample(dataset), spillover)
    return {m: axes.transforms[d.transform] for m, d in axes.dimensions.items() if d.transform is not None}


def _silent_channels(tube: TubeSpec, axes: Axes, detectors, sample: np.ndarray) -> dict[str, str]:
    """Markers whose channel holds one value throughout, or none: a dead detector, not a negative population."""
    silent = {}
    for channel in tube.channels:
        axis = axes.dimensions.get(channel.marker)
        if axis is None or channel.role == "time":
            continue
        values = sample[:, list(detectors).index(axis.channel)]
        values = values[np.isfinite(values)]
        if not values.size:
            silent[channel.marker] = "no event has a finite value"
        elif values.min() == values.max():
            silent[channel.marker] = f"every event has the same value, {values[0]:g}"
    return silent


def _denominator(panel: Panel) -> str | None:
    """The population that every result is a fraction of, where the panel has an assay."""
    if panel.mrd is not None:
        return panel.mrd.nucleated
    return panel.car_nk.leukocytes if panel.car_nk is not None else None


def _check_denominator(fit: _Fit, name: str) -> None:
    """Nothing is built on an empty parent: further cuts would be the panel's numbers and not the sample's."""
    n_events = int(fit.source.members(name, fit.strategy).sum())
    if n_events >= MIN_EVENTS:
        return
    path = [f"{p} {int(fit.source.members(p, fit.strategy).sum())}" for p in fit.strategy.gate_path(name)]
    cuts = "; ".join(f"cut {d.name}: {d.reason}" for d in fit.decisions.values() if d.status != "fitted")
    raise GateError(
        f"{n_events} of {len(fit.source.sample)} events are {name!r}, {MIN_EVENTS} needed to go on "
        f"(events by gate: {', '.join(path)}{'; ' + cuts if cuts else ''}); look at the scatter, or acquire more"
    )


def _add_population(fit: _Fit, spec: PopulationSpec) -> None:
    try:
        if spec.parent in fit.left_out:
            raise _Missing(f"its parent {spec.parent!r} was left out", excludes=False)
        fit.gates.extend(_GATES[type(spec.gate)](fit, spec))
    except _Missing as missing:
        time = isinstance(spec.gate, TimeSpec)
        if not spec.optional and not time:
            raise GateError(f"population {spec.name!r} cannot be gated: {missing.why}") from missing
        if missing.excludes:
            fit.notes.append(f"{spec.name}: {missing.why}; every event of {spec.parent!r} passes")
            fit.gates.append(_open_gate(fit, spec))
        else:
            fit.notes.append(f"{spec.name}: {missing.why}; this population was left out")
            fit.left_out.add(spec.name)
    except CytomrdError as error:
        error.add_note(f"population {spec.name!r} of panel {fit.panel.id}, tube {fit.tube.id}")
        raise


def _open_gate(fit: _Fit, spec: PopulationSpec) -> Gate:
    """A gate that every event passes: it keeps the tree whole where there is nothing to exclude by."""
    detector = next(iter(fit.axes.dimensions.values())).channel
    return RectangleGate(spec.name, (Dimension(detector),), (EVERYTHING,), (None,), spec.parent)


def _axis_or_missing(fit: _Fit, marker: str, *, excludes: bool) -> Dimension:
    axis = fit.axis(marker)
    if axis is None:
        there = ", ".join(fit.axes.dimensions)
        raise _Missing(f"this file has no channel {marker!r} (matched: {there})", excludes=excludes)
    if marker in fit.silent:
        raise _Missing(f"{marker} recorded nothing: {fit.silent[marker]}; check the detector", excludes=excludes)
    return axis


# ------------------------------------------------------------------ gates by kind


def _time_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    marker = next((c.marker for c in fit.tube.channels if c.role == "time"), "Time")
    axis = _axis_or_missing(fit, marker, excludes=True)
    judged = [m for m, d in fit.axes.dimensions.items() if d.transform is not None]
    events = fit.columns(spec.parent, (axis, *(fit.axes.dimensions[m] for m in judged)))
    qc = check_time(events[:, 0], events[:, 1:], tuple(judged))
    fit.notes.extend(f"{spec.name}: {note}" for note in qc.notes)
    fit.time_removed, fit.drift = qc.removed, qc.drift
    linear = (Dimension(axis.channel),)
    if not qc.removed:
        return [RectangleGate(spec.name, linear, (EVERYTHING,), (None,), spec.parent)]
    names = [f"_{spec.name}_removed_{i + 1}" for i in range(len(qc.removed))]
    bad = [
        RectangleGate(name, linear, (start,), (stop,), spec.parent)
        for name, (start, stop) in zip(names, qc.removed, strict=True)
    ]
    if len(names) == 1:
        return [*bad, BooleanGate(spec.name, "not", (Operand(names[0]),), spec.parent)]
    kept = tuple(Operand(name, complement=True) for name in names)
    return [*bad, BooleanGate(spec.name, "and", kept, spec.parent)]


def _singlet_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: SingletsSpec = spec.gate
    x_marker, y_marker = gate.channels
    x_axis, y_axis = (_axis_or_missing(fit, m, excludes=True) for m in gate.channels)
    events = fit.columns(spec.parent, (x_axis, y_axis))
    # Two cells in a pulse have more area for their height, and a longer pulse.
    grows = {"H": 0, "A": 1, "W": 2}
    order = [grows.get(m[-1].upper(), 1) for m in (x_marker, y_marker)]
    doublets = "below" if order[1] < order[0] else "above"
    try:
        vertices = fit_singlets(events[:, 0], events[:, 1], width=gate.width, doublets=doublets)
    except GateError as error:
        raise _Missing(str(error), excludes=True) from error
    return [PolygonGate(spec.name, (x_axis, y_axis), vertices, spec.parent)]


def _cells_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: CellsSpec = spec.gate
    axes = tuple(_axis_or_missing(fit, m, excludes=True) for m in gate.channels)
    events = fit.columns(spec.parent, axes)
    boundary = fit_cells(
        events[:, 0],
        events[:, 1],
        stain=_stain(fit, gate.leukocytes, spec.parent),
        name=spec.name,
        marker=gate.channels[0],
        on=spec.parent,
        bounds=gate.bounds,
        value=gate.value,
        random_state=fit.random_state,
    )
    fit.boundaries.append(boundary.decision)
    debris, limit = 1.0 - boundary.share, fit.panel.qc.max_debris
    if boundary.doubt:
        fit.doubts.append(boundary.doubt)
    elif debris > limit:
        fit.doubts.append(f"{debris:.1%} of {spec.parent!r} is debris; the panel allows {limit:.0%}")
    return [PolygonGate(spec.name, axes, boundary.vertices, spec.parent)]


def _stain(fit: _Fit, cut_name: str | None, population: str) -> Stain | None:
    """The stain of leukocytes on a population's events; None where the tube has none, or it shows no two sides."""
    cut = next((c for c in fit.panel.cuts if c.name == cut_name), None)
    if cut is None or fit.axis(cut.marker) is None or cut.marker in fit.silent:
        return None
    decision = _decide(fit, cut)
    if decision.value is None:
        return None
    return Stain(cut.marker, fit.columns(population, (fit.axes.dimensions[cut.marker],))[:, 0], decision.value)


def _phenotype_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    specs = {c.name: c for c in fit.panel.cuts}
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    skipped: list[_Missing] = []
    for name, positive in parse_phenotype(spec.gate.phenotype):
        cut = specs[name]
        try:
            _axis_or_missing(fit, cut.marker, excludes=not positive)
        except _Missing as missing:
            if positive or not spec.optional:
                raise
            skipped.append(missing)
            continue
        decision = _decide(fit, cut)
        if decision.status == "no_call":
            raise _Missing(
                f"cut {name!r} on {cut.marker} has no call ({decision.reason}); look at the marker in {cut.on!r}, "
                "give the cut a control or a fixed value in the panel, or acquire more events",
                excludes=False,
            )
        side = lows if positive else highs
        side[cut.marker] = (max if positive else min)(side.get(cut.marker, decision.value), decision.value)
    markers = tuple(dict.fromkeys((*lows, *highs)))
    if skipped and not markers:
        raise skipped[0]
    fit.notes.extend(f"{spec.name}: {s.why}; nothing is excluded by it" for s in skipped)
    for marker in markers:
        if lows.get(marker, -np.inf) >= highs.get(marker, np.inf):
            raise _Missing(
                f"on {marker} nothing lies above {lows[marker]:.3f} and below {highs[marker]:.3f}: two cuts of "
                f"{spec.gate.phenotype!r} are out of order",
                excludes=False,
            )
    dimensions = tuple(fit.axes.dimensions[m] for m in markers)
    minimum = tuple(lows.get(m) for m in markers)
    maximum = tuple(highs.get(m) for m in markers)
    return [RectangleGate(spec.name, dimensions, minimum, maximum, spec.parent)]


def _range_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: RangeSpec = spec.gate
    axis = _axis_or_missing(fit, gate.channel, excludes=gate.minimum is None)
    return [RectangleGate(spec.name, (axis,), (gate.minimum,), (gate.maximum,), spec.parent)]


def _polygon_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: PolygonSpec = spec.gate
    axes = tuple(_axis_or_missing(fit, m, excludes=False) for m in gate.channels)
    return [PolygonGate(spec.name, axes, gate.vertices, spec.parent)]


def _ellipse_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: EllipseSpec = spec.gate
    axes = tuple(_axis_or_missing(fit, m, excludes=False) for m in gate.channels)
    try:
        mean, covariance, distance_square = fit_ellipse(fit.columns(spec.parent, axes), coverage=gate.coverage)
    except GateError as error:
        raise _Missing(str(error), excludes=False) from error
    sd = float(np.sqrt(np.diag(covariance)).max())
    if gate.max_sd is not None and sd > gate.max_sd:
        why = f"the main cluster on {' and '.join(gate.channels)} has an SD of {sd:.3f}, allowed is {gate.max_sd:g}"
        raise _Missing(why, excludes=False)
    rows = tuple(tuple(float(v) for v in row) for row in covariance)
    return [EllipsoidGate(spec.name, axes, tuple(float(v) for v in mean), rows, distance_square, spec.parent)]


def _boolean_gates(fit: _Fit, spec: PopulationSpec) -> list[Gate]:
    gate: BooleanSpec = spec.gate
    operands = tuple(Operand(o.removeprefix("!"), o.startswith("!")) for o in gate.of)
    known = set(fit.strategy.populations)
    absent = [o.name for o in operands if o.name not in known]
    there = tuple(o for o in operands if o.name in known)
    if absent and (gate.operator != "or" or not there):
        why = f"{', '.join(absent)} was left out, or is gated in another tube"
        raise _Missing(why, excludes=gate.operator == "not")
    if absent:
        fit.notes.append(f"{spec.name}: without {', '.join(absent)}, which this tube does not gate")
    return [BooleanGate(spec.name, gate.operator, there, spec.parent)]


_GATES = {
    TimeSpec: _time_gates,
    SingletsSpec: _singlet_gates,
    CellsSpec: _cells_gates,
    PhenotypeSpec: _phenotype_gates,
    RangeSpec: _range_gates,
    PolygonSpec: _polygon_gates,
    EllipseSpec: _ellipse_gates,
    BooleanSpec: _boolean_gates,
}


# ------------------------------------------------------------------ cuts


def _decide(fit: _Fit, cut: CutSpec) -> CutDecision:
    """The decision on a cut, made once."""
    if cut.name not in fit.decisions:
        fit.decisions[cut.name] = _fit_one(fit, cut)
    return fit.decisions[cut.name]


def _fit_one(fit: _Fit, cut: CutSpec) -> CutDecision:
    axis = fit.axes.dimensions[cut.marker]
    if cut.marker in fit.silent:
        why = f"{cut.marker} recorded nothing: {fit.silent[cut.marker]}"
        return CutDecision(cut.name, cut.marker, cut.method, None, None, None, "no_call", why, 0, on=cut.on)
    if cut.name in fit.controls and cut.method == "control":
        decision = control_decision(cut, fit.controls[cut.name], axis, fit.axes.transforms)
        if decision is not None:
            return decision
    if cut.on != ROOT and cut.on not in fit.strategy.populations:
        raise _Missing(f"cut {cut.name!r} is fitted on {cut.on!r}, which this tube does not gate", excludes=False)
    decision, counts = _fit_own(fit, cut, axis)
    others = fit.borrowed.get(cut.name)
    if others is None:
        return decision
    return borrow_cut(cut, decision, counts, others=others, transform=fit.axes.transforms.get(axis.transform))


def _fit_own(fit: _Fit, cut: CutSpec, axis: Dimension) -> tuple[CutDecision, Counts]:
    """What the sample itself says of a cut, and the events it says it by."""
    source, strategy = fit.source, fit.strategy
    ancestors = _Ancestors(fit, cut.on, axis)
    counts = source.counts(cut.on, axis, strategy)
    decision = fit_cut(cut, counts, ancestors=ancestors, random_state=fit.random_state)
    if source.is_complete or cut.method != "valley" or decision.n_events < MIN_SIDE_EVENTS:
        return decision, counts
    if decision.status == "fitted" and decision.n_smaller >= MIN_SIDE_EVENTS:
        return decision, counts
    # The sample shows too few events on one side: every event of the file may show the valley.
    others = tuple(
        fit.axes.dimensions[c.marker]
        for c in fit.panel.cuts
        if c.on == cut.on and c.method == "valley" and c.marker in fit.axes.dimensions
    )
    counts = source.full_counts(cut.on, axis, strategy, others)
    return fit_cut(cut, counts, ancestors=ancestors, random_state=fit.random_state), counts


@dataclass(frozen=True)
class _Ancestors:
    """The populations above one, nearest first, counted along an axis when they are asked for."""

    fit: _Fit
    population: str
    axis: Dimension

    def __iter__(self):
        strategy = self.fit.strategy
        for name in reversed(strategy.gate_path(self.population)[:-1] if self.population != ROOT else ()):
            yield name, self.fit.source.counts(name, self.axis, strategy)
