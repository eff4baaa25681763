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
        gap = _unclaimed(source.read(header.base + first, size), first, claimed)
        return not gap.translate(None, PADDING + b"\x0c")

    return is_clean


def check_shift(
    source: ByteSource,
    header: Header,
    data: Segment,
    log: FindingLog,
    *,
    stop: int,
    surplus: int,
    claimed: tuple[Segment, ...],
) -> None:
    """Refuse a binary DATA segment that may begin or end elsewhere, by what stands at the end of the file or data set.

    The gap before DATA cannot show it: a shift may end within padding, or skip values whose bytes look like it.
    ``stop`` is the byte of the file behind this data set, ``surplus`` by how many bytes the offsets claimed more than
    the events take.

    Raises
    ------
    FcsError
        If DATA takes in some of the eight zeros that stand in the place of a CRC, or begins with padding and leaves
        as many bytes before them; or if the size is one byte off and its begin may be, as well as its end.
    """
    begin, end = header.base + data.begin, header.base + data.begin + data.size
    gap, tail = data.begin - _before(header, data.begin), stop - end
    if not data.size:
        return
    late = CRC_SIZE - tail
    ends_in_zeros = source.read(stop - CRC_SIZE, CRC_SIZE) == NO_CRC
    if ends_in_zeros and 0 < late <= data.size:
        seen = f"DATA that takes in {late} of the eight zeros at the end of the file"
    elif gap > 0 and ends_in_zeros and -GAP_INSPECTED < late < 0 and _begins_early(source, begin, end, -late):
        seen = f"DATA {-late} bytes too early, by the eight zeros at the end of the file"
    elif gap > 0 and _is_undecided(
        source, begin, end, surplus, tail, proven=tail == 0 or (ends_in_zeros and late == 0)
    ):
        seen = f"{data.size + surplus} bytes of DATA behind padding, so that the begin may be one byte off, or the end"
    else:
        if ends_in_zeros and -GAP_INSPECTED < late < 0:
            _tell_of_rest(source, header, end, -late, claimed, log)
        return
    raise log.refusal(
        "$BEGINDATA",
        begin,
        seen=seen,
        expected=f"{data.size} bytes in one place only",
        remedy="the offsets are shifted or bytes are missing, so channels would be mixed up",
    )


def _is_undecided(source: ByteSource, begin: int, end: int, surplus: int, tail: int, *, proven: bool) -> bool:
    """Whether a size that is one byte off may come from the begin; ``proven`` where the end of the file settles it."""
    if surplus < 0:
        return not proven
    return surplus > 0 and tail == 1 and _begins_early(source, begin, end, 1)


def _tell_of_rest(
    source: ByteSource, header: Header, end: int, size: int, claimed: tuple[Segment, ...], log: FindingLog
) -> None:
    """Bytes between DATA and the zeros, where none should be: some may have been put in among the events."""
    rest = _unclaimed(source.read(end, size), end - header.base, claimed)
    if rest.strip(PADDING):
        log.repair(
            "DATA",
            end,
            seen=f"{size} bytes between DATA and the eight zeros at the end of the file that no segment claims",
            expected="the zeros right behind DATA",
            remedy="left aside; if they are events, bytes were added before them and the values are wrong",
        )


def _unclaimed(raw: bytes, first: int, claimed: tuple[Segment, ...]) -> bytes:
    """Bytes from ``first`` on, with those of other segments blanked."""
    left = bytearray(raw)
    for segment in claimed:
        low, high = max(0, segment.begin - first), min(len(raw), segment.begin + segment.size - first)
        if low < high:
            left[low:high] = b" " * (high - low)
    return bytes(left)


def _begins_early(source: ByteSource, begin: int, end: int, by: int) -> bool:
    """Whether the first ``by`` bytes of DATA continue the padding before it, and those behind it are no padding."""
    before = source.read(begin - 1, 1)
    first, behind = source.read(begin, min(by, end - begin)), source.read(end, by)
    return before in (b" ", b"\0") and not first.strip(before) and bool(behind.strip(PADDING))


def _before(header: Header, begin: int) -> int:
    """The byte behind the segment that stands before ``begin``: TEXT, or HEADER."""
    return header.text_end + 1 if begin > header.text_begin else HEADER_SIZE
