"""From a run folder to a plan: which files make up which sample, gated by which panel.

Nothing is computed here but headers; ``cytomrd gate --dry-run`` shows this and stops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from cytomrd.errors import CytomrdError, PanelError, RunError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.panel import Panel
from cytomrd.panel.library import list_panels, read_panel
from cytomrd.panel.matching import ChannelMatch, match_channels, recognise_panel
from cytomrd.run.tracking import visit_order
from cytomrd.samplesheet import SAMPLESHEET_NAME, SampleRow, find_fcs_files, load_samplesheet

__all__ = [
    "SERIES_ROLES",
    "PlannedFile",
    "PlannedSample",
    "RunPlan",
    "check_run_folder",
    "is_control_of",
    "list_rows",
    "plan_rows",
    "plan_run",
    "rows_to_files",
]

CONTROL_ROLES = ("pre_infusion", "fmo", "isotype")
SERIES_ROLES = ("sample", "pre_infusion", "negative")
"""Roles of a subject's own specimens, stained in full."""
SKIPPED_ROLES = ("single_stain", "unstained")


@dataclass(frozen=True)
class PlannedFile:
    """One tube: its samplesheet row, and how its channels fit the panel. ``error`` says why it cannot be gated.

    ``instrument`` is the cytometer with its serial number, as far as the file names them.
    """

    row: SampleRow
    path: Path
    panel_id: str | None = None
    tube: str | None = None
    match: ChannelMatch | None = None
    n_events: int = 0
    n_channels: int = 0
    error: str | None = None
    instrument: str = ""


@dataclass(frozen=True)
class PlannedSample:
    """A specimen and its tubes. ``controls`` are the subject's files that can set the CAR threshold.

    ``first_visit`` is, by file, for each later tube of a subject's series the one that began it and gives its scales.
    """

    sample_id: str
    assay: str
    files: tuple[PlannedFile, ...]
    controls: tuple[PlannedFile, ...] = ()
    first_visit: Mapping[str, PlannedFile] = field(default_factory=dict)

    @property
    def role(self) -> str:
        """Role of the specimen's tubes."""
        return self.files[0].row.role

    @property
    def control_files(self) -> tuple[str, ...]:
        """Names of the controls' files: samples with the same ones share a CAR threshold."""
        return tuple(f.row.file for f in self.controls)


@dataclass(frozen=True)
class RunPlan:
    """Everything that a run will do, decided before any of it is done."""

    folder: Path
    samples: tuple[PlannedSample, ...]
    panels: Mapping[str, Panel]
    notes: tuple[str, ...] = ()

    @property
    def n_events(self) -> int:
        """Events over all files."""
        return sum(f.n_events for s in self.samples for f in s.files)


def plan_run(folder: str | Path, *, strict: bool = False, exclude: Path | None = None) -> RunPlan:
    """Read the samplesheet (or recognise the panels), open every header, match every channel.

    ``exclude`` is the results folder: FCS files in it are not the run's.

    Raises
    ------
    SamplesheetError
        With every problem of the samplesheet at once.
    RunError
        If the folder does not exist or holds no FCS file.
    """
    folder = Path(folder)
    rows, notes = list_rows(folder, exclude=exclude)
    if not rows:
        raise RunError(f"no FCS file (*.fcs, *.lmd) in {folder}; `cytomrd demo {folder}` writes an example run")
    return plan_rows(folder, rows, notes, strict=strict)


def check_run_folder(folder: Path) -> None:
    """Refuse what is no folder."""
    if not folder.is_dir():
        raise RunError(f"{folder} is not a folder; give the folder that holds the FCS files")


def list_rows(
    folder: Path, *, exclude: Path | None = None, missing_ok: bool = False
) -> tuple[tuple[SampleRow, ...], tuple[str, ...]]:
    """Rows of the samplesheet, or one for each FCS file where there is none, and notes on them.

    ``missing_ok`` lets the sheet name files that are not there yet.

    Raises
    ------
    SamplesheetError, RunError
        As :func:`plan_run`.
    """
    check_run_folder(folder)
    if (folder / SAMPLESHEET_NAME).exists():
        sheet = load_samplesheet(folder, missing_ok=missing_ok)
        return sheet.rows, sheet.notes
    note = (
        f"no {SAMPLESHEET_NAME}: each file was taken as a sample of its own and its panel recognised from the "
        f"markers; `cytomrd samplesheet {folder}` writes a draft to edit"
    )
    names = _fcs_files(folder, exclude)
    return tuple(SampleRow(file=name, sample_id=Path(name).stem, row=0) for name in names), (note,)


def plan_rows(folder: Path, rows: Sequence[SampleRow], notes: Sequence[str], *, strict: bool = False) -> RunPlan:
    """The plan of some rows; a file that cannot be gated says why and stops no other."""
    notes = list(notes)
    panels: dict[str, Panel] = {}
    files = [_plan_file(folder, row, panels, strict) for row in rows if row.role not in SKIPPED_ROLES]
    skipped = [row.file for row in rows if row.role in SKIPPED_ROLES]
    if skipped:
        notes.append(f"compensation controls, not gated: {', '.join(skipped)}")
    for file in files:
        if file.match is not None and not file.row.panel:
            notes.append(f"{file.row.file}: recognised as panel {file.panel_id}, tube {file.tube}")
    return RunPlan(folder, _group(files, panels), panels, tuple(notes))


def rows_to_files(folder: Path, rows: Sequence[SampleRow], panel: Panel) -> list[PlannedFile]:
    """Rows of a folder's files, all of one panel that need not be bundled, matched as a run's are."""
    panels = {row.panel: panel for row in rows}
    return [_plan_file(folder, row, panels, strict=False) for row in rows]


def _fcs_files(folder: Path, exclude: Path | None) -> list[str]:
    inside = exclude.resolve() if exclude is not None else None
    return [n for n in find_fcs_files(folder) if inside is None or inside not in (folder / n).resolve().parents]


def _plan_file(folder: Path, row: SampleRow, panels: dict[str, Panel], strict: bool) -> PlannedFile:
    path = folder / row.file
    try:
        dataset = open_fcs(path, strict=strict)
        if row.panel:
            panel = _panel(folder, row.panel, panels)
            tube = panel.tube(row.tube) if row.tube else _only_tube(panel, dataset)
            match = match_channels(tube, dataset.detectors, dataset.markers)
            match.require(f"panel {panel.id}, tube {tube.id}")
        else:
            candidates = [_panel(folder, name, panels) for name in list_panels()]
            panel, tube, match = recognise_panel(candidates, dataset.detectors, dataset.markers)
    except (CytomrdError, OSError) as error:
        return PlannedFile(row, path, error=f"{type(error).__name__}: {error}")
    instrument = " ".join(filter(None, (dataset.keywords.get(key, "") for key in ("$CYT", "$CYTSN"))))
    size = {"n_events": dataset.n_events, "n_channels": dataset.n_channels}
    return PlannedFile(row, path, panel.id, tube.id, match, **size, instrument=instrument)


def _panel(folder: Path, name: str, panels: dict[str, Panel]) -> Panel:
    if name not in panels:
        local = folder / name
        panel = read_panel(local if name.endswith(".toml") and local.is_file() else name)
        if panels.get(panel.id, panel).sha256 != panel.sha256:
            raise PanelError(f"two different panels have the id {panel.id!r} ({name} is one of them); rename one")
        panels[name] = panels[panel.id] = panel
    return panels[name]


def _only_tube(panel: Panel, dataset):
    if len(panel.tubes) == 1:
        return panel.tubes[0]
    return recognise_panel([panel], dataset.detectors, dataset.markers)[1]


def _group(files: list[PlannedFile], panels: Mapping[str, Panel]) -> tuple[PlannedSample, ...]:
    by_sample: dict[str, list[PlannedFile]] = {}
    for file in files:
        by_sample.setdefault(file.row.sample_id, []).append(file)
    samples = []
    for sample_id, tubes in by_sample.items():
        used = list(dict.fromkeys(f.panel_id for f in tubes if f.panel_id))
        if len(used) > 1:
            why = (
                f"sample {sample_id} has tubes of several panels ({', '.join(used)}); give each panel its own sample_id"
            )
            tubes = [replace(f, error=f.error or why) for f in tubes]
        assay = panels[used[0]].assay if used else "phenotype"
        controls = _controls(tubes[0], used[0], files) if assay == "car_nk" else ()
        first = {tube.row.file: of for tube in tubes if (of := _first_visit(tube, files)) is not None}
        samples.append(PlannedSample(sample_id, assay, tuple(tubes), controls, first))
    return tuple(samples)


def _controls(of: PlannedFile, panel_id: str, files: list[PlannedFile]) -> tuple[PlannedFile, ...]:
    """The files that can set the CAR threshold: the subject's own pre-infusion sample, then FMO, then isotype."""
    subject = of.row.subject_id
    usable = [f for f in files if is_control_of(f.row, of.row) and f.panel_id == panel_id and f.match is not None]
    return tuple(sorted(usable, key=lambda f: (CONTROL_ROLES.index(f.row.role), f.row.subject_id != subject)))


def _first_visit(of: PlannedFile, files: list[PlannedFile]) -> PlannedFile | None:
    """The file that begins a tube's series: of its subject, panel, tube and instrument; None where it is the first.

    Where the time of two visits is not known, the samplesheet orders them.
    """

    def kind(file: PlannedFile) -> tuple:
        return file.row.subject_id, file.panel_id, file.tube, file.instrument

    if not of.row.subject_id or of.match is None or of.row.role not in SERIES_ROLES:
        return None
    series = [f for f in files if f.match is not None and f.row.role in SERIES_ROLES and kind(f) == kind(of)]
    first = min(series, key=lambda f: (visit_order(f.row), f.row.row))
    return None if first is of or first.row.sample_id == of.row.sample_id else first


def is_control_of(row: SampleRow, other: SampleRow) -> bool:
    """Whether the file of ``row`` can set the CAR threshold of ``other``'s, if both are of one panel."""
    own = bool(other.subject_id) and row.subject_id == other.subject_id
    return row.role in CONTROL_ROLES and (row.role != "pre_infusion" or own)
