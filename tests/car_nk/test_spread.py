"""How near a sample's negative NK cells come to the control's threshold, and the background that goes with it."""

import numpy as np
import pytest
from scipy import stats

from cytomrd.car_nk.background import Background
from cytomrd.car_nk.spread import background_at_reach, negative_reach
from cytomrd.gating.fit import ControlCut, negative_peak


def control(values: np.ndarray, threshold: float) -> ControlCut:
    center, spread = negative_peak(values[values < threshold])
    n_above = tuple(int((values >= place).sum()) for place in np.linspace(center, threshold, 65))
    return ControlCut("CAR", threshold, threshold, threshold, len(values), n_above[-1], "pre", center, spread, n_above)


def at(sample: np.ndarray, cut: ControlCut):
    reach = negative_reach(cut, sample)
    return reach, *background_at_reach(Background(cut.n_positive, cut.n_events, "pre"), cut, reach, len(sample))


@pytest.mark.parametrize(("shift", "sd"), [(0.0, 1.3), (0.8, 1.0), (0.5, 1.2)])
def test_a_nearer_peak_has_the_background_that_a_wider_control_would_show(shift, sd):
    rng = np.random.default_rng(7)
    cut = control(rng.normal(0, 1, 40_000), 4.0)
    sample = np.r_[rng.normal(shift, sd, 10_000), rng.normal(20, 3, 5_000)]
    reach, background, flag = at(sample, cut)
    assert reach.sample == pytest.approx((4.0 - shift) / sd, rel=0.05)
    assert background.fraction == pytest.approx(stats.norm.sf((4.0 - shift) / sd), rel=0.5)
    assert background.between_cv > 0.5
    assert flag.startswith("CAR_SPREAD: ")
    assert reach.refusal == ""


def test_a_threshold_within_the_negative_cells_is_refused():
    rng = np.random.default_rng(8)
    cut = control(rng.normal(0, 1, 5_000), 4.0)
    for sd in (2.0, 5.0):
        assert negative_reach(cut, rng.normal(0, sd, 5_000)).refusal.startswith("CAR_SPREAD: ")


def test_a_sample_like_its_control_is_left_alone():
    rng = np.random.default_rng(9)
    moved = 0
    for n in (300, 3_000, 30_000) * 100:
        cut = control(rng.normal(0, 1, 5_000), 4.0)
        reach, background, flag = at(np.r_[rng.normal(0, 1, n), rng.normal(12, 3, n // 2)], cut)
        moved += bool(flag) or background.n_positive != cut.n_positive or bool(reach.refusal)
    assert moved <= 3


def test_too_little_to_compare_says_nothing():
    rng = np.random.default_rng(10)
    cut = control(rng.normal(0, 1, 5_000), 4.0)
    assert negative_reach(cut, rng.normal(12, 1, 5_000)) is None
    assert negative_reach(ControlCut("CAR", 4.0, 4.0, 4.0, 5_000, 2), rng.normal(0, 1, 5_000)) is None
