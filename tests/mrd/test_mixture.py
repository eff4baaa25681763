"""The mixture's sums over moments against the same sums event by event."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from cytomrd.mrd.mixture import Block, Mixture


@pytest.fixture
def fitted():
    """Two tubes that share two of three markers, and a mixture of two components over all three."""
    rng = np.random.default_rng(4)
    blocks = [
        Block(rng.normal(0, 2, (40, len(cols))), np.array(cols), rng.uniform(1, 3, 40), rng.integers(0, 3, 40))
        for cols in ((0, 1, 2), (0, 2))
    ]
    roots = rng.normal(0, 1, (2, 3, 3))
    mixture = Mixture(
        weight=np.full((2, 2), 0.5), mean=rng.normal(0, 2, (2, 3)), cov=roots @ roots.swapaxes(1, 2) + np.eye(3),
        shift=rng.normal(0, 0.3, (2, 2, 3)), kappa=np.array([0.6, 0.9]), evaluable=np.array([0.9, 0.8]),
        fixed=np.zeros(2, dtype=bool),
    )  # fmt: skip
    return blocks, mixture


def test_density_is_that_of_a_normal_distribution(fitted):
    blocks, mixture = fitted
    for tube, block in enumerate(blocks):
        parts = mixture.log_parts(tube, block, light=False)
        for k in range(2):
            cols = block.columns
            centre, cov = (mixture.mean[k] + mixture.shift[tube, k])[cols], mixture.cov[k][np.ix_(cols, cols)]
            expected = np.log(0.5) + stats.multivariate_normal(centre, cov).logpdf(block.x)
            assert parts[:, k] == pytest.approx(expected)


def test_a_step_on_complete_events_takes_their_weighted_mean(fitted):
    (whole, _), mixture = fitted
    one = Mixture(
        weight=mixture.weight[:1], mean=mixture.mean, cov=mixture.cov, shift=np.zeros((1, 2, 3)), kappa=mixture.kappa,
        evaluable=mixture.evaluable, fixed=mixture.fixed,
    )  # fmt: skip
    share = one.shares(0, whole)
    stepped = one.step([whole], [share])
    for k in range(2):
        r = share[:, k] * whole.weight
        mean = r @ whole.x / r.sum()
        away = whole.x - mean
        assert stepped.mean[k] == pytest.approx(mean)
        prior = 4.0 * 3
        assert stepped.cov[k] == pytest.approx(((away * r[:, None]).T @ away + prior * np.eye(3)) / (r.sum() + prior))
        clear = r[whole.chains > 0].sum()
        assert stepped.evaluable[k] == pytest.approx((clear + 0.9) / (r.sum() + 1.0))
