"""The workbook: text is text, missing is empty, bytes are the same."""

from __future__ import annotations

import zipfile
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from cytomrd.errors import RunError
from cytomrd.report.workbook import write_workbook

NAMESPACE = {"m": "http://schemas.openxmlformats.org/spreadsheetml/2006/main"}


def sheet_cells(path, sheet=1) -> dict[str, tuple[str, str]]:
    """Cell reference to (type, text) of one sheet, shared strings resolved."""
    with zipfile.ZipFile(path) as book:
        strings = ElementTree.fromstring(book.read("xl/sharedStrings.xml"))  # noqa: S314 (our own file)
        shared = [
            "".join(t.text or "" for t in si.iterfind(".//m:t", NAMESPACE))
            for si in strings.iterfind("m:si", NAMESPACE)
        ]
        tree = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{sheet}.xml"))  # noqa: S314 (our own file)
    assert not list(tree.iter(f"{{{NAMESPACE['m']}}}f")), "a formula"
    found = {}
    for cell in tree.iterfind(".//m:c", NAMESPACE):
        value = cell.find("m:v", NAMESPACE)
        if value is not None:
            kind = cell.get("t", "n")
            found[cell.get("r")] = (kind, shared[int(value.text)] if kind == "s" else value.text)
    return found


def test_formulas_and_links_stay_text(tmp_path):
    path = tmp_path / "results.xlsx"
    hostile = ["=1+1", "+1", "@SUM(A1)", "http://example.org", "12", "\x1b[31m\u202e", "<b>&"]
    write_workbook({"mrd": (["a"], [[h] for h in hostile])}, path)
    cells = sheet_cells(path)
    assert [cells[f"A{i}"] for i in (2, 3, 4, 5, 6)] == [("s", h) for h in hostile[:5]]
    assert cells["A7"] == ("s", "␛[31m⟨U+202E⟩")
    assert cells["A8"] == ("s", "<b>&")


def test_values_keep_their_kind_and_missing_is_empty(tmp_path):
    path = tmp_path / "results.xlsx"
    row = [
        1.5e-6,
        31,
        True,
        None,
        float("nan"),
        float("inf"),
        np.float32(0.5),
        np.int64(7),
        ("a", "b"),
        2**60,
        np.bool_(False),
    ]
    write_workbook({"t": ([f"c{i}" for i in range(len(row))], [row])}, path)
    cells = sheet_cells(path)
    assert float(cells["A2"][1]) == 1.5e-6
    assert cells["B2"] == ("n", "31")
    assert cells["C2"] == ("b", "1")
    assert not {"D2", "E2", "F2"} & set(cells)
    assert cells["G2"] == ("n", "0.5")
    assert cells["H2"] == ("n", "7")
    assert cells["I2"] == ("s", "a; b")
    assert cells["J2"] == ("s", str(2**60))
    assert cells["K2"] == ("b", "0")


def test_data_frames_and_rows_by_name(tmp_path):
    frame = pd.DataFrame({"sample_id": ["S1", None], "n": pd.array([1, None], dtype="Int64"), "x": [0.5, np.nan]})
    write_workbook({"frame": frame, "rows": (["a", "b"], [{"b": 2, "a": 1}])}, tmp_path / "r.xlsx")
    assert set(sheet_cells(tmp_path / "r.xlsx")) == {"A1", "B1", "C1", "A2", "B2", "C2"}
    assert sheet_cells(tmp_path / "r.xlsx", 2)["A2"] == ("n", "1")


def test_the_same_tables_give_the_same_bytes(tmp_path):
    tables = {"mrd": (["a", "b"], [["x", 1.0], ["y", None]])}
    write_workbook(tables, tmp_path / "one.xlsx")
    write_workbook(tables, tmp_path / "two.xlsx")
    assert (tmp_path / "one.xlsx").read_bytes() == (tmp_path / "two.xlsx").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.xlsx") as book:
        assert {entry.date_time for entry in book.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"2000-01-01T00:00:00Z" in book.read("docProps/core.xml")


def test_a_failed_write_leaves_nothing_and_keeps_the_old(tmp_path):
    path = tmp_path / "results.xlsx"
    write_workbook({"a": (["x"], [[1]])}, path)
    before = path.read_bytes()
    with pytest.raises(RunError, match="two sheets"):
        write_workbook({"a": (["x"], [[1]]), "A": (["x"], [[1]])}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.xlsx"]


def test_a_table_larger_than_a_sheet_is_refused(tmp_path):
    with pytest.raises(RunError, match="CSV"):
        write_workbook({"a": ([f"c{i}" for i in range(16_385)], [])}, tmp_path / "r.xlsx")


def test_odd_sheet_names_and_long_text(tmp_path):
    write_workbook({"a/b:[c]" + "x" * 40: (["x"], [["y" * 40_000]])}, tmp_path / "r.xlsx")
    assert sheet_cells(tmp_path / "r.xlsx")["A2"][1].endswith("(cut off)")
