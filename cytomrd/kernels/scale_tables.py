"""Scales by table: cubic pieces over shares of an octave, with a proven bound on their error.

Logicle, hyperlog and asinh are a constant plus the odd function u(x) that inverts

    S(u) = p expm1(b u) - q expm1(-d u) + c u,    u >= 0.

u is tabulated over ``|x| + offset``; the piece and the place in it are read off the bits of that sum, so that no
search and no logarithm is needed. Whoever decides on such a position must recompute it exactly where the error
could matter.

The bound: on a piece of half width h, the cubic through the four Chebyshev nodes is off by at most
``max |f| h**4 / 192``, f being the fourth derivative of u. That follows from the first four derivatives of S, as
the derivatives of an inverse function do; each is a sum of two monotone exponentials and so bounded by its values
at the piece's ends. Rounding is added.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.constants import ASINH, HYPERLOG, LOGICLE
from cytomrd.kernels.transforms import transform_column, transform_value

__all__ = ["ROUNDING", "build_table", "look_up_column"]

PIECE_BITS = 5
SHIFT = 52 - PIECE_BITS
# Values beyond this many tops of the scale are rare; they are computed, not looked up.
REACH = 64.0
# What rounding adds at most to a position, exact or by table, for each unit of its size (and at least one).
ROUNDING = 1e-14
MANTISSA = (1 << 52) - 1
ONE = 1023 << 52


def build_table(
    kind: int, constants: np.ndarray, table: np.ndarray, top: float
) -> tuple[np.ndarray, float, int, float, float] | None:
    """Cubic pieces of the odd part of a scale, up to REACH times ``top``; None for kinds that have none.

    Returns (pieces, offset, first, zero, error): pieces float64 (n_pieces, 4), coefficients of the powers of the place
    in a piece (-0.5 to 0.5); ``first`` the bits of the first piece; ``zero`` the position of 0; ``error`` a bound on
    the distance from the exact position, within the table.
    """
    if kind in (LOGICLE, HYPERLOG):
        offset = constants[3]
    elif kind == ASINH:
        offset = 1.0 / constants[0]
    else:
        return None
    # Edges of pieces must be round numbers in binary: the table begins at a power of two.
    offset = 2.0 ** np.round(np.log2(offset))
    octaves = int(np.ceil(np.log2((REACH * top + offset) / offset)))
    steps = 1.0 + np.arange(1 << PIECE_BITS) / (1 << PIECE_BITS)
    edges = np.append((offset * 2.0 ** np.arange(octaves)[:, None] * steps).ravel(), offset * 2.0**octaves)
    centre, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    zero = _positions(np.zeros(1), kind, constants, table)[0]

    def odd_part(values: np.ndarray) -> np.ndarray:
        return _positions(values.ravel(), kind, constants, table).reshape(values.shape) - zero

    nodes = np.cos((2 * np.arange(4) + 1) * np.pi / 8) / 2
    samples = odd_part(centre[:, None] + width[:, None] * nodes - offset)
    pieces = np.linalg.solve(np.vander(nodes, 4, increasing=True), samples.T).T
    ends = odd_part(edges - offset)
    bound = _fourth_derivative(kind, constants, ends[:-1], ends[1:]) * (width / 2) ** 4 / 192.0
    error = bound.max() + ROUNDING * max(1.0, abs(zero) + ends[-1])
    first = int(np.float64(offset).view(np.int64)) >> SHIFT
    return np.ascontiguousarray(pieces), float(offset), first, float(zero), float(error)


def _fourth_derivative(kind: int, constants: np.ndarray, u0: np.ndarray, u1: np.ndarray) -> np.ndarray:
    """Upper bound of the fourth derivative of u(x), in size, where u runs from u0 to u1, float64 (n_pieces,)."""
    p, b, q, d, c = _exponentials(kind, constants)
    rise0, rise1, fall0, fall1 = np.exp(b * u0), np.exp(b * u1), np.exp(-d * u0), np.exp(-d * u1)
    least = p * b * rise0 + q * d * fall1 + c
    first = p * b * rise1 + q * d * fall0 + c
    second = np.maximum(abs(p * b**2 * rise0 - q * d**2 * fall0), abs(p * b**2 * rise1 - q * d**2 * fall1))
    third = p * b**3 * rise1 + q * d**3 * fall0
    fourth = np.maximum(abs(p * b**4 * rise0 - q * d**4 * fall0), abs(p * b**4 * rise1 - q * d**4 * fall1))
    return (10 * first * second * third + first**2 * fourth + 15 * second**3) / least**7


def _exponentials(kind: int, constants: np.ndarray) -> tuple[float, float, float, float, float]:
    """(p, b, q, d, c) of ``S(u) = p expm1(b u) - q expm1(-d u) + c u``."""
    if kind == LOGICLE:
        return constants[3], constants[1], constants[4], constants[2], 0.0
    if kind == HYPERLOG:
        return constants[3], constants[1], 0.0, 0.0, constants[2]
    half = 0.5 / constants[0]
    return half, constants[2], half, constants[2], 0.0


def _positions(values: np.ndarray, kind: int, constants: np.ndarray, table: np.ndarray) -> np.ndarray:
    out = np.empty(values.size)
    transform_column(np.ascontiguousarray(values), kind, constants, table, out)
    return out


@kernel
def look_up_column(x, pieces, offset, first, zero, kind, constants, table, n, spare, out):
    """Positions of x float64 (>= n,) into out (>= n,): by table where it reaches, else exact; spare (2, >= n)."""
    sums, places = spare[0], spare[1]
    bits, place_bits = sums.view(np.int64), places.view(np.int64)
    n_pieces = np.uint64(pieces.shape[0])
    n_beyond = np.int64(0)
    for e in range(n):
        sums[e] = abs(x[e]) + offset
    for e in range(n):
        # What lies below the first piece cannot be; what lies beyond the last, and NaN, has larger bits.
        n_beyond += np.uint64((bits[e] >> SHIFT) - first) >= n_pieces
        # The bits below the piece's, as the fraction of a number from 1 to 2.
        place_bits[e] = ((bits[e] << PIECE_BITS) & MANTISSA) | ONE
    for e in range(n):
        piece = min(np.uint64((bits[e] >> SHIFT) - first), n_pieces - np.uint64(1))
        place = places[e] - 1.5
        odd = pieces[piece, 0] + place * (pieces[piece, 1] + place * (pieces[piece, 2] + place * pieces[piece, 3]))
        out[e] = zero + odd if x[e] >= 0.0 else zero - odd
    if n_beyond:
        for e in range(n):
            if np.uint64((bits[e] >> SHIFT) - first) >= n_pieces:
                out[e] = transform_value(x[e], kind, constants, table)
