"""SDTM of pharmacokinetics: PP, one record a parameter, and RELREC, which leads from PP to the concentrations in CP."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cytomrd.trial.car_concentration import CELLS_PER_UL
from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.sdtm_cells import CELLS_UNIT, group_id
from cytomrd.trial.cdisc.sdtm_subjects import identified
from cytomrd.trial.cdisc.terms import paired_name
from cytomrd.trial.cdisc.values import STANDARD, iso, known, number_text, numbered, text
from cytomrd.trial.nca.analysis import HORIZON_D
from cytomrd.trial.nca.parameters import PARAMETERS, parameter_values
from cytomrd.trial.pharmacokinetics import SubjectProfile
from cytomrd.trial.study import Study

__all__ = ["parameter_unit", "pk_parameters", "related_records"]

V = Variable
# Units that PKUNIT does not have: the sponsor's, as that list may be extended.
_OWN_UNITS = (CELLS_UNIT, *(f"{unit}*day{power}" for unit in (CELLS_UNIT, "%") for power in ("", "^2")))
_SHAPE = CdiscDataset("PP", "Pharmacokinetics Parameters", "SDTM", "FINDINGS", "One record per parameter", (
    *STANDARD,
    V("PPSEQ", "Sequence Number", "integer", key=3, origin="Derived", comment="By matrix", required=True),
    V("PPGRPID", "Group ID", origin="Assigned", comment="The profile; CP.CPGRPID names its samples (RELREC)"),
    V("PPTESTCD", "Parameter Short Name", codelist="PKPARMCD", origin="Assigned", required=True),
    V("PPTEST", "Parameter Name", codelist="PKPARM", origin="Assigned", required=True),
    V("PPCAT", "Parameter Category", terms=("CAR+ NK CELLS",), origin="Assigned"),
    V("PPORRES", "Result or Finding in Original Units", origin="Derived",
      comment="Linear-up/log-down trapezoids on actual times; each parameter's rule is in the listing"),
    V("PPORRESU", "Original Units", codelist="PKUNIT", terms=_OWN_UNITS, origin="Assigned"),
    V("PPSTRESC", "Character Result/Finding in Std Format", origin="Derived", comment="As PPORRES"),
    V("PPSTRESN", "Numeric Result/Finding in Standard Units", "float", origin="Derived", comment="As PPORRES"),
    V("PPSTRESU", "Standard Units", codelist="PKUNIT", terms=_OWN_UNITS, origin="Assigned"),
    V("PPSTAT", "Completion Status", codelist="ND", origin="Assigned"),
    V("PPREASND", "Reason Not Done", origin="Derived", comment="Flags of the profile"),
    V("PPSPEC", "Specimen Material Type", codelist="SPECTYPE", origin="Assigned"),
    V("PPRFTDTC", "Date/Time of Reference Point", "iso", origin="Derived", comment="Start of the first infusion"),
    V("PPSTINT", "Planned Start of Assessment Interval", terms=("P0D",), origin="Assigned"),
    V("PPENINT", "Planned End of Assessment Interval", origin="Assigned"),
))  # fmt: skip


def parameter_unit(kind: str, unit: str) -> str | None:
    """CDISC unit of a parameter of a profile in ``unit`` (``cells/uL`` or a percentage)."""
    concentration = CELLS_UNIT if unit == CELLS_PER_UL else "%"
    return {
        "concentration": concentration, "time": "day", "area": f"{concentration}*day",
        "moment": f"{concentration}*day^2", "rate": "/day", "percent": "%",
    }.get(kind)  # fmt: skip


def pk_parameters(study: Study, profiles: Sequence[SubjectProfile]) -> CdiscDataset:
    """PP of every profile."""
    return dataset(_SHAPE, numbered((r for p in profiles for r in _records(study, p)), "PPSEQ"))


def _records(study: Study, profile: SubjectProfile) -> Iterator[dict[str, Any]]:
    if profile.result is None:
        return
    unit = profile.unit
    values = parameter_values(profile.result)
    horizon = f"P{HORIZON_D:g}D"
    for name, parameter in PARAMETERS.items():
        if not parameter.code or name not in values:
            continue
        value = values[name]
        measured = parameter_unit(parameter.kind, unit)
        record = identified(study, "PP", profile.usubjid) | {
            "PPGRPID": group_id(profile.matrix), "PPTESTCD": parameter.code,
            "PPTEST": paired_name("PKPARMCD", "PKPARM", parameter.code),
            "PPCAT": "CAR+ NK CELLS", "PPSPEC": profile.matrix,
            "PPRFTDTC": iso(study.first_infusion[profile.usubjid]),
        }  # fmt: skip
        if parameter.code == "AUCINT":
            record |= {"PPSTINT": "P0D", "PPENINT": horizon}
        if known(value):
            shown = number_text(value)
            yield record | {
                "PPORRES": shown, "PPORRESU": measured, "PPSTRESC": shown, "PPSTRESN": float(value),
                "PPSTRESU": measured,
            }  # fmt: skip
        else:
            reason = text("; ".join(profile.result.flags)) or "NOT CALCULATED"
            yield record | {"PPSTAT": "NOT DONE", "PPREASND": reason}


_RELATED = CdiscDataset("RELREC", "Related Records", "SDTM", "RELATIONSHIP", "One record per group of records", (
    V("STUDYID", "Study Identifier", key=1, origin="Assigned", required=True),
    V("RDOMAIN", "Related Domain Abbreviation", key=4, origin="Assigned", required=True),
    V("USUBJID", "Unique Subject Identifier", key=2, origin="Assigned", required=True),
    V("IDVAR", "Identifying Variable", origin="Assigned", required=True),
    V("IDVARVAL", "Identifying Variable Value", origin="Assigned", required=True),
    V("RELTYPE", "Relationship Type", terms=("ONE", "MANY"), origin="Assigned"),
    V("RELID", "Relationship Identifier", key=3, origin="Assigned", required=True),
))  # fmt: skip


def related_records(study: Study, parameters: CdiscDataset, cells: CdiscDataset) -> CdiscDataset:
    """RELREC: the samples (CP) and the parameters (PP) of each subject's profile."""
    profiles = sorted({(r["USUBJID"], r["PPGRPID"]) for r in parameters.records()})
    sampled = {(r["USUBJID"], r["CPGRPID"]) for r in cells.records()}
    records = [
        {"STUDYID": study.settings.id, "RDOMAIN": domain, "USUBJID": subject, "IDVAR": f"{domain}GRPID",
         "IDVARVAL": group, "RELID": group}
        for subject, group in profiles
        if (subject, group) in sampled
        for domain in ("CP", "PP")
    ]  # fmt: skip
    return dataset(_RELATED, records)
