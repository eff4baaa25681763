"""SDTM of response: RS, one record an assessment, and one for each subject's best response."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.sdtm_subjects import identified
from cytomrd.trial.cdisc.values import STANDARD, iso, numbered, text
from cytomrd.trial.response.from_study import SubjectResponse
from cytomrd.trial.study import Study

__all__ = ["CRITERIA", "reasons_text", "responses"]

V = Variable
CRITERIA = {"MM": "KUMAR IMWG 2016", "PCL": "PCL CONSENSUS"}
"""RSCAT by diagnosis; the criteria of plasma cell leukaemia have no term and are the sponsor's."""

_TESTS = {"OVRLRESP": "Overall Response", "BESTRESP": "Best Overall Response"}
_SHAPE = CdiscDataset("RS", "Disease Response and Clin Classification", "SDTM", "FINDINGS",
                      "One record per assessment per subject", (
    *STANDARD,
    V("RSSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By time", required=True),
    V("RSTESTCD", "Assessment Short Name", codelist="ONCRTSCD", origin="Assigned", required=True),
    V("RSTEST", "Assessment Name", codelist="ONCRTS", origin="Assigned", required=True),
    V("RSCAT", "Category for Assessment", codelist="ONCRSCAT", terms=(CRITERIA["PCL"],), origin="Assigned"),
    V("RSORRES", "Result or Finding in Original Units", codelist="ONCRSR", origin="Derived",
      comment="The lowest level over the measurable parameters; reasons in ADRS.AVALRSN"),
    V("RSSTRESC", "Character Result/Finding in Std Format", codelist="ONCRSR", origin="Derived", comment="As RSORRES"),
    V("RSEVAL", "Evaluator", terms=("SPONSOR",), origin="Assigned"),
    V("VISIT", "Visit Name"),
    V("RSDTC", "Date/Time of Assessment", "iso"),
    V("RSDY", "Study Day of Assessment", "integer", origin="Derived",
      comment="Date of RSDTC - date of RFSTDTC, + 1 from RFSTDTC on"),
))  # fmt: skip


def responses(study: Study, courses: Sequence[SubjectResponse]) -> CdiscDataset:
    """RS from the subjects' judged courses."""
    return dataset(_SHAPE, numbered((r for who in courses for r in _records(study, who)), "RSSEQ"))


def _records(study: Study, who: SubjectResponse) -> Iterator[dict[str, Any]]:
    common = identified(study, "RS", who.subject) | {"RSCAT": CRITERIA[who.disease], "RSEVAL": "SPONSOR"}
    for visit in who.response.visits:
        yield common | _tested("OVRLRESP", visit.level) | {
            "VISIT": text(visit.visit), "RSDTC": iso(visit.date), "RSDY": study_day(study, who.subject, visit.date),
        }  # fmt: skip
    yield common | _tested("BESTRESP", who.response.best_response)


def _tested(code: str, level: str) -> dict[str, Any]:
    return {"RSTESTCD": code, "RSTEST": _TESTS[code], "RSORRES": level, "RSSTRESC": level}


def study_day(study: Study, subject: str, day: date) -> int:
    """CDISC study day of one date: the first infusion is day 1, the day before it -1."""
    days = (day - study.first_infusion[subject].date()).days
    return days + (days >= 0)


def reasons_text(reasons: Sequence[object]) -> str | None:
    """Why a level was given, in one text that a variable can hold."""
    return text("; ".join(str(reason) for reason in reasons))
