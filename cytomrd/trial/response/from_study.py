"""From the tables of a study to one course of assessments per subject."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date as Date

import pandas as pd

from cytomrd.errors import QuantificationError
from cytomrd.trial.response.assessment import Assessment
from cytomrd.trial.response.examinations import Examination, marrow_examinations, other_examinations
from cytomrd.trial.response.laboratory import assessment_of_labs, baseline_labs, grouped_labs
from cytomrd.trial.response.respond import Response, respond
from cytomrd.trial.study import Study

__all__ = ["SubjectResponse", "study_responses"]

# An examination without an assessment of its own visit joins the nearest one within this many days.
JOIN_DAYS = 14
# One of these in the cause of death makes it a death of progression.
PROGRESSION_WORDS = ("progressive disease", "disease progression", "progression of", "myeloma", "plasma cell leuk")


@dataclass(frozen=True)
class SubjectResponse:
    """A treated subject's course: what was found, and what it was judged to be.

    ``start`` is the day of the first infusion; ``assessments`` are those that ``response`` judged, in order.
    """

    subject: str
    dose_level: float
    disease: str
    start: Date
    baseline: Assessment
    assessments: tuple[Assessment, ...]
    response: Response
    new_therapy: Date | None
    death: Date | None
    last_alive: Date | None

    @property
    def evaluable(self) -> bool:
        """Whether disease was measurable at baseline and judged at least once after it."""
        return bool(self.response.measurable) and any(level != "NE" for level in self.response.levels)

    @property
    def adequate_dates(self) -> tuple[Date, ...]:
        """Dates of the assessments that could be judged."""
        return tuple(v.date for v in self.response.visits if v.level != "NE")


def study_responses(study: Study) -> tuple[SubjectResponse, ...]:
    """The response of every treated subject, in the order of subjects.csv."""
    by_subject = {
        name: dict(tuple(getattr(study, name).groupby("USUBJID")))
        for name in ("resp_labs", "marrow", "imaging", "flow_mrd")
    }
    subjects = study.subjects.drop_duplicates("USUBJID").set_index("USUBJID")
    found = []
    for subject in study.treated:
        own = {name: tables.get(subject, getattr(study, name).iloc[:0]) for name, tables in by_subject.items()}
        try:
            found.append(_subject_response(study, subjects.loc[subject], own))
        except QuantificationError as error:
            error.add_note(f"response of subject {subject}")
            raise
    return tuple(found)


def _subject_response(study: Study, who: pd.Series, own: dict[str, pd.DataFrame]) -> SubjectResponse:
    subject, settings = str(who.name), study.settings.response
    start = study.first_infusion[subject]
    labs = own["resp_labs"]
    examinations = [*marrow_examinations(own["marrow"]), *other_examinations(own["imaging"], own["flow_mrd"])]
    before = [e for e in examinations if e.moment <= start]
    baseline = assessment_of_labs(baseline_labs(labs, start), who, settings).updated(_last_of_each(before))
    groups = grouped_labs(labs[labs["LBDTC"] > start])
    after = [e for e in examinations if e.moment > start]
    assessments = _joined([assessment_of_labs(group, who, settings) for group in groups], after)
    new_therapy = _first_date(study.therapy, subject, "NACTDT")
    death = _first_date(study.followup, subject, "DTHDT")
    response = respond(
        baseline.updated({"date": None}),
        assessments,
        criteria=settings.criteria_of(who["DX"]),
        new_therapy=new_therapy,
        died_of_progression=_died_of_progression(study, subject, death, new_therapy),
    )
    return SubjectResponse(
        subject=subject,
        dose_level=float(who["COHORT"]),
        disease=who["DX"],
        start=start.date(),
        baseline=baseline,
        assessments=tuple(sorted(assessments, key=lambda a: a.date)[: len(response.visits)]),
        response=response,
        new_therapy=new_therapy,
        death=death,
        last_alive=_first_date(study.followup, subject, "LSTALVDT", last=True),
    )


def _last_of_each(examinations: list[Examination]) -> dict[str, object]:
    """The latest value of each thing examined."""
    values: dict[str, object] = {}
    for examination in sorted(examinations, key=lambda e: e.moment):
        values |= examination.values
    return values


def _joined(assessments: list[Assessment], examinations: list[Examination]) -> list[Assessment]:
    """Assessments with the marrow and imaging that belong to them; an examination far from any stands alone.

    A new lesion keeps its own date, since that is the date of progression.
    """
    joined = {a.date: a for a in assessments}
    for examination in sorted(examinations, key=lambda e: e.moment):
        day = examination.moment.date()
        place = day if examination.values.get("new_lesion") else _place(examination, list(joined.values()), day)
        at = joined.get(place) or Assessment(date=place, visit=examination.visit)
        # The first examination of a kind stands: a later one of the same visit is a new one, on its own day.
        if any(getattr(at, name) is not None for name in examination.values):
            place = day
            at = joined.get(day) or Assessment(date=day, visit=examination.visit)
        joined[place] = at.updated(examination.values)
    return [joined[day] for day in sorted(joined)]


def _place(examination: Examination, assessments: list[Assessment], day: Date) -> Date:
    """Date of the assessment that an examination belongs to; its own day where there is none."""
    near = [(abs((a.date - day).days), a) for a in assessments]
    same = [(gap, a) for gap, a in near if a.visit == examination.visit and gap <= 2 * JOIN_DAYS]
    candidates = same or [(gap, a) for gap, a in near if gap <= JOIN_DAYS]
    return min(candidates, key=lambda c: (c[0], c[1].date))[1].date if candidates else day


def _first_date(table: pd.DataFrame, subject: str, column: str, *, last: bool = False) -> Date | None:
    dates = table.loc[table["USUBJID"] == subject, column].dropna()
    return None if dates.empty else (dates.max() if last else dates.min()).date()


def _died_of_progression(study: Study, subject: str, death: Date | None, new_therapy: Date | None) -> bool:
    """Whether the subject died of progression; after a new therapy a death confirms nothing that was before it."""
    if death is None or (new_therapy is not None and new_therapy < death):
        return False
    causes = study.followup.loc[study.followup["USUBJID"] == subject, "DTHCAUS"]
    return any(word in cause.casefold() for cause in causes for word in PROGRESSION_WORDS)
