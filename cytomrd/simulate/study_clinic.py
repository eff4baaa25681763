"""What the demo study's clinic writes down: subjects, doses, laboratory, marrow, imaging, events, vital signs.

Values follow from each subject's course (:mod:`cytomrd.simulate.study_subjects`) with room to every threshold, so that
an assessment's level is beyond doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from cytomrd.simulate.study_subjects import RESPONSE_DAYS, STUDY_ID, StudySubject

__all__ = ["clinic_tables", "last_seen"]

Row = dict[str, object]
SCREENING_DAY = -6
# Share of the baseline that each level leaves of the serum M protein, the urine's, and the involved free light chain.
_SERUM = {"SD": 0.92, "MR": 0.62, "PR": 0.35, "VGPR": 0.06, "CR": 0.0, "sCR": 0.0}
_URINE = {"SD": 0.90, "MR": 0.38, "PR": 0.06, "VGPR": 0.03}
_FLC = {"SD": 0.93, "PR": 0.30, "VGPR": 0.06}
_MARROW = {"SD": 0.95, "MR": 0.7, "PR": 0.40, "VGPR": 0.12, "CR": 0.05, "sCR": 0.03, "PD": 1.0}
_UNINVOLVED_FLC = 10.0
# Per visit: CRP mg/L, interleukins and granzyme B ng/L, before the factors of subject and dose level.
_CYTOKINES = {
    "DAY 0": (0, 4.0, 6.0, 12.0, 20.0), "DAY 1": (1, 28.0, 45.0, 45.0, 150.0), "DAY 3": (3, 18.0, 22.0, 38.0, 90.0),
    "DAY 7": (7, 8.0, 9.0, 24.0, 40.0), "DAY 8": (8, 34.0, 60.0, 40.0, 190.0), "DAY 14": (14, 9.0, 10.0, 20.0, 45.0),
    "DAY 28": (28, 5.0, 6.5, 13.0, 22.0),
}  # fmt: skip


def clinic_tables(subjects: Sequence[StudySubject], random_state: int) -> dict[str, list[Row]]:
    """Rows of every table that the clinic fills, by the table's name."""
    tables: dict[str, list[Row]] = {
        name: []
        for name in (
            "subjects", "dosing", "resp_labs", "marrow", "imaging", "events", "vitals", "therapy", "followup",
        )
    }  # fmt: skip
    for subject in subjects:
        rng = np.random.default_rng((random_state, subject.number))
        tables["subjects"].append(_subject(subject))
        tables["dosing"] += _doses(subject, rng)
        tables["resp_labs"] += [*_response_labs(subject), *_screening_labs(subject, rng), *_cytokines(subject, rng)]
        tables["marrow"] += _marrows(subject)
        tables["imaging"] += _images(subject)
        tables["events"] += _events(subject, rng)
        tables["vitals"] += _vitals(subject, rng)
        if subject.new_therapy_day is not None:
            tables["therapy"].append({
                "USUBJID": subject.usubjid, "NACTDT": _day(subject.on_day(subject.new_therapy_day)),
                "NACTTRT": "CARFILZOMIB",
            })  # fmt: skip
        tables["followup"].append(_followup(subject))
    return tables


def _day(moment: datetime) -> str:
    return moment.date().isoformat()


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")


def _number(value: float, decimals: int = 1) -> str:
    return f"{round(float(value), decimals):g}"


def _subject(subject: StudySubject) -> Row:
    return {
        "STUDYID": STUDY_ID, "USUBJID": subject.usubjid, "DX": subject.dx, "COHORT": f"{subject.dose:.10g}",
        "MTYPE": subject.mtype, "INVOLVED_LC": subject.light_chain, "WEIGHT_BL": _number(subject.weight_kg),
        "AGE": subject.age, "SEX": subject.sex, "RFICDTC": _day(subject.on_day(-14)),
        "DLTEVAL": "Y",
    }  # fmt: skip


def _doses(subject: StudySubject, rng: np.random.Generator) -> Iterator[Row]:
    for number, start in ((1, subject.first_infusion), (2, subject.second_infusion)):
        yield {
            "USUBJID": subject.usubjid, "EXSEQ": number, "EXSTDTC": _time(start),
            "EXENDTC": _time(start + timedelta(minutes=20)),
            "EXDOSE": f"{subject.dose * round(float(rng.uniform(0.93, 1.06)), 2):.10g}",
            "PLANNED_DAY": 7 * (number - 1),
        }  # fmt: skip


def _visits(subject: StudySubject) -> Iterator[tuple[str, datetime, str]]:
    """Screening and every assessment that took place: visit, time, level."""
    yield "SCREENING", subject.on_day(SCREENING_DAY), "SD"
    for visit, level in subject.assessments.items():
        yield visit, subject.on_day(RESPONSE_DAYS[visit]), level


def _response_labs(subject: StudySubject) -> Iterator[Row]:
    nadir = subject.baseline
    progressed = 0
    for visit, moment, level in _visits(subject):
        shares = {"serum": _SERUM, "urine": _URINE, "flc": _FLC}.get(subject.measured_by, {})
        if visit == "SCREENING" or subject.measured_by == "marrow":
            value = subject.baseline
        elif level == "PD":
            # Over 25 % and over the absolute rule, and rising: serum, the only measure whose course ends in PD.
            value = 1.4 * nadir + 6.0 + 2.0 * progressed
            progressed += 1
        else:
            value = shares[level] * subject.baseline
            nadir = min(nadir, value)
        yield from _panel_of_tests(subject, visit, moment, level, value)


def _panel_of_tests(subject: StudySubject, visit: str, moment: datetime, level: str, value: float) -> Iterator[Row]:
    """Electrophoresis, immunofixation and free light chains of one visit."""
    complete = level in ("CR", "sCR")
    serum = value if subject.measured_by == "serum" else 0.0
    urine = value if subject.measured_by == "urine" else (60.0 if subject.measured_by == "flc" else 0.0)
    involved = _involved_flc(subject, level, value)
    kappa = involved if subject.light_chain == "KAPPA" else _UNINVOLVED_FLC
    lambda_ = involved if subject.light_chain == "LAMBDA" else _UNINVOLVED_FLC
    silent = subject.measured_by == "marrow"
    tests = (
        ("MCPROT", _number(serum), "g/L", "SERUM", "", ""),
        ("MPROTEXR", _number(urine, 0), "mg/day", "URINE", "", ""),
        ("KLCFR", _number(kappa), "mg/L", "SERUM", "3.3", "19.4"),
        ("LLCFR", _number(lambda_), "mg/L", "SERUM", "5.7", "26.3"),
        ("KLCLLCFR", _number(kappa / lambda_, 4), "1", "SERUM", "0.26", "1.65"),
        ("SIFE", "NEGATIVE" if complete or silent else "POSITIVE", "", "SERUM", "", ""),
        ("UIFE", "POSITIVE" if subject.measured_by in ("urine", "flc") else "NEGATIVE", "", "URINE", "", ""),
    )
    for code, result, unit, specimen, low, high in tests:
        yield _lab(subject, visit, moment, code, result, unit, specimen) | {"LBNRLO": low, "LBNRHI": high}
    if subject.dx == "PCL":
        smear = 12.0 if visit == "SCREENING" else (14.0 if level == "PD" else 10.0)
        yield _lab(subject, visit, moment, "PLSTCELE", _number(smear), "%", "BLOOD")


def _involved_flc(subject: StudySubject, level: str, value: float) -> float:
    """Below 100 mg/L, so not measurable, but where the chain is what is measured."""
    if subject.measured_by == "flc":
        return value
    if subject.measured_by == "urine":
        return 90.0
    if subject.measured_by == "marrow" or level == "sCR":
        return 12.0
    return 24.0 if level == "CR" else 80.0


def _lab(subject: StudySubject, visit: str, moment: datetime, code: str, result: str, unit: str, specimen: str) -> Row:
    return {
        "USUBJID": subject.usubjid, "VISIT": visit, "LBDTC": _time(moment), "LBTESTCD": code, "LBORRES": result,
        "LBORRESU": unit, "LBSPEC": specimen,
    }  # fmt: skip


def _screening_labs(subject: StudySubject, rng: np.random.Generator) -> Iterator[Row]:
    moment = subject.on_day(SCREENING_DAY)
    for code, low, high, unit, decimals, specimen, upper in (
        ("CREAT", 7.0, 11.5, "mg/L", 1, "SERUM", ""), ("CA", 88, 99, "mg/L", 0, "SERUM", "103"),
        ("HGB", 86, 124, "g/L", 0, "BLOOD", ""), ("NEUT", 1.4, 4.2, "10^9/L", 1, "BLOOD", ""),
        ("PLAT", 62, 210, "10^9/L", 0, "BLOOD", ""), ("BILI", 4, 11, "mg/L", 0, "SERUM", "12"),
        ("ALT", 12, 38, "U/L", 0, "SERUM", "41"), ("AST", 14, 36, "U/L", 0, "SERUM", "40"),
    ):  # fmt: skip
        result = _number(rng.uniform(low, high), decimals)
        yield _lab(subject, "SCREENING", moment, code, result, unit, specimen) | {"LBNRHI": upper}


def _cytokines(subject: StudySubject, rng: np.random.Generator) -> Iterator[Row]:
    strength = subject.dose_level**0.5 * subject.exposure
    for visit, (day, *typical) in _CYTOKINES.items():
        if subject.death_day is not None and day > subject.death_day:
            continue
        # Before the infusion on its day; after it, the morning after.
        moment = subject.on_day(day, 8, 30)
        rest = _CYTOKINES["DAY 0"][1:]
        for code, unit, value, base in zip(
            ("CRP", "INTLK6", "INTLK15", "GZMB"), ("mg/L", "ng/L", "ng/L", "ng/L"), typical, rest, strict=True
        ):
            result = (base + (value - base) * strength) * float(np.exp(0.15 * rng.standard_normal()))
            yield _lab(subject, visit, moment, code, _number(result), unit, "SERUM")


def _marrows(subject: StudySubject) -> Iterator[Row]:
    baseline = 60.0 if subject.measured_by == "marrow" or subject.dx == "PCL" else 30.0
    visits = [("SCREENING", subject.on_day(SCREENING_DAY, 11), "SD")]
    visits += [
        (visit, subject.on_day(RESPONSE_DAYS[visit], 11), subject.assessments[visit])
        for visit in subject.marrow_at
        if visit in subject.assessments
    ]
    for visit, moment, level in visits:
        share = 1.0 if visit == "SCREENING" else _MARROW[level]
        yield {
            "USUBJID": subject.usubjid, "VISIT": visit, "BMDTC": _time(moment), "PC_PCT": _number(baseline * share),
            "PC_METHOD": "ASPIRATE", "CLONAL_IHC": "ABSENT" if level == "sCR" else "PRESENT", "IHC_PC_COUNTED": 120,
            "FIRST_PULL": "Y",
        }  # fmt: skip


def _images(subject: StudySubject) -> Iterator[Row]:
    for visit, moment, level in _visits(subject):
        if visit not in ("SCREENING", "DAY 28", "MONTH 3", "MONTH 6", "MONTH 12") and not subject.plasmacytoma_mm2:
            continue
        share = 1.0 if visit == "SCREENING" or level == "SD" else 0.35
        area = subject.plasmacytoma_mm2 * share
        yield {
            "USUBJID": subject.usubjid, "VISIT": visit, "IMDTC": _time(moment + timedelta(hours=4)),
            "MODALITY": "PETCT", "SPD_MM2": _number(area, 0), "LDIAM_MM": _number(area**0.5, 0), "NEW_LESION": "N",
            "PET_NEG": "Y" if level in ("CR", "sCR") else "N",
        }  # fmt: skip


_BLOOD_CLASS = "Blood and lymphatic system disorders"
# Term, class, day of onset, length in days, related, and the chance of grades 1 to 4.
_TERMS = (
    ("Neutropenia", _BLOOD_CLASS, 2, 14, "UNLIKELY", (0.0, 0.1, 0.3, 0.5)),
    ("Thrombocytopenia", _BLOOD_CLASS, 3, 16, "UNLIKELY", (0.15, 0.2, 0.25, 0.1)),
    ("Anaemia", _BLOOD_CLASS, 2, 25, "UNLIKELY", (0.1, 0.3, 0.3, 0.0)),
    ("Fatigue", "General disorders", 4, 20, "POSSIBLE", (0.35, 0.2, 0.0, 0.0)),
    ("Pyrexia", "General disorders", 1, 2, "PROBABLE", (0.3, 0.1, 0.0, 0.0)),
    ("Nausea", "Gastrointestinal disorders", 0, 3, "UNLIKELY", (0.3, 0.05, 0.0, 0.0)),
    ("Upper respiratory tract infection", "Infections and infestations", 45, 9, "NOT RELATED", (0.1, 0.15, 0.0, 0.0)),
    ("Hypertension", "Vascular disorders", 6, 4, "NOT RELATED", (0.05, 0.1, 0.05, 0.0)),
)  # fmt: skip


def _events(subject: StudySubject, rng: np.random.Generator) -> Iterator[Row]:
    for term, system, day, length, related, chances in _TERMS:
        grade = int(rng.choice(5, p=[1 - sum(chances), *chances]))
        shift = int(rng.integers(0, 3))
        if grade and (subject.death_day is None or day + shift + length < subject.death_day):
            yield _event(subject, term, system, day + shift, length, grade, related)
    if subject.exposure > 1.05 and subject.dose_level > 1:
        grade = 2 if subject.exposure > 1.25 and subject.dose_level == 3 else 1
        yield _event(subject, "Cytokine release syndrome", "Immune system disorders", 8, 3, grade, "RELATED") | {
            "ASTCTGR": grade, "AESER": "Y" if grade > 1 else "N",
        }  # fmt: skip
    if subject.death_cause == "SEPSIS":
        onset = subject.death_day - 4
        yield _event(subject, "Sepsis", "Infections and infestations", onset, 4, 5, "POSSIBLE") | {
            "AESER": "Y", "DLTFL": "Y",
        }  # fmt: skip


def _event(subject: StudySubject, term: str, system: str, day: int, length: int, grade: int, related: str) -> Row:
    return {
        "USUBJID": subject.usubjid, "AEDECOD": term, "AEBODSYS": system, "AESTDTC": _day(subject.on_day(day)),
        "AEENDTC": _day(subject.on_day(day + length)), "AETOXGR": grade, "AEREL": related, "AESER": "N", "DLTFL": "N",
    }  # fmt: skip


def _vitals(subject: StudySubject, rng: np.random.Generator) -> Iterator[Row]:
    """Weight and ECOG at every visit; oxygen and heart at screening. One heart was never looked at."""
    visits = [("SCREENING", float(SCREENING_DAY)), ("DAY 0", 0.0), ("DAY 14", 14.0)]
    visits += [(v, RESPONSE_DAYS[v]) for v in subject.assessments]
    ecog = int(rng.integers(0, 2))
    for visit, day in visits:
        if subject.death_day is not None and day > subject.death_day:
            continue
        change = 0.0 if day <= 0 else -0.012 * min(day, 56.0) / 14.0 * (1.0 + 0.8 * rng.uniform())
        weight = subject.weight_kg * (1.0 + change)
        worse = subject.assessments.get(visit) == "PD"
        yield _vital(subject, visit, day, "WEIGHT", _number(weight), "kg")
        yield _vital(subject, visit, day, "ECOG", min(2, ecog + worse), "")
    yield _vital(subject, "SCREENING", SCREENING_DAY, "SPO2", int(rng.integers(96, 100)), "%")
    if subject.number != 106:
        yield _vital(subject, "SCREENING", SCREENING_DAY, "LVEF", int(rng.integers(54, 66)), "%")


def _vital(subject: StudySubject, visit: str, day: float, code: str, result: object, unit: str) -> Row:
    return {
        "USUBJID": subject.usubjid, "VISIT": visit, "VSDTC": _time(subject.on_day(day, 8)), "VSTESTCD": code,
        "VSORRES": result, "VSORRESU": unit,
    }  # fmt: skip


def last_seen(subject: StudySubject) -> datetime:
    """The day on which a subject was last known to be alive: some weeks after the last visit."""
    days = [RESPONSE_DAYS[v] for v in subject.assessments] or [14]
    day = max(days) + 40 if subject.death_day is None else subject.death_day
    return subject.on_day(day)


def _followup(subject: StudySubject) -> Row:
    row: Row = {"USUBJID": subject.usubjid, "LSTALVDT": _day(last_seen(subject))}
    if subject.death_day is not None:
        row |= {"DTHDT": _day(subject.on_day(subject.death_day)), "DTHCAUS": subject.death_cause}
    return row
