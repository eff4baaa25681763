"""What a run hands on: plain immutable records from gating to tables and report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from cytomrd.car_nk.quantify import CarNkResult
from cytomrd.fcs.findings import Finding
from cytomrd.gating.fit import CutDecision
from cytomrd.gating.gates import GatingStrategy
from cytomrd.mrd.clonality import CloneCalls
from cytomrd.mrd.gate_error import GateError95, interval_of_chain
from cytomrd.mrd.hemodilution import HemodilutionResult
from cytomrd.mrd.quantify import MrdResult
from cytomrd.mrd.tracking import CloneTrack
from cytomrd.panel import Panel
from cytomrd.preprocess.transforms import Transform
from cytomrd.run.blanks import BlankLimit
from cytomrd.samplesheet import SampleRow

__all__ = [
    "FileResult",
    "GatePlot",
    "PlotAxis",
    "PopulationCount",
    "QcSummary",
    "RareCells",
    "RunResult",
    "SampleResult",
    "TimePlot",
    "TubeQuality",
]


@dataclass(frozen=True)
class PlotAxis:
    """An axis as people read it: "CD38 FITC" on its scale. Limits are on the transformed scale."""

    marker: str
    detector: str
    fluorochrome: str
    transform: Transform
    low: float
    high: float

    @property
    def label(self) -> str:
        """Marker and fluorochrome, once each."""
        return " ".join(part for part in (self.marker, self.fluorochrome) if part)


@dataclass(frozen=True, eq=False)
class GatePlot:
    """One step of the gating path: the parent's events on two axes, with the gate drawn.

    Attributes
    ----------
    counts
        int64 array of shape (n_bins, n_bins): parent's events, first axis x.
    outlines
        Closed outlines to draw, each a float array of shape (n_points, 2) on the
        transformed scales; an open side runs to the limit of the axis.
    bands
        ``(axis, low, high)`` with axis "x" or "y": the 95 % interval of a fitted cut.
    dots
        Events of a rare population to draw one by one, shape (n, 2), or None.
    """

    population: str
    title: str
    parent: str
    x: PlotAxis
    y: PlotAxis
    counts: np.ndarray
    outlines: tuple[np.ndarray, ...]
    bands: tuple[tuple[str, float, float], ...]
    n_parent: int
    n_population: int
    dots: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class TimePlot:
    """Events per second over the acquisition, and the stretches that were left out."""

    seconds: np.ndarray
    events_per_s: np.ndarray
    removed: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class TubeQuality:
    """How the signals of a tube held over time, and what spill compensation left in it.

    Attributes
    ----------
    seconds, markers, medians
        Middle of each stretch of the acquisition, shape (n,); marker names; medians, shape (n, n_markers), on each
        axis' scale, NaN where a stretch holds few events.
    spill_markers, spill
        The colours, and from each (row) into each other (column) the apparent spill that is left
        (:func:`cytomrd.preprocess.leftover_spill.leftover_spill`).
    """

    seconds: np.ndarray
    markers: tuple[str, ...]
    medians: np.ndarray
    spill_markers: tuple[str, ...]
    spill: np.ndarray


@dataclass(frozen=True)
class PopulationCount:
    """One row of populations.csv."""

    population: str
    gate_path: tuple[str, ...]
    n_events: int
    n_parent: int
    fraction_of_nucleated: float | None
    median_intensity: Mapping[str, float]

    @property
    def fraction_of_parent(self) -> float | None:
        """Fraction of the parent's events, 0-1; None for an empty parent."""
        return self.n_events / self.n_parent if self.n_parent else None


@dataclass(frozen=True)
class QcSummary:
    """One row of qc.csv. ``held`` names each limit that was passed; empty is acceptable.

    ``doubts`` are those of them for which the count of cells cannot be relied on.
    """

    n_events: int
    n_non_finite: int
    n_upper_margin: int
    n_removed_by_time: int
    n_doublets: int
    drift: float | None
    spillover_condition: float | None
    held: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RareCells:
    """The events of a rare compartment (plasma cells, NK cells) of one file.

    ``raw`` holds the scale values of every channel, ``compensated`` and ``transformed``
    those of the panel's markers in the order of ``markers``; ``labels`` is the clone
    (0 normal, 1.. clone, -1 indeterminate) or 1 for CAR+ among NK cells.
    """

    population: str
    events: np.ndarray
    raw: np.ndarray
    markers: tuple[str, ...]
    compensated: np.ndarray
    transformed: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class FileResult:
    """One tube of a sample, gated.

    ``matches`` says how each channel was understood, ``notes`` what a reader of the result must know:
    populations left open, scales raised, what time QC left out.
    """

    row: SampleRow
    tube: str
    panel_id: str
    panel_version: str
    sha256: str
    detectors: tuple[str, ...]
    markers: tuple[str, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    strategy: GatingStrategy
    decisions: tuple[CutDecision, ...]
    axes: Mapping[str, PlotAxis]
    populations: tuple[PopulationCount, ...]
    qc: QcSummary
    gate_plots: tuple[GatePlot, ...]
    time_plot: TimePlot | None
    rare: tuple[RareCells, ...]
    n_without_qc: Mapping[str, int] = field(default_factory=dict)
    volume_keyword: str | None = None
    cytometer: str = ""
    cytometer_serial: str = ""
    acquired_at: datetime | None = None
    matches: tuple[str, ...] = ()
    quality: TubeQuality | None = None

    def count(self, population: str) -> int:
        """Events of a population; 0 where this tube does not gate it."""
        return next((p.n_events for p in self.populations if p.population == population), 0)

    def gates(self, population: str) -> bool:
        """Whether this tube gates a population at all."""
        return any(p.population == population for p in self.populations)


@dataclass(frozen=True, eq=False)
class SampleResult:
    """One specimen: its tubes, and what they add up to.

    ``status`` is ``done``, ``held`` (finished, but a QC limit was passed: a person must look)
    or ``failed`` (``errors`` says why; nothing else is filled in).
    """

    sample_id: str
    rows: tuple[SampleRow, ...]
    assay: str
    status: str
    files: tuple[FileResult, ...] = ()
    mrd: MrdResult | None = None
    lob: BlankLimit | None = None
    gate_error: GateError95 | None = None
    track: CloneTrack | None = None
    clones: CloneCalls | None = None
    mrd_fraction_without_qc: float | None = None
    hemodilution: HemodilutionResult | None = None
    car_nk: CarNkResult | None = None
    flags: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    panel: Panel | None = None

    @property
    def interval_with_gates(self) -> tuple[float, float] | None:
        """The 95 % interval of MRD by the whole chain; None where it is not known.

        See :func:`cytomrd.mrd.gate_error.interval_of_chain`.
        """
        mrd = self.mrd
        if mrd is None or mrd.mrd_fraction is None or self.gate_error is None:
            return None
        unsure = self.clones.count_sd if self.clones is not None else 0.0
        return interval_of_chain(mrd, self.gate_error.sd, unsure)


@dataclass(frozen=True, eq=False)
class RunResult:
    """A whole run, in the order of the samplesheet."""

    folder: str
    samples: tuple[SampleResult, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, object]
