"""Writing FCS 3.1 list mode: little endian, one data set, written whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cytomrd.errors import FcsError
from cytomrd.fcs.text import printable
from cytomrd.preprocess.compensation import SPILLOVER_KEYWORDS, Spillover

__all__ = ["write_fcs"]

DEFAULT_RANGE = 262144
LARGEST_IN_HEADER = 99_999_999
TEXT_BEGIN = 58
CRC_ABSENT = b"00000000"
# No printable character that names, values or numbers usually hold comes first.
DELIMITERS = "|\x0c\\!^~*\x1e"
_TYPES = {"F": np.dtype("<f4"), "D": np.dtype("<f8"), "I": np.dtype("<u4")}
_STRUCTURAL = re.compile(
    r"\$(?:BEGIN|END)(?:ANALYSIS|DATA|STEXT)|\$(?:BYTEORD|DATATYPE|MODE|NEXTDATA|PAR|TOT|TIMESTEP|UNICODE)"
    r"|\$P[0-9]+(?:[BENGRS]|DATATYPE)"
)
_PARAMETER = re.compile(r"\$P([0-9]+)[A-Z]+")


def write_fcs(
    path: str | os.PathLike,
    events: np.ndarray | Iterable[np.ndarray],
    detectors: Sequence[str],
    *,
    markers: Sequence[str] | None = None,
    keywords: Mapping[str, str] | None = None,
    ranges: Sequence[float] | None = None,
    gains: Sequence[float] | None = None,
    spillover: Spillover | None = None,
    timestep: float | None = None,
    datatype: str = "F",
    n_events: int | None = None,
) -> None:
    """Write an FCS 3.1 file.

    Parameters
    ----------
    path
        The file; it appears whole or not at all.
    events
        Array of shape (n_events, n_channels), or an iterable of such blocks together with ``n_events``.
        They are stored as given: a reader divides by ``gains`` and multiplies time by ``timestep``.
    detectors, markers
        ``$PnN`` (unique, without commas) and ``$PnS`` (empty for none).
    keywords
        Further keywords. Those that describe the layout (``$TOT``, ``$PnB``, offsets, ...) are left out, since
        the writer gives its own; so are empty values, which FCS forbids.
    ranges, gains
        ``$PnR`` (262144 by default) and ``$PnG``.
    spillover
        Written as ``$SPILLOVER``, in place of any matrix among ``keywords``.
    timestep
        ``$TIMESTEP``, seconds per unit of the time channel.
    datatype
        ``"F"`` float32, ``"D"`` float64 or ``"I"`` unsigned 32-bit integers below ``$PnR``.
    n_events
        Needed where ``events`` is an iterable of blocks.

    Raises
    ------
    FcsError
        If names, shapes or values cannot be written exactly as asked.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> path = tempfile.mkdtemp() + "/tube.fcs"
    >>> cm.write_fcs(path, np.array([[1.0, 2.5]]), ["FSC-A", "FITC-A"], keywords={"$CYT": "made up"})
    >>> cm.open_fcs(path).keywords["$CYT"]
    'made up'
    """
    if datatype not in _TYPES:
        raise FcsError(f"data type {datatype!r} is wanted, F, D and I can be written", keyword="$DATATYPE")
    blocks, n_events = _as_blocks(events, n_events)
    columns = _column_keywords(detectors, markers, ranges, gains, datatype)
    extra = _free_keywords(keywords or {}, len(detectors), spillover)
    if spillover is not None:
        extra["$SPILLOVER"] = _spillover_text(spillover, detectors)
    if timestep is not None:
        extra["$TIMESTEP"] = _number_text(timestep, "$TIMESTEP")
    size = n_events * len(detectors) * _TYPES[datatype].itemsize
    head = _head(columns | extra, datatype, len(detectors), n_events, size)
    limits = [float(columns[f"$P{i + 1}R"]) for i in range(len(detectors))]
    with _whole_file(Path(path)) as handle:
        handle.write(head)
        _write_blocks(handle, blocks, n_events, len(detectors), datatype, limits)
        handle.write(CRC_ABSENT)


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that takes its name once all is written and on the disk; on any error nothing is left."""
    temporary = path.with_name(f".{path.name[:60]}.{secrets.token_hex(6)}.part")
    try:
        try:
            with temporary.open("xb") as handle:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        name = printable(str(path), max_length=300)
        raise FcsError(f"{name}: cannot be written ({error.strerror})", keyword="FILE") from error


def _as_blocks(events, n_events: int | None) -> tuple[Iterable[np.ndarray], int]:
    if isinstance(events, np.ndarray):
        if events.ndim != 2:
            raise FcsError(f"events of shape {events.shape}; (n_events, n_channels) is wanted", keyword="DATA")
        if n_events not in (None, len(events)):
            raise FcsError(f"{len(events)} events are given, {n_events} announced", keyword="$TOT")
        return [events], len(events)
    if n_events is None or n_events < 0:
        raise FcsError("blocks of events are given without n_events; it must be known before", keyword="$TOT")
    return events, n_events


def _column_keywords(detectors, markers, ranges, gains, datatype) -> dict[str, str]:
    n = len(detectors)
    for name, given in (("markers", markers), ("ranges", ranges), ("gains", gains)):
        if given is not None and len(given) != n:
            raise FcsError(f"{len(given)} {name} for {n} detectors", keyword="$PAR")
    if n == 0 or len(set(detectors)) != n or any("," in d or not d.strip() for d in detectors):
        raise FcsError(
            f"detectors {list(detectors)!r}: at least one is wanted, all different, not empty, without commas",
            keyword="$PnN",
        )
    result = {}
    for i, detector in enumerate(detectors):
        key = f"$P{i + 1}"
        value_range = DEFAULT_RANGE if ranges is None else ranges[i]
        if not (np.isfinite(value_range) and value_range > 1) or (datatype == "I" and value_range > 2**32):
            raise FcsError(f"range {value_range} of {detector!r} is given, above 1 is wanted", keyword=f"{key}R")
        result |= {f"{key}N": detector, f"{key}B": str(8 * _TYPES[datatype].itemsize), f"{key}E": "0,0"}
        result[f"{key}R"] = _number_text(value_range, f"{key}R")
        if markers is not None and markers[i]:
            result[f"{key}S"] = markers[i]
        if gains is not None and gains[i] != 1:
            if not gains[i] > 0:
                raise FcsError(f"gain {gains[i]} of {detector!r} is given, above 0 is wanted", keyword=f"{key}G")
            result[f"{key}G"] = _number_text(gains[i], f"{key}G")
    return result


def _free_keywords(keywords: Mapping[str, str], n_channels: int, spillover: Spillover | None) -> dict[str, str]:
    result = {}
    for name, value in keywords.items():
        key, value = name.strip().upper(), str(value)
        parameter = _PARAMETER.fullmatch(key)
        if _STRUCTURAL.fullmatch(key) or (parameter and not 1 <= int(parameter[1]) <= n_channels):
            continue
        if spillover is not None and key in SPILLOVER_KEYWORDS:
            continue
        if key and value:
            result[key] = value
    return result


def _spillover_text(spillover: Spillover, detectors: Sequence[str]) -> str:
    missing = [d for d in spillover.detectors if d not in detectors]
    if missing:
        raise FcsError(f"the spillover matrix names {missing[0]!r}, which is no detector", keyword="$SPILLOVER")
    numbers = [repr(float(x)) for x in spillover.matrix.ravel()]
    return ",".join([str(len(spillover.detectors)), *spillover.detectors, *numbers])


def _number_text(value: float, keyword: str) -> str:
    value = float(value)
    if not np.isfinite(value):
        raise FcsError(f"{value} is given, a finite number is wanted", keyword=keyword)
    return str(int(value)) if value.is_integer() and abs(value) < 2**63 else repr(value)


def _head(keywords: dict[str, str], datatype: str, n_channels: int, n_events: int, size: int) -> bytes:
    """HEADER and TEXT. TEXT holds its own length in ``$BEGINDATA``, so it is built until that is right."""
    begin = end = 0
    while True:
        required = {
            "$BEGINANALYSIS": "0",
            "$ENDANALYSIS": "0",
            "$BEGINSTEXT": "0",
            "$ENDSTEXT": "0",
            "$BEGINDATA": str(begin),
            "$ENDDATA": str(end),
            "$BYTEORD": "1,2,3,4",
            "$DATATYPE": datatype,
            "$MODE": "L",
            "$NEXTDATA": "0",
            "$PAR": str(n_channels),
            "$TOT": str(n_events),
        }
        text = _text(required | keywords)
        data_begin = TEXT_BEGIN + len(text)
        data_end = data_begin + size - 1
        if (begin, end) == (data_begin, data_end):
            break
        begin, end = data_begin, data_end
    if begin - 1 > LARGEST_IN_HEADER:
        raise FcsError(f"keywords of {len(text)} bytes are given; TEXT must end within 99,999,999", keyword="TEXT")
    in_header = (begin, end) if end <= LARGEST_IN_HEADER else (0, 0)
    offsets = (TEXT_BEGIN, begin - 1, *in_header, 0, 0)
    return b"FCS3.1    " + "".join(f"{o:>8}" for o in offsets).encode() + text


def _text(keywords: dict[str, str]) -> bytes:
    joined = "".join([*keywords, *keywords.values()])
    free = next((d for d in DELIMITERS if d not in joined), None)
    delimiter = free or DELIMITERS[0]
    parts = [""]
    for key, value in keywords.items():
        if free is None:
            if value.startswith(delimiter) or key.startswith(delimiter):
                raise FcsError(f"{key!r} begins with every delimiter that could be used", keyword=key)
            key, value = (part.replace(delimiter, 2 * delimiter) for part in (key, value))
        parts += [key, value]
    try:
        return delimiter.join([*parts, ""]).encode("utf-8")
    except UnicodeEncodeError as error:
        raise FcsError(f"a keyword cannot be written as UTF-8 ({error.reason})", keyword="TEXT") from None


def _write_blocks(handle, blocks, n_events: int, n_channels: int, datatype: str, limits: list[float]) -> None:
    written = 0
    for block in blocks:
        block = np.asarray(block)
        if block.ndim != 2 or block.shape[1] != n_channels:
            raise FcsError(f"a block of shape {block.shape} is given, (n, {n_channels}) is wanted", keyword="DATA")
        step = max(1, (4 << 20) // (8 * n_channels))
        for first in range(0, len(block), step):
            part = block[first : first + step]
            handle.write(memoryview(_stored(part, datatype, limits)).cast("B") if len(part) else b"")
        written += len(block)
        if written > n_events:
            break
    if written != n_events:
        raise FcsError(f"{n_events} events were announced, {written} or more were given", keyword="$TOT")


def _stored(values: np.ndarray, datatype: str, limits: list[float]) -> np.ndarray:
    if datatype == "I":
        if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
            raise FcsError("values that are not whole numbers are given for data type I", keyword="DATA")
        if (values < 0).any() or (values >= limits).any():
            raise FcsError("values outside 0 to $PnR are given for data type I; raise the range", keyword="DATA")
        return np.ascontiguousarray(values, dtype=_TYPES["I"])
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(values, dtype=_TYPES[datatype])
    if datatype == "F" and (np.isinf(stored) & np.isfinite(values)).any():
        raise FcsError("a value is too large for float32; write data type D", keyword="DATA")
    return stored
