"""S9 and S14, with progression-free survival and the persistence of the cells: Kaplan-Meier tables by dose level."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cytomrd.trial.endpoints import DAYS_PER_MONTH, TimeToEvent
from cytomrd.trial.groups import dose_groups, interval_name, level_name, survival_rows, time_listing
from cytomrd.trial.study import Study
from cytomrd.trial.study_endpoints import study_endpoints
from cytomrd.trial.table import TrialTable

__all__ = ["duration_tables", "persistence_tables", "survival_table", "survival_tables"]

SURVIVAL_NOTES = (
    f"Days are ADT - STARTDT + 1, months days / {DAYS_PER_MONTH}. Median: the first time with survival below 0.5; "
    "where it is exactly 0.5, the midpoint with the next event. Follow-up: the same with censoring as the event.",
    "Limits by Greenwood's variance and the log-log transformation; empty where they are not reached, or where "
    "survival is 0. The share at a month is empty after the last subject left observation.",
)


def survival_tables(study: Study) -> tuple[TrialTable, ...]:
    """Overall and progression-free survival."""
    times = study_endpoints(study)
    return (
        survival_table(
            study,
            times["OS"],
            ("s9_overall_survival", "Overall survival"),
            notes=("From the first infusion to death from any cause; censored at the last day known alive.",),
        ),
        survival_table(
            study,
            times["PFS"],
            ("s9_progression_free_survival", "Progression-free survival"),
            notes=(
                "From the first infusion to confirmed progression or death from any cause.",
                *_censoring_notes(study),
            ),
        ),
    )


def duration_tables(study: Study) -> tuple[TrialTable, ...]:
    """Duration of response."""
    return (
        survival_table(
            study,
            study_endpoints(study)["DOR"],
            ("s14_duration_of_response", "Duration of response"),
            notes=(
                "Subjects with a confirmed PR or better, from its first assessment to confirmed progression or death.",
                *_censoring_notes(study),
            ),
        ),
    )


def persistence_tables(study: Study) -> tuple[TrialTable, ...]:
    """Persistence of CAR-NK cells in blood."""
    return (
        survival_table(
            study,
            study_endpoints(study)["PERSIST"],
            ("persistence_in_blood", "Persistence of CAR-NK cells in blood"),
            notes=(
                "Subjects with quantifiable CAR-NK cells in blood at least once, from the first infusion to the first "
                "of two or more consecutive samples below quantification after the last infusion; censored at the "
                "last quantifiable sample.",
            ),
        ),
    )


def _censoring_notes(study: Study) -> tuple[str, ...]:
    settings = study.settings.response
    planned = ", ".join(f"{day:g}" for day in settings.planned_days)
    return (
        "Censored at the last adequate assessment: without an event, before a new therapy, and before an event that "
        f"came after {settings.missed_visits} or more missed visits.",
        f"Planned assessments on days {planned} after the first infusion, within {settings.visit_window_d:g} days.",
    )


def survival_table(
    study: Study, times: Iterable[TimeToEvent], name: tuple[str, str], *, notes: tuple[str, ...]
) -> TrialTable:
    """The Kaplan-Meier table of one endpoint; ``name`` is its id and title, the listing has every subject."""
    times = tuple(times)
    confidence = study.settings.choices.confidence
    groups = dose_groups(study, [t.subject for t in times])

    def inputs(t: TimeToEvent) -> str:
        return f"dose level {level_name(study.dose_level[t.subject])}"

    return TrialTable(
        id=name[0],
        title=f"{name[1]}: Kaplan-Meier estimates by dose level, with {interval_name(confidence)}",
        data=pd.DataFrame(survival_rows(groups, times, confidence)),
        notes=(*notes, *SURVIVAL_NOTES),
        listing=pd.DataFrame(time_listing(times, inputs)),
    )
