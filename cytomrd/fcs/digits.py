"""ASCII data (``$DATATYPE`` A): numbers in digits, delimited or in columns of fixed width."""

from __future__ import annotations

import numpy as np

from cytomrd.errors import FcsError
from cytomrd.fcs.source import ByteSource

__all__ = ["DigitReader", "count_numbers", "read_fixed_width"]

_SKIPPED_VALUES = 65536


class DigitReader:
    """Delimited values in the order they stand. An event has no fixed place, so reading goes from the front.

    Parameters
    ----------
    source, begin, size
        The file, and DATA's bytes in it.
    n_channels
        Values per event.
    n_skip
        Events to pass over.
    """

    def __init__(self, source: ByteSource, begin: int, size: int, n_channels: int, n_skip: int):
        self._text = np.frombuffer(source.read(begin, size), dtype=np.uint8)
        self._begin = begin
        self._position = 0
        step = max(1, _SKIPPED_VALUES // n_channels)
        while n_skip > 0:
            self.read_into(np.empty((n_channels, min(step, n_skip))))
            n_skip -= step

    def read_into(self, out: np.ndarray) -> None:
        """Fill ``out`` (n_channels, n) with the next n events."""
        from cytomrd.kernels.decode import read_digits

        values = np.empty(out.size)
        n, self._position = read_digits(self._text, self._position, values)
        if n != out.size:
            raise FcsError(
                "the data hold something that is not a whole number, or too few numbers",
                keyword="DATA",
                byte_offset=self._begin + int(self._position),
            )
        out[:] = values.reshape(out.shape[1], out.shape[0]).T


def count_numbers(source: ByteSource, begin: int, size: int) -> int:
    """How many numbers delimited ASCII data hold.

    Raises
    ------
    FcsError
        If something stands there that is no whole number below 2**53.
    """
    from cytomrd.kernels.decode import read_digits

    text = np.frombuffer(source.read(begin, size), dtype=np.uint8)
    values = np.empty(65536)
    position, total = 0, 0
    while True:
        n, position = read_digits(text, position, values)
        if n < 0:
            raise FcsError(
                f"byte {bytes(text[position : position + 1])!r} in delimited ASCII data is not a digit, "
                "or its number is too large",
                keyword="DATA",
                byte_offset=begin + int(position),
            )
        total += int(n)
        if n < values.size:
            return total


def read_fixed_width(rows: np.ndarray, widths: tuple[int, ...], byte_offset: int, out: np.ndarray) -> None:
    """Fixed-width ASCII ``rows`` (n, row_bytes) uint8 into ``out`` (c, n): each value in its columns, spaces around.

    ``byte_offset`` is where the rows begin in the file.
    """
    from cytomrd.kernels.decode import columns_of_digits

    wrong = columns_of_digits(rows, np.array(widths), out)
    if wrong >= 0:
        i, j = divmod(wrong, len(widths))
        begin = sum(widths[:j])
        field = bytes(rows[i, begin : begin + widths[j]])
        raise FcsError(
            f"parameter {j + 1} of an event is {field!r}, which is no whole number",
            keyword="DATA",
            byte_offset=byte_offset + i * rows.shape[1] + begin,
        )
