"""Clusters of a run through the command line: counts that agree with `gate`, and events that agree with their map."""

from __future__ import annotations

import csv
import shutil

import anndata
import numpy as np
import pytest
from click.testing import CliRunner
from runs import write_samplesheet

import cytomrd as cm
from cytomrd import schema
from cytomrd.cli.main import cytomrd
from cytomrd.errors import RunError, RunLockedError
from cytomrd.gating.clustering import map_events
from cytomrd.run.lock import hold_lock

FILES = ("BM_2.fcs", "PB-1.fcs", "PB1.fcs")
NAMES = {"BM-2.h5ad", "PB-1-1.h5ad", "PB1-1.h5ad"}
OPTIONS = ("--grid", "4x5", "--metaclusters", 6, "--max-events", 20_000)


def run(*arguments):
    return CliRunner().invoke(cytomrd, [str(a) for a in arguments])


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def part_run(small_run, tmp_path_factory):
    """A marrow tube, a blood sample and its control."""
    folder = tmp_path_factory.mktemp("part") / "run"
    folder.mkdir()
    for name in FILES:
        shutil.copy(small_run[0] / name, folder)
    write_samplesheet(folder, [r for r in rows_of(small_run[0] / "samplesheet.csv") if r["file"] in FILES])
    return folder


@pytest.fixture(scope="module")
def clustered(part_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("clustered") / "results"
    done = run("cluster", part_run, "-o", out, *OPTIONS)
    assert done.exit_code == 0, done.output
    return out / "clusters", done.output


def test_a_file_for_each_tube_and_one_table(clustered):
    folder, output = clustered
    assert {p.name for p in folder.iterdir()} == NAMES | {"clusters.csv"}
    assert "BM, tube 2" in output
    assert "clusters.csv" in output
    with (folder / "clusters.csv").open(newline="") as file:
        header = next(csv.reader(file))
    assert header[: len(schema.CLUSTERS)] == [c.name for c in schema.CLUSTERS]
    assert "median_transformed_CD38" in header


def test_counts_are_those_of_gate(clustered, gated_run):
    gated = {
        (r["file"], r["population"]): int(r["n_events"]) for r in rows_of(gated_run[1] / "populations.csv")
    }  # fmt: skip
    rows = rows_of(clustered[0] / "clusters.csv")
    for file in {r["file"] for r in rows}:
        own = [r for r in rows if r["file"] == file]
        population = "nucleated" if file.startswith("BM") else "leukocytes"
        assert {r["population"] for r in own} == {population}
        assert len(own) == 20
        assert sum(int(r["n_events"]) for r in own) == gated[file, population]
        assert sum(float(r["fraction"]) for r in own) == pytest.approx(1)
        by_metacluster = [sum(int(r["n_events"]) for r in own if r["metacluster"] == str(k)) for k in range(6)]
        assert by_metacluster == sorted(by_metacluster, reverse=True)
    blood = anndata.read_h5ad(clustered[0] / "PB1-1.h5ad")
    # the CAR cut comes from the control, as `gate` has it
    for population in ("car_nk", "car_t"):
        assert (blood.obs["population"] == population).sum() == gated["PB1.fcs", population]


def test_events_agree_with_the_file_the_map_and_the_table(clustered, small_run):
    data = anndata.read_h5ad(clustered[0] / "BM-2.h5ad")
    about = data.uns["cytomrd"]
    assert set(data.layers) == {"raw", "compensated", "transformed"}
    assert np.array_equal(data.X, data.layers["transformed"])
    assert {"detector", "marker", "fluorochrome", "clustered"} <= set(data.var)
    assert data.obs_names.is_unique
    dataset = cm.open_fcs(small_run[0] / "BM_2.fcs")
    events = data.obs["event"].to_numpy()
    raw = dataset.read_events(channels=list(data.var["detector"]), events=events)
    assert np.array_equal(data.layers["raw"], raw)
    used = data.var["clustered"].to_numpy()
    assert list(data.var_names[used]) == list(about["markers_clustered"])
    assert "FSC-A" in about["markers_clustered"]
    assert "FSC-H" not in about["markers_clustered"]
    nearest, distances = map_events(data.X[:, used], about["nodes"])
    assert np.array_equal(data.obs["cluster"], nearest)
    assert about["quantisation_error"] == distances.mean()
    assert 0 < about["topographic_error"] < 1
    assert about["settings"]["grid"].tolist() == [4, 5]
    assert about["settings"]["n_trained"] == 20_000
    assert (about["settings"]["random_state"], about["settings"]["n_metaclusters"]) == (0, 6)
    assert np.array_equal(data.obs["metacluster"].astype(int), about["node_metacluster"][nearest])
    rows = [r for r in rows_of(clustered[0] / "clusters.csv") if r["file"] == "BM_2.fcs"]
    for row in rows:
        own = data[data.obs["cluster"] == int(row["cluster"])]
        assert own.n_obs == int(row["n_events"])
        if own.n_obs:
            median = np.median(own[:, "CD38"].X.astype(np.float64))
            assert float(row["median_transformed_CD38"]) == pytest.approx(median, rel=1e-9)
        else:
            assert row["median_transformed_CD38"] == ""


def test_jobs_change_no_byte(clustered, part_run, tmp_path):
    done = run("cluster", part_run, "-o", tmp_path, *OPTIONS, "-j", 2, "-q")
    assert (done.exit_code, done.output) == (0, "")
    for name in (*NAMES, "clusters.csv"):
        assert (tmp_path / "clusters" / name).read_bytes() == (clustered[0] / name).read_bytes(), name


@pytest.fixture
def blood_run(small_run, tmp_path):
    """The two later blood samples, without their control."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("PB1.fcs", "PB14.fcs"):
        shutil.copy(small_run[0] / name, folder)
    return folder


def test_a_corrupt_file_costs_only_its_sample(blood_run):
    whole = (blood_run / "PB14.fcs").read_bytes()
    (blood_run / "PB14.fcs").write_bytes(whole[: len(whole) // 2])
    done = run("cluster", blood_run, "--grid", "2x2", "--population", "root")
    assert done.exit_code == 4
    assert "PB14: failed" in done.output
    assert {p.name for p in (blood_run / "results" / "clusters").iterdir()} == {"PB1-1.h5ad", "clusters.csv"}
    rows = rows_of(blood_run / "results" / "clusters" / "clusters.csv")
    assert sum(int(r["n_events"]) for r in rows) == cm.open_fcs(blood_run / "PB1.fcs").n_events


def test_refusals_write_nothing(blood_run):
    done = run("cluster", blood_run, "--population", "platypus")
    assert isinstance(done.exception, RunError)
    assert "leukocytes" in str(done.exception)
    assert run("cluster", blood_run, "--grid", "10").exit_code == 2
    assert run("cluster", blood_run, "--grid", "0x5").exit_code == 2
    with hold_lock(blood_run / "results"):
        assert isinstance(run("cluster", blood_run).exception, RunLockedError)
    assert not (blood_run / "results").exists()


def test_memory_that_is_too_little_is_refused_before_the_work(part_run, tmp_path):
    assert run("cluster", part_run, "-o", tmp_path / "out", "--max-memory", "four").exit_code == 2
    too_little = run("cluster", part_run, "-o", tmp_path / "out", "--max-memory", "100M")
    assert "at least" in str(too_little.exception)
    tight = run("cluster", part_run, "-o", tmp_path / "out", "--max-memory", "640M")
    assert tight.exit_code == 4
    assert tight.output.count("--max-memory allows 640 MB") == 3
    assert [p.name for p in (tmp_path / "out" / "clusters").iterdir()] == ["clusters.csv"]
