"""Training a self-organising map: FlowSOM's rule event by event, and one step of the batch rule."""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["DIMS", "FAR", "LANES", "move_nodes", "train_online"]

LANES = 8
DIMS = 4
# Events copied at a time: their rows lie anywhere in memory, and a copy waits for many of them at once.
COPIED = 256
# Columns that stand for no node are this far away, so that none of them is ever the nearest.
FAR = np.float32(1e15)


@kernel
def nearest_column(x, columns, distance, bits):
    """The column of columns float32 (multiple of DIMS, width) nearest to x float32 (multiple of DIMS,), first of ties.

    distance float32 (width,) is scratch, and bits int32 (width,) the same memory.
    """
    for j in range(0, x.size, DIMS):
        values, rows = x[j : j + DIMS], columns[j : j + DIMS]
        for k in range(distance.size):
            total = distance[k] if j else np.float32(0.0)
            for i in range(DIMS):
                apart = values[i] - rows[i, k]
                total += apart * apart
            distance[k] = total
    # Floats that are not negative sort as their bits do, and a least integer is found many at a time.
    least = bits[0]
    for k in range(bits.size):
        least = min(least, bits[k])
    found = np.int32(bits.size)
    for k in range(bits.size):
        found = min(found, np.int32(k) if bits[k] == least else np.int32(bits.size))
    return found


@kernel
def neighbourhood(grid, radius, width):
    """float32 (n_nodes, width): 1 where two nodes of the grid are no more than radius rows and columns apart."""
    n_rows, n_columns = grid
    near = np.zeros((n_rows * n_columns, width), dtype=np.float32)
    for i in range(near.shape[0]):
        for k in range(near.shape[0]):
            rows, places = abs(i // n_columns - k // n_columns), abs(i % n_columns - k % n_columns)
            near[i, k] = np.float32(max(rows, places) <= radius)
    return near


@kernel
def move_columns(x, columns, n_dims, shares, begin, end):
    """Move columns begin..end towards x by shares float32 (width,) of the way."""
    share = shares[begin:end]
    for j in range(n_dims):
        value, column = x[j], columns[j, begin:end]
        for k in range(column.size):
            column[k] += (value - column[k]) * share[k]


@kernel
def train_online(events, drawn, first, total, scale, grid, radii, rates, columns):
    """Move the nodes by the events drawn int64 (n_drawn,), one after the other.

    events float32 or float64 (n_events, n_dims), finite. scale is (middle float64 (n_dims,), factor): an event counts
    as ``(event - middle) factor``, in about -1..1. columns float32 (n_dims made a multiple of DIMS, n_nodes made a
    multiple of LANES) are nodes on that scale, filled up with zero rows and FAR columns. The draws are steps first,
    first + 1, ... of total. grid is (n_rows, n_columns), node r * n_columns + c lying at (r, c). radii and rates are
    (at step 0, at step total), linear between; a radius below 1 moves the nearest node alone.
    """
    middle, factor = scale
    n_columns = grid[1]
    width, n_dims = columns.shape[1], events.shape[1]
    copied = np.zeros((COPIED, columns.shape[0]), dtype=np.float32)
    distance, shares = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    bits = distance.view(np.int32)
    known, near = -1, np.empty((0, 0), dtype=np.float32)
    for start in range(0, drawn.size, COPIED):
        n = min(COPIED, drawn.size - start)
        for i in range(n):
            for j in range(n_dims):
                copied[i, j] = np.float32((events[drawn[start + i], j] - middle[j]) * factor)
        for i in range(n):
            done = (first + start + i) / total
            radius = int(radii[0] - (radii[0] - radii[1]) * done)
            rate = np.float32(rates[0] - (rates[0] - rates[1]) * done)
            x = copied[i]
            nearest = nearest_column(x, columns, distance, bits)
            if radius == 0:
                for j in range(n_dims):
                    columns[j, nearest] += (x[j] - columns[j, nearest]) * rate
                continue
            if radius != known:
                known, near = radius, neighbourhood(grid, radius, width)
            # Whole rows of the grid that the neighbourhood reaches, in whole lanes; the rest of them stays where it is.
            row = nearest // n_columns
            begin = max(0, row - radius) * n_columns // LANES * LANES
            end = min(width, ((row + radius + 1) * n_columns + LANES - 1) // LANES * LANES)
            for k in range(width):
                shares[k] = near[nearest, k] * rate
            move_columns(x, columns, n_dims, shares, begin, end)


@kernel
def move_nodes(nodes, sums, counts, grid, radius, rate):
    """Move nodes float64 (n_nodes, n_dims) to the mean of the events of their neighbourhood, by the batch rule.

    sums float64 (n_nodes, n_dims) and counts int64 (n_nodes,) are of the events nearest to each node. With m events in
    the neighbourhood a node goes ``1 - (1 - rate)^m`` of the way: as far as m single steps would take it.
    """
    n_rows, n_columns = grid
    mean = np.empty(nodes.shape[1])
    for row in range(n_rows):
        for place in range(n_columns):
            mean[:] = 0.0
            n_events = 0
            for r in range(max(0, row - radius), min(n_rows, row + radius + 1)):
                for c in range(max(0, place - radius), min(n_columns, place + radius + 1)):
                    k = r * n_columns + c
                    n_events += counts[k]
                    for j in range(mean.size):
                        mean[j] += sums[k, j]
            if n_events:
                share = 1.0 - (1.0 - rate) ** n_events
                k = row * n_columns + place
                for j in range(mean.size):
                    nodes[k, j] += (mean[j] / n_events - nodes[k, j]) * share
