"""The trail as it is printed, and what `cytomrd review` and `cytomrd verify` say of it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from click.testing import CliRunner

from cytomrd.cli.main import cytomrd
from cytomrd.review.edits import MoveCut
from cytomrd.review.log import LOG_FORMATS, log_lines
from cytomrd.review.trail import Trail

STRANGE = (
    "<script>alert(1)</script>",
    "$\\frac{$",
    "[/bold]",
    "=1+1",
    "x" * 300,
    "骨髓",
    "نخاع",
    "\x1b[2J",
    "a\nb",
    "\u202e",
)


@pytest.fixture
def trail(tmp_path):
    trail = Trail(tmp_path / "trail.sqlite")
    for text in STRANGE:
        trail.append(who=text, sample_id=text, action="comment", target=text, why=text)
    return trail


@pytest.mark.parametrize("form", LOG_FORMATS)
def test_no_text_reaches_a_terminal_as_a_control_code(trail, form):
    lines = list(log_lines(trail.entries(), form))
    assert all(line.isprintable() for line in lines)
    assert any("<script>alert(1)</script>" in line for line in lines)
    assert any("x" * 300 in line for line in lines)


def test_no_text_reaches_a_spreadsheet_as_a_formula(trail):
    rows = list(csv.DictReader(io.StringIO("\n".join(log_lines(trail.entries(), "csv")))))
    assert len(rows) == len(STRANGE)
    assert [r["why"] for r in rows][:4] == [*STRANGE[:3], "'=1+1"]
    assert not any(cell[:1] in "=+-@\t\r" and cell for r in rows for cell in r.values())


def test_json_lines_hold_everything(trail):
    rows = [json.loads(line) for line in log_lines(trail.entries(), "json")]
    assert [r["why"] for r in rows] == list(STRANGE)
    assert [r["hash"] for r in rows] == [e.hash for e in trail.entries()]


def test_values_that_are_no_json_are_printed_as_they_are(trail):
    trail.append(who="Ada", sample_id="S", action="comment", old="{", new="[1")
    for form in LOG_FORMATS:
        assert list(log_lines(trail.entries(), form))


def command(*arguments: str):
    return CliRunner().invoke(cytomrd, ["review", *arguments])


def test_the_command_adds_people_and_prints_the_trail(opened, run_folder):
    run, bench, ada, *_ = opened
    bench.keep(MoveCut("1", "CD38:bright", 0.8), who=ada, version=0, why="=dim\x1b[2J")
    token = command(str(run_folder), "--add", "Cem", "--role", "analyst").output.strip()
    assert run.people.identify(token).name == "Cem"
    renewed = command(str(run_folder), "--renew", "Cem").output.strip()
    assert run.people.identify(renewed).name == "Cem"
    assert [e.target for e in run.trail.entries("")] == ["Cem is analyst", "Cem has another token"]
    printed = command(str(run_folder), "--log")
    assert printed.exit_code == 0
    assert "Ada  BM v1  cut  tube 1: CD38:bright" in printed.output
    assert "cut CD38:bright of tube 1: as found -> 0.8" in printed.output
    assert "\x1b" not in printed.output
    assert "why: =dim\\x1b[2J" in printed.output
    with run.trail._connection() as db:
        db.execute("DROP TRIGGER no_update")
        db.execute("UPDATE entries SET who = 'Eve'")
    changed = command(str(run_folder), "--log", "--format", "csv")
    assert changed.exit_code == 4
    assert "trail: entry 1 was changed" in changed.stderr


def test_the_command_refuses_what_makes_no_sense(run_folder, tmp_path):
    assert command(str(run_folder), "--add", "Cem").exit_code == 2
    nothing = command(str(tmp_path), "--log")
    assert "no finished run" in str(nothing.exception)


def test_verify_looks_at_reviews_too(opened, run_folder):
    run, bench, ada, *_ = opened
    bench.keep(MoveCut("1", "CD38:bright", 0.8), who=ada, version=0)
    good = CliRunner().invoke(cytomrd, ["verify", str(run_folder)])
    assert good.exit_code == 0, good.output
    assert f"trail of 1 entries and 0 signatures hold; head {run.trail.head()[1]}" in good.output
    path = bench._versions.path(1) / "mrd.csv"
    path.write_bytes(path.read_bytes() + b" ")
    bad = CliRunner().invoke(cytomrd, ["verify", str(run_folder)])
    assert bad.exit_code == 4
    assert "review of BM: version 1: mrd.csv was changed" in bad.output
