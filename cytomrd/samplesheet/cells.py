"""What the cells of a samplesheet may hold, and what to write instead when they do not.

Each reader takes a stripped, non-empty text, and whether the sheet writes 7,5 for seven
and a half; it gives a value, or raises ``ValueError`` with what was seen, what is
allowed and the remedy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches

__all__ = ["COLUMNS", "MATRICES", "ROLES", "has_time_of_day"]

MATRICES = ("BM", "PB")
ROLES = ("sample", "pre_infusion", "fmo", "isotype", "negative", "single_stain", "unstained")
EARLIEST_YEAR, LATEST_YEAR = 1990, 2100
MAX_IDENTIFIER = 100
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


Reader = Callable[[str, bool], object]


def read_number(
    low: float, high: float, *, low_hint: str = "", high_hint: str = "", whole: bool = False, open_low: bool = False
) -> Callable[[str, bool], float]:
    """A reader of numbers from ``low`` to ``high``; the hints say what an outlying number probably meant."""

    def read(text: str, decimal_comma: bool) -> float:
        value = _number(text, decimal_comma)
        if whole and value != int(value):
            raise ValueError(f"{text!r} is not a whole number")
        if value < low or (open_low and value == low):
            bound, more = "above" if open_low else "at least", f"; {low_hint}" if low_hint else ""
            raise ValueError(f"{text!r} must be {bound} {low:g}{more}")
        if value > high:
            more = f"; {high_hint}" if high_hint else ""
            raise ValueError(f"{text!r} must be at most {high:g}{more}")
        return int(value) if whole else value

    return read


def _number(text: str, decimal_comma: bool) -> float:
    plain = text
    if decimal_comma and re.fullmatch(r"[+-]?[0-9]+,[0-9]+", text):
        if re.fullmatch(r"[+-]?[0-9]{1,3},[0-9]{3}", text):
            either = f"{text.replace(',', '.')} or {text.replace(',', '')}"
            raise ValueError(f"{text!r} could mean two numbers; write {either}")
        plain = text.replace(",", ".")
    if not _NUMBER.fullmatch(plain):
        rule = "write digits with a decimal point, no unit, no thousands separator"
        raise ValueError(f"{text!r} is not a number; {rule}")
    value = float(plain)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{text!r} is too large for a number")
    return value


def read_date(text: str, decimal_comma: bool) -> datetime:
    """An ISO 8601 date and time; other orders of day and month are refused, since they can be read in two ways."""
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an ISO 8601 date and time; write it as 2024-05-31T09:30") from None
    if not EARLIEST_YEAR <= value.year <= LATEST_YEAR or not re.match(r"[0-9]{4}-?[0-9W]", text):
        raise ValueError(f"{text!r} is outside the years {EARLIEST_YEAR} to {LATEST_YEAR}")
    return value


def has_time_of_day(text: str) -> bool:
    """Whether a date that :func:`read_date` accepted says the hour too."""
    return bool(re.search(r"[0-9][T ][0-9]{2}", text.strip()))


def read_word(*allowed: str) -> Callable[[str, bool], str]:
    """A reader of one of some words, in any case."""

    def read(text: str, decimal_comma: bool) -> str:
        known = {word.casefold(): word for word in allowed}
        folded = text.casefold().replace("-", "_").replace(" ", "_")
        if folded in known:
            return known[folded]
        close = get_close_matches(folded, known, n=1)
        hint = f"; did you mean {known[close[0]]!r}?" if close else ""
        raise ValueError(f"{text!r} is not one of {', '.join(allowed)}{hint}")

    return read


def read_identifier(text: str, decimal_comma: bool) -> str:
    """A name that can also be a folder's name on every system."""
    found = _FORBIDDEN.search(text)
    if found:
        raise ValueError(f"{text!r} holds {found[0]!r}; results lie in a folder of that name, so leave it out")
    if text.startswith(".") or text.endswith(".") or len(text) > MAX_IDENTIFIER:
        raise ValueError(f"{text!r}: at most {MAX_IDENTIFIER} characters, no '.' at either end")
    return text


def read_text(text: str, decimal_comma: bool) -> str:
    """Any text without control characters."""
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError(f"{text!r} holds a line break or another control character; remove it")
    return text


def read_therapies(text: str, decimal_comma: bool) -> tuple[str, ...]:
    """Therapies, parted by ``;``, ``,`` or ``|``."""
    return tuple(part.strip() for part in re.split(r"[;,|]", read_text(text, decimal_comma)) if part.strip())


COLUMNS: dict[str, Reader] = {
    "file": read_text,
    "sample_id": read_identifier,
    "subject_id": read_text,
    "visit": read_text,
    "day": read_number(-36_500, 36_500),
    "collected_at": read_date,
    "acquired_at": read_date,
    "matrix": read_word(*MATRICES),
    "panel": read_text,
    "tube": read_text,
    "role": read_word(*ROLES),
    "stain": read_text,
    "prior_therapy": read_therapies,
    "pull": read_number(1, 20, whole=True, low_hint="1 is the first pull"),
    "beads_per_tube": read_number(
        100, 1e8, low_hint="give the beads in the whole tube, not per microlitre", high_hint="give beads, not events"
    ),
    "bead_lot": read_text,
    "sample_volume_ul": read_number(
        1,
        20_000,
        low_hint="the unit is microlitres: 0.1 mL is 100",
        high_hint="the unit is microlitres, not nanolitres",
    ),
    "dilution": read_number(1, 10_000, low_hint="write the factor: 2 for one part in two"),
    "wbc_10e9_per_l": read_number(
        0,
        500,
        open_low=True,
        low_hint="leave it empty when the analyser gave no count",
        high_hint="the unit is 10^9 cells per litre, and 1000 cells per microlitre are 1.0",
    ),
    "cbc_at": read_date,
}
