"""Training steps against slow oracles, compiled and not."""

from __future__ import annotations

import naive_som
import numpy as np
import pytest

from cytomrd.kernels import nearest, som


def trained(events, nodes, grid, radii, kernel=som.train_online, parts=1):
    """Nodes after every event was drawn once, in order, handed over in parts."""
    n_nodes, n_dims = nodes.shape
    shape = (n_dims + -n_dims % som.DIMS, n_nodes + -n_nodes % som.LANES)
    columns = np.full(shape, som.FAR, dtype=np.float32)
    columns[n_dims:] = 0.0
    columns[:n_dims, :n_nodes] = nodes.T
    scale = (np.zeros(n_dims), 1.0)
    for drawn in np.array_split(np.arange(len(events)), parts):
        if drawn.size:
            kernel(events, drawn, int(drawn[0]), len(events), scale, grid, radii, (0.05, 0.01), columns)
    assert (columns[:, n_nodes:][:n_dims] == som.FAR).all()
    return columns[:n_dims, :n_nodes].T


@pytest.mark.parametrize("grid", [(1, 1), (1, 7), (3, 4), (4, 3), (2, 11)])
@pytest.mark.parametrize("n_dims", [1, 4, 6])
def test_flowsom_rule(grid, n_dims):
    rng = np.random.default_rng(1)
    events = rng.uniform(-1, 1, (400, n_dims)).astype(np.float32)
    nodes = events[: grid[0] * grid[1]]
    want = naive_som.train_online(nodes, events, grid, (3.4, 0.0), (0.05, 0.01))
    assert np.array_equal(trained(events, nodes, grid, (3.4, 0.0)), want)
    assert np.array_equal(trained(events, nodes, grid, (3.4, 0.0), parts=3), want)


def test_flowsom_rule_not_compiled(monkeypatch):
    for name in ("nearest_column", "neighbourhood", "move_columns"):
        monkeypatch.setattr(som, name, getattr(som, name).py_func)
    rng = np.random.default_rng(2)
    events = rng.uniform(-1, 1, (60, 3)).astype(np.float32)
    want = naive_som.train_online(events[:12], events, (3, 4), (2.0, 0.0), (0.05, 0.01))
    assert np.array_equal(trained(events, events[:12], (3, 4), (2.0, 0.0), som.train_online.py_func), want)


def test_equal_nodes_are_won_by_the_lowest():
    events = np.full((5, 2), 0.5, dtype=np.float32)
    nodes = np.zeros((6, 2))
    moved = trained(events, nodes, (2, 3), (0.0, 0.0))
    assert (moved[0] > 0).all()
    assert (moved[1:] == 0).all()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("radius", [0, 1, 2, 9])
def test_batch_step(radius, compiled):
    rng = np.random.default_rng(3)
    grid, events = (3, 4), rng.normal(size=(50, 3))
    nodes = rng.normal(size=(12, 3))
    want = naive_som.move_nodes(nodes, events, grid, radius, 0.05)
    sums, counts = np.zeros((12, 3)), np.zeros(12, dtype=np.int64)
    nearest.add_events(events, 0, 1, 50, nearest.node_tables(nodes), sums, counts)
    move = som.move_nodes if compiled else som.move_nodes.py_func
    move(nodes, sums, counts, grid, radius, 0.05)
    assert np.allclose(nodes, want, rtol=1e-12, atol=1e-14)
