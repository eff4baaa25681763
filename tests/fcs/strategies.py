"""Random FCS files with known contents, and random damage, for hypothesis."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from naive_fcs import build_fcs, channel_keywords, decode_rows

__all__ = ["Plan", "damaged", "layouts", "plans"]

DELIMITERS = "|/\\\x0c\t\x1e!^~*;("
AMPLIFIERS = ((0.0, 0.0), (4.0, 1.0), (4.0, 0.0), (5.0, 0.1))
SPECIAL = (np.nan, np.inf, -np.inf, 1e-42, -0.0, 3e38)
OFFSETS = ("$BEGINDATA", "$ENDDATA", "$BEGINSTEXT", "$ENDSTEXT", "$BEGINANALYSIS", "$ENDANALYSIS")
FRAGMENTS = [b"|", b"||", b"\0", b"$TOT", b"|$P1B|8|", b"\xff", b"-1", b"1e9", b" ", b"\xef\xbf\xbd", b"$", b"9" * 30]


@dataclass(frozen=True)
class Plan:
    """All that a file will say, and its rows as bytes."""

    version: str
    datatype: str
    kinds: tuple[str, ...]
    bits: tuple[int, ...]
    ranges: tuple[int, ...]
    amplifiers: tuple[tuple[float, float], ...]
    gains: tuple[float, ...]
    timestep: float | None
    is_little: bool
    n_events: int
    rows: bytes
    markers: tuple[str, ...]
    note: str
    delimiter: str

    @property
    def names(self) -> list[str]:
        """Detectors; the last is the time channel where there is a time step."""
        names = [f"D{i + 1}-A" for i in range(len(self.bits))]
        return [*names[:-1], "Time"] if self.timestep is not None else names

    @property
    def expected(self) -> np.ndarray:
        """Scale values, by Python's own arithmetic."""
        widths = [-(-b // 8) for b in self.bits]
        values = decode_rows(self.rows, widths, self.kinds, self.ranges, self.bits, self.is_little)
        for j, ((decades, offset), gain) in enumerate(zip(self.amplifiers, self.gains, strict=True)):
            column = values[:, j].tolist()
            if decades:
                column = [10.0 ** (decades * x / float(self.ranges[j])) * (offset or 1.0) for x in column]
            elif self.timestep is not None and j == len(self.bits) - 1:
                column = [x * self.timestep for x in column]
            else:
                column = [x / gain for x in column]
            values[:, j] = column
        return values

    def encode(self, **layout) -> bytes:
        """The file; ``layout`` is what `layouts` gives."""
        keywords = channel_keywords(
            self.bits,
            self.ranges,
            names=self.names,
            n_events=self.n_events,
            datatype=self.datatype,
            byte_order="1,2,3,4" if self.is_little else "4,3,2,1",
            amplification=[f"{d:g},{o:g}" for d, o in self.amplifiers],
            types=self.kinds if self.version == "FCS3.2" else None,
        )
        keywords |= {f"$P{i + 1}S": m for i, m in enumerate(self.markers) if m}
        keywords |= {f"$P{i + 1}G": repr(g) for i, g in enumerate(self.gains) if g != 1}
        if self.timestep is not None:
            keywords["$TIMESTEP"] = repr(self.timestep)
        if self.note:
            keywords["NOTE"] = self.note
        base = dict.fromkeys(OFFSETS, "@OMIT") if self.version == "FCS2.0" else None
        return build_fcs(self.rows, keywords, version=self.version, delimiter=self.delimiter, base=base, **layout)


def _words(delimiter: str) -> st.SearchStrategy[str]:
    """Values that may hold a delimiter, but not at their ends, where it cannot be told from the real one."""
    letters = st.characters(exclude_categories=["C", "Z"], exclude_characters="$" + delimiter)
    inner = st.text(letters | st.just(delimiter), max_size=4)
    return st.just("") | st.builds("{}{}{}".format, letters, inner, letters)


@st.composite
def plans(draw, *, for_flowio: bool = False) -> Plan:
    """Files by the book; ``for_flowio`` keeps to what FlowIO reads rightly."""
    version = draw(st.sampled_from(["FCS2.0", "FCS3.0", "FCS3.1", "FCS3.2"]))
    datatype = draw(st.sampled_from("IFD"))
    n_channels = draw(st.integers(1, 5))
    n_events = draw(st.integers(1 if for_flowio else 0, 12))
    kinds = (datatype,) * n_channels
    if version == "FCS3.2" and not for_flowio:
        kinds = tuple(draw(st.lists(st.sampled_from("IFD"), min_size=n_channels, max_size=n_channels)))
    widths = st.sampled_from([8, 16, 32] if for_flowio else [1, 8, 10, 16, 20, 24, 31, 32, 40, 64])
    one_width = draw(widths)
    mixed = draw(st.booleans()) and not for_flowio
    bits = tuple({"I": draw(widths) if mixed else one_width, "F": 32, "D": 64}[k] for k in kinds)
    whole = st.integers(2, 2**32) | st.sampled_from([256, 1000, 1024, 65536, 262144])
    ranges = tuple(draw(whole) for _ in kinds)
    if for_flowio:
        ranges = tuple(min(r, 2**b) for r, b in zip(ranges, bits, strict=True))
    plain = st.just(AMPLIFIERS[0])
    amplifiers = tuple(draw(st.sampled_from(AMPLIFIERS)) if k == "I" else draw(plain) for k in kinds)
    has_time = draw(st.booleans()) and amplifiers[-1] == AMPLIFIERS[0]
    gains = [draw(st.sampled_from([1, 1, 2.5, 0.01, 20])) if a == AMPLIFIERS[0] else 1 for a in amplifiers]
    gains[-1] = 1 if has_time else gains[-1]
    is_little = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    delimiter = draw(st.sampled_from("|/\\\x0c!" if for_flowio else DELIMITERS))
    words = st.just("plain") if for_flowio else _words(delimiter)
    return Plan(
        version=version,
        datatype=datatype,
        kinds=kinds,
        bits=bits,
        ranges=ranges,
        amplifiers=amplifiers,
        gains=tuple(gains),
        timestep=draw(st.sampled_from([0.01, 0.125, 1e-3])) if has_time else None,
        is_little=is_little,
        n_events=n_events,
        rows=b"".join(_row(rng, kinds, bits, is_little) for _ in range(n_events)),
        markers=tuple(draw(words) for _ in kinds),
        note=draw(words),
        delimiter=delimiter,
    )


def _row(rng: np.random.Generator, kinds, bits, is_little: bool) -> bytes:
    order = "<" if is_little else ">"
    parts = []
    for kind, n_bits in zip(kinds, bits, strict=True):
        if kind == "I":
            parts.append(rng.bytes(-(-n_bits // 8)))
            continue
        # Few enough special values not to look like the wrong byte order.
        value = rng.choice(SPECIAL) if rng.random() < 0.03 else rng.normal(1000, 500)
        parts.append(np.array(value, dtype=f"{order}f{n_bits // 8}").tobytes())
    return b"".join(parts)


@st.composite
def layouts(draw) -> dict:
    """Where the segments lie and what is between them: nothing of it may change a number."""
    return {
        "text_begin": draw(st.sampled_from([58, 59, 256, 1024])),
        "padding": draw(st.sampled_from([b"", b" ", b"\r\n", b" " * 33, b"\0" * 5])),
        "tail": draw(st.sampled_from([b"", b"00000000", b"\0" * 3, b" " * 700])),
    }


@st.composite
def damaged(draw) -> bytes:
    """A file by the book after a few blows to its HEADER and TEXT, or cut short."""
    plan = draw(plans())
    data = bytearray(replace(plan, delimiter="|", note="", markers=("",) * len(plan.bits)).encode())
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        at = draw(st.integers(0, max(0, min(len(data), 1200) - 1)))
        how = draw(st.sampled_from(["byte", "insert", "delete", "cut", "header"]))
        if how == "byte":
            data[at : at + 1] = bytes([draw(st.integers(0, 255))])
        elif how == "insert":
            data[at:at] = draw(st.sampled_from(FRAGMENTS))
        elif how == "delete":
            del data[at : at + draw(st.integers(1, 30))]
        elif how == "cut":
            del data[draw(st.integers(0, len(data))) :]
        else:
            field = 10 + 8 * draw(st.integers(0, 5))
            offset = draw(st.sampled_from([0, 1, 58, 256, 99_999_999]) | st.integers(0, 2000))
            data[field : field + 8] = b"%8d" % offset
    return bytes(data)
