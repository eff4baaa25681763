"""Seeded mistakes of a study folder: each changes one thing, and says where it must be named and as what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

Tables = dict[str, list[dict[str, object]]]


@dataclass(frozen=True)
class Mistake:
    """``make`` changes the tables and gives the row number at fault; the problem names table, column, code, value."""

    name: str
    table: str
    column: str
    code: str
    make: Callable[[Tables, np.random.Generator], tuple[int, str]]


MISTAKES: list[Mistake] = []


def mistake(table: str, column: str, code: str):
    """Register a mistake; the function's name is the mistake's."""

    def register(function):
        MISTAKES.append(Mistake(function.__name__, table, column, code, function))
        return function

    return register


def pick(rows: list[dict], rng: np.random.Generator, **where: object) -> tuple[int, dict]:
    """A random row that has these cells, with its number in a spreadsheet."""
    found = [i for i, row in enumerate(rows) if all(row.get(k) == v for k, v in where.items())]
    index = int(rng.choice(found))
    return index + 2, rows[index]


def put(rows: list[dict], rng: np.random.Generator, column: str, value: object, **where: object) -> tuple[int, str]:
    """Write a value into a random row."""
    number, row = pick(rows, rng, **where)
    row[column] = value
    return number, str(value)


def again(rows: list[dict], rng: np.random.Generator, changes: dict | None = None, **where: object) -> int:
    """Write a random row a second time at the end; its number."""
    _, row = pick(rows, rng, **where)
    rows.append(row | (changes or {}))
    return len(rows) + 1


def shifted(text: object, days: float) -> str:
    moved = datetime.fromisoformat(str(text)) + timedelta(days=days)
    return moved.isoformat(timespec="minutes") if "T" in str(text) else moved.date().isoformat()


@mistake("resp_labs", "LBORRESU", "UNKNOWN_UNIT")
def a_unit_that_does_not_exist(t, rng):
    return put(t["resp_labs"], rng, "LBORRESU", "g/cL", LBTESTCD="MCPROT")


@mistake("resp_labs", "LBORRESU", "UNKNOWN_UNIT")
def a_unit_left_out(t, rng):
    return put(t["resp_labs"], rng, "LBORRESU", "", LBTESTCD="KLCFR")


@mistake("resp_labs", "LBORRES", "IMPLAUSIBLE")
def grams_per_litre_called_per_decilitre(t, rng):
    number, row = pick(t["resp_labs"], rng, LBTESTCD="MCPROT", LBORRESU="g/dL")
    row["LBORRES"] = 30.0
    return number, "30.0"


@mistake("resp_labs", "LBTESTCD", "DUPLICATE_TEST")
def two_spep_on_one_day(t, rng):
    number = again(t["resp_labs"], rng, {"LBORRES": 1.7}, LBTESTCD="MCPROT")
    return number, "1.7"


@mistake("resp_labs", "LBORRES", "NEGATIVE")
def a_negative_concentration(t, rng):
    return put(t["resp_labs"], rng, "LBORRES", -12, LBTESTCD="INTLK6")


@mistake("resp_labs", "LBORRES", "BAD_VALUE")
def a_unit_inside_the_result(t, rng):
    return put(t["resp_labs"], rng, "LBORRES", "12 g/dL", LBTESTCD="HGB")


@mistake("resp_labs", "LBORRES", "BAD_VALUE")
def a_word_that_is_neither_positive_nor_negative(t, rng):
    return put(t["resp_labs"], rng, "LBORRES", "weak", LBTESTCD="SIFE")


@mistake("resp_labs", "LBTESTCD", "UNKNOWN_TEST")
def a_test_misspelt(t, rng):
    return put(t["resp_labs"], rng, "LBTESTCD", "MCPORT", LBTESTCD="MCPROT")


@mistake("resp_labs", "LBSPEC", "WRONG_SPECIMEN")
def m_protein_of_serum_in_urine(t, rng):
    return put(t["resp_labs"], rng, "LBSPEC", "URINE", LBTESTCD="MCPROT")


@mistake("resp_labs", "LBORRES", "RATIO")
def a_ratio_that_the_chains_do_not_give(t, rng):
    return put(t["resp_labs"], rng, "LBORRES", 7.77, LBTESTCD="KLCLLCFR")


@mistake("resp_labs", "LBDTC", "BAD_VALUE")
def a_date_in_the_order_of_another_country(t, rng):
    return put(t["resp_labs"], rng, "LBDTC", "05/01/2026")


@mistake("resp_labs", "LBDTC", "LONG_BEFORE")
def a_year_typed_wrong(t, rng):
    number, row = pick(t["resp_labs"], rng, LBTESTCD="CRP")
    row["LBDTC"] = shifted(row["LBDTC"], -366)
    return number, row["LBDTC"][:10]


@mistake("resp_labs", "LBDTC", "IN_FUTURE")
def a_result_after_the_data_cut(t, rng):
    number, row = pick(t["resp_labs"], rng, LBTESTCD="CRP", USUBJID="S03")
    row["LBDTC"] = "2026-09-01"
    return number, "2026-09-01"


@mistake("resp_labs", "USUBJID", "UNKNOWN_SUBJECT")
def an_unknown_subject(t, rng):
    return put(t["resp_labs"], rng, "USUBJID", "S99")


@mistake("subjects", "USUBJID", "NO_BASELINE")
def a_baseline_that_is_missing(t, rng):
    number, row = pick(t["subjects"], rng, MTYPE="IGG")
    subject = row["USUBJID"]
    t["resp_labs"] = [
        r for r in t["resp_labs"]
        if not (r["USUBJID"] == subject and r["LBTESTCD"] == "MCPROT" and r["VISIT"] == "SCREENING")
    ]  # fmt: skip
    return number, subject


@mistake("subjects", "USUBJID", "DUPLICATE_SUBJECT")
def a_subject_twice(t, rng):
    number = again(t["subjects"], rng)
    return number, t["subjects"][-1]["USUBJID"]


@mistake("subjects", "COHORT", "UNKNOWN_LEVEL")
def a_dose_level_that_the_trial_has_not(t, rng):
    number, _ = put(t["subjects"], rng, "COHORT", 9e8)
    return number, "9e+08"


@mistake("subjects", "INVOLVED_LC", "NO_LIGHT_CHAIN")
def light_chain_disease_without_its_chain(t, rng):
    return put(t["subjects"], rng, "INVOLVED_LC", "", MTYPE="FLC")


@mistake("subjects", "WEIGHT_BL", "BAD_VALUE")
def a_weight_in_grams(t, rng):
    return put(t["subjects"], rng, "WEIGHT_BL", 70500)


@mistake("subjects", "DX", "BAD_VALUE")
def a_diagnosis_of_another_trial(t, rng):
    return put(t["subjects"], rng, "DX", "AML")


@mistake("subjects", "STUDYID", "OTHER_STUDY")
def a_subject_of_another_study(t, rng):
    return put(t["subjects"], rng, "STUDYID", "NCT00000000")


@mistake("dosing", "EXDOSE", "DOSE_OFF_LEVEL")
def a_dose_ten_times_too_high(t, rng):
    number, row = pick(t["dosing"], rng)
    row["EXDOSE"] = row["EXDOSE"] * 10
    return number, f"{row['EXDOSE']:g}"


@mistake("dosing", "EXDOSE", "DOSE_OFF_LEVEL")
def a_dose_of_seventy_percent(t, rng):
    number, row = pick(t["dosing"], rng)
    row["EXDOSE"] = row["EXDOSE"] * 0.7
    return number, f"{row['EXDOSE']:g}"


@mistake("dosing", "EXSTDTC", "DATE_ORDER")
def the_second_infusion_before_the_first(t, rng):
    number, row = pick(t["dosing"], rng, EXSEQ=2)
    row["EXSTDTC"], row["EXENDTC"] = shifted(row["EXSTDTC"], -9), ""
    return number, row["EXSTDTC"]


@mistake("dosing", "EXENDTC", "DATE_ORDER")
def an_infusion_that_ends_before_it_starts(t, rng):
    number, row = pick(t["dosing"], rng)
    row["EXENDTC"] = shifted(row["EXSTDTC"], -0.02)
    return number, row["EXENDTC"]


@mistake("dosing", "EXSEQ", "DUPLICATE_DOSE")
def an_infusion_twice(t, rng):
    return again(t["dosing"], rng, EXSEQ=2), "2"


@mistake("dosing", "EXSTDTC", "BAD_VALUE")
def an_infusion_without_its_time(t, rng):
    number, row = pick(t["dosing"], rng, EXSEQ=2)
    row["EXSTDTC"] = row["EXSTDTC"][:10]
    return number, row["EXSTDTC"]


@mistake("samples", "COLLDTC", "PREDOSE_SIDE")
def a_predose_sample_after_the_infusion(t, rng):
    number, row = pick(t["samples"], rng, DOSE_REF=0, MATRIX="BLOOD")
    row["COLLDTC"] = shifted(row["COLLDTC"], 0.7)
    row["ACQDTC"] = ""
    return number, row["COLLDTC"]


@mistake("samples", "COLLDTC", "PREDOSE_SIDE")
def a_postdose_sample_before_the_infusion(t, rng):
    number, row = pick(t["samples"], rng, DOSE_REF=1, PREDOSE="N", VISIT="D0.1")
    row["COLLDTC"] = shifted(row["COLLDTC"], -1)
    return number, row["COLLDTC"]


@mistake("samples", "ACQDTC", "DATE_ORDER")
def a_sample_acquired_before_it_was_collected(t, rng):
    number, row = pick(t["samples"], rng)
    row["ACQDTC"] = shifted(row["COLLDTC"], -0.1)
    return number, row["ACQDTC"]


@mistake("samples", "COLLDTC", "DUPLICATE_TIME")
def two_samples_at_one_time(t, rng):
    _, row = pick(t["samples"], rng, VISIT="D10")
    t["samples"].append(row | {"SAMPLEID": row["SAMPLEID"] + "b"})
    return len(t["samples"]) + 1, row["COLLDTC"]


@mistake("samples", "SAMPLEID", "DUPLICATE_SAMPLE")
def a_sample_twice(t, rng):
    number = again(t["samples"], rng)
    return number, t["samples"][-1]["SAMPLEID"]


@mistake("samples", "REASON", "NO_REASON")
def a_rejected_sample_without_a_reason(t, rng):
    number, row = pick(t["samples"], rng)
    row["STATUS"] = "REJECTED"
    return number, ""


@mistake("samples", "DOSE_REF", "NO_SUCH_DOSE")
def a_sample_of_an_infusion_that_was_not_given(t, rng):
    subject = str(rng.choice(["S01", "S02", "S03"]))
    t["dosing"] = [r for r in t["dosing"] if not (r["USUBJID"] == subject and r["EXSEQ"] == 2)]
    numbers = [i + 2 for i, r in enumerate(t["samples"]) if r["USUBJID"] == subject and r["DOSE_REF"] == 2]
    return numbers[0], "2"


@mistake("samples", "MATRIX", "BAD_VALUE")
def a_matrix_misspelt(t, rng):
    return put(t["samples"], rng, "MATRIX", "BLODO")


@mistake("samples", "COLLDTC", "BEFORE_CONSENT")
def a_sample_before_consent(t, rng):
    number, row = pick(t["samples"], rng, MATRIX="BONE MARROW", DOSE_REF=0)
    row["COLLDTC"] = shifted(row["COLLDTC"], -40)
    return number, row["COLLDTC"]


@mistake("cbc", "SAMPLEID", "UNKNOWN_SAMPLE")
def a_count_of_an_unknown_sample(t, rng):
    t["cbc"] = [{"SAMPLEID": "S01-PB-77", "WBC": 5.0, "LYMPH_PCT": 20, "CBCDTC": "2026-01-06T08:00"}]
    return 2, "S01-PB-77"


@mistake("cbc", "WBC", "BAD_VALUE")
def a_count_per_microlitre(t, rng):
    t["cbc"] = [{"SAMPLEID": "S01-PB-1", "WBC": 5200, "LYMPH_PCT": 20, "CBCDTC": "2026-01-06T10:00"}]
    return 2, "5200"


@mistake("marrow", "PC_PCT", "BAD_VALUE")
def more_than_all_plasma_cells(t, rng):
    return put(t["marrow"], rng, "PC_PCT", 130)


@mistake("marrow", "MRD_ABERRANT_EVENTS", "CLONAL_ABOVE_TOTAL")
def more_clonal_than_nucleated_cells(t, rng):
    number, row = pick(t["marrow"], rng)
    row |= {"MRD_METHOD": "NGS", "MRD_TOTAL_EVENTS": 1000, "MRD_ABERRANT_EVENTS": 2000}
    return number, "2000"


@mistake("marrow", "MRD_TOTAL_EVENTS", "TYPED_FLOW")
def flow_results_typed_in(t, rng):
    number, row = pick(t["marrow"], rng)
    row |= {"MRD_METHOD": "FLOW", "MRD_TOTAL_EVENTS": 4000000, "MRD_ABERRANT_EVENTS": 3}
    return number, "4000000"


@mistake("imaging", "NEW_LESION", "EMPTY")
def an_imaging_that_does_not_say_whether_a_lesion_is_new(t, rng):
    return put(t["imaging"], rng, "NEW_LESION", "")


@mistake("imaging", "IMDTC", "DUPLICATE_IMAGING")
def an_imaging_twice(t, rng):
    number = again(t["imaging"], rng)
    return number, t["imaging"][-1]["IMDTC"]


@mistake("events", "AEENDTC", "DATE_ORDER")
def an_event_that_ends_before_it_began(t, rng):
    number, row = pick(t["events"], rng)
    row["AEENDTC"] = shifted(row["AESTDTC"], -2)
    return number, row["AEENDTC"]


@mistake("events", "AETOXGR", "BAD_VALUE")
def a_grade_of_six(t, rng):
    return put(t["events"], rng, "AETOXGR", 6)


@mistake("events", "AETOXGR", "GRADE_5_ALIVE")
def a_fatal_event_of_the_living(t, rng):
    return put(t["events"], rng, "AETOXGR", 5, USUBJID="S03")


@mistake("events", "AEREL", "BEFORE_DOSE")
def a_related_event_before_the_cells(t, rng):
    number, row = pick(t["events"], rng, DLTFL="N")
    row["AESTDTC"], row["AEENDTC"] = shifted(row["AESTDTC"], -5), ""
    return number, "RELATED"


@mistake("vitals", "VSORRESU", "UNKNOWN_UNIT")
def a_weight_in_stones(t, rng):
    return put(t["vitals"], rng, "VSORRESU", "st", VSTESTCD="WEIGHT")


@mistake("vitals", "VSORRES", "WEIGHT_JUMP")
def pounds_called_kilograms(t, rng):
    return put(t["vitals"], rng, "VSORRES", 152, VSTESTCD="WEIGHT")


@mistake("vitals", "VSORRES", "IMPLAUSIBLE")
def ecog_of_seven(t, rng):
    return put(t["vitals"], rng, "VSORRES", 7, VSTESTCD="ECOG")


@mistake("therapy", "NACTDT", "BEFORE_DOSE")
def a_new_therapy_before_the_cells(t, rng):
    number, row = pick(t["therapy"], rng)
    row["NACTDT"] = "2025-11-01"
    return number, "2025-11-01"


@mistake("followup", "DTHDT", "DATE_ORDER")
def death_before_last_alive(t, rng):
    number, row = pick(t["followup"], rng)
    row["DTHDT"], row["DTHCAUS"] = shifted(row["LSTALVDT"], -3), "Myeloma"
    return number, row["DTHDT"]


@mistake("vitals", "VSDTC", "AFTER_DEATH")
def a_weight_after_death(t, rng):
    number, row = pick(t["vitals"], rng, USUBJID="S02", VSTESTCD="WEIGHT")
    row["VSDTC"] = shifted(row["VSDTC"], 150)
    return number, row["VSDTC"]


@mistake("subjects", "USUBJID", "NO_FOLLOWUP")
def a_treated_subject_without_followup(t, rng):
    number, row = pick(t["subjects"], rng)
    t["followup"] = [r for r in t["followup"] if r["USUBJID"] != row["USUBJID"]]
    return number, row["USUBJID"]
