"""A subject's clone through the visits of a run."""

from __future__ import annotations

import csv
import json

import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

COUNTS = ("n_nucleated", "n_plasma_cells", "n_normal_pc", "n_clonal_pc", "mrd_fraction", "ci_low", "status")


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    folder, law, rows = tmp_path_factory.mktemp("visits"), LAWS["clinical"], []
    # Nine events may be too few for a cluster of their own: only the earlier clone tells them.
    for name, subject, day, n_clonal in (("D0", "S1", -8, 400), ("D28", "S1", 28, 60), ("D90", "S1", 90, 9),
                                         ("other", "S2", 28, 40)):  # fmt: skip
        tube = simulate_marrow_tube(
            law, draw_donor(law, int(subject[1])), 50_000, 0.006, clone=CLONES["typical"], n_clonal=n_clonal, tube="2",
            clogs=(), random_state=day + 10,
        )  # fmt: skip
        write_tube(folder / f"{name}.fcs", tube)
        rows.append({"file": f"{name}.fcs", "sample_id": name, "subject_id": subject, "visit": f"day {day}", "day": day,
                     "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2"})  # fmt: skip
    return folder, rows


def gate(folder, rows):
    write_samplesheet(folder, rows)
    result = CliRunner().invoke(cytomrd, ["gate", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (folder / "results" / "mrd.csv").open(newline="") as file:
        return {row["sample_id"]: row for row in csv.DictReader(file)}


def test_later_visits_are_held_against_the_diagnosis_and_keep_their_counts(visits):
    folder, rows = visits
    alone = gate(folder, [{**row, "subject_id": ""} for row in rows])
    together = gate(folder, rows)
    for name in ("D0", "other"):
        assert {c: together[name][c] for c in COUNTS} == {c: alone[name][c] for c in COUNTS}, name
    # Later visits are gated on the scales of the first; what is held against it is counted by themselves.
    for manifest in map(json.loads, (p.read_text() for p in folder.glob(".results.samples/*/manifest.json"))):
        row, summary = together[manifest["sample_id"]], manifest["summary"]
        assert [row["n_clonal_pc"]] == [str(n) for n in summary["n_clonal"].values()]
        assert [row["n_nucleated"]] == [str(n) for n in summary["n_nucleated"].values()]
    assert abs(int(together["D28"]["n_clonal_pc"]) - int(alone["D28"]["n_clonal_pc"])) <= 5
    assert [together[n]["tracked_from"] for n in ("D0", "D28", "D90", "other")] == ["", "D0", "D0", ""]
    assert 45 <= int(together["D28"]["n_alike_earlier"]) <= 70
    assert "TRACKED" in together["D28"]["flags"]
    assert "ALIKE_UNCALLED" not in together["D28"]["flags"]
    assert 6 <= int(together["D90"]["n_alike_earlier"]) <= 14
    page = (folder / "results" / "report.html").read_text("utf-8")
    assert "Like the clone at day -8" in page
