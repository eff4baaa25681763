"""Categories of minimal residual disease: negative by flow, with imaging, sustained (IMWG 2016)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date as Date

__all__ = ["MrdCategory", "complete_response_spans", "mrd_category"]

# A marrow belongs to the response of the visit it was taken for, an image to the marrow it goes with.
MARROW_WINDOW_D = 14
IMAGE_WINDOW_D = 60
SUSTAINED_D = 365

Span = tuple[Date, Date | None]


@dataclass(frozen=True, slots=True)
class MrdCategory:
    """When each category was first reached; None where it was not. Flow alone never gives the last two.

    Attributes
    ----------
    negative
        First marrow negative at a sensitivity of 1e-5 or better, in any response.
    flow_negative
        First such marrow in a complete response.
    imaging_plus
        First such marrow with a negative PET.
    sustained
        First day on which marrow and imaging had both been negative at least a year apart, nothing positive between.
    """

    negative: Date | None
    flow_negative: Date | None
    imaging_plus: Date | None
    sustained: Date | None


def complete_response_spans(dates: Sequence[Date], confirmed: Sequence[str], end: Date | None) -> tuple[Span, ...]:
    """From the first confirmed CR until relapse from it or progression (``end``); empty without a CR."""
    start = next((d for d, level in zip(dates, confirmed, strict=True) if level in ("CR", "sCR")), None)
    return () if start is None or (end is not None and end <= start) else ((start, end),)


def mrd_category(
    marrows: Iterable[tuple[Date, bool]], pets: Iterable[tuple[Date, bool]], *, complete: Sequence[Span]
) -> MrdCategory:
    """Categories reached by evaluable marrows and PETs, each with its date and whether it was negative."""
    marrows, pets = sorted(marrows), sorted(pets)
    negative = [d for d, is_negative in marrows if is_negative]
    in_cr = [d for d in negative if any(_within(d, span) for span in complete)]
    both = [d for d in in_cr if _nearest_is_negative(d, pets)]
    positive = [d for d, is_negative in (*marrows, *pets) if not is_negative]
    sustained = [
        later
        for i, first in enumerate(both)
        for later in both[i + 1 :]
        if (later - first).days >= SUSTAINED_D and not any(first <= d <= later for d in positive)
    ]
    return MrdCategory(*(min(days, default=None) for days in (negative, in_cr, both, sustained)))


def _within(day: Date, span: Span) -> bool:
    start, end = span
    return (start - day).days <= MARROW_WINDOW_D and (end is None or day < end)


def _nearest_is_negative(day: Date, pets: Sequence[tuple[Date, bool]]) -> bool:
    near = [(abs((d - day).days), d, negative) for d, negative in pets if abs((d - day).days) <= IMAGE_WINDOW_D]
    return min(near)[2] if near else False
