"""Checks of response laboratories and marrow, and of the baselines without which response means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from cytomrd.trial.study.problems import Problems
from cytomrd.trial.study.showing import day_of, repeated, shown

if TYPE_CHECKING:
    from cytomrd.trial.study.study import Study

__all__ = ["check_baselines", "check_labs", "check_marrow"]

URINE_TESTS = ("MPROTEXR", "UIFE")
# Measured several times a day after an infusion; duplicates are told by the time and not by the day.
TIMED_TESTS = ("CRP", "INTLK6", "INTLK15", "GZMB")
RATIO_TOLERANCE = 0.1
MIN_IHC_CELLS = 100
# What response is judged by at baseline, by the type of the protein.
NEEDED = {"IGG": ("MCPROT",), "IGA": ("MCPROT",), "IGD": ("MCPROT",), "IGM": ("MCPROT",), "FLC": ("KLCFR", "LLCFR")}


def check_labs(study: Study, problems: Problems) -> None:
    """One result a test and day, in the right specimen; ratio and chains agree."""
    rows = study.resp_labs.to_dict("records")
    counted = [row for row in rows if not (pd.notna(row["SPURIOUS"]) and row["SPURIOUS"])]
    for row, first in repeated(counted, _lab_key):
        problems.at("resp_labs", row["row"], "LBTESTCD").refuse(
            "DUPLICATE_TEST",
            f"{row['LBTESTCD']} {row['LBORRES']} and {first['LBORRES']}",
            (
                f"a second {row['LBTESTCD']} of {row['USUBJID']} on {shown(row['LBDTC'])}: {row['LBORRES']} "
                f"after {first['LBORRES']} of row {first['row']}"
            ),
            remedy="correct the date, remove one, or mark one as SPURIOUS",
        )
    for row in rows:
        urine = row["LBTESTCD"] in URINE_TESTS
        if row["LBTESTCD"] and row["LBSPEC"] and urine != (row["LBSPEC"] == "URINE"):
            problems.at("resp_labs", row["row"], "LBSPEC").refuse(
                "WRONG_SPECIMEN",
                row["LBSPEC"],
                (f"{row['LBTESTCD']} in {row['LBSPEC'].lower()}; it is a test of {'urine' if urine else 'blood'}"),
                remedy="correct LBSPEC or LBTESTCD",
            )
        low, high = row["LBNRLO"], row["LBNRHI"]
        if pd.notna(low) and pd.notna(high) and low > high:
            problems.at("resp_labs", row["row"], "LBNRLO").refuse(
                "RANGE_ORDER", f"{low:g}", f"normal from {low:g} to {high:g}", remedy="exchange or correct them"
            )
    _check_ratios(counted, problems)


def _lab_key(row: dict) -> tuple | None:
    if pd.isna(row["LBDTC"]):
        return None
    moment = row["LBDTC"] if row["LBTESTCD"] in TIMED_TESTS else day_of(row["LBDTC"])
    return row["USUBJID"], row["LBTESTCD"], row["LBSPEC"], moment


def _check_ratios(rows: list[dict], problems: Problems) -> None:
    found: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        if row["LBTESTCD"] in ("KLCFR", "LLCFR", "KLCLLCFR") and pd.notna(row["LBSTRESN"]) and pd.notna(row["LBDTC"]):
            found.setdefault((row["USUBJID"], day_of(row["LBDTC"])), {})[row["LBTESTCD"]] = row
    for tests in found.values():
        if len(tests) < 3 or tests["LLCFR"]["LBSTRESN"] == 0:
            continue
        ratio, row = tests["KLCFR"]["LBSTRESN"] / tests["LLCFR"]["LBSTRESN"], tests["KLCLLCFR"]
        if abs(row["LBSTRESN"] - ratio) > RATIO_TOLERANCE * ratio:
            problems.at("resp_labs", row["row"], "LBORRES").doubt(
                "RATIO",
                row["LBORRES"],
                (
                    f"the ratio {row['LBORRES']} is not {tests['KLCFR']['LBORRES']} / "
                    f"{tests['LLCFR']['LBORRES']} = {ratio:.3g} of the same day"
                ),
                remedy="correct the ratio or a chain (value or unit)",
            )


def check_marrow(study: Study, problems: Problems) -> None:
    """One count a day and method; MRD counts go together and never come from flow."""
    rows = study.marrow.to_dict("records")
    for row, first in repeated(rows, lambda r: (r["USUBJID"], day_of(r["BMDTC"]), r["PC_METHOD"])):
        problems.at("marrow", row["row"], "BMDTC").refuse(
            "DUPLICATE_MARROW",
            shown(row["BMDTC"]),
            (
                f"a second {row['PC_METHOD'].lower()} of {row['USUBJID']} on {shown(row['BMDTC'])}, after row "
                f"{first['row']}"
            ),
            remedy="correct the date, or remove one",
        )
    for row in rows:
        at, total, clonal = row["row"], row["MRD_TOTAL_EVENTS"], row["MRD_ABERRANT_EVENTS"]
        given = [pd.notna(total), pd.notna(clonal)]
        if row["MRD_METHOD"] == "FLOW" and any(given):
            problems.at("marrow", at, "MRD_TOTAL_EVENTS").refuse(
                "TYPED_FLOW",
                total,
                f"{total} events by FLOW are typed in; flow counts come from the runs",
                remedy="empty MRD_TOTAL_EVENTS and MRD_ABERRANT_EVENTS, and name the run in study.toml",
            )
        elif any(given) and not (all(given) and row["MRD_METHOD"]):
            problems.at("marrow", at, "MRD_METHOD").refuse(
                "MRD_PARTS",
                row["MRD_METHOD"],
                "MRD_METHOD, MRD_TOTAL_EVENTS and MRD_ABERRANT_EVENTS are not given together",
                remedy="write all three, or none",
            )
        if all(given) and clonal > total:
            problems.at("marrow", at, "MRD_ABERRANT_EVENTS").refuse(
                "CLONAL_ABOVE_TOTAL", clonal, f"{clonal} clonal of {total} tested", remedy="correct one of them"
            )
        few = pd.notna(row["IHC_PC_COUNTED"]) and row["IHC_PC_COUNTED"] < MIN_IHC_CELLS
        if few and row["CLONAL_IHC"] in ("ABSENT", "PRESENT"):
            problems.at("marrow", at, "CLONAL_IHC").doubt(
                "FEW_IHC_CELLS",
                row["CLONAL_IHC"],
                f"{row['CLONAL_IHC']} from {row['IHC_PC_COUNTED']} plasma cells; needed are {MIN_IHC_CELLS}",
                remedy="write NE, not evaluable",
            )
        if pd.notna(row["FIRST_PULL"]) and not row["FIRST_PULL"]:
            problems.at("marrow", at, "FIRST_PULL").warn(
                "NOT_FIRST_PULL",
                "N",
                "not the first pull: blood in it lowers every fraction",
                remedy="read a low MRD with care",
            )


def check_baselines(study: Study, problems: Problems) -> None:
    """Every treated subject has what response is judged by, before the first infusion."""
    subjects = study.subjects.drop_duplicates("USUBJID")
    labs, marrow = study.resp_labs, study.marrow
    for row in subjects.to_dict("records"):
        subject, start = row["USUBJID"], study.first_infusion.get(row["USUBJID"])
        if start is None:
            continue
        own = labs[(labs["USUBJID"] == subject) & (labs["LBDTC"] <= start)]
        missing = [test for test in NEEDED.get(row["MTYPE"], ()) if test not in set(own["LBTESTCD"])]
        if row["MTYPE"] == "NONSEC":
            cells = marrow[(marrow["USUBJID"] == subject) & (marrow["BMDTC"] <= start)]
            missing = [] if cells["PC_PCT"].notna().any() else ["PC_PCT (marrow)"]
        for test in missing:
            problems.at("subjects", row["row"], "USUBJID").doubt(
                "NO_BASELINE",
                subject,
                f"{subject} ({row['MTYPE']}) has no {test} on or before the first infusion at {shown(start)}",
                remedy="add it, or correct its date; without it response is not evaluable",
            )
