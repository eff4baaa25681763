"""The study folder, read whole or refused with every problem at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from cytomrd.errors import StudyError
from cytomrd.trial.study.checks import check_study
from cytomrd.trial.study.columns import TABLES
from cytomrd.trial.study.flow import read_flow
from cytomrd.trial.study.flow_checks import check_flow
from cytomrd.trial.study.labs import standard_labs, standard_vitals
from cytomrd.trial.study.problems import Problem, Problems
from cytomrd.trial.study.settings import SETTINGS_NAME, StudySettings, read_study_settings
from cytomrd.trial.study.tables import read_tables, sha256_of

__all__ = ["Study", "check_study_folder", "read_study"]

NOT_ACCEPTED = "no table is written until each is corrected or accepted in study.toml"


@dataclass(frozen=True)
class Study:
    """A study: one data frame a table, with the columns of :mod:`cytomrd.trial.study.columns` and ``row``.

    Text not given is ``""``; numbers, dates and flags not given are NaN, NaT, NA. Laboratory values stand in
    standard units in ``LBSTRESN``, vital signs in ``VSSTRESN``.

    Attributes
    ----------
    flow_mrd, flow_car_nk
        The runs' ``mrd.csv`` and ``car_nk.csv`` (columns of :mod:`cytomrd.schema`), with ``run``, ``row`` and, from
        samples.csv, ``USUBJID``, ``VISIT``, ``PLANNED_DAY``, ``PREDOSE``, ``DOSE_REF``, ``MATRIX``, ``COLLDTC``,
        ``time_d`` (days since the start of the first infusion; NaN without one).
    sources
        SHA-256 of every file read, by its path in the study folder.
    provenance
        The ``provenance.json`` of each run.
    warnings, accepted
        What was found and does not refuse the study: :attr:`remarks` and :attr:`footnotes` say it in sentences.
    """

    folder: Path
    settings: StudySettings
    subjects: pd.DataFrame
    dosing: pd.DataFrame
    samples: pd.DataFrame
    tubes: pd.DataFrame
    cbc: pd.DataFrame
    resp_labs: pd.DataFrame
    marrow: pd.DataFrame
    imaging: pd.DataFrame
    events: pd.DataFrame
    vitals: pd.DataFrame
    therapy: pd.DataFrame
    followup: pd.DataFrame
    flow_mrd: pd.DataFrame
    flow_car_nk: pd.DataFrame
    sources: dict[str, str]
    provenance: dict[str, dict]
    warnings: tuple[Problem, ...] = ()
    accepted: tuple[tuple[Problem, str], ...] = ()

    @property
    def first_infusion(self) -> pd.Series:
        """Start of infusion 1 by subject (Timestamp); subjects without one are absent."""
        return self.infusion(1)

    def infusion(self, number: int) -> pd.Series:
        """Start of an infusion (1 or 2) by subject."""
        return self._infusions[number]

    @cached_property
    def _infusions(self) -> dict[int, pd.Series]:
        given = self.dosing[self.dosing["EXSTDTC"].notna()].drop_duplicates(["USUBJID", "EXSEQ"])
        return {
            number: given[(given["EXSEQ"] == number).fillna(False)].set_index("USUBJID")["EXSTDTC"] for number in (1, 2)
        }

    @property
    def treated(self) -> tuple[str, ...]:
        """Subjects with a first infusion, in the order of subjects.csv."""
        return tuple(s for s in self.subjects["USUBJID"] if s in self.first_infusion.index)

    def time_d(self, subject: pd.Series, moment: pd.Series) -> pd.Series:
        """Days since the start of the subject's first infusion."""
        start = subject.map(self.first_infusion)
        return (moment - pd.to_datetime(start)) / pd.Timedelta(days=1)

    def study_day(self, subject: pd.Series, moment: pd.Series) -> pd.Series:
        """CDISC study day: the day of the first infusion is 1, the day before is -1."""
        start = pd.to_datetime(subject.map(self.first_infusion)).dt.normalize()
        days = (moment.dt.normalize() - start).dt.days
        return (days + (days >= 0)).astype("Int64")

    @cached_property
    def dose_level(self) -> pd.Series:
        """Dose level (CAR+ NK cells for each infusion) by subject."""
        return self.subjects.drop_duplicates("USUBJID").set_index("USUBJID")["COHORT"]

    @cached_property
    def footnotes(self) -> tuple[str, ...]:
        """What every table says of the study's data: the problems that study.toml accepts, with the reasons."""
        return tuple(f"Accepted ({reason}): {_plainly(p)}." for p, reason in self.accepted)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What is worth knowing of the study's data without being wrong: the warnings."""
        return tuple(f"{_plainly(p)}." for p in self.warnings)


def _plainly(problem: Problem) -> str:
    place = f"{problem.table}, row {problem.row}" if problem.row else problem.table
    return f"{place}{f', {problem.column}' if problem.column else ''}: {problem.what}"


def check_study_folder(folder: str | Path) -> tuple[Problem, ...]:
    """Every problem of a study folder, errors and warnings, accepted or not."""
    return _read(Path(folder))[1]


def read_study(folder: str | Path) -> Study:
    """The study of a folder.

    Raises
    ------
    StudyError
        If anything is wrong that ``study.toml`` does not accept; ``problems`` lists everything.
    """
    study, problems = _read(Path(folder))
    reasons = {a.id: f"{a.reason}{f', {a.by}' if a.by else ''}" for a in study.settings.accepted}
    errors = [p for p in problems if p.grade == "error"]
    open_errors = [p for p in errors if not (p.acceptable and p.key in reasons)]
    unknown = sorted(set(reasons) - {p.key for p in errors if p.acceptable})
    lines = [f"  {p}" for p in open_errors]
    lines += [f"  study.toml, accepted: {key!r} is no problem of this study; remove the entry" for key in unknown]
    if lines:
        count = f"{len(lines)} problems" if len(lines) > 1 else "a problem"
        raise StudyError(f"{folder} has {count}; {NOT_ACCEPTED}:\n" + "\n".join(lines), tuple(open_errors))
    warnings = tuple(p for p in problems if p.grade == "warning")
    return replace(study, warnings=warnings, accepted=tuple((p, reasons[p.key]) for p in errors))


def _read(folder: Path) -> tuple[Study, tuple[Problem, ...]]:
    if not folder.is_dir():
        raise StudyError(f"{folder} is not a folder; `cytomrd demo --study DIR` writes an example")
    settings = read_study_settings(folder)
    problems = Problems()
    frames, sources = read_tables(folder, problems)
    frames["resp_labs"] = standard_labs(frames["resp_labs"], problems)
    frames["vitals"] = standard_vitals(frames["vitals"], problems)
    flow = read_flow(folder, settings.runs, problems)
    study = Study(
        folder=folder,
        settings=settings,
        **frames,
        flow_mrd=flow.mrd,
        flow_car_nk=flow.car_nk,
        sources={SETTINGS_NAME: sha256_of(folder / SETTINGS_NAME), **sources, **flow.sources},
        provenance=flow.provenance,
    )
    check_study(study, problems)
    check_flow(study, problems)
    study = replace(study, flow_mrd=_with_samples(study, flow.mrd), flow_car_nk=_with_samples(study, flow.car_nk))
    return study, problems.sorted(TABLES)


def _with_samples(study: Study, flow: pd.DataFrame) -> pd.DataFrame:
    """Flow rows of the study's own samples that may be used, with what samples.csv says of them."""
    columns = ["SAMPLEID", "USUBJID", "VISIT", "PLANNED_DAY", "DOSE_REF", "PREDOSE", "MATRIX", "COLLDTC"]
    usable = study.samples.loc[study.samples["STATUS"] == "OK", columns].drop_duplicates("SAMPLEID")
    joined = flow.merge(usable, left_on="sample_id", right_on="SAMPLEID", how="inner").drop(columns="SAMPLEID")
    joined["time_d"] = study.time_d(joined["USUBJID"], joined["COLLDTC"])
    order = ["USUBJID", "MATRIX", "time_d", "sample_id"]
    return joined.sort_values(order, kind="stable", ignore_index=True)
