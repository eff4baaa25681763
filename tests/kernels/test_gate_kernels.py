"""Gate geometry against exact arithmetic and the peers, boundaries included."""

from __future__ import annotations

import naive_gates
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.kernels import compensate, gates

GRID = st.integers(0, 6)
POINT = st.tuples(GRID, GRID)
POLYGONS = {
    "square": [(0, 0), (4, 0), (4, 4), (0, 4)],
    "clockwise square": [(0, 4), (4, 4), (4, 0), (0, 0)],
    "bow tie": [(0, 0), (4, 4), (4, 0), (0, 4)],
    "twice around": [(0, 0), (4, 0), (4, 4), (0, 4)] * 2,
    "notch": [(0, 0), (4, 0), (4, 4), (3, 4), (3, 2), (1, 2), (1, 4), (0, 4)],
    "doubled vertex": [(0, 0), (4, 0), (4, 0), (2, 5)],
    "needle": [(0, 0), (6, 3), (0, 0), (3, 6)],
}


def in_polygon(points: np.ndarray, vertices, kernel=gates.points_in_polygon) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    member = np.ones(len(points), dtype=np.uint8)
    x, y = (np.ascontiguousarray(points[:, axis]) for axis in (0, 1))
    kernel(x, y, np.asarray(vertices, dtype=np.float64), len(points), member)
    return member.astype(bool)


@pytest.mark.parametrize("vertices", POLYGONS.values(), ids=POLYGONS.keys())
def test_polygon_with_points_on_edges_and_vertices(vertices):
    flowutils = pytest.importorskip("flowutils.gating")
    ticks = np.arange(-1, 6.5, 0.25)
    points = np.array([(x, y) for x in ticks for y in ticks])
    found = in_polygon(points, vertices)
    assert found.tolist() == [naive_gates.in_polygon(x, y, vertices) for x, y in points]
    assert found.tolist() == flowutils.points_in_polygon(np.array(vertices, dtype=float), points).tolist()
    assert found.tolist() == in_polygon(points, vertices, gates.points_in_polygon.py_func).tolist()


@given(vertices=st.lists(POINT, min_size=3, max_size=9), points=st.lists(POINT, min_size=1, max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_polygon_on_a_grid(vertices, points):
    found = in_polygon(points, vertices)
    assert found.tolist() == [naive_gates.in_polygon(x, y, vertices) for x, y in points]


def test_random_points_in_a_real_gate_equal_flowutils():
    flowutils = pytest.importorskip("flowutils.gating")
    rng = np.random.default_rng(7)
    angle = np.sort(rng.uniform(0, 2 * np.pi, 20))
    vertices = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(0.3, 1, 20)[:, None]
    points = rng.uniform(-1.1, 1.1, (200_000, 2))
    assert (in_polygon(points, vertices) == flowutils.points_in_polygon(vertices, points)).all()


def test_polygon_without_area_and_points_at_infinity():
    points = [(np.nan, 1.0), (1.0, np.nan), (np.inf, 1.0), (-np.inf, 1.0), (1.0, -np.inf), (1.0, 1.0)]
    assert in_polygon(points, POLYGONS["square"]).tolist() == [False] * 5 + [True]
    assert not in_polygon([(1.0, 1.0), (2.0, 2.0)], [(0, 0), (2, 2), (4, 4)]).any()


def test_polygon_leaves_other_events_alone():
    member = np.array([0, 1, 1, 1], dtype=np.uint8)
    x = np.array([1.0, 1.0, 9.0, 9.0])
    gates.points_in_polygon(x, x, np.array(POLYGONS["square"], dtype=float), 3, member)
    assert member.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("run", [gates.points_in_interval, gates.points_in_interval.py_func])
def test_interval_holds_its_minimum_and_not_its_maximum(run):
    x = np.array([0.9, 1.0, 1.5, 2.0, np.nan, np.inf, -np.inf])
    for low, high, expected in [
        (1.0, 2.0, [0, 1, 1, 0, 0, 0, 0]),
        (1.0, np.inf, [0, 1, 1, 1, 0, 1, 0]),
        (-np.inf, 2.0, [1, 1, 1, 0, 0, 0, 1]),
        (-np.inf, np.inf, [1, 1, 1, 1, 0, 1, 1]),
    ]:
        member = np.ones(7, dtype=np.uint8)
        run(x, low, high, 7, member)
        assert member.tolist() == expected


@pytest.mark.parametrize("run", [gates.points_in_ellipsoid, gates.points_in_ellipsoid.py_func])
def test_ellipsoid_holds_its_boundary(run):
    # A circle of radius 5 around (1, 2): (4, 6) and (6, 2) lie on it.
    columns = np.array([[4.0, 6.0, 6.001, 1.0, np.nan], [6.0, 2.0, 2.0, 2.0, 2.0]])
    member = np.ones(5, dtype=np.uint8)
    run(columns, np.array([1.0, 2.0]), np.eye(2), 25.0, 5, member)
    assert member.tolist() == [1, 1, 0, 1, 0]


@pytest.mark.parametrize("n_axes", [2, 3, 5])
def test_ellipsoid_equals_flowutils(n_axes):
    flowutils = pytest.importorskip("flowutils.gating")
    rng = np.random.default_rng(n_axes)
    mixing = rng.normal(size=(n_axes, n_axes))
    covariance = mixing @ mixing.T + np.eye(n_axes)
    points = rng.normal(size=(20_000, n_axes)) @ mixing
    member = np.ones(len(points), dtype=np.uint8)
    gates.points_in_ellipsoid(points.T.copy(), np.zeros(n_axes), np.linalg.inv(covariance), 1.5, len(points), member)
    expected = flowutils.points_in_ellipsoid(covariance, np.zeros(n_axes), 1.5, points)
    assert 0 < member.sum() < len(points)
    assert (member == expected).all()


@pytest.mark.parametrize("run", [gates.combine_members, gates.combine_members.py_func])
def test_boolean_combinations(run):
    members = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]], dtype=np.uint8)
    cases = [
        ((0, 1), (0, 0), True, [1, 0, 0, 0]),
        ((0, 1), (0, 1), True, [0, 1, 0, 0]),
        ((0, 1), (0, 0), False, [1, 1, 1, 0]),
        ((0, 1), (1, 1), False, [0, 1, 1, 1]),
        ((2,), (1,), True, [1, 1, 1, 1]),
    ]
    for operands, complements, is_and, expected in cases:
        member = np.ones(4, dtype=np.uint8)
        run(members, np.array(operands), np.array(complements, dtype=np.uint8), is_and, 4, member)
        assert member.tolist() == expected
    member = np.array([0, 1, 1, 1], dtype=np.uint8)
    run(members, np.array([0]), np.array([0], dtype=np.uint8), True, 4, member)
    assert member.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("n_rows", [0, 1, 3, 4, 5, 9])
@pytest.mark.parametrize("plain", [False, True])
def test_compensation_is_the_weighted_sum(n_rows, plain):
    rng = np.random.default_rng(n_rows)
    values = rng.normal(size=(10, 50))
    rows = rng.permutation(10)[:n_rows].astype(np.int64)
    weights = rng.normal(size=n_rows)
    out = np.full(60, 7.0)
    run = compensate.compensate_column.py_func if plain else compensate.compensate_column
    run(values, rows, weights, 50, out)
    np.testing.assert_allclose(out[:50], weights @ values[rows], atol=1e-12)
    assert (out[50:] == 7.0).all()


@pytest.mark.parametrize("plain", [False, True])
def test_finite_events_looks_at_the_rows_given_alone(plain):
    values = np.ones((3, 5))
    values[0, 1], values[0, 2], values[1, 3] = np.nan, -np.inf, np.nan
    finite = np.empty(5, dtype=np.uint8)
    run = compensate.finite_events.py_func if plain else compensate.finite_events
    with np.errstate(invalid="ignore"):
        assert run(values, np.array([0, 2]), 5, finite) == 2
    assert finite.tolist() == [1, 0, 0, 1, 1]
    assert run(values, np.array([], dtype=np.int64), 5, finite) == 0


def test_ratio_follows_ieee_at_zero():
    out = np.empty(3)
    compensate.ratio_column(np.array([3.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0]), 2.0, 1.0, 0.0, 3, out)
    assert out[0] == 4.0
    assert np.isnan(out[1])
    assert out[2] == -np.inf
