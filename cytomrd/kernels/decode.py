"""From the bytes of FCS rows (events x channels) to float64 columns (channels x events).

Every kernel walks tiles of events that stay in the first-level cache, one channel at a time, so that
reads hit the cache and writes are contiguous.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = [
    "antilog",
    "columns_of_bytes",
    "columns_of_integers",
    "columns_of_numbers",
    "columns_of_triples",
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
def columns_of_triples(rows, big, masks, out):
    """24-bit unsigned integers: ``rows`` (n, 3 c) uint8, ``masks`` (c,) uint32, ``out`` (c, n) float64."""
    n = np.uint64(rows.shape[0])
    c = np.uint64(masks.shape[0])
    high = np.uint64(0) if big else np.uint64(2)
    low = np.uint64(2) if big else np.uint64(0)
    first = np.uint64(0)
    while first < n:
        last = min(first + _TILE, n)
        for j in range(c):
            mask = masks[j]
            at = np.uint64(3) * j
            for i in range(first, last):
                value = (
                    (np.uint32(rows[i, at + high]) << np.uint32(16))
                    | (np.uint32(rows[i, at + np.uint64(1)]) << np.uint32(8))
                    | np.uint32(rows[i, at + low])
                )
                out[j, i] = value & mask
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
def _is_separator(byte):
    return byte == 32 or byte == 9 or byte == 10 or byte == 13 or byte == 44
