"""Tables and the gates on their positions: no event may change sides without being named doubtful."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.kernels import near_gates, scale_tables
from cytomrd.kernels.gates import points_in_ellipsoid, points_in_polygon
from cytomrd.preprocess.transforms import Asinh, Biexponential, Hyperlog, Log, Logicle, scale_constants, scale_table

SCALES = [
    Logicle(),
    Logicle(1e7, 1.0, 6.0, 1.0),
    Logicle(W=0.0),
    Logicle(W=2.25),
    Logicle(A=-0.25),
    Hyperlog(),
    Hyperlog(W=2.0),
    Asinh(),
    Asinh(4e6, 3.0, 1.0),
]
GRID = st.integers(0, 6)
POINT = st.tuples(GRID, GRID)


def looked_up(scale, x: np.ndarray, *, plain: bool = False) -> np.ndarray:
    table, constants = scale_table(scale), scale_constants(scale)
    out, spare = np.empty(x.size), np.empty((2, x.size))
    run = scale_tables.look_up_column.py_func if plain else scale_tables.look_up_column
    run(x, table.pieces, table.offset, table.first, table.zero, *constants, x.size, spare, out)
    return out


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_table_within_its_error_everywhere(scale):
    rng = np.random.default_rng(1)
    spread = 10 ** rng.uniform(-6, np.log10(60 * scale.T), 20_000)
    x = np.concatenate([spread, -spread, rng.normal(0, scale.T / 1000, 20_000), [0.0, -0.0, 5e-324]])
    apart = np.abs(looked_up(scale, x) - scale.apply(x))
    assert 0 < apart.max() <= scale_table(scale).error < 1e-8
    # The bound is proven, so larger than what is found, but not idly so.
    assert apart.max() > scale_table(scale).error / 10


@pytest.mark.parametrize("scale", SCALES[:2], ids=str)
def test_table_at_every_edge_of_its_pieces(scale):
    pieces = scale_table(scale)
    bits = (np.arange(len(pieces.pieces) + 1) + pieces.first) << scale_tables.SHIFT
    edges = bits.view(np.float64) - pieces.offset
    x = np.concatenate([edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)])
    assert np.abs(looked_up(scale, x) - scale.apply(x)).max() <= pieces.error


def test_beyond_the_table_positions_are_exact():
    x = np.array([np.nan, np.inf, -np.inf, 1e9, -1e9, 1e300])
    for plain in (False, True):
        with np.errstate(over="ignore"):
            assert np.array_equal(looked_up(Logicle(), x, plain=plain), Logicle().apply(x), equal_nan=True)


def test_only_costly_odd_scales_have_a_table():
    assert scale_table(Log()) is None
    assert scale_table(Biexponential()) is None


def near_polygon(points, vertices, x_error, y_error):
    points, vertices = np.asarray(points, dtype=np.float64), np.asarray(vertices, dtype=np.float64)
    n = len(points)
    grid = near_gates.grid_of_polygon(vertices, x_error, y_error)
    member, places, doubtful = np.ones(n, dtype=np.uint8), np.empty(n, dtype=np.uint8), np.empty(n, dtype=np.int64)
    x, y = (np.ascontiguousarray(points[:, axis]) for axis in (0, 1))
    found = near_gates.points_near_polygon(x, y, vertices, grid, x_error, y_error, n, places, member, doubtful)
    exact = np.ones(n, dtype=np.uint8)
    points_in_polygon(x, y, vertices, n, exact)
    return member, set(doubtful[:found].tolist()), exact


@given(vertices=st.lists(POINT, min_size=3, max_size=9), points=st.lists(POINT, min_size=1, max_size=30))
@settings(max_examples=200, deadline=None)
def test_grid_changes_nothing(vertices, points):
    member, doubtful, exact = near_polygon(np.array(points) / 2, vertices, 0.0, 0.0)
    assert member.tolist() == exact.tolist()
    assert not doubtful


@given(
    vertices=st.lists(POINT, min_size=3, max_size=9),
    points=st.lists(st.tuples(st.integers(-4, 64), st.integers(-4, 64)), min_size=1, max_size=30),
    shift=st.tuples(st.floats(-0.25, 0.25), st.floats(-0.25, 0.25)),
)
@settings(max_examples=200, deadline=None)
def test_what_is_decided_holds_for_every_position_within_the_errors(vertices, points, shift):
    points = np.array(points) / 10
    member, doubtful, _ = near_polygon(points, vertices, 0.25, 0.25)
    _, _, moved = near_polygon(points + np.array(shift), vertices, 0.0, 0.0)
    for e in range(len(points)):
        assert e in doubtful or member[e] == moved[e]


def test_grid_equals_plain_polygon_on_many_points_and_few_are_doubtful():
    rng = np.random.default_rng(2)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 25))
    vertices = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(0.3, 1, 25)[:, None]
    points = rng.uniform(-1.2, 1.2, (100_000, 2))
    member, doubtful, exact = near_polygon(points, vertices, 0.0, 0.0)
    assert (member == exact).all()
    member, doubtful, exact = near_polygon(points, vertices, 1e-4, 1e-4)
    assert 0 < len(doubtful) < 200
    settled = np.setdiff1d(np.arange(len(points)), list(doubtful))
    assert (member[settled] == exact[settled]).all()


@pytest.mark.parametrize(
    "vertices", [[(0, 0), (1, 1), (2, 2)], [(3, 3), (3, 3), (3, 3)], [(0, 1e-300), (1, 0), (2, 0)]]
)
def test_flat_polygons_hold_nothing_wrong(vertices):
    points = [(0.0, 0.0), (1.0, 1.0), (3.0, 3.0), (1.0, 0.0), (np.nan, 1.0), (np.inf, 1.0), (1.0, -np.inf)]
    member, _, exact = near_polygon(points, vertices, 0.0, 0.0)
    assert member.tolist() == exact.tolist()


def test_plain_python_agrees():
    vertices = np.array([(0.0, 0.0), (4.0, 1.0), (2.0, 5.0)])
    grid = near_gates.grid_of_polygon(vertices, 0.0, 0.0)
    cells, left, bottom, per_x, per_y = grid
    side = near_gates.SIDE
    framed = cells.reshape(side, side)
    assert not (framed[[0, -1]].any() or framed[:, [0, -1]].any())
    cells = framed[1:-1, 1:-1]
    again = np.empty_like(cells)
    low, step = np.array([left, bottom]), 1 / np.array([per_x, per_y])
    margin = 1e-6 * np.array([4.0, 5.0])
    near_gates.mark_cells.py_func(vertices, low, step, margin, again)
    assert (again == cells).mean() > 0.999
    points = np.random.default_rng(3).uniform(-1, 6, (200, 2))
    for x, y in points:
        found = near_gates.polygon_surely_holds.py_func(x, y, vertices, 1e-3, 1e-3)
        assert found == near_gates.polygon_surely_holds(x, y, vertices, 1e-3, 1e-3)


def near_ellipsoid(columns, axes, errors, mean, precision, distance_square, *, plain: bool = False):
    n = columns.shape[1]
    member, surely, doubtful = np.ones(n, np.uint8), np.empty(n, np.uint8), np.empty(n, np.int64)
    run = near_gates.points_near_ellipsoid.py_func if plain else near_gates.points_near_ellipsoid
    shape = mean, precision, distance_square
    found = run(columns, axes, errors, shape, n, np.empty((2, n)), surely, member, doubtful)
    return member, doubtful[:found]


@pytest.mark.parametrize("n_axes", [1, 2, 3, 4])
def test_ellipsoid_names_every_event_that_the_errors_leave_open(n_axes):
    rng = np.random.default_rng(n_axes)
    # Asymmetric and indefinite, as a matrix in the conformance set is.
    precision = rng.normal(size=(n_axes, n_axes)) + 2 * np.eye(n_axes)
    mean = rng.normal(size=n_axes)
    errors = np.array([0.01, 0.02, 0.0, 0.01])[:n_axes]
    columns = rng.normal(0, 2, (n_axes + 1, 20_000))
    axes = np.arange(n_axes)[::-1] + 1
    member, doubtful = near_ellipsoid(columns, axes, errors, mean, precision, 2.0)
    assert 0 < doubtful.size < columns.shape[1] / 4
    settled = np.setdiff1d(np.arange(columns.shape[1]), doubtful)
    for _ in range(5):
        moved = columns[axes] + rng.choice([-1, 0, 1], (n_axes, columns.shape[1])) * errors[:, None]
        exact = np.ones(columns.shape[1], dtype=np.uint8)
        points_in_ellipsoid(moved, mean, precision, 2.0, columns.shape[1], exact)
        assert (member[settled] == exact[settled]).all()
    few = columns[:, :200].copy()
    for compiled, plain in zip(
        near_ellipsoid(few, axes, errors, mean, precision, 2.0),
        near_ellipsoid(few, axes, errors, mean, precision, 2.0, plain=True),
        strict=True,
    ):
        assert (compiled == plain).all()


def test_ellipsoid_is_sure_of_nothing_where_numbers_overflow():
    columns = np.array([[np.nan, np.inf, -np.inf, 1e200, 0.0], [0.0, np.inf, 0.0, -1e200, 0.0]])
    indefinite = np.array([[1.0, 3.0], [3.0, 1.0]])
    member, doubtful = near_ellipsoid(columns, np.arange(2), np.zeros(2), np.zeros(2), indefinite, 1.0)
    assert doubtful.tolist() == [0, 1, 2, 3]
    assert member.tolist() == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_polygon_decides_members_alone_however_few(share, plain):
    rng = np.random.default_rng(5)
    vertices = np.array([(0.1, 0.2), (0.9, 0.1), (0.6, 0.95), (0.4, 0.3)])
    points = np.concatenate([rng.uniform(-0.2, 1.2, (500, 2)), vertices, [[np.nan, 0.5], [0.5, np.nan], [np.inf, 0.5]]])
    x, y = np.ascontiguousarray(points.T)
    n = len(points)
    before = (rng.random(n) < share).astype(np.uint8)
    member, places, doubtful = before.copy(), np.empty(n, np.uint8), np.empty(n, np.int64)
    grid = near_gates.grid_of_polygon(vertices, 0.0, 0.0)
    run = near_gates.points_near_polygon.py_func if plain else near_gates.points_near_polygon
    assert run(x, y, vertices, grid, 0.0, 0.0, n, places, member, doubtful) == 0
    exact = before.copy()
    points_in_polygon(x, y, vertices, n, exact)
    assert member.tolist() == exact.tolist()


def near_box(scaled, linear, on_scale, rows, intervals, *, plain: bool):
    n = scaled.shape[1]
    member, surely = np.ones(n, np.uint8), np.ones(n, np.uint8)
    run = near_gates.points_near_box.py_func if plain else near_gates.points_near_box
    run(scaled, linear, np.array(on_scale), np.array(rows), np.array(intervals), n, member, surely)
    return member.astype(bool), surely.astype(bool)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("n_bounds", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("doubt", [0.0, 0.1])
def test_box_is_the_interval_of_each_bound(plain, n_bounds, doubt):
    rng = np.random.default_rng(6)
    scaled, linear = rng.random((7, 300)), rng.random((8, 300))
    on_scale = rng.random(n_bounds) < 0.5
    rows = rng.permutation(7)[:n_bounds]
    low, high = rng.uniform(0, 0.2, n_bounds), rng.uniform(0.7, 1, n_bounds)
    intervals = np.column_stack([low, high, low + doubt * on_scale, high - doubt])
    member, surely = near_box(scaled, linear, on_scale, rows, intervals, plain=plain)
    x = np.where(on_scale[:, None], scaled[rows], linear[rows])
    assert (member == ((x >= low[:, None]) & (x <= high[:, None])).all(axis=0)).all()
    assert (surely == ((x >= intervals[:, 2, None]) & (x <= intervals[:, 3, None])).all(axis=0)).all()


@pytest.mark.parametrize("plain", [False, True])
def test_an_interval_holds_its_ends_and_no_nan(plain):
    x = np.array([[0.9, 1.0, 1.5, 2.0, 3.0, 4.0, 4.1, np.nan, np.inf, -np.inf]])
    member, surely = near_box(x, x, [True], [0], [[1.0, 4.0, 2.0, 3.0]], plain=plain)
    assert np.flatnonzero(member).tolist() == [1, 2, 3, 4, 5]
    assert np.flatnonzero(surely).tolist() == [3, 4]
    member, _ = near_box(x, x, [False], [0], [[-np.inf, np.inf, -np.inf, np.inf]], plain=plain)
    assert np.flatnonzero(~member).tolist() == [7]


@pytest.mark.parametrize("plain", [False, True])
def test_doubt_is_member_and_not_surely(plain):
    doubtful = np.empty(4, dtype=np.int64)
    run = near_gates.events_in_doubt.py_func if plain else near_gates.events_in_doubt
    member, surely = np.array([0, 1, 1, 0], dtype=np.uint8), np.array([0, 0, 1, 1], dtype=np.uint8)
    assert run(member, surely, 4, doubtful) == 1
    assert doubtful[0] == 1
