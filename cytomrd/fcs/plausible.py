"""Do the bytes of DATA look like what TEXT says they are? A sample of them tells some lies that offsets cannot."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

import numpy as np

from cytomrd.fcs.channels import Channel
from cytomrd.fcs.digits import count_numbers
from cytomrd.fcs.findings import FindingLog
from cytomrd.fcs.layout import RowLayout
from cytomrd.fcs.source import ByteSource
from cytomrd.fcs.text import Keywords

__all__ = ["DataSample"]

SAMPLED_VALUES = 256
SAMPLED_BYTES = 4096
SEARCHED_BYTES = 65536
REPLACEMENT = "\N{REPLACEMENT CHARACTER}".encode()


@dataclass(frozen=True, slots=True)
class DataSample:
    """The DATA segment, ``begin`` and ``size`` in bytes of the file, and all that is said about it."""

    source: ByteSource
    begin: int
    size: int
    layout: RowLayout
    channels: tuple[Channel, ...]
    keywords: Keywords
    log: FindingLog

    def check(self, n_events: int) -> None:
        """Refuse data that cannot be ``n_events`` events of these channels.

        Raises
        ------
        FcsError
            If ASCII data hold another count of numbers, the data begin with padding, floats make sense in the
            opposite byte order only, or the data went through a conversion of text.
        """
        if self.layout.row_bytes == 0:
            self._check_count(n_events * len(self.channels))
        elif n_events:
            self._check_begin()
            self._check_byte_order(n_events)
            first = self.source.read(self.begin, min(self.size, SAMPLED_BYTES))
            self._check_text_conversion(first)
            # One LF alone shows that not every one became CR LF.
            if first.count(b"\n") == first.count(b"\r\n"):
                self._check_line_ends()

    def _check_count(self, wanted: int) -> None:
        n = count_numbers(self.source, self.begin, self.size) if self.size else 0
        if n != wanted:
            raise self.log.refusal(
                "$TOT",
                self.keywords.offset("$TOT"),
                seen=f"{n} numbers in the data",
                expected=f"$TOT x $PAR = {wanted}",
                remedy="the file is cut short or damaged",
            )

    def _check_begin(self) -> None:
        """Refuse binary data that begin with the spaces of the padding before them: their begin is too early."""
        if any(c.datatype == "A" for c in self.channels):
            return
        # One byte may well look like a space; a whole value, or half of a wide one, does not.
        n = 1 + min(4, max(2, self.layout.widths[0]))
        if self.size < n or self.source.read(self.begin - 1, n) != b" " * n:
            return
        raise self.log.refusal(
            "$BEGINDATA",
            self.begin,
            seen="DATA that begin with spaces, and spaces before them",
            expected="DATA behind the padding",
            remedy="the offsets are shifted, so channels would be mixed up",
        )

    def _check_byte_order(self, n_events: int) -> None:
        if not all(c.datatype in "FD" for c in self.channels) or len(set(self.layout.widths)) != 1:
            return
        n = min(n_events, max(1, SAMPLED_VALUES // len(self.channels) + 16))
        raw = self.source.read(self.begin, n * self.layout.row_bytes)
        size = self.layout.widths[0]
        declared, opposite = ("<", ">") if self.layout.is_little else (">", "<")
        share = _share_absurd(np.frombuffer(raw, dtype=f"{declared}f{size}"))
        if n * len(self.channels) < 16 or share < 0.2:
            return
        if _share_absurd(np.frombuffer(raw, dtype=f"{opposite}f{size}")) <= 0.01:
            order = self.keywords.get("$BYTEORD")
            raise self.log.refusal(
                "$BYTEORD",
                self.keywords.offset("$BYTEORD"),
                seen=f"{order!r}, in which {share:.0%} of the first values are beyond 1e-20 to 1e20",
                expected="the byte order of the data",
                remedy="in the opposite order all are sensible; correct the keyword and read again",
            )
        self.log.note(
            "$DATATYPE",
            self.keywords.offset("$DATATYPE"),
            seen=f"{share:.0%} of the first values not finite or beyond 1e-20 to 1e20",
            expected="measured values",
            remedy="read as they are; the data type or the byte order may be wrong",
        )

    def _check_text_conversion(self, raw: bytes) -> None:
        """Refuse binary data that were stored or sent as text: most bytes above 127 are lost for good."""
        n_lost = raw.count(REPLACEMENT)
        if n_lost < 3 or not _is_utf8(raw):
            return
        raise self.log.refusal(
            "DATA",
            self.begin + raw.index(REPLACEMENT),
            seen=f"valid UTF-8 text with {n_lost} marks of a lost character (bytes EF BF BD)",
            expected="binary numbers",
            remedy="the file was converted as text and its values are lost; take it from the instrument again",
        )

    def _check_line_ends(self) -> None:
        """Refuse binary data in which every LF became CR LF, which moves all that follows and makes the file longer."""
        raw = self.source.read(self.begin, min(self.size, SEARCHED_BYTES))
        n, behind = raw.count(b"\r\n"), self.source.size - self.begin - self.size
        if not 4 <= n <= behind or n != raw.count(b"\n"):
            return
        raise self.log.refusal(
            "DATA",
            self.begin + raw.index(b"\r\n"),
            seen=f"CR before each of the first {n} LF, and as many bytes too many in the file",
            expected="binary numbers",
            remedy="the file was sent as text, which shifted its values; copy it again as binary",
        )


def _is_utf8(raw: bytes) -> bool:
    """Whether ``raw``, which may end within a character, is UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return False
    return True


def _share_absurd(values: np.ndarray) -> float:
    with np.errstate(invalid="ignore"):
        size = np.abs(values.astype(np.float64))
    sensible = (size == 0) | ((size > 1e-20) & (size < 1e20))
    return (size.size - np.count_nonzero(sensible)) / size.size
