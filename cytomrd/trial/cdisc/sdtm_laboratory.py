"""SDTM of the laboratory: LB with M protein, light chains, immunofixation, cytokines, chemistry, and morphology."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.sdtm_subjects import identified, study_days
from cytomrd.trial.cdisc.terms import paired_name
from cytomrd.trial.cdisc.values import STANDARD, iso, known, number_text, numbered, submission_value, text
from cytomrd.trial.study import Study

__all__ = ["lab_test_name", "laboratory"]

V = Variable
# Immunofixation has no code of its own: the sponsor's, told apart by the method.
_SPONSOR_TESTS = {"SIFE": "Serum Immunofixation", "UIFE": "Urine Immunofixation"}
_FIXATION = "IMMUNOFIXATION ELECTROPHORESIS"
_SHAPE = CdiscDataset("LB", "Laboratory Test Results", "SDTM", "FINDINGS", "One record per test per visit", (
    *STANDARD,
    V("LBSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By time and test", required=True),
    V("LBTESTCD", "Lab Test or Examination Short Name", codelist="LBTESTCD", terms=tuple(_SPONSOR_TESTS),
      origin="Assigned", required=True),
    V("LBTEST", "Lab Test or Examination Name", codelist="LBTEST", terms=tuple(_SPONSOR_TESTS.values()),
      origin="Assigned", required=True),
    V("LBORRES", "Result or Finding in Original Units"),
    V("LBORRESU", "Original Units", codelist="UNIT"),
    V("LBORNRLO", "Reference Range Lower Limit in Orig Unit"),
    V("LBORNRHI", "Reference Range Upper Limit in Orig Unit"),
    V("LBSTRESC", "Character Result/Finding in Std Format", origin="Derived", comment="Result in standard units"),
    V("LBSTRESN", "Numeric Result/Finding in Standard Units", "float", origin="Derived",
      comment="The original result times the factor between the units; empty for words and for results below a limit"),
    V("LBSTRESU", "Standard Units", codelist="UNIT", origin="Assigned"),
    V("LBSTNRLO", "Reference Range Lower Limit-Std Units", "float", origin="Derived", comment="As LBSTRESN"),
    V("LBSTNRHI", "Reference Range Upper Limit-Std Units", "float", origin="Derived", comment="As LBSTRESN"),
    V("LBNRIND", "Reference Range Indicator", codelist="NRIND", origin="Derived",
      comment="LBSTRESN against LBSTNRLO and LBSTNRHI"),
    V("LBSPEC", "Specimen Type", codelist="SPECTYPE", terms=("PLASMA",), origin="Assigned"),
    V("LBMETHOD", "Method of Test or Examination", codelist="METHOD", origin="Assigned"),
    V("VISIT", "Visit Name"),
    V("LBDTC", "Date/Time of Specimen Collection", "iso"),
    V("LBDY", "Study Day of Specimen Collection", "integer", origin="Derived",
      comment="Date of LBDTC - date of RFSTDTC, + 1 from RFSTDTC on"),
))  # fmt: skip


def laboratory(study: Study) -> CdiscDataset:
    """LB, one record a test."""
    records = [*_tests(study), *_marrows(study)]
    records.sort(key=lambda r: (r["USUBJID"], r["LBDTC"], r["LBTESTCD"]))
    return dataset(_SHAPE, numbered(records, "LBSEQ"))


def lab_test_name(code: str) -> str:
    """LBTEST of an LBTESTCD: of the codelist, by its concept, or the sponsor's."""
    if code in _SPONSOR_TESTS:
        return _SPONSOR_TESTS[code]
    return paired_name("LBTESTCD", "LBTEST", code)


def _tests(study: Study) -> Iterator[dict[str, Any]]:
    labs = study.resp_labs
    days = study_days(study, labs["USUBJID"], labs["LBDTC"])
    for row, day in zip(labs.itertuples(), days, strict=True):
        fixation = row.LBTESTCD in _SPONSOR_TESTS
        unit = None if fixation else submission_value("UNIT", row.LBORRESU or row.LBSTRESU)
        yield identified(study, "LB", row.USUBJID) | {
            "LBTESTCD": row.LBTESTCD, "LBTEST": lab_test_name(row.LBTESTCD), "LBORRES": text(row.LBORRES),
            "LBORRESU": unit, "LBORNRLO": number_text(row.LBNRLO), "LBORNRHI": number_text(row.LBNRHI),
            "LBSTRESC": text(row.LBSTRESC), "LBSTRESN": _number(row.LBSTRESN),
            "LBSTRESU": None if fixation else submission_value("UNIT", row.LBSTRESU),
            "LBSTNRLO": _number(row.LBSTNRLO), "LBSTNRHI": _number(row.LBSTNRHI),
            "LBNRIND": _indicator(row.LBSTRESN, row.LBSTNRLO, row.LBSTNRHI), "LBSPEC": text(row.LBSPEC),
            "LBMETHOD": _FIXATION if fixation else None, "VISIT": text(row.VISIT), "LBDTC": iso(row.LBDTC),
            "LBDY": day,
        }  # fmt: skip


def _marrows(study: Study) -> Iterator[dict[str, Any]]:
    """Plasma cells of marrow cells by morphology."""
    marrow = study.marrow.dropna(subset=["PC_PCT"])
    days = study_days(study, marrow["USUBJID"], marrow["BMDTC"])
    for row, day in zip(marrow.itertuples(), days, strict=True):
        specimen = "BONE MARROW, CORE" if row.PC_METHOD == "BIOPSY" else "BONE MARROW, LIQUID"
        yield identified(study, "LB", row.USUBJID) | {
            "LBTESTCD": "PLSTCECE", "LBTEST": lab_test_name("PLSTCECE"), "LBORRES": number_text(row.PC_PCT),
            "LBORRESU": "%", "LBSTRESC": number_text(row.PC_PCT), "LBSTRESN": float(row.PC_PCT), "LBSTRESU": "%",
            "LBSPEC": specimen, "LBMETHOD": "MICROSCOPY", "VISIT": text(row.VISIT), "LBDTC": iso(row.BMDTC),
            "LBDY": day,
        }  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if known(value) else None


def _indicator(value: Any, low: Any, high: Any) -> str | None:
    if not known(value) or not (known(low) or known(high)):
        return None
    if known(low) and value < low:
        return "LOW"
    return "HIGH" if known(high) and value > high else "NORMAL"
