"""Times to event: which date ends them, and why."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.trial.endpoints import (
    Schedule,
    mrd_negative_duration,
    overall_survival,
    persistence,
    progression_free,
)

START = date(2026, 1, 5)
PLANNED = (28, 56, 84, 112, 140, 168)


def day(n):
    """Date ``n`` days after the first infusion; None for None."""
    return None if n is None else START + timedelta(days=n)


def pfs(adequate, *, progression=None, death=None, new_therapy=None, start=0, planned=PLANNED):
    found = progression_free(
        "S1",
        day(start),
        adequate=[day(n) for n in adequate],
        progression=day(progression),
        death=day(death),
        new_therapy=day(new_therapy),
        schedule=Schedule(START, planned),
    )
    return (found.end - START).days, found.event


def test_days_count_both_ends_and_months_are_thirty_and_a_half():
    found = overall_survival("S1", START, death=date(2026, 3, 6), last_alive=None)
    assert (found.days, found.event) == (61, True)
    assert found.months == pytest.approx(61 / 30.4375)


@pytest.mark.parametrize(
    ("options", "end", "event"),
    [
        ({"adequate": [28, 56], "progression": 84}, 84, True),
        ({"adequate": [28, 56], "death": 70}, 70, True),
        ({"adequate": [28, 56], "progression": 84, "death": 90}, 84, True),
        ({"adequate": [28, 56]}, 56, False),
        ({"adequate": []}, 0, False),
        ({"adequate": [], "death": 20}, 20, True),
        # A new therapy: what follows does not count, that day itself does.
        ({"adequate": [28, 56, 84], "new_therapy": 60}, 56, False),
        ({"adequate": [28, 56, 84], "progression": 84, "new_therapy": 60}, 56, False),
        ({"adequate": [28, 56, 84], "progression": 84, "new_therapy": 84}, 84, True),
        ({"adequate": [28, 56, 84], "progression": 84, "new_therapy": 90}, 84, True),
        # Missed visits: of 56 and 84 the whole windows lie before day 92, that of 84 does not before day 91.
        ({"adequate": [28], "progression": 92}, 28, False),
        ({"adequate": [28], "progression": 91}, 91, True),
        ({"adequate": [28, 56], "progression": 92}, 92, True),
        ({"adequate": [], "death": 64}, 0, False),
        ({"adequate": [], "death": 63}, 63, True),
        ({"adequate": [28], "progression": 160, "planned": ()}, 160, True),
        # From the onset of response.
        ({"adequate": [28, 56, 84], "progression": 112, "start": 56}, 112, True),
        ({"adequate": [28, 56], "start": 56}, 56, False),
    ],
)
def test_progression_free(options, end, event):
    assert pfs(**options) == (end, event)


days = st.one_of(st.none(), st.integers(1, 200))


@given(st.lists(st.integers(1, 200), unique=True), days, days, days)
@settings(max_examples=200, deadline=None)
def test_a_time_ends_at_an_event_or_at_an_adequate_assessment(adequate, progression, death, new_therapy):
    end, event = pfs(adequate, progression=progression, death=death, new_therapy=new_therapy)
    if event:
        assert end == min(d for d in (progression, death) if d is not None)
        assert new_therapy is None or new_therapy >= end
    else:
        assert end in (0, *adequate)
        assert new_therapy is None or end <= new_therapy


def test_overall_survival_is_censored_at_the_last_sign_of_life():
    def days_of(**options):
        found = overall_survival("S1", START, **{"death": None, "last_alive": None, **options})
        return (found.end - START).days, found.event

    assert days_of(last_alive=day(90)) == (90, False)
    assert days_of(last_alive=day(90), death=day(95)) == (95, True)
    assert days_of(last_alive=day(90), contacts=[day(100)]) == (100, False)
    assert days_of() == (0, False)


def mrd(marrows, **ends):
    ends = {"progression": None, "death": None, "new_therapy": None, **ends}
    found = mrd_negative_duration(
        "S1", [(day(n), negative) for n, negative in marrows], **{k: day(v) for k, v in ends.items()}
    )
    return found and ((found.start - START).days, (found.end - START).days, found.event)


def test_mrd_negative_duration():
    assert mrd([(28, False), (84, False)]) is None
    assert mrd([]) is None
    assert mrd([(28, False), (84, True), (168, True)]) == (84, 168, False)
    assert mrd([(28, True), (84, True), (168, False), (252, True)]) == (28, 168, True)
    assert mrd([(84, True), (28, True)], progression=112) == (28, 112, True)
    assert mrd([(28, True)], death=112) == (28, 112, True)
    assert mrd([(28, True), (84, True), (168, False)], new_therapy=100) == (28, 84, False)
    assert mrd([(28, True)], progression=112, new_therapy=100) == (28, 28, False)
    assert mrd([(28, False), (84, True)], progression=56) is None, "negative only after progression"


def gone(samples, last_infusion=7):
    found = persistence("S1", START, [(day(n), q) for n, q in samples], last_infusion=day(last_infusion))
    return found and ((found.end - START).days, found.event)


def test_persistence():
    assert gone([(1, False), (8, False)]) is None
    assert gone([(1, True), (8, True), (14, False), (28, False)]) == (14, True)
    assert gone([(28, False), (14, False), (8, True), (1, True)]) == (14, True)
    assert gone([(1, True), (8, True), (14, False)]) == (8, False)
    assert gone([(1, True), (8, True), (14, False), (28, True)]) == (28, False)
    assert gone([(1, True), (3, False), (5, False), (8, True), (14, True)]) == (14, False), "the second dose answers"
    assert gone([(1, True), (3, False), (5, False), (8, False), (14, False)]) == (8, True)
