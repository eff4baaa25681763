"""A run whose names are hostile, through the command: text in page, workbook, tables, log and terminal."""

from __future__ import annotations

import csv
import html
import json
import zipfile

import pytest
from click.testing import CliRunner
from runs import COLUMNS

from cytomrd.cli.main import cytomrd

SAMPLE = "=1+1 [bold]漢字 مريض $x{$"
SUBJECT = "@SUM(A1) [/bold]{{7*7}} $\\frac{$ µ"
VISIT = "<script>alert(1)</script>\u202e" + "x" * 280


@pytest.fixture(scope="module")
def hostile_run(small_run, tmp_path_factory):
    """One blood file with its control under hostile names: (results, stdout, stderr)."""
    folder = tmp_path_factory.mktemp("hostile") / "run"
    folder.mkdir()
    with (small_run[0] / "samplesheet.csv").open(newline="") as file:
        rows = {r["file"]: r for r in csv.DictReader(file)}
    chosen = []
    for name, sample in (("PB-1.fcs", "漢" * 100), ("PB1.fcs", SAMPLE)):
        (folder / name).write_bytes((small_run[0] / name).read_bytes())
        chosen.append(rows[name] | {"sample_id": sample, "subject_id": SUBJECT, "visit": VISIT})
    with (folder / "samplesheet.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(chosen)
    result = CliRunner().invoke(cytomrd, ["gate", str(folder), "-v"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return folder / "results", result.stdout, result.stderr


def test_names_are_text_on_the_page(hostile_run):
    page = (hostile_run[0] / "report.html").read_text("utf-8")
    assert html.escape(SAMPLE, quote=False) in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩xxx" in page
    assert page.count("<script") == 1
    assert "\u202e" not in page


def test_names_are_text_in_tables_and_workbook(hostile_run):
    with (hostile_run[0] / "car_nk.csv").open(newline="", encoding="utf-8") as file:
        row = list(csv.DictReader(file))[1]
    assert row["sample_id"] == "'" + SAMPLE
    assert row["subject_id"] == "'" + SUBJECT
    with zipfile.ZipFile(hostile_run[0] / "results.xlsx") as book:
        sheets = [book.read(n).decode() for n in book.namelist() if n.startswith("xl/worksheets/sheet")]
        strings = book.read("xl/sharedStrings.xml").decode()
    assert all("<f>" not in sheet for sheet in sheets), "no formula"
    assert html.escape(SAMPLE, quote=False) in strings


def test_names_are_text_on_the_terminal_and_in_the_log(hostile_run):
    _, out, err = hostile_run
    assert SAMPLE in out
    assert SAMPLE in err
    for text in (out, err):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_each_sample_has_its_folder(hostile_run):
    folders = sorted(p.name for p in (hostile_run[0] / "samples").iterdir())
    assert len(folders) == 2
    known = json.loads((hostile_run[0] / "provenance.json").read_text("utf-8"))
    assert {i["sample_id"] for i in known["inputs"]} == {SAMPLE, "漢" * 100}
