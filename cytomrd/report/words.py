"""Numbers and foreign text as people read them: a × 10⁻ⁿ with its interval, counts, percent, units, safe text."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable

__all__ = [
    "MISSING",
    "cells_per_ul_words",
    "count_words",
    "fraction_words",
    "interval_words",
    "join_words",
    "linear_words",
    "number_words",
    "percent_words",
    "plain",
    "plural",
    "power_of_ten",
]

MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# A joiner between letters is part of a word in several scripts; alone it hides text. Shown like the others.
_HIDDEN = {"Cf", "Co", "Cn", "Cs", "Zl", "Zp"}


def plain(text: object) -> str:
    """Text from a file or a person with every invisible character made visible.

    Control characters become their pictures (``ESC`` is ``␛``); direction marks, zero-width
    and unassigned characters become ``⟨U+202E⟩``, so that nothing reorders or hides what stands
    on the page. Line feeds and tabs stay. HTML is escaped later, by the template.

    Examples
    --------
    >>> from cytomrd.report.words import plain
    >>> plain("S1\\x1b[31m\\u202egnp")
    'S1␛[31m⟨U+202E⟩gnp'
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or unicodedata.category(character) in _HIDDEN:
        return f"⟨U+{code:04X}⟩"
    return character


def power_of_ten(exponent: int) -> str:
    """``10⁻⁵`` for -5."""
    return "10" + str(exponent).translate(_SUPERSCRIPT)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _exponent(value: float, digits: int) -> int:
    # Through the formatter, so that 9.999e-6 rounds to 1.00 x 10^-5 and not 10.00 x 10^-6.
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def fraction_words(
    fraction: float | None, low: float | None = None, high: float | None = None, *, digits: int = 3
) -> str:
    """A small fraction as ``a × 10⁻ⁿ``, its interval in brackets on the same power of ten.

    Parameters
    ----------
    fraction
        0 to 1; None or NaN is shown as missing.
    low, high
        The interval's ends, or None for none.
    digits
        Significant digits of the fraction.

    Examples
    --------
    >>> from cytomrd.report.words import fraction_words
    >>> fraction_words(31 / 3.02e6, 6.97e-6, 1.457e-5)
    '1.03 × 10⁻⁵ (0.70–1.46 × 10⁻⁵)'
    """
    if not _is_number(fraction):
        return MISSING
    interval = _is_number(low) and _is_number(high)
    decimals = digits - 1
    if fraction == 0:
        if not interval or high == 0:
            return "0"
        exponent = _exponent(high, digits)
        return f"0 (0–{_scaled(high, exponent, decimals)})"
    exponent = _exponent(fraction, digits)
    value = _scaled(fraction, exponent, decimals)
    return f"{value} ({low * 10.0**-exponent:.{decimals}f}–{_scaled(high, exponent, decimals)})" if interval else value


def _scaled(value: float, exponent: int, decimals: int) -> str:
    text = f"{value * 10.0**-exponent:.{decimals}f}"
    return text if exponent == 0 else f"{text} × {power_of_ten(exponent)}"


def count_words(count: float | None, unit: str = "") -> str:
    """A number of events: ``3.02 million`` from a million on, ``412,380`` below.

    Examples
    --------
    >>> from cytomrd.report.words import count_words
    >>> count_words(3_020_000, "nucleated cells")
    '3.02 million nucleated cells'
    """
    if not _is_number(count):
        return MISSING
    if count >= 999_999.5:
        text = f"{count / 1e6:,.2f} million" if count < 99_995_000 else f"{count / 1e6:,.1f} million"
    else:
        text = f"{round(count):,}"
    return f"{text} {unit}".rstrip()


def percent_words(fraction: float | None, low: float | None = None, high: float | None = None) -> str:
    """Percent with about three significant digits; below 0.001 % as a power of ten.

    Examples
    --------
    >>> from cytomrd.report.words import percent_words
    >>> percent_words(0.8314), percent_words(0.00042)
    ('83.1%', '0.042%')
    """
    if not _is_number(fraction):
        return MISSING
    if 0 < abs(fraction) < 0.99995e-5:
        return fraction_words(fraction, low, high)
    if fraction in (0, 1) and not _is_number(low):
        return f"{100 * fraction:.0f}%"
    decimals = _percent_decimals(fraction if fraction else (high or 0.0))
    text = f"{100 * fraction:.{decimals}f}%"
    if _is_number(low) and _is_number(high):
        text += f" ({100 * low:.{decimals}f}–{100 * high:.{decimals}f}%)"
    return text


def _percent_decimals(fraction: float) -> int:
    percent = abs(100 * fraction)
    if percent == 0 or percent >= 9.995:
        return 1
    if percent >= 0.0995:
        return 2
    return min(6, 1 - math.floor(math.log10(percent)))


def number_words(value: float | None, digits: int = 3) -> str:
    """A number with at most ``digits`` significant figures, never in exponent notation for 1e-4 to 1e9.

    Examples
    --------
    >>> from cytomrd.report.words import number_words
    >>> number_words(1234.5), number_words(0.04567), number_words(12.0)
    ('1,230', '0.0457', '12.0')
    """
    if value is None or math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "no limit" if value > 0 else "−no limit"
    if value == 0:
        return "0"
    sign = "−" if value < 0 else ""
    value = abs(value)
    if not 1e-4 <= value < 1e9:
        return sign + fraction_words(value, digits=digits)
    exponent = _exponent(value, digits)
    rounded = float(f"{value:.{digits - 1}e}")
    return f"{sign}{rounded:,.{max(0, digits - 1 - exponent)}f}"


def linear_words(value: float | None) -> str:
    """A fluorescence or scatter value on the linear scale, e.g. of a cut: ``1,230`` or ``−85.2``."""
    return number_words(value)


def interval_words(low: float | None, high: float | None, digits: int = 3) -> str:
    """``low–high``, or missing if either end is."""
    if not (_is_number(low) and _is_number(high)):
        return MISSING
    joint = " to " if low < 0 or high < 0 else "–"
    return f"{number_words(low, digits)}{joint}{number_words(high, digits)}"


def cells_per_ul_words(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A concentration in cells/µL, at most three significant figures, its interval in brackets.

    Examples
    --------
    >>> from cytomrd.report.words import cells_per_ul_words
    >>> cells_per_ul_words(12.345, 10.1, 14.9)
    '12.3 cells/µL (10.1–14.9)'
    """
    if not _is_number(value):
        return MISSING
    interval = interval_words(low, high)
    return f"{number_words(value)} cells/µL" + ("" if interval == MISSING else f" ({interval})")


def plural(count: int, one: str, many: str = "") -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count_words(count)} {one if count == 1 else many or one + 's'}"


def join_words(items: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    items = list(items)
    return items[0] if len(items) == 1 else f" {last} ".join([", ".join(items[:-1]), items[-1]]) if items else ""
