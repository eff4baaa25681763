"""SDTM of flow cytometry: CP, one record a population and measure, and PC, the concentrations that PP is made of.

The unit term ``10^6/L`` is cells per microlitre, one to one. A result below the limit of quantification is ``<x`` with
no number; a sample that could not be evaluated is NOT DONE with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from cytomrd.trial.cdisc.gate_paths import gate_definitions
from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.sdtm_subjects import identified
from cytomrd.trial.cdisc.terms import paired_name
from cytomrd.trial.cdisc.values import STANDARD, iso, known, number_text, numbered, percent, text, whole
from cytomrd.trial.study import Study

__all__ = ["CELLS_UNIT", "cell_phenotyping", "concentrations", "group_id"]

V = Variable
CELLS_UNIT = "10^6/L"
_NK_MARKERS = "CD45+CD3-CD14/CD19-CD138-CD56+"
_QUANTIFIED = "QUANTIFIED"
_CP = CdiscDataset("CP", "Cell Phenotype Findings", "SDTM", "FINDINGS", "One record per population and measure", (
    *STANDARD,
    V("CPSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By time, sample, test", required=True),
    V("CPGRPID", "Group ID", origin="Assigned", comment="Profile that PP was made of (RELREC)"),
    V("CPREFID", "Reference ID", origin="Assigned", comment="Identifier of the specimen", required=True),
    V("CPTESTCD", "Test or Examination Short Name", codelist="CPTESTCD", origin="Assigned", required=True),
    V("CPTEST", "Name of Measurement, Test or Examination", codelist="CPTEST", origin="Assigned", required=True),
    V("CPSBMRKS", "Sublineage Markers", origin="Assigned", comment="Markers that tell the sub-population apart"),
    V("CPCELSTA", "Cell State", codelist="CELSTATE", origin="Assigned"),
    V("CPCSMRKS", "Cell State Markers", origin="Assigned"),
    V("CPMRKSTR", "Marker String", origin="Assigned"),
    V("CPGATDEF", "Gating Definition", origin="Derived", comment="Gates from the root, joined by |, as applied"),
    V("CPCAT", "Category for Test", codelist="CPCAT", origin="Assigned"),
    V("CPORRES", "Result or Finding in Original Units", origin="Derived",
      comment="From the gated run named in the study's sources; <x below the limit of quantification x"),
    V("CPORRESU", "Original Units", codelist="UNIT", origin="Assigned"),
    V("CPSTRESC", "Character Result/Finding in Std Format", origin="Derived", comment="As CPORRES"),
    V("CPSTRESN", "Numeric Result/Finding in Standard Units", "float", origin="Derived",
      comment="As CPORRES; empty below the limit of quantification"),
    V("CPSTRESU", "Standard Units", codelist="UNIT", origin="Assigned"),
    V("CPSTAT", "Completion Status", codelist="ND", origin="Assigned"),
    V("CPREASND", "Reason Not Done", origin="Assigned"),
    V("CPSPEC", "Specimen Type", codelist="SPECTYPE", origin="Assigned"),
    V("CPMETHOD", "Method of Test or Examination", codelist="METHOD", origin="Assigned"),
    V("CPLLOQ", "Lower Limit of Quantitation", "float", origin="Derived",
      comment="That this sample reached, in CPSTRESU"),
    V("VISIT", "Visit Name"),
    V("CPDTC", "Date/Time of Specimen Collection", "iso"),
    V("CPDY", "Study Day of Specimen Collection", "integer", origin="Derived",
      comment="Date of CPDTC - date of RFSTDTC, + 1 from RFSTDTC on"),
    V("CPTPT", "Planned Time Point Name", terms=("PRE-INFUSION", "POST-INFUSION"), origin="Protocol"),
))  # fmt: skip


def group_id(matrix: str) -> str:
    """Names the concentrations of one matrix, of which one profile is made."""
    return f"CARNK-{matrix.replace(' ', '-')}"


@dataclass(frozen=True)
class _Measure:
    """One measure of a population; ``below`` is the limit that it lies under, None for a value."""

    code: str
    value: float | None
    unit: str | None = None
    lloq: float | None = None
    below: float | None = None
    population: str = ""
    qualifiers: dict[str, str] = field(default_factory=dict)


def cell_phenotyping(study: Study) -> CdiscDataset:
    """CP: CAR+ NK cells of blood and marrow, plasma cells of the MRD assay, and what was planned and not done."""
    gates = gate_definitions(study)
    records = [*_records(study, study.flow_car_nk, gates, _car_measures)]
    records += _records(study, study.flow_mrd, gates, _mrd_measures)
    records += _not_done(study)
    records.sort(key=lambda r: (r["USUBJID"], r["CPDTC"] or "", r["CPREFID"], r["CPTESTCD"], r["CPORRESU"] or ""))
    return dataset(_CP, numbered(records, "CPSEQ"))


def _records(study: Study, flow, gates, measures) -> Iterator[dict[str, Any]]:
    days = study.study_day(flow["USUBJID"], flow["COLLDTC"])
    for row, day in zip(flow.itertuples(), days, strict=True):
        common = _common(study, row, day)
        reason = text(row.flags) if row.status == "NOT_EVALUABLE" else None
        for measure in measures(row):
            gate = gates.get((row.run, row.sample_id, measure.population))
            yield common | _result(measure, reason) | measure.qualifiers | {"CPGATDEF": gate}


def _common(study: Study, row, day) -> dict[str, Any]:
    return identified(study, "CP", row.USUBJID) | {
        "CPREFID": row.sample_id, "CPCAT": "IMMUNOPHENOTYPING", "CPSPEC": row.MATRIX, "CPMETHOD": "FLOW CYTOMETRY",
        "VISIT": text(row.VISIT), "CPDTC": iso(row.COLLDTC), "CPDY": whole(day),
        "CPTPT": "PRE-INFUSION" if bool(row.PREDOSE) else "POST-INFUSION",
    }  # fmt: skip


def _result(measure: _Measure, reason: str | None) -> dict[str, Any]:
    name = paired_name("CPTESTCD", "CPTEST", measure.code)
    found = {"CPTESTCD": measure.code, "CPTEST": name, "CPLLOQ": measure.lloq}
    if measure.below is None and not known(measure.value):
        return found | {"CPSTAT": "NOT DONE", "CPREASND": reason or "NOT CALCULATED", "CPORRES": None, "CPORRESU": None}
    shown = number_text(measure.value) if measure.below is None else f"<{number_text(measure.below)}"
    return found | {
        "CPORRES": shown, "CPORRESU": measure.unit, "CPSTRESC": shown,
        "CPSTRESN": float(measure.value) if measure.below is None else None, "CPSTRESU": measure.unit,
    }  # fmt: skip


def _car_measures(row) -> Iterator[_Measure]:
    """CAR+ NK cells per microlitre where there is a volume, and in percent of NK cells."""
    qualifiers = {
        "CPSBMRKS": "CAR+", "CPCELSTA": "VIABLE", "CPCSMRKS": "Viability-", "CPMRKSTR": _NK_MARKERS,
    }  # fmt: skip
    evaluable = row.status != "NOT_EVALUABLE"
    below = evaluable and row.status != _QUANTIFIED
    if row.method != "none":
        lloq = float(row.lloq_cells_per_ul) if known(row.lloq_cells_per_ul) else None
        value = float(row.cells_per_ul) if evaluable and not below and known(row.cells_per_ul) else None
        grouped = qualifiers | {"CPGRPID": group_id(row.MATRIX)}
        yield _Measure("NKS", value, CELLS_UNIT, lloq, lloq if below else None, "car_nk", grouped)
    grouped = qualifiers | ({"CPGRPID": group_id(row.MATRIX)} if row.method == "none" else {})
    value = percent(row.net_fraction) if evaluable and known(row.net_fraction) and not below else None
    lloq = percent(row.lloq_fraction)
    yield _Measure("NKSNK", value, "%", lloq, lloq if below else None, "car_nk", grouped)


def _mrd_measures(row) -> Iterator[_Measure]:
    """Counts of nucleated, plasma and clonal cells; the clonal ones of nucleated cells in percent."""
    yield _Measure("NUCCE", _count(row.n_nucleated), population="nucleated")
    yield _Measure("PC", _count(row.n_plasma_cells), population="plasma_cells")
    yield _Measure("CPC", _count(row.n_clonal_pc), population="plasma_cells")
    if row.light_chain in ("kappa", "lambda"):
        yield _Measure("AKPC" if row.light_chain == "kappa" else "ALPC", _count(row.n_clonal_pc),
                       population="plasma_cells")  # fmt: skip
    limit = _count(row.lod) if row.status == "NEGATIVE" else None
    evaluable = row.status != "NOT_EVALUABLE" and known(row.mrd_fraction)
    yield _Measure(
        "CPCCE",
        percent(row.mrd_fraction) if evaluable else None,
        "%",
        percent(row.lloq),
        population="plasma_cells",
        below=percent(limit),
    )


def _count(value: Any) -> float | None:
    return float(value) if known(value) else None


def _not_done(study: Study) -> Iterator[dict[str, Any]]:
    """Samples that samples.csv gives as not done or rejected, with the reason."""
    missed = study.samples[study.samples["STATUS"] != "OK"]
    days = study.study_day(missed["USUBJID"], missed["COLLDTC"])
    for row, day in zip(missed.itertuples(), days, strict=True):
        yield identified(study, "CP", row.USUBJID) | _result(_Measure("NKS", None), None) | {
            "CPREFID": row.SAMPLEID, "CPCAT": "IMMUNOPHENOTYPING", "CPSPEC": row.MATRIX, "CPMETHOD": "FLOW CYTOMETRY",
            "CPREASND": text(row.REASON) or row.STATUS, "VISIT": text(row.VISIT), "CPDTC": iso(row.COLLDTC),
            "CPDY": whole(day), "CPTPT": "PRE-INFUSION" if bool(row.PREDOSE) else "POST-INFUSION",
        }  # fmt: skip


_PC = CdiscDataset("PC", "Pharmacokinetics Concentrations", "SDTM", "FINDINGS", "One record per sample and matrix", (
    *STANDARD,
    V("PCSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By time", required=True),
    V("PCGRPID", "Group ID", origin="Assigned"),
    V("PCREFID", "Reference ID", origin="Assigned", comment="Specimen; its cells are in CP"),
    V("PCTESTCD", "Pharmacokinetic Test Short Name", terms=("CARNK",), origin="Assigned", required=True),
    V("PCTEST", "Pharmacokinetic Test Name", terms=("CAR+ NK Cells",), origin="Assigned", required=True),
    V("PCORRES", "Result or Finding in Original Units", origin="Predecessor", comment="CP.CPORRES"),
    V("PCORRESU", "Original Units", codelist="UNIT", origin="Predecessor"),
    V("PCSTRESC", "Character Result/Finding in Std Format", origin="Predecessor"),
    V("PCSTRESN", "Numeric Result/Finding in Standard Units", "float", origin="Predecessor"),
    V("PCSTRESU", "Standard Units", codelist="UNIT", origin="Predecessor"),
    V("PCSTAT", "Completion Status", codelist="ND", origin="Predecessor"),
    V("PCREASND", "Reason Not Done", origin="Predecessor"),
    V("PCSPEC", "Specimen Material Type", codelist="SPECTYPE", origin="Predecessor"),
    V("PCMETHOD", "Method of Test or Examination", codelist="METHOD", origin="Predecessor"),
    V("PCLLOQ", "Lower Limit of Quantitation", "float", origin="Predecessor"),
    V("VISIT", "Visit Name", origin="Predecessor"),
    V("PCDTC", "Date/Time of Specimen Collection", "iso", origin="Predecessor"),
    V("PCDY", "Actual Study Day of Specimen Collection", "integer", origin="Predecessor"),
))  # fmt: skip


def concentrations(cells: CdiscDataset) -> CdiscDataset:
    """PC: the records of CP that profiles are made of, one a sample."""
    copied = ("GRPID", "REFID", "ORRES", "ORRESU", "STRESC", "STRESN", "STRESU", "STAT", "REASND", "SPEC", "METHOD",
              "LLOQ", "DTC", "DY")  # fmt: skip
    records = [
        {"STUDYID": r["STUDYID"], "DOMAIN": "PC", "USUBJID": r["USUBJID"], "PCTESTCD": "CARNK",
         "PCTEST": "CAR+ NK Cells", "VISIT": r["VISIT"]} | {f"PC{name}": r[f"CP{name}"] for name in copied}
        for r in cells.records()
        if r["CPGRPID"]
    ]  # fmt: skip
    return dataset(_PC, numbered(records, "PCSEQ"))
