"""One process at a time on a results folder; a dead one holds nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from cytomrd.errors import RunLockedError
from cytomrd.run import lock
from cytomrd.run.lock import hold_lock

HOLDING = """
import sys, time, pathlib
from cytomrd.run.lock import hold_lock
with hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def start_holder(out) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(out)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def rewrite(out, **changes) -> None:
    holder = out.parent / ".results.holder"
    holder.write_text(json.dumps({**json.loads(holder.read_text()), **changes}))


def test_a_second_holder_is_told_who_and_since_when(tmp_path):
    out = tmp_path / "results"
    with hold_lock(out):
        holder = json.loads((tmp_path / ".results.holder").read_text())
        with pytest.raises(RunLockedError, match=f"process {os.getpid()}.*{holder['since'][:10]}"), hold_lock(out):
            pass
    with hold_lock(out):
        pass
    assert not (tmp_path / ".results.holder").exists()


def test_a_process_that_was_killed_holds_nothing(tmp_path, caplog):
    out = tmp_path / "results"
    holder = start_holder(out)
    try:
        with pytest.raises(RunLockedError, match=f"process {holder.pid}"), hold_lock(out):
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with hold_lock(out):
            pass
        assert f"process {holder.pid}" in caplog.text
        assert "is no more" in caplog.text
    finally:
        holder.kill()


def test_a_process_id_that_was_given_out_again_holds_nothing(tmp_path):
    out = tmp_path / "results"
    with hold_lock(out):
        rewrite(out, started="1")
        with hold_lock(out):
            pass


@pytest.mark.parametrize("age", [0, 60, -60])
def test_a_holder_elsewhere_lives_as_long_as_it_touches_its_name(tmp_path, age):
    out = tmp_path / "results"
    with hold_lock(out):
        rewrite(out, machine="another", host="server2")
        beat = (tmp_path / ".results.holder").stat().st_mtime - age
        os.utime(tmp_path / ".results.holder", (beat, beat))
        with pytest.raises(RunLockedError, match="server2"), hold_lock(out):
            pass


@pytest.mark.parametrize("age", [600, -6e4])  # a clock set back leaves times in the future
def test_a_holder_elsewhere_that_fell_silent_holds_nothing(tmp_path, age):
    out = tmp_path / "results"
    with hold_lock(out) as check:
        check()
        rewrite(out, machine="another", host="server2")
        beat = (tmp_path / ".results.holder").stat().st_mtime - age
        os.utime(tmp_path / ".results.holder", (beat, beat))
        with hold_lock(out), pytest.raises(RunLockedError, match="took this folder over"):
            check()


def test_the_holder_touches_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_S", 0.01)
    out = tmp_path / "results"
    with hold_lock(out):
        holder = tmp_path / ".results.holder"
        os.utime(holder, (0, 0))
        for _ in range(500):
            if holder.stat().st_mtime > 0:
                break
            lock.threading.Event().wait(0.01)
        assert holder.stat().st_mtime > 0


def test_a_name_cut_short_is_nobody_once_it_is_old(tmp_path):
    out = tmp_path / "results"
    holder = tmp_path / ".results.holder"
    holder.write_text('{"user": ')
    with pytest.raises(RunLockedError), hold_lock(out):
        pass
    os.utime(holder, (0, 0))
    with hold_lock(out):
        pass
