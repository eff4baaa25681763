"""A first samplesheet for a folder that has none: every file, its panel recognised from its markers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from cytomrd.errors import CytomrdError, SamplesheetError
from cytomrd.panel import Panel
from cytomrd.panel.library import list_panels, read_panel
from cytomrd.panel.matching import recognise_panel
from cytomrd.samplesheet.sheet import SampleRow, find_fcs_files, format_samplesheet

__all__ = ["Draft", "draft_samplesheet"]

Labels = tuple[Sequence[str], Sequence[str]]


@dataclass(frozen=True)
class Draft:
    """A drafted samplesheet: its rows, its text, and what was assumed or could not be told."""

    rows: tuple[SampleRow, ...]
    notes: tuple[str, ...]

    @property
    def text(self) -> str:
        """The CSV, all columns, with what is not known left empty."""
        return format_samplesheet(self.rows)


def draft_samplesheet(
    folder: str | Path,
    labels_of: Callable[[Path], Labels],
    *,
    panels: Iterable[Panel] | None = None,
    files: Sequence[str] | None = None,
) -> Draft:
    """Draft the samplesheet of a folder.

    Parameters
    ----------
    folder
        The run folder.
    labels_of
        Gives ``(detectors, markers)`` of a file's path, as the reader of FCS headers does.
    panels
        The panels to recognise; all bundled ones by default.
    files
        Paths relative to the folder; every FCS file in it by default.

    Returns
    -------
    Draft
        Tubes of one marrow share a ``sample_id`` where their names differ only in the tube.
        A file that cannot be read, or fits no panel, is listed without one, with a note.

    Raises
    ------
    SamplesheetError
        If there is no FCS file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cytomrd.samplesheet.draft import draft_samplesheet
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "S1.fcs").write_bytes(b"")
    >>> stained = ["CD3", "CD16+CD56", "CD45", "CD4", "CD19", "CD8"]
    >>> draft = draft_samplesheet(folder, lambda path: (["FSC-A", "SSC-A", *stained], [""] * 8))
    >>> draft.rows[0].panel, draft.rows[0].sample_id
    ('tbnk', 'S1')
    """
    folder = Path(folder)
    names = list(files) if files is not None else list(find_fcs_files(folder))
    if not names:
        raise SamplesheetError(f"no FCS file (*.fcs, *.lmd) in {folder}; give the folder that holds them")
    known = [read_panel(name) for name in list_panels()] if panels is None else list(panels)
    notes: list[str] = []
    rows = [_row(number, name, folder, labels_of, known, notes) for number, name in enumerate(names, start=2)]
    return Draft(tuple(_told_apart(rows, notes)), tuple(notes))


def _row(
    number: int,
    name: str,
    folder: Path,
    labels_of: Callable[[Path], Labels],
    known: Sequence[Panel],
    notes: list[str],
) -> SampleRow:
    """The row of one file, with its panel where that is clear."""
    row = SampleRow(file=name, sample_id=_identifier(PurePosixPath(name).with_suffix("").as_posix()), row=number)
    try:
        detectors, markers = labels_of(folder / name)
        panel, tube, match = recognise_panel(known, detectors, markers)
    except (CytomrdError, OSError) as error:
        notes.append(f"{name}: panel left empty: {error}")
        return row
    notes.append(f"{name}: taken for panel {panel.id}, tube {tube.id}")
    notes.extend(f"{name}: {note}" for note in match.notes if note.startswith("not used"))
    matrix = panel.tissues[0] if len(panel.tissues) == 1 else ""
    sample_id = _without_tube(row.sample_id, tube.id, panel)
    return replace(row, panel=panel.id, tube=tube.id, sample_id=sample_id, matrix=matrix)


def _identifier(path: str) -> str:
    """A path as a sample id: folders joined by ``_``, and nothing in it that a folder's name may not have."""
    return re.sub(r'[/\\:*?"<>|\x00-\x1f\x7f]+', "_", path).strip(". _")[-100:] or "sample"


def _without_tube(name: str, tube: str, panel: Panel) -> str:
    """``BM1_tube2`` as ``BM1``, where the panel has several tubes and the name ends in this one."""
    if len(panel.tubes) == 1:
        return name
    short = re.sub(rf"[ _.-]+(?:tube|t)?[ _-]*{re.escape(tube)}$", "", name, flags=re.IGNORECASE)
    return short or name


def _told_apart(rows: list[SampleRow], notes: list[str]) -> list[SampleRow]:
    """Rows whose sample and tube would be the same get the file's number in their sample id."""
    seen: set[tuple[str, str, str]] = set()
    out = []
    for row in rows:
        key = (row.sample_id.casefold(), row.panel, row.tube)
        if key in seen:
            row = replace(row, sample_id=f"{row.sample_id}_{row.row}")
            notes.append(f"{row.file}: sample_id {row.sample_id}, since another file has the same name and tube")
        seen.add((row.sample_id.casefold(), row.panel, row.tube))
        out.append(row)
    return out
