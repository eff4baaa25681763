"""The endpoints of a study's subjects."""

from __future__ import annotations

from datetime import date as Date

import pandas as pd

from cytomrd.trial.endpoints import (
    Schedule,
    TimeToEvent,
    mrd_negative_duration,
    overall_survival,
    persistence,
    progression_free,
)
from cytomrd.trial.response.from_study import SubjectResponse, study_responses
from cytomrd.trial.study import Study

__all__ = ["SENSITIVITY", "evaluable_marrows", "study_endpoints"]

# A marrow must have been able to show one clonal cell in 100,000 to be negative.
SENSITIVITY = 1e-5

EVALUABLE = {"NEGATIVE": True, "POSITIVE": False, "POSITIVE_BELOW_LLOQ": False}
DETECTED = {"QUANTIFIED": True, "BELOW_LLOQ": False, "BELOW_LOD": False}


def study_endpoints(
    study: Study, responses: tuple[SubjectResponse, ...] | None = None
) -> dict[str, tuple[TimeToEvent, ...]]:
    """Times to event by endpoint: ``OS``, ``PFS``, ``DOR``, ``MRDNEG``, ``PERSIST``.

    Each holds the subjects who have a start: all treated for OS and PFS, responders for DOR, those with a negative
    marrow for MRDNEG, those with quantifiable CAR-NK cells in blood for PERSIST.
    """
    found: dict[str, list[TimeToEvent | None]] = {name: [] for name in ("OS", "PFS", "DOR", "MRDNEG", "PERSIST")}
    marrows, blood = evaluable_marrows(study), _blood_samples(study)
    for who in study_responses(study) if responses is None else responses:
        contacts = [a.date for a in who.assessments] + [d for d in (who.new_therapy,) if d is not None]
        alive = {"death": who.death, "last_alive": who.last_alive, "contacts": contacts}
        found["OS"].append(overall_survival(who.subject, who.start, **alive))
        found["PFS"].append(_progression_free(study, who, "PFS", who.start))
        if who.response.onset_date is not None:
            found["DOR"].append(_progression_free(study, who, "DOR", who.response.onset_date))
        ends = {"progression": who.response.pd_date, "death": who.death, "new_therapy": who.new_therapy}
        found["MRDNEG"].append(mrd_negative_duration(who.subject, marrows.get(who.subject, ()), **ends))
        last = max(study.infusion(n)[who.subject] for n in (1, 2) if who.subject in study.infusion(n).index).date()
        found["PERSIST"].append(persistence(who.subject, who.start, blood.get(who.subject, ()), last_infusion=last))
    return {name: tuple(t for t in times if t is not None) for name, times in found.items()}


def _progression_free(study: Study, who: SubjectResponse, endpoint: str, start: Date) -> TimeToEvent:
    settings = study.settings.response
    return progression_free(
        who.subject,
        start,
        adequate=who.adequate_dates,
        progression=who.response.pd_date,
        death=who.death,
        new_therapy=who.new_therapy,
        schedule=Schedule(who.start, settings.planned_days, settings.visit_window_d, settings.missed_visits),
        endpoint=endpoint,
    )


def evaluable_marrows(study: Study) -> dict[str, list[tuple[Date, bool]]]:
    """Marrows after the first infusion that could show MRD, by subject: date, and whether it was negative.

    Of several on one day, one positive makes the day positive.
    """
    rows = study.flow_mrd[(study.flow_mrd["MATRIX"] == "BONE MARROW") & (study.flow_mrd["time_d"] > 0)]
    rows = rows[(rows["status"] != "NEGATIVE") | (rows["lod"] <= SENSITIVITY)]
    return _by_subject(rows, EVALUABLE, all)


def _blood_samples(study: Study) -> dict[str, list[tuple[Date, bool]]]:
    rows = study.flow_car_nk[(study.flow_car_nk["MATRIX"] == "BLOOD") & (study.flow_car_nk["time_d"] > 0)]
    return _by_subject(rows, DETECTED, any)


def _by_subject(rows: pd.DataFrame, meaning: dict[str, bool], combine) -> dict[str, list[tuple[Date, bool]]]:
    found: dict[str, dict[Date, list[bool]]] = {}
    for row in rows[rows["status"].isin(meaning)].to_dict("records"):
        days = found.setdefault(row["USUBJID"], {})
        days.setdefault(row["COLLDTC"].date(), []).append(meaning[row["status"]])
    return {subject: [(day, combine(days[day])) for day in sorted(days)] for subject, days in found.items()}
