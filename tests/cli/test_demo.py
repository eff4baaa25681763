"""The demo's truth against what gating it finds: the first thing a newcomer sees must be right."""

from __future__ import annotations

import csv

import pytest
from click.testing import CliRunner

from cytomrd.cli.main import cytomrd


def rows_by_sample(path):
    with path.open(newline="") as file:
        return {row["sample_id"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The default demo, gated: the run folder."""
    folder = tmp_path_factory.mktemp("demo") / "run"
    for command in (["demo", folder], ["gate", folder, "-j", 2]):
        result = CliRunner().invoke(cytomrd, [str(c) for c in command], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return folder


@pytest.mark.slow
def test_every_marrow_is_right(demo):
    truth = rows_by_sample(demo / "truth" / "marrow.csv")
    found = rows_by_sample(demo / "results" / "mrd.csv")
    assert set(found) == set(truth)
    for name, row in found.items():
        assert row["status"] == truth[name]["status"], name
        assert float(row["ci_low"]) <= float(truth[name]["mrd_fraction"]) <= float(row["ci_high"]), name
        assert row["light_chain"] == truth[name]["light_chain"], name


@pytest.mark.slow
def test_every_blood_is_right(demo):
    truth = rows_by_sample(demo / "truth" / "blood.csv")
    found = rows_by_sample(demo / "results" / "car_nk.csv")
    assert set(found) == set(truth)
    for name, row in found.items():
        assert row["status"] == truth[name]["status"], name
        if row["status"] == "QUANTIFIED":
            expected = float(truth[name]["car_nk_per_ul_in_file"])
            assert abs(float(row["cells_per_ul"]) / expected - 1) < 0.10, name
