"""Scales by table: cubic pieces over shares of an octave, with a bound on their error.

Logicle, hyperlog and asinh are a constant plus an odd function of the scale value.
The odd part is tabulated over ``|x| + offset``; the piece is read off the bits of
that sum, so that no search and no logarithm is needed. Whoever decides on such a
position must recompute it exactly where the error could matter.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel
from cytomrd.kernels.constants import ASINH, HYPERLOG, LOGICLE
from cytomrd.kernels.transforms import transform_column, transform_value

__all__ = ["build_table", "look_up_column"]

PIECES_PER_OCTAVE = 64
SHIFT = 52 - 6
# Values beyond this many tops of the scale are rare; they are computed, not looked up.
REACH = 64.0
CHECKS_PER_PIECE = 16


def build_table(
    kind: int, constants: np.ndarray, table: np.ndarray, top: float
) -> tuple[np.ndarray, float, int, float, float] | None:
    """Cubic pieces of the odd part of a scale, up to REACH times ``top``; None for kinds that have none.

    Returns (pieces, offset, first, zero, error): pieces float64 (n_pieces, 5), each its centre and four
    coefficients; ``first`` the bits of the first piece; ``zero`` the position of 0; ``error`` a bound on
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
    edges = (
        offset * 2.0 ** np.arange(octaves)[:, None] * (1.0 + np.arange(PIECES_PER_OCTAVE) / PIECES_PER_OCTAVE)
    ).ravel()
    edges = np.append(edges, offset * 2.0**octaves)
    centre, half = (edges[:-1] + edges[1:]) / 2, np.diff(edges) / 2
    zero = _positions(np.zeros(1), kind, constants, table)[0]

    def odd_part(places: np.ndarray) -> np.ndarray:
        values = centre[:, None] + half[:, None] * places - offset
        return _positions(values.ravel(), kind, constants, table).reshape(values.shape) - zero

    nodes = np.cos((2 * np.arange(4) + 1) * np.pi / 8)
    powers = np.linalg.solve(np.vander(nodes, 4, increasing=True), odd_part(nodes).T).T
    coefficients = powers / half[:, None] ** np.arange(4)
    checks = np.linspace(-1, 1, CHECKS_PER_PIECE)
    found = np.vander(checks, 4, increasing=True) @ powers.T
    # Between the checks the error of a cubic through Chebyshev nodes is hardly larger than at them.
    error = 4.0 * np.abs(found.T - odd_part(checks)).max() + 4e-16
    first = int(np.float64(offset).view(np.int64)) >> SHIFT
    return np.column_stack([centre, coefficients]), float(offset), first, float(zero), float(error)


def _positions(values: np.ndarray, kind: int, constants: np.ndarray, table: np.ndarray) -> np.ndarray:
    out = np.empty(values.size)
    transform_column(np.ascontiguousarray(values), kind, constants, table, out)
    return out


@kernel
def look_up_column(x, pieces, offset, first, zero, kind, constants, table, n, sums, out):
    """Positions of x float64 (>= n,) into out (>= n,): by table where it reaches, else exact; sums (>= n,) is spare."""
    for e in range(n):
        sums[e] = abs(x[e]) + offset
    bits = sums.view(np.int64)
    n_pieces = np.uint64(pieces.shape[0])
    for e in range(n):
        # What lies below the first piece cannot be; what lies beyond the last, and NaN, has larger bits.
        piece = np.uint64((bits[e] >> SHIFT) - first)
        if piece < n_pieces:
            away = sums[e] - pieces[piece, 0]
            odd = pieces[piece, 1] + away * (pieces[piece, 2] + away * (pieces[piece, 3] + away * pieces[piece, 4]))
            out[e] = zero + odd if x[e] >= 0.0 else zero - odd
        else:
            out[e] = transform_value(x[e], kind, constants, table)
