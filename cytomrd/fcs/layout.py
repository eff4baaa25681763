"""How events lie in the DATA segment: bytes per value, byte order, and which decoder reads them."""

from __future__ import annotations

from dataclasses import dataclass

from cytomrd.fcs.channels import Channel
from cytomrd.fcs.findings import FindingLog, quoted
from cytomrd.fcs.text import Keywords, read_whole_number

__all__ = ["RowLayout", "possible_widths", "read_byte_order"]


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Bytes of one event.

    Attributes
    ----------
    widths
        Bytes of each channel's value, in order; empty for delimited ASCII.
    byte_order
        Significance of each byte as ``$BYTEORD`` gives it: ``(1, 2, 3, 4)`` is little endian.
    """

    widths: tuple[int, ...]
    byte_order: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Bytes per event; 0 where it varies."""
        return sum(self.widths)

    @property
    def is_little(self) -> bool:
        """True where the first byte is the least significant."""
        return self.byte_order == tuple(sorted(self.byte_order))

    @property
    def is_big(self) -> bool:
        """True where the first byte is the most significant."""
        return self.byte_order == tuple(sorted(self.byte_order, reverse=True))

    def shifts(self, width: int) -> list[int]:
        """By how many bits each byte of a value of ``width`` bytes is shifted up, first byte first."""
        if self.is_little:
            return [8 * i for i in range(width)]
        if self.is_big:
            return [8 * i for i in reversed(range(width))]
        return [8 * (i - 1) for i in self.byte_order]


def read_byte_order(
    keywords: Keywords, channels: tuple[Channel, ...], widths: tuple[int, ...], log: FindingLog
) -> tuple[int, ...]:
    """``$BYTEORD`` checked against the widths of the values.

    Raises
    ------
    FcsError
        If it is missing or no order of bytes, or does not say how values of some width are ordered.
    """
    key = "$BYTEORD"
    text = keywords.get(key)
    if all(c.datatype == "A" for c in channels):
        return (1,)
    numbers = [] if text is None else [read_whole_number(part) for part in text.split(",")]
    widest = max(widths)
    if not numbers or None in numbers or sorted(numbers) != list(range(1, len(numbers) + 1)) or len(numbers) > 8:
        raise log.refusal(
            key, keywords.offset(key), seen=quoted(text), expected="1,2,3,4 or 4,3,2,1", remedy="byte order unknown"
        )
    order = tuple(numbers)
    # 1,2 or 4,3,2,1 names an order for values of any width; any other list only for values of its own.
    common = len(order) in (2, 4, 8) or (len(order) == 1 and widest == 1)
    straight = order in (tuple(sorted(order)), tuple(sorted(order, reverse=True)))
    if (straight and (common or len(order) in widths)) or all(w in (1, len(order)) for w in widths):
        return order
    raise log.refusal(
        key,
        keywords.offset(key),
        seen=quoted(text),
        expected=f"an order of the {widest} bytes of a value",
        remedy="how the bytes of the values are ordered cannot be told",
    )


def possible_widths(channels: tuple[Channel, ...]) -> list[tuple[int, ...]]:
    """Bytes per value of each channel: whole bytes, or the next of 1, 2, 4, 8 where a width like 24 leaves a choice."""
    if any(c.datatype == "A" for c in channels):
        return [() if any(c.bits == 0 for c in channels) else tuple(c.bits for c in channels)]
    tight = tuple(-(-c.bits // 8) for c in channels)
    padded = tuple(1 << (w - 1).bit_length() for w in tight)
    return [tight] if tight == padded else [tight, padded]
