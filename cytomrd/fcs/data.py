"""The DATA segment: from bytes of the file to scale values, a block of events at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np

from cytomrd.errors import FcsError
from cytomrd.fcs.channels import Channel
from cytomrd.fcs.layout import RowLayout
from cytomrd.fcs.source import ByteSource

__all__ = ["Decoder", "count_numbers", "scale_of"]

MAX_BLOCK_BYTES = 64 << 20
MAX_TABLE = 1 << 16
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_FLOATS = {4: np.float32, 8: np.float64}


class Decoder:
    """Turns rows of one data set into columns of scale values.

    Parameters
    ----------
    channels, layout
        What the columns are and how they lie in a row.
    timestep
        Seconds per unit of the time channel, or None.
    """

    def __init__(self, channels: tuple[Channel, ...], layout: RowLayout, timestep: float | None):
        self.channels = channels
        self.layout = layout
        self._scales = [scale_of(c, timestep) for c in channels]

    def blocks(
        self, source: ByteSource, begin: int, size: int, events: range, n_events: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first_event, values)``; ``values`` float64 (n_channels, n), reused between blocks.

        ``begin`` and ``size`` are DATA's bytes in the file, ``events`` a contiguous range, ``n_events``
        the most events per block.
        """
        n_channels = len(self.channels)
        per_event = 8 * n_channels + max(self.layout.row_bytes, 8 * n_channels)
        n_events = max(1, min(n_events, len(events), MAX_BLOCK_BYTES // per_event))
        columns = np.empty(n_channels * n_events)
        decode = self._decode_rows() if self.layout.row_bytes else None
        rows = np.empty(self.layout.row_bytes * n_events, dtype=np.uint8)
        text = None if decode else _Digits(source, begin, size, n_channels, events.start)
        for first in range(events.start, events.stop, n_events):
            n = min(n_events, events.stop - first)
            out = columns[: n_channels * n].reshape(n_channels, n)
            if decode:
                used = rows[: n * self.layout.row_bytes]
                source.read_into(begin + first * self.layout.row_bytes, memoryview(used))
                try:
                    decode(used.reshape(n, self.layout.row_bytes), out)
                except FcsError as error:
                    error.byte_offset = begin + first * self.layout.row_bytes
                    raise
            else:
                text.read_into(out)
            for values, scale in zip(out, self._scales, strict=True):
                if scale is not None:
                    scale(values)
            yield first, out

    @property
    def stored_dtype(self) -> np.dtype | None:
        """The native type of all values, where they share one that numpy has; else None."""
        types, widths = {c.datatype for c in self.channels}, set(self.layout.widths)
        if len(types) != 1 or len(widths) != 1 or not (self.layout.is_little or self.layout.is_big):
            return None
        known = {"I": _UNSIGNED, "F": _FLOATS, "D": _FLOATS}.get(types.pop(), {})
        dtype = known.get(widths.pop())
        return None if dtype is None else np.dtype(dtype)

    def fill_rows(self, source: ByteSource, begin: int, events: range, out: np.ndarray) -> None:
        """Decode a contiguous range of events into ``out`` (n_events, n_channels); needs a `stored_dtype`."""
        dtype, row_bytes = self.stored_dtype, self.layout.row_bytes
        step = max(1, (256 << 10) // row_bytes)
        direct = out.dtype == dtype and out.flags.c_contiguous
        buffer = np.empty((0 if direct else step, len(self.channels)), dtype=dtype)
        masks = None
        if dtype.kind == "u":
            masks = np.array([c.mask for c in self.channels], dtype=dtype)
        for first in range(0, len(events), step):
            part = out[first : first + step]
            values = part if direct else buffer[: len(part)]
            source.read_into(begin + (events.start + first) * row_bytes, memoryview(values).cast("B"))
            if self._must_swap(dtype):
                values.byteswap(inplace=True)
            if masks is not None:
                values &= masks
            if not direct:
                with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is widened
                    part[:] = values
            for j, scale in enumerate(self._scales):
                if scale is not None:
                    column = values[:, j].astype(np.float64)
                    scale(column)
                    part[:, j] = column

    def _must_swap(self, dtype: np.dtype) -> bool:
        return dtype.itemsize > 1 and self.layout.is_little != (sys.byteorder == "little")

    def _decode_rows(self):
        """The function ``(rows uint8 (n, row_bytes), out float64 (c, n))`` for this layout."""
        if all(c.datatype == "A" for c in self.channels):
            return self._decode_digits
        if self.stored_dtype is not None:
            return self._decode_uniform(self.stored_dtype)
        triples = set(self.layout.widths) == {3} and (self.layout.is_little or self.layout.is_big)
        return self._decode_triples() if triples else self._decode_any()

    def _decode_uniform(self, dtype: np.dtype):
        from cytomrd.kernels.decode import columns_of_integers, columns_of_numbers

        swap, masked = self._must_swap(dtype), False
        if dtype.kind == "u":
            masks = np.array([c.mask for c in self.channels], dtype=dtype)
            masked = bool((masks != np.iinfo(dtype).max).any())

        def decode(rows, out):
            values = rows.view(dtype)
            if swap:
                values.byteswap(inplace=True)
            if masked:
                columns_of_integers(values, masks, out)
            else:
                columns_of_numbers(values, out)

        return decode

    def _decode_triples(self):
        from cytomrd.kernels.decode import columns_of_triples

        masks = np.array([c.mask for c in self.channels], dtype=np.uint32)
        big = self.layout.is_big
        return lambda rows, out: columns_of_triples(rows, big, masks, out)

    def _decode_any(self):
        from cytomrd.kernels.decode import columns_of_bytes

        widths = np.array(self.layout.widths, dtype=np.uint64)
        starts = np.cumsum(widths, dtype=np.uint64) - widths
        shifts = np.zeros((len(widths), 8), dtype=np.uint64)
        for row, width in zip(shifts, self.layout.widths, strict=True):
            # A permuted byte order is that of its own width; a single byte has none.
            row[:width] = self.layout.shifts(width) if width > 1 else 0

        def decode(rows, out):
            bits = np.empty(out.shape, dtype=np.uint64)
            columns_of_bytes(rows, starts, widths, shifts, bits)
            for channel, pattern, values in zip(self.channels, bits, out, strict=True):
                if channel.datatype == "I":
                    values[:] = pattern & np.uint64(channel.mask)
                elif channel.datatype == "F":
                    with np.errstate(invalid="ignore"):  # as in fill_rows
                        values[:] = pattern.astype(np.uint32).view(np.float32)
                else:
                    values[:] = pattern.view(np.float64)

        return decode

    def _decode_digits(self, rows, out):
        """Fixed-width ASCII: each value in its own columns, spaces around."""
        from cytomrd.kernels.decode import read_digits

        number = np.empty(1)
        stops = np.cumsum(self.layout.widths)
        for i, row in enumerate(rows):
            for j, (width, stop) in enumerate(zip(self.layout.widths, stops, strict=True)):
                field = row[stop - width : stop]
                n, position = read_digits(field, 0, number)
                if n != 1 or read_digits(field, position, np.empty(1))[0] != 0:
                    raise FcsError(
                        f"event {i} of a block, {self.channels[j].detector!r}: {bytes(field)!r} is no whole number",
                        keyword="DATA",
                    )
                out[j, i] = number[0]


class _Digits:
    """Delimited ASCII values in the order they stand; has no fixed place for an event, so it reads on."""

    def __init__(self, source: ByteSource, begin: int, size: int, n_channels: int, n_skip: int):
        self._text = np.frombuffer(source.read(begin, size), dtype=np.uint8)
        self._begin = begin
        self._position = 0
        self._n_channels = n_channels
        chunk = np.empty((n_channels, 4096))
        while n_skip > 0:
            self.read_into(chunk[:, :n_skip])
            n_skip -= chunk.shape[1]

    def read_into(self, out: np.ndarray) -> None:
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
                f"byte {text[position]!r} in delimited ASCII data is not a digit, or its number is too large",
                keyword="DATA",
                byte_offset=begin + int(position),
            )
        total += int(n)
        if n < values.size:
            return total


def scale_of(channel: Channel, timestep: float | None):
    """The function that turns channel values (n,) into scale values in place; None where they are equal.

    Logarithmic amplifiers give ``10 ** (decades * x / range) * offset`` (FCS 3.1, section 3.2.20), linear ones
    ``x / gain``, the time channel ``x * timestep`` seconds.
    """
    if channel.decades > 0:
        from cytomrd.kernels.decode import antilog, look_up

        amplifier = (channel.decades, channel.range, channel.offset)
        if channel.mask is None or channel.mask >= MAX_TABLE:
            return lambda values: antilog(values, *amplifier)
        table = np.arange(channel.mask + 1.0)
        antilog(table, *amplifier)
        return lambda values: look_up(values, table)
    if channel.is_time and timestep is not None:
        return lambda values: np.multiply(values, timestep, out=values)
    if channel.gain != 1:
        return lambda values: np.divide(values, channel.gain, out=values)
    return None
