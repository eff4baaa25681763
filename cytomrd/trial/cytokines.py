"""Cytokines, CRP and granzyme B (S5): change and fold from baseline, peak, time of the peak, area."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from cytomrd.trial.baseline import before_and_after
from cytomrd.trial.groups import dose_groups, level_name
from cytomrd.trial.nca.analysis import HORIZON_D
from cytomrd.trial.nca.areas import areas, value_at
from cytomrd.trial.nca.statistics import summarise
from cytomrd.trial.study import Study
from cytomrd.trial.study.units import LAB_TESTS
from cytomrd.trial.table import TrialTable

__all__ = ["TESTS", "cytokine_courses", "cytokine_tables"]

TESTS = ("CRP", "INTLK6", "INTLK15", "GZMB")
NOTES = (
    "Baseline is the last value at or before the first infusion; a date without a time of day counts as midnight.",
    "A value below the limit (<x) counts as x / 2 and is marked BLQ.",
    "Fold is the value over the baseline. Spurious results are left out.",
)
OF_TIME = ("n", "n_missing", "median", "minimum", "maximum")
COURSE = [
    "USUBJID",
    "dose_level",
    "test",
    "unit",
    "VISIT",
    "time_d",
    "value",
    "BLQ",
    "baseline",
    "change",
    "fold",
    "row",
]
PARAMETERS = ["USUBJID", "dose_level", "test", "unit", "n", "baseline", "peak", "peak_time_d", "peak_change",
              "peak_fold", "auc_d", "auc_end_d", "flags"]  # fmt: skip


def cytokine_courses(study: Study) -> pd.DataFrame:
    """Every value of every treated subject in standard units, with its change and fold from baseline."""
    labs = study.resp_labs
    kept = labs["LBTESTCD"].isin(TESTS) & ~labs["SPURIOUS"].fillna(False).astype(bool)
    labs = labs[kept].assign(value=labs["LBSTRESN"].fillna(labs["LBLLOQ"] / 2))
    labs = labs[labs["value"].notna()]
    rows = []
    for subject in study.treated:
        for test in TESTS:
            own = labs[(labs["USUBJID"] == subject) & (labs["LBTESTCD"] == test)]
            before, _ = before_and_after(own, "LBDTC", study.first_infusion[subject])
            start = None if before is None else float(before["value"])
            times = study.time_d(own["USUBJID"], own["LBDTC"])
            rows += [
                {"USUBJID": subject, "dose_level": level_name(study.dose_level[subject]), "test": test,
                 "unit": LAB_TESTS[test].unit, "VISIT": row.VISIT, "time_d": time, "value": row.value, "BLQ": row.BLQ,
                 "baseline": start, "change": None if start is None else row.value - start,
                 "fold": row.value / start if start else None, "row": row.row}
                for row, time in sorted(zip(own.itertuples(), times, strict=True), key=lambda pair: pair[1])
            ]  # fmt: skip
    return pd.DataFrame(rows, columns=COURSE)


def cytokine_tables(study: Study) -> tuple[TrialTable, ...]:
    """S5: parameters by subject, their summaries by dose level, values by visit, and every value."""
    courses = cytokine_courses(study)
    parameters, listing = _parameters(courses)
    return (
        TrialTable(
            "s5_cytokine_parameters",
            "Cytokines, CRP and granzyme B by subject",
            parameters,
            notes=(
                *NOTES,
                "Peak: the highest value after the first infusion, the first of ties. AUC: linear, from the "
                f"baseline at 0 to day {HORIZON_D:g} (interpolated) or to the last sample before it (auc_end_d); none "
                "without a baseline.",
            ),
            listing=listing,
        ),
        _summary(study, parameters),
        _by_visit(study, courses),
        TrialTable("s5_cytokine_values", "Cytokines, CRP and granzyme B: every value", courses, notes=NOTES),
    )


def _parameters(courses: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, listing = [], []
    for (subject, level, test, unit), own in courses.groupby(["USUBJID", "dose_level", "test", "unit"], sort=False):
        after = own[own["time_d"] > 0]
        start = own["baseline"].iloc[0]
        row = {"USUBJID": subject, "dose_level": level, "test": test, "unit": unit, "n": len(after), "baseline": start}
        flags = [] if pd.notna(start) else ["NO_BASELINE"]
        flags += ["BLQ_HALF"] if own["BLQ"].any() else []
        if len(after):
            peak = after.loc[after["value"].idxmax()]
            area, end = _area(after, start)
            row |= {"peak": peak["value"], "peak_time_d": peak["time_d"], "peak_change": peak["change"],
                    "peak_fold": peak["fold"], "auc_d": area, "auc_end_d": end}  # fmt: skip
            listing += _listed(row, peak, after, flags)
        else:
            flags.append("NO_SAMPLE_AFTER")
        rows.append(row | {"flags": ";".join(flags)})
    return pd.DataFrame(rows, columns=PARAMETERS), pd.DataFrame(listing)


def _listed(row: dict, peak: pd.Series, after: pd.DataFrame, flags: list[str]) -> list[dict[str, object]]:
    """How peak and area of one course came about."""
    who = {key: row[key] for key in ("USUBJID", "dose_level", "test")}
    at = f"resp_labs.csv row {peak['row']}"
    times = "; ".join(f"{v:.6g} at {t:.3g} d" for v, t in zip(after["value"], after["time_d"], strict=True))
    baseline = f"baseline {row['baseline']:.6g}" if pd.notna(row["baseline"]) else "no baseline"
    made = (
        ("peak", row["peak"], row["unit"], "highest value after the first infusion", at),
        ("time of the peak", row["peak_time_d"], "d", "actual days since the first infusion", at),
        ("fold at the peak", row["peak_fold"], "", "peak / baseline", f"{at}; {baseline}"),
        ("AUC", row["auc_d"], f"{row['unit']}*d", f"linear, to day {HORIZON_D:g}", f"{baseline}; {times}"),
    )
    return [
        who | {"quantity": name, "value": value, "unit": unit, "rule": rule, "inputs": inputs, "flags": ";".join(flags)}
        for name, value, unit, rule, inputs in made
    ]


def _area(after: pd.DataFrame, start: float) -> tuple[float | None, float | None]:
    """Linear area from the baseline at 0 to day 28 or the last sample before, and where it ends."""
    if pd.isna(start):
        return None, None
    times = np.concatenate([[0.0], after["time_d"].to_numpy(float)])
    values = np.concatenate([[float(start)], after["value"].to_numpy(float)])
    if times[-1] > HORIZON_D:
        edge = value_at(HORIZON_D, times, values, "linear")
        inside = times < HORIZON_D
        times, values = np.append(times[inside], HORIZON_D), np.append(values[inside], edge)
    return float(areas(times, values, "linear")[0].sum()), float(times[-1])


def _summary(study: Study, parameters: pd.DataFrame) -> TrialTable:
    rows = []
    for test in TESTS:
        for level, subjects in dose_groups(study, study.treated).items():
            own = parameters[(parameters["test"] == test) & parameters["USUBJID"].isin(subjects)]
            for name in ("baseline", "peak", "peak_time_d", "peak_fold", "auc_d"):
                if len(own):
                    who = {"test": test, "dose_level": level, "parameter": name}
                    rows.append(who | _summarised(list(own[name]), geometric=name != "peak_time_d"))
    return TrialTable(
        "s5_cytokine_summary",
        "Cytokines, CRP and granzyme B by dose level",
        pd.DataFrame(rows),
        notes=("Times are summarised by median and range. Quartiles: SAS definition 5.",),
    )


def _summarised(values: list[float], *, geometric: bool = True) -> dict[str, object]:
    made = asdict(summarise(values))
    made.pop("n_blq")
    if geometric:
        return made
    return {key: value if key in OF_TIME else None for key, value in made.items()}


def _by_visit(study: Study, courses: pd.DataFrame) -> TrialTable:
    rows = []
    order = courses.groupby("VISIT", sort=False)["time_d"].median().sort_values(kind="stable").index
    for test in TESTS:
        for level, subjects in dose_groups(study, study.treated).items():
            own = courses[(courses["test"] == test) & courses["USUBJID"].isin(subjects)]
            for visit in order:
                at = own[own["VISIT"] == visit]
                if len(at):
                    who = {"test": test, "dose_level": level, "VISIT": visit}
                    rows.append(who | _summarised(list(at["value"])) | {"median_fold": _median(at["fold"])})
    return TrialTable(
        "s5_cytokines_by_visit",
        "Cytokines, CRP and granzyme B by visit",
        pd.DataFrame(rows),
        notes=("All values of a visit. A value below the limit counts as half of it.",),
    )


def _median(values: pd.Series) -> float | None:
    given = pd.to_numeric(values, errors="coerce").dropna()
    return float(given.median()) if len(given) else None
