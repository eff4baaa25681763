"""Numbers as people read them, and text that cannot hide anything."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.report.words import (
    MISSING,
    cells_per_ul_words,
    count_words,
    fraction_words,
    interval_words,
    join_words,
    number_words,
    percent_words,
    plain,
    plural,
)


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (31 / 3.02e6, 6.97e-6, 1.457e-5, "1.03 × 10⁻⁵ (0.70–1.46 × 10⁻⁵)"),
        (2e-6, 1.22e-6, 3.09e-6, "2.00 × 10⁻⁶ (1.22–3.09 × 10⁻⁶)"),
        (0.0, 0.0, 1.23e-6, "0 (0–1.23 × 10⁻⁶)"),
        (9.999e-6, None, None, "1.00 × 10⁻⁵"),
        (0.0, None, None, "0"),
        (0.25, 0.2, 0.3, "2.50 × 10⁻¹ (2.00–3.00 × 10⁻¹)"),
        (None, None, None, MISSING),
        (float("nan"), 0.1, 0.2, MISSING),
    ],
)
def test_fraction(value, low, high, words):
    assert fraction_words(value, low, high) == words


def test_fraction_keeps_its_value():
    """What is printed, read back, is the fraction to the digits printed."""
    superscripts = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    for value in (6.6225e-6, 1.655e-5, 3.4567e-4, 9.995e-7, 9.9949e-7, 1.0):
        mantissa, _, power = fraction_words(value).partition(" × 10")
        read = float(mantissa) * 10.0 ** int(power.translate(superscripts) or 0)
        assert read == pytest.approx(value, rel=0.005)


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (31, "31"), (999_999, "999,999"), (1_000_000, "1.00 million"), (3_020_000, "3.02 million"),
     (212_000_000, "212.0 million"), (None, MISSING)],
)  # fmt: skip
def test_count(count, words):
    assert count_words(count) == words


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.8314, "83.1%"), (0.0431, "4.31%"), (0.00042, "0.042%"), (0.0000042, "4.20 × 10⁻⁶"), (0.0, "0%"), (1.0, "100%"),
     (0.09996, "10.0%"), (None, MISSING)],
)  # fmt: skip
def test_percent(fraction, words):
    assert percent_words(fraction) == words


def test_percent_interval_shares_decimals():
    assert percent_words(0.0224, 0.0202, 0.0244) == "2.24% (2.02–2.44%)"
    assert percent_words(0.0, 0.0, 0.0002) == "0.000% (0.000–0.020%)"


@pytest.mark.parametrize(
    ("value", "words"),
    [(1234.5, "1,230"), (12.0, "12.0"), (0.04567, "0.0457"), (0, "0"), (-85.21, "−85.2"), (999.6, "1,000"),
     (262144.0, "262,000"), (float("nan"), MISSING), (None, MISSING)],
)  # fmt: skip
def test_number(value, words):
    assert number_words(value) == words


@given(st.floats(min_value=1e-3, max_value=1e8))
def test_concentration_has_at_most_three_significant_figures(value):
    digits = number_words(value).replace(",", "").replace(".", "").lstrip("0")
    assert len(digits.rstrip("0")) <= 3
    assert float(number_words(value).replace(",", "")) == pytest.approx(value, rel=0.0051)


def test_concentration_with_interval():
    assert cells_per_ul_words(12.345, 10.1, 14.9) == "12.3 cells/µL (10.1–14.9)"
    assert cells_per_ul_words(None) == MISSING
    assert interval_words(-120.0, 45.0) == "−120 to 45.0"
    assert interval_words(None, 1.0) == MISSING


def test_plain_shows_what_would_act_or_hide():
    assert plain("S1\x1b[31m") == "S1␛[31m"
    assert plain("a\u202eb\u2066c\u200bd\ufeff") == "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩d⟨U+FEFF⟩"
    assert plain("x\x00\x7f\x9b\ud800\ufffe") == "x␀␡⟨U+009B⟩⟨U+D800⟩⟨U+FFFE⟩"
    assert plain("Patientin Müller 中文 µL") == "Patientin Müller 中文 µL"


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_plain_leaves_nothing_invisible(text):
    for character in plain(text):
        assert character in "\n\t" or unicodedata.category(character)[0] != "C"
    plain(text).encode("utf-8")


def test_small_words():
    assert plural(1, "cell") == "1 cell"
    assert plural(2, "cell") == "2 cells"
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b", "c"]) == "a, b and c"
    assert join_words([]) == ""
