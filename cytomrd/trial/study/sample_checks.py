"""Checks of infusions, samples, tubes and blood counts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pandas as pd

from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.showing import repeated, shown

if TYPE_CHECKING:
    from cytomrd.trial.study.study import Study

__all__ = ["check_cbc", "check_dosing", "check_samples", "check_tubes"]

DOSE_TOLERANCE = 0.2
PLANNED_DAY_OF = {1: 0, 2: 7}
MAX_CBC_H = 24.0
STEPS = (("COLLDTC", "collection"), ("RECVDTC", "receipt"), ("STAINDTC", "staining"), ("ACQDTC", "acquisition"))


def check_dosing(study: Study, problems: Problems) -> None:
    """One row an infusion, in the order of time, with about the level's dose."""
    rows = study.dosing.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["USUBJID"], r["EXSEQ"])):
        problems.at("dosing", row["row"], "EXSEQ").refuse(
            "DUPLICATE_DOSE",
            row["EXSEQ"],
            f"infusion {row['EXSEQ']} of {row['USUBJID']} is in row {first['row']} already",
            remedy="remove one of the rows, or correct EXSEQ",
        )
    levels = study.subjects.drop_duplicates("USUBJID").set_index("USUBJID")["COHORT"]
    for row in rows:
        _check_dose(row, levels.get(row["USUBJID"]), problems)
        _check_infusion_time(study, row, problems)


def _check_dose(row: dict, level: float | None, problems: Problems) -> None:
    dose = row["EXDOSE"]
    if level is None or pd.isna(level) or pd.isna(dose) or abs(dose / level - 1) <= DOSE_TOLERANCE:
        return
    remedy = "correct the dose or the level of the subject"
    if dose / level > 5 or dose / level < 0.2:
        remedy = f"is the power of ten right? {remedy}"
    problems.at("dosing", row["row"], "EXDOSE").doubt(
        "DOSE_OFF_LEVEL",
        f"{dose:g}",
        (
            f"{dose:g} is {dose / level:.2g} times the level {level:g} of {row['USUBJID']}; allowed is within "
            f"{DOSE_TOLERANCE:.0%}"
        ),
        remedy=remedy,
    )


def _check_infusion_time(study: Study, row: dict, problems: Problems) -> None:
    start, end, at, number = row["EXSTDTC"], row["EXENDTC"], row["row"], row["EXSEQ"]
    if pd.notna(start) and pd.notna(end) and end < start:
        problems.at("dosing", at, "EXENDTC").refuse(
            "DATE_ORDER",
            shown(end),
            f"the end {shown(end)} is before the start {shown(start)}",
            remedy="correct one of them",
        )
    if pd.isna(number):
        return
    if pd.notna(row["PLANNED_DAY"]) and row["PLANNED_DAY"] != PLANNED_DAY_OF[number]:
        problems.at("dosing", at, "PLANNED_DAY").refuse(
            "DOSE_DAY",
            row["PLANNED_DAY"],
            f"day {row['PLANNED_DAY']} of infusion {number}; allowed is {PLANNED_DAY_OF[number]}",
            remedy="correct PLANNED_DAY or EXSEQ",
        )
    if number != 2 or pd.isna(start):
        return
    first = study.first_infusion.get(row["USUBJID"])
    if first is None:
        problems.at("dosing", at, "EXSEQ").refuse(
            "NO_FIRST_DOSE",
            number,
            f"{row['USUBJID']} has infusion 2 and no infusion 1",
            remedy="add infusion 1, or correct EXSEQ",
        )
    elif start <= first:
        problems.at("dosing", at, "EXSTDTC").refuse(
            "DATE_ORDER",
            shown(start),
            f"infusion 2 at {shown(start)} is not after infusion 1 at {shown(first)}",
            remedy="correct the times or EXSEQ",
        )
    elif abs((start - first).total_seconds() / 86400 - 7) > 3:
        problems.at("dosing", at, "EXSTDTC").warn(
            "DOSE_WINDOW",
            shown(start),
            f"infusion 2 at {shown(start)} is {(start - first).days} days after infusion 1, planned are 7",
            remedy="check the date",
        )


def check_samples(study: Study, problems: Problems) -> None:
    """One row a specimen; its times in order and on the right side of the infusion."""
    rows = study.samples.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["SAMPLEID"],)):
        problems.at("samples", row["row"], "SAMPLEID").refuse(
            "DUPLICATE_SAMPLE",
            row["SAMPLEID"],
            f"{row['SAMPLEID']!r} is the sample of row {first['row']} already",
            remedy="remove one of the rows, or correct SAMPLEID",
        )
    usable = [row for row in rows if row["STATUS"] == "OK"]
    for row, first in repeated(usable, lambda r: (r["USUBJID"], r["MATRIX"], r["COLLDTC"])):
        problems.at("samples", row["row"], "COLLDTC").refuse(
            "DUPLICATE_TIME",
            shown(row["COLLDTC"]),
            (
                f"{shown(row['COLLDTC'])} is the time of row {first['row']} too, same subject "
                f"and {row['MATRIX'].lower()}"
            ),
            remedy="correct one of the times, or reject one of the samples with its reason",
        )
    for row in rows:
        if row["STATUS"] not in ("", "OK") and not row["REASON"]:
            problems.at("samples", row["row"], "REASON").refuse(
                "NO_REASON", "", f"is empty although STATUS is {row['STATUS']}", remedy="write why"
            )
        if pd.isna(row["COLLDTC"]) and row["STATUS"] != "NOT DONE":
            problems.at("samples", row["row"], "COLLDTC").refuse(
                "EMPTY", "", "is empty or cannot be read", remedy="every sample that was taken needs its time"
            )
        _check_step_order(study, row, problems)
        _check_against_dose(study, row, problems)


def _check_step_order(study: Study, row: dict, problems: Problems) -> None:
    given = [(column, word, row[column]) for column, word in STEPS if pd.notna(row[column])]
    for (_, word, moment), (column, later, after) in pairwise(given):
        if after < moment:
            problems.at("samples", row["row"], column).doubt(
                "DATE_ORDER",
                shown(after),
                f"{later} at {shown(after)} is before {word} at {shown(moment)}",
                remedy="correct one of them",
            )
    limit = study.settings.choices.stability_h
    if pd.notna(row["COLLDTC"]) and pd.notna(row["ACQDTC"]):
        hours = (row["ACQDTC"] - row["COLLDTC"]).total_seconds() / 3600
        if hours > limit:
            problems.at("samples", row["row"], "ACQDTC").warn(
                "STABILITY",
                shown(row["ACQDTC"]),
                f"acquired {hours:.0f} h after collection, more than {limit:g} h",
                remedy="check the times; stability_h is set in study.toml",
            )


def _check_against_dose(study: Study, row: dict, problems: Problems) -> None:
    taken, number = row["COLLDTC"], row["DOSE_REF"]
    if pd.isna(taken) or pd.isna(number) or pd.isna(row["PREDOSE"]):
        return
    where, subject = ("samples", row["row"], "COLLDTC"), row["USUBJID"]
    start = study.infusion(max(int(number), 1)).get(subject)
    if number == 0 and not row["PREDOSE"]:
        problems.at("samples", row["row"], "PREDOSE").refuse(
            "PREDOSE_SIDE",
            "N",
            "PREDOSE is N although DOSE_REF is 0, before any infusion",
            remedy="correct PREDOSE or DOSE_REF",
        )
    elif start is None:
        if number > 0:
            problems.at("samples", row["row"], "DOSE_REF").doubt(
                "NO_SUCH_DOSE",
                number,
                f"{subject} has no infusion {number} in dosing.csv",
                remedy="correct DOSE_REF, or add the infusion",
            )
    elif row["PREDOSE"] and taken > start:
        problems.at(*where).refuse(
            "PREDOSE_SIDE",
            shown(taken),
            f"a pre-dose sample at {shown(taken)} is after infusion {max(int(number), 1)} at {shown(start)}",
            remedy="correct the time, or PREDOSE",
        )
    elif not row["PREDOSE"] and taken < start:
        problems.at(*where).refuse(
            "PREDOSE_SIDE",
            shown(taken),
            f"a post-dose sample at {shown(taken)} is before infusion {number} at {shown(start)}",
            remedy="correct the time, or PREDOSE",
        )
    first = study.first_infusion.get(subject)
    if first is None or pd.isna(row["PLANNED_DAY"]) or row["STATUS"] != "OK":
        return
    day = (taken - first).total_seconds() / 86400
    off = abs(day - row["PLANNED_DAY"])
    if off > max(3.0, 0.25 * abs(row["PLANNED_DAY"])):
        problems.at(*where).warn(
            "VISIT_WINDOW",
            shown(taken),
            f"{shown(taken)} is day {day:.1f}, planned is {row['PLANNED_DAY']:g}",
            remedy="check the date; the actual time is used",
        )


def check_tubes(study: Study, problems: Problems) -> None:
    """Tubes are unique, their files exist, and a bead lot goes with its beads."""
    rows = study.tubes.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["TUBEID"],)):
        problems.at("tubes", row["row"], "TUBEID").refuse(
            "DUPLICATE_TUBE",
            row["TUBEID"],
            f"{row['TUBEID']!r} is the tube of row {first['row']} already",
            remedy="remove one of the rows, or correct TUBEID",
        )
    for row in rows:
        path = PurePosixPath(row["FCS_FILE"])
        outside = path.is_absolute() or ".." in path.parts or "\\" in row["FCS_FILE"]
        if row["FCS_FILE"] and (outside or not (study.folder / path).is_file()):
            problems.at("tubes", row["row"], "FCS_FILE").refuse(
                "NO_FILE",
                row["FCS_FILE"],
                f"there is no file {row['FCS_FILE']!r} in the study folder",
                remedy="correct the path, relative to the study folder",
            )
        if bool(row["BEAD_LOT"]) != pd.notna(row["BEADS_PER_TUBE"]):
            empty = "BEADS_PER_TUBE" if row["BEAD_LOT"] else "BEAD_LOT"
            problems.at("tubes", row["row"], empty).refuse(
                "BEADS",
                "",
                f"{empty} is empty although the other of bead lot and beads is given",
                remedy="write both from the lot's certificate, or neither",
            )
        if pd.notna(row["LOD_EVENTS"]) and pd.notna(row["LOQ_EVENTS"]) and row["LOD_EVENTS"] > row["LOQ_EVENTS"]:
            problems.at("tubes", row["row"], "LOD_EVENTS").refuse(
                "LIMIT_ORDER",
                row["LOD_EVENTS"],
                f"LOD of {row['LOD_EVENTS']} events is above the LOQ of {row['LOQ_EVENTS']}",
                remedy="correct one of them",
            )


def check_cbc(study: Study, problems: Problems) -> None:
    """A count belongs to its sample: one a sample, taken within a day of it."""
    rows = study.cbc.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["SAMPLEID"],)):
        problems.at("cbc", row["row"], "SAMPLEID").refuse(
            "DUPLICATE_CBC",
            row["SAMPLEID"],
            f"the count of {row['SAMPLEID']!r} is in row {first['row']} already",
            remedy="remove one of the rows",
        )
    taken = study.samples.drop_duplicates("SAMPLEID").set_index("SAMPLEID")["COLLDTC"]
    for row in rows:
        moment = taken.get(row["SAMPLEID"])
        if moment is None or pd.isna(moment) or pd.isna(row["CBCDTC"]):
            continue
        hours = abs((row["CBCDTC"] - moment).total_seconds()) / 3600
        if hours > MAX_CBC_H:
            problems.at("cbc", row["row"], "CBCDTC").warn(
                "CBC_TIME",
                shown(row["CBCDTC"]),
                f"the count is {hours:.0f} h from the sample at {shown(moment)}, more than {MAX_CBC_H:g} h",
                remedy="check the time; the concentration from it is uncertain",
            )
