"""The panel's gates on blood: beads, granulocytes, bright myeloma, dendritic cells."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cytomrd.gating.apply import ArrayDataset
from cytomrd.gating.gate import gate
from cytomrd.simulate import CLONES, LAWS, Blood, draw_donor, simulate_blood

COINCIDING = replace(
    LAWS["clinical"], name="coinciding", gain=1.3, electronic_noise=15.0, photon_noise=2.2, doublets=0.08, dead=0.05
)
FAINT = replace(
    LAWS["clinical"], name="faint", top=1_048_576.0, gain=1.2, electronic_noise=40.0, nonspecific=1.6,
    marker_scale={"CD45": 0.6, "CD138": 1.2, "CD3": 0.6, "CD56": 0.7},
)  # fmt: skip


def gated(law, blood, n=30_000, *, seed=3, **changes):
    tube = simulate_blood(law, draw_donor(law, seed), blood, n, beads_per_tube=50_000, random_state=seed, **changes)
    dataset = ArrayDataset(tube.scale_events, tube.detectors, tube.spillover)
    dataset.markers = tube.markers
    linear = SimpleNamespace(range=tube.top, gain=1.0, decades=0.0, offset=0.0)
    dataset.channels = (linear,) * len(tube.detectors)
    return tube, gate(dataset, "car-nk-bcma")


def labels_in(tube, result, population):
    names = np.array(tube.label_names)[tube.labels[result.events.members(population)]]
    return dict(zip(*(a.tolist() for a in np.unique(names, return_counts=True)), strict=True))


def test_beads_are_counted_without_their_doublets():
    tube, result = gated(COINCIDING, Blood(nk_fraction=0.1), 20_000)
    inside = labels_in(tube, result, "beads")
    assert inside["bead"] >= 0.99 * tube.counts["bead"]
    assert sum(n for label, n in inside.items() if label != "bead") < 0.01 * tube.counts["bead"]


def test_dying_cells_brighter_than_beads_do_not_hide_them():
    law = replace(LAWS["clinical"], name="bright dead", marker_scale={"Viability": 6.0})
    tube, result = gated(law, Blood(nk_fraction=0.1, dead_fraction=0.08), 20_000)
    assert labels_in(tube, result, "beads")["bead"] >= 0.99 * tube.counts["bead"]


@pytest.mark.parametrize("plasma_fraction", [0.02, 0.2])
def test_myeloma_with_cd56_and_granulocytes_are_no_nk_cells(plasma_fraction):
    blood = Blood(nk_fraction=0.02, plasma_fraction=plasma_fraction)
    tube, result = gated(FAINT, blood, 40_000, myeloma=CLONES["cd27_positive"])
    truth = sum(tube.counts[label] for label in ("nk", "nk_reagent_positive", "car_nk"))
    inside = labels_in(tube, result, "nk")
    assert result.counts["nk"] == pytest.approx(truth, rel=0.05)
    assert inside.get("plasma_cell", 0) + inside.get("granulocyte", 0) < 0.02 * truth


def test_dendritic_cells_and_basophils_are_no_nk_cells():
    """NK cells 0.5 % of leukocytes: one in five was a dendritic cell or basophil while CD56 alone told them apart."""
    law = replace(LAWS["clinical"], name="vivid", marker_scale={"CD56": 1.8})
    tube, result = gated(law, Blood(nk_fraction=0.005), 80_000)
    truth = sum(tube.counts[label] for label in ("nk", "nk_reagent_positive", "car_nk"))
    inside = labels_in(tube, result, "nk")
    assert result.counts["nk"] == pytest.approx(truth, rel=0.08)
    assert inside.get("dendritic_cell", 0) + inside.get("basophil", 0) < 0.05 * truth
    unsure = labels_in(tube, result, "nk_unsure")
    assert unsure["dendritic_cell"] + unsure["basophil"] > 0.1 * truth
    assert unsure.get("nk", 0) < 0.02 * truth
