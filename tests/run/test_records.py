"""A gated sample as files: what comes back is what was written, and nothing else can."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import datetime

import numpy as np
import pytest

from cytomrd.errors import RunError
from cytomrd.panel.library import read_panel
from cytomrd.run.gate_sample import GatedSample, SampleJob, gate_sample, read_gated
from cytomrd.run.plan import plan_run
from cytomrd.run.records import read_record, write_record
from cytomrd.run.settings import RunSettings


@dataclass(frozen=True, eq=False)
class Small:
    number: float | None
    when: datetime
    values: np.ndarray
    more: tuple[Small, ...] = ()


def assert_equal(one, other) -> None:
    if isinstance(one, float):  # numpy's own floats come back as plain ones
        assert isinstance(other, float)
        assert one == other or one != one != other
        return
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    elif is_dataclass(one):
        for field in fields(one):
            assert_equal(getattr(one, field.name), getattr(other, field.name))
    elif isinstance(one, tuple):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            assert_equal(a, b)
    else:
        assert one == other


@pytest.mark.parametrize(
    "values",
    [
        np.array([-1, 0, 300]),
        np.array([2**63, 1], dtype=np.uint64),
        np.zeros((0, 3), dtype=np.int64),
        np.array([[np.nan, -np.inf, 1e-310]]),
        np.array([True, False]),
    ],
)
def test_what_comes_back_is_what_was_written(tmp_path, values):
    inner = Small(float("nan"), datetime(2024, 5, 31, 9, 30), np.arange(3, dtype=np.float32))
    written = Small(0.1 + 0.2, datetime.fromisoformat("2024-05-31T09:30:00+02:00"), values, (inner, inner))
    write_record(written, tmp_path)
    assert_equal(read_record(tmp_path, Small), written)


def test_a_gated_sample_comes_back(small_run, tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        "cytomrd.run.gate_sample.write_record", lambda s, folder: (written.append(s), write_record(s, folder))
    )
    plan = plan_run(small_run[0])
    sample = next(s for s in plan.samples if s.sample_id == "BM")
    sealed = gate_sample(SampleJob(sample, read_panel("euroflow-mm-mrd"), RunSettings(), plan.folder, tmp_path))
    (before,), after = written, read_gated(sealed)
    for file, same in zip(before.files, after.files, strict=True):
        for name in ("gate_plots", "rare", "decisions", "populations", "qc", "time_plot", "findings", "notes", "row"):
            assert_equal(getattr(file, name), getattr(same, name))
        assert file.strategy.gates == same.strategy.gates
        assert dict(file.axes) == dict(same.axes)
    for name in ("labels", "decided_by", "flags", "kappa_lambda_ratio"):
        assert_equal(getattr(before.clones.calls, name), getattr(after.clones.calls, name))


def test_a_record_holds_only_what_its_annotations_name(tmp_path):
    small = Small(1.0, datetime(2024, 1, 1), np.zeros(1))
    with pytest.raises(TypeError, match="GatedSample is not part of the record"):
        write_record(replace(small, more=(GatedSample(()),)), tmp_path)
    write_record(small, tmp_path)
    tree = json.loads((tmp_path / "record.json").read_text())
    (tmp_path / "record.json").write_text(json.dumps(tree | {"$": "Popen"}))
    with pytest.raises(RunError, match="'Popen'"):
        read_record(tmp_path, Small)
