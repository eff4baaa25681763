"""FCS files built byte by byte, and decoded one value at a time: the slow oracle of the reader."""

from __future__ import annotations

import struct

import numpy as np


def build_fcs(
    rows: bytes,
    keywords: dict[str, str],
    *,
    version: str = "FCS3.1",
    delimiter: str = "|",
    text_begin: int = 256,
    padding: bytes = b"",
    header_data: tuple[int, int] | None = None,
    tail: bytes = b"00000000",
    base: dict[str, str] | None = None,
) -> bytes:
    """One data set: HEADER, TEXT with fixed-width offsets, ``padding``, ``rows``, ``tail``."""
    given = {
        "$BEGINANALYSIS": "0",
        "$ENDANALYSIS": "0",
        "$BEGINSTEXT": "0",
        "$ENDSTEXT": "0",
        "$BEGINDATA": "@BEGIN",
        "$ENDDATA": "@END",
        "$MODE": "L",
        "$NEXTDATA": "0",
    }
    given |= base or {}
    given |= keywords
    pairs = [(k, v.replace(delimiter, 2 * delimiter)) for k, v in given.items() if v != "@OMIT"]
    text = delimiter + "".join(f"{k}{delimiter}{v}{delimiter}" for k, v in pairs)
    text = text.replace("@BEGIN", "@" * 12).replace("@END", "#" * 12)
    size = len(text.encode())
    begin = text_begin + size + len(padding)
    end = begin + len(rows) - 1
    text = text.replace("@" * 12, f"{begin:012d}").replace("#" * 12, f"{end:012d}")
    offsets = (text_begin, text_begin + size - 1, *((begin, end) if header_data is None else header_data), 0, 0)
    header = f"{version}    " + "".join(f"{o:>8}" for o in offsets)
    return header.ljust(text_begin).encode() + text.encode() + padding + rows + tail


def channel_keywords(bits, ranges, *, names=None, n_events, datatype, byte_order, amplification=None, types=None):
    """The keywords that describe columns; ``types`` adds ``$PnDATATYPE``."""
    n = len(bits)
    result = {"$BYTEORD": byte_order, "$DATATYPE": datatype, "$PAR": str(n), "$TOT": str(n_events)}
    for i in range(n):
        result[f"$P{i + 1}N"] = names[i] if names else f"C{i + 1}"
        result[f"$P{i + 1}B"] = str(bits[i])
        result[f"$P{i + 1}R"] = str(ranges[i])
        result[f"$P{i + 1}E"] = amplification[i] if amplification else "0,0"
        if types and types[i] != datatype:
            result[f"$P{i + 1}DATATYPE"] = types[i]
    return result


def decode_rows(rows: bytes, widths, types, ranges, bits, little: bool) -> np.ndarray:
    """Channel values (n_events, n_channels), one value at a time with Python's own integers and floats."""
    row_bytes = sum(widths)
    order = "little" if little else "big"
    table = []
    for at in range(0, len(rows), row_bytes):
        event = []
        for width, kind, value_range, n_bits in zip(widths, types, ranges, bits, strict=True):
            raw = rows[at : at + width]
            at += width
            if kind == "I":
                power = 1
                while power < value_range:
                    power *= 2
                event.append(float(int.from_bytes(raw, order) % min(power, 2**n_bits)))
            else:
                event.append(struct.unpack(("<" if little else ">") + {4: "f", 8: "d"}[width], raw)[0])
        table.append(event)
    return np.array(table, dtype=np.float64).reshape(-1, len(widths))


def float_file(values: np.ndarray, **options) -> bytes:
    """A plain little-endian float32 file of ``values`` (n_events, n_channels)."""
    values = np.asarray(values, dtype="<f4")
    keywords = channel_keywords(
        [32] * values.shape[1],
        [262144] * values.shape[1],
        n_events=len(values),
        datatype="F",
        byte_order="1,2,3,4",
        names=options.pop("names", None),
    )
    return build_fcs(values.tobytes(), keywords | options.pop("keywords", {}), **options)
