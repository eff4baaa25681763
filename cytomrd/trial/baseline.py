"""The value before the first infusion, and the values after it."""

from __future__ import annotations

import pandas as pd

__all__ = ["before_and_after"]


def before_and_after(
    rows: pd.DataFrame, column: str, start: pd.Timestamp | None
) -> tuple[pd.Series | None, pd.DataFrame]:
    """The last row at or before the first infusion, and all rows after it in the order of time.

    A date without a time of day counts as midnight, so one on the day of the infusion is before it. Without an
    infusion the last row of all is the first part.
    """
    rows = rows[rows[column].notna()].sort_values([column, "row"], kind="stable")
    before = rows if start is None else rows[rows[column] <= start]
    after = rows.iloc[:0] if start is None else rows[rows[column] > start]
    return (before.iloc[-1] if len(before) else None), after
