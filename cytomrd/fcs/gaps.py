"""What stands around the DATA segment: padding, other segments, the CRC. It gives shifted offsets away."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cytomrd.fcs.findings import FindingLog
from cytomrd.fcs.header import HEADER_SIZE, Header
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import PADDING

if TYPE_CHECKING:
    from cytomrd.fcs.segments import Segment

__all__ = ["CRC_SIZE", "check_shift", "gap_check"]

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


def check_shift(source: ByteSource, header: Header, data: Segment, surplus: int, log: FindingLog) -> None:
    """Refuse a DATA segment that may begin elsewhere within padding, by what stands at the end of the file.

    The gap before DATA cannot show it: a shift may end within padding, or skip values whose bytes look like it.
    ``surplus`` is by how many bytes the offsets claimed more than the events take.

    Raises
    ------
    FcsError
        If DATA takes in some of the eight zeros that stand in the place of a CRC, or begins with padding and leaves
        as many bytes before them; or if the size is one byte off and its begin may be, as well as its end.
    """
    begin, end = header.base + data.begin, header.base + data.begin + data.size
    gap, tail = data.begin - _before(header, data.begin), source.size - end
    if gap <= 0 or not data.size:
        return
    late = CRC_SIZE - tail
    ends_in_zeros = source.read(max(0, source.size - CRC_SIZE), min(CRC_SIZE, source.size)) == NO_CRC
    if ends_in_zeros and 0 < late <= min(gap, data.size):
        seen = f"DATA {late} bytes too late, by the eight zeros at the end of the file"
    elif ends_in_zeros and -GAP_INSPECTED < late < 0 and _begins_early(source, begin, end, -late):
        seen = f"DATA {-late} bytes too early, by the eight zeros at the end of the file"
    elif (surplus < 0 and tail != 0 and not (ends_in_zeros and late == 0)) or (
        surplus > 0 and tail == 1 and _begins_early(source, begin, end, 1)
    ):
        seen = f"{data.size + surplus} bytes of DATA behind padding, so that the begin may be one byte off, or the end"
    else:
        return
    raise log.refusal(
        "$BEGINDATA",
        begin,
        seen=seen,
        expected=f"{data.size} bytes in one place only",
        remedy="the offsets are shifted, so channels would be mixed up",
    )


def _begins_early(source: ByteSource, begin: int, end: int, by: int) -> bool:
    """Whether the first ``by`` bytes of DATA continue the padding before it, and those behind it are no padding."""
    before = source.read(begin - 1, 1)
    first, behind = source.read(begin, min(by, end - begin)), source.read(end, by)
    return before in (b" ", b"\0") and not first.strip(before) and bool(behind.strip(PADDING))


def _before(header: Header, begin: int) -> int:
    """The byte behind the segment that stands before ``begin``: TEXT, or HEADER."""
    return header.text_end + 1 if begin > header.text_begin else HEADER_SIZE
