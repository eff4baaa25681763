"""Where the DATA segment is: HEADER and TEXT both say so, and both can be wrong.

Each place is checked against ``$TOT`` x bytes per event, the end of TEXT and the size of the file.
One witness that fits is believed over one that cannot be true; two that both could be true are not
chosen between, except by the bytes: data begin right behind TEXT or behind padding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cytomrd.fcs.findings import FindingLog, quoted
from cytomrd.fcs.gaps import check_shift, gap_check
from cytomrd.fcs.header import Header
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import Keywords, read_whole_number

__all__ = ["Segment", "locate_data", "offset_keyword"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes ``begin`` to ``begin + size - 1``, counted from the data set's own begin."""

    begin: int
    size: int


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one witness says; ``fits`` is True where it agrees with ``$TOT`` up to one byte at the end."""

    witness: str
    byte_offset: int | None
    begin: int
    end: int
    fits: bool
    possible: bool

    @property
    def size(self) -> int:
        return self.end - self.begin + 1

    def __str__(self) -> str:
        return f"{self.witness} {self.begin} to {self.end} ({self.size} bytes)"


def offset_keyword(key: str, keywords: Keywords, log: FindingLog) -> int:
    """A byte offset from TEXT; 0 where it is missing or blank."""
    text = keywords.get(key)
    if text is None or not text.strip():
        return 0
    value = read_whole_number(text)
    if value is None:
        raise log.refusal(
            key, keywords.offset(key), seen=quoted(text), expected="a byte offset", remedy="the segment cannot be found"
        )
    return value


def locate_data(
    source: ByteSource,
    header: Header,
    keywords: Keywords,
    log: FindingLog,
    *,
    row_bytes: int,
    n_events: int | None,
    stop: int,
    claimed: tuple[Segment, ...] = (),
    is_text: bool = False,
) -> Segment:
    """Find the DATA segment.

    Parameters
    ----------
    source, header, keywords, log
        The file, its HEADER and TEXT, and where findings go.
    row_bytes
        Bytes per event; 0 where events have no fixed size (delimited ASCII).
    n_events
        ``$TOT``; None where FCS 2.0 leaves it out.
    stop
        The byte behind this data set in the file.
    claimed
        Other segments, whose bytes may lie between TEXT and DATA.
    is_text
        True for digits, which may well be the zeros that stand in the place of a CRC.

    Raises
    ------
    FcsError
        If no place fits, or more than one does.
    """
    claims = _claims(source, header, keywords, log, row_bytes, n_events)
    if not claims:
        if n_events == 0:
            return Segment(header.text_end + 1, 0)
        raise log.refusal(
            "$BEGINDATA",
            keywords.offset("$BEGINDATA") or header.base + 26,
            seen="no offsets of DATA in HEADER and in TEXT",
            expected="begin and end in one of them",
            remedy="the data cannot be found",
        )
    gap_is_clean = gap_check(source, header, claimed, row_bytes)
    claim = _choose(claims, gap_is_clean, log, row_bytes, n_events)
    if not gap_is_clean(claim.begin):
        raise log.refusal(
            "$BEGINDATA",
            header.base + claim.begin,
            seen=f"bytes between the end of TEXT ({header.text_end}) and DATA ({claim.begin}) that no segment claims",
            expected="DATA behind TEXT, or behind padding",
            remedy="the offsets are shifted, so channels would be mixed up",
        )
    segment = _segment_of(claim, source, header, log, row_bytes, n_events)
    if row_bytes and not is_text:
        check_shift(source, header, segment, log, stop=stop, surplus=claim.size - segment.size, claimed=claimed)
    return segment


def _claims(source, header, keywords, log, row_bytes, n_events) -> list[_Claim]:
    places = (
        ("HEADER", header.base + 26, header.data_begin, header.data_end),
        (
            "TEXT",
            keywords.offset("$BEGINDATA"),
            offset_keyword("$BEGINDATA", keywords, log),
            offset_keyword("$ENDDATA", keywords, log),
        ),
    )
    claims = []
    for witness, byte_offset, begin, end in places:
        if begin == 0 and end == 0:
            continue
        empty = end + 1 == begin and n_events == 0
        possible = empty or _possible(source, header, begin, end, row_bytes)
        fits = possible and (empty or _fits(end - begin + 1, row_bytes, n_events))
        claims.append(_Claim(witness, byte_offset, begin, end, fits, possible))
    return claims


def _possible(source: ByteSource, header: Header, begin: int, end: int, row_bytes: int) -> bool:
    """Whether a segment could lie there: whole, in the file, off TEXT, and (up to one byte) of whole events."""
    size = end - begin + 1
    # An end one too high lies one byte behind the file; that byte is not needed.
    inside = 0 < begin <= end <= source.size - header.base
    if not inside or _overlaps_text(source, header, begin, end):
        return False
    return row_bytes == 0 or size % row_bytes in (0, 1, row_bytes - 1)


def _overlaps_text(source: ByteSource, header: Header, begin: int, end: int) -> bool:
    if end < header.text_begin or begin > header.text_end:
        return False
    if begin < header.text_end:
        return True
    # TEXT often ends one byte too late. It did if its final delimiter stands one byte earlier.
    delimiter = source.read(header.base + header.text_begin, 1)
    before, shared = (source.read(header.base + header.text_end + i, 1) for i in (-1, 0))
    return not (before == delimiter and shared != delimiter)


def _fits(size: int, row_bytes: int, n_events: int | None) -> bool:
    if row_bytes == 0 or n_events is None:
        return row_bytes == 0 or size % row_bytes in ((0, 1) if row_bytes > 1 else (0,))
    off_by = abs(size - n_events * row_bytes)
    # With one byte per event "one byte off" is a whole event, and no slip of the pen.
    return off_by == 0 or (off_by == 1 and row_bytes > 1)


def _choose(
    claims: list[_Claim],
    gap_is_clean: Callable[[int], bool],
    log: FindingLog,
    row_bytes: int,
    n_events: int | None,
) -> _Claim:
    good = [c for c in claims if c.fits]
    shown = "; ".join(map(str, claims))
    wanted = f"{n_events} events of {row_bytes} bytes" if row_bytes else "a segment within the file"
    at = claims[-1].byte_offset
    if not good:
        raise log.refusal(
            "$TOT" if any(c.possible for c in claims) else "$ENDDATA",
            at,
            seen=f"DATA by {shown}",
            expected=wanted,
            remedy="the file is cut short, or $TOT or the offsets are wrong",
        )
    begins = {c.begin for c in good}
    if len(begins) > 1:
        good = [c for c in good if gap_is_clean(c.begin)]
        begins = {c.begin for c in good}
    # Where events have no fixed size nothing proves either end, so both must agree.
    undecided = row_bytes == 0 and len({c.end for c in good}) > 1
    if len(begins) != 1 or undecided or any(c.possible and not c.fits for c in claims):
        raise log.refusal(
            "$BEGINDATA",
            at,
            seen=f"DATA by {shown}",
            expected=wanted,
            remedy="HEADER and TEXT contradict each other, and both could be true",
        )
    chosen = min(good, key=lambda c: (abs(c.size - (n_events or 0) * row_bytes), c.witness != "HEADER"))
    wrong = [c for c in claims if (c.begin, c.end) != (chosen.begin, chosen.end)]
    if wrong:
        log.repair(
            "$BEGINDATA" if wrong[0].witness == "TEXT" else "HEADER",
            wrong[0].byte_offset,
            seen=f"DATA by {shown}",
            expected=wanted,
            remedy=f"{chosen.witness} was believed: it agrees with $TOT and the end of TEXT",
        )
    return chosen


def _segment_of(claim, source, header, log, row_bytes, n_events) -> Segment:
    """The claim's bytes, with an end that is one byte off put right."""
    if row_bytes == 0:
        if header.base + claim.end >= source.size:
            raise log.refusal(
                "$ENDDATA",
                claim.byte_offset,
                seen=str(claim.end),
                expected=f"below {source.size - header.base}",
                remedy="the file is cut short",
            )
        return Segment(claim.begin, claim.size)
    size = (claim.size // row_bytes if n_events is None else n_events) * row_bytes
    if header.base + claim.begin + size > source.size:
        raise log.refusal(
            "$TOT",
            claim.byte_offset,
            seen=f"{size} bytes of data from byte {header.base + claim.begin}",
            expected=f"a file of {header.base + claim.begin + size} bytes, not {source.size}",
            remedy="the file is cut short; copy it again from the instrument",
        )
    if size != claim.size:
        log.repair(
            "$ENDDATA",
            claim.byte_offset,
            seen=f"end of DATA {claim.end} by {claim.witness}",
            expected=str(claim.begin + size - 1),
            remedy="one byte off; the end was taken from $TOT x bytes per event",
        )
    return Segment(claim.begin, size)
