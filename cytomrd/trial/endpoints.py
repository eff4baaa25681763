"""Times to an event: from when, until when, whether it happened, and why it is an event or censored.

Days count both ends (ADT - STARTDT + 1, as in ADaM); a month is 30.4375 days.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date as Date
from datetime import timedelta
from itertools import pairwise

__all__ = [
    "DAYS_PER_MONTH",
    "Schedule",
    "TimeToEvent",
    "mrd_negative_duration",
    "overall_survival",
    "persistence",
    "progression_free",
]

DAYS_PER_MONTH = 30.4375


@dataclass(frozen=True, slots=True)
class TimeToEvent:
    """One subject's time to one endpoint; ``reason`` names the event, or why observation ended without it."""

    subject: str
    endpoint: str
    start: Date
    end: Date
    event: bool
    reason: str

    @property
    def days(self) -> int:
        """Days, both ends counted."""
        return (self.end - self.start).days + 1

    @property
    def months(self) -> float:
        """Months of 30.4375 days."""
        return self.days / DAYS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Schedule:
    """Planned assessments: days after the first infusion, the window around each, and how many may be missed."""

    first_infusion: Date
    planned_days: tuple[float, ...] = ()
    window_d: float = 7.0
    missed_visits: int = 2

    def missed(self, last: Date, event: Date) -> int:
        """Planned visits whose whole window lies between the last adequate assessment and the event."""
        window = timedelta(days=self.window_d)
        planned = (self.first_infusion + timedelta(days=d) for d in self.planned_days)
        return sum(last < day - window and day + window < event for day in planned)


def progression_free(
    subject: str,
    start: Date,
    *,
    adequate: Iterable[Date],
    progression: Date | None,
    death: Date | None,
    new_therapy: Date | None,
    schedule: Schedule,
    endpoint: str = "PFS",
) -> TimeToEvent:
    """Time from ``start`` to progression or death; with ``start`` at the onset of response the duration of response.

    Censored at the last adequate assessment where there is no event, where a new therapy came before it, or where as
    many planned visits as the schedule allows were missed before it. Without any adequate assessment that is
    ``start`` itself.
    """
    seen = sorted(d for d in adequate if d >= start and (new_therapy is None or d <= new_therapy))
    event, what = min(((d, w) for d, w in ((progression, "progression"), (death, "death")) if d), default=(None, ""))
    if event is not None and not (new_therapy is not None and new_therapy < event):
        before = [d for d in seen if d < event]
        last = before[-1] if before else start
        missed = schedule.missed(last, event)
        if missed < schedule.missed_visits:
            return TimeToEvent(subject, endpoint, start, event, True, what)
        reason = f"{what} on {event} after {missed} missed visits"
        return TimeToEvent(subject, endpoint, start, last, False, f"{reason}: last adequate assessment before")
    last = seen[-1] if seen else start
    reason = "last adequate assessment" if seen else "no adequate assessment: the start"
    if new_therapy is not None:
        reason = f"new therapy on {new_therapy}: {reason} before"
    return TimeToEvent(subject, endpoint, start, last, False, reason)


def overall_survival(
    subject: str, start: Date, *, death: Date | None, last_alive: Date | None, contacts: Iterable[Date] = ()
) -> TimeToEvent:
    """Time from the first infusion to death from any cause; else to the last day known alive, by record or contact."""
    if death is not None:
        return TimeToEvent(subject, "OS", start, death, True, "death")
    contact = max((d for d in contacts if d >= start), default=start)
    if last_alive is not None and last_alive >= contact:
        return TimeToEvent(subject, "OS", start, last_alive, False, "last known alive")
    return TimeToEvent(subject, "OS", start, contact, False, "last contact: no later day known alive was recorded")


def mrd_negative_duration(
    subject: str,
    marrows: Iterable[tuple[Date, bool]],
    *,
    progression: Date | None,
    death: Date | None,
    new_therapy: Date | None,
) -> TimeToEvent | None:
    """Time from the first MRD-negative marrow to a positive one, progression or death; None if none was negative.

    ``marrows`` are evaluable results: date, and whether it was negative. Censored at the last negative marrow; what
    came after a new therapy, or after progression, does not begin or prolong it.
    """
    ends = [d for d in (progression, death) if d is not None]
    until = min([*ends, *([new_therapy] if new_therapy else [])], default=None)
    seen = sorted((d, negative) for d, negative in marrows if until is None or d <= until)
    start = next((d for d, negative in seen if negative), None)
    if start is None:
        return None
    events = [(d, "MRD positive") for d, negative in seen if d > start and not negative]
    events += [(d, w) for d, w in ((progression, "progression"), (death, "death")) if d is not None and d >= start]
    event, what = min(events, default=(None, ""))
    if event is not None and not (new_therapy is not None and new_therapy < event):
        return TimeToEvent(subject, "MRDNEG", start, event, True, what)
    last = max(d for d, negative in seen if negative)
    reason = (
        "last negative marrow" if new_therapy is None else f"new therapy on {new_therapy}: last negative marrow before"
    )
    return TimeToEvent(subject, "MRDNEG", start, last, False, reason)


def persistence(
    subject: str, start: Date, samples: Iterable[tuple[Date, bool]], *, last_infusion: Date
) -> TimeToEvent | None:
    """Time from the first infusion until the cells are gone; None if they were never quantifiable.

    ``samples`` are evaluable ones after the first infusion: date, and whether the cells were quantifiable. They are
    gone at the first of two or more consecutive samples below quantification after the last infusion (before it, the
    next dose answers). Censored at the last quantifiable sample otherwise.
    """
    seen = sorted(samples)
    quantifiable = [d for d, found in seen if found]
    if not quantifiable:
        return None
    after = [(d, found) for d, found in seen if d > max(last_infusion, quantifiable[0])]
    for (d, found), (_, next_found) in pairwise(after):
        if not found and not next_found:
            return TimeToEvent(subject, "PERSIST", start, d, True, "first of two samples below quantification")
    reason = "last sample quantifiable" if seen[-1][1] else "last quantifiable sample: one sample below is no proof"
    return TimeToEvent(subject, "PERSIST", start, quantifiable[-1], False, reason)
