"""The indexed interpolation gives what the search gives, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.kernels.grid_index import index_grid, interpolate_column
from cytomrd.kernels.transforms import transform_column
from cytomrd.preprocess.transforms import Biexponential, scale_constants, scale_grid

SCALES = [
    Biexponential(),
    Biexponential(width=-100),
    Biexponential(negative=1, channel_range=256),
    Biexponential(0, -1),
]


def interpolated(x: np.ndarray, grid, *, plain: bool = False) -> np.ndarray:
    out = np.empty(x.size)
    run = interpolate_column.py_func if plain else interpolate_column
    run(x, *grid, x.size, np.empty((2, x.size)), out)
    return out


def searched(x: np.ndarray, scale: Biexponential) -> np.ndarray:
    out = np.empty(x.size)
    transform_column(x, *scale_constants(scale), out)
    return out


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_at_and_beside_every_point_of_the_grid_and_far_out(scale):
    points = scale_constants(scale).table[0]
    rng = np.random.default_rng(3)
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, 1e300, -1e300])
    beside = [points, np.nextafter(points, np.inf), np.nextafter(points, -np.inf)]
    x = np.concatenate([*beside, special, rng.normal(0, 1e4, 20_000), np.exp(rng.normal(6, 4, 20_000))])
    assert np.array_equal(interpolated(x, scale_grid(scale)), searched(x, scale), equal_nan=True)
    few = np.concatenate([special, x[::97]])
    with np.errstate(all="ignore"):
        assert np.array_equal(interpolated(few, scale_grid(scale), plain=True), searched(few, scale), equal_nan=True)


@given(
    grid=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=30, unique=True).map(sorted),
    x=st.lists(st.floats(-2e6, 2e6), min_size=1, max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_any_rising_grid(grid, x):
    grid, x = np.array(grid), np.array(x + grid)
    values = np.arange(grid.size, dtype=np.float64)
    found = interpolated(x, index_grid(grid, values))
    low = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, grid.size - 2)
    slope = (values[low + 1] - values[low]) / (grid[low + 1] - grid[low])
    wanted = np.where(
        x <= grid[0], values[0], np.where(x >= grid[-1], values[-1], slope * (x - grid[low]) + values[low])
    )
    assert (found == wanted).all()
