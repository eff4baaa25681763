"""What must hold for a row of a samplesheet against the folder, the panel, and the other rows.

Every check yields problems in words: the row, what was seen, the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from cytomrd.panel import Panel

if TYPE_CHECKING:
    from cytomrd.samplesheet.sheet import SampleRow

__all__ = ["check_file", "check_panel_and_tube", "check_row", "check_rows_together", "filled_from_specimen"]

# Properties of the specimen: its rows must agree on them, and a blank is filled from the others.
OF_THE_SPECIMEN = (
    "subject_id",
    "visit",
    "day",
    "collected_at",
    "matrix",
    "prior_therapy",
    "pull",
    "wbc_10e9_per_l",
    "cbc_at",
)


def check_file(name: str, folder: Path, in_folder: Sequence[str], *, missing_ok: bool = False) -> tuple[str, str]:
    """The file's path relative to the folder, in one spelling, and the problem with it (empty if none)."""
    if "\\" in name:
        return name, f"{name!r} holds a backslash; write folders with '/'"
    path = PurePosixPath(name)
    if path.is_absolute() or PureWindowsPath(name).drive:
        return name, f"{name!r} is not relative; write the path from the run folder"
    if ".." in path.parts:
        return name, f"{name!r} leaves the run folder; copy the file into it"
    relative = path.as_posix()
    full = folder / relative
    try:
        exists, real = full.exists(), full.resolve()
    except (OSError, RuntimeError) as error:  # a name too long, a ring of links
        return relative, f"{name!r} cannot be looked up: {error}"
    if not real.is_relative_to(folder.resolve()):
        return relative, f"{name!r} is a link that leads out of the run folder; copy the file into it"
    if not exists:
        if missing_ok:
            return relative, ""
        return relative, f"there is no file {name!r}{_nearest_file(name, in_folder)}"
    if not full.is_file():
        return relative, f"{name!r} is not a file; write the path of one FCS file"
    return relative, ""


def _nearest_file(name: str, in_folder: Sequence[str]) -> str:
    folded = {f.casefold(): f for f in in_folder}
    same_name = [f for f in in_folder if PurePosixPath(f).name == PurePosixPath(name).name]
    close = [folded[c] for c in get_close_matches(name.casefold(), folded, n=1)]
    found = (same_name or close)[:1]
    return f"; did you mean {found[0]!r}?" if found else "; correct the name, or copy the file into the folder"


def check_panel_and_tube(row: SampleRow, panel: Panel | None) -> Iterator[str]:
    """The tube must be one of the panel's; ``panel`` is None where the row names none."""
    if panel is None:
        if row.tube and not row.panel:
            yield f"row {row.row}, tube: {row.tube!r} is given without a panel; name the panel, or leave both empty"
        return
    tubes = [t.id for t in panel.tubes]
    if row.tube and row.tube not in tubes:
        yield f"row {row.row}, tube: panel {panel.id} has no tube {row.tube!r}; it has {', '.join(tubes)}"


def check_row(row: SampleRow) -> Iterator[str]:
    """Columns of one row that must go together."""
    at = f"row {row.row}"
    if row.role == "single_stain" and not row.stain:
        yield f"{at}, stain: is empty; a single_stain needs the marker or detector that it stains"
    if row.stain and row.role != "single_stain":
        yield f"{at}, stain: {row.stain!r} is for role single_stain, not {row.role}; empty it, or correct the role"
    if row.role == "pre_infusion" and not row.subject_id:
        yield f"{at}, subject_id: is empty; a pre_infusion sample is the control of one subject"
    if row.beads_per_tube is not None and row.sample_volume_ul is None:
        yield f"{at}, sample_volume_ul: is empty; beads_per_tube gives cells per microlitre only with the volume"
    if row.bead_lot and row.beads_per_tube is None:
        yield f"{at}, beads_per_tube: is empty although bead_lot is {row.bead_lot!r}; write the count of that lot"
    if row.cbc_at is not None and row.wbc_10e9_per_l is None:
        yield f"{at}, wbc_10e9_per_l: is empty although cbc_at is given; write the count, or empty cbc_at"
    times = {name: getattr(row, name) for name in ("collected_at", "acquired_at", "cbc_at")}
    given = {name: time for name, time in times.items() if time is not None}
    if len({time.tzinfo is None for time in given.values()}) > 1:
        yield f"{at}: {', '.join(given)} mix times with and without a time zone; write all of them alike"
    elif row.collected_at and row.acquired_at and row.acquired_at < row.collected_at:
        yield (
            f"{at}, acquired_at: {row.acquired_at.isoformat()} is before collected_at "
            f"{row.collected_at.isoformat()}; correct one of them"
        )


def check_rows_together(rows: Sequence[SampleRow]) -> Iterator[str]:
    """Rows of one specimen must agree, and two samples must not share a name on any file system."""
    spelled: dict[str, SampleRow] = {}
    for row in rows:
        other = spelled.setdefault(row.sample_id.casefold(), row)
        if other.sample_id != row.sample_id:
            yield (
                f"row {row.row}, sample_id: {row.sample_id!r} differs from {other.sample_id!r} of row {other.row} "
                "only in case; write one of them"
            )
    for group in _specimens(rows):
        for column in OF_THE_SPECIMEN:
            given = [r for r in group if _is_given(getattr(r, column))]
            for row in given[1:]:
                if getattr(row, column) != getattr(given[0], column):
                    said, first = _shown(getattr(row, column)), _shown(getattr(given[0], column))
                    yield (
                        f"row {row.row}, {column}: {said} differs from {first} of row {given[0].row}, "
                        f"which is sample {row.sample_id!r} too; correct one of them, or the sample_id"
                    )


def _specimens(rows: Sequence[SampleRow]) -> list[list[SampleRow]]:
    groups: dict[tuple[str, str], list[SampleRow]] = {}
    for row in rows:
        groups.setdefault((row.sample_id, row.role), []).append(row)
    return list(groups.values())


def filled_from_specimen(rows: Sequence[SampleRow]) -> Mapping[int, dict[str, object]]:
    """For each row (by its number) what the other rows of its specimen say and it leaves blank."""
    gaps: dict[int, dict[str, object]] = {}
    for group in _specimens(rows):
        for column in OF_THE_SPECIMEN:
            given = [getattr(r, column) for r in group if _is_given(getattr(r, column))]
            for row in group:
                if given and not _is_given(getattr(row, column)):
                    gaps.setdefault(row.row, {})[column] = given[0]
    return gaps


def _is_given(value: object) -> bool:
    return value not in (None, "", ())


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:g}"
    return ";".join(value) if isinstance(value, tuple) else repr(value)
