"""The HEADER segment: version and byte offsets, and the bounds of the TEXT segment."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from cytomrd.fcs.findings import FindingLog
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import printable

__all__ = ["HEADER_SIZE", "Header", "read_header"]

HEADER_SIZE = 58
MAX_TEXT = 16 << 20
MAX_OTHERS = 64
VERSIONS = ("FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2")
_FIELDS = ("text_begin", "text_end", "data_begin", "data_end", "analysis_begin", "analysis_end")
_OFFSET = re.compile(rb" *([0-9]+) *")
_SIGNATURES = {
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a ZIP archive",
    b"\x89HDF": "an HDF5 file",
    b"%PDF": "a PDF document",
    b"<?xml": "an XML document",
}


@dataclass(frozen=True, slots=True)
class Header:
    """Offsets as HEADER gives them, in bytes from the data set's own begin; 0 means not given.

    ``base`` is where the data set begins in the file: 0 for the first one. ``others`` are begin and end of further
    segments, which a HEADER may list behind its six offsets.
    """

    version: str
    base: int
    text_begin: int
    text_end: int
    data_begin: int
    data_end: int
    analysis_begin: int
    analysis_end: int
    others: tuple[tuple[int, int], ...] = ()


def read_header(source: ByteSource, base: int, log: FindingLog) -> Header:
    """Read and check the HEADER that stands at byte ``base``.

    Raises
    ------
    FcsError
        If it is no FCS HEADER, an offset is not a number, or TEXT lies outside the file.
    """
    available = source.size - base
    raw = source.read(base, min(HEADER_SIZE, available))
    version = raw[:6].decode("latin-1")
    if version not in VERSIONS:
        what = next((name for magic, name in _SIGNATURES.items() if raw.startswith(magic)), None)
        seen = what or ("an empty file" if not raw else repr(raw[:6])[1:])
        raise log.refusal(
            "HEADER", base, seen=seen, expected="one of " + ", ".join(VERSIONS), remedy="this is not an FCS file"
        )
    if len(raw) < HEADER_SIZE:
        raise log.refusal(
            "HEADER",
            base,
            seen=f"{len(raw)} bytes",
            expected=f"at least {HEADER_SIZE}",
            remedy="the file is cut short; copy it again from the instrument",
        )
    header = Header(version, base, *(_offset(raw, i, base, log) for i in range(6)))
    _check_text(header, available, log)
    return replace(header, others=_others(source, header))


def _offset(raw: bytes, index: int, base: int, log: FindingLog) -> int:
    at = 10 + 8 * index
    text = raw[at : at + 8].strip(b" ")
    if not text:
        return 0
    if not text.isdigit():
        raise log.refusal(
            "HEADER",
            base + at,
            seen=f"{printable(text.decode('latin-1'))!r} as {_FIELDS[index]}",
            expected="a byte offset in digits, or blank",
            remedy="the HEADER is damaged",
        )
    return int(text)


def _check_text(header: Header, available: int, log: FindingLog) -> None:
    begin, end = header.text_begin, header.text_end
    if not HEADER_SIZE <= begin < end < available:
        raise log.refusal(
            "HEADER",
            header.base + 10,
            seen=f"TEXT from byte {begin} to {end} of {available}",
            expected=f"{HEADER_SIZE} <= begin < end < file size",
            remedy="the file is cut short or its HEADER is damaged",
        )
    if end - begin >= MAX_TEXT:
        raise log.refusal(
            "HEADER",
            header.base + 18,
            seen=f"TEXT of {end - begin + 1} bytes",
            expected=f"at most {MAX_TEXT}",
            remedy="no instrument writes so much text; the HEADER is damaged",
        )


def _others(source: ByteSource, header: Header) -> tuple[tuple[int, int], ...]:
    """Pairs of offsets behind byte 58 (OTHER segments), up to the first thing that is no such pair."""
    end = min(header.text_begin, header.data_begin or header.text_begin, HEADER_SIZE + 16 * MAX_OTHERS)
    if end < HEADER_SIZE + 16:
        return ()
    raw, pairs = source.read(header.base + HEADER_SIZE, end - HEADER_SIZE), []
    for at in range(0, len(raw) - 15, 16):
        fields = [_OFFSET.fullmatch(raw[i : i + 8]) for i in (at, at + 8)]
        if None in fields:
            break
        pairs.append((int(fields[0][1]), int(fields[1][1])))
    return tuple(pairs)
