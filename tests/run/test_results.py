"""The result files of a run, read by other programs."""

from __future__ import annotations

import csv
import re

import pytest

import cytomrd as cm
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.gating_ml import gate_ids, read_gating_ml
from cytomrd.run.results import safe_name


def counts_of(results, file):
    with (results / "populations.csv").open(newline="") as handle:
        return {r["population"]: int(r["n_events"]) for r in csv.DictReader(handle) if r["file"] == file}


@pytest.mark.parametrize(
    ("file", "gates"), [("PB1.fcs", "samples/PB1/gates.xml"), ("BM_2.fcs", "samples/BM/gates-tube-2.xml")]
)
def test_flowkit_finds_the_same_counts(gated_run, file, gates):
    import flowkit as fk

    folder, results, _ = gated_run
    path = results / gates
    ids = gate_ids(read_gating_ml(path))
    sample = fk.Sample(folder / file, sample_id=file)
    found = fk.parse_gating_xml(str(path)).gate_sample(sample).report.set_index("gate_name")["count"]
    for population, count in counts_of(results, file).items():
        assert found[ids[population]] == count, population


def test_the_gates_of_all_tubes_apply_to_each(gated_run):
    folder, results, _ = gated_run
    strategy = read_gating_ml(results / "samples" / "BM" / "gates.xml")
    gated = apply_gates(cm.open_fcs(folder / "BM_2.fcs"), strategy)
    for population, count in counts_of(results, "BM_2.fcs").items():
        assert gated.count(f"tube2:{population}") == count


def test_medians_are_near_the_exact_ones(gated_run):
    import numpy as np

    folder, results, _ = gated_run
    strategy = read_gating_ml(results / "samples" / "PB1" / "gates.xml")
    dataset = cm.open_fcs(folder / "PB1.fcs")
    members = apply_gates(dataset, strategy).members("nk")
    spillover = dataset.spillover
    raw = dataset.read_events(channels=list(spillover.detectors))[members]
    column = list(spillover.detectors).index(dict(zip(dataset.markers, dataset.detectors, strict=True))["CD56"])
    exact = float(np.median((raw @ spillover.inverse)[:, column]))
    with (results / "populations.csv").open(newline="") as handle:
        row = next(r for r in csv.DictReader(handle) if r["file"] == "PB1.fcs" and r["population"] == "nk")
    assert float(row["median_intensity_CD56"]) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize("name", ["a/b", "../x", "..", "", "a\x1b[0m", "µ", "CON", "a b", "x" * 50])
def test_sample_ids_become_safe_folder_names(name):
    safe = safe_name(name)
    assert "/" not in safe
    assert safe not in ("..", ".")
    assert re.fullmatch(r"[A-Za-z0-9._%\- ]*", safe)


def test_a_long_id_in_another_script_still_names_a_folder(tmp_path):
    first, second = "漢" * 99 + "字", "漢" * 100
    for name in (first, second):
        (tmp_path / safe_name(name)).mkdir()
    assert safe_name(first) != safe_name(second)
    assert safe_name("x" * 100) == "x" * 100


def test_different_ids_have_different_folders():
    assert safe_name("a/b") != safe_name("a_b") != safe_name("a%2Fb")
