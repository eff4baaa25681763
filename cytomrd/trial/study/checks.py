"""What must hold between the rows and tables of a study: keys, dates, doses; every problem is collected."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from cytomrd.trial.study.clinical_checks import check_events, check_followup, check_imaging, check_therapy, check_vitals
from cytomrd.trial.study.lab_checks import check_baselines, check_labs, check_marrow
from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.sample_checks import check_cbc, check_dosing, check_samples, check_tubes
from cytomrd.trial.study.showing import day_of, shown

if TYPE_CHECKING:
    from cytomrd.trial.study.study import Study

__all__ = ["check_study"]

MAX_SUBJECT = 40  # characters of USUBJID that the transport format and reviewers take
# The date of each table that says when its row happened.
DATES = {
    "dosing": "EXSTDTC",
    "samples": "COLLDTC",
    "resp_labs": "LBDTC",
    "marrow": "BMDTC",
    "imaging": "IMDTC",
    "events": "AESTDTC",
    "vitals": "VSDTC",
    "therapy": "NACTDT",
    "followup": "LSTALVDT",
}
MOST_DAYS_BEFORE = 180  # before the first infusion; more is a year typed wrong
SCREENED = ("samples", "resp_labs", "marrow", "imaging", "vitals")


def check_study(study: Study, problems: Problems) -> None:
    """Collect every problem of the study's own tables."""
    _check_subjects(study, problems)
    _check_keys(study, problems)
    _check_dates(study, problems)
    for check in (
        check_dosing,
        check_samples,
        check_tubes,
        check_cbc,
        check_labs,
        check_marrow,
        check_imaging,
        check_events,
        check_vitals,
        check_therapy,
        check_followup,
        check_baselines,
    ):
        check(study, problems)


def _check_subjects(study: Study, problems: Problems) -> None:
    settings, spelled = study.settings, {}
    if not len(study.subjects):
        problems.at("subjects").refuse(
            "NO_SUBJECT", "", "there is no row below the header", remedy="write one row a subject"
        )
    for row in study.subjects.to_dict("records"):
        at, subject = row["row"], row["USUBJID"]
        if row["STUDYID"] and row["STUDYID"] != settings.id:
            problems.at("subjects", at, "STUDYID").refuse(
                "OTHER_STUDY",
                row["STUDYID"],
                f"{row['STUDYID']!r} is not the study of study.toml, {settings.id!r}",
                remedy="correct it, or the id in study.toml",
            )
        if len(subject) > MAX_SUBJECT or not subject.isascii():
            problems.at("subjects", at, "USUBJID").refuse(
                "BAD_SUBJECT",
                subject,
                f"{subject!r} has {len(subject)} characters or others than ASCII",
                remedy=f"write at most {MAX_SUBJECT} ASCII characters",
            )
        first = spelled.setdefault(subject.casefold(), (subject, at))
        if subject and first[1] != at:
            same = "is" if first[0] == subject else "differs only in case from"
            problems.at("subjects", at, "USUBJID").refuse(
                "DUPLICATE_SUBJECT",
                subject,
                f"{subject!r} {same} the subject of row {first[1]}",
                remedy="remove one of the rows, or correct the subject",
            )
        if pd.notna(row["COHORT"]) and row["COHORT"] not in settings.dose_levels:
            levels = ", ".join(f"{level:g}" for level in settings.dose_levels)
            problems.at("subjects", at, "COHORT").refuse(
                "UNKNOWN_LEVEL",
                f"{row['COHORT']:g}",
                f"{row['COHORT']:g} is not one of the dose levels {levels}",
                remedy="correct it, or the dose_levels in study.toml",
            )
        if row["MTYPE"] == "FLC" and not row["INVOLVED_LC"]:
            problems.at("subjects", at, "INVOLVED_LC").refuse(
                "NO_LIGHT_CHAIN",
                "",
                "is empty although MTYPE is FLC",
                remedy="write KAPPA or LAMBDA: response is judged by that chain",
            )


def _check_keys(study: Study, problems: Problems) -> None:
    """Every subject and sample that a row names must exist."""
    subjects, samples = set(study.subjects["USUBJID"]), set(study.samples["SAMPLEID"])
    names = ("dosing", "samples", "resp_labs", "marrow", "imaging", "events", "vitals", "therapy", "followup")
    for table, column, known, home in (
        *((name, "USUBJID", subjects, "subjects.csv") for name in names),
        ("tubes", "SAMPLEID", samples, "samples.csv"),
        ("cbc", "SAMPLEID", samples, "samples.csv"),
    ):
        for row in getattr(study, table).to_dict("records"):
            if row[column] and row[column] not in known:
                code = "UNKNOWN_SUBJECT" if column == "USUBJID" else "UNKNOWN_SAMPLE"
                problems.at(table, row["row"], column).refuse(
                    code, row[column], f"{row[column]!r} is not in {home}", remedy=f"correct it, or add it to {home}"
                )


def _dated(study: Study) -> Iterator[tuple[str, str, dict]]:
    for table, column in DATES.items():
        for row in getattr(study, table).to_dict("records"):
            if pd.notna(row[column]):
                yield table, column, row


def _check_dates(study: Study, problems: Problems) -> None:
    """Nothing after the data cut or the subject's death, nothing long before the first infusion or before consent."""
    end = pd.Timestamp(study.settings.data_cutoff) + pd.Timedelta(days=1)
    deaths = study.followup.dropna(subset="DTHDT").drop_duplicates("USUBJID").set_index("USUBJID")["DTHDT"]
    consents = study.subjects.dropna(subset="RFICDTC").drop_duplicates("USUBJID").set_index("USUBJID")["RFICDTC"]
    for table, column, row in _dated(study):
        where, moment, subject = (table, row["row"], column), row[column], row["USUBJID"]
        if moment >= end:
            problems.at(*where).doubt(
                "IN_FUTURE",
                shown(moment),
                f"{shown(moment)} is after the data cut of {study.settings.data_cutoff}",
                remedy="correct the date, or data_cutoff in study.toml",
            )
        if subject in deaths.index and day_of(moment) > deaths[subject]:
            problems.at(*where).doubt(
                "AFTER_DEATH",
                shown(moment),
                f"{shown(moment)} is after the death of {subject} on {shown(deaths[subject])}",
                remedy="correct one of the dates",
            )
        start = study.first_infusion.get(subject)
        if table in SCREENED and start is not None and (start - moment).days > MOST_DAYS_BEFORE:
            problems.at(*where).doubt(
                "LONG_BEFORE",
                shown(moment),
                (
                    f"{shown(moment)} is {(start - moment).days} days before the first infusion, more than "
                    f"{MOST_DAYS_BEFORE}"
                ),
                remedy="correct the date; is the year right?",
            )
        if table in ("dosing", "samples") and subject in consents.index and day_of(moment) < day_of(consents[subject]):
            problems.at(*where).doubt(
                "BEFORE_CONSENT",
                shown(moment),
                f"{shown(moment)} is before the consent of {subject} on {shown(consents[subject])}",
                remedy="correct one of the dates",
            )
