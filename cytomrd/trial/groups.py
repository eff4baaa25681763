"""Subjects by dose level and all together, rates with exact intervals, and Kaplan-Meier rows of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from cytomrd.mrd.limits import clopper_pearson
from cytomrd.trial.endpoints import DAYS_PER_MONTH, TimeToEvent
from cytomrd.trial.study import Study
from cytomrd.trial.survival import Quantile, kaplan_meier

__all__ = ["dose_groups", "interval_name", "level_name", "rate_cells", "survival_rows", "time_listing"]

LANDMARKS = (3, 6, 12, 24)
QUANTILES = (("median", 0.5), ("25 % quantile", 0.25), ("75 % quantile", 0.75))


def level_name(level: float) -> str:
    """``"1.5e+08"``."""
    return f"{level:.3g}"


def dose_groups(study: Study, subjects: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Subjects by dose level in the order of study.toml (``"1.5e+08"``), then ``"All"``."""
    subjects = tuple(subjects)
    levels = {level_name(level): level for level in study.settings.dose_levels}
    groups = {name: tuple(s for s in subjects if study.dose_level[s] == level) for name, level in levels.items()}
    return {**groups, "All": subjects}


def interval_name(confidence: float) -> str:
    """``"95 % CI"``."""
    return f"{100 * confidence:g} % CI"


def rate_cells(n: int, of: int, confidence: float) -> dict[str, object]:
    """``n`` of ``of`` with the per cent and its exact (Clopper-Pearson) interval; no per cent of nobody."""
    low, high = clopper_pearson(n, of, confidence) if of else (None, None)
    scaled = [None if share is None else 100 * share for share in (n / of if of else None, low, high)]
    return {"n": n, "of": of, **dict(zip(("percent", "ci_low_percent", "ci_high_percent"), scaled, strict=True))}


def survival_rows(
    groups: dict[str, Sequence[str]], times: Iterable[TimeToEvent], confidence: float
) -> list[dict[str, object]]:
    """Rows of a Kaplan-Meier table: for each group quartiles, share free of the event at landmarks, follow-up."""
    by_subject = {t.subject: t for t in times}
    rows = []
    for name, subjects in groups.items():
        own = [by_subject[s] for s in subjects if s in by_subject]
        days, events = [t.days for t in own], [t.event for t in own]
        curve = kaplan_meier(days, events, confidence=confidence)
        # With censoring as the event, the curve tells how long subjects were under observation.
        followed = kaplan_meier(days, [not event for event in events], confidence=confidence)
        head = {"dose_level": name, "n": len(own), "events": sum(events), "censored": len(own) - sum(events)}
        found = [(label, _in_months(curve.quantile(share)), "months") for label, share in QUANTILES]
        found += [
            (f"free of the event at {m} months", _in_percent(curve.at(m * DAYS_PER_MONTH)), "%") for m in LANDMARKS
        ]
        found.append(("median follow-up", _in_months(followed.quantile()), "months"))
        for label, (value, low, high), unit in found:
            rows.append({**head, "quantity": label, "value": value, "ci_low": low, "ci_high": high, "unit": unit})
    return rows


Limits = tuple[float | None, float | None, float | None]


def _in_months(found: Quantile) -> Limits:
    return tuple(None if d is None else d / DAYS_PER_MONTH for d in (found.time, found.low, found.high))


def _in_percent(found: tuple[float, float | None, float | None] | None) -> Limits:
    return tuple(None if share is None else 100 * share for share in found or (None, None, None))


def time_listing(times: Iterable[TimeToEvent], inputs: Callable[[TimeToEvent], str]) -> list[dict[str, object]]:
    """One row a subject for a table's listing: days, event or censored, and why."""
    return [
        {
            "USUBJID": t.subject,
            "quantity": t.endpoint,
            "value": t.days,
            "unit": "d",
            "months": t.months,
            "STARTDT": t.start.isoformat(),
            "ADT": t.end.isoformat(),
            "CNSR": int(not t.event),
            "rule": t.reason,
            "inputs": inputs(t),
            "flags": "" if t.event else "CENSORED",
        }
        for t in times
    ]
