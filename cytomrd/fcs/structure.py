"""The structure of a data set: HEADER, TEXT, channels and DATA put together and checked against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cytomrd.errors import FcsError
from cytomrd.fcs.channels import Channel, read_channels, read_timestep
from cytomrd.fcs.findings import Finding, FindingLog, quoted
from cytomrd.fcs.gaps import CRC_SIZE
from cytomrd.fcs.header import HEADER_SIZE, MAX_TEXT, Header, read_header
from cytomrd.fcs.layout import RowLayout, possible_widths, read_byte_order
from cytomrd.fcs.plausible import DataSample
from cytomrd.fcs.segments import Segment, locate_data, offset_keyword
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import Keywords, merge, parse_text, read_whole_number

__all__ = ["DataSetSummary", "Structure", "read_structure"]

MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class DataSetSummary:
    """One data set of a file in short: where it begins, and ``$TOT`` and ``$PAR`` as its TEXT gives them."""

    index: int
    byte_offset: int
    version: str
    n_events: int | None
    n_channels: int | None


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """All that is needed to decode a data set, and all that was noticed on the way."""

    header: Header
    keywords: Keywords
    channels: tuple[Channel, ...]
    timestep: float | None
    layout: RowLayout
    data: Segment
    n_events: int
    findings: tuple[Finding, ...]
    summaries: tuple[DataSetSummary, ...]
    fingerprint: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _DataSet:
    """HEADER and TEXT of one data set, and where the next begins (None: this is the last)."""

    header: Header
    keywords: Keywords
    next_base: int | None


def read_structure(source: ByteSource, dataset: int, log: FindingLog) -> Structure:
    """Read the structure of data set ``dataset`` of a file.

    Raises
    ------
    FcsError
        If there is no such data set, or it cannot be read without guessing.
    """
    chosen, summaries = _walk(source, dataset, log)
    header, keywords = chosen.header, chosen.keywords
    _check_mode(header, keywords, log)
    channels = read_channels(keywords, header.version, log)
    timestep = read_timestep(keywords, channels, log)
    n_events = _read_total(header, keywords, log)
    claimed = _other_segments(source, header, keywords, log)
    stop = chosen.next_base or source.size
    layout, data = _locate(source, header, keywords, channels, n_events, claimed, stop, log)
    if chosen.next_base is not None and header.base + data.begin + data.size > chosen.next_base:
        raise _bad_next(keywords, "a data set that begins within this one's data", log)
    if n_events is None:
        n_events = data.size // layout.row_bytes
    sample = DataSample(source, header.base + data.begin, data.size, layout, channels, keywords, log)
    sample.check(n_events)
    return Structure(
        header,
        keywords,
        channels,
        timestep,
        layout,
        data,
        n_events,
        log.findings,
        tuple(summaries),
        source.fingerprint,
    )


def _walk(source: ByteSource, dataset: int, log: FindingLog) -> tuple[_DataSet, list[DataSetSummary]]:
    """Follow ``$NEXTDATA`` through the file; offsets only grow, so this ends."""
    chosen, summaries, base = None, [], 0
    while base is not None:
        index = len(summaries)
        if index > max(dataset, MAX_LISTED):
            log.note(
                "$NEXTDATA",
                base,
                seen=f"more than {MAX_LISTED} data sets",
                expected="one",
                remedy="the rest is not listed; each can be asked for by its number",
            )
            break
        # What is wrong with data sets that nobody asked for must not hide the one asked for.
        wanted = index == dataset or chosen is None
        local = FindingLog(strict=log.strict and wanted)
        try:
            found = _read_text(source, base, local)
        except FcsError as error:
            if wanted:
                raise
            log.note(
                "$NEXTDATA", base, seen=f"a damaged data set ({error})", expected="a data set", remedy="not listed"
            )
            break
        if index == dataset:
            chosen = found
            log.extend(local)
        summaries.append(_summary(index, found))
        base = found.next_base
    if chosen is None:
        raise FcsError(
            f"data set {dataset} is wanted, the file has {len(summaries)}, numbered from 0",
            keyword="$NEXTDATA",
            byte_offset=0,
        )
    if len(summaries) > 1:
        same = len({s.n_events for s in summaries}) == 1
        log.note(
            "$NEXTDATA",
            chosen.keywords.offset("$NEXTDATA"),
            seen=f"{len(summaries)} data sets" + (" of equal size, likely the same cells stored twice" if same else ""),
            expected="one",
            remedy=f"number {dataset} was read; the others can be asked for and are never added to it",
        )
    return chosen, summaries


def _summary(index: int, found: _DataSet) -> DataSetSummary:
    counts = (read_whole_number(found.keywords.get(key) or "") for key in ("$TOT", "$PAR"))
    return DataSetSummary(index, found.header.base, found.header.version, *counts)


def _read_text(source: ByteSource, base: int, log: FindingLog) -> _DataSet:
    header = read_header(source, base, log)
    raw = source.read(base + header.text_begin, header.text_end - header.text_begin + 1)
    if not raw.endswith(raw[:1]) and base + header.text_end + 1 < source.size:
        following = source.read(base + header.text_end + 1, 1)
        if following == raw[:1]:
            log.repair(
                "HEADER",
                base + 18,
                seen=f"end of TEXT {header.text_end}, one byte before the final delimiter",
                expected=str(header.text_end + 1),
                remedy="the delimiter was taken in",
            )
            raw, header = raw + following, replace(header, text_end=header.text_end + 1)
    keywords = parse_text(raw, base + header.text_begin, log)
    _add_supplement(source, header, keywords, log)
    return _DataSet(header, keywords, _next_base(source, header, keywords, log))


def _add_supplement(source: ByteSource, header: Header, keywords: Keywords, log: FindingLog) -> None:
    """Add the keywords of supplemental TEXT, where there is one."""
    begin, end = (offset_keyword(key, keywords, log) for key in ("$BEGINSTEXT", "$ENDSTEXT"))
    if begin == end == 0 or header.version == "FCS2.0" or (begin == end + 1):
        return
    at = keywords.offset("$BEGINSTEXT")
    seen = f"supplemental TEXT from byte {begin} to {end}"
    if begin == header.text_begin:
        log.note(
            "$BEGINSTEXT", at, seen=seen, expected="0, or bytes of its own", remedy="it is the primary TEXT, read once"
        )
        return
    overlaps = begin <= header.text_end and end >= header.text_begin
    if not HEADER_SIZE <= begin < end < source.size - header.base or overlaps or end - begin >= MAX_TEXT:
        raise log.refusal(
            "$BEGINSTEXT",
            at,
            seen=seen,
            expected="bytes within the file, outside TEXT",
            remedy="keywords are missing; copy the file again",
        )
    raw = source.read(header.base + begin, end - begin + 1)
    if raw.startswith(b"PK\x03\x04"):
        log.repair("$BEGINSTEXT", at, seen="a ZIP archive", expected="keywords", remedy="left aside (CyFlow settings)")
        return
    supplement = parse_text(raw, header.base + begin, log, segment="supplemental TEXT")
    merge(keywords, supplement, log)


def _next_base(source: ByteSource, header: Header, keywords: Keywords, log: FindingLog) -> int | None:
    """Where the next data set begins, or None; ``$NEXTDATA`` counts from this data set's own begin."""
    key = "$NEXTDATA"
    text, at = keywords.get(key), keywords.offset(key)
    if text is None or not text.strip():
        if text is not None or header.version != "FCS3.2":
            log.repair(key, at, seen=quoted(text), expected="an offset or 0", remedy="read as 0: no further data set")
        return None
    offset = read_whole_number(text)
    if offset == 0:
        return None
    if offset is None or offset <= max(HEADER_SIZE, header.text_end, header.data_end - 1):
        raise _bad_next(keywords, repr(text), log)
    base = header.base + offset
    if base + 3 <= source.size and source.read(base, 3) == b"FCS":
        return base
    ends = {header.data_end + 1, offset_keyword("$ENDDATA", keywords, log) + 1}
    if ends & {offset, offset - 1} and source.size - base <= CRC_SIZE:
        log.repair(
            key, at, seen=quoted(text), expected="0", remedy="it points behind the data, where the file ends; read as 0"
        )
        return None
    raise _bad_next(keywords, f"{text!r}, where no data set begins in {source.size - header.base} bytes", log)


def _bad_next(keywords: Keywords, seen: str, log: FindingLog) -> FcsError:
    return log.refusal(
        "$NEXTDATA",
        keywords.offset("$NEXTDATA"),
        seen=seen,
        expected="0, or the begin of a data set behind this one",
        remedy="the file is damaged or cut short",
    )


def _check_mode(header: Header, keywords: Keywords, log: FindingLog) -> None:
    mode = keywords.get("$MODE")
    at = keywords.offset("$MODE")
    if mode is None:
        if header.version != "FCS3.2":
            log.repair("$MODE", at, seen="nothing", expected="L", remedy="read as list mode")
        return
    if mode.strip().upper() != "L":
        raise log.refusal("$MODE", at, seen=quoted(mode), expected="L", remedy="histograms hold no events")


def _read_total(header: Header, keywords: Keywords, log: FindingLog) -> int | None:
    text, at = keywords.get("$TOT"), keywords.offset("$TOT")
    total = None if text is None else read_whole_number(text)
    if text is None and header.version == "FCS2.0":
        log.repair("$TOT", at, seen="nothing", expected="the number of events", remedy="counted from the bytes")
        return None
    if total is None:
        raise log.refusal("$TOT", at, seen=quoted(text), expected="a whole number", remedy="events cannot be checked")
    return total


def _other_segments(source: ByteSource, header: Header, keywords: Keywords, log: FindingLog) -> tuple[Segment, ...]:
    """All segments but TEXT and DATA, which may lie before DATA; the list of OTHER segments in HEADER is one too."""
    available = source.size - header.base
    claimed = [Segment(begin, end - begin + 1) for begin, end in header.others if 0 < begin < end <= available]
    claimed.append(Segment(HEADER_SIZE, 16 * len(header.others)))
    places = (
        (header.analysis_begin, header.analysis_end, "HEADER", header.base + 42),
        (
            *(offset_keyword(key, keywords, log) for key in ("$BEGINANALYSIS", "$ENDANALYSIS")),
            "$BEGINANALYSIS",
            keywords.offset("$BEGINANALYSIS"),
        ),
        (*(offset_keyword(key, keywords, log) for key in ("$BEGINSTEXT", "$ENDSTEXT")), "$BEGINSTEXT", None),
    )
    for begin, end, key, at in places:
        if begin < end <= available:
            claimed.append(Segment(begin, end - begin + 1))
        elif (begin or end) and end + 1 != begin:
            log.repair(
                key,
                at,
                seen=f"a segment from byte {begin} to {end}",
                expected=f"within the file of {source.size} bytes",
                remedy="left aside; it holds no events",
            )
    return tuple(claimed)


def _locate(source, header, keywords, channels, n_events, claimed, stop, log) -> tuple[RowLayout, Segment]:
    """Layout and place of DATA; where a width leaves a choice, the size of DATA decides."""
    if len({c.bits == 0 for c in channels}) > 1:
        raise log.refusal(
            "$PnB",
            keywords.offset("$P1B"),
            seen="fixed and delimited ASCII",
            expected="one of them",
            remedy="rows are undefined",
        )
    found, failure = [], None
    for widths in possible_widths(channels):
        attempt = FindingLog(strict=log.strict)
        try:
            layout = RowLayout(widths, read_byte_order(keywords, channels, widths or (1,), attempt))
            if layout.row_bytes == 0 and n_events is None:
                raise log.refusal(
                    "$TOT",
                    keywords.offset("$TOT"),
                    seen="nothing",
                    expected="the number of events",
                    remedy="rows are not defined",
                )
            data = locate_data(
                source,
                header,
                keywords,
                attempt,
                row_bytes=layout.row_bytes,
                n_events=n_events,
                stop=stop,
                claimed=claimed,
                is_text=channels[0].datatype == "A",
            )
        except FcsError as error:
            failure = failure or error
        else:
            found.append((layout, data, attempt))
    if not found:
        raise failure
    if len(found) > 1:
        # An end that is one byte off may fit by chance; one that needs no repair does not.
        found = [f for f in found if all(finding.grade == "note" for finding in f[2].findings)] or found
    if len(found) > 1 and n_events != 0:
        raise log.refusal(
            "$PnB",
            keywords.offset("$P1B"),
            seen="widths that fit twice",
            expected="one layout",
            remedy="rows are not defined",
        )
    layout, data, attempt = found[0]
    log.extend(attempt)
    return layout, data
