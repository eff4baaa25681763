"""MRD of a sample within a run: its plasma cells called, counted over tubes, and set against the blanks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.mrd.clonality import CloneCalls, TubeCells, call_clones
from cytomrd.mrd.gate_error import GateError95, MovedTube, count_moved, label_newcomers
from cytomrd.mrd.hemodilution import HemodilutionResult, assess_hemodilution
from cytomrd.mrd.quantify import quantify_mrd
from cytomrd.panel import Panel
from cytomrd.run.blanks import Blank, find_limit, instrument_of
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.model import FileResult, SampleResult
from cytomrd.run.settings import RunSettings

__all__ = ["Caller", "ClonesOfSample", "call_sample", "finish_mrd", "label_cells", "tube_cells"]

CELL_ROLES = ("gate", "aberrancy", "light_chain")
# What calls the plasma cells of all tubes, as :func:`cytomrd.mrd.clonality.call_clones` does.
Caller = Callable[..., CloneCalls]


@dataclass(frozen=True, eq=False)
class ClonesOfSample:
    """Clone calls of a sample, what MRD would be had time QC left nothing out, and how it moves with the gates."""

    calls: CloneCalls
    n_nucleated: dict[str, int]
    fraction_without_qc: float | None
    moved: GateError95 | None = None

    @property
    def n_clonal(self) -> dict[str, int]:
        """Clonal plasma cells by tube."""
        return {t: self.calls.n_clonal(t) for t in self.calls.tubes}

    def as_blank(self, files: Sequence[FileResult]) -> Blank:
        """This sample as one that is set against blanks."""
        row = files[0].row
        return Blank(
            sample_id=row.sample_id,
            donor=row.subject_id or row.sample_id,
            instrument=instrument_of(files),
            n_clonal=sum(self.n_clonal.values()),
            n_nucleated=sum(self.n_nucleated.values()),
        )


def call_sample(
    files: Sequence[GatedFile], panel: Panel, settings: RunSettings, *, call: Caller = call_clones
) -> ClonesOfSample:
    """Call the plasma cells of all tubes together; once more without time QC where it left something out."""
    nucleated = {f.result.tube: f.result.count(panel.mrd.nucleated) for f in files}

    def called(*, without_qc: bool) -> CloneCalls:
        cells = [tube_cells(f, panel, without_qc=without_qc) for f in files]
        return call(cells, panel.mrd, random_state=settings.random_state)

    calls = called(without_qc=False)
    if not any(f.result.n_without_qc for f in files):
        fraction = _fraction(calls, nucleated)
    else:
        every = {f.result.tube: f.result.n_without_qc.get(panel.mrd.nucleated, nucleated[f.result.tube]) for f in files}
        fraction = _fraction(called(without_qc=True), every)
    return ClonesOfSample(calls, nucleated, fraction, _moved(files, panel, calls, nucleated))


def _moved(
    files: Sequence[GatedFile], panel: Panel, calls: CloneCalls, n_nucleated: dict[str, int]
) -> GateError95 | None:
    """Counts under moved gates; None where they were not moved."""
    if any(f.draws is None for f in files):
        return None
    tubes = []
    for file, labels in zip(files, calls.labels, strict=True):
        draws, cells = file.draws, tube_cells(file, panel)
        columns = [draws.markers.index(m) for m in cells.markers]
        is_known = np.isin(draws.events, file.rare.events)
        moved = np.zeros(len(draws.events), dtype=np.int64)
        moved[is_known] = labels[np.searchsorted(file.rare.events, draws.events[is_known])]
        moved[~is_known] = label_newcomers(cells.values, labels, draws.transformed[~is_known][:, columns])
        ratio = draws.denominator_ratio * n_nucleated[file.result.tube]
        tubes.append(MovedTube(moved, draws.members, ratio))
    return count_moved(tubes)


def tube_cells(file: GatedFile, panel: Panel, *, without_qc: bool = False) -> TubeCells:
    """What the calls look at of one tube: its rare cells on the markers that tell them apart, and their cuts."""
    cells = file.rare_without_qc if without_qc else file.rare
    channels = panel.tube(file.result.tube).channels
    wanted = [c.marker for c in channels if c.role in CELL_ROLES and c.marker in cells.markers]
    columns = [cells.markers.index(m) for m in wanted]
    cuts = {marker: file.cuts[marker] for marker in wanted if marker in file.cuts}
    return TubeCells(file.result.tube, tuple(wanted), cells.transformed[:, columns], cuts)


def _fraction(calls: CloneCalls, n_nucleated: dict[str, int]) -> float | None:
    total = sum(n_nucleated.values())
    return sum(calls.n_clonal(t) for t in calls.tubes) / total if total else None


def finish_mrd(
    sample: SampleResult, clones: ClonesOfSample, panel: Panel, blanks: Sequence[Blank], settings: RunSettings
) -> SampleResult:
    """Count, and set against the limit of blank."""
    row = sample.rows[0]
    own = clones.as_blank(sample.files)
    limit = find_limit(own, blanks, given=settings.lob_events.get(panel.id), lod_events=panel.mrd.lod_events)
    hemodilution = _hemodilution(sample, panel, row.prior_therapy)
    result = quantify_mrd(
        clones.calls,
        clones.n_nucleated,
        panel.mrd,
        lob_events=limit.lob_events,
        hemodilution=hemodilution,
        prior_therapy=row.prior_therapy,
        pull=row.pull,
        doubts=[f"tube {f.tube}: {doubt}" for f in sample.files for doubt in f.qc.doubts],
        flags=(*limit.flags, *_negative_flags(row.role, own.n_clonal, panel.mrd.lod_events)),
    )
    return replace(
        sample,
        mrd=result,
        lob=limit,
        gate_error=clones.moved,
        clones=clones.calls,
        mrd_fraction_without_qc=clones.fraction_without_qc,
        hemodilution=hemodilution,
        flags=result.flags,
    )


def label_cells(files: Sequence[FileResult], clones: ClonesOfSample) -> tuple[FileResult, ...]:
    """The tubes with the clone of each plasma cell."""
    labels = dict(zip(clones.calls.tubes, clones.calls.labels, strict=True))
    return tuple(replace(f, rare=tuple(replace(cells, labels=labels[f.tube]) for cells in f.rare)) for f in files)


def _negative_flags(role: str, n_clonal: int, lod_events: int) -> tuple[str, ...]:
    if role != "negative" or n_clonal < lod_events:
        return ()
    return (
        f"NEGATIVE_WITH_CLONE: {n_clonal} events are called clonal in a sample that the samplesheet calls negative: "
        "look before it counts as a blank",
    )


def _hemodilution(sample: SampleResult, panel: Panel, prior_therapy: tuple[str, ...]) -> HemodilutionResult:
    """Marrow-only populations, each over the tubes that gate it."""
    verdicts = []
    for reference in panel.mrd.hemodilution:
        gating = [f for f in sample.files if f.gates(reference.population)]
        n_events = sum(f.count(reference.population) for f in gating)
        verdicts.append((reference, n_events, sum(f.count(panel.mrd.nucleated) for f in gating)))
    return assess_hemodilution(
        {r.population: n for r, n, total in verdicts if total},
        {r.population: total for r, _, total in verdicts if total},
        panel.mrd.hemodilution,
        prior_therapy=prior_therapy,
    )
