"""The demo study: its tables are sound, its files are what they say, and the same seed gives the same bytes."""

from __future__ import annotations

import hashlib

import pytest
from click.testing import CliRunner
from demo_study import read_csv

from cytomrd.cli.main import cytomrd
from cytomrd.errors import RunError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.simulate.study import write_demo_study
from cytomrd.simulate.study_subjects import SUBJECTS
from cytomrd.trial.study import check_study_folder

TWO = (SUBJECTS[0], SUBJECTS[12])


def hashes(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


def test_every_check_of_a_study_passes(true_study):
    problems = check_study_folder(true_study)
    assert not [str(p) for p in problems if p.grade == "error"]


def test_files_hold_what_the_truth_says(tmp_path):
    truth = write_demo_study(tmp_path, events=2e4, subjects=TWO)
    assert truth.runs == ("runs/dose-level-1", "runs/dose-level-3")
    samples = {row["sample_id"]: row for row in read_csv(tmp_path / "truth" / "samples.csv")}
    events = {}
    for run in truth.runs:
        for row in read_csv(tmp_path / run / "samplesheet.csv"):
            dataset = open_fcs(tmp_path / run / row["file"])
            assert ("CAR" in dataset.markers) == (row["panel"] == "car-nk-bcma")
            assert not [f for f in dataset.findings if f.grade != "note"]
            events[row["file"]] = dataset.n_events
            assert row["sample_id"] in samples
    assert sum(events.values()) == truth.n_events
    quantified = [r for r in samples.values() if r["status"] == "QUANTIFIED"]
    assert quantified and all(int(r["n_car_nk"]) >= 50 for r in quantified)
    # What the tables need is beyond doubt: no count stands near a limit.
    counts = [int(r["n_car_nk"]) for r in samples.values() if r["n_car_nk"]]
    assert not [n for n in counts if 8 < n < 30 or 40 < n < 75]


def test_same_seed_same_bytes_for_any_number_of_threads(tmp_path):
    for name, options in (("a", {"threads": 1}), ("b", {"threads": 3}), ("c", {"random_state": 5})):
        write_demo_study(tmp_path / name, events=2e4, subjects=TWO[:1], **options)
    a, b, c = (hashes(tmp_path / name) for name in "abc")
    assert a == b
    assert a.keys() == c.keys() and a != c


def test_a_study_is_not_overwritten_unasked(tmp_path):
    write_demo_study(tmp_path, events=2e4, subjects=TWO[:1])
    with pytest.raises(RunError, match=r"study\.toml"):
        write_demo_study(tmp_path, events=2e4, subjects=TWO[:1])
    with pytest.raises(RunError, match="20000"):
        write_demo_study(tmp_path / "other", events=10)


def test_the_command_says_what_to_type_next(tmp_path, monkeypatch):
    monkeypatch.setattr("cytomrd.simulate.study.SUBJECTS", TWO[:1])
    monkeypatch.setattr(write_demo_study, "__kwdefaults__", write_demo_study.__kwdefaults__ | {"subjects": TWO[:1]})
    result = CliRunner().invoke(cytomrd, ["demo", "--study", str(tmp_path / "s"), "--events", "1e5"])
    assert result.exit_code == 0, result.output
    assert f"next: cytomrd tables {tmp_path / 's'} --gate" in result.output
    assert (tmp_path / "s" / "study.toml").exists()
