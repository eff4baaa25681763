"""From the bytes of FCS rows (events x channels) to columns (channels x events) or to rows of numbers.

The ``columns_of_...`` kernels walk tiles of events that stay in the first-level cache, one channel at a time, so
that reads hit the cache and writes are contiguous. The ``convert_...`` kernels keep the order of the file and go
straight through it. Each has a twin of the same name in `cytomrd.kernels.decode_plain` for small reads.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = [
    "antilog",
    "columns_of_bytes",
    "columns_of_digits",
    "columns_of_integers",
    "columns_of_numbers",
    "convert_in_place",
    "convert_integers",
    "look_up",
    "read_digits",
]

_TILE = np.uint64(128)


@kernel
def columns_of_numbers(rows, out):
    """Transpose ``rows`` (n, c) of any native number into ``out`` (c, n) float64."""
    n = np.uint64(rows.shape[0])
    c = np.uint64(rows.shape[1])
    first = np.uint64(0)
    while first < n:
        last = min(first + _TILE, n)
        for j in range(c):
            for i in range(first, last):
                out[j, i] = rows[i, j]
        first = last


@kernel
def columns_of_integers(rows, masks, out):
    """Transpose ``rows`` (n, c) of native unsigned integers into ``out`` (c, n) float64, keeping the bits of ``masks``.

    ``masks`` (c,) has the dtype of ``rows``.
    """
    n = np.uint64(rows.shape[0])
    c = np.uint64(rows.shape[1])
    first = np.uint64(0)
    while first < n:
        last = min(first + _TILE, n)
        for j in range(c):
            mask = masks[j]
            for i in range(first, last):
                out[j, i] = rows[i, j] & mask
        first = last


@kernel
def columns_of_bytes(rows, starts, widths, shifts, out):
    """Values of any width: ``rows`` (n, row_bytes) uint8 into the bit patterns ``out`` (c, n) uint64.

    Channel j takes ``widths[j]`` bytes from ``starts[j]``; byte k is shifted up by ``shifts[j, k]`` bits.
    """
    n = np.uint64(rows.shape[0])
    c = np.uint64(starts.shape[0])
    first = np.uint64(0)
    while first < n:
        last = min(first + _TILE, n)
        for j in range(c):
            at = starts[j]
            for i in range(first, last):
                out[j, i] = np.uint64(rows[i, at]) << shifts[j, np.uint64(0)]
            for k in range(np.uint64(1), widths[j]):
                shift = shifts[j, k]
                for i in range(first, last):
                    out[j, i] |= np.uint64(rows[i, at + k]) << shift
        first = last


@kernel
def convert_integers(values, masks, swap, out):
    """Unsigned integers ``values`` (m,), bytes reversed where ``swap``, bits of ``masks`` kept, into ``out`` (m,).

    ``values`` may overlap and stand at any byte; ``masks`` (m or more,) has their dtype; ``out`` any numeric dtype
    and memory of its own.
    """
    # Written out for each width, since this is what the compiler turns into vector instructions.
    n = np.uint64(values.shape[0])
    if not swap or values.itemsize == 1:
        for i in range(n):
            out[i] = values[i] & masks[i]
    elif values.itemsize == 2:
        for i in range(n):
            v = values[i]
            out[i] = ((v >> 8) | ((v & 255) << 8)) & masks[i]
    elif values.itemsize == 4:
        for i in range(n):
            v = np.uint32(values[i])
            v = (v >> np.uint32(16)) | (v << np.uint32(16))
            v = ((v & np.uint32(0xFF00FF00)) >> np.uint32(8)) | ((v & np.uint32(0x00FF00FF)) << np.uint32(8))
            out[i] = v & masks[i]
    else:
        for i in range(n):
            v = np.uint64(values[i])
            reverse = np.uint64(0)
            for _ in range(8):
                reverse = (reverse << np.uint64(8)) | (v & np.uint64(255))
                v >>= np.uint64(8)
            out[i] = reverse & masks[i]


@kernel
def convert_in_place(values, masks, swap):
    """What `convert_integers` does, to ``values`` (m,) themselves; ``masks`` (k,) repeat."""
    # New memory is the slowest of all: it is written once by the system, and corrected while it is in the cache.
    spare = np.empty_like(masks)
    for first in range(0, len(values), len(masks)):
        part = values[first : first + len(masks)]
        for i in range(len(part)):  # slices would be compared for overlap, and copied twice
            spare[i] = part[i]
        convert_integers(spare[: len(part)], masks, swap, part)


@kernel
def antilog(values, decades, value_range, offset):
    """Linearise a logarithmic amplifier in place: ``values`` (n,) float64 become ``10**(decades v / range) offset``."""
    for i in range(values.shape[0]):
        # One by one: the library's pow rounds alike on every machine, vectorised ones do not.
        values[i] = 10.0 ** (decades * values[i] / value_range) * offset


@kernel
def look_up(values, table):
    """Replace each of ``values`` (n,) float64, whole numbers below m, by its entry of ``table`` (m,) float64."""
    for i in range(values.shape[0]):
        values[i] = table[np.int64(values[i])]


@kernel
def read_digits(text, position, out):
    """Read whole numbers in digits from ``text`` (m,) uint8, from ``position`` on, into ``out`` (k,) float64.

    Numbers are separated by any of space, tab, CR, LF and comma. Returns how many were read and the position
    behind the last one; a count of -1 means a byte that is neither, or a number of 2**53 or more.
    """
    n = 0
    size = text.shape[0]
    while n < out.shape[0]:
        while position < size and _is_separator(text[position]):
            position += 1
        if position >= size:
            break
        value = np.int64(0)
        while position < size and not _is_separator(text[position]):
            digit = np.int64(text[position]) - 48
            if digit < 0 or digit > 9:
                return -1, position
            value = value * 10 + digit
            if value >= 9007199254740992:
                return -1, position
            position += 1
        out[n] = value
        n += 1
    return n, position


@kernel
def columns_of_digits(rows, widths, out):
    """Fixed-width ASCII: ``rows`` (n, row_bytes) uint8 in columns of ``widths`` (c,) bytes into ``out`` (c, n) float64.

    Returns -1, or ``i * c + j`` where value j of row i is no whole number below 2**53 with separators around.
    """
    c = len(widths)
    for i in range(rows.shape[0]):
        start = 0
        for j in range(c):
            n, position = read_digits(rows[i, start : start + widths[j]], 0, out[j, i : i + 1])
            rest = rows[i, start + position : start + widths[j]]
            if n != 1:
                return i * c + j
            for byte in rest:
                if not _is_separator(byte):
                    return i * c + j
            start += widths[j]
    return -1


@kernel
def _is_separator(byte):
    return byte == 32 or byte == 9 or byte == 10 or byte == 13 or byte == 44
