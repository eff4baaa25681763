"""The command serves the page; killed at any moment it loses no edit whose keeping it had answered."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from serving_review import Client

from cytomrd.review.run import TRAIL_NAME, review_folder
from cytomrd.review.trail import Trail
from cytomrd.review.versions import Versions
from cytomrd.review.web.security import Address

from .conftest import reviewed


def started(folder):
    """The command as a person starts it: (process, address, token printed or "")."""
    command = [sys.executable, "-m", "cytomrd", "review", str(folder), "--no-browser"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    for line in process.stdout:
        lines.append(line)
        found = re.match(r"(http://\S+?/)(?:#token=(\S+))? ", line)
        if found:
            at = urlsplit(found[1])
            return process, Address(at.hostname, at.port), found[2] or ""
    raise AssertionError("".join(lines))


def test_the_command_prints_an_address_that_signs_in(run_folder):
    process, address, token = started(run_folder)
    try:
        assert address.host == "127.0.0.1"
        client = Client(SimpleNamespace(address=address), token)
        assert [s["id"] for s in client.ask("/read/samples")[1]["samples"]] == ["BM"]
    finally:
        process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [5, 30])
def test_killed_at_any_moment_it_loses_no_kept_edit(run_folder, n_kills):
    draw, answered = random.Random(11), []
    with reviewed(run_folder) as run:
        token = run.people.add("Ada", "analyst")
    for seed in range(n_kills):
        process, address, _ = started(run_folder)
        client, n_before = Client(SimpleNamespace(address=address), token), len(answered)
        keeping = threading.Thread(target=keep_until_killed, args=(client, answered, seed))
        keeping.start()
        while len(answered) == n_before and keeping.is_alive():
            time.sleep(0.01)
        time.sleep(draw.random())
        process.kill()
        process.wait()
        keeping.join(60)
        trail, versions = Trail(review_folder(run_folder / "results") / TRAIL_NAME), _versions(run_folder)
        assert trail.check(versions.anchors()) == ()
        entries = trail.entries("BM")
        assert {(v, why) for v, why in answered} <= {(e.version, e.why) for e in entries}
        versions.settle(entries)
        assert list(versions.problems(entries)) == []
    assert len(answered) >= n_kills


def _versions(folder) -> Versions:
    return Versions.of(review_folder(folder / "results"), "BM")


def keep_until_killed(client: Client, answered: list, seed: int) -> None:
    """Keep one edit after the other until nobody answers; each that was answered is noted."""
    draw = random.Random(seed)
    try:
        version = client.ask("/read/sample", {"sample": "BM"})[1]["version"]
        while True:
            edit = {"kind": "MoveCut", "tube": "1", "cut": "CD117:bright", "value": 0.7 + 0.2 * draw.random()}
            why = f"{seed} {draw.random()}"
            status, kept = client.ask("/write/keep", {"sample": "BM", "edit": edit, "version": version, "why": why})
            assert status == 200, kept
            version = kept["version"]
            answered.append((version, why))
    except (OSError, json.JSONDecodeError, HTTPException):
        return
