"""SDTM of the subjects: DM, EX, AE with SUPPAE, VS, QS, CM, DS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.values import STANDARD, iso, known, number_text, numbered, submission_value, text, whole
from cytomrd.trial.study import Study

__all__ = ["subject_domains"]

V = Variable
_CAUSALITY = ("RELATED", "PROBABLE", "POSSIBLE", "UNLIKELY", "NOT RELATED", "Y", "N")


def subject_domains(study: Study) -> list[CdiscDataset]:
    """Every domain that the study's tables of subjects, doses, events and vital signs fill."""
    found = [demographics(study), exposure(study), *adverse_events(study), *vital_signs(study)]
    found += [new_therapy(study), disposition(study)]
    return [data for data in found if data.rows]


def arm(dose: float) -> tuple[str, str]:
    """Code and name of a dose level.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.sdtm_subjects import arm
    >>> arm(1.5e8)
    ('DL1.5E8', '1.5E8 CAR+ NK cells per infusion')
    """
    exponent = len(f"{dose:.0f}") - 1
    short = f"{dose / 10**exponent:.3g}E{exponent}"
    return f"DL{short}", f"{short} CAR+ NK cells per infusion"


def identified(study: Study, domain: str, subject: str) -> dict[str, Any]:
    """The identifiers of a record."""
    return {"STUDYID": study.settings.id, "DOMAIN": domain, "USUBJID": subject}


def study_days(study: Study, subjects: pd.Series, moments: pd.Series) -> list[int | None]:
    """CDISC study days, which know no day 0."""
    return [whole(d) for d in study.study_day(subjects, moments)]


def demographics(study: Study) -> CdiscDataset:
    """DM, one record a subject."""
    shape = CdiscDataset("DM", "Demographics", "SDTM", "SPECIAL PURPOSE", "One record per subject", (
        *STANDARD,
        V("SUBJID", "Subject Identifier for the Study", required=True),
        V("RFSTDTC", "Subject Reference Start Date/Time", "iso", origin="Derived",
          comment="Start of the first infusion (EX)"),
        V("RFXSTDTC", "Date/Time of First Study Treatment", "iso", origin="Derived", comment="First EXSTDTC"),
        V("RFXENDTC", "Date/Time of Last Study Treatment", "iso", origin="Derived",
          comment="Last EXENDTC, or EXSTDTC where the end was not recorded"),
        V("RFICDTC", "Date/Time of Informed Consent", "iso"),
        V("DTHDTC", "Date/Time of Death", "iso"),
        V("DTHFL", "Subject Death Flag", codelist="NY", origin="Derived", comment="Y where a date of death is known"),
        V("AGE", "Age", "integer"),
        V("AGEU", "Age Units", codelist="UNIT", origin="Assigned"),
        V("SEX", "Sex", terms=("F", "M")),
        V("ARMCD", "Planned Arm Code", origin="Assigned"),
        V("ARM", "Description of Planned Arm", origin="Assigned"),
    ))  # fmt: skip
    deaths = study.followup.dropna(subset=["DTHDT"]).groupby("USUBJID")["DTHDT"].min()
    records = []
    for row in study.subjects.itertuples():
        doses = study.dosing[study.dosing["USUBJID"] == row.USUBJID].sort_values("EXSTDTC")
        last = None if doses.empty else doses["EXENDTC"].fillna(doses["EXSTDTC"]).max()
        first = None if doses.empty else doses["EXSTDTC"].min()
        died = deaths.get(row.USUBJID)
        code, name = arm(row.COHORT)
        age = whole(row.AGE)
        records.append(identified(study, "DM", row.USUBJID) | {
            "SUBJID": row.USUBJID.removeprefix(f"{study.settings.id}-"), "RFSTDTC": iso(first), "RFXSTDTC": iso(first),
            "RFXENDTC": iso(last), "RFICDTC": iso(row.RFICDTC), "DTHDTC": iso(died),
            "DTHFL": "Y" if known(died) else None, "AGE": age, "AGEU": "YEARS" if age is not None else None,
            "SEX": text(row.SEX), "ARMCD": code, "ARM": name,
        })  # fmt: skip
    return dataset(shape, records)


def exposure(study: Study) -> CdiscDataset:
    """EX, one record an infusion."""
    shape = CdiscDataset("EX", "Exposure", "SDTM", "INTERVENTIONS", "One record per infusion per subject", (
        *STANDARD,
        V("EXSEQ", "Sequence Number", "integer", key=3, required=True),
        V("EXTRT", "Name of Treatment", origin="Protocol", required=True),
        V("EXDOSE", "Dose", "float", required=True),
        V("EXDOSU", "Dose Units", codelist="UNIT", origin="Assigned"),
        V("EXROUTE", "Route of Administration", terms=("INTRAVENOUS",), origin="Protocol"),
        V("VISITDY", "Planned Study Day of Visit", "integer", origin="Protocol",
          comment="Trial Day 0 is study day 1"),
        V("EXSTDTC", "Start Date/Time of Treatment", "iso"),
        V("EXENDTC", "End Date/Time of Treatment", "iso"),
        V("EXSTDY", "Study Day of Start of Treatment", "integer", origin="Derived",
          comment="Date of EXSTDTC - date of RFSTDTC, + 1 from RFSTDTC on"),
    ))  # fmt: skip
    days = study_days(study, study.dosing["USUBJID"], study.dosing["EXSTDTC"])
    records = [
        identified(study, "EX", row.USUBJID) | {
            "EXSEQ": whole(row.EXSEQ), "EXTRT": "BCMA CAR-NK", "EXDOSE": float(row.EXDOSE),
            "EXDOSU": "Therapeutic Cells", "EXROUTE": "INTRAVENOUS", "VISITDY": whole(row.PLANNED_DAY) + 1,
            "EXSTDTC": iso(row.EXSTDTC), "EXENDTC": iso(row.EXENDTC), "EXSTDY": day,
        }
        for row, day in zip(study.dosing.itertuples(), days, strict=True)
    ]  # fmt: skip
    return dataset(shape, records)


def adverse_events(study: Study) -> Iterator[CdiscDataset]:
    """AE, one record an event, and SUPPAE with what AE has no variable for."""
    shape = CdiscDataset("AE", "Adverse Events", "SDTM", "EVENTS", "One record per adverse event per subject", (
        *STANDARD,
        V("AESEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By start and term", required=True),
        V("AETERM", "Reported Term for the Adverse Event", required=True),
        V("AEDECOD", "Dictionary-Derived Term", origin="Assigned", required=True),
        V("AEBODSYS", "Body System or Organ Class", origin="Assigned"),
        V("AESER", "Serious Event", codelist="NY"),
        V("AEREL", "Causality", terms=_CAUSALITY),
        V("AETOXGR", "Standard Toxicity Grade", terms=("1", "2", "3", "4", "5")),
        V("AESTDTC", "Start Date/Time of Adverse Event", "iso"),
        V("AEENDTC", "End Date/Time of Adverse Event", "iso"),
        V("AESTDY", "Study Day of Start of Adverse Event", "integer", origin="Derived",
          comment="Date of AESTDTC - date of RFSTDTC, + 1 from RFSTDTC on"),
    ))  # fmt: skip
    events = study.events.sort_values(["USUBJID", "AESTDTC", "AEDECOD", "row"], kind="stable")
    days = study_days(study, events["USUBJID"], events["AESTDTC"])
    rows = list(zip(events.itertuples(), days, strict=True))
    records = numbered(
        (
            identified(study, "AE", row.USUBJID) | {
                "AETERM": text(row.AEDECOD), "AEDECOD": text(row.AEDECOD), "AEBODSYS": text(row.AEBODSYS),
                "AESER": text(row.AESER), "AEREL": text(row.AEREL), "AETOXGR": text(whole(row.AETOXGR)),
                "AESTDTC": iso(row.AESTDTC), "AEENDTC": iso(row.AEENDTC), "AESTDY": day,
            }
            for row, day in rows
        ),
        "AESEQ",
    )  # fmt: skip
    yield dataset(shape, records)
    extra = []
    for record, (row, _) in zip(records, rows, strict=True):
        for name, label, value in (
            ("DLTFL", "Dose-Limiting Toxicity Flag", text(row.DLTFL)),
            ("ASTCTGR", "ASTCT Grade", text(whole(row.ASTCTGR))),
        ):
            if value is not None:
                extra.append({
                    "STUDYID": study.settings.id, "RDOMAIN": "AE", "USUBJID": row.USUBJID, "IDVAR": "AESEQ",
                    "IDVARVAL": str(record["AESEQ"]), "QNAM": name, "QLABEL": label, "QVAL": value, "QORIG": "CRF",
                })  # fmt: skip
    yield dataset(_supplement("AE"), extra)


def _supplement(domain: str) -> CdiscDataset:
    label = f"Supplemental Qualifiers for {domain}"
    return CdiscDataset(f"SUPP{domain}", label, "SDTM", "RELATIONSHIP", "One record per qualifier per record", (
        V("STUDYID", "Study Identifier", key=1, origin="Assigned", required=True),
        V("RDOMAIN", "Related Domain Abbreviation", key=2, origin="Assigned", required=True),
        V("USUBJID", "Unique Subject Identifier", key=3, origin="Assigned", required=True),
        V("IDVAR", "Identifying Variable", key=4, origin="Assigned"),
        V("IDVARVAL", "Identifying Variable Value", key=5, origin="Assigned"),
        V("QNAM", "Qualifier Variable Name", key=6, origin="Assigned", required=True),
        V("QLABEL", "Qualifier Variable Label", origin="Assigned", required=True),
        V("QVAL", "Data Value", required=True),
        V("QORIG", "Origin", origin="Assigned"),
    ))  # fmt: skip


# Study code: domain, its test code and name.
_VITALS = {
    "WEIGHT": ("VS", "WEIGHT", "Weight"),
    "SPO2": ("VS", "OXYSAT", "Oxygen Saturation"),
    "LVEF": ("CV", "LVEF", "Left Ventricular Ejection Fraction"),
    "ECOG": ("QS", "ECOG101", "ECOG1-Performance Status"),
}
_FINDINGS = {
    "VS": ("Vital Signs", ("WEIGHT", "OXYSAT"), ""),
    "CV": ("Cardiovascular System Findings", ("LVEF",), ""),
    "QS": ("Questionnaires", ("ECOG101",), "ECOG"),
}


def vital_signs(study: Study) -> Iterator[CdiscDataset]:
    """VS (weight, oxygen), CV (ejection fraction) and QS (ECOG), one record a measurement."""
    vitals = study.vitals.sort_values(["USUBJID", "VSDTC", "VSTESTCD", "row"], kind="stable")
    days = study_days(study, vitals["USUBJID"], vitals["VSDTC"])
    found: dict[str, list[dict[str, Any]]] = {domain: [] for domain in _FINDINGS}
    for row, day in zip(vitals.itertuples(), days, strict=True):
        domain, code, name = _VITALS[row.VSTESTCD]
        unit = submission_value("UNIT", row.VSORRESU) if code != "ECOG101" else None
        record = identified(study, domain, row.USUBJID) | {
            f"{domain}TESTCD": code, f"{domain}TEST": name, f"{domain}ORRES": number_text(row.VSORRES),
            f"{domain}ORRESU": unit, f"{domain}STRESC": number_text(row.VSSTRESN),
            f"{domain}STRESN": float(row.VSSTRESN) if known(row.VSSTRESN) else None,
            f"{domain}STRESU": text(row.VSSTRESU) if code != "ECOG101" else None, "VISIT": text(row.VISIT),
            f"{domain}DTC": iso(row.VSDTC), f"{domain}DY": day,
        }  # fmt: skip
        found[domain].append(record | ({f"{domain}CAT": "ECOG"} if domain == "QS" else {}))
    for domain, records in found.items():
        yield dataset(_finding_shape(domain), numbered(records, f"{domain}SEQ"))


def _finding_shape(domain: str) -> CdiscDataset:
    label, codes, category = _FINDINGS[domain]
    grouped = (V(f"{domain}CAT", "Category", terms=(category,), origin="Assigned", required=True),) if category else ()
    return CdiscDataset(domain, label, "SDTM", "FINDINGS", "One record per measurement per visit per subject", (
        *STANDARD,
        V(f"{domain}SEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By time", required=True),
        V(f"{domain}TESTCD", "Test Short Name", terms=codes, origin="Assigned", required=True),
        V(f"{domain}TEST", "Test Name", origin="Assigned", required=True),
        *grouped,
        V(f"{domain}ORRES", "Result or Finding in Original Units"),
        V(f"{domain}ORRESU", "Original Units", codelist="UNIT"),
        V(f"{domain}STRESC", "Character Result/Finding in Std Format", origin="Derived", comment="As STRESN"),
        V(f"{domain}STRESN", "Numeric Result/Finding in Standard Units", "float", origin="Derived",
          comment="The original result times the factor between the units"),
        V(f"{domain}STRESU", "Standard Units", codelist="UNIT", origin="Assigned"),
        V("VISIT", "Visit Name"),
        V(f"{domain}DTC", "Date/Time of Measurements", "iso"),
        V(f"{domain}DY", "Study Day of Measurements", "integer", origin="Derived",
          comment="Date - date of RFSTDTC, + 1 from RFSTDTC on"),
    ))  # fmt: skip


def new_therapy(study: Study) -> CdiscDataset:
    """CM: the first anti-myeloma therapy after the cells, at which response and progression are censored."""
    shape = CdiscDataset("CM", "Concomitant/Prior Medications", "SDTM", "INTERVENTIONS", "One record per therapy", (
        *STANDARD,
        V("CMSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By start", required=True),
        V("CMTRT", "Reported Name of Drug, Med, or Therapy", required=True),
        V("CMCAT", "Category for Medication", terms=("SUBSEQUENT ANTI-MYELOMA THERAPY",), origin="Assigned"),
        V("CMSTDTC", "Start Date/Time of Medication", "iso"),
    ))  # fmt: skip
    rows = study.therapy.dropna(subset=["NACTDT"]).sort_values(["USUBJID", "NACTDT"])
    records = (
        identified(study, "CM", row.USUBJID) | {
            "CMTRT": text(row.NACTTRT) or "NOT NAMED", "CMCAT": "SUBSEQUENT ANTI-MYELOMA THERAPY",
            "CMSTDTC": iso(row.NACTDT),
        }
        for row in rows.itertuples()
    )  # fmt: skip
    return dataset(shape, numbered(records, "CMSEQ"))


def disposition(study: Study) -> CdiscDataset:
    """DS: death, with its cause as reported."""
    shape = CdiscDataset("DS", "Disposition", "SDTM", "EVENTS", "One record per disposition event per subject", (
        *STANDARD,
        V("DSSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By date", required=True),
        V("DSTERM", "Reported Term for the Disposition Event", required=True),
        V("DSDECOD", "Standardized Disposition Term", terms=("DEATH",), origin="Assigned", required=True),
        V("DSCAT", "Category for Disposition Event", terms=("DISPOSITION EVENT",), origin="Assigned"),
        V("DSSTDTC", "Start Date/Time of Disposition Event", "iso"),
    ))  # fmt: skip
    rows = study.followup.dropna(subset=["DTHDT"]).sort_values(["USUBJID", "DTHDT"])
    records = (
        identified(study, "DS", row.USUBJID) | {
            "DSTERM": text(f"DEATH: {row.DTHCAUS}" if row.DTHCAUS else "DEATH"), "DSDECOD": "DEATH",
            "DSCAT": "DISPOSITION EVENT", "DSSTDTC": iso(row.DTHDT),
        }
        for row in rows.itertuples()
    )  # fmt: skip
    return dataset(shape, numbered(records, "DSSEQ"))
