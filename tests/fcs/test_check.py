"""Descriptions and quick checks of files."""

from __future__ import annotations

import numpy as np
import pytest
from naive_fcs import float_file

from cytomrd.errors import FcsError
from cytomrd.fcs.check import check_fcs, describe_fcs

VALUES = np.random.default_rng(0).normal(1000, 300, (50, 3)).astype("<f4")


@pytest.fixture
def files(tmp_path):
    contents = {
        "good.fcs": float_file(VALUES, keywords={"SPILL": "2,C1,C2,1,0.1,0,1"}),
        "repaired.fcs": float_file(VALUES, keywords={"$NEXTDATA": " ", "$P1G": "0"}),
        "matrix.fcs": float_file(VALUES, keywords={"SPILL": "2,C1,CX,1,0.1,0,1"}),
        "identity.fcs": float_file(VALUES, keywords={"SPILL": "2,C1,C2,1,0,0,1"}),
        "refused.fcs": float_file(VALUES)[:700],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_each_file_gets_its_verdict(files):
    names = ["good.fcs", "repaired.fcs", "matrix.fcs", "identity.fcs", "refused.fcs", "missing.fcs"]
    checks = check_fcs([files / name for name in names])
    assert [c.status for c in checks] == ["ok", "repaired", "repaired", "ok", "refused", "refused"]
    assert (checks[0].reason, checks[0].findings) == ("", ())
    assert "$NEXTDATA" in checks[1].reason or "$P1G" in checks[1].reason
    assert "(and 1 more)" in checks[1].reason
    assert "'CX'" in checks[2].reason
    assert [f.grade for f in checks[3].findings] == ["note"]
    assert "cut short" in checks[4].reason
    assert "cannot be opened" in checks[5].reason
    assert str(checks[0]).endswith("good.fcs: ok")
    assert all("\n" not in str(c) for c in checks)


def test_strict_refuses_what_is_repaired(files):
    assert [c.status for c in check_fcs([files / "good.fcs", files / "repaired.fcs"], strict=True)] == ["ok", "refused"]


def test_a_description_has_everything_a_person_asks_for(files):
    text = str(describe_fcs(files / "good.fcs"))
    matrix = "2 x 2 (SPILL), condition number 1.11, largest 0.1 from C1 into C2"
    for expected in ("FCS3.1", "50", matrix, "float32", "C3", "600 bytes from byte ", "little endian", "no findings"):
        assert expected in text
    assert "exported compensated" in str(describe_fcs(files / "identity.fcs"))
    assert "'CX' is no detector" in describe_fcs(files / "matrix.fcs").spillover
    with pytest.raises(FcsError):
        describe_fcs(files / "refused.fcs")


def test_the_same_finding_about_many_keywords_is_said_once(tmp_path):
    path = tmp_path / "tube.fcs"
    path.write_bytes(float_file(VALUES, keywords={f"$P{i}E": "@OMIT" for i in (1, 2, 3)}))
    lines = str(describe_fcs(path)).splitlines()
    at = lines.index("findings (3 repaired)")
    told = " ".join(" ".join(lines[at + 1 :]).split())
    assert told.count("repaired: ") == 1
    assert "$P1E" in told
    assert "(also $P2E, $P3E)" in told
    assert max(map(len, lines)) <= 120


def test_hostile_text_cannot_reach_the_terminal(tmp_path):
    path = tmp_path / "\x1b[2Jevil.fcs"
    bad = "\x1b]0;owned\x07\u202e"
    path.write_bytes(float_file(VALUES, keywords={"$CYT": bad, "$P1S": bad, "$P2N": bad, "SPILL": f"1,{bad},1"}))
    cut = tmp_path / "\x1b[31mcut.fcs"
    cut.write_bytes(path.read_bytes().replace(b"|50|", b"|\x1b[|"))
    texts = [str(describe_fcs(path)), *map(str, check_fcs([path, cut]))]
    with pytest.raises(FcsError) as caught:
        describe_fcs(cut)
    for text in (*texts, str(caught.value)):
        assert not any(c in text for c in "\x1b\x07\u202e\x9b"), text


def test_data_sets_are_listed(shared_data):
    text = str(describe_fcs(shared_data / "instruments" / "coulter.lmd", dataset=1))
    assert "1: FCS3.0 at byte 363602, 18110 events, 8 channels (this one)" in text


def test_checking_all_real_files_is_quick_and_true(shared_data):
    paths = sorted((shared_data / "instruments").iterdir())
    status = {c.path.name: c.status for c in check_fcs(paths)}
    assert [n for n, s in status.items() if s == "refused"] == [
        "README.txt",
        "corrupted.fcs",
        "data_start_offset_discrepancy_example.fcs",
        "data_stop_offset_discrepancy_example.fcs",
        "sample_header.fcs",
        "variable_int_example.fcs",
    ]
    assert status["Cytek xP5.fcs"] == "ok"
