"""Checks of imaging, adverse events, vital signs, therapy and follow-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.showing import day_of, repeated, shown

if TYPE_CHECKING:
    from cytomrd.trial.study.study import Study

__all__ = ["check_events", "check_followup", "check_imaging", "check_therapy", "check_vitals"]

RELATED = ("Y", "RELATED", "PROBABLE", "POSSIBLE")
ASTCT_TERMS = ("cytokine release syndrome", "immune effector cell-associated neurotoxicity syndrome", "crs", "icans")


def check_imaging(study: Study, problems: Problems) -> None:
    """One imaging a day and modality."""
    rows = study.imaging.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["USUBJID"], day_of(r["IMDTC"]), r["MODALITY"])):
        problems.at("imaging", row["row"], "IMDTC").refuse(
            "DUPLICATE_IMAGING",
            shown(row["IMDTC"]),
            (f"a second {row['MODALITY']} of {row['USUBJID']} on {shown(row['IMDTC'])}, after row {first['row']}"),
            remedy="correct the date, or remove one",
        )


def check_events(study: Study, problems: Problems) -> None:
    """An event ends after it starts; what is called related or dose-limiting starts after the first infusion."""
    rows = study.events.to_dict("records")
    deaths = set(study.followup.loc[study.followup["DTHDT"].notna(), "USUBJID"])
    for row, first in repeated(rows, lambda r: (r["USUBJID"], r["AEDECOD"].casefold(), r["AESTDTC"])):
        problems.at("events", row["row"], "AEDECOD").doubt(
            "DUPLICATE_EVENT",
            row["AEDECOD"],
            (f"{row['AEDECOD']!r} of {row['USUBJID']} from {shown(row['AESTDTC'])} is in row {first['row']} already"),
            remedy="remove one of the rows",
        )
    for row in rows:
        at, start, end = row["row"], row["AESTDTC"], row["AEENDTC"]
        if pd.notna(start) and pd.notna(end) and end < start and day_of(end) != start:
            problems.at("events", at, "AEENDTC").refuse(
                "DATE_ORDER",
                shown(end),
                f"the end {shown(end)} is before the onset {shown(start)}",
                remedy="correct one of them",
            )
        _check_event_and_dose(study, row, problems)
        if pd.notna(row["AETOXGR"]) and row["AETOXGR"] == 5 and row["USUBJID"] not in deaths:
            problems.at("events", at, "AETOXGR").doubt(
                "GRADE_5_ALIVE",
                5,
                f"grade 5 is death, and followup.csv has no DTHDT of {row['USUBJID']}",
                remedy="correct the grade, or add the date of death",
            )
        if row["AEDECOD"].casefold() in ASTCT_TERMS and pd.isna(row["ASTCTGR"]):
            problems.at("events", at, "ASTCTGR").warn(
                "NO_ASTCT_GRADE", "", f"{row['AEDECOD']} has no grade by ASTCT", remedy="add it"
            )


def _check_event_and_dose(study: Study, row: dict, problems: Problems) -> None:
    first, start, at = study.first_infusion.get(row["USUBJID"]), row["AESTDTC"], row["row"]
    if first is None or pd.isna(start) or day_of(start) >= day_of(first):
        if row["DLTFL"] == "Y" and pd.notna(row["AETOXGR"]) and row["AETOXGR"] < 2:
            problems.at("events", at, "DLTFL").doubt(
                "DLT_GRADE", "Y", f"dose-limiting at grade {row['AETOXGR']}", remedy="correct DLTFL or the grade"
            )
        return
    before = f"its onset {shown(start)} is before the first infusion at {shown(first)}"
    if row["DLTFL"] == "Y":
        problems.at("events", at, "DLTFL").refuse(
            "BEFORE_DOSE", "Y", f"dose-limiting, but {before}", remedy="correct the date or DLTFL"
        )
    elif row["AEREL"] in RELATED:
        problems.at("events", at, "AEREL").doubt(
            "BEFORE_DOSE", row["AEREL"], f"related to the cells, but {before}", remedy="correct the date or AEREL"
        )
    else:
        problems.at("events", at, "AESTDTC").warn(
            "BEFORE_DOSE",
            shown(start),
            f"{row['AEDECOD']}: {before}, so it is not counted as treatment-emergent",
            remedy="check the date",
        )


def check_vitals(study: Study, problems: Problems) -> None:
    """One value a day and test."""
    rows = study.vitals.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["USUBJID"], day_of(r["VSDTC"]), r["VSTESTCD"])):
        problems.at("vitals", row["row"], "VSTESTCD").refuse(
            "DUPLICATE_VITAL",
            f"{row['VSORRES']:g} and {first['VSORRES']:g}",
            (f"a second {row['VSTESTCD']} of {row['USUBJID']} on {shown(row['VSDTC'])}, after row {first['row']}"),
            remedy="correct the date, or remove one",
        )
    baseline = study.subjects.drop_duplicates("USUBJID").set_index("USUBJID")["WEIGHT_BL"]
    for row in rows:
        known = baseline.get(row["USUBJID"])
        if row["VSTESTCD"] != "WEIGHT" or known is None or pd.isna(known) or pd.isna(row["VSSTRESN"]):
            continue
        if not 0.6 <= row["VSSTRESN"] / known <= 1.6:
            problems.at("vitals", row["row"], "VSORRES").doubt(
                "WEIGHT_JUMP",
                f"{row['VSORRES']:g}",
                f"{row['VSSTRESN']:g} kg against {known:g} kg at baseline",
                remedy="correct the value or its unit (kg, LB)",
            )


def _one_row_a_subject(table: str, rows: list[dict], problems: Problems, *, remedy: str) -> None:
    for row, first in repeated(rows, lambda r: (r["USUBJID"],)):
        problems.at(table, row["row"], "USUBJID").refuse(
            "DUPLICATE_SUBJECT",
            row["USUBJID"],
            f"{row['USUBJID']} is in row {first['row']} already",
            remedy=remedy,
        )


def check_therapy(study: Study, problems: Problems) -> None:
    """One row a subject; the new therapy starts after the cells."""
    rows = study.therapy.to_dict("records")
    _one_row_a_subject("therapy", rows, problems, remedy="keep the first new therapy alone")
    for row in rows:
        first = study.first_infusion.get(row["USUBJID"])
        if first is not None and pd.notna(row["NACTDT"]) and row["NACTDT"] < day_of(first):
            problems.at("therapy", row["row"], "NACTDT").refuse(
                "BEFORE_DOSE",
                shown(row["NACTDT"]),
                f"the new therapy of {shown(row['NACTDT'])} is before the first infusion at {shown(first)}",
                remedy="correct the date; earlier therapy does not belong here",
            )


def check_followup(study: Study, problems: Problems) -> None:
    """One row a treated subject; death is not before the last day known alive, nor before the cells."""
    rows = study.followup.to_dict("records")
    _one_row_a_subject("followup", rows, problems, remedy="keep the last state alone")
    for row in rows:
        at, alive, death = row["row"], row["LSTALVDT"], row["DTHDT"]
        first = study.first_infusion.get(row["USUBJID"])
        if pd.notna(alive) and pd.notna(death) and death < alive:
            problems.at("followup", at, "DTHDT").refuse(
                "DATE_ORDER",
                shown(death),
                f"death on {shown(death)} is before last known alive on {shown(alive)}",
                remedy="correct one of them",
            )
        if pd.isna(alive) and pd.isna(death):
            problems.at("followup", at, "LSTALVDT").refuse(
                "EMPTY", "", "neither LSTALVDT nor DTHDT is given", remedy="write one of them"
            )
        for column, moment in (("LSTALVDT", alive), ("DTHDT", death)):
            if first is not None and pd.notna(moment) and moment < day_of(first):
                problems.at("followup", at, column).refuse(
                    "BEFORE_DOSE",
                    shown(moment),
                    f"{shown(moment)} is before the first infusion at {shown(first)}",
                    remedy="correct the date",
                )
        if pd.notna(death) and not row["DTHCAUS"]:
            problems.at("followup", at, "DTHCAUS").warn(
                "NO_CAUSE", "", f"the death of {row['USUBJID']} has no cause", remedy="add it"
            )
    known = set(study.followup["USUBJID"])
    numbers = study.subjects.drop_duplicates("USUBJID").set_index("USUBJID")["row"]
    for subject in study.treated:
        if subject not in known:
            problems.at("subjects", int(numbers[subject]), "USUBJID").doubt(
                "NO_FOLLOWUP",
                subject,
                f"{subject} was treated and has no row in followup.csv",
                remedy="add the day last known alive",
            )
