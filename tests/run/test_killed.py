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


def kill_and_resume(undisturbed, folder: Path, seed: int) -> str:
    """Kill a run at a moment drawn from the seed, check what it left, and run it to its end; returns what was left."""
    whole, tables, seconds = undisturbed
    rng = np.random.default_rng(seed)
    shutil.copytree(whole, folder, ignore=shutil.ignore_patterns("results", ".*"))
    if seed % 3 == 0:  # results of an earlier run are there, to be replaced
        shutil.copytree(whole / "results", folder / "results")
        (folder / "results" / "mrd.csv").write_text("earlier")
        provenance = json.loads((folder / "results" / "provenance.json").read_text())
        provenance["fingerprint"] = "of an earlier run"
        provenance["outputs"]["mrd.csv"] = file_sha256(folder / "results" / "mrd.csv")
        (folder / "results" / "provenance.json").write_text(json.dumps(provenance))
    process = start(folder)
    time.sleep(seconds * rng.uniform(0.05, 1.0))
    if seed % 2:
        os.kill(process.pid, signal.SIGKILL)
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert_agrees(folder / "results")
    store = folder / ".results.samples"
    n_kept = len(list(store.glob("[!.]*/manifest.json"))) if store.exists() else 0
    again = start(folder)
    assert again.wait() == 0, again.stderr.read()
    assert_agrees(folder / "results")
    assert tables_of(folder / "results") == tables
    left = {p.name for p in folder.iterdir() if p.name.startswith(".")}
    assert left <= {".results.lock", ".results.samples"}, left
    assert len(list(store.iterdir())) == 12
    shutil.rmtree(folder)
    return f"{n_kept} of 12 samples were finished"


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
def test_a_run_killed_at_a_hundred_moments(undisturbed, tmp_path):
    for seed in range(100):
        print(seed, kill_and_resume(undisturbed, tmp_path / "run", seed), flush=True)
