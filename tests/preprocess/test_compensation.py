"""Spillover matrices from keywords and CSV files."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.errors import CompensationError
from cytomrd.preprocess.compensation import Spillover, parse_spillover, read_spillover_csv, spillover_of_keywords

GOOD = "2,FITC-A,PE-A,1,0.1,2e-2,1"


def test_a_keyword_is_read_by_row():
    spillover = parse_spillover(GOOD, "SPILL")
    assert spillover.detectors == ("FITC-A", "PE-A")
    assert spillover.source == "SPILL"
    np.testing.assert_array_equal(spillover.matrix, [[1, 0.1], [0.02, 1]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "2",
        "two,A,B,1,0,0,1",
        "-2,A,B,1,0,0,1",
        "2,A,B,1,0,0",
        "2,A,B,1,0,0,1,0",
        "1000000,A,B,1,0,0,1",
        "2,A,B,1,abc,0,1",
        "2,A,B,1,nan,0,1",
        "2,A,B,1,1e999,0,1",
        "2,A,B,1,1_0,0,1",
        "2,A,A,1,0,0,1",
        "2,A,B,1,1,1,1",
        "2,A,B,0,0,0,0",
    ],
)
def test_what_is_no_matrix_is_refused(text):
    with pytest.raises(CompensationError, match="spillover matrix"):
        parse_spillover(text)


def test_no_keyword_is_no_matrix():
    assert spillover_of_keywords({"$CYT": "x", "SPILL": " "}, ["FITC-A"]) is None


@pytest.mark.parametrize("key", ["$SPILLOVER", "SPILL", "SPILLOVER", "$COMP"])
def test_each_keyword_is_found(key):
    assert spillover_of_keywords({key: GOOD}, ["FITC-A", "PE-A", "Time"]).source == key


@pytest.mark.parametrize("detectors", [["FITC-A"], ["fitc-a", "PE-A"], ["FITC-A ", "PE-A"], ["Comp-FITC-A", "PE-A"]])
def test_names_must_match_letter_by_letter(detectors):
    with pytest.raises(CompensationError, match="letter by letter"):
        spillover_of_keywords({"SPILL": GOOD}, detectors)


def test_a_compensated_export_is_told():
    with pytest.raises(CompensationError, match="exported compensated"):
        spillover_of_keywords({"SPILL": GOOD}, ["Comp-FITC-A", "Comp-PE-A"])


def test_two_keywords_must_agree():
    detectors = ["FITC-A", "PE-A"]
    assert spillover_of_keywords({"SPILL": GOOD, "$SPILLOVER": GOOD}, detectors).source == "$SPILLOVER"
    with pytest.raises(CompensationError, match="differ"):
        spillover_of_keywords({"SPILL": GOOD, "$SPILLOVER": "2,FITC-A,PE-A,1,0,0,1"}, detectors)


def test_parameter_numbers_stand_for_detectors():
    spillover = spillover_of_keywords({"$SPILLOVER": "2,3,2,1,0.1,0,1"}, ["FSC", "FL1", "FL2"])
    assert spillover.detectors == ("FL2", "FL1")
    with pytest.raises(CompensationError):
        spillover_of_keywords({"$SPILLOVER": "2,3,9,1,0.1,0,1"}, ["FSC", "FL1", "FL2"])


@pytest.mark.parametrize(
    "text",
    [
        "FITC-A,PE-A\n1,0.1\n0.02,1\n",
        ",FITC-A,PE-A\nFITC-A,1,0.1\nPE-A,0.02,1\n",
        '\ufeff"","FITC-A","PE-A"\r\n"FITC-A",1,0.1\r\n"PE-A",0.02,1\r\n\r\n',
        "FITC-A,PE-A\nFITC-A,1,0.1\nPE-A,0.02,1\n",
    ],
)
def test_csv_with_and_without_row_names(tmp_path, text):
    path = tmp_path / "matrix.csv"
    path.write_text(text, encoding="utf-8")
    spillover = read_spillover_csv(path)
    assert spillover.detectors == ("FITC-A", "PE-A")
    assert spillover.source == "matrix.csv"
    np.testing.assert_array_equal(spillover.matrix, [[1, 0.1], [0.02, 1]])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FITC-A,PE-A\n",
        "FITC-A,PE-A\n1,0.1\n",
        "FITC-A,PE-A\n1,0.1\n0.02\n",
        ",FITC-A,PE-A\nPE-A,0.02,1\nFITC-A,1,0.1\n",
        "FITC-A,PE-A\n1,x\n0.02,1\n",
        "FITC-A,FITC-A\n1,0\n0,1\n",
    ],
)
def test_csv_that_does_not_fit_is_refused(tmp_path, text):
    path = tmp_path / "matrix.csv"
    path.write_text(text)
    with pytest.raises(CompensationError):
        read_spillover_csv(path)


def test_csv_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    for path in (tmp_path, tmp_path / "missing.csv", tmp_path / "binary.csv"):
        with pytest.raises(CompensationError):
            read_spillover_csv(path)


def test_the_matrix_cannot_be_changed_behind_the_back():
    spillover = Spillover(("A", "B"), np.array([[1, 0.5], [0, 1]]))
    with pytest.raises(ValueError, match="read-only"):
        spillover.matrix[0, 1] = 0
    np.testing.assert_allclose(spillover.matrix @ spillover.inverse, np.eye(2))


def test_the_reference_matrix_of_real_tubes(shared_data):
    folder = shared_data / "compensation-lsrii"
    spillover = read_spillover_csv(folder / "Compensation-Spillover-Matrix.csv")
    assert len(spillover.detectors) == 11
    assert spillover.matrix[0, 1] == 0.180901
    assert spillover.condition_number < 10
