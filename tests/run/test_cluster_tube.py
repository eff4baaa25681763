"""Clustering of one tube: events that cannot be placed, names of files, and the table of events on disk."""

from __future__ import annotations

from types import SimpleNamespace

import anndata
import numpy as np
import pytest

from cytomrd.errors import GateError
from cytomrd.run.cluster import _file_names
from cytomrd.run.cluster_tube import ClusterChoices, _map
from cytomrd.run.clusters_h5ad import EventTable, write_event_table


def test_events_that_are_not_finite_have_no_cluster_and_do_not_train():
    positions = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    spoilt = np.insert(positions, [3, 100], [[np.nan, 0.0], [0.0, np.inf]], axis=0)
    choices = ClusterChoices(grid=(2, 2))
    nodes, cluster, error = _map(positions, choices, 0)
    same_nodes, marked, same_error = _map(spoilt, choices, 0)
    assert np.array_equal(nodes, same_nodes)
    assert np.array_equal(np.delete(marked, [3, 101]), cluster)
    assert marked[[3, 101]].tolist() == [-1, -1]
    assert same_error == pytest.approx(error)


def test_training_on_a_sample_maps_all():
    positions = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    nodes, cluster, _ = _map(positions, ClusterChoices(grid=(2, 2), max_events=50), 0)
    assert (cluster >= 0).all()
    assert not np.array_equal(nodes, _map(positions, ClusterChoices(grid=(2, 2), max_events=50), 1)[0])


@pytest.mark.parametrize("positions", [np.empty((0, 2)), np.full((3, 2), np.nan)])
def test_nothing_to_cluster_is_refused(positions):
    with pytest.raises(GateError, match="none of"):
        _map(positions.astype(np.float32), ClusterChoices(), 0)


def test_no_two_tubes_share_a_file():
    def sample(name, *tubes):
        return SimpleNamespace(sample_id=name, files=[SimpleNamespace(tube=t) for t in tubes])

    plan = SimpleNamespace(
        samples=[sample("A", "1-2", "1", "1"), sample("A-1", "2"), sample("a", "1"), sample("x/y", None)]
    )
    names = _file_names(plan)
    assert names[:2] == ["A-1-2.h5ad", "A-1.h5ad"]
    assert len({n.casefold() for n in names}) == len(names)
    assert not any("/" in n for n in names)


@pytest.mark.parametrize("n_events", [1, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_table_of_events_reads_as_any_anndata(tmp_path, n_events, dtype):
    rng = np.random.default_rng(1)
    raw = rng.normal(size=(n_events, 3)).astype(dtype)
    metacluster = rng.integers(-1, 4, n_events).astype(np.int32)
    table = EventTable(
        positions=rng.normal(size=(n_events, 3)).astype(np.float32),
        events=np.sort(rng.choice(10_000, n_events, replace=False)),
        cluster=np.arange(n_events, dtype=np.int32) - 1,
        metacluster=metacluster,
        populations=(rng.integers(0, 2, n_events), ("nk", "t_cells")),
        file="day 1/a.fcs",
        var={"detector": ["a", "b", "c"], "marker": ["CD3", "CD14/CD19", "CAR"], "clustered": [True, False, True]},
        uns={"nodes": np.eye(3), "notes": [], "grid": np.array([1, 3])},
    )
    chunks = [(i, raw[i : i + 400], -raw[i : i + 400]) for i in range(0, n_events, 400)]
    write_event_table(tmp_path / "events.h5ad", table, chunks, dtype=dtype)
    data = anndata.read_h5ad(tmp_path / "events.h5ad")
    assert [p.name for p in tmp_path.iterdir()] == ["events.h5ad"]
    assert data.shape == (n_events, 3)
    assert np.array_equal(data.X, table.positions)
    assert np.array_equal(data.layers["transformed"], table.positions)
    assert data.layers["raw"].dtype == dtype
    assert np.array_equal(data.layers["raw"], raw)
    assert np.array_equal(data.layers["compensated"], -raw.astype(np.float32))
    assert data.obs_names.tolist() == [str(i) for i in range(n_events)]
    assert data.var_names.tolist() == ["CD3", "CD14_CD19", "CAR"]
    assert data.obs["event"].tolist() == table.events.tolist()
    assert data.obs["cluster"].tolist() == table.cluster.tolist()
    assert data.obs["metacluster"].astype(str).tolist() == [str(k) for k in metacluster]
    assert data.obs["population"].tolist() == [("nk", "t_cells")[k] for k in table.populations[0]]
    assert set(data.obs["file"]) == {"day 1/a.fcs"}
    # what anndata changes and writes again is whole
    data[: max(1, n_events // 2)].copy().write_h5ad(tmp_path / "again.h5ad")
    assert anndata.read_h5ad(tmp_path / "again.h5ad").n_obs == max(1, n_events // 2)
