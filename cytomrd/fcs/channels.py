"""Channels: what the ``$Pn`` keywords say about each column, checked so that decoding cannot go wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cytomrd.fcs.findings import FindingLog, quoted
from cytomrd.fcs.text import Keywords, read_number, read_whole_number

__all__ = ["Channel", "count_channels", "read_channels", "read_timestep"]

_DESCRIBED = re.compile(r"\$P([1-9][0-9]{0,8})[BNR]")
_FLOAT_BITS = {"F": 32, "D": 64}
_EXACT_BITS = 53


@dataclass(frozen=True, slots=True)
class Channel:
    """One column of the data.

    Attributes
    ----------
    index
        Position, from 0; its keywords are ``$P{index + 1}...``.
    detector, marker
        ``$PnN`` and ``$PnS`` (empty where there is none).
    bits
        ``$PnB``: width of a value; for ASCII the number of characters, 0 where delimited.
    datatype
        ``"I"``, ``"F"``, ``"D"`` or ``"A"``.
    range
        ``$PnR``; integer values lie below it.
    decades, offset
        ``$PnE``: logarithmic amplifier; 0 and 0 on a linear channel.
    gain
        ``$PnG``, by which values are divided; 1 where none applies.
    mask
        Bits of an integer that carry the value; None where all do.
    is_time
        True for the channel that ``$TIMESTEP`` scales.
    """

    index: int
    detector: str
    marker: str
    bits: int
    datatype: str
    range: float
    decades: float = 0.0
    offset: float = 0.0
    gain: float = 1.0
    mask: int | None = None
    is_time: bool = False


def count_channels(keywords: Keywords, log: FindingLog) -> int:
    """``$PAR``, which must equal the number of parameters described."""
    n_channels = _required_whole("$PAR", keywords, log)
    described = {int(m[1]) for m in map(_DESCRIBED.fullmatch, keywords.values) if m}
    if not n_channels or n_channels != len(described) or max(described) != n_channels:
        raise log.refusal(
            "$PAR",
            keywords.offset("$PAR"),
            seen=f"{n_channels}, with $PnB, $PnN or $PnR for {len(described)} parameters",
            expected="at least 1, and as many parameters described",
            remedy="the columns of the data cannot be told",
        )
    return n_channels


def read_channels(keywords: Keywords, version: str, log: FindingLog) -> tuple[Channel, ...]:
    """All channels of a data set.

    Raises
    ------
    FcsError
        If a required keyword is missing, a value is out of its range, or two channels share a name.
    """
    n_channels = count_channels(keywords, log)
    default_type = _datatype("$DATATYPE", keywords, log, "IFDA")
    channels = tuple(_read_channel(i, keywords, version, default_type, log) for i in range(n_channels))
    _check_names(channels, keywords, log)
    return channels


def read_timestep(keywords: Keywords, channels: tuple[Channel, ...], log: FindingLog) -> float | None:
    """``$TIMESTEP`` in seconds per unit of the time channel, or None."""
    text = keywords.get("$TIMESTEP")
    if text is None:
        return None
    at = keywords.offset("$TIMESTEP")
    value = read_number(text)
    if value is not None and value > 0:
        _check_linear_time(channels, keywords, log)
        return value
    has_time = any(c.is_time for c in channels)
    # Who hides names in a file overwrites this with x too: the step is not given, which is no contradiction.
    absent = set(text.strip(" \t\r\n").lower()) <= {"x"}
    if absent or value == 0 or not has_time:
        log.repair("$TIMESTEP", at, seen=quoted(text), expected="seconds", remedy="time is left in its own units")
        return None
    raise log.refusal("$TIMESTEP", at, seen=quoted(text), expected="seconds, above 0", remedy="time cannot be scaled")


def _check_linear_time(channels: tuple[Channel, ...], keywords: Keywords, log: FindingLog) -> None:
    for c in channels:
        if c.is_time and c.decades:
            key = f"$P{c.index + 1}E"
            raise log.refusal(
                key,
                keywords.offset(key),
                seen=f"{quoted(keywords.get(key))} on time, with $TIMESTEP",
                expected="0,0",
                remedy="which of the two scales time cannot be told",
            )


def _read_channel(index: int, keywords: Keywords, version: str, default_type: str, log: FindingLog) -> Channel:
    n = index + 1
    detector = _name(n, keywords, version, log)
    datatype = default_type
    if keywords.get(f"$P{n}DATATYPE") is not None:
        datatype = _datatype(f"$P{n}DATATYPE", keywords, log, "IFD")
        if version != "FCS3.2":
            log.repair(
                f"$P{n}DATATYPE",
                keywords.offset(f"$P{n}DATATYPE"),
                seen=f"{datatype} in {version}",
                expected="FCS3.2",
                remedy="read as FCS3.2 defines it",
            )
    kind = (keywords.get(f"$P{n}TYPE") or "").strip().lower()
    is_time = detector.strip().lower() == "time" or (version == "FCS3.2" and kind == "time")
    bits = _bits(n, datatype, keywords, log)
    value_range = _range(n, datatype, keywords, log)
    decades, offset = _amplification(n, datatype, value_range, keywords, log)
    gain = _gain(n, datatype, decades, is_time, keywords, log)
    mask = _mask(n, bits, value_range, decades, keywords, log) if datatype == "I" else None
    marker = keywords.get(f"$P{n}S") or ""
    return Channel(
        index, detector, marker.strip(), bits, datatype, float(value_range), decades, offset, gain, mask, is_time
    )


def _name(n: int, keywords: Keywords, version: str, log: FindingLog) -> str:
    key = f"$P{n}N"
    name = keywords.get(key)
    if name is not None and name.strip():
        return name
    if name is None and version == "FCS2.0":
        log.repair(key, keywords.offset(key), seen="nothing", expected="a name", remedy=f"named P{n}")
        return f"P{n}"
    raise log.refusal(
        key, keywords.offset(key), seen=quoted(name), expected="a name", remedy="the channel cannot be told"
    )


def _datatype(key: str, keywords: Keywords, log: FindingLog, allowed: str) -> str:
    text = (keywords.get(key) or "").strip()
    if len(text) != 1 or text not in allowed + allowed.lower():
        raise log.refusal(
            key,
            keywords.offset(key),
            seen=quoted(keywords.get(key)),
            expected=f"one of {', '.join(allowed)}",
            remedy="the values cannot be decoded",
        )
    return text.upper()


def _bits(n: int, datatype: str, keywords: Keywords, log: FindingLog) -> int:
    key = f"$P{n}B"
    text = keywords.get(key)
    if datatype == "A" and text is not None and text.strip() in ("*", "0"):
        return 0
    bits = None if text is None else read_whole_number(text)
    expected = str(_FLOAT_BITS.get(datatype, "1 to 64" if datatype == "I" else "1 to 40 characters, or *"))
    if datatype in _FLOAT_BITS:
        good = bits == _FLOAT_BITS[datatype]
    else:
        good = bits is not None and 1 <= bits <= (64 if datatype == "I" else 40)
    if not good:
        raise log.refusal(
            key,
            keywords.offset(key),
            seen=f"{text!r} with data type {datatype}",
            expected=expected,
            remedy="the width of the values cannot be told",
        )
    return bits


def _range(n: int, datatype: str, keywords: Keywords, log: FindingLog) -> int | float:
    """``$PnR`` as int where it is whole, since 2**64 - 1 has no exact float."""
    key = f"$P{n}R"
    text = keywords.get(key)
    whole = None if text is None else read_whole_number(text)
    value = whole if whole is not None or text is None else read_number(text)
    if datatype == "I" and isinstance(value, float) and value.is_integer():
        log.note(key, keywords.offset(key), seen=quoted(text), expected="a whole number", remedy="read as one")
        value = int(value)
    if value is None or value < 0 or (datatype == "I" and not isinstance(value, int)):
        raise log.refusal(
            key,
            keywords.offset(key),
            seen=quoted(text),
            expected="a whole number" if datatype == "I" else "a number, not negative",
            remedy="the range of the channel cannot be told",
        )
    return value


def _amplification(
    n: int, datatype: str, value_range: float, keywords: Keywords, log: FindingLog
) -> tuple[float, float]:
    key = f"$P{n}E"
    text, at = keywords.get(key), keywords.offset(key)
    if text is None or not text.strip():
        if datatype in "IA":
            raise log.refusal(
                key, at, seen=quoted(text), expected="decades,offset", remedy="linear or logarithmic cannot be told"
            )
        log.repair(key, at, seen=quoted(text), expected="0,0", remedy="read as linear, as its data type demands")
        return 0.0, 0.0
    numbers = [read_number(part) for part in text.split(",")]
    if len(numbers) != 2 or None in numbers or min(numbers) < 0:
        raise log.refusal(
            key, at, seen=quoted(text), expected="two numbers, decades,offset", remedy="the scale is unknown"
        )
    decades, offset = numbers
    if decades == 0:
        return 0.0, 0.0
    if datatype in "FD":
        log.repair(
            key,
            at,
            seen=f"{text!r} on data of type {datatype}",
            expected="0,0",
            remedy="amplification and gain are not applied: the values are taken as stored",
        )
        return 0.0, 0.0
    if value_range <= 0:
        raise log.refusal(
            key, at, seen=f"{text!r} with $P{n}R={value_range}", expected="$PnR above 0", remedy="the scale is unknown"
        )
    if decades > 20:
        raise log.refusal(key, at, seen=quoted(text), expected="at most 20 decades", remedy="the keyword is damaged")
    if offset == 0:
        log.note(key, at, seen=quoted(text), expected="an offset above 0", remedy=f"read as {decades:g},1 (FCS 3.1)")
        offset = 1.0
    return decades, offset


def _gain(n: int, datatype: str, decades: float, is_time: bool, keywords: Keywords, log: FindingLog) -> float:
    key = f"$P{n}G"
    text, at = keywords.get(key), keywords.offset(key)
    if text is None:
        return 1.0
    gain = read_number(text)
    if not text.strip() or gain == 0:
        log.repair(key, at, seen=quoted(text), expected="a gain above 0", remedy="read as no gain")
        return 1.0
    if gain is None or gain < 0:
        raise log.refusal(
            key, at, seen=quoted(text), expected="a gain above 0", remedy="the scale of the channel is unknown"
        )
    if gain != 1 and is_time:
        log.note(key, at, seen=quoted(text), expected="no gain on time", remedy="not applied: $TIMESTEP scales time")
        return 1.0
    amplification = keywords.get(f"$P{n}E") or ""
    if gain != 1 and datatype in "FD" and (read_number(amplification.split(",")[0]) or 0) > 0:
        # Guava's HLog channels: floats that hold log10 of another channel. Neither 10**x nor x / gain is meant.
        return 1.0
    if gain != 1 and decades > 0:
        raise log.refusal(
            key,
            at,
            seen=f"{text!r} on a logarithmic channel ($P{n}E={amplification!r})",
            expected="no gain, or 1",
            remedy="FCS 3.1 forbids both; programs differ on whether the gain divides",
        )
    return gain


def _mask(n: int, bits: int, value_range: int, decades: float, keywords: Keywords, log: FindingLog) -> int | None:
    """Bits below the next power of two from ``$PnR``; instruments keep other things in those above."""
    key = f"$P{n}R"
    if value_range == 0:
        log.repair(key, keywords.offset(key), seen="0", expected="the range", remedy="all bits of the values were kept")
        value_range = 1 << bits
    if value_range == 1:
        raise log.refusal(
            key, keywords.offset(key), seen="1", expected="2 or more", remedy="no value but 0 would be left"
        )
    used = min(bits, (value_range - 1).bit_length())
    if used > _EXACT_BITS:
        log.note(
            key,
            keywords.offset(key),
            seen=f"{used}-bit values",
            expected=f"at most {_EXACT_BITS}",
            remedy="values above 2**53 are rounded to double precision",
        )
    return (1 << used) - 1


def _check_names(channels: tuple[Channel, ...], keywords: Keywords, log: FindingLog) -> None:
    first: dict[str, int] = {}
    for channel in channels:
        n = channel.index + 1
        if channel.detector in first:
            raise log.refusal(
                f"$P{n}N",
                keywords.offset(f"$P{n}N"),
                seen=f"{channel.detector!r}, the name of parameter {first[channel.detector]} too",
                expected="a name of its own",
                remedy="gates and spillover go by this name, so the two cannot be told apart",
            )
        first[channel.detector] = n
    times = [c.index + 1 for c in channels if c.is_time]
    if len(times) > 1 and keywords.get("$TIMESTEP") is not None:
        raise log.refusal(
            f"$P{times[1]}N",
            keywords.offset(f"$P{times[1]}N"),
            seen=f"{len(times)} time channels",
            expected="one",
            remedy="which one $TIMESTEP scales cannot be told",
        )
    if any(c.detector.startswith(("Comp-", "FJComp-")) for c in channels):
        log.note(
            "$PnN",
            keywords.offset("$P1N"),
            seen="names that begin with Comp- or FJComp-",
            expected="uncompensated data",
            remedy="the file was exported compensated; do not compensate it again",
        )


def _required_whole(key: str, keywords: Keywords, log: FindingLog) -> int:
    text = keywords.get(key)
    value = None if text is None else read_whole_number(text)
    if value is None:
        raise log.refusal(
            key, keywords.offset(key), seen=quoted(text), expected="a whole number", remedy="it is required"
        )
    return value
