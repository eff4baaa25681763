"""Body weight (S4) and ECOG performance status (S12) against baseline."""

from __future__ import annotations

import pandas as pd

from cytomrd.trial.baseline import before_and_after
from cytomrd.trial.groups import dose_groups, level_name
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialTable

__all__ = ["ecog_tables", "loss_grade", "weight_tables"]

# CTCAE v5, weight loss: percent of the baseline weight from which a grade counts.
LOSS_GRADES = ((20.0, 3), (10.0, 2), (5.0, 1))
ECOG = (0, 1, 2, 3, 4, 5)


def loss_grade(change_percent: float) -> int:
    """CTCAE v5 grade of a weight loss: 5, 10 and 20 % begin grades 1, 2 and 3.

    Examples
    --------
    >>> from cytomrd.trial.vitals import loss_grade
    >>> [loss_grade(c) for c in (2, -4.9, -5, -10, -25)]
    [0, 0, 1, 2, 3]
    """
    loss = round(-change_percent, 9)  # 5 % of 70 kg is 5 %, whatever the rounding of binary numbers
    return next((grade for least, grade in LOSS_GRADES if loss >= least), 0)


def _measured(study: Study, test: str) -> pd.DataFrame:
    rows = study.vitals[(study.vitals["VSTESTCD"] == test) & study.vitals["VSSTRESN"].notna()]
    return rows[rows["USUBJID"].isin(study.treated)]


def weight_tables(study: Study) -> tuple[TrialTable, ...]:
    """S4: weight, change and loss grade by visit; summary by dose level and visit; worst grade."""
    baseline = study.subjects.set_index("USUBJID")["WEIGHT_BL"]
    rows, measured = [], _measured(study, "WEIGHT")
    for subject in study.treated:
        _, after = before_and_after(measured[measured["USUBJID"] == subject], "VSDTC", study.first_infusion[subject])
        for row in after.itertuples():
            change = row.VSSTRESN - baseline[subject]
            percent = 100 * change / baseline[subject]
            rows.append(
                {"USUBJID": subject, "dose_level": level_name(study.dose_level[subject]), "VISIT": row.VISIT,
                 "date": f"{row.VSDTC:%Y-%m-%d}", "baseline_kg": baseline[subject], "weight_kg": row.VSSTRESN,
                 "change_kg": change, "change_percent": percent, "loss_grade": loss_grade(percent), "row": row.row}
            )  # fmt: skip
    columns = ["USUBJID", "dose_level", "VISIT", "date", "baseline_kg", "weight_kg", "change_kg", "change_percent",
               "loss_grade", "row"]  # fmt: skip
    data = pd.DataFrame(rows, columns=columns)
    notes = (
        "Baseline is WEIGHT_BL of subjects.csv; row is that of vitals.csv.",
        "Loss grades by CTCAE v5: 1 from 5 %, 2 from 10 %, 3 from 20 % of the baseline weight.",
    )
    return (
        TrialTable("s4_weight", "Body weight by subject and visit", data, notes),
        _weight_summary(study, data),
        _worst_loss(study, data),
    )


def _weight_summary(study: Study, data: pd.DataFrame) -> TrialTable:
    rows = []
    visits = list(dict.fromkeys(data.sort_values("date", kind="stable")["VISIT"]))
    for level, subjects in dose_groups(study, study.treated).items():
        for visit in visits:
            own = data[(data["VISIT"] == visit) & data["USUBJID"].isin(subjects)]
            changes = own["change_percent"]
            rows.append(
                {"dose_level": level, "VISIT": visit, "n": len(own), "mean_kg": _or_none(own["weight_kg"].mean()),
                 "mean_change_percent": _or_none(changes.mean()), "sd_change_percent": _or_none(changes.std()),
                 "median_change_percent": _or_none(changes.median()), "minimum_change_percent": _or_none(changes.min()),
                 "maximum_change_percent": _or_none(changes.max())}
            )  # fmt: skip
    return TrialTable("s4_weight_by_visit", "Body weight: change from baseline by visit", pd.DataFrame(rows))


def _or_none(value: float) -> float | None:
    return None if pd.isna(value) else float(value)


def _worst_loss(study: Study, data: pd.DataFrame) -> TrialTable:
    worst = data.groupby("USUBJID")["loss_grade"].max()
    rows = []
    for level, subjects in dose_groups(study, study.treated).items():
        own = worst[worst.index.isin(subjects)]
        row = {"dose_level": level, "treated": len(subjects), "with_weight": len(own)}
        rows.append(row | {f"worst_grade_{g}": int((own == g).sum()) for g in (0, 1, 2, 3)})
    return TrialTable("s4_weight_loss", "Body weight: worst grade of loss", pd.DataFrame(rows))


def ecog_tables(study: Study) -> tuple[TrialTable, ...]:
    """S12: grade and change by visit, and the shift from baseline to the worst and the last grade."""
    rows, shifts, measured = [], [], _measured(study, "ECOG")
    for subject in study.treated:
        own = measured[measured["USUBJID"] == subject]
        before, after = before_and_after(own, "VSDTC", study.first_infusion[subject])
        start = None if before is None else int(before["VSSTRESN"])
        who = {"USUBJID": subject, "dose_level": level_name(study.dose_level[subject])}
        grades = [int(g) for g in after["VSSTRESN"]]
        for row in after.itertuples():
            change = None if start is None else int(row.VSSTRESN) - start
            rows.append(
                who | {"VISIT": row.VISIT, "date": f"{row.VSDTC:%Y-%m-%d}", "baseline": start,
                       "ecog": int(row.VSSTRESN), "change": change, "row": row.row}
            )  # fmt: skip
        shifts.append(
            who | {"baseline": start, "worst": max(grades, default=None), "last": grades[-1] if grades else None}
        )
    columns = ["USUBJID", "dose_level", "VISIT", "date", "baseline", "ecog", "change", "row"]
    data = pd.DataFrame(rows, columns=columns).astype({"baseline": "Int64", "change": "Int64"})
    notes = ("Baseline is the last grade at or before the first infusion; row is that of vitals.csv.",)
    return (
        TrialTable("s12_ecog", "ECOG performance status by subject and visit", data, notes),
        _shift_table(study, pd.DataFrame(shifts, columns=["USUBJID", "dose_level", "baseline", "worst", "last"])),
    )


def _shift_table(study: Study, shifts: pd.DataFrame) -> TrialTable:
    rows = []
    for to in ("worst", "last"):
        for level, subjects in dose_groups(study, study.treated).items():
            own = shifts[shifts["USUBJID"].isin(subjects)]
            for start in (*ECOG, None):
                at = own[own["baseline"].isna() if start is None else own["baseline"] == start]
                row = {"to": to, "dose_level": level, "baseline": "missing" if start is None else str(start)}
                row |= {f"to_{g}": int((at[to] == g).sum()) for g in ECOG}
                rows.append(row | {"to_missing": int(at[to].isna().sum()), "n": len(at)})
    data = pd.DataFrame(rows)
    notes = ("Subjects by their grade at baseline (rows) and their worst or last grade after it (columns).",)
    return TrialTable(
        "s12_ecog_shift", "ECOG performance status: shift from baseline", data[data["n"] > 0].reset_index(drop=True),
        notes, listing=shifts,
    )  # fmt: skip
