"""A subject's series through the command: controls, absolute counts, flags, and what is refused."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.errors import SamplesheetError
from cytomrd.gating.fit import CutDecision
from cytomrd.panel.library import read_panel
from cytomrd.run import car_nk_sample
from cytomrd.simulate import LAWS, Blood, draw_donor, simulate_blood

BEADS = {"beads_per_tube": 50_000, "bead_lot": "L1", "sample_volume_ul": 100}
BLOOD_COUNT = {"wbc_10e9_per_l": 2, "cbc_at": "2026-03-04T07:00"}
UNDERCOMPENSATED = {"day2": (2.0, 0.6), "day3": (3.0, 0.3)}
"""How much brighter cells are in CD38, and how much of its spill into the CAR channel the file's matrix takes out."""
SEEDS = {"before": 99, "day1": 101, "day2": 5, "day3": 5}


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """A pre-infusion sample and later ones without beads; a test edits rows and writes the sheet."""
    folder = tmp_path_factory.mktemp("series")
    law = LAWS["clinical"]
    donor = draw_donor(law, 11)
    rows = {}
    for name in SEEDS:
        blood = Blood(leukocytes_per_ul=2_000, nk_fraction=0.25, car_nk_fraction=0.3 if name == "day1" else 0.0)
        brighter, taken_out = UNDERCOMPENSATED.get(name, (1.0, 1.0))
        shift = donor.marker_shift | {"CD38": donor.marker_shift.get("CD38", 1.0) * brighter}
        day = int(name.removeprefix("day")) if name != "before" else -1
        tube = simulate_blood(law, replace(donor, marker_shift=shift), blood, 15_000, random_state=SEEDS[name])
        matrix = tube.spillover.matrix.copy()
        matrix[tube.spillover.detectors.index("PE-Cy7-A"), tube.spillover.detectors.index("PE-A")] *= taken_out
        tube = replace(tube, spillover=replace(tube.spillover, matrix=matrix))
        write_tube(folder / f"{name}.fcs", tube)
        if name == "day1":
            for volume in ("0", "150000"):
                write_tube(folder / f"vol{volume}.fcs", tube, {"$VOL": volume})
        rows[name] = {
            "file": f"{name}.fcs", "sample_id": name, "subject_id": "S1", "day": day, "matrix": "PB",
            "panel": "car-nk-bcma", "role": "sample" if day > 0 else "pre_infusion",
            "collected_at": "2026-03-04T09:00", "acquired_at": "2026-03-04T12:00",
        }  # fmt: skip
    return folder, rows


def run(folder, rows):
    """The rows of car_nk.csv by sample."""
    write_samplesheet(folder, rows)
    CliRunner().invoke(cytomrd, ["gate", str(folder), "-q"], catch_exceptions=False)
    with (folder / "results" / "car_nk.csv").open() as file:
        return {row["sample_id"]: row for row in csv.DictReader(file)}


def day1(series, **changes):
    """The row of day 1 beside the subject's pre-infusion sample."""
    folder, rows = series
    return run(folder, [rows["before"], rows["day1"] | changes])["day1"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "NO_ABSOLUTE_COUNT"),
        (BEADS, "NO_BEADS"),
        ({**BEADS, "bead_lot": ""}, "BEAD_LOT_MISSING"),
        ({"file": "vol0.fcs"}, "VOLUME_INVALID"),
        ({"wbc_10e9_per_l": 7, "cbc_at": "2026-03-01T09:00"}, "CBC_TOO_OLD"),
        ({"wbc_10e9_per_l": 7}, "CBC_TIME_UNKNOWN"),
    ],
)
def test_no_cells_per_ul_without_what_they_need(series, changes, code):
    found = day1(series, **changes)
    assert code in found["flags"]
    assert (found["cells_per_ul"], found["lloq_cells_per_ul"]) == ("", "")
    assert float(found["net_fraction"]) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({**BEADS, "sample_volume_ul": 0}, "sample_volume_ul"),
        ({**BEADS, "sample_volume_ul": ""}, "sample_volume_ul: is empty"),
        ({**BEADS, "beads_per_tube": 0}, "beads_per_tube"),
        ({**BLOOD_COUNT, "wbc_10e9_per_l": 7000}, "the unit is 10.9 cells per litre"),
        ({**BLOOD_COUNT, "wbc_10e9_per_l": ""}, "wbc_10e9_per_l: is empty"),
    ],
)
def test_a_sheet_that_cannot_be_meant_is_refused_before_anything_is_counted(series, changes, words):
    folder, rows = series
    with pytest.raises(SamplesheetError, match=words):
        run(folder, [rows["before"], rows["day1"] | changes])


def test_no_control_no_number(series):
    folder, rows = series
    found = run(folder, [rows["before"] | {"subject_id": "S2"}, rows["day1"] | BEADS])
    assert found["day1"]["status"] == "NOT_EVALUABLE"
    assert "NO_CONTROL" in found["day1"]["flags"]
    assert (found["day1"]["net_fraction"], found["day1"]["cells_per_ul"]) == ("", "")


def test_one_threshold_for_the_series_and_intensities_at_each_visit(series):
    folder, rows = series
    again = rows["day1"] | {"file": "vol150000.fcs", "sample_id": "again", "day": 7}
    found = run(folder, [rows["before"], rows["day1"], again])
    assert found["day1"]["background_source"].startswith("pre-infusion sample")
    assert found["again"]["background_source"] == found["day1"]["background_source"]
    with (folder / "results" / "populations.csv").open() as file:
        car = next(r for r in csv.DictReader(file) if (r["sample_id"], r["population"]) == ("day1", "car_nk"))
    assert float(found["day1"]["median_car"]) == pytest.approx(float(car["median_intensity_CAR"]))
    assert float(found["day1"]["median_cd16"]) == pytest.approx(float(car["median_intensity_CD16"]))
    # 150 uL drawn, as the standard writes it in nL.
    assert float(found["again"]["cells_per_ul"]) == pytest.approx(float(found["day1"]["net_fraction"])
                                                                  * int(found["again"]["n_nk"]) / 150)  # fmt: skip


def test_flags_that_a_reader_must_see(series):
    late = day1(series, acquired_at="2026-03-05T12:00")
    assert [flag.split(":")[0] for flag in late["flags"].split(";")] == ["NO_ABSOLUTE_COUNT", "FEW_NK", "STORAGE"]
    assert float(late["net_fraction"]) > 0.2


def test_two_absolute_counts_that_disagree_are_said(series):
    # The file's volume makes 15,000 leukocytes in 150 uL 0.1 x 10^9/L; the analyser says 2.
    apart = day1(series, file="vol150000.fcs", **BLOOD_COUNT)
    assert apart["method"] == "volumetric"
    assert "COUNTS_DISAGREE" in apart["flags"]
    alike = day1(series, file="vol150000.fcs", **{**BLOOD_COUNT, "wbc_10e9_per_l": 0.1})
    assert "COUNTS_DISAGREE" not in alike["flags"]


def test_a_control_of_another_subject_is_said(series):
    folder, rows = series
    other = rows["before"] | {"role": "fmo", "subject_id": "S2"}
    found = run(folder, [other, rows["day1"]])
    assert found["day1"]["background_source"].startswith("FMO control")
    assert "CONTROL_OF_ANOTHER" in found["day1"]["flags"]
    # An FMO lacks the reagent, so it cannot show what the reagent stains by itself.
    assert "0.25 % of the reagent added" in found["day1"]["background_source"]


def test_spread_of_spillover_is_not_measured_as_car(series):
    """NK cells nearer to the threshold than the control's put more above it: 3.5 %, of which none had a CAR."""
    folder, rows = series
    found = run(folder, [rows["before"], rows["day1"], rows["day2"], rows["day3"]])
    assert "CAR_SPREAD" not in found["day1"]["flags"]
    assert "CAR_SPREAD" in found["day2"]["flags"]
    assert float(found["day2"]["background_fraction"]) > 5 * float(found["day1"]["background_fraction"])
    assert found["day2"]["status"] in ("BELOW_LOD", "BELOW_LLOQ")
    # Six times as bright: the threshold runs through the negative cells.
    assert found["day3"]["status"] == "NOT_EVALUABLE"
    assert "CAR_SPREAD" in found["day3"]["flags"]
    assert found["day3"]["net_fraction"] == ""


@pytest.mark.parametrize(
    ("status", "n_unsure", "codes"),
    [("fitted", 50, []), ("fallback", 50, ["NK_CUT"]), ("fitted", 300, ["NK_DOUBTFUL"]),
     ("fallback", 300, ["NK_CUT", "NK_DOUBTFUL"])],
)  # fmt: skip
def test_a_count_of_nk_cells_that_is_doubtful_says_so(status, n_unsure, codes):
    counts = {"nk": 1_000, "nk_unsure": n_unsure}
    cut = CutDecision("CD56", "CD56", "mixture", 0.65, 0.6, 0.7, status, "no valley between two peaks", 900)
    file = SimpleNamespace(decisions=(cut,), count=counts.get, gates=counts.__contains__)
    flags = car_nk_sample._doubts(file, read_panel("car-nk-bcma").car_nk)
    assert [flag.split(":")[0] for flag in flags] == codes
