"""How the benchmark reaches our own code: one function a case, each returning a call that is ready to be timed.

Nothing else in this package touches a kernel, so a kernel that changes its arguments changes one
function here. Results go into memory that is used again, a block at a time, as the whole pass does it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np

from cytomrd.bench.events import Events, bench_strategy, circle, spillover
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.clustering import fit_som_batch, fit_som_online, map_events
from cytomrd.gating.edges import interval_of_positions
from cytomrd.kernels.compensate import compensate_column
from cytomrd.kernels.gates import combine_members, points_in_ellipsoid
from cytomrd.kernels.grid_index import interpolate_column
from cytomrd.kernels.histograms import count_1d, count_2d
from cytomrd.kernels.moments import add_moments, mean_and_covariance
from cytomrd.kernels.near_gates import (
    grid_of_polygon,
    points_near_box,
    points_near_ellipsoid,
    points_near_polygon,
)
from cytomrd.kernels.scale_tables import look_up_column
from cytomrd.preprocess.transforms import Transform, scale_constants, scale_grid, scale_table

__all__ = [
    "BOX_HIGH",
    "BOX_LOW",
    "COVARIANCE",
    "DIVIDER",
    "DRAWN",
    "MEAN",
    "N_BINS",
    "N_PASSES",
    "boolean",
    "compensate",
    "decode",
    "ellipsoid",
    "exact_scale",
    "histogram_1d",
    "histogram_2d",
    "map_to_nodes",
    "moments",
    "polygon",
    "quadrant",
    "read",
    "read_again",
    "rectangle",
    "scale",
    "som_batch",
    "som_online",
    "whole_pass",
]

Run = Callable[[], object]

BLOCK = 16384
BOX_LOW, BOX_HIGH = (0.3, 0.2, 0.1), (0.9, 0.8, 0.85)
DRAWN = circle(0.5, 0.45, 0.3, 0.25)
MEAN, COVARIANCE = (0.5, 0.5, 0.5), ((0.1, 0.02, 0.0), (0.02, 0.1, 0.01), (0.0, 0.01, 0.1))
DISTANCE_SQUARE = 1.0
DIVIDER = (0.45, 0.4)
N_BINS = 128
N_PASSES = 10


def _blocks(n: int) -> Iterator[tuple[int, slice]]:
    for first in range(0, n, BLOCK):
        yield min(BLOCK, n - first), slice(first, min(first + BLOCK, n))


def whole_pass(events: Events, n_threads: int = 1) -> Run:
    """File in, counts of every population out: read, compensate, logicle, four gates."""
    path, strategy = events.file(), bench_strategy()

    def run() -> dict[str, int]:
        gated = apply_gates(open_fcs(path), strategy, n_threads=n_threads)
        return dict(zip(gated.populations, gated.n_events.tolist(), strict=True))

    return run


def read(events: Events, kind: str, byte_order: str) -> Run:
    """A whole file into new memory, in its smallest exact type."""
    path = events.file(kind, byte_order)
    native = open_fcs(path).native_dtype
    return lambda: open_fcs(path).read_events(dtype=native)


def read_again(events: Events, kind: str, byte_order: str) -> Run:
    """The same into memory that is used again."""
    path = events.file(kind, byte_order)
    tube = open_fcs(path)
    native = tube.native_dtype
    kept = np.empty((tube.n_events, tube.n_channels), dtype=native)
    return lambda: open_fcs(path).read_events(dtype=native, out=kept)


def decode(events: Events) -> Run:
    """A file's rows as float64 columns, block by block; the sum of each block's ends shows that all were there."""
    path = events.file()

    def run() -> float:
        total = 0.0
        for _, values in open_fcs(path).blocks(BLOCK):
            total += float(values[0, -1] + values[-1, 0])
        return total

    return run


def compensate(events: Events) -> Run:
    """Ten of fourteen channels, from blocks of columns to columns."""
    columns = np.ascontiguousarray(events.rows.T, dtype=np.float64)
    blocks = [np.ascontiguousarray(columns[:, part]) for _, part in _blocks(events.n_events)]
    rows = np.arange(2, 12)
    coefficients = np.ascontiguousarray(spillover().inverse.T)
    out = np.empty((10, events.n_events))

    def run() -> np.ndarray:
        for values, (n, part) in zip(blocks, _blocks(events.n_events), strict=True):
            for j in range(10):
                compensate_column(values, rows, coefficients[j], n, out[j, part])
        return out

    return run


def scale(events: Events, transform: Transform) -> Run:
    """One channel onto a scale the way the whole pass does it: by a table, or by the index of a grid."""
    x, out = events.linear[0], np.empty(events.n_events)
    constants, table, grid = scale_constants(transform), scale_table(transform), scale_grid(transform)
    spare = np.empty((2, BLOCK))

    def by_table() -> np.ndarray:
        known = table.pieces, table.offset, table.first, table.zero
        for n, part in _blocks(x.size):
            look_up_column(x[part], *known, *constants, n, spare, out[part])
        return out

    def by_grid() -> np.ndarray:
        for n, part in _blocks(x.size):
            interpolate_column(x[part], *grid, n, spare, out[part])
        return out

    return by_grid if table is None else by_table


def exact_scale(events: Events, transform: Transform) -> Run:
    """One channel onto a scale, exact to the last few bits."""
    x = events.linear[0]
    return lambda: transform.apply(x)


def rectangle(events: Events) -> Run:
    """Three axes, an interval on each."""
    blocks = [np.ascontiguousarray(events.positions[:3, part]) for _, part in _blocks(events.n_events)]
    intervals = np.array([interval_of_positions(low, high) for low, high in zip(BOX_LOW, BOX_HIGH, strict=True)])
    on_scale, rows = np.ones(3, dtype=np.bool_), np.arange(3)
    member, surely = np.empty(events.n_events, dtype=np.uint8), np.empty(BLOCK, dtype=np.uint8)

    def run() -> np.ndarray:
        for positions, (n, part) in zip(blocks, _blocks(member.size), strict=True):
            member[part] = 1
            points_near_box(positions, positions, on_scale, rows, intervals, n, member[part], surely)
        return member

    return run


def polygon(events: Events) -> Run:
    """Twenty vertices on two axes, exact positions."""
    x, y = events.positions[:2]
    vertices = np.array(DRAWN)
    grid = grid_of_polygon(vertices, 0.0, 0.0)
    member = np.empty(events.n_events, dtype=np.uint8)
    places, doubtful = np.empty(BLOCK, dtype=np.uint8), np.empty(BLOCK, dtype=np.int64)

    def run() -> np.ndarray:
        for n, part in _blocks(member.size):
            member[part] = 1
            points_near_polygon(x[part], y[part], vertices, grid, 0.0, 0.0, n, places, member[part], doubtful)
        return member

    return run


def ellipsoid(events: Events) -> Run:
    """Three axes."""
    blocks = [np.ascontiguousarray(events.positions[:3, part]) for _, part in _blocks(events.n_events)]
    shape = np.array(MEAN), np.linalg.inv(np.array(COVARIANCE)), DISTANCE_SQUARE
    axes, no_errors = np.arange(3), np.zeros(3)
    member = np.empty(events.n_events, dtype=np.uint8)
    spare, surely, doubtful = np.empty((2, BLOCK)), np.empty(BLOCK, dtype=np.uint8), np.empty(BLOCK, dtype=np.int64)

    def run() -> np.ndarray:
        for x, (n, part) in zip(blocks, _blocks(member.size), strict=True):
            inside = member[part]
            inside[:] = 1
            n_open = points_near_ellipsoid(x, axes, no_errors, shape, n, spare, surely, inside, doubtful)
            if n_open:
                chosen = doubtful[:n_open]
                decided = np.ones(n_open, dtype=np.uint8)
                points_in_ellipsoid(x[:, chosen], *shape, n_open, decided)
                inside[chosen] = decided
        return member

    return run


def quadrant(events: Events) -> Run:
    """Four cells on two axes: uint8 (4, n_events), lower left, lower right, upper left, upper right."""
    blocks = [np.ascontiguousarray(events.positions[:2, part]) for _, part in _blocks(events.n_events)]
    members, surely = np.empty((4, events.n_events), dtype=np.uint8), np.empty(BLOCK, dtype=np.uint8)
    sides = [[interval_of_positions(*ends) for ends in ((-np.inf, at), (at, np.inf))] for at in DIVIDER]
    cells = [np.array([sides[0][cell % 2], sides[1][cell // 2]]) for cell in range(4)]
    on_scale, rows = np.ones(2, dtype=np.bool_), np.arange(2)

    def run() -> np.ndarray:
        for positions, (n, part) in zip(blocks, _blocks(events.n_events), strict=True):
            for member, intervals in zip(members[:, part], cells, strict=True):
                member[:] = 1
                points_near_box(positions, positions, on_scale, rows, intervals, n, member, surely)
        return members

    return run


def boolean(events: Events) -> Run:
    """A and not B and C, of three populations that are known."""
    known = memberships(events)
    blocks = [np.ascontiguousarray(known[:, part]) for _, part in _blocks(events.n_events)]
    operands, complements = np.arange(3), np.array([0, 1, 0], dtype=np.uint8)
    member = np.empty(events.n_events, dtype=np.uint8)

    def run() -> np.ndarray:
        for rows, (n, part) in zip(blocks, _blocks(member.size), strict=True):
            member[part] = 1
            combine_members(rows, operands, complements, True, n, member[part])
        return member

    return run


def memberships(events: Events) -> np.ndarray:
    """uint8 (3, n_events): the events above the middle of three axes."""
    return (events.positions[:3] >= 0.4).astype(np.uint8)


def histogram_1d(events: Events) -> Run:
    """Counts of one axis from 0 to 1."""
    x = within(events)[0]
    member = np.ones(BLOCK, dtype=np.uint8)

    def run() -> np.ndarray:
        counts = np.zeros(N_BINS, dtype=np.int64)
        for n, part in _blocks(x.size):
            count_1d(x[part], member, 0.0, float(N_BINS), n, counts)
        return counts

    return run


def histogram_2d(events: Events) -> Run:
    """Counts of two axes from 0 to 1."""
    x, y = within(events)
    member = np.ones(BLOCK, dtype=np.uint8)

    def run() -> np.ndarray:
        counts = np.zeros((N_BINS, N_BINS), dtype=np.int64)
        for n, part in _blocks(x.size):
            count_2d(x[part], y[part], member, 0.0, float(N_BINS), 0.0, float(N_BINS), n, counts)
        return counts

    return run


def moments(events: Events) -> Run:
    """Mean and covariance on three axes of a population that is known: (4, 3)."""
    member = memberships(events)[0]
    blocks = [np.ascontiguousarray(events.positions[:3, part]) for _, part in _blocks(events.n_events)]
    centre = np.array(MEAN)

    def run() -> np.ndarray:
        sums, products, n_members = np.zeros(3), np.zeros((3, 3)), 0
        for positions, (n, part) in zip(blocks, _blocks(member.size), strict=True):
            n_members += add_moments(positions, member[part], centre, n, sums, products)
        return np.vstack(mean_and_covariance(n_members, centre, sums, products))

    return run


def within(events: Events) -> np.ndarray:
    """Two axes moved into [0, 1): beyond the limits, histograms have different customs."""
    return np.clip(events.positions[:2], 0.0, np.nextafter(1.0, 0.0))


def som_online(events: Events) -> Run:
    """FlowSOM's rule on ten axes, ten passes, a grid of 10 x 10, and the mapping of all events.

    Each call trains with another seed; returned are the events and the nodes of all maps so far.
    """
    x, maps, seeds = events.cells, [], count()

    def run() -> tuple[np.ndarray, list[np.ndarray]]:
        maps.append(fit_som_online(x, n_passes=N_PASSES, random_state=next(seeds)))
        map_events(x, maps[-1])
        return x, maps

    return run


def som_batch(events: Events, n_threads: int = 1) -> Run:
    """The same by the batch rule."""
    x, maps, seeds = events.cells, [], count()

    def run() -> tuple[np.ndarray, list[np.ndarray]]:
        maps.append(fit_som_batch(x, n_passes=N_PASSES, random_state=next(seeds), n_threads=n_threads))
        map_events(x, maps[-1], n_threads=n_threads)
        return x, maps

    return run


def map_to_nodes(events: Events, n_threads: int = 1) -> Run:
    """The nearest of a hundred nodes for every event."""
    x, nodes = events.cells, events.nodes
    return lambda: (x, nodes, map_events(x, nodes, n_threads=n_threads)[0])
