"""The kernels of `cytomrd.kernels.decode` in plain numpy: slower by the event, but there is no compiler to load.

A look at the first thousand events of a file would otherwise wait for numba. Names, arguments and results are
the same to the last bit.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "antilog",
    "columns_of_bytes",
    "columns_of_integers",
    "columns_of_numbers",
    "convert_in_place",
    "convert_integers",
    "look_up",
]


def columns_of_numbers(rows, out):
    """Transpose ``rows`` (n, c) of any native number into ``out`` (c, n) float64."""
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is widened
        out[:] = rows.T


def columns_of_integers(rows, masks, out):
    """Transpose ``rows`` (n, c) of native unsigned integers into ``out`` (c, n), keeping the bits of ``masks`` (c,)."""
    out[:] = (rows & masks).T


def columns_of_bytes(rows, starts, widths, shifts, out):
    """Values of any width: ``rows`` (n, row_bytes) uint8 into the bit patterns ``out`` (c, n) uint64."""
    out[:] = 0
    for pattern, start, width, shift in zip(out, starts.tolist(), widths.tolist(), shifts, strict=True):
        for k in range(width):
            pattern |= rows[:, start + k].astype(np.uint64) << shift[k]


def convert_integers(values, masks, swap, out):
    """Unsigned integers ``values`` (m,), bytes reversed where ``swap``, bits of ``masks`` kept, into ``out`` (m,)."""
    out[:] = (values.byteswap() if swap else values) & masks[: len(values)]


def convert_in_place(values, masks, swap):
    """What `convert_integers` does, to ``values`` (m,) themselves; ``masks`` (k,) repeat."""
    convert_integers(values, np.resize(masks, len(values)), swap, values)


def antilog(values, decades, value_range, offset):
    """Linearise a logarithmic amplifier in place: ``values`` (n,) become ``10**(decades v / range) offset``."""
    # Python's own power, one by one: numpy's vectorised one rounds differently from machine to machine.
    values[:] = [10.0 ** (decades * v / value_range) * offset for v in values.tolist()]


def look_up(values, table):
    """Replace each of ``values`` (n,) float64, whole numbers below m, by its entry of ``table`` (m,) float64."""
    values[:] = table[values.astype(np.int64)]
