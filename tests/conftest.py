"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real files with known answers; tests that need it are skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"real files are not here: {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """A small run folder and its truth; a test that changes it works on a copy."""
    from runs import write_small_run

    folder = tmp_path_factory.mktemp("small") / "run"
    return folder, write_small_run(folder)


@pytest.fixture(scope="session")
def gated_run(small_run, tmp_path_factory):
    """The small run gated through the command line: (run folder, results folder, output)."""
    from click.testing import CliRunner

    from cytomrd.cli.main import cytomrd

    folder, _ = small_run
    out = tmp_path_factory.mktemp("gated") / "results"
    result = CliRunner().invoke(cytomrd, ["gate", str(folder), "-o", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder, out, result.output


@pytest.fixture(scope="session")
def true_study(tmp_path_factory):
    """The demo study with the results that its truth implies; a test that changes it works on a copy."""
    from demo_study import write_true_study

    return write_true_study(tmp_path_factory.mktemp("trial") / "study")
