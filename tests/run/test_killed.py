"""Kill -9 at any moment, then the same command again: the tables of a run that nobody disturbed, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from runs import write_twelve

from cytomrd.run.sealed import file_sha256


def start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "cytomrd", "gate", str(folder), "-j", "2", "-q"]
    return subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True)


def tables_of(out: Path) -> dict[str, bytes]:
    paths = [p for p in sorted(out.rglob("*")) if p.suffix in (".csv", ".xml")]
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in paths}


def assert_agrees(out: Path) -> None:
    """Results, where there are any, are those that their provenance names, all of them and no others."""
    if not out.exists():
        return
    outputs = json.loads((out / "provenance.json").read_text("utf-8"))["outputs"]
    there = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"provenance.json"}
    assert there == set(outputs)
    assert all(file_sha256(out / name) == sha256 for name, sha256 in outputs.items())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of twelve samples, its tables, and how long it takes."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    write_twelve(folder)
    for _ in range(2):  # the first compiles
        shutil.rmtree(folder / "results", ignore_errors=True)
        shutil.rmtree(folder / ".results.samples", ignore_errors=True)
        started = time.monotonic()
        assert start(folder).wait() == 0
        seconds = time.monotonic() - started
    return folder, tables_of(folder / "results"), seconds


def copy_to_disturb(whole: Path, folder: Path, *, with_results: bool) -> None:
    """The run as it was before it was gated, or beside results of an earlier run, which are to be replaced."""
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("results", ".*"))
    if not with_results:
        return
    shutil.copytree(whole / "results", folder / "results")
    (folder / "results" / "mrd.csv").write_text("earlier")
    provenance = json.loads((folder / "results" / "provenance.json").read_text())
    provenance["fingerprint"] = "of an earlier run"
    provenance["outputs"]["mrd.csv"] = file_sha256(folder / "results" / "mrd.csv")
    (folder / "results" / "provenance.json").write_text(json.dumps(provenance))


def n_kept(folder: Path) -> int:
    store = folder / ".results.samples"
    return len(list(store.glob("[!.]*/manifest.json"))) if store.exists() else 0


def kill(folder: Path, seconds: float, rng) -> str:
    """Start the run, kill it at a moment of what is left of it, and check what it left; returns what that was."""
    left = 1 - 0.8 * n_kept(folder) / 12
    process = start(folder)
    time.sleep(seconds * left * rng.uniform(0.05, 1.0))
    ended = process.poll() is not None
    with_workers = rng.integers(2)
    if not ended:
        (os.killpg if with_workers else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert_agrees(folder / "results")
    return "ended before" if ended else f"{n_kept(folder)} kept"


def samples_of(folder: Path) -> set[str]:
    """Names of the sealed samples, which follow from what they were made from."""
    return {p.name for p in (folder / ".results.samples").iterdir()}


def finish_and_compare(folder: Path, whole: Path, tables: dict[str, bytes]) -> None:
    again = start(folder)
    assert again.wait() == 0, again.stderr.read()
    again.stderr.close()
    assert_agrees(folder / "results")
    assert tables_of(folder / "results") == tables
    left = {p.name for p in folder.iterdir() if p.name.startswith(".")}
    assert left <= {".results.lock", ".results.samples"}, left
    assert samples_of(folder) == samples_of(whole)


def test_a_killed_run_goes_on(small_run, gated_run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(small_run[0], folder)
    process = start(folder)
    store = folder / ".results.samples"
    while not list(store.glob("[!.]*/manifest.json")) and process.poll() is None:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (folder / "results").exists()
    kept = {p: p.stat().st_mtime_ns for p in store.glob("[!.]*/manifest.json")}
    assert 1 <= len(kept) < 4
    again = start(folder)
    assert again.wait() == 0, again.stderr.read()
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    assert_agrees(folder / "results")
    assert tables_of(folder / "results") == tables_of(gated_run[1])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_a_run_killed_four_times_ends_as_one_that_nobody_disturbed(undisturbed, tmp_path, seed):
    """A hundred kills over all seeds: the first of each hits a whole run, the others what is left of it."""
    whole, tables, seconds = undisturbed
    folder, rng = tmp_path / "run", np.random.default_rng(seed)
    copy_to_disturb(whole, folder, with_results=seed % 3 == 0)
    print(f"seed {seed}:", *[kill(folder, seconds, rng) for _ in range(4)], sep="\n  ", flush=True)
    finish_and_compare(folder, whole, tables)
    shutil.rmtree(folder)
