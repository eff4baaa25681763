"""S10: overall response by dose level, and how each visit was judged."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pandas as pd

from cytomrd.trial.endpoints import DAYS_PER_MONTH
from cytomrd.trial.groups import dose_groups, interval_name, level_name, rate_cells
from cytomrd.trial.response.from_study import SubjectResponse, study_responses
from cytomrd.trial.response.respond import RESPONDERS
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialTable

__all__ = ["response_tables"]

SHOWN = ("sCR", "CR", "VGPR", "PR", "MR", "SD", "PD", "NE")


def response_tables(study: Study) -> tuple[TrialTable, ...]:
    """Best confirmed response and its rate by the cut-off and at any time; level by visit with its reasons."""
    responses = study_responses(study)
    return _rates(study, responses), _by_visit(study, responses)


def _cutoff_days(study: Study) -> int:
    """Days after the first infusion until which a response may begin, so that days / 30.4375 are the months asked."""
    return int(study.settings.choices.response_cutoff_months * DAYS_PER_MONTH) - 1


def _best(who: SubjectResponse, days: int | None) -> str:
    if days is None:
        return who.response.best_response
    return who.response.best_response_by(who.start + timedelta(days=days))


def _rates(study: Study, responses: tuple[SubjectResponse, ...]) -> TrialTable:
    months, days = study.settings.choices.response_cutoff_months, _cutoff_days(study)
    confidence = study.settings.choices.confidence
    by_subject = {who.subject: who for who in responses}
    rows = []
    for window, until in ((f"onset by {months:g} months", days), ("any time", None)):
        for name, subjects in dose_groups(study, by_subject).items():
            for population in ("treated", "evaluable"):
                own = [by_subject[s] for s in subjects if population == "treated" or by_subject[s].evaluable]
                best = Counter(_best(who, until) for who in own)
                rate = rate_cells(sum(best[level] for level in RESPONDERS), len(own), confidence)
                row = {"window": window, "dose_level": name, "population": population, "n": rate.pop("of")}
                row |= {level: best[level] for level in SHOWN}
                rows.append(row | {f"ORR_{key}": value for key, value in rate.items()})
    return TrialTable(
        id="s10_overall_response",
        title="Best confirmed response and overall response rate (ORR), by dose level",
        data=pd.DataFrame(rows),
        notes=(
            f"ORR is PR, VGPR, CR or sCR; {interval_name(confidence)} is exact (Clopper-Pearson).",
            f"By {months:g} months: a response whose first assessment is within {days} days after the day of the first "
            f"infusion, that is (date - start + 1) / {DAYS_PER_MONTH} of at most {months:g}; "
            "its confirmation may come later.",
            "Confirmed: the lower of two consecutive evaluable assessments before progression and before a new "
            "therapy; marrow and imaging are not repeated for it.",
            "Evaluable: disease measurable at baseline and at least one assessment that could be judged. Treated "
            "subjects who are not evaluable count as without response (NE).",
            *_criteria_notes(study, responses),
        ),
        listing=pd.DataFrame([_listed(who, days) for who in responses]),
    )


def _criteria_notes(study: Study, responses: tuple[SubjectResponse, ...]) -> tuple[str, ...]:
    notes = []
    for disease in sorted({who.disease for who in responses}):
        criteria = study.settings.response.criteria_of(disease)
        notes.append(
            f"{disease}: criteria {criteria.id} ({criteria.reference}); measurable from serum M protein "
            f"{criteria.measurable_serum_g_per_l:g} g/L, urine {criteria.measurable_urine_mg_per_24h:g} mg/24 h, "
            f"involved light chain {criteria.measurable_flc_mg_per_l:g} mg/L with an abnormal ratio, marrow "
            f"{criteria.measurable_marrow_percent:g} %. The nadir is the {criteria.nadir} value so far"
            f"{', spurious values left out' if criteria.nadir == 'lowest' else ''}."
        )
    if study.settings.response.thresholds:
        changed = ", ".join(f"{k} = {v}" for k, v in study.settings.response.thresholds.items())
        notes.append(f"Thresholds changed in study.toml: {changed}.")
    return tuple(notes)


def _listed(who: SubjectResponse, days: int) -> dict[str, object]:
    response = who.response
    at = response.best_response_index
    return {
        "USUBJID": who.subject,
        "quantity": "best confirmed response",
        "value": response.best_response,
        "value_by_cutoff": _best(who, days),
        "evaluable": who.evaluable,
        "measured_by": ", ".join(response.measurable),
        "best_response_date": None if at is None else response.visits[at].date.isoformat(),
        "onset_date": _iso(response.onset_date),
        "pd_date": _iso(response.pd_date),
        "new_therapy_date": _iso(who.new_therapy),
        "death_date": _iso(who.death),
        "rule": response.criteria,
        "inputs": " > ".join(f"{v.date.isoformat()} {v.level}" for v in response.visits),
        "flags": "" if response.measurable else "NOT_MEASURABLE",
    }


def _iso(day) -> str | None:
    return None if day is None else day.isoformat()


def _by_visit(study: Study, responses: tuple[SubjectResponse, ...]) -> TrialTable:
    rows, listing = [], []
    for who in responses:
        for found, seen in zip(who.response.visits, who.assessments, strict=True):
            day = (found.date - who.start).days
            rows.append(
                {
                    "USUBJID": who.subject,
                    "dose_level": level_name(who.dose_level),
                    "VISIT": found.visit,
                    "date": found.date.isoformat(),
                    "study_day": day + (day >= 0),
                    "level": found.level,
                    "confirmed": found.confirmed,
                    "serum_m_protein_g_per_l": seen.serum,
                    "urine_m_protein_mg_per_24h": seen.urine,
                    "dflc_mg_per_l": seen.dflc,
                    "marrow_plasma_cells_percent": seen.bm,
                    "plasmacytoma_spd_mm2": seen.spd,
                    "why": "; ".join(reason.text for reason in found.reasons),
                }
            )
            listing += [
                {
                    "USUBJID": who.subject,
                    "quantity": f"response at {found.visit}",
                    "date": found.date.isoformat(),
                    "value": reason.outcome,
                    "parameter": reason.parameter,
                    "rule": reason.rule,
                    "inputs": reason.text,
                    "flags": "" if found.level == found.confirmed else "NOT_CONFIRMED",
                }
                for reason in found.reasons
            ]
    columns = None if rows else ["USUBJID", "VISIT", "level", "confirmed", "why"]
    return TrialTable(
        id="s10_response_by_visit",
        title="Response by visit",
        data=pd.DataFrame(rows, columns=columns),
        notes=(
            "Level: the lowest that any measurable parameter allows; a measurable parameter that is missing makes the "
            "visit not evaluable (NE), a missing item of CR or VGPR costs one level.",
            "Confirmed: with the next evaluable assessment taken into account.",
            "Laboratory results of one visit within a week are one assessment, dated by the first; marrow and imaging "
            "join the assessment of their visit, else the nearest within two weeks, else they stand alone.",
            "Assessments after a new therapy are left out.",
            "Below its limit of quantification an M protein counts as 0, a light chain as the limit.",
        ),
        listing=pd.DataFrame(listing),
    )
