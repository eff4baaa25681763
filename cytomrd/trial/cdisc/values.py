"""Values of study tables as CDISC writes them: missing as None, times in ISO 8601, numbers as the shortest text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import pandas as pd

from cytomrd.trial.cdisc.model import Variable
from cytomrd.trial.cdisc.terms import codelist

__all__ = ["STANDARD", "day", "iso", "known", "number_text", "numbered", "percent", "submission_value", "text", "whole"]

_PER_DAY = re.compile(r"/ *24 *h(ours)?$", re.IGNORECASE)


def _standard() -> tuple[Variable, Variable, Variable]:
    return (
        Variable("STUDYID", "Study Identifier", key=1, origin="Assigned", required=True),
        Variable("DOMAIN", "Domain Abbreviation", origin="Assigned", required=True),
        Variable("USUBJID", "Unique Subject Identifier", key=2, origin="Assigned", required=True),
    )


STANDARD = _standard()
"""The identifiers that every domain begins with."""


def known(value: Any) -> bool:
    """False for None, NaN, NaT, NA and blank text."""
    return (
        value is not None
        and value is not pd.NA
        and not (isinstance(value, float) and value != value)
        and (value is not pd.NaT and value != "")
    )


def text(value: Any, limit: int = 200) -> str | None:
    """Text in printable ASCII, cut at ``limit``; None for blank. What ASCII lacks is written as ``?``.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.values import text
    >>> text("5 cells/µL"), text("")
    ('5 cells/uL', None)
    """
    if not known(value):
        return None
    folded = str(value).replace("µ", "u").replace("μ", "u").encode("ascii", "replace").decode("ascii")
    folded = "".join(c if c.isprintable() else " " for c in folded)[:limit].rstrip()
    return folded or None


def iso(moment: Any) -> str | None:
    """A timestamp to the minute; without its time of day where that is midnight, since then it was not given."""
    if not known(moment):
        return None
    moment = pd.Timestamp(moment)
    given = moment.hour or moment.minute or moment.second
    return moment.strftime("%Y-%m-%dT%H:%M" if given else "%Y-%m-%d")


def day(moment: Any) -> date | None:
    """The date of a timestamp."""
    return pd.Timestamp(moment).date() if known(moment) else None


def whole(value: Any) -> int | None:
    """A whole number."""
    return int(value) if known(value) else None


def number_text(value: Any) -> str | None:
    """A number as text, to ten significant digits."""
    return f"{float(value):.10g}" if known(value) else None


def percent(fraction: Any) -> float | None:
    """A fraction in percent, to ten digits so that the product adds none of its own."""
    return round(100.0 * float(fraction), 10) if known(fraction) else None


def numbered(records: Iterable[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """Records with ``name`` counting from 1 within each subject, in the order given."""
    counts: dict[str, int] = {}
    found = []
    for record in records:
        subject = record["USUBJID"]
        counts[subject] = counts.get(subject, 0) + 1
        found.append({**record, name: counts[subject]})
    return found


def submission_value(short_name: str, given: str) -> str | None:
    """The term of a codelist for a text: the term itself or a synonym of it, in any case; else the text as it is.

    Examples
    --------
    >>> from cytomrd.trial.cdisc.values import submission_value
    >>> submission_value("UNIT", "g/dl"), submission_value("UNIT", "pg/mL"), submission_value("UNIT", "1")
    ('g/dL', 'ng/L', 'RATIO')
    """
    given = (text(given) or "").strip()
    if not given:
        return None
    if short_name == "UNIT":
        given = "RATIO" if given.casefold() in ("1", "ratio") else _PER_DAY.sub("/day", given)
    terms = codelist(short_name).terms
    if given in terms:
        return given
    folded = given.casefold()
    for found in (
        [t.value for t in terms.values() if t.value.casefold() == folded],
        [t.value for t in terms.values() if given in t.synonyms],
        [t.value for t in terms.values() if folded in (s.casefold() for s in t.synonyms)],
    ):
        if found:
            return found[0] if len(found) == 1 else given
    return given
