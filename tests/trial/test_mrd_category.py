"""Categories of minimal residual disease by IMWG 2016."""

from __future__ import annotations

from datetime import date, timedelta

from cytomrd.trial.response.mrd import complete_response_spans, mrd_category

START = date(2026, 1, 1)


def day(n):
    return START + timedelta(days=n)


def category(marrows, pets=(), complete=((0, None),)):
    """Days on which the four categories were reached."""
    spans = [(day(a), None if b is None else day(b)) for a, b in complete]
    found = mrd_category([(day(n), v) for n, v in marrows], [(day(n), v) for n, v in pets], complete=spans)
    reached = (found.negative, found.flow_negative, found.imaging_plus, found.sustained)
    return tuple(None if d is None else (d - START).days for d in reached)


def test_flow_alone_gives_no_imaging_and_nothing_sustained():
    assert category([(28, True), (400, True)]) == (28, 28, None, None)


def test_negative_outside_a_complete_response():
    assert category([(28, True)], complete=()) == (28, None, None, None)
    assert category([(28, True), (84, True)], complete=((90, None),)) == (28, 84, None, None)
    assert category([(28, True), (84, True)], complete=((0, 28),)) == (28, None, None, None)


def test_the_nearest_image_counts():
    assert category([(28, True)], [(30, True)])[2] == 28
    assert category([(28, True)], [(30, True), (27, False)])[2] is None
    assert category([(28, True)], [(100, True)])[2] is None


def test_sustained_is_a_year_of_marrow_and_imaging():
    pets = [(28, True), (393, True)]
    assert category([(28, True), (393, True)], pets)[3] == 393
    assert category([(28, True), (392, True)], pets)[3] is None
    assert category([(28, True), (200, False), (393, True)], pets)[3] is None
    assert category([(28, True), (393, True)], [*pets, (200, False)])[3] is None


def test_a_complete_response_lasts_until_relapse():
    dates = [day(n) for n in (28, 56, 84)]
    assert complete_response_spans(dates, ("PR", "CR", "CR"), None) == ((day(56), None),)
    assert complete_response_spans(dates, ("PR", "CR", "CR"), day(84)) == ((day(56), day(84)),)
    assert complete_response_spans(dates, ("PR", "VGPR", "SD"), None) == ()
