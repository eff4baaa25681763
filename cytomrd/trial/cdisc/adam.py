"""ADaM: ADSL, and what the analyses of exposure, response and time to event were made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.sdtm_response import reasons_text, study_day
from cytomrd.trial.cdisc.sdtm_subjects import arm
from cytomrd.trial.cdisc.values import day, known, text, whole
from cytomrd.trial.endpoints import TimeToEvent
from cytomrd.trial.response.from_study import SubjectResponse
from cytomrd.trial.study import Study

__all__ = [
    "analysis_concentrations",
    "analysis_parameters",
    "analysis_responses",
    "subject_level",
    "times_to_event",
]

V = Variable
_WHO = (
    V("STUDYID", "Study Identifier", key=1, origin="Predecessor", required=True),
    V("USUBJID", "Unique Subject Identifier", key=2, origin="Predecessor", required=True),
    V("TRTA", "Actual Treatment", origin="Predecessor"),
    V("TRTAN", "Actual Treatment (N)", "integer", origin="Predecessor"),
)
_PARAMETER = (
    V("PARAMCD", "Parameter Code", key=3, origin="Assigned", required=True),
    V("PARAM", "Parameter", origin="Assigned", required=True),
)


def subject_level(study: Study, courses: Mapping[str, SubjectResponse]) -> CdiscDataset:
    """ADSL, one record a subject."""
    shape = CdiscDataset("ADSL", "Subject-Level Analysis Dataset", "ADaM", "SUBJECT LEVEL ANALYSIS DATASET",
                         "One record per subject", (
        V("STUDYID", "Study Identifier", key=1, origin="Predecessor", required=True),
        V("USUBJID", "Unique Subject Identifier", key=2, origin="Predecessor", required=True),
        V("SUBJID", "Subject Identifier for the Study", origin="Predecessor"),
        V("AGE", "Age", "integer", origin="Predecessor"),
        V("SEX", "Sex", terms=("F", "M"), origin="Predecessor"),
        V("TRT01P", "Planned Treatment for Period 01", origin="Assigned"),
        V("TRT01PN", "Planned Treatment for Period 01 (N)", "integer", origin="Assigned",
          comment="Number of the dose level"),
        V("DOSE01P", "Planned Treatment Dose for Period 01", "float", origin="Assigned",
          comment="CAR+ NK cells for each infusion"),
        V("TRTSDT", "Date of First Exposure to Treatment", "date", origin="Derived", comment="First EX.EXSTDTC"),
        V("TRTEDT", "Date of Last Exposure to Treatment", "date", origin="Derived", comment="Last EX.EXSTDTC"),
        V("SAFFL", "Safety Population Flag", codelist="NY", origin="Derived", comment="Y with at least one infusion"),
        V("EVALFL", "Response Evaluable Population Flag", codelist="NY", origin="Derived",
          comment="Y with measurable disease at baseline and an assessment after it"),
        V("DX", "Diagnosis", terms=("MM", "PCL")),
        V("MTYPE", "Type of Monoclonal Protein", terms=("IGG", "IGA", "IGD", "IGM", "FLC", "NONSEC")),
        V("INVLC", "Involved Light Chain", terms=("KAPPA", "LAMBDA")),
        V("WEIGHTBL", "Baseline Weight (kg)", "float"),
        V("DTHDT", "Date of Death", "date"),
        V("DTHCAUS", "Cause of Death"),
        V("LSTALVDT", "Date Last Known Alive", "date"),
    ))  # fmt: skip
    ends = study.followup.groupby("USUBJID").first()
    return dataset(shape, [_subject(study, row, courses.get(row.USUBJID), ends) for row in study.subjects.itertuples()])


def _subject(study: Study, row, course: SubjectResponse | None, ends: pd.DataFrame) -> dict[str, Any]:
    doses = study.dosing.loc[study.dosing["USUBJID"] == row.USUBJID, "EXSTDTC"].dropna()
    end = ends.loc[row.USUBJID] if row.USUBJID in ends.index else {}
    return {
        "STUDYID": study.settings.id, "USUBJID": row.USUBJID,
        "SUBJID": row.USUBJID.removeprefix(f"{study.settings.id}-"), "AGE": whole(row.AGE), "SEX": text(row.SEX),
        "TRT01P": arm(row.COHORT)[1], "TRT01PN": _level(study, row.COHORT), "DOSE01P": float(row.COHORT),
        "TRTSDT": day(doses.min()) if len(doses) else None, "TRTEDT": day(doses.max()) if len(doses) else None,
        "SAFFL": "Y" if len(doses) else "N", "EVALFL": "Y" if course is not None and course.evaluable else "N",
        "DX": text(row.DX), "MTYPE": text(row.MTYPE), "INVLC": text(row.INVOLVED_LC),
        "WEIGHTBL": _number(row.WEIGHT_BL),
        "DTHDT": day(end.get("DTHDT")), "DTHCAUS": text(end.get("DTHCAUS")), "LSTALVDT": day(end.get("LSTALVDT")),
    }  # fmt: skip


def _level(study: Study, dose: float) -> int:
    return list(study.settings.dose_levels).index(dose) + 1 if dose in study.settings.dose_levels else 0


def _number(value: Any) -> float | None:
    return float(value) if known(value) else None


def who(study: Study, subject: str) -> dict[str, Any]:
    """The identifiers and treatment of a record."""
    dose = float(study.dose_level[subject])
    return {
        "STUDYID": study.settings.id, "USUBJID": subject, "TRTA": arm(dose)[1], "TRTAN": _level(study, dose),
    }  # fmt: skip


def analysis_concentrations(study: Study, concentrations: CdiscDataset) -> CdiscDataset:
    """ADPC: concentrations on the time since the first infusion, planned and actual, from PC."""
    shape = CdiscDataset("ADPC", "Pharmacokinetic Concentrations Analysis", "ADaM", "BASIC DATA STRUCTURE",
                         "One record per subject, matrix and sample", (
        *_WHO, *_PARAMETER,
        V("AVISIT", "Analysis Visit", origin="Predecessor"),
        V("PCSEQ", "Sequence Number", "integer", key=4, origin="Predecessor", comment="PC.PCSEQ", required=True),
        V("ADTC", "Analysis Date/Time", "iso", origin="Predecessor", comment="PC.PCDTC"),
        V("AFRLT", "Actual Rel. Time from First Dose", "float", origin="Derived",
          comment="Days from the start of the first infusion to the collection"),
        V("NFRLT", "Nominal Rel. Time from First Dose", "float", origin="Predecessor", comment="Planned day"),
        V("ATPTREF", "Analysis Timepoint Reference", terms=("BEFORE ANY INFUSION", "INFUSION 1", "INFUSION 2"),
          origin="Protocol"),
        V("AVAL", "Analysis Value", "float", origin="Derived",
          comment="PC.PCSTRESN; 0 below the limit of quantification, which the NCA may leave out (ADPP)"),
        V("AVALC", "Analysis Value (C)", origin="Predecessor", comment="PC.PCSTRESC"),
        V("AVALU", "Analysis Value Unit", codelist="UNIT", origin="Predecessor"),
        V("ALLOQ", "Analysis Lower Limit of Quantitation", "float", origin="Predecessor", comment="PC.PCLLOQ"),
        V("BLQFL", "Below Limit of Quantitation Flag", codelist="NY", origin="Derived"),
        V("ANL01FL", "Analysis Flag 01", codelist="NY", origin="Derived", comment="Y where the sample was evaluable"),
    ))  # fmt: skip
    samples = study.samples.drop_duplicates("SAMPLEID").set_index("SAMPLEID")
    times = dict(zip(samples.index, study.time_d(samples["USUBJID"], samples["COLLDTC"]), strict=True))
    records = [_concentration(study, r, samples.loc[r["PCREFID"]], times[r["PCREFID"]])
               for r in concentrations.records()]  # fmt: skip
    return dataset(shape, records)


def _concentration(study: Study, record: dict[str, Any], sample, time_d: float) -> dict[str, Any]:
    below = record["PCSTRESN"] is None and (record["PCSTRESC"] or "").startswith("<")
    reference = ("BEFORE ANY INFUSION", "INFUSION 1", "INFUSION 2")
    marrow = record["PCSPEC"] == "BONE MARROW"
    return who(study, record["USUBJID"]) | {
        "PARAMCD": "CARNKBM" if marrow else "CARNKPB",
        "PARAM": "CAR+ NK cells in marrow (% of NK)" if marrow else "CAR+ NK cells in blood (10^6/L)",
        "AVISIT": record["VISIT"], "PCSEQ": record["PCSEQ"], "ADTC": record["PCDTC"],
        "AFRLT": round(float(time_d), 6) if known(time_d) else None, "NFRLT": _number(sample["PLANNED_DAY"]),
        "ATPTREF": reference[whole(sample["DOSE_REF"])], "AVAL": 0.0 if below else record["PCSTRESN"],
        "AVALC": record["PCSTRESC"], "AVALU": record["PCSTRESU"], "ALLOQ": record["PCLLOQ"],
        "BLQFL": "Y" if below else "N", "ANL01FL": "N" if record["PCSTAT"] else "Y",
    }  # fmt: skip


def analysis_parameters(study: Study, parameters: CdiscDataset) -> CdiscDataset:
    """ADPP: the PK parameters of PP, one record each."""
    shape = CdiscDataset("ADPP", "Pharmacokinetic Parameters Analysis", "ADaM", "BASIC DATA STRUCTURE",
                         "One record per subject, matrix and parameter", (
        *_WHO, *_PARAMETER,
        V("PPSPEC", "Specimen Material Type", key=4, codelist="SPECTYPE", origin="Predecessor", comment="PP.PPSPEC"),
        V("PPSEQ", "Sequence Number", "integer", origin="Predecessor", comment="PP.PPSEQ", required=True),
        V("AVAL", "Analysis Value", "float", origin="Predecessor", comment="PP.PPSTRESN"),
        V("AVALC", "Analysis Value (C)", origin="Predecessor", comment="PP.PPSTRESC"),
        V("AVALU", "Analysis Value Unit", origin="Predecessor", comment="PP.PPSTRESU"),
        V("AVALRSN", "Reason for a Missing Analysis Value", origin="Predecessor", comment="PP.PPREASND"),
    ))  # fmt: skip
    return dataset(shape, [
        who(study, r["USUBJID"]) | {
            "PARAMCD": r["PPTESTCD"], "PARAM": r["PPTEST"], "PPSPEC": r["PPSPEC"], "PPSEQ": r["PPSEQ"],
            "AVAL": r["PPSTRESN"], "AVALC": r["PPSTRESC"], "AVALU": r["PPSTRESU"], "AVALRSN": r["PPREASND"],
        }
        for r in parameters.records()
    ])  # fmt: skip


def analysis_responses(study: Study, courses: Sequence[SubjectResponse]) -> CdiscDataset:
    """ADRS: level and confirmed level of each assessment, best confirmed response, progression."""
    shape = CdiscDataset("ADRS", "Response Analysis", "ADaM", "BASIC DATA STRUCTURE",
                         "One record per subject, parameter and assessment", (
        *_WHO, *_PARAMETER,
        V("ASEQ", "Analysis Sequence Number", "integer", key=4, origin="Derived", comment="By time", required=True),
        V("AVISIT", "Analysis Visit", origin="Predecessor"),
        V("ADT", "Analysis Date", "date", origin="Predecessor"),
        V("ADY", "Analysis Relative Day", "integer", origin="Derived", comment="ADT - TRTSDT, + 1 from TRTSDT on"),
        V("AVALC", "Analysis Value (C)", origin="Derived",
          comment="confirmed(i) = the lower of level i and the next evaluable one"),
        V("AVAL", "Analysis Value", "integer", origin="Derived",
          comment="sCR 1, CR 2, VGPR 3, PR 4, MR 5, SD 6, PD 7, NE 8"),
        V("AVALRSN", "Reason for the Analysis Value", origin="Derived"),
    ))  # fmt: skip
    return dataset(shape, [r for course in courses for r in _response_records(study, course)])


_RANKS = {level: i for i, level in enumerate(("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "NE"), start=1)}


def _response_records(study: Study, course: SubjectResponse) -> Iterator[dict[str, Any]]:
    common = who(study, course.subject)
    response = course.response
    for number, visit in enumerate(response.visits, start=1):
        at = {"ASEQ": number, "AVISIT": text(visit.visit), "ADT": visit.date,
              "ADY": study_day(study, course.subject, visit.date)}  # fmt: skip
        yield common | at | {
            "PARAMCD": "OVRLRESP", "PARAM": "Response at the assessment", "AVALC": visit.level,
            "AVAL": _RANKS[visit.level], "AVALRSN": reasons_text(visit.reasons),
        }  # fmt: skip
        yield common | at | {
            "PARAMCD": "CRSP", "PARAM": "Confirmed response at the assessment", "AVALC": visit.confirmed,
            "AVAL": _RANKS[visit.confirmed],
        }  # fmt: skip
    best = response.best_response_index
    at = None if best is None else response.visits[best]
    yield common | {
        "PARAMCD": "CBOR", "PARAM": "Best confirmed response", "ASEQ": 1, "AVALC": response.best_response,
        "AVAL": _RANKS[response.best_response], "AVISIT": text(at.visit) if at else None,
        "ADT": at.date if at else None,
        "ADY": study_day(study, course.subject, at.date) if at else None,
    }  # fmt: skip
    if response.pd_visit_index is not None:
        at = response.visits[response.pd_visit_index]
        yield common | {
            "PARAMCD": "PD", "PARAM": "Confirmed progression", "ASEQ": 1, "AVALC": "Y", "AVISIT": text(at.visit),
            "ADT": at.date, "ADY": study_day(study, course.subject, at.date), "AVALRSN": reasons_text(at.reasons),
        }  # fmt: skip


_ENDPOINTS = {
    "OS": "Overall survival (days)", "PFS": "Progression-free survival (days)", "DOR": "Duration of response (days)",
    "MRDNEG": "Duration of MRD negativity (days)", "PERSIST": "Persistence of CAR-NK cells in blood (days)",
}  # fmt: skip


def times_to_event(study: Study, endpoints: Mapping[str, Sequence[TimeToEvent]]) -> CdiscDataset:
    """ADTTE, one record a subject and endpoint."""
    shape = CdiscDataset("ADTTE", "Time-to-Event Analysis", "ADaM", "BASIC DATA STRUCTURE",
                         "One record per subject and endpoint", (
        *_WHO, *_PARAMETER,
        V("AVAL", "Analysis Value", "integer", origin="Derived", comment="ADT - STARTDT + 1, in days", required=True),
        V("STARTDT", "Time-to-Event Origin Date for Subject", "date", origin="Derived", required=True),
        V("ADT", "Analysis Date", "date", origin="Derived", required=True),
        V("CNSR", "Censor", "integer", origin="Derived", comment="0 an event, 1 censored", required=True),
        V("EVNTDESC", "Event or Censoring Description", origin="Derived", required=True),
    ))  # fmt: skip
    records = [
        who(study, time.subject) | {
            "PARAMCD": name, "PARAM": _ENDPOINTS[name], "AVAL": int(time.days), "STARTDT": time.start, "ADT": time.end,
            "CNSR": 0 if time.event else 1, "EVNTDESC": text(time.reason),
        }
        for name, times in endpoints.items()
        for time in times
    ]  # fmt: skip
    return dataset(shape, records)
