"""The panel's gates on blood: beads, granulocytes, bright myeloma, and what is refused."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
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
BEADS = {"beads_per_tube": 50_000, "bead_lot": "L1", "sample_volume_ul": 100}


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


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A pre-infusion sample and a later one without beads; a test edits the rows and writes the sheet."""
    folder = tmp_path_factory.mktemp("series")
    law = LAWS["clinical"]
    donor = draw_donor(law, 11)
    rows = []
    for day, role, fraction in ((-1, "pre_infusion", 0.0), (1, "sample", 0.3)):
        blood = Blood(leukocytes_per_ul=2_000, nk_fraction=0.25, car_nk_fraction=fraction)
        tube = simulate_blood(law, donor, blood, 15_000, random_state=100 + day)
        write_tube(folder / f"day{day}.fcs", tube)
        rows.append({"file": f"day{day}.fcs", "sample_id": f"day{day}", "subject_id": "S1", "day": day, "matrix": "PB",
                     "panel": "car-nk-bcma", "role": role, "collected_at": "2026-03-04T09:00",
                     "acquired_at": "2026-03-04T12:00"})  # fmt: skip
    return folder, rows


def later_sample(folder, rows):
    """The later sample's row of car_nk.csv."""
    write_samplesheet(folder, rows)
    CliRunner().invoke(cytomrd, ["gate", str(folder), "-q"], catch_exceptions=False)
    with (folder / "results" / "car_nk.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if row["sample_id"] == "day1")
    return row


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "NO_ABSOLUTE_COUNT"),
        (BEADS, "NO_BEADS"),
        ({**BEADS, "bead_lot": ""}, "BEAD_LOT_MISSING"),
        ({"wbc_10e9_per_l": 7, "cbc_at": "2026-03-01T09:00"}, "CBC_TOO_OLD"),
        ({"wbc_10e9_per_l": 7}, "CBC_TIME_UNKNOWN"),
    ],
)
def test_no_cells_per_ul_without_what_they_need(series, changes, code):
    folder, rows = series
    found = later_sample(folder, [rows[0], rows[1] | changes])
    assert code in found["flags"]
    assert (found["cells_per_ul"], found["lloq_cells_per_ul"]) == ("", "")
    assert float(found["net_fraction"]) == pytest.approx(0.3, abs=0.03)


def test_no_control_no_number(series):
    folder, rows = series
    found = later_sample(folder, [rows[0] | {"subject_id": "S2"}, rows[1] | BEADS])
    assert found["status"] == "NOT_EVALUABLE"
    assert "NO_CONTROL" in found["flags"]
    assert (found["net_fraction"], found["cells_per_ul"]) == ("", "")
