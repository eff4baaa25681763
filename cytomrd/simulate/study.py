"""The demo study: run folders, the clinic's tables, ``study.toml``, and the truth beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytomrd.errors import RunError
from cytomrd.simulate.files import write_samplesheet, write_tube
from cytomrd.simulate.study_clinic import clinic_tables
from cytomrd.simulate.study_flow import (
    BEADS_PER_TUBE,
    FULL_SIZE_EVENTS,
    SAMPLE_VOLUME_UL,
    Specimen,
    specimens,
    subject_donor,
    tube_files,
)
from cytomrd.simulate.study_subjects import CUTOFF, DOSE_LEVELS, STUDY_ID, STUDY_TITLE, SUBJECTS, StudySubject
from cytomrd.simulate.study_truth import curve_truth, endpoint_truth, sample_truth
from cytomrd.simulate.truth import TubeTruth, write_csv

__all__ = ["StudyTruth", "write_demo_study"]

Progress = Callable[[int, int, str], None]
_EMPTY_COLUMNS = {
    "therapy": ("USUBJID", "NACTDT", "NACTTRT"),
    "imaging": ("USUBJID", "VISIT", "IMDTC", "MODALITY", "SPD_MM2", "NEW_LESION", "PET_NEG"),
    "events": ("USUBJID", "AEDECOD", "AEBODSYS", "AESTDTC", "AEENDTC", "AETOXGR", "ASTCTGR", "AEREL", "AESER", "DLTFL"),
}


@dataclass(frozen=True)
class StudyTruth:
    """What :func:`write_demo_study` wrote: the study folder, its runs, and how much is in them."""

    folder: Path
    runs: tuple[str, ...]
    n_subjects: int
    n_files: int
    n_events: int


def write_demo_study(
    folder: str | os.PathLike,
    *,
    events: int | float | None = None,
    random_state: int = 20260101,
    subjects: Sequence[StudySubject] = SUBJECTS,
    threads: int | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> StudyTruth:
    """Write a study folder with known truth, FCS files included.

    Eighteen subjects at three dose levels; one run folder a dose level under ``runs/``; the clinic's tables and
    ``study.toml`` beside them. ``truth/`` holds ``samples.csv`` (true cells per microlitre and clonal fraction),
    ``exposure.csv`` (Cmax, Tmax, AUC to day 28 on the drawn times) and ``endpoints.csv`` (response, progression,
    times).

    Parameters
    ----------
    folder
        Made where it does not exist.
    events
        Events of each full-size marrow, both tubes together (default 3.6e6). With fewer, its MRD is not evaluable.
    random_state
        The same seed gives the same bytes, for any number of threads.
    subjects
        A part of the subjects, for a smaller study.
    threads
        Default: the processors of this machine, at most 4.
    progress
        Called with files written, files in all, and the file's path.
    overwrite
        Allow a folder that has a ``study.toml`` already.

    Raises
    ------
    RunError
        If the folder has a ``study.toml``, or ``events`` is too small.

    Examples
    --------
    >>> from cytomrd.simulate.study import write_demo_study
    >>> truth = write_demo_study("study")  # doctest: +SKIP
    """
    folder = Path(folder)
    if (folder / "study.toml").exists() and not overwrite:
        raise RunError(f"{folder} holds a study.toml already; give an empty folder, or allow it to be overwritten")
    full_size = FULL_SIZE_EVENTS if events is None else _full_size(events)
    planned = [s for subject in subjects for s in specimens(subject, random_state, full_size_events=full_size)]
    folder.mkdir(parents=True, exist_ok=True)
    threads = min(4, os.cpu_count() or 1) if threads is None else threads
    written = _write_runs(folder, planned, random_state, threads, progress)
    _write_tables(folder, subjects, planned, written, random_state)
    runs = tuple(sorted({_run_of(s) for s in planned}))
    (folder / "study.toml").write_text(_settings(runs), encoding="utf-8")
    _write_truth(folder / "truth", subjects, planned, written)
    tubes = [t for group in written.values() for t in group]
    return StudyTruth(folder, runs, len(subjects), len(tubes), sum(sum(t.n_events) for t in tubes))


def _full_size(events: int | float) -> int:
    if not 20_000 <= events < 1e9:
        raise RunError(f"events is {events}; the two tubes of a full-size marrow together need 20000 to 1e9")
    return round(events)


def _run_of(specimen: Specimen) -> str:
    return f"runs/dose-level-{specimen.subject.dose_level}"


def _write_runs(
    folder: Path, planned: Sequence[Specimen], random_state: int, threads: int, progress: Progress | None
) -> dict[str, list[TubeTruth]]:
    """Write every FCS file and the samplesheets; returns the tubes' counts by sample."""
    sheets: dict[str, list[Mapping[str, object]]] = {}
    written: dict[str, list[TubeTruth]] = {}
    taken = [s for s in planned if s.done]
    for done, specimen in enumerate(taken, start=1):
        run = _run_of(specimen)
        for file in tube_files(specimen, subject_donor(specimen.subject, random_state), random_state):
            truth, _ = write_tube(folder / run, file, file.plan.chunks(threads), random_state=random_state)
            written.setdefault(specimen.sample_id, []).append(truth)
            sheets.setdefault(run, []).append(file.row)
        if progress is not None:
            progress(done, len(taken), specimen.sample_id)
    for run, rows in sheets.items():
        write_samplesheet(folder / run / "samplesheet.csv", rows)
    return written


def _write_tables(
    folder: Path,
    subjects: Sequence[StudySubject],
    planned: Sequence[Specimen],
    written: Mapping[str, list[TubeTruth]],
    random_state: int,
) -> None:
    tables = clinic_tables(subjects, random_state)
    tables["samples"] = [_sample_row(s) for s in planned]
    tables["tubes"] = [row for s in planned if s.done for row in _tube_rows(s, written[s.sample_id])]
    tables["cbc"] = [_cbc_row(s) for s in planned if s.done and s.kind == "blood"]
    for name, rows in tables.items():
        write_csv(folder / f"{name}.csv", rows, columns=() if rows else _EMPTY_COLUMNS[name])


def _sample_row(specimen: Specimen) -> dict[str, object]:
    row: dict[str, object] = {
        "SAMPLEID": specimen.sample_id, "USUBJID": specimen.subject.usubjid, "VISIT": specimen.visit,
        "PLANNED_DAY": f"{specimen.planned_day:g}", "DOSE_REF": specimen.dose_ref,
        "PREDOSE": "Y" if specimen.predose else "N",
        "MATRIX": "BLOOD" if specimen.kind == "blood" else "BONE MARROW", "ANTICOAG": "EDTA",
        "COLLDTC": specimen.collected_at.isoformat(timespec="minutes"), "STATUS": "OK" if specimen.done else "NOT DONE",
        "REASON": "" if specimen.done else "no venous access",
    }  # fmt: skip
    if specimen.done:
        row["ACQDTC"] = specimen.acquired_at.isoformat(timespec="minutes")
    return row


def _tube_rows(specimen: Specimen, tubes: Sequence[TubeTruth]) -> list[dict[str, object]]:
    beads = {} if specimen.kind == "mrd" else {"BEAD_LOT": "SIM-0001", "BEADS_PER_TUBE": BEADS_PER_TUBE}
    return [
        {
            "TUBEID": f"{specimen.sample_id}-{tube.tube}", "SAMPLEID": specimen.sample_id,
            "PANEL": f"MRD{tube.tube}" if specimen.kind == "mrd" else "CARNK",
            "FCS_FILE": f"{_run_of(specimen)}/{tube.file}", "INSTRUMENT": "SIMULATED CYTOMETER",
            "SAMPLE_VOL_UL": f"{SAMPLE_VOLUME_UL:g}", "DILUTION": 1, **beads,
        }
        for tube in tubes
    ]  # fmt: skip


def _cbc_row(specimen: Specimen) -> dict[str, object]:
    return {
        "SAMPLEID": specimen.sample_id, "WBC": f"{specimen.leukocytes_per_ul / 1000:.3g}",
        "CBCDTC": specimen.collected_at.isoformat(timespec="minutes"),
    }  # fmt: skip


def _settings(runs: Sequence[str]) -> str:
    listed = ", ".join(f'"{run}"' for run in runs)
    levels = ", ".join(f"{dose:.2e}" for dose in DOSE_LEVELS)
    return (
        f"# Simulated by cytomrd: no person's data. `cytomrd tables` writes the tables of this folder.\n"
        f'id = "{STUDY_ID}"\n'
        f'title = "{STUDY_TITLE}"\n'
        f"data_cutoff = {CUTOFF.isoformat()}\n"
        f"dose_levels = [{levels}]\n"
        f"runs = [{listed}]\n"
    )


def _write_truth(
    folder: Path,
    subjects: Sequence[StudySubject],
    planned: Sequence[Specimen],
    written: Mapping[str, list[TubeTruth]],
) -> None:
    folder.mkdir(exist_ok=True)
    samples = [sample_truth(s, written[s.sample_id]) for s in planned if s.done]
    own = {s.usubjid: [r for r in samples if r["USUBJID"] == s.usubjid] for s in subjects}
    write_csv(folder / "samples.csv", samples)
    write_csv(folder / "exposure.csv", [curve_truth(s, own[s.usubjid]) for s in subjects])
    write_csv(folder / "endpoints.csv", [endpoint_truth(s) for s in subjects])
