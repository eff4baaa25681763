"""CAR-NK cells in blood and marrow (S1-S3): profiles, their parameters, summaries, dose proportionality."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd

from cytomrd.trial.car_concentration import CELLS_PER_UL, with_concentrations
from cytomrd.trial.groups import dose_groups, level_name
from cytomrd.trial.nca import NcaResult, nca
from cytomrd.trial.nca.analysis import MAX_EXTRAPOLATED
from cytomrd.trial.nca.parameters import PARAMETERS, all_needs, parameter_values
from cytomrd.trial.nca.statistics import fit_power_model, summarise
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialTable

__all__ = ["SubjectProfile", "pk_tables", "profiles"]

MATRICES = ("BLOOD", "BONE MARROW")
BLQ = ("BELOW_LLOQ", "BELOW_LOD")
SUMMARISED = ("cmax", "tmax_d", "tlast_d", "auc_last", "auc_0_28d", "half_life_d", "cmax_dose_1", "cmax_dose_2",
              "auc_dose_1", "auc_dose_2")  # fmt: skip
PROPORTIONAL = ("cmax", "auc_0_28d")
OF_TIME = ("n", "n_missing", "n_blq", "median", "minimum", "maximum")

FLAG_WORDS = {
    "C0_IMPUTED_0": "no sample at or before the infusion: 0 assumed at time 0",
    "BASELINE_POSITIVE": "quantifiable before the first infusion",
    "MID_BLQ_DROPPED": "a BLQ between two quantifiable values of one dosing interval was dropped",
    "MID_BLQ_ZERO": "a BLQ between two quantifiable values of one dosing interval counts as 0",
    "TAIL_BLQ_DOSE_1": "BLQ before infusion 2: its first area ends with the last quantifiable value",
    "NO_PREDOSE_2": "no sample shortly before infusion 2: the areas of the infusions are not calculated",
    "OBSERVED_TAIL_BLQ": "BLQ was seen after Tlast: AUC 0-28 d ends at Tlast",
    "TAIL_NOT_EXTRAPOLATED": f"nothing was seen from Tlast to day 28, and the tail has no lambda z or is over "
    f"{MAX_EXTRAPOLATED:g} %: AUC 0-28 d is not calculated",
    "NO_LAMBDA_Z": "fewer than 3 falling points after the peak: no lambda z",
    "LAMBDA_Z_R2_LT_0.9": "R2 of lambda z is below 0.9",
    "LAMBDA_Z_SPAN_LT_2": "lambda z spans fewer than 2 half-lives",
    "EXTRAPOLATED_GT_20": "more than 20 % of AUC infinity is extrapolated",
    "ALL_BLQ": "all values are BLQ: Cmax and AUC are 0, times are not calculated; left out of geometric means",
    "NO_POSTDOSE": "no sample after the infusion",
}
NOTES = (
    "Times are actual days since the start of infusion 1; planned days only group the summaries by visit.",
    "The last value at or before infusion 1 stands at 0; without one, 0 is assumed and flagged.",
    "BLQ is 0 before the first and after the last quantifiable value of a dosing interval, and dropped between them.",
    "Areas are linear where the cells rise or a value is 0, logarithmic where they fall.",
    "AUC 0-28 d uses or interpolates the value at day 28; it ends at Tlast where BLQ was seen after it; where nothing "
    "was seen after it, Clast / lambda z (1 - exp(-lambda z (28 - Tlast))) is added if that is at most 20 %.",
    "lambda z: 3 or more points after Tmax and after the peak that follows the last infusion, best adjusted R2, most "
    "points within 1e-4 of it.",
    "Blood and marrow are never mixed. Concentrations are CAR+ NK cells/uL as the runs' car_nk.csv gives them; in a "
    "matrix without any cells/uL (a marrow without a volumetric instrument) they are percent of NK cells.",
)


@dataclass(frozen=True)
class SubjectProfile:
    """One subject's profile in blood or marrow.

    ``times_d`` are days since the first infusion; ``values`` are in ``unit`` (cells/uL, or % of NK cells where the
    matrix has no volume), 0 where below the limit; ``samples`` are the specimens' names; ``left_out`` says which
    samples have no concentration, and why.
    """

    usubjid: str
    dose_level: float
    matrix: str
    samples: tuple[str, ...]
    times_d: tuple[float, ...]
    values: tuple[float, ...]
    infusions_d: tuple[float, ...]
    left_out: tuple[str, ...]
    result: NcaResult | None
    unit: str = CELLS_PER_UL


def profiles(study: Study) -> tuple[SubjectProfile, ...]:
    """The profiles of all treated subjects, in the order of subjects.csv, blood before marrow."""
    made = []
    flow = with_concentrations(study.flow_car_nk)
    for subject in study.treated:
        for matrix in MATRICES:
            rows = flow[(flow["USUBJID"] == subject) & (flow["MATRIX"] == matrix)].sort_values("time_d")
            if len(rows):
                made.append(_profile(study, subject, matrix, rows))
    return tuple(made)


def _profile(study: Study, subject: str, matrix: str, rows: pd.DataFrame) -> SubjectProfile:
    used, left_out = [], []
    for row in rows.to_dict("records"):
        if row["status"] in BLQ:
            used.append((row["sample_id"], row["time_d"], 0.0))
        elif row["status"] == "QUANTIFIED" and pd.notna(row["concentration"]):
            used.append((row["sample_id"], row["time_d"], row["concentration"]))
        else:
            why = "no absolute count" if row["status"] == "QUANTIFIED" else row["status"].replace("_", " ").lower()
            left_out.append(f"{row['sample_id']}: {why}")
    infusions = (0.0, *_later_infusions(study, subject))
    samples, times, values = zip(*used, strict=True) if used else ((), (), ())
    choices = study.settings.choices
    result = None
    if used:
        result = nca(
            times,
            values,
            infusions_d=infusions,
            middle=choices.blq_middle,
            predose_window_d=choices.predose_window_d,
        )
    dose, unit = float(study.dose_level[subject]), str(rows["concentration_unit"].iloc[0])
    return SubjectProfile(subject, dose, matrix, samples, times, values, infusions, tuple(left_out), result, unit)


def _later_infusions(study: Study, subject: str) -> Iterable[float]:
    second = study.infusion(2)
    if subject in second.index:
        yield (second[subject] - study.first_infusion[subject]) / pd.Timedelta(days=1)


def pk_tables(study: Study) -> tuple[TrialTable, ...]:
    """Concentrations, parameters, their summaries by dose level, and dose proportionality."""
    made = profiles(study)
    return (
        _parameter_table(made),
        _summary_table(study, made),
        _visit_table(study),
        _proportionality_table(made),
        _concentration_table(study),
    )


def _parameter_table(made: tuple[SubjectProfile, ...]) -> TrialTable:
    rows, listing = [], []
    for profile in made:
        who = {"USUBJID": profile.usubjid, "dose_level": level_name(profile.dose_level), "matrix": profile.matrix}
        who["unit"] = profile.unit
        counts = {"n_samples": len(profile.values), "n_blq": sum(v == 0 for v in profile.values)}
        if profile.result is None:
            rows.append(who | counts | {"flags": "NO_CONCENTRATION"})
            continue
        values = parameter_values(profile.result)
        flags = ";".join(profile.result.flags)
        rows.append(who | counts | values | {"auc_0_28d_status": profile.result.auc_0_28d_status, "flags": flags})
        listing += [who | _listed(name, value, values, profile) for name, value in values.items()]
    data = pd.DataFrame(rows)
    if rows:
        data["flags"] = data.pop("flags")  # last, also where the first profile has nothing else
    seen = [flag for profile in made if profile.result for flag in profile.result.flags]
    footnotes = [f"{flag}: {FLAG_WORDS.get(flag, flag)}." for flag in dict.fromkeys(seen)]
    footnotes += [f"Left out of {p.usubjid}, {p.matrix.lower()}: {'; '.join(p.left_out)}." for p in made if p.left_out]
    return TrialTable(
        "s1_s3_pk_parameters",
        "CAR-NK cells: PK parameters by subject (concentrations in unit, times in days)",
        data,
        notes=NOTES,
        footnotes=tuple(footnotes),
        listing=pd.DataFrame(listing),
    )


def _listed(name: str, value: object, values: dict, profile: SubjectProfile) -> dict[str, object]:
    """How one number came about: its rule, what it was made from, and the flags of its profile."""
    base, _, dose = name.partition("_dose_")
    parameter = PARAMETERS[f"{base}_by_dose" if dose else name]
    inputs = [f"{need} {values[need]:.6g}" for need in all_needs(parameter.name) if values.get(need) is not None]
    inputs.append(f"{len(profile.values)} samples")
    if parameter.name in ("cmax", "tmax_d") and value is not None and profile.result.cmax:
        at = min(i for i, v in enumerate(profile.values) if v == profile.result.cmax)
        inputs = [f"sample {profile.samples[at]}"]
    return {
        "quantity": f"{parameter.label}{f' (infusion {dose})' if dose else ''}",
        "value": value,
        "unit": parameter.unit(profile.unit),
        "rule": parameter.rule if value is not None else f"not calculated; {parameter.rule}",
        "inputs": "; ".join(inputs),
        "flags": ";".join(profile.result.flags),
    }


def _summary_table(study: Study, made: tuple[SubjectProfile, ...]) -> TrialTable:
    rows = []
    groups = dose_groups(study, study.treated)
    for matrix in MATRICES:
        own = [p for p in made if p.matrix == matrix and p.result is not None]
        by_subject = {p.usubjid: parameter_values(p.result) for p in own}
        for level, subjects in groups.items():
            for name in SUMMARISED:
                parameter = PARAMETERS.get(name) or PARAMETERS[f"{name.partition('_dose_')[0]}_by_dose"]
                of_level = [by_subject[s].get(name) for s in subjects if s in by_subject]
                if not of_level:
                    continue
                values = asdict(summarise(of_level, confidence=study.settings.choices.confidence))
                if not parameter.geometric:
                    values = {key: value if key in OF_TIME else None for key, value in values.items()}
                who = {"matrix": matrix, "dose_level": level, "parameter": name, "unit": parameter.unit(own[0].unit)}
                rows.append(who | values)
    return TrialTable(
        "s1_s3_pk_summary",
        "CAR-NK cells: PK parameters by dose level",
        pd.DataFrame(rows),
        notes=(
            "n counts the values calculated, n_missing those that were not, n_blq profiles that are all BLQ (0).",
            "Profiles of 0 are left out of geometric statistics; geometric CV % = 100 sqrt(exp(s^2) - 1).",
            "Times are summarised by median and range. Quartiles: SAS definition 5.",
        ),
    )


def _visit_table(study: Study) -> TrialTable:
    rows = []
    flow = with_concentrations(study.flow_car_nk)
    flow = flow.assign(value=_values(flow))
    groups = dose_groups(study, study.treated)
    for matrix in MATRICES:
        own = flow[flow["MATRIX"] == matrix]
        for level, subjects in groups.items():
            of_level = own[own["USUBJID"].isin(subjects)]
            for (day, visit), cells in of_level.groupby(["PLANNED_DAY", "VISIT"], sort=True):
                values = asdict(summarise(list(cells["value"]), confidence=study.settings.choices.confidence))
                who = {"matrix": matrix, "unit": cells["concentration_unit"].iloc[0], "dose_level": level}
                rows.append(who | {"planned_day": day, "VISIT": visit} | values)
    return TrialTable(
        "s1_s3_pk_by_visit",
        "CAR-NK cells by planned visit",
        pd.DataFrame(rows),
        notes=("Grouped by the planned visit. BLQ counts as 0 in arithmetic and is left out of geometric statistics.",),
    )


def _values(flow: pd.DataFrame) -> pd.Series:
    """Concentrations with 0 for BLQ and NaN for not evaluable."""
    return flow["concentration"].where(flow["status"] == "QUANTIFIED").mask(flow["status"].isin(BLQ), 0.0)


def _proportionality_table(made: tuple[SubjectProfile, ...]) -> TrialTable:
    rows = []
    for matrix in MATRICES:
        own = [p for p in made if p.matrix == matrix and p.result is not None]
        for name in PROPORTIONAL:
            model = fit_power_model([p.dose_level for p in own], [getattr(p.result, name) for p in own])
            row = {"matrix": matrix, "parameter": name}
            rows.append(row | ({"n": len(own)} if model is None else asdict(model) | {"verdict": model.verdict}))
    return TrialTable(
        "s1_s3_dose_proportionality",
        "CAR-NK cells: dose proportionality",
        pd.DataFrame(rows),
        notes=(
            "Power model: ln(parameter) on ln(dose level), least squares, 90 % interval of the slope by Student's t; a "
            "slope of 1 is proportional. Profiles that are all BLQ or not calculated are left out.",
            "Proportional where the interval lies within 1 +- ln 2 / ln(highest / lowest dose) (Smith 2000).",
        ),
    )


def _concentration_table(study: Study) -> TrialTable:
    flow = with_concentrations(study.flow_car_nk)
    flow = flow.assign(value_used=_values(flow))
    columns = {
        "USUBJID": "USUBJID", "MATRIX": "matrix", "VISIT": "VISIT", "PLANNED_DAY": "planned_day", "time_d": "time_d",
        "sample_id": "sample_id", "concentration": "concentration", "concentration_low": "ci_low",
        "concentration_high": "ci_high", "concentration_lloq": "lloq", "concentration_unit": "unit",
        "status": "status", "value_used": "value_used",
        "method": "method", "flags": "flags", "run": "run", "row": "row",
    }  # fmt: skip
    return TrialTable(
        "s1_s3_concentrations",
        "CAR-NK cells: every sample",
        flow[list(columns)].rename(columns=columns),
        notes=("run and row say where in the run's car_nk.csv the value stands; value_used is 0 for BLQ.",),
    )
