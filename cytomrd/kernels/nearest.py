"""The nearest of some nodes for every event: float32 arithmetic where it is certain, float64 where it is not.

The squared distance of event x and node w, less what is the same for every node, is half of ``|w|^2`` less ``x w``.
In float32 that is off by at most a known amount. Where the nearest node leads the next by more, it is the nearest in
float64 too; the few other events are decided on float64 distances, and ties go to the node of lowest index. So the
answer is that of the plain float64 rule on every machine, although a machine may fuse multiplication and addition
in the float32 part.
"""

from __future__ import annotations

import numpy as np

from cytomrd.kernels._jit import kernel

__all__ = ["BLOCK", "add_events", "map_rows", "node_tables"]

# Events that are scored together: their columns stay in the first-level cache.
BLOCK = 512
# Nodes that are scored together.
NODES = 4
UNIT = 2.0**-24
SAFETY = 2.0


def node_tables(nodes: np.ndarray) -> tuple:
    """What the kernels need of nodes float64 (n_nodes, n_dims), all finite.

    Returns (nodes, centre float32 (n_dims,), table float32 (multiple of 4, width): nodes less the centre, half float32
    (multiple of 4,): half of their squared lengths, slack float32 (3,)). width is even and at least 4. The score of an
    event whose absolute values less the centre add up to ``a`` is in doubt where the best leads by no more than
    ``slack[0] + slack[1] a + slack[2] a^2``.
    """
    n_nodes, n_dims = nodes.shape
    nodes = np.ascontiguousarray(nodes, dtype=np.float64)
    width = max(4, n_dims + n_dims % 2)
    table = np.zeros((n_nodes + -n_nodes % NODES, width), dtype=np.float32)
    half = np.full(len(table), np.inf, dtype=np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        centre = nodes.mean(axis=0).astype(np.float32)
        apart = nodes - centre
        squares = 0.5 * (apart**2).sum(axis=1)
        table[:n_nodes, :n_dims] = apart
        half[:n_nodes] = squares
        leave_out_repeats(nodes, half)
        # Rounding of x, w and half, and of n_dims products and sums; then that of the float64 distances themselves.
        rounding = 2.0 * SAFETY * (width + 4) * UNIT
        slack = np.array([squares.max(), np.abs(apart).max(), 2.0**-28]) * rounding + 1e-37
        return nodes, centre, table, half, slack.astype(np.float32)


@kernel
def leave_out_repeats(nodes, half):
    """Set half to infinity for a node that equals an earlier one: it is never the nearest, and makes no doubt."""
    for k in range(nodes.shape[0]):
        for earlier in range(k):
            j = 0
            while j < nodes.shape[1] and nodes[k, j] == nodes[earlier, j]:
                j += 1
            if j == nodes.shape[1]:
                half[k] = np.inf
                break


@kernel
def load_block(events, first, step, n, centre, slack, columns, doubt):
    """Fill columns float32 (width, BLOCK) with events first, first + step, ... less the centre, and doubt (BLOCK,)."""
    doubt[:] = np.float32(0.0)
    for j in range(centre.size):
        column, middle, values = columns[j], centre[j], events[first : first + n * step : step, j]
        for e in range(n):
            apart = np.float32(values[e] - middle)
            column[e] = apart
            doubt[e] += abs(apart)
    for e in range(n):
        doubt[e] = slack[0] + doubt[e] * (slack[1] + doubt[e] * slack[2])


@kernel(fastmath={"contract"})
def score_block(columns, table, half, n, best, second, index, parts):
    """Fill best, second float32 and index int32 (BLOCK,) with the two lowest scores and the node of the lowest.

    Nodes go by four, and dims by four after a first two where the width asks for it: a value once loaded serves
    several products. parts float32 (4, BLOCK) is scratch.
    """
    for e in range(n):
        best[e] = np.inf
        second[e] = np.inf
        index[e] = 0
    width = table.shape[1]
    p_0, p_1, p_2, p_3 = parts[0], parts[1], parts[2], parts[3]
    for k in range(0, table.shape[0], NODES):
        h_0, h_1, h_2, h_3 = half[k], half[k + 1], half[k + 2], half[k + 3]
        start = width % 4
        x = columns[:2]
        w_0, w_1, w_2, w_3 = table[k, :2], table[k + 1, :2], table[k + 2, :2], table[k + 3, :2]
        for e in range(n):
            s_0, s_1, s_2, s_3 = h_0, h_1, h_2, h_3
            if start:
                for j in range(2):
                    s_0 -= x[j, e] * w_0[j]
                    s_1 -= x[j, e] * w_1[j]
                    s_2 -= x[j, e] * w_2[j]
                    s_3 -= x[j, e] * w_3[j]
            p_0[e], p_1[e], p_2[e], p_3[e] = s_0, s_1, s_2, s_3
        for c in range(start, width - 4, 4):
            x = columns[c : c + 4]
            w_0, w_1, w_2, w_3 = (
                table[k, c : c + 4],
                table[k + 1, c : c + 4],
                table[k + 2, c : c + 4],
                table[k + 3, c : c + 4],
            )
            for e in range(n):
                s_0, s_1, s_2, s_3 = p_0[e], p_1[e], p_2[e], p_3[e]
                for j in range(4):
                    s_0 -= x[j, e] * w_0[j]
                    s_1 -= x[j, e] * w_1[j]
                    s_2 -= x[j, e] * w_2[j]
                    s_3 -= x[j, e] * w_3[j]
                p_0[e], p_1[e], p_2[e], p_3[e] = s_0, s_1, s_2, s_3
        c = width - 4
        x = columns[c:width]
        w_0, w_1, w_2, w_3 = table[k, c:width], table[k + 1, c:width], table[k + 2, c:width], table[k + 3, c:width]
        i_0, i_1, i_2, i_3 = np.int32(k), np.int32(k + 1), np.int32(k + 2), np.int32(k + 3)
        for e in range(n):
            s_0, s_1, s_2, s_3 = p_0[e], p_1[e], p_2[e], p_3[e]
            for j in range(4):
                s_0 -= x[j, e] * w_0[j]
                s_1 -= x[j, e] * w_1[j]
                s_2 -= x[j, e] * w_2[j]
                s_3 -= x[j, e] * w_3[j]
            low_a, high_a, i_a = min(s_0, s_1), max(s_0, s_1), i_0 if s_0 <= s_1 else i_1
            low_b, high_b, i_b = min(s_2, s_3), max(s_2, s_3), i_2 if s_2 <= s_3 else i_3
            low, high = min(low_a, low_b), min(max(low_a, low_b), min(high_a, high_b))
            lead = best[e]
            index[e] = (i_a if low_a <= low_b else i_b) if low < lead else index[e]
            second[e] = min(min(second[e], high), max(low, lead))
            best[e] = min(low, lead)


@kernel
def squared_distance(events, row, nodes, k):
    """Squared distance of an event and a node in float64, summed over the dims in their order."""
    total = 0.0
    for j in range(nodes.shape[1]):
        apart = np.float64(events[row, j]) - nodes[k, j]
        total += apart * apart
    return total


@kernel
def nearest_exactly(events, row, nodes):
    """Nearest node in float64, the lowest index of equals; -1 for an event with a value that is not finite."""
    for j in range(nodes.shape[1]):
        if not np.isfinite(events[row, j]):
            return np.int32(-1)
    found, least = 0, np.inf
    for k in range(nodes.shape[0]):
        distance = squared_distance(events, row, nodes, k)
        if distance < least:
            found, least = k, distance
    return np.int32(found)


@kernel
def doubtful(best, second, doubt):
    """1 where the lead is within the doubt, or anything is not finite."""
    return np.int64((not (second - best > doubt)) | (not (doubt < np.inf)))


@kernel
def nearest_in_block(events, first, step, n, tables, columns, work, index):
    """Fill index int32 (BLOCK,) with the nearest nodes of events first, first + step, ...; returns the number in doubt.

    columns float32 (width, BLOCK), cleared; work float32 (7, BLOCK).
    """
    nodes, centre, table, half, slack = tables
    best, second, doubt = work[0], work[1], work[2]
    load_block(events, first, step, n, centre, slack, columns, doubt)
    score_block(columns, table, half, n, best, second, index, work[3:])
    n_doubtful = 0
    for e in range(n):
        n_doubtful += doubtful(best[e], second[e], doubt[e])
    if n_doubtful:
        for e in range(n):
            if doubtful(best[e], second[e], doubt[e]):
                index[e] = nearest_exactly(events, first + e * step, nodes)
    return n_doubtful


@kernel
def measure_block(events, first, n, node_columns, index, place, squares):
    """Fill squares float64 (BLOCK,) with the squared distance of events first.. to their nodes; NaN where index is -1.

    node_columns float64 (n_dims, n_nodes); place uint32 (BLOCK,) is scratch. The sum is that of squared_distance.
    """
    for e in range(n):
        # an unsigned index needs no check for counting from the end
        place[e] = max(index[e], 0)
        squares[e] = 0.0 if index[e] >= 0 else np.nan
    for j in range(node_columns.shape[0]):
        column, values = node_columns[j], events[first : first + n, j]
        for e in range(n):
            apart = np.float64(values[e]) - column[place[e]]
            squares[e] += apart * apart


@kernel
def map_rows(events, start, stop, tables, nearest, distances):
    """Fill nearest int32 and distances float64 (n_events,) for events start..stop; returns how many were in doubt.

    events float32 or float64 (n_events, n_dims); tables from node_tables. An event that is not finite gets -1 and NaN.
    """
    node_columns = tables[0].T.copy()
    columns = np.zeros((tables[2].shape[1], BLOCK), dtype=np.float32)
    work = np.empty((7, BLOCK), dtype=np.float32)
    index = np.empty(BLOCK, dtype=np.int32)
    place = np.empty(BLOCK, dtype=np.uint32)
    squares = np.empty(BLOCK)
    n_doubtful = 0
    for first in range(start, stop, BLOCK):
        n = min(BLOCK, stop - first)
        n_doubtful += nearest_in_block(events, first, 1, n, tables, columns, work, index)
        measure_block(events, first, n, node_columns, index, place, squares)
        for e in range(n):
            nearest[first + e] = index[e]
            distances[first + e] = np.sqrt(squares[e])
    return n_doubtful


@kernel
def add_events(events, first, step, n_events, tables, sums, counts):
    """Add events first, first + step, ... to sums float64 (n_nodes, n_dims) and counts int64 (n_nodes,) by node."""
    table = tables[2]
    columns = np.zeros((table.shape[1], BLOCK), dtype=np.float32)
    work = np.empty((7, BLOCK), dtype=np.float32)
    index = np.empty(BLOCK, dtype=np.int32)
    for done in range(0, n_events, BLOCK):
        n = min(BLOCK, n_events - done)
        begin = first + done * step
        nearest_in_block(events, begin, step, n, tables, columns, work, index)
        for e in range(n):
            k = index[e]
            if k >= 0:
                counts[k] += 1
                for j in range(sums.shape[1]):
                    sums[k, j] += events[begin + e * step, j]
