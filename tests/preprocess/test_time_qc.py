"""Time QC removes what is spoilt, and nothing else."""

import numpy as np
import pytest

from cytomrd.preprocess import time_qc
from cytomrd.preprocess.time_qc import check_time


def acquisition(seed, n=60_000, rate=2_000.0):
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.exponential(1 / rate, n))
    values = np.c_[rng.choice([0.2, 0.6], n, p=[0.7, 0.3]), np.full(n, 0.5)] + rng.normal(0, 0.05, (n, 2))
    return times, values


def removed(qc, times):
    bad = np.zeros(len(times), dtype=bool)
    for start, stop in qc.removed:
        bad |= (times >= start) & (times < stop)
    return bad


def test_a_steady_acquisition_loses_nothing():
    for seed in range(10):
        assert check_time(*acquisition(seed)).removed == ()


@pytest.mark.parametrize(("factor", "signal"), [(0.15, 0.0), (0.4, 0.0), (3.0, 0.0), (0.15, -0.028), (0.4, -0.028)])
def test_a_burst_or_a_clog_that_dims_is_removed_and_a_pause_is_kept(factor, signal):
    times, values = acquisition(0)
    steps = np.diff(times, prepend=0)
    steps[20_000:24_000] /= factor
    times = np.cumsum(steps)
    values[20_000:24_000] += signal
    qc = check_time(times, values)
    bad = removed(qc, times)
    if factor < 1 and signal == 0:
        assert not bad.any()
        assert any("slow" in note and "kept" in note for note in qc.notes)
        return
    assert bad[20_300:23_700].all()
    assert bad[:19_700].sum() + bad[24_300:].sum() == 0


def test_a_percentile_that_leaps_between_populations_is_not_a_shifted_signal():
    """A few events more or less, and the median and the 80th percentile of this mixture are in another population."""
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.exponential(1e-3, 60_000))
    values = rng.choice([0.1, 0.4, 0.7], (60_000, 1), p=[0.43, 0.33, 0.24]) + rng.normal(0, 0.02, (60_000, 1))
    assert check_time(times, values).removed == ()


def test_a_shifted_signal_is_removed_and_named():
    times, values = acquisition(1)
    values[40_000:43_000, 1] -= 0.15
    qc = check_time(times, values, ("CD38", "CD45"))
    bad = removed(qc, times)
    assert bad[40_300:42_700].all()
    assert bad.mean() < 0.07
    assert any("CD45" in note for note in qc.notes)
    assert not any("CD38" in note for note in qc.notes)


def test_slow_drift_is_reported_and_kept():
    times, values = acquisition(2)
    values[:, 1] += np.linspace(0, 0.06, len(times))
    qc = check_time(times, values)
    assert qc.removed == ()
    assert qc.drift == pytest.approx(0.054, abs=0.012)


def test_no_steady_majority_removes_nothing_and_says_so():
    times, values = acquisition(3)
    rng = np.random.default_rng(0)
    values[:, 1] += np.repeat(rng.choice([0.0, 0.3], 60, p=[0.45, 0.55]), 1000)
    qc = check_time(times, values)
    assert qc.fraction_removed <= 0.5


@pytest.mark.parametrize(
    "times", [np.array([]), np.array([1.0]), np.zeros(20_000), np.full(20_000, np.nan), np.repeat([1.0, 2.0], 10_000)]
)
def test_without_a_clock_nothing_is_removed(times):
    qc = check_time(times, np.zeros((len(times), 1)))
    assert qc.removed == ()
    assert qc.notes


def test_time_running_backwards_is_said():
    times, values = acquisition(4)
    times = np.r_[times[30_000:], times[:30_000]]
    qc = check_time(times, values)
    assert qc.removed == ()
    assert any("backwards" in note for note in qc.notes)


def test_a_clog_is_removed_from_its_slow_beginning_to_its_slow_end():
    """Only its middle is beyond the counting error; a run without such a middle is chance."""
    moved = np.array([[0, 1, 1, 1, 0, 1, 0], [0, 0, 1, 1, 1, 0, 0]], dtype=bool).T
    surely = np.array([[0, 0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]], dtype=bool).T
    whole = time_qc._whole_runs(moved, surely)
    assert whole[:, 0].tolist() == [False, True, True, True, False, False, False]
    assert not whole[:, 1].any()
