"""Maps and the mapping of events: the same for any number of threads, as good as FlowSOM's, and clear refusals."""

from __future__ import annotations

import naive_som
import numpy as np
import pytest

from cytomrd.errors import GateError
from cytomrd.gating.clustering import fit_som_batch, fit_som_online, map_events, topographic_error
from cytomrd.gating.clustering.training import RATES, start_radius

RULES = [fit_som_batch, fit_som_online]


def cells(n: int, seed: int = 1, n_dims: int = 6) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (15, n_dims))
    return (centres[rng.choice(15, n, p=rng.dirichlet(np.ones(15)))] + rng.normal(0, 0.05, (n, n_dims))).astype("f4")


@pytest.mark.parametrize("n_events", [1, 511, 512, 513, 5000])
def test_mapping_is_the_same_for_any_threads(n_events):
    events, nodes = cells(n_events), cells(30, seed=2)
    alone = map_events(events, nodes)
    for n_threads in (2, 3):
        for one, other in zip(alone, map_events(events, nodes, n_threads), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize(
    "form", [np.asfortranarray, lambda e: e[::-1][::-1], lambda e: e.astype(">f8"), np.ndarray.tolist]
)
def test_mapping_takes_any_array(form):
    events, nodes = cells(60), cells(5, seed=2)
    nearest, distances = map_events(form(events), form(nodes))
    want, far = naive_som.nearest_nodes(events, nodes)
    assert nearest.tolist() == want
    assert distances.tolist() == far


def test_mapping_no_events():
    nearest, distances = map_events(np.empty((0, 3)), np.zeros((2, 3)))
    assert (nearest.size, distances.size) == (0, 0)


@pytest.mark.parametrize(
    ("events", "nodes", "words"),
    [
        (np.zeros(3), np.zeros((2, 3)), "shape"),
        (np.zeros((3, 2)), np.zeros((2, 3)), "2 dims and the nodes 3"),
        (np.zeros((3, 2)), np.full((2, 2), np.nan), "not finite"),
        (np.zeros((3, 2)), np.empty((0, 2)), "a node at least"),
    ],
)
def test_mapping_refuses(events, nodes, words):
    with pytest.raises(GateError, match=words):
        map_events(events, nodes)


def test_batch_rule_is_the_same_for_any_threads():
    # more than one share a step, and a last share that is not full
    events = cells(250_001)
    one, two, three = (fit_som_batch(events, (3, 3), n_passes=1, n_threads=n).tobytes() for n in (1, 2, 3))
    assert one == two == three


@pytest.mark.parametrize("fit", RULES)
def test_seed_decides(fit):
    events = cells(500)
    assert fit(events, (3, 3), random_state=1).tobytes() == fit(events, (3, 3), random_state=1).tobytes()
    assert not np.array_equal(fit(events, (3, 3), random_state=1), fit(events, (3, 3), random_state=2))


@pytest.mark.parametrize("fit", RULES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_events", [1, 2, 30])
def test_fewer_events_than_nodes(fit, dtype, n_events):
    events = cells(n_events).astype(dtype)
    nodes = fit(events, (6, 7))
    assert nodes.shape == (42, 6)
    assert np.isfinite(nodes).all()
    low, high = events.min(axis=0) - 1e-6, events.max(axis=0) + 1e-6
    assert ((nodes >= low) & (nodes <= high)).all()


@pytest.mark.parametrize("fit", RULES)
@pytest.mark.parametrize("value", [0.0, 7.0, -1e30, 1e-40])
def test_events_all_alike(fit, value):
    nodes = fit(np.full((200, 3), value), (3, 3))
    assert np.allclose(nodes, value, rtol=1e-6, atol=0)
    assert (map_events(np.full((5, 3), value), nodes)[0] == map_events(np.full((1, 3), value), nodes)[0]).all()


@pytest.mark.parametrize("fit", RULES)
def test_offset_and_unit_change_nothing_but_themselves(fit):
    events = cells(2000).astype(np.float64)
    nodes, moved = fit(events, (4, 4)), fit(events * 2.0**40 + 2.0**40, (4, 4))
    assert np.allclose((moved - 2.0**40) / 2.0**40, nodes, atol=1e-5)


@pytest.mark.parametrize("fit", RULES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_training_refuses_what_is_not_finite(fit, bad):
    events = cells(50)
    events[[7, 9], 2] = bad
    with pytest.raises(GateError, match="2 of 50 events"):
        fit(events)


@pytest.mark.parametrize("fit", RULES)
def test_training_refuses_nothing_to_train_on(fit):
    with pytest.raises(GateError, match="no event"):
        fit(np.empty((0, 3)))
    for wrong in ({"grid": (0, 3)}, {"n_passes": 0}):
        with pytest.raises(GateError, match="at least 1"):
            fit(cells(10), **wrong)
    with pytest.raises(GateError, match="at most 2,500"):
        fit(cells(10), grid=(51, 50))


def test_schedule_is_flowsoms():
    assert start_radius((10, 10)) == 6.0
    assert start_radius((1, 1)) == 0.0
    assert RATES == (0.05, 0.01)


@pytest.mark.parametrize("fit", RULES)
def test_error_and_topology_are_those_of_flowsom(fit):
    """The mean over a few seeds, since one seed's error scatters by about a percent."""
    flowsom = pytest.importorskip("flowsom.models.som_estimator")
    events = cells(6000, n_dims=8)

    def error(nodes):
        return map_events(events, nodes)[1].mean(), topographic_error(events, nodes, (6, 6))

    ours = np.mean([error(fit(events, (6, 6), random_state=seed)) for seed in range(6)], axis=0)
    theirs = np.mean(
        [error(flowsom.SOMEstimator(xdim=6, ydim=6, seed=seed).fit(events).codes) for seed in range(6)], axis=0
    )
    assert ours[0] < 1.01 * theirs[0]
    assert ours[1] < theirs[1] + 0.05


@pytest.mark.parametrize("order", ["alternating", "sorted"])
def test_order_of_the_events_does_no_harm(order):
    rng = np.random.default_rng(1)
    mixed = rng.normal(0, 0.1, (6000, 4)) + np.repeat(rng.uniform(0, 2, (10, 4)), 600, axis=0)
    ordered = mixed if order == "sorted" else mixed.reshape(10, 600, 4).transpose(1, 0, 2).reshape(-1, 4)
    shuffled = rng.permutation(mixed)

    def error(events):
        return np.mean([map_events(events, fit_som_batch(events, (6, 6), random_state=s))[1].mean() for s in range(5)])

    assert error(ordered) < 1.03 * error(shuffled)


def test_topographic_error_counts_torn_events():
    nodes = np.array([[0.0], [10.0], [1.0], [11.0]])
    # nodes 0 and 2 lie two steps apart on the grid of one row, and next to each other in the data
    assert topographic_error([[0.4], [10.4], [5.4], [5.6]], nodes, (1, 4)) == 0.5
    assert topographic_error([[0.4], [10.4]], nodes, (2, 2)) == 0.0
    assert topographic_error([[0.4]], nodes[:1], (1, 1)) == 0.0


def test_progress_ends_at_the_total():
    for fit in RULES:
        seen = []
        fit(cells(300), (2, 2), n_passes=2, progress=lambda done, total, seen=seen: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1] > 0
