"""Controlled terms: every unit that a study may use has its submission value, and names follow from concepts."""

from __future__ import annotations

import pytest

from cytomrd.trial.cdisc.sdtm_laboratory import lab_test_name
from cytomrd.trial.cdisc.terms import codelist, codelists
from cytomrd.trial.cdisc.values import iso, known, submission_value, text
from cytomrd.trial.study.units import LAB_TESTS, VITAL_TESTS

UNITS = sorted({u for t in (*LAB_TESTS.values(), *VITAL_TESTS.values()) for u in (*t.factors, t.unit) if u})


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_of_a_study_has_a_term(unit):
    assert submission_value("UNIT", unit) in codelist("UNIT")


@pytest.mark.parametrize(
    ("given", "term"),
    [("g/dl", "g/dL"), ("pg/mL", "ng/L"), ("mg/24 h", "mg/day"), ("G/24H", "g/day"), ("1", "RATIO"), ("/uL", "10^6/L"),
     ("furlong", "furlong")],
)  # fmt: skip
def test_a_unit_by_any_of_its_names(given, term):
    assert submission_value("UNIT", given) == term


def test_every_laboratory_test_has_a_name():
    for code in LAB_TESTS:
        assert lab_test_name(code), code
    assert lab_test_name("KLCFR") == "Kappa Light Chain, Free"


def test_an_unknown_codelist_says_which_there_are():
    with pytest.raises(KeyError, match="PKPARMCD"):
        codelist("NOSUCH")
    assert all(entry.terms for entry in codelists().values())


@pytest.mark.parametrize("value", [None, float("nan"), ""])
def test_what_is_missing(value):
    assert not known(value) and text(value) is None and iso(value) is None


def test_text_is_ascii_and_short():
    assert text("5 µL\t“x”") == "5 uL ?x?"
    assert len(text("x" * 500)) == 200
