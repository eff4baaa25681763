"""Results appear whole or not at all, and one process at a time writes them."""

from __future__ import annotations

import json
import os

import pytest

from cytomrd.errors import RunLockedError
from cytomrd.run.staging import hold_lock, staged_file, staged_folder


def test_a_finished_folder_takes_the_place_of_the_old(tmp_path):
    out = tmp_path / "results"
    for text in ("old", "new"):
        with staged_folder(out) as stage:
            (stage / "a.csv").write_text(text)
    assert (out / "a.csv").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_a_failure_leaves_the_old_results(tmp_path):
    out = tmp_path / "results"
    with staged_folder(out) as stage:
        (stage / "a.csv").write_text("old")
    with pytest.raises(RuntimeError, match="disk"), staged_folder(out) as stage:
        (stage / "a.csv").write_text("half")
        raise RuntimeError("disk")
    assert (out / "a.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_a_failed_file_leaves_the_old_one(tmp_path):
    target = tmp_path / "x.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), staged_file(target) as stage:
        stage.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x.csv"]


def test_a_second_holder_is_told_who_and_since_when(tmp_path):
    out = tmp_path / "results"
    with hold_lock(out):
        holder = json.loads((tmp_path / ".results.holder").read_text())
        with pytest.raises(RunLockedError, match=f"process {os.getpid()}.*{holder['since'][:10]}"), hold_lock(out):
            pass
    with hold_lock(out):
        pass
