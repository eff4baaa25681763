"""Results appear whole or not at all."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from cytomrd.cli.main import cytomrd
from cytomrd.errors import RunError
from cytomrd.run.staging import check_results_folder, staged_file, staged_folder


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


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_is_replaced_on_any_system(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr("cytomrd.run.staging._exchange", lambda one, other: False)
    for text in ("old", "new"):
        with staged_folder(tmp_path / "results") as stage:
            (stage / "a.csv").write_text(text)
    assert (tmp_path / "results" / "a.csv").read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["results"]


def test_what_a_killed_process_left_is_swept_and_old_results_come_back(tmp_path):
    old = tmp_path / ".results.stage-abc" / "results"
    old.mkdir(parents=True)
    (old / "provenance.json").write_text("{}")
    (tmp_path / ".results.stage-def").mkdir()
    other = tmp_path / ".results-b.samples"
    other.mkdir()
    with pytest.raises(RuntimeError), staged_folder(tmp_path / "results"):
        raise RuntimeError
    assert sorted(p.name for p in tmp_path.iterdir()) == [other.name, "results"]
    assert (tmp_path / "results" / "provenance.json").read_text() == "{}"


def test_results_take_the_place_of_results_alone(tmp_path):
    run = tmp_path / "lab" / "run"
    run.mkdir(parents=True)
    (run / "a.fcs").write_text("precious")
    out = run / "results"
    check_results_folder(out, run)
    for inside in ([], ["clusters"], ["clusters", "provenance.json", "mrd.csv"]):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        for name in inside:
            (out / name).write_text("")
        check_results_folder(out, run)
    for folder in (run, run.parent, run / ".." / "run"):
        with pytest.raises(RunError, match="the run's own files"):
            check_results_folder(folder, run)
    (out / "provenance.json").unlink()
    with pytest.raises(RunError, match=r"holds clusters, mrd\.csv and no provenance\.json"):
        check_results_folder(out, run)
    with pytest.raises(RunError, match="is a file"):
        check_results_folder(run / "a.fcs", run)


def test_gate_never_replaces_a_folder_of_other_things(small_run, tmp_path):
    run, other = tmp_path / "run", tmp_path / "thesis"
    shutil.copytree(small_run[0], run)
    other.mkdir()
    (other / "chapter1.txt").write_text("years of work")
    before = sorted(p.name for p in run.iterdir())
    for folder in (other, run, tmp_path):
        result = CliRunner().invoke(cytomrd, ["gate", str(run), "-o", str(folder), "-q"])
        assert isinstance(result.exception, RunError)
    assert (other / "chapter1.txt").read_text() == "years of work"
    assert sorted(p.name for p in run.iterdir()) == before
