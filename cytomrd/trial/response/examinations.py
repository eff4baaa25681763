"""Marrow, imaging and flow cytometry of a subject as what they add to an assessment."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from cytomrd.trial.study.lab_checks import MIN_IHC_CELLS

__all__ = ["Examination", "marrow_examinations", "other_examinations"]

# What flow cytometry found, where it could find anything.
FLOW_NEGATIVE = {"NEGATIVE": True, "POSITIVE": False, "POSITIVE_BELOW_LLOQ": False}
FLOW_FIELD = {"BONE MARROW": "bm_flow_negative", "BLOOD": "blood_flow_negative"}


@dataclass(frozen=True)
class Examination:
    """One examination: when, at which visit, and the fields of an assessment that it fills."""

    moment: pd.Timestamp
    visit: str
    values: dict[str, object]


def marrow_examinations(marrow: pd.DataFrame) -> list[Examination]:
    """One a day: the larger count where aspirate and biopsy were taken; clonal if either showed it."""
    found = []
    rows = marrow[marrow["BMDTC"].notna()]
    for day, group in rows.groupby(rows["BMDTC"].dt.normalize()):
        values: dict[str, object] = {}
        if group["PC_PCT"].notna().any():
            values["bm"] = float(group["PC_PCT"].max())
        # Too few cells cannot show that there is no clone.
        few = (group["IHC_PC_COUNTED"] < MIN_IHC_CELLS).fillna(False)
        said = set(group["CLONAL_IHC"].mask(few & (group["CLONAL_IHC"] == "ABSENT"), "NE")) - {""}
        if said:
            values["clonal_bm"] = next(word for word in ("PRESENT", "ABSENT", "NE") if word in said)
        if values:
            found.append(Examination(day, group["VISIT"].iloc[0], values))
    return found


def other_examinations(imaging: pd.DataFrame, flow: pd.DataFrame) -> list[Examination]:
    """Imaging (one a day, its modalities together) and MRD by flow."""
    found = []
    rows = imaging[imaging["IMDTC"].notna()]
    for day, group in rows.groupby(rows["IMDTC"].dt.normalize()):
        values: dict[str, object] = {}
        for column, name in (("SPD_MM2", "spd"), ("LDIAM_MM", "longest_diameter_mm")):
            if group[column].notna().any():
                values[name] = float(group[column].max())
        said = set(group["NEW_LESION"])
        if said & {"Y", "N"}:
            values["new_lesion"] = "Y" in said
        if values:
            found.append(Examination(day, group["VISIT"].iloc[0], values))
    rows = flow[flow["status"].isin(FLOW_NEGATIVE) & flow["MATRIX"].isin(FLOW_FIELD) & flow["COLLDTC"].notna()]
    for (day, matrix), group in rows.groupby([rows["COLLDTC"].dt.normalize(), rows["MATRIX"]]):
        negative = all(FLOW_NEGATIVE[status] for status in group["status"])
        found.append(Examination(day, group["VISIT"].iloc[0], {FLOW_FIELD[matrix]: negative}))
    return found
