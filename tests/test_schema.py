"""How a result table becomes CSV."""

from __future__ import annotations

import csv
import io

import pytest

from cytomrd.schema import Column, format_cell, table_to_csv

COLUMNS = (Column("id", "text", ""), Column("n", "integer", ""), Column("x", "number", ""), Column("ok", "boolean", ""))


def test_cells():
    assert format_cell(None) == ""
    assert format_cell(1e-5) == "1e-05"
    assert format_cell(1 / 3) == "0.3333333333"
    assert format_cell(True) == "true"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_none_is_refused(value):
    with pytest.raises(ValueError, match="None"):
        table_to_csv(COLUMNS, [{"id": "a", "n": 1, "x": value, "ok": None}])


@pytest.mark.parametrize("text", ["=1+1", "+1", "-A", "@x"])
def test_a_formula_is_text(text):
    rows = list(csv.reader(io.StringIO(table_to_csv(COLUMNS, [{"id": text, "n": -1, "x": -2.5, "ok": False}]))))
    assert rows[1] == ["'" + text, "-1", "-2.5", "false"]


def test_a_row_names_every_column():
    with pytest.raises(KeyError):
        table_to_csv(COLUMNS, [{"id": "a"}])
