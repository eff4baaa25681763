"""Singlet bands, ellipses and logicle widths on arrays with known truth."""

import numpy as np
import pytest

from cytomrd.errors import GateError
from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.fit import fit_ellipse, fit_singlets, logicle_width
from cytomrd.gating.gates import Dimension, GatingStrategy, PolygonGate


def scatter(seed, n, *, curve=0.93, cv=0.035, gain=1.9, doublets=0.0):
    """Areas and heights (0-1) of single cells and of doublets, with the truth."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(3, (2, n), p=[0.4, 0.5, 0.1])
    area = np.exp(np.log([70_000.0, 118_000.0, 50_000.0])[kinds] + 0.12 * rng.standard_normal((2, n)))
    height = gain * area**curve * np.exp(cv * rng.standard_normal((2, n)))
    double = rng.random(n) < doublets
    a = np.where(double, area.sum(axis=0), area[0])
    h = np.where(double, height.max(axis=0) * (1 + 0.12 * rng.random(n)), height[0])
    return np.minimum(a / 262144, 1.0), np.minimum(h / 262144, 1.0), double


def inside(vertices, x, y):
    gate = PolygonGate("inside", (Dimension("x"), Dimension("y")), tuple(map(tuple, vertices)))
    return apply_gates(ArrayDataset(np.c_[x, y], ("x", "y")), GatingStrategy((gate,))).members("inside")


@pytest.mark.parametrize("doublets", [0.0, 0.03, 0.15, 0.35])
@pytest.mark.parametrize("law", [{}, {"curve": 1.0, "gain": 0.8}, {"cv": 0.06}, {"gain": 1.2, "curve": 0.95}])
def test_singlets_keep_single_cells_and_lose_doublets(doublets, law):
    a, h, double = scatter(0, 40_000, doublets=doublets, **law)
    kept = inside(fit_singlets(a, h, width=4.0), a, h)
    assert kept[~double].mean() > 0.995
    if doublets and law.get("cv", 0) < 0.05:
        assert kept[double].mean() < 0.15


def test_singlets_with_height_first_are_the_same_cells():
    a, h, double = scatter(1, 40_000, doublets=0.05)
    kept = inside(fit_singlets(h, a, width=4.0, doublets="above"), h, a)
    assert kept[~double].mean() > 0.99
    assert kept[double].mean() < 0.2


def test_singlets_refuse_channels_without_signal():
    with pytest.raises(GateError, match="200 are needed"):
        fit_singlets(np.zeros(5_000), np.zeros(5_000))


@pytest.mark.parametrize("coverage", [0.5, 0.9, 0.99])
def test_ellipse_holds_its_coverage_beside_other_clusters(coverage):
    rng = np.random.default_rng(0)
    covariance = np.array([[0.0016, 0.0012], [0.0012, 0.0025]])
    cluster = rng.multivariate_normal([0.4, 0.5], covariance, 8_000)
    others = np.r_[rng.normal([0.8, 0.2], 0.03, (2_000, 2)), rng.uniform(0, 1, (400, 2))]
    mean, fitted, distance = fit_ellipse(np.r_[cluster, others], coverage=coverage)
    centred = cluster - mean
    squared = np.einsum("ij,ij->i", centred, np.linalg.solve(fitted, centred.T).T)
    assert (squared <= distance).mean() == pytest.approx(coverage, abs=0.03)


@pytest.mark.parametrize(
    "points", [np.zeros((0, 2)), np.full((500, 2), 0.4), np.c_[np.linspace(0, 1, 500), np.ones(500)]]
)
def test_ellipse_refuses_what_is_no_cluster(points):
    with pytest.raises(GateError, match="ellipse"):
        fit_ellipse(points)


def test_width_follows_the_noise_and_never_fails():
    rng = np.random.default_rng(0)
    widths = [logicle_width(rng.normal(0, sd, 20_000)) for sd in (10, 100, 1000, 1e5, 1e9)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2]
    for values in (np.array([]), np.array([np.nan]), np.full(9, -np.inf), np.full(9000, -1e30), np.zeros(50)):
        assert 0.2 <= logicle_width(values) <= 1.4


def test_few_stray_negatives_do_not_widen_the_scale():
    values = np.r_[np.random.default_rng(0).uniform(10, 1000, 100_000), np.full(30, -5e4)]
    assert logicle_width(values) == 0.2
