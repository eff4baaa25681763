"""MRD of a sample within a run: its plasma cells called, counted over tubes, and set against the blanks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cytomrd.mrd.clonality import CloneCalls, TubeCells, call_clones
from cytomrd.mrd.hemodilution import HemodilutionResult, assess_hemodilution
from cytomrd.mrd.limits import limit_of_blank
from cytomrd.mrd.quantify import quantify_mrd
from cytomrd.panel import Panel
from cytomrd.run.gate_file import GatedFile
from cytomrd.run.model import FileResult, SampleResult
from cytomrd.run.settings import RunSettings

__all__ = ["Blank", "ClonesOfSample", "call_sample", "finish_mrd", "label_cells"]

CELL_ROLES = ("gate", "aberrancy", "light_chain")


@dataclass(frozen=True)
class Blank:
    """What a negative marrow adds to the limit of blank."""

    n_clonal: int
    n_nucleated: int


@dataclass(frozen=True, eq=False)
class ClonesOfSample:
    """Clone calls of a sample, and what MRD would be had time QC left nothing out."""

    calls: CloneCalls
    n_nucleated: dict[str, int]
    fraction_without_qc: float | None

    @property
    def n_clonal(self) -> dict[str, int]:
        """Clonal plasma cells by tube."""
        return {t: self.calls.n_clonal(t) for t in self.calls.tubes}


def call_sample(files: Sequence[GatedFile], panel: Panel, settings: RunSettings) -> ClonesOfSample:
    """Call the plasma cells of all tubes together; once more without time QC where it left something out."""
    nucleated = {f.result.tube: f.result.count(panel.mrd.nucleated) for f in files}
    calls = _call(files, panel, settings, without_qc=False)
    if not any(f.result.n_without_qc for f in files):
        fraction = _fraction(calls, nucleated)
    else:
        every = {f.result.tube: f.result.n_without_qc.get(panel.mrd.nucleated, nucleated[f.result.tube]) for f in files}
        fraction = _fraction(_call(files, panel, settings, without_qc=True), every)
    return ClonesOfSample(calls, nucleated, fraction)


def _call(files: Sequence[GatedFile], panel: Panel, settings: RunSettings, *, without_qc: bool) -> CloneCalls:
    tubes = [_tube_cells(f, panel, without_qc=without_qc) for f in files]
    return call_clones(tubes, panel.mrd, random_state=settings.random_state)


def _tube_cells(file: GatedFile, panel: Panel, *, without_qc: bool) -> TubeCells:
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
    lob_events, about_blank = _lob(panel.id, blanks, sum(clones.n_nucleated.values()), settings)
    result = quantify_mrd(
        clones.calls,
        clones.n_nucleated,
        panel.mrd,
        lob_events=lob_events,
        hemodilution=_hemodilution(sample, panel, row.prior_therapy),
        prior_therapy=row.prior_therapy,
        pull=row.pull,
        flags=tuple(about_blank),
    )
    return replace(
        sample,
        mrd=result,
        clones=clones.calls,
        mrd_fraction_without_qc=clones.fraction_without_qc,
        flags=result.flags,
    )


def label_cells(files: Sequence[FileResult], clones: ClonesOfSample) -> tuple[FileResult, ...]:
    """The tubes with the clone of each plasma cell."""
    labels = dict(zip(clones.calls.tubes, clones.calls.labels, strict=True))
    return tuple(replace(f, rare=tuple(replace(cells, labels=labels[f.tube]) for cells in f.rare)) for f in files)


def _lob(panel_id: str, blanks: Sequence[Blank], n_nucleated: int, settings: RunSettings) -> tuple[int, list[str]]:
    if panel_id in settings.lob_events:
        return settings.lob_events[panel_id], []
    usable = [b for b in blanks if b.n_nucleated > 0]
    if not usable or not n_nucleated:
        return 0, [
            "LOB_ASSUMED_0: limit of blank taken as 0; the run has no negative samples and run.toml no lob_events"
        ]
    found = limit_of_blank([b.n_clonal for b in usable], [b.n_nucleated for b in usable], at_nucleated=n_nucleated)
    return found.lob_events, []


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
