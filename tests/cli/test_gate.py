"""The main job through the command line."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from runs import write_samplesheet

from cytomrd import schema
from cytomrd.cli.main import cytomrd


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments])


@pytest.fixture
def run_copy(small_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    return folder


def test_marrow_is_close_to_the_truth(small_run, gated_run):
    truth = small_run[1]["BM"]
    (row,) = rows_of(gated_run[1] / "mrd.csv")
    assert row["status"] == "POSITIVE"
    assert row["light_chain"] == "kappa"
    assert float(row["ci_low"]) <= truth["n_clonal"] / truth["n_nucleated"] <= float(row["ci_high"])
    assert abs(int(row["n_nucleated"]) / truth["n_nucleated"] - 1) < 0.05
    assert row["below_1e_5"] == ""


def test_blood_is_close_to_the_truth(small_run, gated_run):
    rows = {r["sample_id"]: r for r in rows_of(gated_run[1] / "car_nk.csv")}
    assert set(rows) == {"PB-1", "PB1", "PB14"}
    truth = small_run[1]["PB1"]["car_nk_per_ul"]
    assert rows["PB1"]["status"] == "QUANTIFIED"
    assert abs(float(rows["PB1"]["cells_per_ul"]) / truth - 1) < 0.10
    assert rows["PB14"]["status"] == "BELOW_LOD"
    assert "pre-infusion" in rows["PB1"]["background_source"]


def test_columns_are_the_contract(gated_run):
    for name, columns in (("mrd", schema.MRD), ("car_nk", schema.CAR_NK), ("qc", schema.QC)):
        with (gated_run[1] / f"{name}.csv").open(newline="") as file:
            assert next(csv.reader(file)) == [c.name for c in columns]
    with (gated_run[1] / "populations.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header[: len(schema.POPULATIONS)] == [c.name for c in schema.POPULATIONS]
    assert "median_intensity_CD38" in header


def test_every_result_file_is_there_and_hashed(gated_run):
    out = gated_run[1]
    known = json.loads((out / "provenance.json").read_text())
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"provenance.json"}
    assert set(known["outputs"]) == files
    expected = {"report.html", "results.xlsx", "mrd.csv", "car_nk.csv", "populations.csv", "qc.csv"}
    assert expected | {"samples/BM/gates.xml", "samples/BM/rare.h5ad", "samples/PB1/gates.xml"} <= files


def test_rare_cells_hold_every_plasma_cell(gated_run):
    import anndata

    data = anndata.read_h5ad(gated_run[1] / "samples" / "BM" / "rare.h5ad")
    (row,) = rows_of(gated_run[1] / "mrd.csv")
    assert data.n_obs == int(row["n_plasma_cells"])
    assert int((data.obs["clone"] > 0).sum()) == int(row["n_clonal_pc"])
    assert {"raw", "compensated", "transformed"} <= set(data.layers)
    assert {"detector", "marker", "fluorochrome"} <= set(data.var)
    assert np.isfinite(data[:, "CD38"].layers["raw"]).all()


def test_summary_names_the_report_and_each_sample(gated_run):
    output = gated_run[2]
    assert "report.html" in output
    for name in ("BM", "PB1", "PB14"):
        assert name in output


def test_jobs_change_no_byte(small_run, gated_run, tmp_path):
    out = tmp_path / "results"
    assert run("gate", small_run[0], "-o", out, "-j", 2, "-q").exit_code == 0
    for path in gated_run[1].glob("*.csv"):
        assert path.read_bytes() == (out / path.name).read_bytes(), path.name
    for path in gated_run[1].glob("samples/*/*.xml"):
        assert path.read_bytes() == (out / path.relative_to(gated_run[1])).read_bytes(), path


def test_results_that_are_current_are_kept(gated_run):
    folder, out, _ = gated_run
    before = (out / "provenance.json").read_bytes()
    result = run("gate", folder, "-o", out)
    assert result.exit_code == 0
    assert "up to date" in result.output
    assert (out / "provenance.json").read_bytes() == before


def test_a_corrupt_file_costs_only_its_sample(run_copy):
    whole = (run_copy / "PB14.fcs").read_bytes()
    (run_copy / "PB14.fcs").write_bytes(whole[: len(whole) // 2])
    result = run("gate", run_copy)
    assert result.exit_code == 4, result.output
    assert {r["sample_id"] for r in rows_of(run_copy / "results" / "car_nk.csv")} == {"PB-1", "PB1"}
    assert rows_of(run_copy / "results" / "mrd.csv")[0]["status"] == "POSITIVE"
    failed = [r for r in rows_of(run_copy / "results" / "qc.csv") if r["status"] == "failed"]
    assert [r["sample_id"] for r in failed] == ["PB14"]
    assert "PB14.fcs" in failed[0]["reason"]
    assert "PB14" in (run_copy / "results" / "report.html").read_text("utf-8")


def test_samplesheet_problems_come_together_and_nothing_is_written(run_copy):
    rows = [
        {"file": "PB1.fcs", "sample_id": "A"},
        {"file": "PB1.fcs", "sample_id": "A"},
        {"file": "no.fcs", "sample_id": "B"},
    ]
    write_samplesheet(run_copy, rows)
    text = (run_copy / "samplesheet.csv").read_text().replace("visit", "vist", 1)
    (run_copy / "samplesheet.csv").write_text(text)
    result = run("gate", run_copy)
    assert result.exit_code != 0
    assert type(result.exception).__name__ == "SamplesheetError"
    problems = "\n".join(result.exception.problems)
    assert "vist" in problems
    assert "row 3" in problems
    assert "no.fcs" in problems
    assert not (run_copy / "results").exists()


def test_dry_run_shows_the_plan_and_writes_nothing(run_copy):
    result = run("gate", run_copy, "--dry-run")
    assert result.exit_code == 0
    assert "CD38 is" in result.output
    assert "pre" in result.output
    assert not (run_copy / "results").exists()


def test_a_run_held_by_another_process_is_refused(run_copy):
    from cytomrd.errors import RunLockedError
    from cytomrd.run.lock import hold_lock

    with hold_lock(run_copy / "results"):
        result = run("gate", run_copy)
    assert isinstance(result.exception, RunLockedError)
    assert "since" in str(result.exception)


def test_without_control_there_is_no_number(run_copy):
    rows = rows_of(run_copy / "samplesheet.csv")
    write_samplesheet(run_copy, [r for r in rows if r["file"] == "PB1.fcs"])
    assert run("gate", run_copy).exit_code == 0
    (row,) = rows_of(run_copy / "results" / "car_nk.csv")
    assert row["status"] == "NOT_EVALUABLE"
    assert row["cells_per_ul"] == ""
    assert "NO_CONTROL" in row["flags"]


def test_without_samplesheet_the_panel_is_recognised(run_copy):
    (run_copy / "samplesheet.csv").unlink()
    for path in run_copy.glob("PB*.fcs"):
        path.unlink()
    result = run("gate", run_copy)
    assert result.exit_code == 0, result.output
    assert "recognised as panel euroflow-mm-mrd" in result.output
    assert {r["sample_id"] for r in rows_of(run_copy / "results" / "mrd.csv")} == {"BM_1", "BM_2"}
