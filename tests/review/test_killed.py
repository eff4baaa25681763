"""A process that edits is killed at any moment: no edit that was kept is lost, and no chain breaks."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from worker_tasks import edit_until_killed

from cytomrd.review.run import TRAIL_NAME, review_folder
from cytomrd.review.trail import Trail
from cytomrd.review.versions import Versions

from .conftest import reviewed

PATIENCE_S = 120.0


@pytest.mark.parametrize("n_kills", [2, pytest.param(30, marks=pytest.mark.slow)])
def test_no_kept_edit_is_lost_and_no_chain_breaks(run_folder, tmp_path, n_kills):
    draw, acknowledged = random.Random(7), tmp_path / "acknowledged"
    acknowledged.touch()
    for seed in range(n_kills):
        n_before = len(acknowledged.read_text().splitlines())
        process = multiprocessing.get_context("spawn").Process(
            target=edit_until_killed, args=(str(run_folder), str(acknowledged), seed)
        )
        process.start()
        end = time.monotonic() + PATIENCE_S
        while len(acknowledged.read_text().splitlines()) == n_before and process.is_alive() and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(draw.random())
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        check_nothing_lost(run_folder, acknowledged)
    with reviewed(run_folder) as run:
        bench = run.workbench("BM")
        last = json.loads(run.trail.entries()[-1].new)["set"]
        assert bench.version == run.trail.head()[0]
        (place,) = [value for key, value in last if key[0] == "cut"]
        assert place in [b for g in bench.gates("1") if g.name == "mast_cells" for b in g.minimum]
        check_leftovers_go(Versions.of(run.review, "BM"), run.trail)
    assert len(acknowledged.read_text().splitlines()) >= n_kills


def check_leftovers_go(versions, trail):
    """What was written for edits that were never entered stays a day: another process may be about to enter it."""
    for path in versions.folder.glob(".[uw]*-*"):
        os.utime(path, (0, 0))
    versions.settle(trail.entries("BM"))
    assert not list(versions.folder.glob(".*"))


def check_nothing_lost(folder, acknowledged):
    review = review_folder(folder / "results")
    trail, versions = Trail(review / TRAIL_NAME), Versions.of(review, "BM")
    assert trail.check(versions.anchors()) == ()
    entries = trail.entries("BM")
    known = {(str(e.seq), e.hash) for e in entries}
    assert {tuple(line.split()) for line in acknowledged.read_text().splitlines()} <= known
    versions.settle(entries)
    assert list(versions.problems(entries)) == []
