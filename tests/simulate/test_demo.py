"""The demo run folder: what is in the files is what the truth says, and the samplesheet keeps its contract."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cytomrd.errors import RunError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.simulate import demo, scenario
from cytomrd.simulate.demo import write_demo, write_example_tube

COLUMNS = {
    "file", "sample_id", "subject_id", "visit", "day", "collected_at", "acquired_at", "matrix", "panel", "tube", "role",
    "stain", "prior_therapy", "pull", "beads_per_tube", "bead_lot", "sample_volume_ul", "dilution", "wbc_10e9_per_l",
    "cbc_at",
}  # fmt: skip
SEED = 20260101


@pytest.fixture
def small(monkeypatch):
    """The same demo with a fiftieth of the events; the rules for its truth stay as they are."""
    marrows = tuple(replace(m, events_per_tube=m.events_per_tube // 50) for m in scenario.MARROWS)
    bloods = tuple(replace(b, n_leukocytes=b.n_leukocytes // 20) for b in scenario.BLOODS)
    monkeypatch.setattr(demo, "MARROWS", marrows)
    monkeypatch.setattr(demo, "BLOODS", bloods)


def read_csv(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hashes(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_files_hold_what_the_truth_says(small, tmp_path):
    calls = []
    truth = write_demo(tmp_path, random_state=SEED, progress=lambda *args: calls.append(args))
    rows = read_csv(tmp_path / "samplesheet.csv")
    assert len(rows) == truth.n_files == 15
    assert set(rows[0]) <= COLUMNS
    assert len({r["file"] for r in rows}) == len(rows)
    assert calls[-1][0] == calls[-1][1] == truth.n_events
    assert [c[0] for c in calls] == sorted(c[0] for c in calls)
    populations = read_csv(tmp_path / "truth" / "populations.csv")
    for row in rows:
        dataset = open_fcs(tmp_path / row["file"])
        labels = np.load(tmp_path / "truth" / "labels" / (dataset.path.stem + ".npy"), allow_pickle=False)
        own = [p for p in populations if p["file"] == row["file"]]
        assert dataset.n_events == labels.size == sum(int(p["n_events"]) for p in own)
        counted = Counter(labels.tolist())
        assert all(counted.get(int(p["label"]), 0) == int(p["n_events"]) for p in own)
        assert dataset.timestep == 0.01
        assert dataset.spillover is not None and not dataset.spillover.is_identity
        assert not [f for f in dataset.findings if f.grade != "note"]
        assert ("CAR" in dataset.markers) == (row["panel"] == "car-nk-bcma")


def test_truth_tables_follow_from_the_counts(small, tmp_path):
    truth = write_demo(tmp_path, random_state=SEED, threads=1)
    files = {t.file: t for t in truth.tubes}
    for marrow in truth.marrows:
        counts = Counter()
        for tube in files.values():
            if tube.sample_id == marrow.sample_id:
                counts.update(tube.counts)
        debris = counts["debris"] + counts["dead"] + counts["doublet"]
        assert marrow.n_nucleated == sum(counts.values()) - debris
        assert marrow.n_clonal_pc == counts["clonal_plasma_cell"] + counts["clonal_plasma_cell_2"]
        assert marrow.mrd_fraction == marrow.n_clonal_pc / marrow.n_nucleated
    for blood in truth.bloods:
        counts = files[f"blood/{blood.sample_id}.fcs"].counts
        assert blood.n_car_nk == counts["car_nk"]
        if blood.method == "beads":
            assert blood.car_nk_per_ul_in_file == pytest.approx(counts["car_nk"] / counts["bead"] * 50_000 / 100)
        else:
            assert counts["bead"] == 0
    assert read_csv(tmp_path / "truth" / "marrow.csv")[0]["sample_id"] == "BM-01"
    assert len(read_csv(tmp_path / "truth" / "blood.csv")) == len(truth.bloods)


def test_same_seed_same_bytes_for_any_number_of_threads(small, tmp_path):
    write_demo(tmp_path / "a", random_state=7, threads=1)
    write_demo(tmp_path / "b", random_state=7, threads=3)
    write_demo(tmp_path / "c", random_state=8, threads=2)
    a, b, c = (hashes(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys()
    assert a["marrow/BM-01_tube1.fcs"] != c["marrow/BM-01_tube1.fcs"]


def test_events_scales_the_low_level_marrow_alone(small, tmp_path):
    plain = write_demo(tmp_path / "plain", random_state=SEED)
    scaled = write_demo(tmp_path / "scaled", events=4e5, random_state=SEED)
    sizes = [{t.file: sum(t.n_events) for t in truth.tubes} for truth in (plain, scaled)]
    changed = {f for f in sizes[0] if sizes[0][f] != sizes[1][f]}
    assert changed == {"marrow/BM-01_tube1.fcs", "marrow/BM-01_tube2.fcs"}
    assert sizes[1]["marrow/BM-01_tube1.fcs"] + sizes[1]["marrow/BM-01_tube2.fcs"] == 400_000
    assert scaled.marrows[0].mrd_fraction == pytest.approx(1.1e-5, rel=0.01)


def test_a_run_folder_is_not_overwritten(small, tmp_path):
    (tmp_path / "samplesheet.csv").write_text("file,sample_id\n")
    with pytest.raises(RunError, match=r"samplesheet\.csv"):
        write_demo(tmp_path)
    assert (tmp_path / "samplesheet.csv").read_text() == "file,sample_id\n"
    assert not (tmp_path / "marrow").exists()
    write_demo(tmp_path, overwrite=True)
    assert len(read_csv(tmp_path / "samplesheet.csv")) == 15


@pytest.mark.parametrize("events", [0, 1_000, float("nan"), float("inf")])
def test_too_few_events_are_refused(events, tmp_path):
    with pytest.raises(RunError, match="at least 20000"):
        write_demo(tmp_path, events=events)


def test_example_tube(tmp_path):
    path = write_example_tube(tmp_path / "example.fcs", n_events=25_000, tube="1")
    dataset = open_fcs(path)
    assert dataset.n_events == 25_000
    assert {"CD117", "CD81"} <= set(dataset.markers)


@pytest.mark.slow
def test_default_demo_is_clear_of_the_borders(tmp_path):
    truth = write_demo(tmp_path)
    assert truth.n_bytes < 500e6
    marrows = {m.sample_id: m for m in truth.marrows}
    assert [m.status for m in truth.marrows] == ["POSITIVE_BELOW_LLOQ", "NEGATIVE", "NOT_EVALUABLE", "POSITIVE"]
    assert 35 <= marrows["BM-01"].n_clonal_pc <= 45
    assert min(marrows["BM-01"].n_nucleated, marrows["BM-02"].n_nucleated) >= 3.1e6
    statuses = {b.sample_id: b.status for b in truth.bloods if b.role == "sample"}
    assert statuses.pop("PB-d14") == "BELOW_LLOQ" and statuses.pop("PB-d28") == "BELOW_LOD"
    assert set(statuses.values()) == {"QUANTIFIED"}
    for blood in truth.bloods:
        if blood.status == "QUANTIFIED":
            assert blood.car_nk_per_ul_in_file == pytest.approx(blood.car_nk_per_ul, rel=0.06)
