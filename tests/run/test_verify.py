"""Verifying a run: an untouched one passes, one changed byte anywhere is found and named."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cytomrd.cli.main import cytomrd
from cytomrd.errors import RunError
from cytomrd.run.provenance import chain_of, provenance_bytes
from cytomrd.run.sealed import file_sha256
from cytomrd.run.verify import verify_run
from cytomrd.run.workers import LocalPool


@pytest.fixture(scope="module")
def pool():
    with LocalPool(2) as pool:
        yield pool


@pytest.fixture
def run_copy(small_run, gated_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    shutil.copytree(gated_run[1], folder / "results")
    return folder


def tamper(path: Path, rng) -> int:
    """Change one byte of a file; returns where."""
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    content[place] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)
    return place


def targets_of(folder: Path) -> list[Path]:
    """One file of each kind, the chain first, and then all others."""
    results = folder / "results"
    first = [
        results / "provenance.json", folder / "BM_1.fcs", results / "samples/BM/gates.xml", results / "mrd.csv",
        folder / "samplesheet.csv", results / "populations.csv", results / "samples/PB1/rare.h5ad",
        results / "report.html",
    ]  # fmt: skip
    others = [p for p in sorted(folder.rglob("*")) if p.is_file() and p not in first]
    return [*first, *others, *first]


def assert_found(folder: Path, path: Path, seed: int, pool) -> None:
    before = path.read_bytes()
    place = tamper(path, np.random.default_rng(seed))
    problems = verify_run(folder, folder / "results", pool=pool).problems
    path.write_bytes(before)
    assert any(path.name in p for p in problems), (path, place, problems)


def test_an_untouched_run_passes(run_copy):
    result = CliRunner().invoke(cytomrd, ["verify", str(run_copy)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    seal = json.loads((run_copy / "results" / "provenance.json").read_text())["chain"][-1]["sha256"]
    assert seal in result.output
    assert re.search(r"22 files and [1-9]\d\d counts agree", result.output)


def test_a_changed_byte_is_named(run_copy):
    tamper(run_copy / "results" / "samples" / "BM" / "gates-tube-2.xml", np.random.default_rng(0))
    result = CliRunner().invoke(cytomrd, ["verify", str(run_copy), "-q"])
    assert result.exit_code == 4
    assert "gates-tube-2.xml: changed" in result.output


@pytest.mark.parametrize("index", range(8))
def test_one_changed_byte_is_found(run_copy, pool, index):
    assert_found(run_copy, targets_of(run_copy)[index], index, pool)


@pytest.mark.slow
def test_thirty_changed_bytes_are_found_and_then_it_passes(run_copy, pool):
    targets = targets_of(run_copy)
    for seed in range(30):
        assert_found(run_copy, targets[seed % len(targets)], 100 + seed, pool)
    assert verify_run(run_copy, run_copy / "results", pool=pool).problems == ()


def test_every_byte_of_the_provenance_counts(gated_run):
    """Cheap enough to try many places: what was read back is never what was written."""
    from cytomrd.run.verify import _chain_problems

    raw = (gated_run[1] / "provenance.json").read_bytes()
    assert list(_chain_problems(raw, json.loads(raw))) == []
    rng = np.random.default_rng(3)
    for place in rng.integers(len(raw), size=300):
        changed = bytearray(raw)
        changed[place] ^= 1 << int(rng.integers(8))
        try:
            record = json.loads(changed)
            assert list(_chain_problems(bytes(changed), record)), place
        except (ValueError, KeyError, TypeError):
            continue


def rewrite_table(results: Path, name: str, old: str, new: str) -> None:
    """Change a table and make the provenance fit it: only the events can tell then."""
    text = (results / name).read_text("utf-8")
    assert old in text
    (results / name).write_text(text.replace(old, new, 1), "utf-8", newline="")
    record = json.loads((results / "provenance.json").read_text())
    record["outputs"][name] = file_sha256(results / name)
    (results / "provenance.json").write_bytes(provenance_bytes(record | {"chain": chain_of(record)}))


@pytest.mark.parametrize("name", ["populations.csv", "mrd.csv", "car_nk.csv", "qc.csv"])
def test_a_count_is_compared_with_the_events_and_not_with_a_hash(run_copy, pool, name):
    import csv

    results = run_copy / "results"
    with (results / name).open(newline="") as file:
        row = list(csv.DictReader(file))[-1]
    column = {"mrd.csv": "n_clonal_pc", "car_nk.csv": "n_car_nk"}.get(name, "n_events")
    rewrite_table(results, name, f",{row[column]},", f",{int(row[column]) + 1},")
    problems = verify_run(run_copy, results, pool=pool).problems
    assert any(name in p and "gated again" in p for p in problems), problems


def test_what_is_missing_or_added_is_said(run_copy, pool):
    (run_copy / "results" / "qc.csv").unlink()
    (run_copy / "PB1.fcs").unlink()
    (run_copy / "results" / "samples" / "BM" / "more.xml").write_text("")
    problems = "\n".join(verify_run(run_copy, run_copy / "results", pool=pool).problems)
    assert "result qc.csv: cannot be read" in problems
    assert "input PB1.fcs: cannot be read" in problems
    assert "more.xml: is none that the run wrote" in problems


def test_without_a_finished_run_there_is_nothing_to_verify(tmp_path, pool):
    with pytest.raises(RunError, match="no finished run here"):
        verify_run(tmp_path, tmp_path / "results", pool=pool)
