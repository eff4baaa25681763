"""The estimators keep scikit-learn's contract, and give what the functions give."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

from cytomrd.errors import GateError
from cytomrd.gating.clustering import Metaclusters, SelfOrganisingMap, fit_som_batch, fit_som_online, map_events
from cytomrd.gating.clustering.metaclusters import metacluster_nodes


def cells(n: int = 900, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(n, 3)) * 0.1 + np.array([[0, 0, 0], [2, 2, 0], [0, 2, 2]])[rng.choice(3, n, p=[0.2, 0.7, 0.1])]
    )


# Grids so small that no node is empty: scikit-learn wants every label of a clusterer to be in use.
@pytest.mark.parametrize(
    "estimator",
    [
        SelfOrganisingMap(grid=(1, 3)),
        SelfOrganisingMap(grid=(1, 3), rule="online"),
        Metaclusters(3, grid=(3, 3)),
        Metaclusters(grid=(3, 3), n_threads=2),
    ],
    ids=repr,
)
def test_scikit_learns_contract(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_estimator(estimator)


@pytest.mark.parametrize(("rule", "fit"), [("batch", fit_som_batch), ("online", fit_som_online)])
def test_map_is_that_of_the_functions(rule, fit):
    events = cells()
    som = SelfOrganisingMap((4, 5), rule=rule, n_passes=3, random_state=7, n_threads=2).fit(events)
    nodes = fit(events, (4, 5), n_passes=3, random_state=7)
    nearest, distances = map_events(events, nodes)
    assert np.array_equal(som.nodes_, nodes)
    assert np.array_equal(som.labels_, nearest)
    assert np.array_equal(som.predict(events), nearest)
    assert som.quantisation_error_ == -som.score(events) == distances.mean()
    assert np.allclose(som.transform(events).min(axis=1), distances)
    assert som.get_feature_names_out()[-1] == "selforganisingmap19"


def test_a_copy_gives_the_same():
    som = SelfOrganisingMap((3, 3), random_state=np.random.RandomState(3))
    again = clone(som)
    assert np.array_equal(som.fit(cells()).nodes_, again.fit(cells()).nodes_)


@pytest.mark.parametrize(
    "estimator", [SelfOrganisingMap((3, 3)), Metaclusters(3, grid=(3, 3))], ids=["map", "metaclusters"]
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(estimator, bad):
    events = cells()
    fitted = clone(estimator).fit(events)
    events[5, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fitted.predict(events)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        clone(estimator).fit(events)


@pytest.mark.parametrize("settings", [{"rule": "best"}, {"grid": (0, 3)}, {"grid": (3,)}, {"n_passes": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"rule|at least 1"):
        SelfOrganisingMap(**settings).fit(cells(20))


def test_metaclusters_find_three_populations_and_number_them_by_size():
    events = cells()
    found = Metaclusters(3, grid=(5, 5)).fit(events)
    assert found.n_metaclusters_ == 3
    centres = [events[found.labels_ == k].mean(axis=0).round() for k in range(3)]
    assert np.array_equal(centres, [[2, 2, 0], [0, 0, 0], [0, 2, 2]])
    assert np.array_equal(found.labels_, found.predict(events))
    assert np.array_equal(found.labels_, found.node_labels_[found.map_.labels_])


@pytest.mark.parametrize("n_events", [1, 2, 3, 10])
@pytest.mark.parametrize("n_metaclusters", [1, 4, 10])
def test_few_events(n_events, n_metaclusters):
    found = Metaclusters(n_metaclusters, grid=(4, 4)).fit(cells(n_events))
    assert 1 <= found.n_metaclusters_ <= n_metaclusters
    assert found.labels_[0] in range(found.n_metaclusters_)


def test_events_all_alike_are_one_metacluster():
    found = Metaclusters(grid=(3, 3)).fit(np.ones((50, 2)))
    assert found.n_metaclusters_ == 1
    assert not found.labels_.any()


def test_as_many_metaclusters_as_asked_for():
    nodes = np.random.default_rng(0).normal(size=(30, 2))
    for n in (1, 2, 7, 30, 99):
        labels = metacluster_nodes(nodes, n)
        assert set(labels.tolist()) == set(range(min(n, 30)))
    with pytest.raises(GateError, match="1 or more"):
        metacluster_nodes(nodes, 0)


def test_nodes_on_one_place_share_a_metacluster():
    nodes = np.repeat(np.random.default_rng(0).normal(size=(6, 2)), 3, axis=0)
    for n in (1, 4, 18):
        labels = metacluster_nodes(nodes, n).reshape(6, 3)
        assert (labels == labels[:, :1]).all()
