"""Straight lines between the points of a grid, as `cytomrd.kernels.transforms.interpolate`, without its search.

An index over the bits of ``|x| + offset`` names a segment at or shortly before the right one; a few steps, the same
number for every event, lead there. The segment and the arithmetic on it are those of the search, so the positions
are the same to the last bit.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["index_grid", "interpolate_column"]

PIECE_BITS = 10
SHIFT = 52 - PIECE_BITS


def index_grid(grid: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, float, int]:
    """(segments, starts, n_steps, offset, first) of a rising grid float64 (m,) with its values float64 (m,).

    segments float64 (m + 1, 3): where each begins, its value there and its slope, and a last row that no event
    reaches; starts int32 (n_pieces, 2): the segment to begin at, and that for x < 0; n_steps: how far that can be off.
    """
    reach = float(np.abs(grid[[0, -1]]).max())
    # One piece near zero is about as wide as one segment there.
    near_zero = np.clip(np.searchsorted(grid, 0.0), 1, grid.size - 1)
    spacing = max(float(grid[near_zero] - grid[near_zero - 1]), reach * 2.0**-40, 1e-300)
    offset = 2.0 ** np.round(np.log2(spacing) + PIECE_BITS)
    first = int(np.float64(offset).view(np.int64)) >> SHIFT
    last = int(np.float64(reach + offset).view(np.int64)) >> SHIFT
    edges = (np.arange(first, last + 3) << SHIFT).view(np.float64)
    # |x| + offset is rounded, so a piece can hold what lies that much beside it.
    nearest, farthest = edges[:-1] - offset - np.spacing(edges[:-1]), edges[1:] - offset + np.spacing(edges[1:])

    def segment_of(x: np.ndarray) -> np.ndarray:
        return np.clip(np.searchsorted(grid, x, side="right") - 1, 0, grid.size - 2)

    starts = np.stack([segment_of(nearest), segment_of(-farthest)])
    ends = np.stack([segment_of(farthest), segment_of(-nearest)])
    slopes = np.diff(values) / np.diff(grid)
    segments = np.empty((grid.size + 1, 3))
    segments[:-1, 0], segments[:-1, 1], segments[:-2, 2] = grid, values, slopes
    segments[-2, 2], segments[-1] = 0.0, np.nan
    return segments, np.ascontiguousarray(starts.T, dtype=np.int32), int((ends - starts).max()), float(offset), first


@kernel
def interpolate_column(x, segments, starts, n_steps, offset, first, n, spare, out):
    """Positions of x float64 (>= n,) into out (>= n,), by an index of `index_grid`; spare float64 (2, >= n)."""
    sums = spare[0]
    bits = sums.view(np.int64)
    last = np.uint64(segments.shape[0] - 2)
    low_end, high_end = segments[0, 0], segments[last, 0]
    n_pieces = np.uint64(starts.shape[0])
    for e in range(n):
        sums[e] = abs(x[e]) + offset
    for e in range(n):
        value = x[e]
        piece = min(np.uint64((bits[e] >> SHIFT) - first), n_pieces - np.uint64(1))
        segment = np.uint64(starts[piece, np.uint64(value < 0.0)])
        for _ in range(n_steps):
            segment += np.uint64(segments[segment + np.uint64(1), 0] <= value)
        position = segments[segment, 2] * (value - segments[segment, 0]) + segments[segment, 1]
        position = segments[0, 1] if value <= low_end else position
        position = segments[last, 1] if value >= high_end else position
        out[e] = position if value == value else value
