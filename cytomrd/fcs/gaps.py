"""What stands around the DATA segment: padding, other segments, the CRC. It gives shifted offsets away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cytomrd.errors import FcsError
from cytomrd.fcs.findings import FindingLog
from cytomrd.fcs.header import HEADER_SIZE, Header
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import PADDING

if TYPE_CHECKING:
    from cytomrd.fcs.segments import Segment

__all__ = ["CRC_SIZE", "check_end", "gap_check"]

GAP_INSPECTED = 4096
CRC_SIZE = 8
NO_CRC = b"0" * CRC_SIZE


def gap_check(
    source: ByteSource, header: Header, claimed: tuple[Segment, ...], row_bytes: int
) -> Callable[[int], bool]:
    """A function that tells whether only padding and other segments lie before a begin of DATA.

    Before it stands TEXT, or HEADER where TEXT comes behind DATA.
    """

    def is_clean(begin: int) -> bool:
        first = _before(header, begin)
        size = min(begin - first, max(GAP_INSPECTED, 2 * row_bytes), source.size - header.base - first)
        if size <= 0:
            return True
        gap = bytearray(source.read(header.base + first, size))
        for segment in claimed:
            low, high = max(0, segment.begin - first), min(size, segment.begin + segment.size - first)
            if low < high:
                gap[low:high] = b" " * (high - low)
        return not gap.translate(None, PADDING + b"\x0c")

    return is_clean


def check_end(source: ByteSource, header: Header, data: Segment, row_bytes: int, log: FindingLog) -> None:
    """Refuse offsets that are shifted by less than an event, where the zeros in the place of a CRC prove it.

    The gap before DATA cannot show it: a shift may end within padding, or skip values whose bytes look like it.

    Raises
    ------
    FcsError
        If DATA takes in bytes of those zeros, or begins with padding and leaves as many bytes before them.
    """
    begin, end = header.base + data.begin, header.base + data.begin + data.size
    gap, tail = data.begin - _before(header, data.begin), source.size - end
    late = CRC_SIZE - tail
    if gap <= 0 or late == 0 or not (0 <= tail < CRC_SIZE + row_bytes) or late > min(gap, data.size):
        return
    if source.read(source.size - CRC_SIZE, CRC_SIZE) != NO_CRC:
        return
    if late < 0:
        before, first = source.read(begin - 1, 1), source.read(begin, min(-late, data.size))
        if first.strip(before) or before not in (b" ", b"\0") or not source.read(end, -late).strip(PADDING):
            return
    raise _shifted(begin, abs(late), "late" if late > 0 else "early", log)


def _before(header: Header, begin: int) -> int:
    """The byte behind the segment that stands before ``begin``: TEXT, or HEADER."""
    return header.text_end + 1 if begin > header.text_begin else HEADER_SIZE


def _shifted(begin: int, by: int, way: str, log: FindingLog) -> FcsError:
    return log.refusal(
        "$BEGINDATA",
        begin,
        seen=f"DATA {by} bytes too {way}, by the eight zeros at the end of the file",
        expected="DATA between padding and these zeros",
        remedy="the offsets are shifted, so channels would be mixed up",
    )
