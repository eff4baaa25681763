"""S6, S7 and S11: clonal plasma cells in marrow by flow, MRD-negative subjects, and how long they stay negative."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date as Date

import pandas as pd

from cytomrd.trial.groups import dose_groups, interval_name, level_name, rate_cells
from cytomrd.trial.response.from_study import SubjectResponse, study_responses
from cytomrd.trial.response.mrd import (
    IMAGE_WINDOW_D,
    MARROW_WINDOW_D,
    SUSTAINED_D,
    MrdCategory,
    complete_response_spans,
    mrd_category,
)
from cytomrd.trial.study import Study
from cytomrd.trial.study_endpoints import SENSITIVITY, evaluable_marrows, study_endpoints
from cytomrd.trial.survival_tables import survival_table
from cytomrd.trial.table import TrialTable

__all__ = ["marrow_tables", "mrd_duration_tables", "mrd_rate_tables"]

# A date, and whether the marrow was negative.
Marrow = tuple[Date, bool]
# What each rate counts: the column of MrdCategory, in words.
CATEGORIES = {
    "negative": "MRD negative, any response",
    "flow_negative": "MRD negative in CR or better",
    "imaging_plus": "MRD negative in CR or better, and PET negative",
    "sustained": "sustained: marrow and PET negative at least a year apart",
}


def marrow_tables(study: Study) -> tuple[TrialTable, ...]:
    """Clonal plasma cells of every marrow with the change from baseline, and by visit."""
    marrows = _marrows(study)
    notes = (
        "Counts come from the gated runs. Baseline is the last evaluable marrow on or before the first infusion.",
        "Log10 change needs clonal cells in both marrows. A marrow below the limit of detection stays as counted; its "
        "status and the limit of that sample stand beside it.",
    )
    return (
        TrialTable(
            id="s6_clonal_plasma_cells",
            title="Clonal plasma cells in marrow by flow cytometry, per sample",
            data=marrows,
            notes=notes,
            footnotes=tuple(
                f"{r.USUBJID}, {r.VISIT} ({r.sample_id}): {r.flags}" for r in marrows.itertuples() if r.flags
            ),
            listing=_marrow_listing(study),
        ),
        TrialTable(
            id="s6_clonal_plasma_cells_by_visit",
            title="Clonal plasma cells in marrow, % of nucleated cells, by dose level and visit",
            data=_by_visit(study, marrows),
            notes=("Median and range over the evaluable marrows.", *notes),
        ),
    )


def _marrows(study: Study) -> pd.DataFrame:
    """Every marrow with its change from the subject's baseline."""
    rows = study.flow_mrd[study.flow_mrd["MATRIX"] == "BONE MARROW"]
    baseline: dict[str, dict] = {}
    for row in rows.to_dict("records"):
        if row["time_d"] <= 0 and row["status"] != "NOT_EVALUABLE":
            baseline[row["USUBJID"]] = row
    shown = []
    for row in rows.to_dict("records"):
        before = baseline.get(row["USUBJID"])
        now, then = _percent(row["mrd_fraction"]), None if before is None else _percent(before["mrd_fraction"])
        later = row["time_d"] > 0 and now is not None and then is not None
        shown.append(
            {
                "USUBJID": row["USUBJID"],
                "dose_level": level_name(study.dose_level[row["USUBJID"]]),
                "VISIT": row["VISIT"],
                "planned_day": row["PLANNED_DAY"],
                "time_d": row["time_d"],
                "sample_id": row["sample_id"],
                "n_nucleated": row["n_nucleated"],
                "n_plasma_cells": row["n_plasma_cells"],
                "n_clonal_pc": row["n_clonal_pc"],
                "clonal_percent": now,
                "ci_low_percent": _percent(row["ci_low"]),
                "ci_high_percent": _percent(row["ci_high"]),
                "lod_percent": _percent(row["lod"]),
                "status": row["status"],
                "change_percent_points": now - then if later else None,
                "log10_change": math.log10(now / then) if later and now > 0 and then > 0 else None,
                "flags": row["flags"] or "",
            }
        )
    columns = None if shown else ["USUBJID", "dose_level", "VISIT", "clonal_percent", "status", "flags"]
    return pd.DataFrame(shown, columns=columns)


def _percent(share: float) -> float | None:
    return None if pd.isna(share) else 100 * float(share)


def _marrow_listing(study: Study) -> pd.DataFrame:
    rows = study.flow_mrd[study.flow_mrd["MATRIX"] == "BONE MARROW"]
    return pd.DataFrame(
        [
            {
                "USUBJID": row["USUBJID"],
                "quantity": f"clonal plasma cells at {row['VISIT']}",
                "value": row["mrd_fraction"],
                "unit": "fraction of nucleated cells",
                "rule": "n_clonal_pc / n_nucleated",
                "inputs": f"{row['run']}/results/mrd.csv row {row['row']}: "
                f"{row['n_clonal_pc']} / {row['n_nucleated']}, {row['panel']} {row['panel_version']}",
                "flags": row["flags"] or "",
            }
            for row in rows.to_dict("records")
        ]
    )


def _by_visit(study: Study, marrows: pd.DataFrame) -> pd.DataFrame:
    if marrows.empty:
        return pd.DataFrame(columns=["dose_level", "VISIT", "n"])
    visits = marrows.sort_values("planned_day", kind="stable").drop_duplicates("VISIT")
    rows = []
    for name, subjects in dose_groups(study, study.treated).items():
        for visit in visits["VISIT"]:
            own = marrows[marrows["USUBJID"].isin(subjects) & (marrows["VISIT"] == visit)]
            used = own[own["status"] != "NOT_EVALUABLE"]
            row = {"dose_level": name, "VISIT": visit, "n": len(own), "n_not_evaluable": len(own) - len(used),
                   "n_negative": int((used["status"] == "NEGATIVE").sum())}  # fmt: skip
            for column in ("clonal_percent", "log10_change"):
                values = used[column].dropna().astype(float)
                row |= {f"{column}_{how}": None if values.empty else float(getattr(values, how)())
                        for how in ("median", "min", "max")}  # fmt: skip
            rows.append(row)
    return pd.DataFrame(rows)


def mrd_rate_tables(study: Study) -> tuple[TrialTable, ...]:
    """MRD-negative subjects over treated and over evaluable."""
    responses = study_responses(study)
    all_marrows = evaluable_marrows(study)
    marrows = {who.subject: _before_the_end(who, all_marrows.get(who.subject, ())) for who in responses}
    found = {who.subject: _category(study, who, marrows[who.subject]) for who in responses}
    confidence = study.settings.choices.confidence
    rows = []
    for name, subjects in dose_groups(study, found).items():
        for population in ("treated", "evaluable"):
            own = [s for s in subjects if population == "treated" or marrows[s]]
            for category, words in CATEGORIES.items():
                n = sum(getattr(found[s], category) is not None for s in own)
                row = {"dose_level": name, "population": population, "category": words}
                rows.append(row | rate_cells(n, len(own), confidence))
    listing = [
        {"USUBJID": subject, "quantity": words, "value": getattr(category, name) is not None,
         "date": "" if getattr(category, name) is None else getattr(category, name).isoformat(),
         "rule": "first marrow that meets it",
         "inputs": "; ".join(f"{d} {'negative' if n else 'positive'}" for d, n in marrows[subject]),
         "flags": "" if marrows[subject] else "NO_EVALUABLE_MARROW"}
        for subject, category in found.items()
        for name, words in CATEGORIES.items()
    ]  # fmt: skip
    return (
        TrialTable(
            id="s7_mrd_negative",
            title="Subjects negative for minimal residual disease by flow cytometry, by dose level",
            data=pd.DataFrame(rows),
            notes=(
                f"Negative: status NEGATIVE at a limit of detection of {SENSITIVITY:g} or better. A marrow that could "
                "not show this is not evaluable, which counts as not negative over all treated.",
                f"{interval_name(confidence)} is exact (Clopper-Pearson). Evaluable: at least one evaluable marrow "
                "after the first infusion.",
                f"In CR or better: from {MARROW_WINDOW_D} days before the first confirmed CR until relapse from it or "
                f"progression. PET within {IMAGE_WINDOW_D} days of the marrow; sustained: {SUSTAINED_D} days apart, "
                "nothing positive between. Flow alone never gives the last two.",
                "Marrows after a new therapy or confirmed progression are left out.",
            ),
            listing=pd.DataFrame(listing),
        ),
    )


def _before_the_end(who: SubjectResponse, marrows: Iterable[Marrow]) -> list[Marrow]:
    """Marrows until progression or a new therapy."""
    ends = [d for d in (who.new_therapy, who.response.pd_date) if d is not None]
    return [m for m in marrows if all(m[0] <= end for end in ends)]


def _category(study: Study, who: SubjectResponse, marrows: Iterable[Marrow]) -> MrdCategory:
    response = who.response
    end = response.pd_date
    if response.cr_relapse_index is not None:
        relapse = response.visits[response.cr_relapse_index].date
        end = relapse if end is None else min(end, relapse)
    spans = complete_response_spans([v.date for v in response.visits], response.confirmed, end)
    rows = study.imaging[(study.imaging["USUBJID"] == who.subject) & study.imaging["IMDTC"].notna()]
    pets = [(r["IMDTC"].date(), r["PET_NEG"] == "Y") for r in rows.to_dict("records") if r["PET_NEG"] in ("Y", "N")]
    return mrd_category(marrows, pets, complete=spans)


def mrd_duration_tables(study: Study) -> tuple[TrialTable, ...]:
    """Duration of MRD negativity."""
    return (
        survival_table(
            study,
            study_endpoints(study)["MRDNEG"],
            ("s11_duration_of_mrd_negativity", "Duration of MRD negativity"),
            notes=(
                "Subjects with a negative marrow, from the first to a positive one, confirmed progression or death; "
                "censored at the last negative marrow, and before a new therapy.",
            ),
        ),
    )
