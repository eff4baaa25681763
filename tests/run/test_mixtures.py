"""Mixtures of own files: what is put in is what was asked for, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from runs import write_tube

import cytomrd as cm
from cytomrd.errors import RunError
from cytomrd.run.mixtures import OwnMixture, OwnTube, draw_pools
from cytomrd.run.settings import RunSettings
from cytomrd.samplesheet import SampleRow
from cytomrd.simulate import LAWS, draw_donor, simulate_marrow_tube


@pytest.fixture(scope="module")
def two_donors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("donors")
    # Laws differ in their spillover: events must be compensated with their own matrix before they are mixed.
    for name, law in (("blank", "clinical"), ("donor", "crowded")):
        tube = simulate_marrow_tube(LAWS[law], draw_donor(LAWS[law], 3), 30_000, 0.01, tube="2", random_state=4)
        write_tube(folder / f"{name}.fcs", tube)
    return folder


def written(folder, out, clonal, n_events=20_000):
    row = SampleRow("tube2.fcs", "mixture", panel="euroflow-mm-mrd", tube="2")
    tube = OwnTube(row, folder / "blank.fcs", n_events, folder / "donor.fcs", clonal)
    (made,) = OwnMixture(folder, (tube,), (1, 2)).write(out, RunSettings())
    return made, cm.open_fcs(out / made.row.file)


def compensated(dataset):
    spillover = dataset.spillover
    return dataset.read_events(list(spillover.detectors)) @ spillover.inverse


def test_clonal_events_arrive_as_they_were_after_their_own_compensation(two_donors, tmp_path):
    clonal = np.array([5, 17, 2_000, 29_999])
    made, mixed = written(two_donors, tmp_path, clonal)
    donor = cm.open_fcs(two_donors / "donor.fcs")
    assert mixed.n_events == 20_000
    assert len(made.clonal) == 4
    np.testing.assert_allclose(compensated(mixed)[made.clonal], compensated(donor)[clonal], rtol=1e-9, atol=1e-6)
    scatter = ["FSC-A", "SSC-A"]
    np.testing.assert_allclose(mixed.read_events(scatter)[made.clonal], donor.read_events(scatter)[clonal])


def test_all_else_is_the_blank_s_in_order_and_time(two_donors, tmp_path):
    made, mixed = written(two_donors, tmp_path, np.array([1, 2, 3]))
    blank = cm.open_fcs(two_donors / "blank.fcs")
    events, original = mixed.read_events(), blank.read_events()
    rest = np.setdiff1d(np.arange(mixed.n_events), made.clonal)
    # Every event of the blank stands at most once, in its order.
    key = {row.tobytes(): i for i, row in enumerate(original)}
    places = [key[row.tobytes()] for row in events[rest]]
    assert np.all(np.diff(places) > 0)
    assert np.all(np.diff(events[:, list(mixed.detectors).index("Time")]) >= 0)
    assert blank.channels[1].range == mixed.channels[1].range


def test_no_clonal_event_is_used_twice_while_they_last():
    rng = np.random.default_rng(1)
    drawn, again = draw_pools({"1": np.arange(500)}, {"1": 20.0}, 20, rng)
    used = np.concatenate([d["1"] for d in drawn])
    assert again == 0
    assert len(np.unique(used)) == len(used)
    counts = [len(d["1"]) for d in draw_pools({"1": np.arange(40_000)}, {"1": 20.0}, 1_000, rng)[0]]
    assert np.mean(counts) == pytest.approx(20, abs=0.5)
    assert np.var(counts) == pytest.approx(20, rel=0.15)


def test_a_pool_that_runs_out_is_begun_again_and_said():
    drawn, again = draw_pools({"1": np.arange(50)}, {"1": 20.0}, 10, np.random.default_rng(1))
    assert again >= 3
    assert all(len(np.unique(d["1"])) == len(d["1"]) for d in drawn)


def test_a_pool_that_is_too_small_is_refused():
    with pytest.raises(RunError, match="clonal events are needed"):
        draw_pools({"1": np.arange(5)}, {"1": 20.0}, 3, np.random.default_rng(1))
