"""Another MRD assay by a panel file alone: leukaemic blasts among hematogones, with a nucleic acid dye."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from simulated_b_all import NUCLEATED, write_marrow

from cytomrd.cli.main import cytomrd
from cytomrd.panel.library import check_panel

PANEL = Path(__file__).parents[1] / "panels" / "b-all-mrd.toml"
N_BLASTS = {"relapse": 120, "low": 40, "none": 0}


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("b-all")
    shutil.copy(PANEL, folder / "b-all-mrd.toml")
    truth, rows = {}, ["file,sample_id,matrix,panel,pull"]
    for seed, (name, n) in enumerate(N_BLASTS.items()):
        truth[name] = write_marrow(folder / f"{name}.fcs", 80_000, n, seed=seed)
        rows.append(f"{name}.fcs,{name},BM,b-all-mrd.toml,1")
    (folder / "samplesheet.csv").write_text("\n".join(rows) + "\n")
    result = CliRunner().invoke(cytomrd, ["gate", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    with (folder / "results" / "mrd.csv").open(newline="") as file:
        return truth, {row["sample_id"]: row for row in csv.DictReader(file)}, folder / "results" / "report.html"


def test_the_panel_is_right():
    assert check_panel(PANEL) == ()


@pytest.mark.parametrize("name", N_BLASTS)
def test_blasts_are_counted_among_hematogones(gated, name):
    truth, rows, _ = gated
    row, true = rows[name], truth[name]
    assert int(row["n_nucleated"]) == pytest.approx(sum(true[p] for p in (*NUCLEATED, "blast")), rel=0.01)
    precursors = sum(n for p, n in true.items() if p.startswith("hematogone")) + true["blast"]
    assert int(row["n_plasma_cells"]) == pytest.approx(precursors, rel=0.10)
    assert abs(int(row["n_clonal_pc"]) - true["blast"]) <= 0.1 * true["blast"] + 3
    assert row["light_chain"] == ""


def test_statuses_follow(gated):
    statuses = {name: row["status"] for name, row in gated[1].items()}
    assert statuses == {"relapse": "POSITIVE", "low": "POSITIVE_BELOW_LLOQ", "none": "NOT_EVALUABLE"}


def test_the_report_speaks_of_the_cells_of_this_disease(gated):
    page = gated[2].read_text("utf-8")
    assert "120 clonal B precursors" in page
    assert "<h3>B precursors</h3>" in page
    sentences = page.partition("Clusters")[0]
    assert "clonal plasma cell" not in sentences
