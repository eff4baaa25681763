"""Scatter at any gain: the same cells are found, and a usual instrument's scale is left as it is."""

import numpy as np
import pytest

from cytomrd.gating.fit.scatter import scatter_steps

TOPS = {"FSC": 262144.0, "SSC": 262144.0}


def areas(gain=1.0, n=20_000):
    rng = np.random.default_rng(0)
    large = rng.random(n) < 0.6
    return {
        "FSC": gain * np.where(large, 120_000, 65_000) * np.exp(0.13 * rng.standard_normal(n)),
        "SSC": gain * np.where(large, 110_000, 17_000) * np.exp(0.22 * rng.standard_normal(n)),
    }


@pytest.mark.parametrize(
    ("gain", "steps"), [(1.0, 0), (0.8, 0), (1.25, 0), (0.5, -1), (0.25, -2), (2.0, 1), (0.001, -4)]
)
def test_scales_follow_the_gain_in_whole_doublings(gain, steps):
    assert scatter_steps(areas(gain), TOPS) == {"FSC": steps, "SSC": steps}


def test_a_third_of_debris_does_not_pull_the_scale():
    cells = areas()
    debris = np.random.default_rng(1).lognormal(np.log(11_000), 0.5, (2, 9_000))
    mixed = {kind: np.r_[values, d] for (kind, values), d in zip(cells.items(), debris, strict=True)}
    assert scatter_steps(mixed, TOPS) == {"FSC": 0, "SSC": 0}


@pytest.mark.parametrize("forward", [np.zeros(5_000), np.full(5_000, np.nan), np.ones(10)])
def test_without_signal_the_scale_stays(forward):
    assert set(scatter_steps({"FSC": forward, "SSC": forward}, TOPS).values()) <= {0}


@pytest.mark.parametrize("share", [0.5, 0.7, 0.85])
def test_a_marrow_of_debris_is_not_taken_for_cells(share):
    """Debris halved a scale that was right, and was then counted as nucleated cells."""
    cells = areas()
    n = round(20_000 * share / (1 - share))
    debris = np.random.default_rng(2).lognormal(np.log(11_000), 0.5, (2, n))
    mixed = {kind: np.r_[values, d] for (kind, values), d in zip(cells.items(), debris, strict=True)}
    assert scatter_steps(mixed, TOPS) == {"FSC": 0, "SSC": 0}
