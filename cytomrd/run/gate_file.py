"""One tube from FCS to counts: compensation, fit, apply in one pass, and what the report draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cytomrd.errors import CytomrdError
from cytomrd.fcs.acquired import acquisition_time
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.gating.apply import Compartment, GatedEvents, apply_gates, transform_events
from cytomrd.gating.fit import BorrowedCut, ControlCut, FittedGates, fit_gates
from cytomrd.gating.gates import ROOT, Dimension, GatingStrategy, RectangleGate
from cytomrd.panel import Panel, SingletsSpec, TimeSpec
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.margins import upper_margin
from cytomrd.run.gate_draws import GateDraws, draw_gates
from cytomrd.run.model import FileResult, PopulationCount, QcSummary, RareCells
from cytomrd.run.plan import PlannedFile
from cytomrd.run.plots import gate_plots, plot_axes, plot_requests, time_axis, time_plot, time_request
from cytomrd.run.series_scales import SeriesScales
from cytomrd.run.settings import RunSettings
from cytomrd.run.spillover import file_spillover
from cytomrd.run.tube_quality import tube_quality

__all__ = ["GatedFile", "gate_file", "gate_fitted", "rare_population", "without_time_gate"]

MARGIN = "_upper_margin"


@dataclass(frozen=True, eq=False)
class GatedFile:
    """A gated tube, its rare compartment with and without time QC, and what moved gates do to it (MRD panels)."""

    result: FileResult
    rare: RareCells | None
    rare_without_qc: RareCells | None
    cuts: Mapping[str, float]
    draws: GateDraws | None = None


def rare_population(panel: Panel) -> str | None:
    """The compartment whose events are kept one by one: plasma cells, or NK cells."""
    if panel.mrd is not None:
        return panel.mrd.plasma_cells
    return panel.car_nk.nk if panel.car_nk is not None else None


def gate_file(
    planned: PlannedFile,
    panel: Panel,
    settings: RunSettings,
    folder,
    *,
    controls: Mapping[str, ControlCut] | None = None,
    borrowed: Mapping[str, BorrowedCut] | None = None,
    series: SeriesScales | None = None,
    n_threads: int = 1,
    progress=None,
) -> GatedFile:
    """Fit the panel's gates to one file and apply them to all of its events."""
    try:
        dataset = open_fcs(planned.path, strict=settings.strict)
        spillover = file_spillover(dataset, settings, folder)
        fitted = fit_gates(
            dataset,
            panel,
            planned.tube,
            match=planned.match,
            spillover=spillover,
            controls=controls,
            borrowed=borrowed,
            series=series.scales if series is not None else None,
            random_state=settings.random_state,
            n_threads=n_threads,
        )
        if series is not None:
            fitted = replace(fitted, notes=(series.note, *fitted.notes))
        gated = gate_fitted(
            planned, panel, fitted, dataset=dataset, spillover=spillover, n_threads=n_threads, progress=progress
        )
        if panel.mrd is None or gated.rare is None or not settings.gate_draws:
            return gated
        draws = draw_gates(
            dataset, fitted, spillover, rare=gated.rare.population, denominator=panel.mrd.nucleated,
            settings=settings, folder=folder, n_threads=n_threads,
        )  # fmt: skip
        return replace(gated, draws=draws)
    except CytomrdError as error:
        error.add_note(f"file {planned.row.file}")
        raise


def gate_fitted(
    planned: PlannedFile,
    panel: Panel,
    fitted: FittedGates,
    *,
    dataset: FcsDataset,
    spillover: Spillover | None,
    drawn: bool = True,
    medians: bool = True,
    apply: Callable[..., GatedEvents] = apply_gates,
    n_threads: int = 1,
    progress=None,
) -> GatedFile:
    """Apply fitted gates to all events of a file; ``drawn`` and ``medians`` ask for what is drawn and for medians.

    ``apply`` does what :func:`cytomrd.gating.apply.apply_gates` does.
    """
    tube = panel.tube(planned.tube)
    rare = rare_population(panel)
    keep = (rare,) if rare in fitted.strategy.populations else ()
    axes = plot_axes(dataset, tube, fitted)
    strategy = _with_margin(fitted.strategy, dataset, axes)
    time = time_axis(panel, dataset, fitted) if drawn else None
    requests = plot_requests(panel, tube, fitted, {**axes, time.marker: time} if time else axes) if drawn else ()
    gated = apply(
        dataset,
        strategy,
        spillover=spillover,
        histograms=[r.request for r in requests] + ([time_request(time)] if time else []),
        compartments=keep,
        medians=[fitted.axes[marker] for marker in axes] if medians else None,
        n_threads=n_threads,
        progress=progress,
    )
    cells = _rare_cells(rare, gated, dataset, fitted, strategy, spillover) if keep else None
    if cells is not None and panel.car_nk is not None:
        cells = _label_car_positive(cells, panel, fitted)
    n_without_qc, cells_without_qc = _without_qc(
        panel, dataset, spillover, fitted, strategy, rare, keep, partial(apply, n_threads=n_threads)
    )
    result = FileResult(
        row=planned.row,
        tube=planned.tube,
        panel_id=panel.id,
        panel_version=panel.version,
        sha256=dataset.sha256,
        detectors=tuple(dataset.detectors),
        markers=tuple(dataset.markers),
        findings=tuple(dataset.findings),
        notes=(*fitted.notes, *gated.notes),
        matches=planned.match.notes,
        strategy=with_spillover(fitted.strategy, spillover),
        decisions=fitted.decisions,
        axes=axes,
        populations=_population_counts(panel, fitted, gated, tuple(axes)),
        qc=_qc(panel, tube, dataset, spillover, fitted, gated),
        gate_plots=gate_plots(requests, gated, fitted, cells),
        time_plot=time_plot(gated.histograms[-1], fitted) if time else None,
        rare=(cells,) if cells is not None else (),
        n_without_qc=n_without_qc,
        volume_keyword=dataset.keywords.get("$VOL"),
        cytometer=dataset.keywords.get("$CYT", ""),
        cytometer_serial=dataset.keywords.get("$CYTSN", ""),
        acquired_at=acquisition_time(dataset.keywords),
        quality=tube_quality(dataset, fitted, spillover, axes, time, cells) if drawn else None,
    )
    cuts = {d.name: d.value for d in fitted.decisions if d.value is not None}
    return GatedFile(result, cells, cells_without_qc if cells_without_qc is not None else cells, cuts)


def _with_margin(strategy: GatingStrategy, dataset: FcsDataset, axes) -> GatingStrategy:
    """Add the count of events at the top of a scatter channel: a finding, never a gate."""
    tops = []
    for marker in ("FSC-A", "SSC-A"):
        if marker in axes:
            edge = upper_margin(dataset.channels[dataset.detectors.index(axes[marker].detector)])
            tops.append(RectangleGate(f"{MARGIN}_{marker}", (Dimension(axes[marker].detector),), (edge,), (None,)))
    return replace(strategy, gates=(*strategy.gates, *tops))


def with_spillover(strategy: GatingStrategy, spillover: Spillover | None) -> GatingStrategy:
    """The strategy with the matrix that compensation "FCS" meant written into it, so that it stands alone."""
    if spillover is None:
        return strategy

    def explicit(dimension):
        if getattr(dimension, "compensation", None) == "FCS":
            return replace(dimension, compensation="spillover")
        return dimension

    gates = tuple(
        replace(g, dimensions=tuple(explicit(d) for d in g.dimensions)) if hasattr(g, "dimensions") else g
        for g in strategy.gates
    )
    return replace(strategy, gates=gates, spillovers={**strategy.spillovers, "spillover": spillover})


def _rare_cells(population, gated: GatedEvents, dataset, fitted, strategy, spillover) -> RareCells:
    compartment: Compartment = gated.compartments[population]
    markers = tuple(fitted.axes)
    on_scale = [fitted.axes[m] for m in markers]
    linear = [replace(d, transform=None) for d in on_scale]
    transformed = transform_events(compartment.values, dataset.detectors, on_scale, strategy, spillover)
    return RareCells(
        population=population,
        events=compartment.events,
        raw=compartment.values,
        markers=markers,
        compensated=transform_events(compartment.values, dataset.detectors, linear, strategy, spillover),
        transformed=transformed,
        labels=np.zeros(len(compartment.events), dtype=np.int64),
    )


def _label_car_positive(cells: RareCells, panel: Panel, fitted: FittedGates) -> RareCells:
    """Label the NK cells at or above the CAR cut with 1."""
    cut = next((d for d in fitted.decisions if d.name == panel.car_nk.car_cut and d.value is not None), None)
    if cut is None or cut.marker not in cells.markers:
        return cells
    positive = cells.transformed[:, cells.markers.index(cut.marker)] >= cut.value
    return replace(cells, labels=positive.astype(np.int64))


def _without_qc(panel, dataset, spillover, fitted, strategy, rare, keep, apply):
    """Counts and rare cells had time QC left nothing out; one more pass, only where it did leave out."""
    opened = without_time_gate(strategy, panel)
    if not fitted.time_removed or opened is None:
        return {}, None
    gated = apply(dataset, opened, spillover=spillover, compartments=keep)
    counts = {name: int(n) for name, n in zip(gated.populations, gated.n_events, strict=True)}
    cells = _rare_cells(rare, gated, dataset, fitted, opened, spillover) if keep else None
    return counts, cells


def without_time_gate(strategy: GatingStrategy, panel: Panel) -> GatingStrategy | None:
    """The strategy had time QC left nothing out; None where there is no gate on time."""
    time = next((p.name for p in panel.populations if isinstance(p.gate, TimeSpec)), None)
    if time not in strategy.populations:
        return None
    return replace(strategy, gates=tuple(_reparent(g, time) for g in strategy.gates if g.name != time))


def _reparent(gate, removed: str):
    return replace(gate, parent=ROOT) if gate.parent == removed else gate


def _population_counts(panel, fitted, gated: GatedEvents, markers) -> tuple[PopulationCount, ...]:
    nucleated = panel.mrd.nucleated if panel.mrd is not None else None
    n_nucleated = gated.count(nucleated) if nucleated in gated.populations else None
    counts = []
    for index, name in enumerate(gated.populations):
        if name.startswith("_"):
            continue
        parent = fitted.strategy.parent_of(name)
        n = int(gated.n_events[index])
        found = () if gated.medians is None else zip(markers, gated.medians[index], strict=True)
        medians = {marker: float(value) for marker, value in found if np.isfinite(value)}
        counts.append(
            PopulationCount(
                population=name,
                gate_path=fitted.strategy.gate_path(name),
                n_events=n,
                n_parent=gated.n_total - gated.n_non_finite if parent == ROOT else gated.count(parent),
                fraction_of_nucleated=n / n_nucleated if n_nucleated else None,
                median_intensity=medians,
            )
        )
    return tuple(counts)


def _qc(panel: Panel, tube, dataset, spillover, fitted: FittedGates, gated: GatedEvents) -> QcSummary:
    n_total = gated.n_total - gated.n_non_finite
    specs = panel.populations_of(tube.id)
    removed, doublets = 0, 0
    held = []
    for spec in specs:
        if spec.name not in gated.populations or not isinstance(spec.gate, TimeSpec | SingletsSpec):
            continue
        n_parent = n_total if spec.parent == ROOT else gated.count(spec.parent)
        lost = n_parent - gated.count(spec.name)
        if isinstance(spec.gate, TimeSpec):
            removed, limit, what = lost, panel.qc.max_time_removed, "time QC removed"
        else:
            doublets, limit, what = lost, panel.qc.max_doublets, "doublets are"
        if n_parent and lost / n_parent > limit:
            held.append(f"{what} {lost / n_parent:.1%} of events; the panel allows {limit:.0%}")
    condition = spillover.condition_number if spillover is not None else None
    if condition is not None and condition > panel.qc.max_spill_condition:
        held.append(f"spillover condition number {condition:.3g}; the panel allows {panel.qc.max_spill_condition:.3g}")
    if fitted.drift is not None and fitted.drift > panel.qc.max_drift:
        held.append(f"a channel drifts by {fitted.drift:.2f} of its scale; the panel allows {panel.qc.max_drift:.2f}")
    margins = [gated.count(name) for name in gated.populations if name.startswith(MARGIN)]
    return QcSummary(
        n_events=gated.n_total,
        n_non_finite=gated.n_non_finite,
        n_upper_margin=max(margins, default=0),
        n_removed_by_time=removed,
        n_doublets=doublets,
        drift=fitted.drift,
        spillover_condition=condition,
        held=(*held, *fitted.doubts),
        doubts=fitted.doubts,
    )
