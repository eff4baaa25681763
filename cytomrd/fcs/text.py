"""The TEXT segment: keywords and their values, and the numbers written in them.

A doubled delimiter stands for one delimiter within a value (FCS 3.1, section 3.2). Many writers
break this rule with empty values (``|$OP||$SRC|x|``), which by the letter makes a keyword
``$OP|$SRC``. Keywords do not hold delimiters in practice, values do, so a delimiter within a keyword
is read as the end of an empty value; whatever stays ambiguous is refused.
"""

from __future__ import annotations

import math
import re
import string
import unicodedata
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cytomrd.fcs.findings import FindingLog

__all__ = ["Keywords", "merge", "parse_text", "printable", "read_number", "read_whole_number"]

MAX_KEYWORDS = 500_000
BLANKS = " \r\n\t\0"
PADDING = BLANKS.encode()

_WHOLE = re.compile(r"[0-9]{1,40}")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_STANDARD = re.compile(
    r"\$(?:BEGIN|END)(?:ANALYSIS|DATA|STEXT)|\$(?:BYTEORD|DATATYPE|MODE|NEXTDATA|PAR|TOT|ABRT|BTIM|CELLS|COM|CSMODE"
    r"|CSVBITS|CYT|CYTSN|DATE|ETIM|EXP|FIL|GATE|GATING|INST|LAST_MODIFIED|LAST_MODIFIER|LOST|OP|ORIGINALITY|PLATEID"
    r"|PLATENAME|PROJ|SMNO|SPILLOVER|SRC|SYS|TIMESTEP|TR|UNICODE|VOL|WELLID|COMP)|\$P[0-9]+[A-Z]+"
)
_UPPER = {ord(c): ord(c.upper()) for c in string.ascii_lowercase}
_SPILL_KEYS = frozenset({"SPILL", "SPILLOVER"})


@dataclass(slots=True)
class Keywords:
    """Keywords of one data set: upper-case names, values as written, and where each name stands in the file."""

    begin: int
    values: dict[str, str] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)

    def get(self, keyword: str) -> str | None:
        """The value as written, or None."""
        return self.values.get(keyword)

    def offset(self, keyword: str) -> int:
        """Byte offset of the keyword in the file; that of TEXT where it is missing."""
        return self.offsets.get(keyword, self.begin)


def printable(text: str, max_length: int | None = None) -> str:
    """Text of a file made safe for a terminal or a log.

    Control characters (escape sequences), direction overrides and invisible format characters
    become visible escapes such as ``\\x1b``; all else stays.

    Examples
    --------
    >>> from cytomrd.fcs.text import printable
    >>> printable("CD3" + chr(27) + "[2J")
    'CD3\\\\x1b[2J'
    """
    text = str(text)
    if max_length is not None and len(text) > max_length:
        text = text[: max_length - 3] + "..."
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(c) for c in text)


def _visible(character: str) -> str:
    if unicodedata.category(character)[0] == "C" or unicodedata.category(character) in ("Zl", "Zp"):
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return character


def read_whole_number(text: str) -> int | None:
    """A non-negative whole number in plain digits with spaces around, else None (``"40.0"``, ``"-5"``, ``"4_0"``)."""
    stripped = text.strip(" \t\r\n")
    return int(stripped) if _WHOLE.fullmatch(stripped) else None


def read_number(text: str) -> float | None:
    """A finite decimal number with spaces around, else None."""
    stripped = text.strip(" \t\r\n")
    if not _DECIMAL.fullmatch(stripped):
        return None
    value = float(stripped)
    return value if math.isfinite(value) else None


def parse_text(raw: bytes, file_offset: int, log: FindingLog, *, segment: str = "TEXT") -> Keywords:
    """Split a TEXT segment into keywords.

    Parameters
    ----------
    raw
        The segment, first byte = delimiter.
    file_offset
        Where ``raw`` begins in the file.
    log
        Takes the findings.
    segment
        Its name in findings.

    Raises
    ------
    FcsError
        If the segment cannot be split in one way only.
    """
    delimiter = raw[:1]
    _check_delimiter(raw, file_offset, log, segment)
    body = _without_padding(raw, delimiter, file_offset, log, segment)
    plain = _plain_keywords(body, delimiter, file_offset)
    if plain is not None:
        return plain
    tokens = _tokens(body, delimiter, file_offset + 1)
    keywords = Keywords(file_offset)
    for (key, offset), (value, value_offset) in zip(tokens[::2], tokens[1::2], strict=False):
        *empties, last = _keys_of(key, offset, delimiter, log)
        for name, place in empties:
            _add(keywords, _decode(name, place, log), "", place, log)
        _add(keywords, _decode(last[0], last[1], log), _decode(value, value_offset, log), last[1], log)
    if len(tokens) % 2:
        _take_orphan(*tokens[-1], delimiter, keywords, log)
    for value, value_offset in tokens[1::2]:
        _check_value(value, delimiter, value_offset, keywords, log)
    return keywords


def merge(primary: Keywords, supplement: Keywords, log: FindingLog) -> None:
    """Add the keywords of supplemental TEXT to ``primary``; one that contradicts it is refused or told."""
    for key, value in supplement.values.items():
        _add(primary, key, value, supplement.offsets[key], log)


def _check_delimiter(raw: bytes, file_offset: int, log: FindingLog, segment: str) -> None:
    delimiter = raw[:1]
    if len(raw) < 2 or delimiter in (b"$", b"\0"):
        # With "$" itself "v$$$K" is either "v$" then "K" or "v" then "$K".
        raise log.refusal(
            segment,
            file_offset,
            seen=f"delimiter {delimiter!r}",
            expected="any byte but $ and NUL before the first keyword",
            remedy="the segment cannot be split into keywords in one way only",
        )
    if raw.count(delimiter) > MAX_KEYWORDS:
        raise log.refusal(
            segment,
            file_offset,
            seen=f"{raw.count(delimiter)} delimiters",
            expected=f"at most {MAX_KEYWORDS}",
            remedy="no instrument writes so many keywords; the file is damaged",
        )


def _without_padding(raw: bytes, delimiter: bytes, file_offset: int, log: FindingLog, segment: str) -> bytes:
    """The segment between its first and its final delimiter."""
    stripped = raw.rstrip(PADDING.replace(delimiter, b""))
    if len(stripped) > 1 and stripped.endswith(delimiter):
        return stripped[1:-1]
    log.repair(
        segment,
        file_offset + len(raw) - 1,
        seen="no final delimiter",
        expected=f"{delimiter!r} as the last byte",
        remedy="the last value was read up to the segment's end",
    )
    return stripped[1:]


def _plain_keywords(body: bytes, delimiter: bytes, file_offset: int) -> Keywords | None:
    """The keywords of a segment in which nothing is doubtful, as most are; None where anything needs a second look."""
    if not body.isascii() or 2 * delimiter in body:
        return None
    tokens = body.decode("ascii").split(delimiter.decode("latin-1"))
    names, values = [name.upper() for name in tokens[::2]], tokens[1::2]
    found = dict(zip(names, values, strict=False))
    is_plain = len(names) == len(values) == len(found) and all(map(_is_plain_name, names))
    if not is_plain or any(value.startswith("$") for value in values):
        return None
    ends = list(accumulate(len(token) + 1 for token in tokens))
    offsets = [file_offset + 1, *(file_offset + 1 + end for end in ends[1:-1:2])]
    return Keywords(file_offset, found, dict(zip(names, offsets, strict=True)))


def _is_plain_name(name: str) -> bool:
    return name != "" and name == name.strip(BLANKS)


def _tokens(body: bytes, delimiter: bytes, file_offset: int) -> list[tuple[bytes, int]]:
    """Tokens and their byte offsets; pairs of delimiters within a run are literal, the odd one separates."""
    parts = body.split(delimiter)
    tokens, pieces, start, position = [], [parts[0]], file_offset, file_offset + len(parts[0]) + 1
    i = 1
    while i < len(parts):
        if parts[i] == b"" and i + 1 < len(parts):
            pieces += [delimiter, parts[i + 1]]
            position += len(parts[i + 1]) + 2
            i += 2
        else:
            tokens.append((b"".join(pieces), start))
            pieces, start = [parts[i]], position
            position += len(parts[i]) + 1
            i += 1
    tokens.append((b"".join(pieces), start))
    return tokens


def _keys_of(key: bytes, offset: int, delimiter: bytes, log: FindingLog) -> list[tuple[bytes, int]]:
    """A keyword; or several, all but the last with an empty value, where delimiters stand within it."""
    if delimiter not in key:
        return [(key, offset)]
    parts = key.split(delimiter)
    # A letter, digit, space, "_", "-" or "." may well be part of a keyword, unless "$" follows.
    plausible = delimiter.isalnum() or delimiter in b" _-."
    if plausible and not any(part.lstrip().startswith(b"$") for part in parts):
        return [(key, offset)]
    found, place = [], offset
    for part in parts:
        if not part.strip(PADDING):
            raise log.refusal(
                "TEXT",
                place,
                seen=repr(key),
                expected="a keyword",
                remedy="delimiters stand so that keywords and values cannot be told apart",
            )
        found.append((part, place))
        place += len(part) + 2
    for part, at in found[:-1]:
        log.repair(
            part.decode("latin-1").strip().upper(),
            at,
            seen="an empty value",
            expected="a value, or no keyword",
            remedy="read as empty",
        )
    return found


def _check_value(value: bytes, delimiter: bytes, offset: int, keywords: Keywords, log: FindingLog) -> None:
    """Refuse a value that is, or holds behind a delimiter, a standard keyword missing elsewhere: pairs have slipped."""
    parts = value.split(delimiter) if delimiter in value else [value]
    for part in parts:
        if not part.startswith(b"$"):
            continue
        name = part.decode("latin-1").upper()
        if _STANDARD.fullmatch(name) and name not in keywords.values:
            raise log.refusal(
                name,
                offset,
                seen=f"the keyword within the value {value!r}",
                expected="a keyword in a keyword's place",
                remedy="a value or a delimiter is missing before it, so values cannot be assigned safely",
            )


def _take_orphan(token: bytes, offset: int, delimiter: bytes, keywords: Keywords, log: FindingLog) -> None:
    """A last token without partner: an empty value at the end, a stray delimiter, or a harmless word."""
    if not token.strip(PADDING):
        log.repair("TEXT", offset, seen="a stray delimiter at the end", expected="keyword and value", remedy="ignored")
        return
    *empties, last = _keys_of(token, offset, delimiter, log)
    for name, place in empties:
        _add(keywords, _decode(name, place, log), "", place, log)
    name = _upper(_decode(*last, log).strip())
    if name.startswith("$") or name in _SPILL_KEYS:
        raise log.refusal(name, last[1], seen="no value", expected="a value", remedy="the end of TEXT is missing")
    log.repair(name, last[1], seen="a keyword without value", expected="keyword and value", remedy="ignored")


def _add(keywords: Keywords, name: str, value: str, offset: int, log: FindingLog) -> None:
    written = _upper(name)
    key = written.strip(BLANKS)
    if not key:
        raise log.refusal(
            "TEXT", offset, seen="an empty keyword", expected="a keyword", remedy="the segment is damaged"
        )
    if key != written:
        log.note(key, offset, seen=f"{name[:40]!r}", expected="no space around a keyword", remedy="space ignored")
    if key not in keywords.values:
        keywords.values[key] = value
        keywords.offsets[key] = offset
    elif keywords.values[key] == value:
        log.note(key, offset, seen="the keyword twice, equal", expected="once", remedy="read once")
    elif key.startswith("$") or key in _SPILL_KEYS:
        raise log.refusal(
            key,
            offset,
            seen=f"{value[:40]!r} and before {keywords.values[key][:40]!r}",
            expected="one value",
            remedy="nothing tells which is right",
        )
    else:
        log.repair(
            key,
            offset,
            seen=f"{value[:40]!r} and before {keywords.values[key][:40]!r}",
            expected="one value",
            remedy="the first was kept",
        )


def _upper(text: str) -> str:
    """Upper case for ASCII alone: by Unicode, a dotless i would become I and so another keyword."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def _decode(token: bytes, offset: int, log: FindingLog) -> str:
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        log.note("TEXT", offset, seen=repr(token[:40]), expected="UTF-8", remedy="read as Latin-1")
        return token.decode("latin-1")
