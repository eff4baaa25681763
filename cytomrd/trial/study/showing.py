"""How problems show moments, and rows that should be one."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

import pandas as pd

__all__ = ["day_of", "repeated", "shown"]


def shown(moment: pd.Timestamp) -> str:
    """``2026-01-05``, with ``T09:30`` where it is not midnight."""
    return moment.strftime("%Y-%m-%d" if moment == moment.normalize() else "%Y-%m-%dT%H:%M")


def day_of(moment: pd.Timestamp) -> pd.Timestamp:
    """Midnight of the moment's day; a missing moment stays missing."""
    return moment if pd.isna(moment) else moment.normalize()


def repeated(rows: Iterable[dict], key) -> Iterator[tuple[dict, dict]]:
    """Each row whose key stood before, with the first row of that key; a key of None or with blanks is none."""
    first: dict[Hashable, dict] = {}
    for row in rows:
        made = key(row)
        if made is None or any(part is None or part == "" or part is pd.NaT for part in made):
            continue
        if made in first:
            yield row, first[made]
        else:
            first[made] = row
