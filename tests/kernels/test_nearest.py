"""The nearest node equals the plain float64 rule for every event, in whatever precision it was first guessed."""

from __future__ import annotations

import naive_som
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.kernels import nearest


def mapped(events, nodes, kernel=nearest.map_rows):
    events, nodes = np.asarray(events), np.asarray(nodes, dtype=np.float64)
    index, distances = np.empty(len(events), dtype=np.int32), np.empty(len(events))
    n_doubtful = kernel(events, 0, len(events), nearest.node_tables(nodes), index, distances)
    return index.tolist(), distances, n_doubtful


def assert_exact(events, nodes, kernel=nearest.map_rows):
    index, distances, n_doubtful = mapped(events, nodes, kernel)
    want, far = naive_som.nearest_nodes(events, nodes)
    assert index == want
    assert np.array_equal(distances, far, equal_nan=True)
    return n_doubtful


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_dims", [1, 2, 3, 4, 5, 6, 7, 10, 13])
@pytest.mark.parametrize("n_nodes", [1, 2, 5, 16])
def test_every_shape_of_nodes(dtype, n_dims, n_nodes):
    rng = np.random.default_rng(n_dims * 100 + n_nodes)
    assert_exact(rng.normal(size=(130, n_dims)).astype(dtype), rng.normal(size=(n_nodes, n_dims)))


def test_blocks_of_every_fill():
    rng = np.random.default_rng(1)
    nodes = rng.normal(size=(3, 2))
    for n in (0, 1, nearest.BLOCK - 1, nearest.BLOCK, nearest.BLOCK + 1):
        assert_exact(rng.normal(size=(n, 2)), nodes)


def test_not_compiled(monkeypatch):
    for name in ("load_block", "score_block", "nearest_exactly", "nearest_in_block", "measure_block", "doubtful"):
        monkeypatch.setattr(nearest, name, getattr(nearest, name).py_func)
    rng = np.random.default_rng(2)
    for n_dims in (2, 5, 10):
        events = rng.normal(size=(40, n_dims))
        events[3, 0] = np.nan
        assert_exact(events, rng.normal(size=(6, n_dims)), nearest.map_rows.py_func)


@given(
    events=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=20),
    nodes=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=9),
)
@settings(max_examples=150, deadline=None)
def test_ties_and_repeated_nodes_on_a_grid_go_to_the_lowest(events, nodes):
    assert_exact(np.array(events, dtype=np.float64), np.array(nodes, dtype=np.float64))


@pytest.mark.parametrize("offset", [0.0, 1.0, 1e5, 1e9, -1e14])
@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e6, 1e18])
def test_near_ties_at_any_scale(offset, scale):
    """Events on the bisector of two nodes, and one rounding to either side of it."""
    rng = np.random.default_rng(3)
    nodes = rng.normal(size=(12, 5)) * scale + offset
    middle = (nodes[rng.integers(12, size=200)] + nodes[rng.integers(12, size=200)]) / 2
    events = np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])
    assert_exact(events, nodes)


@pytest.mark.parametrize("apart", [1e-12, 1e-14, 1e-16])
def test_nodes_closer_together_than_float32_can_tell(apart):
    rng = np.random.default_rng(4)
    assert_exact(rng.normal(size=(300, 3)), 1.0 + rng.normal(size=(9, 3)) * apart)


def test_most_events_are_decided_without_float64():
    rng = np.random.default_rng(5)
    assert assert_exact(rng.normal(size=(1000, 10)).astype(np.float32), rng.normal(size=(20, 10))) < 20


def test_what_is_not_finite_is_marked_and_what_is_huge_is_not():
    nodes = np.array([[0.0, 0.0], [1.0, 1.0], [-1.0, 2.0]])
    events = [
        [np.nan, 0],
        [0, np.inf],
        [-np.inf, 0],
        [1e30, -1e30],
        [1e200, 1e200],
        [5e-324, 0],
        [-0.0, 0.0],
        [3e38, 1],
    ]
    with np.errstate(over="ignore", invalid="ignore"):
        index, distances, _ = mapped(np.array(events), nodes)
        assert index[:3] == [-1, -1, -1]
        assert np.isnan(distances[:3]).all()
        assert_exact(np.array(events), nodes)
        assert_exact(np.array(events).astype(np.float32), nodes)


@pytest.mark.parametrize("compiled", [True, False])
def test_sums_of_every_third_event(compiled):
    rng = np.random.default_rng(6)
    events, nodes = rng.normal(size=(1700, 3)).astype(np.float32), rng.normal(size=(5, 3))
    events[7, 1] = np.nan
    kernel = nearest.add_events if compiled else nearest.add_events.py_func
    sums, counts = np.zeros((5, 3)), np.zeros(5, dtype=np.int64)
    kernel(events, 1, 3, 560, nearest.node_tables(nodes), sums, counts)
    taken = events[1::3][:560].astype(np.float64)
    index = np.array(naive_som.nearest_nodes(taken, nodes)[0])
    assert index[2] == -1
    assert counts.tolist() == [int((index == k).sum()) for k in range(5)]
    for k in range(5):
        assert np.allclose(sums[k], taken[index == k].sum(axis=0), rtol=1e-12, atol=1e-12)
