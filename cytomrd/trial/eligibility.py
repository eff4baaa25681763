"""Eligibility (E): a screening table of criteria, each met, not met, missing, or without a limit in study.toml."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from cytomrd.trial.baseline import before_and_after
from cytomrd.trial.response.from_study import study_responses
from cytomrd.trial.study import Study
from cytomrd.trial.study.units import LAB_TESTS
from cytomrd.trial.table import TrialTable

__all__ = ["cockcroft_gault", "eligibility_tables"]

MET, NOT_MET, MISSING, NOT_SET = "MET", "NOT MET", "MISSING", "NOT SET"
NOTES = (
    "Values are the last at or before the first infusion; for a subject without one, the last of all.",
    "Limits are those of [eligibility] in study.toml; NOT SET where it names none. SpO2 and LVEF must be above their "
    "limit, the others at least or at most at it.",
    "Creatinine clearance by Cockcroft and Gault: (140 - age) x WEIGHT_BL / (72 x creatinine in mg/dL), x 0.85 for "
    "women.",
    "Measurable disease as for the response: serum, urine, light chains, marrow, by the thresholds in study.toml.",
)


@dataclass(frozen=True)
class Criterion:
    """One criterion of one subject: its value (None where missing), its limit (None where not set), the verdict."""

    name: str
    value: object
    unit: str
    limit: str
    verdict: str
    inputs: str


def cockcroft_gault(age_years: float, weight_kg: float, creatinine_mg_per_l: float, *, female: bool) -> float:
    """Creatinine clearance in mL/min (Cockcroft and Gault 1976).

    Examples
    --------
    >>> from cytomrd.trial.eligibility import cockcroft_gault
    >>> round(cockcroft_gault(60, 72, 10.0, female=False), 1)
    80.0
    """
    clearance = (140 - age_years) * weight_kg / (72 * creatinine_mg_per_l / 10)
    return clearance * 0.85 if female else clearance


def eligibility_tables(study: Study) -> tuple[TrialTable, ...]:
    """E: every criterion of every subject, and how many subjects met each."""
    measurable = {r.subject: tuple(r.response.measurable) for r in study_responses(study)}
    rows = []
    for subject in study.subjects.to_dict("records"):
        rows += [
            {"USUBJID": subject["USUBJID"], "criterion": c.name, "value": c.value, "unit": c.unit, "limit": c.limit,
             "verdict": c.verdict, "inputs": c.inputs}
            for c in _criteria(study, subject, measurable.get(subject["USUBJID"]))
        ]  # fmt: skip
    data = pd.DataFrame(rows, columns=["USUBJID", "criterion", "value", "unit", "limit", "verdict", "inputs"])
    counts = data.groupby(["criterion", "verdict"], sort=False).size().unstack(fill_value=0)
    counts = counts.reindex(columns=[MET, NOT_MET, MISSING, NOT_SET], fill_value=0).reset_index()
    counts.columns = ["criterion", "met", "not_met", "missing", "not_set"]
    return (
        TrialTable("e_eligibility", "Eligibility by subject", data, notes=NOTES),
        TrialTable("e_eligibility_summary", "Eligibility: subjects by criterion", counts),
    )


def _criteria(study: Study, subject: dict, measurable: tuple | None) -> Iterator[Criterion]:
    limits = study.settings.eligibility
    start = study.first_infusion.get(subject["USUBJID"])
    labs = study.resp_labs[study.resp_labs["USUBJID"] == subject["USUBJID"]]
    vitals = study.vitals[study.vitals["USUBJID"] == subject["USUBJID"]]
    yield _measurable(measurable)
    yield _clearance(subject, labs, start, limits.cockcroft_gault_ml_per_min)
    for code, limit in (
        ("BILI", limits.bilirubin_times_uln),
        ("ALT", limits.transaminase_times_uln),
        ("AST", limits.transaminase_times_uln),
    ):
        yield _times_uln(labs, code, start, limit)
    for code, limit in (
        ("HGB", limits.hgb_g_per_l),
        ("NEUT", limits.neut_10e9_per_l),
        ("PLAT", limits.plat_10e9_per_l),
    ):
        row, value = _last_lab(labs, code, start)
        yield _judged(LAB_TESTS[code].name, value, LAB_TESTS[code].unit, "at least", limit, _source(row))
    for code, name, limit in (
        ("SPO2", "Oxygen saturation", limits.spo2_percent),
        ("LVEF", "Left ventricular ejection fraction", limits.lvef_percent),
    ):
        row, _ = before_and_after(vitals[vitals["VSTESTCD"] == code], "VSDTC", start)
        value = None if row is None else row["VSSTRESN"]
        source = "" if row is None else f"vitals.csv row {row['row']}, {row['VSDTC']:%Y-%m-%d}"
        yield _judged(name, value, "%", "above", limit, source)
    age = subject["AGE"]
    yield _judged("Age", age, "years", "at least", limits.age_min_years, f"subjects.csv row {subject['row']}")
    yield _judged(
        "Age, upper limit", age, "years", "at most", limits.age_max_years, f"subjects.csv row {subject['row']}"
    )


def _last_lab(labs: pd.DataFrame, code: str, start: pd.Timestamp | None) -> tuple[pd.Series | None, float | None]:
    """The last result of a test at screening; one below its limit counts as that limit's half."""
    kept = (labs["LBTESTCD"] == code) & ~labs["SPURIOUS"].fillna(False).astype(bool)
    row, _ = before_and_after(labs[kept], "LBDTC", start)
    if row is None:
        return None, None
    return row, row["LBLLOQ"] / 2 if row["BLQ"] else row["LBSTRESN"]


def _source(row: pd.Series | None) -> str:
    return "" if row is None else f"resp_labs.csv row {row['row']}, {row['LBDTC']:%Y-%m-%d}"


def _judged(name: str, value: float | None, unit: str, side: str, limit: float | None, inputs: str) -> Criterion:
    missing = value is None or pd.isna(value)
    if limit is None:
        return Criterion(name, None if missing else value, unit, "", NOT_SET, inputs)
    words = f"{side} {limit:g}"
    if missing:
        return Criterion(name, None, unit, words, MISSING, inputs)
    met = {"at least": value >= limit, "at most": value <= limit, "above": value > limit}[side]
    return Criterion(name, float(value), unit, words, MET if met else NOT_MET, inputs)


def _measurable(measurable: tuple | None) -> Criterion:
    verdict = MISSING if measurable is None else MET if measurable else NOT_MET
    said = "no first infusion, so no baseline" if measurable is None else ", ".join(map(str, measurable)) or "none"
    return Criterion("Measurable disease", None, "", "any", verdict, said)


def _clearance(subject: dict, labs: pd.DataFrame, start: pd.Timestamp | None, limit: float | None) -> Criterion:
    row, creatinine = _last_lab(labs, "CREAT", start)
    parts = {"age": subject["AGE"], "weight": subject["WEIGHT_BL"], "creatinine": creatinine}
    absent = [name for name, value in parts.items() if value is None or pd.isna(value) or value <= 0]
    absent += [] if subject["SEX"] else ["sex"]
    value = None
    if not absent:
        value = cockcroft_gault(subject["AGE"], subject["WEIGHT_BL"], creatinine, female=subject["SEX"] == "F")
    inputs = f"missing: {', '.join(absent)}" if absent else (
        f"age {subject['AGE']:g}, {subject['SEX']}, {subject['WEIGHT_BL']:g} kg, creatinine {creatinine:g} mg/L of "
        f"{_source(row)}"
    )  # fmt: skip
    return _judged("Creatinine clearance (Cockcroft-Gault)", value, "mL/min", "at least", limit, inputs)


def _times_uln(labs: pd.DataFrame, code: str, start: pd.Timestamp | None, limit: float | None) -> Criterion:
    row, value = _last_lab(labs, code, start)
    upper = None if row is None else row["LBSTNRHI"]
    inputs = _source(row)
    ratio = None
    if row is not None and pd.notna(upper) and upper > 0 and value is not None:
        ratio = value / upper
        inputs += f": {value:g} of {upper:g} {LAB_TESTS[code].unit}"
    elif row is not None:
        inputs += ": no upper limit of normal (LBNRHI)"
    return _judged(LAB_TESTS[code].name, ratio, "x ULN", "at most", limit, inputs)
