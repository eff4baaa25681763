"""Tables of the page and their CSV."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report.factory import batch, mrd_sample

from cytomrd.report.tables import (
    DECISION_COLUMNS,
    csv_text,
    decision_rows,
    decision_table,
    neutral,
    population_table,
    provenance_table,
    qc_table,
)


@settings(deadline=None)
@given(st.text())
def test_no_text_begins_like_a_formula(text):
    assert neutral(text)[:1] not in ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_formulas_are_neutralised(text):
    assert neutral(text).startswith("'")


def test_numbers_stay_numbers():
    assert csv_text(["a", "b", "c", "d"], [[-1.5, -3, None, float("nan")]]) == "a,b,c,d\n-1.5,-3,,\n"


def test_quotes_and_line_feeds_survive():
    read = list(csv.reader(io.StringIO(csv_text(["a"], [['x "y", z\nw']]))))
    assert read == [["a"], ['x "y", z\nw']]


def test_cuts_are_in_scale_units():
    sample = mrd_sample()
    row = dict(zip(DECISION_COLUMNS, next(iter(decision_rows(sample))), strict=True))
    axis = sample.files[0].axes[row["marker"]]
    assert row["value"] == pytest.approx(float(axis.transform.inverse(0.44)))
    assert row["low"] < row["value"] < row["high"]
    cells = decision_table(sample.files[0]).rows[0]
    assert cells[2] == "871"
    assert cells[5] == "lowest density between two peaks"


def test_population_counts_with_their_base():
    rows = population_table(mrd_sample().files[0]).rows
    assert rows[1][0].strip() == "nucleated"
    assert rows[1][3] == "100%"


def test_qc_has_a_row_for_each_file_also_for_failed_samples():
    run = batch()
    table = qc_table(run.samples)
    assert len(table.rows) == sum(len(s.rows) for s in run.samples)
    assert any(row[3] == "failed" for row in table.rows)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_provenance_is_flat_and_whole():
    rows = dict(provenance_table(batch()).rows)
    assert rows["panels · euroflow-mm-mrd · version"] == "1.0.0"
    assert "ab" * 32 in rows["inputs 1"]
    assert rows["settings · spillover"] == "–"
