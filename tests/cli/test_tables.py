"""``cytomrd tables --gate``: gates the runs that need it, and no other."""

from __future__ import annotations

import shutil

import click
import pytest
from click.testing import CliRunner

from cytomrd.cli import gate
from cytomrd.cli.main import cytomrd
from cytomrd.errors import StudyError


@pytest.fixture
def ungated(true_study, tmp_path):
    """A copy of the study's settings and runs of which the second has no results."""
    folder = tmp_path / "study"
    shutil.copytree(true_study, folder, ignore=shutil.ignore_patterns("*.fcs"))
    shutil.rmtree(folder / "runs" / "dose-level-2" / "results")
    return folder


def tables(folder, monkeypatch, code=0):
    """Run the command with gating and writing replaced; returns its result and the runs that were gated."""
    gated = []

    def gate_run(run, jobs, **options):
        gated.append((run.name, jobs))
        click.get_current_context().exit(code)

    monkeypatch.setattr(gate.command, "callback", gate_run)

    def write_tables(study, out):
        raise StudyError("the tables were tried")

    monkeypatch.setattr("cytomrd.trial.publish.publish_tables", write_tables)
    return CliRunner().invoke(cytomrd, ["tables", str(folder), "--gate", "-j", "2", "-q"]), gated


@pytest.mark.parametrize("code", [0, 4, 5])
def test_only_a_run_without_results_is_gated(ungated, monkeypatch, code):
    result, gated = tables(ungated, monkeypatch, code)
    assert gated == [("dose-level-2", 2)]
    assert "were tried" in str(result.exception)  # held or failed samples do not keep the tables from being tried


@pytest.mark.parametrize("code", [3, 6])
def test_a_run_that_is_refused_ends_the_command(ungated, monkeypatch, code):
    result, gated = tables(ungated, monkeypatch, code)
    assert len(gated) == 1
    assert result.exit_code == code and "were tried" not in str(result.exception)
