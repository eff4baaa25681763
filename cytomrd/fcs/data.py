"""The DATA segment: from bytes of the file to scale values, a block of events at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np

from cytomrd.fcs.channels import Channel
from cytomrd.fcs.digits import DigitReader, read_fixed_width
from cytomrd.fcs.layout import RowLayout
from cytomrd.fcs.scales import scale_of
from cytomrd.fcs.source import ByteSource

__all__ = ["Decoder"]

MAX_BLOCK_BYTES = 64 << 20
CACHED_BYTES = 256 << 10
REPEATED_MASKS = 1024
SMALL_READ = 1 << 16
_UNSIGNED = {1: np.uint8, 2: np.uint16, 3: np.uint32, 4: np.uint32, 8: np.uint64}
_FLOATS = {4: np.float32, 8: np.float64}


class Decoder:
    """Turns rows of one data set into scale values.

    Parameters
    ----------
    channels, layout
        What the columns are and how they lie in a row.
    timestep
        Seconds per unit of the time channel, or None.
    n_events
        How many events will be decoded; for few of them no compiled code is loaded.
    """

    def __init__(self, channels: tuple[Channel, ...], layout: RowLayout, timestep: float | None, n_events: int):
        self.channels = channels
        self.layout = layout
        self._kernels = _kernels(n_events * len(channels))
        self._scales = [scale_of(c, timestep, n_events, self._kernels) for c in channels]

    @property
    def is_plain(self) -> bool:
        """True where scale values are the values as stored: no gain, log amplifier or time step applies."""
        return all(scale is None for scale in self._scales)

    @property
    def is_sequential(self) -> bool:
        """True where events have no fixed place, so that one can be found from those before it only."""
        return self.layout.row_bytes == 0

    @property
    def stored_dtype(self) -> np.dtype | None:
        """The smallest native type of all values, where they are of one type, width and byte order; else None."""
        types, widths = {c.datatype for c in self.channels}, set(self.layout.widths)
        if len(types) != 1 or len(widths) != 1 or not (self.layout.is_little or self.layout.is_big):
            return None
        known = {"I": _UNSIGNED, "F": _FLOATS, "D": _FLOATS}.get(types.pop(), {})
        dtype = known.get(widths.pop())
        return None if dtype is None else np.dtype(dtype)

    def blocks(
        self, source: ByteSource, begin: int, size: int, events: range, n_events: int
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Yield ``(first_event, values)``; ``values`` float64 (n_channels, n), reused between blocks.

        ``begin`` and ``size`` are DATA's bytes in the file, ``events`` a contiguous range, ``n_events``
        the most events per block.
        """
        n_channels, row_bytes = len(self.channels), self.layout.row_bytes
        per_event = row_bytes + 32 * n_channels
        n_events = max(1, min(n_events, len(events), MAX_BLOCK_BYTES // per_event))
        columns = np.empty(n_channels * n_events)
        decode = self._column_decoder(n_events) if row_bytes else None
        rows = np.empty(row_bytes * n_events, dtype=np.uint8)
        text = None if decode else DigitReader(source, begin, size, n_channels, events.start)
        for first in range(events.start, events.stop, n_events):
            n = min(n_events, events.stop - first)
            out = columns[: n_channels * n].reshape(n_channels, n)
            if decode:
                used, at = rows[: n * row_bytes], begin + first * row_bytes
                source.read_into(at, memoryview(used))
                decode(used.reshape(n, row_bytes), at, out)
            else:
                text.read_into(out)
            for values, scale in zip(out, self._scales, strict=True):
                if scale is not None:
                    scale(values)
            yield first, out

    def fill_rows(self, source: ByteSource, begin: int, events: range, out: np.ndarray) -> None:
        """Decode a contiguous range of events into ``out`` (n_events, n_channels); needs a `stored_dtype`."""
        begin += events.start * self.layout.row_bytes
        if self.is_plain and out.dtype == self.stored_dtype and out.itemsize == self.layout.widths[0]:
            self._fill_in_place(source, begin, out)
        else:
            self._fill_by_copies(source, begin, out)

    def _fill_in_place(self, source: ByteSource, begin: int, out: np.ndarray) -> None:
        """Read straight into ``out``, then swap and mask what is there."""
        row_bytes, masks = self.layout.row_bytes, self._masks
        if not self._must_swap and (masks == np.iinfo(masks.dtype).max).all():
            source.read_into(begin, memoryview(out.reshape(-1)).cast("B"))
            return
        step = max(1, CACHED_BYTES // row_bytes)
        masks = np.tile(masks, max(1, REPEATED_MASKS // len(masks)))
        for first in range(0, len(out), step):
            part = out[first : first + step].reshape(-1)
            source.read_into(begin + first * row_bytes, memoryview(part).cast("B"))
            self._kernels.convert_in_place(part.view(masks.dtype), masks, self._must_swap)

    def _fill_by_copies(self, source: ByteSource, begin: int, out: np.ndarray) -> None:
        row_bytes, n_channels = self.layout.row_bytes, len(self.channels)
        step = min(max(1, CACHED_BYTES // row_bytes), len(out))
        raw = np.empty(step * row_bytes, dtype=np.uint8)
        convert = self._row_converter(step)
        # Scales are worked out in double precision, whatever type is asked for.
        exact = None if self.is_plain else np.empty((step, n_channels))
        for first in range(0, len(out), step):
            part = out[first : first + step]
            used = raw[: len(part) * row_bytes]
            source.read_into(begin + first * row_bytes, memoryview(used))
            values = part if exact is None else exact[: len(part)]
            convert(used, values.reshape(-1))
            if exact is None:
                continue
            for j, scale in enumerate(self._scales):
                if scale is not None:
                    column = values[:, j].copy()
                    scale(column)
                    values[:, j] = column
            part[:] = values

    @property
    def _masks(self) -> np.ndarray:
        """The bits to keep of each channel (n_channels,), as unsigned integers of the size of `stored_dtype`."""
        dtype = np.dtype(f"u{self.stored_dtype.itemsize}")
        full = np.iinfo(dtype).max
        return np.array([full if c.mask is None else c.mask for c in self.channels], dtype=dtype)

    @property
    def _must_swap(self) -> bool:
        return self.layout.widths[0] > 1 and self.layout.is_little != (sys.byteorder == "little")

    def _row_converter(self, n_rows: int) -> Callable[[np.ndarray, np.ndarray], None]:
        """The function ``(bytes (m * width,) uint8, out (m,))`` for values of one type; ``n_rows`` at most."""
        kernels, dtype, swap = self._kernels, self.stored_dtype, self._must_swap
        if dtype.kind == "f":
            return _float_converter(dtype, swap, n_rows * len(self.channels), kernels)
        masks = np.tile(self._masks, n_rows)
        if self.layout.widths[0] == 3:
            return lambda raw, out: _convert_triples(raw, masks, self.layout.is_big, swap, out, kernels)
        return lambda raw, out: kernels.convert_integers(raw.view(dtype), masks, swap, out)

    def _column_decoder(self, n_rows: int) -> Callable[[np.ndarray, int, np.ndarray], None]:
        """The function ``(rows uint8 (n, row_bytes), their byte offset, out float64 (c, n))``, n up to ``n_rows``."""
        if all(c.datatype == "A" for c in self.channels):
            return lambda rows, at, out: read_fixed_width(rows, self.layout.widths, at, out)
        if self.stored_dtype is None:
            return self._decoder_of_any()
        needs_steps = self.layout.widths[0] == 3 or self._must_swap
        return self._decoder_in_steps(n_rows) if needs_steps else self._decoder_of_native()

    def _decoder_of_native(self):
        kernels, dtype = self._kernels, self.stored_dtype
        if dtype.kind == "f":
            return lambda rows, at, out: kernels.columns_of_numbers(rows.view(dtype), out)
        masks = self._masks
        return lambda rows, at, out: kernels.columns_of_integers(rows.view(dtype), masks, out)

    def _decoder_in_steps(self, n_rows: int):
        kernels, convert = self._kernels, self._row_converter(n_rows)
        numbers = np.empty((n_rows, len(self.channels)), dtype=self.stored_dtype)

        def decode(rows, at, out):
            native = numbers[: len(rows)]
            convert(rows.reshape(-1), native.reshape(-1))
            kernels.columns_of_numbers(native, out)

        return decode

    def _decoder_of_any(self):
        kernels = self._kernels
        widths = np.array(self.layout.widths, dtype=np.uint64)
        starts = np.cumsum(widths, dtype=np.uint64) - widths
        shifts = np.zeros((len(widths), 8), dtype=np.uint64)
        for row, width in zip(shifts, self.layout.widths, strict=True):
            # A permuted byte order is that of its own width; a single byte has none.
            row[:width] = self.layout.shifts(width) if width > 1 else 0

        def decode(rows, at, out):
            bits = np.empty(out.shape, dtype=np.uint64)
            kernels.columns_of_bytes(rows, starts, widths, shifts, bits)
            for channel, pattern, values in zip(self.channels, bits, out, strict=True):
                if channel.datatype == "I":
                    values[:] = pattern & np.uint64(channel.mask)
                elif channel.datatype == "F":
                    _widen(pattern.astype(np.uint32).view(np.float32), values)
                else:
                    values[:] = pattern.view(np.float64)

        return decode


def _kernels(n_values: int) -> ModuleType:
    if n_values <= SMALL_READ:
        from cytomrd.kernels import decode_plain as kernels
    else:
        from cytomrd.kernels import decode as kernels
    return kernels


def _convert_triples(
    raw: np.ndarray, masks: np.ndarray, big: bool, swap: bool, out: np.ndarray, kernels: ModuleType
) -> None:
    """24-bit integers ``raw`` (3 m,) uint8, bits of ``masks`` kept, into ``out`` (m,)."""
    # Each is a 32-bit integer together with a byte of its neighbour, which the mask takes away.
    last = len(out) - 1
    alone, others, at = (0, slice(1, None), 2) if big else (last, slice(last), 0)
    words = np.ndarray((last,), dtype=np.uint32, buffer=raw, offset=at, strides=(3,))
    kernels.convert_integers(words, masks[others], swap, out[others])
    triple = raw[3 * alone : 3 * alone + 3].tobytes()
    out[alone] = int.from_bytes(triple, "big" if big else "little") & int(masks[alone])


def _float_converter(dtype: np.dtype, swap: bool, n_values: int, kernels: ModuleType):
    if not swap:
        return lambda raw, out: _widen(raw.view(dtype), out)
    bits = np.dtype(f"u{dtype.itemsize}")
    all_bits = np.full(n_values, np.iinfo(bits).max, dtype=bits)
    swapped = np.empty(n_values, dtype=dtype)

    def convert(raw, out):
        values = out if out.dtype == dtype else swapped[: len(out)]
        kernels.convert_integers(raw.view(bits), all_bits, True, values.view(bits))
        if values is not out:
            _widen(values, out)

    return convert


def _widen(values: np.ndarray, out: np.ndarray) -> None:
    """Copy floats into ``out`` of another precision."""
    with np.errstate(invalid="ignore"):  # a signalling NaN warns
        out[:] = values
