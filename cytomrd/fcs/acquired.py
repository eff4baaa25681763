"""When a file was acquired, from ``$DATE`` and ``$BTIM``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

__all__ = ["acquisition_time"]

DATE_FORMATS = ("%d-%b-%Y", "%Y-%m-%d", "%d-%b-%y", "%Y-%b-%d", "%d.%m.%Y")


def acquisition_time(keywords: Mapping[str, str]) -> datetime | None:
    """Start of the acquisition, without a time zone; None where the file does not say it clearly.

    The standard's ``dd-mmm-yyyy`` and ISO dates are understood, times as ``hh:mm:ss`` with hundredths or
    sixtieths of a second. A date such as 03/04/2024 means two days, so it is not used.

    Examples
    --------
    >>> from cytomrd.fcs.acquired import acquisition_time
    >>> acquisition_time({"$DATE": "02-MAY-2024", "$BTIM": "09:30:15.50"})
    datetime.datetime(2024, 5, 2, 9, 30, 15, 500000)
    """
    day = _day(keywords.get("$DATE", "").strip())
    time = re.fullmatch(r"(\d{1,2}):(\d{2}):(\d{2})(?:([.:])(\d{1,6}))?", keywords.get("$BTIM", "").strip())
    if day is None or time is None:
        return None
    hours, minutes, seconds = (int(time[i]) for i in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 59:
        return None
    fraction = 0.0
    if time[5]:
        fraction = int(time[5]) / 60 if time[4] == ":" else float(f"0.{time[5]}")
    if fraction >= 1:
        return None
    return day + timedelta(hours=hours, minutes=minutes, seconds=seconds + fraction)


def _day(text: str) -> datetime | None:
    for form in DATE_FORMATS:
        try:
            return datetime.strptime(text.title(), form)
        except ValueError:
            continue
    return None
