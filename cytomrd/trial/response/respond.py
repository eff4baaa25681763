"""The course of a subject: level by visit, what was confirmed, the best response, progression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date as Date
from itertools import pairwise

from cytomrd.errors import QuantificationError
from cytomrd.trial.response.assessment import Assessment, Parameter, measurable_parameters, read_assessment
from cytomrd.trial.response.criteria import LEVELS, ResponseCriteria, lower_level, read_criteria
from cytomrd.trial.response.levels import judge_level
from cytomrd.trial.response.progression import BIOCHEMICAL, find_progression
from cytomrd.trial.response.reasons import Reason

__all__ = ["RESPONDERS", "Response", "VisitResponse", "respond"]

# Levels that make a responder (ORR), best last.
RESPONDERS = ("PR", "VGPR", "CR", "sCR")
# A marrow or an image is not repeated to confirm what the next bloods confirm.
CARRIED = ("bm", "clonal_bm", "bm_flow_negative", "spd", "longest_diameter_mm")

When = Date | float
Judged = tuple[str, tuple[Reason, ...]]


@dataclass(frozen=True, slots=True)
class VisitResponse:
    """What one assessment was judged to be.

    ``level`` stands for the visit by itself, ``confirmed`` takes the next one into account; ``reasons`` says why.
    """

    date: When | None
    visit: str
    level: str
    confirmed: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Response:
    """The response of one subject.

    Attributes
    ----------
    visits
        One per assessment, in order of time; those after a new therapy are left out.
    measurable
        The parameters it was judged by.
    best_response
        Best confirmed level before progression; ``"PD"`` if progression came first, ``"NE"`` if nothing is evaluable.
    best_response_index
        Place in ``visits`` where it began.
    onset_index
        Where the first confirmed PR or better began.
    pd_visit_index
        Where confirmed progression began.
    cr_relapse_index
        Where signs of disease came back after a confirmed CR: not progression in itself, but the end of
        disease-free survival.
    criteria
        Identity of the criteria.
    """

    visits: tuple[VisitResponse, ...]
    measurable: tuple[Parameter, ...]
    best_response: str
    best_response_index: int | None
    onset_index: int | None
    pd_visit_index: int | None
    cr_relapse_index: int | None
    criteria: str

    @property
    def levels(self) -> tuple[str, ...]:
        """Level by visit."""
        return tuple(v.level for v in self.visits)

    @property
    def confirmed(self) -> tuple[str, ...]:
        """Confirmed level by visit."""
        return tuple(v.confirmed for v in self.visits)

    @property
    def reasons(self) -> tuple[tuple[Reason, ...], ...]:
        """Reasons by visit."""
        return tuple(v.reasons for v in self.visits)

    @property
    def pd_date(self) -> When | None:
        """Date of confirmed progression: the first of the two assessments."""
        return None if self.pd_visit_index is None else self.visits[self.pd_visit_index].date

    @property
    def onset_date(self) -> When | None:
        """Date of the first confirmed PR or better."""
        return None if self.onset_index is None else self.visits[self.onset_index].date

    def best_response_by(self, cutoff: When) -> str:
        """Best confirmed response that began on ``cutoff`` or before; its confirmation may come later."""
        until = sum(_known(v.date) <= cutoff for v in self.visits)
        return _best(self.confirmed[:until], self.pd_visit_index)[0]


def respond(
    baseline: Assessment | Mapping[str, object],
    visits: Iterable[Assessment | Mapping[str, object]],
    *,
    criteria: str | ResponseCriteria = "imwg-2016",
    new_therapy: When | None = None,
    died_of_progression: bool = False,
) -> Response:
    """Judge the response of one subject by IMWG 2016 or the criteria of plasma cell leukaemia.

    Parameters
    ----------
    baseline
        Assessment before treatment, or a mapping with the names of
        :class:`~cytomrd.trial.response.assessment.Assessment`: ``serum`` (g/L), ``urine`` (mg/24 h), ``iflc`` and
        ``uflc`` (mg/L), ``ratio_normal``, ``sife``, ``uife``, ``bm`` (%), ``spd`` (mm2)...
    visits
        Assessments after it. With ``date`` in each (a date or a day) their order does not matter; without any they
        count in the order given.
    criteria
        ``"imwg-2016"``, ``"pcl-imwg"``, or criteria with changed thresholds from
        :func:`~cytomrd.trial.response.criteria.read_criteria`.
    new_therapy
        Start of another therapy against myeloma: assessments after that date neither respond nor confirm.
    died_of_progression
        A death from progression after the last assessment confirms that assessment's progression.

    Raises
    ------
    QuantificationError
        If an assessment is impossible, or dates are missing or double.

    Examples
    --------
    >>> import cytomrd as cm
    >>> baseline = {"serum": 30, "urine": 0, "bm": 40, "sife": "POS", "uife": "NEG"}
    >>> found = cm.respond(baseline, [{"serum": 12, "urine": 0}, {"serum": 11, "urine": 0}, {"serum": 17, "urine": 0}])
    >>> found.levels, found.best_response
    (('PR', 'PR', 'PD'), 'PR')
    >>> print(found.visits[2].reasons[0].text)
    serum M protein 17 g/L: +6 g/L (+54.55 %) on the nadir 11; PD is at least +25 % and at least +5 g/L
    >>> print(found.pd_visit_index, found.visits[2].reasons[-1].text)
    None PD not confirmed by a second assessment
    """
    rules = criteria if isinstance(criteria, ResponseCriteria) else read_criteria(criteria)
    start = read_assessment(baseline)
    course = _Course(start, _in_order(start, visits, new_therapy), rules)
    judged = [course.judge(i) for i in range(len(course.visits))]
    levels = [level for level, _ in judged]
    confirmed, notes = [], []
    for i in range(len(levels)):
        level, note = course.confirm(
            i, judged[i], progressed="PD" in confirmed, died_of_progression=died_of_progression
        )
        confirmed.append(level)
        notes.append(note)
    progressed = next((i for i, level in enumerate(confirmed) if level == "PD"), None)
    best, best_at = _best(confirmed, progressed)
    before = confirmed[:progressed]
    return Response(
        visits=tuple(
            VisitResponse(a.date, a.visit, level, sure, (*reasons, note) if note else reasons)
            for a, (level, reasons), sure, note in zip(course.visits, judged, confirmed, notes, strict=True)
        ),
        measurable=course.measurable,
        best_response=best,
        best_response_index=best_at,
        onset_index=next((i for i, level in enumerate(before) if level in RESPONDERS), None),
        pd_visit_index=progressed,
        cr_relapse_index=_relapse_from_cr(course, levels, confirmed),
        criteria=rules.id,
    )


def _known(date: When | None) -> When:
    if date is None:
        raise QuantificationError("the assessments have no dates: give each a date to ask what was reached by one")
    return date


def _in_order(
    baseline: Assessment, visits: Iterable[Assessment | Mapping[str, object]], new_therapy: When | None
) -> tuple[Assessment, ...]:
    """Assessments by date, those after a new therapy left out."""
    found = [read_assessment(v) for v in visits]
    undated = [i for i, a in enumerate(found) if a.date is None]
    if undated:
        if len(undated) < len(found) or new_therapy is not None:
            raise QuantificationError(
                f"assessment {undated[0]} has no date: give all of them one, or none and no therapy"
            )
        return tuple(found)
    try:
        found.sort(key=lambda a: a.date)
        dates = [a.date for a in found]
        early = baseline.date is not None and dates and dates[0] <= baseline.date
        found = [a for a in found if new_therapy is None or a.date <= new_therapy]
    except TypeError:
        kinds = sorted(
            {type(d).__name__ for d in (baseline.date, new_therapy, *(a.date for a in found)) if d is not None}
        )
        raise QuantificationError(f"dates of kinds {', '.join(kinds)}: give all as dates, or all as days") from None
    double = next((d for d, e in pairwise(dates) if d == e), None)
    if double is not None:
        raise QuantificationError(f"two assessments on {double}: put what was found that day into one")
    if early:
        raise QuantificationError(f"assessment of {dates[0]}, baseline of {baseline.date}: leave out what is not later")
    return tuple(found)


class _Course:
    """Baseline and assessments in order, with the rules they are judged by."""

    def __init__(self, baseline: Assessment, visits: tuple[Assessment, ...], criteria: ResponseCriteria):
        self.baseline, self.visits, self.criteria = baseline, visits, criteria
        self.measurable = measurable_parameters(baseline, criteria)

    def judge(self, i: int, seen: Assessment | None = None) -> Judged:
        """Level of assessment ``i``, or of ``seen`` in its place."""
        now = seen or self.visits[i]
        options = {"criteria": self.criteria, "measurable": self.measurable}
        worse = find_progression(self.baseline, self.visits[:i], now, **options)
        return ("PD", worse) if worse else judge_level(self.baseline, now, **options)

    def next_level(self, i: int) -> tuple[int, str] | None:
        """The next assessment that can be evaluated and its level; marrow and imaging of ``i`` hold for it too."""
        for j in range(i + 1, len(self.visits)):
            carried = {n: getattr(self.visits[i], n) for n in CARRIED if getattr(self.visits[j], n) is None}
            level, _ = self.judge(j, replace(self.visits[j], **carried))
            if level != "NE":
                return j, level
        return None

    def confirm(
        self, i: int, judged: Judged, *, progressed: bool, died_of_progression: bool
    ) -> tuple[str, Reason | None]:
        """Confirmed level of assessment ``i`` and the reason where it differs from its level by itself.

        ``progressed`` says that progression was confirmed before, ``died_of_progression`` that the subject died of it.
        """
        level, reasons = judged
        if level in ("NE", "SD"):
            return level, None
        following = self.next_level(i)
        if level == "PD":
            alone = any(r.parameter not in BIOCHEMICAL for r in reasons)
            if alone or progressed or (following[1] == "PD" if following else died_of_progression):
                return "PD", None
            return "NE", Reason("", "NOT_CONFIRMED", "NE", "PD not confirmed by a second assessment")
        if following is None:
            return "SD", Reason("", "NOT_CONFIRMED", "SD", f"{level} not confirmed: no later assessment")
        if following[1] == "PD":
            return "SD", Reason("", "NOT_CONFIRMED", "SD", f"{level} not confirmed: the next assessment is PD")
        confirmed = lower_level(level, following[1])
        if confirmed == level:
            return level, None
        text = f"{level} not confirmed: the next assessment is {following[1]}"
        return confirmed, Reason("", "NOT_CONFIRMED", confirmed, text)


def _best(confirmed: Sequence[str], progressed: int | None) -> tuple[str, int | None]:
    """Best of the confirmed levels before progression, and where it began."""
    before = confirmed[:progressed]
    reached = [level for level in before if level != "NE"]
    if reached:
        best = max(reached, key=LEVELS.index)
        return best, before.index(best)
    return ("PD", progressed) if progressed is not None and progressed < len(confirmed) else ("NE", None)


def _relapse_from_cr(course: _Course, levels: Sequence[str], confirmed: Sequence[str]) -> int | None:
    start = next((i for i, level in enumerate(confirmed) if level in ("CR", "sCR")), None)
    if start is None:
        return None
    for i in range(start + 1, len(levels)):
        now = course.visits[i]
        marrow = now.bm is not None and now.bm >= course.criteria.cr_marrow_below_percent
        if "POS" in (now.sife, now.uife) or marrow or levels[i] == "PD":
            return i
    return None
