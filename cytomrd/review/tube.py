"""One tube opened for review: its gates as they were fitted, and all its events, ready to be gated again.

Nothing of the events is kept: a moved gate is applied to the file itself, by the code that gated it first, and by what
it changes (:mod:`cytomrd.review.difference`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.errors import ReviewError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.fcs.text import printable
from cytomrd.gating.apply import HistogramRequest, apply_gates, transform_events
from cytomrd.gating.fit import FittedGates
from cytomrd.gating.gates import ROOT, UNCOMPENSATED, Dimension, GatingStrategy, RectangleGate
from cytomrd.panel import Panel, TimeSpec
from cytomrd.review.difference import KnownGates
from cytomrd.review.recent import Recent
from cytomrd.run.gate_file import GatedFile, gate_fitted
from cytomrd.run.model import FileResult, PlotAxis
from cytomrd.run.plan import PlannedFile
from cytomrd.run.settings import RunSettings

__all__ = ["OpenTube"]

SPILLOVER = "spillover"
KEPT_RESULTS, KEPT_MEASURED, KEPT_IMAGES = 6, 2, 64


@dataclass(eq=False)
class OpenTube:
    """A tube and its events.

    Attributes
    ----------
    file
        As it was gated without a person.
    fitted
        Its gates, with the axes that they are on.
    dataset
        Its events.
    """

    file: FileResult
    planned: PlannedFile
    panel: Panel
    dataset: FcsDataset
    fitted: FittedGates
    n_threads: int = 1

    def __post_init__(self):
        self._gates = KnownGates(self.dataset)
        self._results, self._measured, self._images = Recent(KEPT_RESULTS), Recent(KEPT_MEASURED), Recent(KEPT_IMAGES)

    @classmethod
    def open(
        cls, file: FileResult, planned: PlannedFile, panel: Panel, *, settings: RunSettings, n_threads: int
    ) -> OpenTube:
        """Open the file of a tube that was gated.

        Raises
        ------
        ReviewError
            If it is another file by now, or its gates find other counts than they did.
        """
        if planned.error:
            raise ReviewError(f"{planned.row.file}: {planned.error}")
        dataset = open_fcs(planned.path, strict=settings.strict)
        if dataset.sha256 != file.sha256:
            raise ReviewError(f"{planned.row.file}: changed since it was gated; `cytomrd gate` gates it again")
        tube = cls(file, planned, panel, dataset, _fitted_again(file, planned, panel), n_threads)
        found = tube.gated(tube.fitted).result
        if _counts(found) != _counts(file) or dict(found.n_without_qc) != dict(file.n_without_qc):
            raise ReviewError(f"{planned.row.file}: its gates find other counts than when it was gated; gate it again")
        return tube

    @property
    def tube(self) -> str:
        """Its name in the panel."""
        return self.file.tube

    def gated(self, fitted: FittedGates) -> GatedFile:
        """The tube under some gates: every count, and the plasma cells."""
        return self._results.get(_key(fitted), lambda: self._gated(fitted))

    def measured(self, fitted: FittedGates) -> GatedFile:
        """The tube under some gates, with the medians of every population."""
        return self._measured.get(_key(fitted), lambda: self._gated(fitted, medians=True))

    def _gated(self, fitted: FittedGates, *, medians: bool = False) -> GatedFile:
        gated = gate_fitted(
            self.planned,
            self.panel,
            fitted,
            dataset=self.dataset,
            spillover=fitted.strategy.spillovers.get(SPILLOVER),
            drawn=False,
            medians=medians,
            apply=self._gates.apply,
            n_threads=self.n_threads,
        )
        notes = tuple(dict.fromkeys(gated.result.notes))
        return replace(gated, result=replace(gated.result, notes=notes))

    def image(
        self, fitted: FittedGates, population: str, x: str, y: str, *, bins: int
    ) -> tuple[PlotAxis, PlotAxis, np.ndarray]:
        """Events of a population on the axes of two markers: int64 (bins, bins), x first."""
        axes = [self.axis(marker) for marker in (x, y)]
        strategy = _no_more_than(fitted.strategy, population)
        key = strategy.gates, population, x, y, bins
        return *axes, self._images.get(key, lambda: self._counted(strategy, population, x, y, bins))

    def _counted(self, strategy: GatingStrategy, population: str, x: str, y: str, bins: int) -> np.ndarray:
        (on_x, x_limits), (on_y, y_limits) = (self._limits(marker) for marker in (x, y))
        request = HistogramRequest(population, on_x, on_y, x_limits, y_limits, bins=bins)
        spillover = strategy.spillovers.get(SPILLOVER)
        found = apply_gates(self.dataset, strategy, spillover=spillover, histograms=[request], n_threads=self.n_threads)
        counts = found.histograms[0].counts
        counts.setflags(write=False)
        return counts

    def axis(self, marker: str) -> PlotAxis:
        """The axis of a marker, as the report draws it."""
        if marker not in self.file.axes:
            raise ReviewError(f"no marker {printable(marker, 60)!r} to draw; there are {', '.join(self.file.axes)}")
        return self.file.axes[marker]

    def _limits(self, marker: str) -> tuple[Dimension, tuple[float, float]]:
        axis = self.axis(marker)
        return self.fitted.axes[marker], (axis.low, axis.high)

    def event(self, event: int) -> list[tuple[str, str, float, float, float]]:
        """One event: (channel, marker, raw, compensated, transformed) of every channel; NaN where there is no scale."""
        if not 0 <= event < self.dataset.n_events:
            raise ReviewError(f"the file has events 0 to {self.dataset.n_events - 1}, and no event {event}")
        raw = np.asarray(self.dataset.read_events(events=np.array([event])), dtype=np.float64)
        strategy, axes = self.fitted.strategy, self.fitted.axes
        spillover = strategy.spillovers.get(SPILLOVER)
        detectors = self.dataset.detectors
        scaled = transform_events(raw, detectors, list(axes.values()), strategy, spillover)[0]
        linear = [replace(axis, transform=None) for axis in axes.values()]
        compensated = transform_events(raw, detectors, linear, strategy, spillover)[0]
        known = {d.channel: (m, c, s) for (m, d), c, s in zip(axes.items(), compensated, scaled, strict=True)}
        rows = []
        for detector, value in zip(detectors, raw[0], strict=True):
            marker, of_linear, on_scale = known.get(detector, ("", np.nan, np.nan))
            rows.append((detector, marker, float(value), float(of_linear), float(on_scale)))
        return rows


def _key(fitted: FittedGates) -> tuple:
    return fitted.strategy.gates, tuple(d.value for d in fitted.decisions)


def _counts(file: FileResult) -> list[tuple[str, int, int]]:
    return [(p.population, p.n_events, p.n_parent) for p in file.populations]


def _fitted_again(file: FileResult, planned: PlannedFile, panel: Panel) -> FittedGates:
    """The fitted gates of a sealed tube; its strategy carries the matrix and the scales that they were fitted with."""
    time = next((p.name for p in panel.populations if isinstance(p.gate, TimeSpec)), "")
    removed = [g for g in file.strategy.gates if g.name.startswith(f"_{time}_removed_")]
    return FittedGates(
        strategy=file.strategy,
        decisions=file.decisions,
        axes=_axes_again(file, planned, panel),
        time_removed=tuple((g.minimum[0], g.maximum[0]) for g in removed if isinstance(g, RectangleGate)),
        notes=file.notes,
        doubts=file.qc.doubts,
        drift=file.qc.drift,
    )


def _axes_again(file: FileResult, planned: PlannedFile, panel: Panel) -> dict[str, Dimension]:
    """Marker to axis, in the order in which they were fitted: that of the panel's channels."""
    used = {d.channel: d for g in file.strategy.gates for d in getattr(g, "dimensions", ()) if isinstance(d, Dimension)}
    matrix = file.strategy.spillovers.get(SPILLOVER)
    known = set(file.axes) if not file.rare else set(file.rare[0].markers)
    axes = {}
    for channel in panel.tube(file.tube).channels:
        marker = channel.marker
        if marker not in known:
            continue
        if marker not in file.axes:
            axes[marker] = Dimension(planned.match.detector_of[marker])
            continue
        plotted = file.axes[marker]
        in_matrix = matrix is not None and plotted.detector in matrix.detectors
        is_stain = channel.role not in ("scatter", "time")
        axes[marker] = used.get(plotted.detector) or Dimension(
            plotted.detector, SPILLOVER if in_matrix and is_stain else UNCOMPENSATED, _key_of(file, marker)
        )
    return axes


def _key_of(file: FileResult, marker: str) -> str:
    """The scale of a marker that no gate uses; equal scales of two markers are the same scale."""
    wanted = file.axes[marker].transform
    return next(key for key, transform in file.strategy.transforms.items() if transform == wanted)


def _no_more_than(strategy: GatingStrategy, population: str) -> GatingStrategy:
    """The gates that decide who is in a population, and no others."""
    if population == ROOT:
        return replace(strategy, gates=())
    gates: Mapping = {
        name: g for g in strategy.gates for name in (g.name, *(q.name for q in getattr(g, "quadrants", ())))
    }
    wanted, waiting = set(), [population]
    while waiting:
        name = waiting.pop()
        if name == ROOT or name in wanted:
            continue
        if name not in gates:
            raise ReviewError(f"no population {printable(name, 60)!r}; there are {', '.join(strategy.populations)}")
        wanted.add(name)
        waiting += [gates[name].parent, *(o.name for o in getattr(gates[name], "operands", ()))]
    kept = {gates[name].name for name in wanted}
    return replace(strategy, gates=tuple(g for g in strategy.gates if g.name in kept))
