"""A gated run that a test may review and spoil: a copy of its own."""

from __future__ import annotations

import shutil
from contextlib import contextmanager

import pytest

from cytomrd.review.calls import Beside
from cytomrd.review.run import open_review


class SharedBeside:
    """One process beside for all tests: to start one takes longer than most of them."""

    def __init__(self, beside: Beside):
        self.judging = beside.judging

    def close(self) -> None:
        """It goes on for the next test."""


@pytest.fixture(scope="session")
def one_process_beside():
    """Lets every run that is opened share a process."""
    beside = Beside()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cytomrd.review.run.Beside", lambda: SharedBeside(beside))
        yield
    beside.close()


@pytest.fixture(scope="session")
def gated_marrow(tmp_path_factory, one_process_beside):
    """A marrow of two tubes gated through the command line, as a run folder with its results inside."""
    from click.testing import CliRunner
    from runs import write_marrow_run

    from cytomrd.cli.main import cytomrd

    folder = tmp_path_factory.mktemp("review") / "run"
    write_marrow_run(folder)
    result = CliRunner().invoke(cytomrd, ["gate", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run_folder(gated_marrow, tmp_path):
    """A copy of the gated marrow."""
    return shutil.copytree(gated_marrow, tmp_path / "run")


@pytest.fixture
def opened(run_folder):
    """The run opened for review by Ada, an analyst, and Bob, a reviewer: (run, bench, ada, bob, tokens)."""
    with reviewed(run_folder) as run:
        tokens = {name: run.people.add(name, role) for name, role in (("Ada", "analyst"), ("Bob", "reviewer"))}
        ada, bob = (run.people.verify(name, token) for name, token in tokens.items())
        yield run, run.workbench("BM"), ada, bob, tokens


@contextmanager
def reviewed(folder):
    """A run opened for review and closed again."""
    run = open_review(folder)
    try:
        yield run
    finally:
        run.close()
