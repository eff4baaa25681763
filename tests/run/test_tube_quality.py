"""Signals over time and spill that is left, as gating makes them from a file."""

from __future__ import annotations

import numpy as np
import pytest
from runs import write_samplesheet, write_tube

import cytomrd as cm
from cytomrd.run.gate_file import gate_file
from cytomrd.run.plan import plan_run
from cytomrd.run.settings import RunSettings
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """A marrow tube whose CD56 detector brightens half way through: (folder, planned file, panel)."""
    folder = tmp_path_factory.mktemp("quality") / "run"
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(
        law, draw_donor(law, 4), 30_000, 0.006, clone=CLONES["typical"], n_clonal=60, tube="1", random_state=3
    )
    column = list(tube.detectors).index("PE-A")
    tube.events[15_000:, column] *= 1.6
    write_tube(folder / "BM_1.fcs", tube)
    row = {"file": "BM_1.fcs", "sample_id": "BM", "subject_id": "S1", "matrix": "BM", "panel": "euroflow-mm-mrd"}
    write_samplesheet(folder, [row | {"tube": "1"}])
    plan = plan_run(folder)
    (sample,) = plan.samples
    return folder, sample.files[0], plan.panels["euroflow-mm-mrd"]


def gated(drifting, **options):
    folder, planned, panel = drifting
    return gate_file(planned, panel, RunSettings(gate_draws=0), folder, **options).result


def test_a_detector_that_brightens_is_seen_in_its_lane(drifting):
    quality = gated(drifting).quality
    assert quality.medians.shape == (len(quality.seconds), len(quality.markers))
    shift = np.nanmedian(quality.medians[35:], axis=0) - np.nanmedian(quality.medians[:25], axis=0)
    moved = dict(zip(quality.markers, shift, strict=True))
    assert moved["CD56"] > 0.01
    assert max(abs(v) for m, v in moved.items() if m.startswith(("FSC", "SSC"))) < 0.01


def test_medians_are_those_of_the_events(drifting):
    folder, _, _ = drifting
    result = gated(drifting)
    quality = result.quality
    dataset = cm.open_fcs(folder / "BM_1.fcs")
    names = list(dataset.detectors)
    values = dataset.read_events(channels=["FSC-A", names[-1] if names[-1] == "Time" else "Time"])
    scaled = result.axes["FSC-A"].transform.apply(values[:, 0])
    step = quality.seconds[1] - quality.seconds[0]
    inside = np.abs(values[:, 1] - quality.seconds[10]) < step / 2
    column = quality.markers.index("FSC-A")
    assert quality.medians[10, column] == pytest.approx(np.median(scaled[inside]), abs=2e-3)


def test_threads_change_nothing(drifting):
    one, two = gated(drifting, n_threads=1).quality, gated(drifting, n_threads=2).quality
    assert one.spill_markers == two.spill_markers
    for name in ("seconds", "medians", "spill"):
        assert np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True)


def test_spill_is_told_of_compensated_colours_alone(drifting):
    quality = gated(drifting).quality
    assert "FSC-A" not in quality.spill_markers
    assert quality.spill.shape == (len(quality.spill_markers),) * 2
    assert np.array_equal(np.diag(quality.spill), np.zeros(len(quality.spill_markers)))
