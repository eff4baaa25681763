"""A run goes on from what is finished: by content, and never by half a result."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from click.testing import CliRunner
from runs import write_samplesheet

from cytomrd.cli.main import cytomrd


def gate(*arguments):
    return CliRunner().invoke(cytomrd, ["gate", *(str(a) for a in arguments)])


def tables_of(out) -> dict[str, bytes]:
    return {
        p.relative_to(out).as_posix(): p.read_bytes() for p in sorted(out.rglob("*")) if p.suffix in (".csv", ".xml")
    }


@pytest.fixture
def run_copy(small_run, gated_run, tmp_path):
    """The small run, gated already."""
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    shutil.copytree(gated_run[1], folder / "results")
    shutil.copytree(gated_run[1].parent / ".results.samples", folder / ".results.samples")
    return folder


def sealed_at(folder) -> dict[str, int]:
    """When each sample was sealed."""
    manifests = sorted((folder / ".results.samples").glob("*/manifest.json"))
    return {json.loads(m.read_text())["sample_id"]: m.stat().st_mtime_ns for m in manifests}


def test_a_lost_results_folder_is_made_from_the_finished_samples(run_copy):
    before, tables = sealed_at(run_copy), tables_of(run_copy / "results")
    shutil.rmtree(run_copy / "results")
    assert gate(run_copy, "-q").exit_code == 0
    assert sealed_at(run_copy) == before
    assert tables_of(run_copy / "results") == tables


def test_a_changed_file_is_gated_again_and_said(run_copy):
    before = sealed_at(run_copy)
    path = run_copy / "PB14.fcs"
    path.write_bytes(path.read_bytes() + b" ")
    result = gate(run_copy)
    assert result.exit_code == 0
    assert "PB14: gated again: file PB14.fcs changed" in result.output
    now = sealed_at(run_copy)
    assert {s for s in now if now[s] != before[s]} == {"PB14"}
    provenance = json.loads((run_copy / "results" / "provenance.json").read_text())
    assert any("PB14.fcs changed" in note for note in provenance["notes"])


def test_a_changed_control_is_a_change_of_its_subject(run_copy):
    path = run_copy / "PB-1.fcs"
    path.write_bytes(path.read_bytes() + b" ")
    result = gate(run_copy)
    assert "PB1: gated again: control PB-1.fcs changed" in result.output
    assert "BM:" not in result.output


def test_what_the_sheet_says_of_a_specimen_needs_no_gating(run_copy):
    before = sealed_at(run_copy)
    with (run_copy / "samplesheet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    write_samplesheet(run_copy, [r | ({"visit": "C1D28"} if r["sample_id"] == "BM" else {}) for r in rows])
    assert gate(run_copy, "-q").exit_code == 0
    assert sealed_at(run_copy) == before
    with (run_copy / "results" / "mrd.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["visit"] == "C1D28"


def test_other_settings_are_another_result(run_copy):
    (run_copy / "run.toml").write_text("lob_events = {euroflow-mm-mrd = 3}\n")
    before = sealed_at(run_copy)
    assert gate(run_copy, "-q").exit_code == 0
    assert sealed_at(run_copy) == before  # the limit of blank enters after gating
    with (run_copy / "results" / "mrd.csv").open(newline="") as file:
        assert next(csv.DictReader(file))["lob_events"] == "3"
    result = gate(run_copy, "--seed", "5")
    assert "BM: gated again: other settings" in result.output


def test_a_damaged_store_is_not_believed(run_copy):
    tables = tables_of(run_copy / "results")
    folders = sorted(p for p in (run_copy / ".results.samples").iterdir())
    for folder, name in zip(folders, ("record.json", "arrays.npz", "results/gates.xml", "manifest.json"), strict=True):
        path = folder / name
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    shutil.rmtree(run_copy / "results")
    result = gate(run_copy)
    assert result.output.count("its stored result was damaged") == 3
    assert tables_of(run_copy / "results") == tables


def test_a_damaged_result_is_written_again(run_copy):
    tables = tables_of(run_copy / "results")
    (run_copy / "results" / "mrd.csv").write_text("sample_id\n")
    assert gate(run_copy, "-q").exit_code == 0
    assert tables_of(run_copy / "results") == tables


def test_a_sample_that_left_the_sheet_leaves_the_store(run_copy):
    with (run_copy / "samplesheet.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    write_samplesheet(run_copy, [r for r in rows if r["sample_id"] != "BM"])
    assert gate(run_copy, "-q").exit_code == 0
    assert "BM" not in sealed_at(run_copy)
