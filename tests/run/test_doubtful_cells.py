"""A marrow whose cells cannot be counted is held, and its report says why."""

import csv
from dataclasses import replace

from click.testing import CliRunner
from runs import write_samplesheet, write_tube

from cytomrd.cli.main import cytomrd
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube


def test_a_marrow_of_debris_is_held_and_its_fraction_flagged(tmp_path):
    law = replace(LAWS["clinical"], debris=0.9, doublets=0.02, dead=0.004)
    tube = simulate_marrow_tube(
        law, draw_donor(law, 11), 60_000, 0.01, clone=CLONES["typical"], n_clonal=200, tube="2", random_state=5
    )
    write_tube(tmp_path / "BM.fcs", tube)
    write_samplesheet(
        tmp_path, [{"file": "BM.fcs", "sample_id": "BM", "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": "2"}]
    )
    result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path)])
    assert result.exit_code == 5, result.output
    with (tmp_path / "results" / "mrd.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    assert row["status"] == "POSITIVE"
    assert "DENOMINATOR_UNSURE" in row["flags"]
    with (tmp_path / "results" / "qc.csv").open(newline="") as file:
        assert "debris" in next(csv.DictReader(file))["reason"]
