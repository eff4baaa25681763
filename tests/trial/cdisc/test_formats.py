"""Dataset-JSON, XPT and Define-XML: what is written is what was given, and what must not be written is refused."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import StudyError
from cytomrd.trial.cdisc.checks import check_dataset, dataset_problems
from cytomrd.trial.cdisc.dataset_json import dataset_json_problems, read_dataset_json, write_dataset_json
from cytomrd.trial.cdisc.define import read_define, write_define
from cytomrd.trial.cdisc.model import CdiscDataset, Variable, dataset
from cytomrd.trial.cdisc.terms import codelists
from cytomrd.trial.cdisc.xpt import read_xpt, write_xpt

CREATED = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SHAPE = CdiscDataset("PP", "Pharmacokinetics Parameters", "SDTM", "FINDINGS", "One record per parameter", (
    Variable("STUDYID", "Study Identifier", key=1, required=True),
    Variable("USUBJID", "Unique Subject Identifier", key=2, required=True),
    Variable("PPSEQ", "Sequence Number", "integer", key=3),
    Variable("PPTESTCD", "Parameter Short Name", codelist="PKPARMCD"),
    Variable("PPSTRESN", "Numeric Result", "float", origin="Derived", comment="by the rule"),
    Variable("PPDTC", "Date/Time", "iso"),
    Variable("ADT", "Analysis Date", "date"),
    Variable("OWN", "A list of our own", terms=("A", "B")),
))  # fmt: skip
GOOD = {"STUDYID": "S", "USUBJID": "S-1", "PPSEQ": 1, "PPTESTCD": "CMAX", "PPSTRESN": 12.5,
        "PPDTC": "2026-03-02T08:30", "ADT": date(2026, 3, 2), "OWN": "A"}  # fmt: skip


def made(**changes) -> CdiscDataset:
    return dataset(SHAPE, [GOOD | changes])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"USUBJID": None}, "USUBJID: is missing"),
        ({"USUBJID": "x" * 201}, "text of 201 characters; 200"),
        ({"USUBJID": "Müller"}, "printable ASCII"),
        ({"USUBJID": "S-1 "}, "ends in blanks"),
        ({"USUBJID": "S\n1"}, "printable ASCII"),
        ({"PPSEQ": 1.5}, "is not a whole number"),
        ({"PPSEQ": 2**60}, "beyond 2\\^53"),
        ({"PPSEQ": "1"}, "is not a number"),
        ({"PPSTRESN": float("nan")}, "not finite"),
        ({"PPSTRESN": 1e80}, "out of range"),
        ({"PPSTRESN": 1e-90}, "out of range"),
        ({"PPTESTCD": "CMAXX"}, "not in codelist PKPARMCD"),
        ({"PPDTC": "02MAR2026"}, "ISO 8601"),
        ({"ADT": "2026-03-02"}, "is not a date"),
        ({"OWN": "C"}, "not one of A, B"),
    ],
)
def test_a_bad_cell_is_refused_with_its_place(changes, words, tmp_path):
    with pytest.raises(StudyError, match=words) as caught:
        check_dataset(made(**changes))
    assert "PP row 1" in str(caught.value)
    for write in (
        lambda: write_xpt(made(**changes), tmp_path / "pp.xpt", created=CREATED),
        lambda: write_dataset_json(made(**changes), tmp_path / "pp.json", study_id="S", created=CREATED),
    ):
        with pytest.raises(StudyError):
            write()
    assert not list(tmp_path.iterdir())


def test_bad_shapes_are_refused():
    variables = (Variable("TOOLONGNAME", "A"), Variable("A", "x" * 41), Variable("B", "é"), Variable("A", "again"))
    problems = "\n".join(dataset_problems(CdiscDataset("PPPPPPPPP", "L", "SDTM", "FINDINGS", "One", variables)))
    for words in ("'PPPPPPPPP'", "'TOOLONGNAME'", "41 characters", "'é'", "'A' stands twice"):
        assert words in problems


def test_a_key_that_repeats_and_a_row_of_another_length():
    assert any("repeats the key of row 1" in p for p in dataset_problems(dataset(SHAPE, [GOOD, GOOD])))
    short = CdiscDataset(SHAPE.name, SHAPE.label, "SDTM", "FINDINGS", "One", SHAPE.variables, (("S", "S-1"),))
    assert any("2 values for 8 variables" in p for p in dataset_problems(short))


def test_a_codelist_that_may_not_be_extended():
    yes_no = Variable("DTHFL", "Death", codelist="NY", terms=("MAYBE",))
    data = CdiscDataset("DM", "Demographics", "SDTM", "SPECIAL PURPOSE", "One", (yes_no,), (("MAYBE",),))
    assert any("may not be extended" in p for p in dataset_problems(data))
    assert not codelists()["NY"].extensible and codelists()["LBTESTCD"].extensible


CELL = st.one_of(st.none(), st.floats(-1e70, 1e70).filter(lambda v: v == 0 or abs(v) > 1e-70))
TEXT = st.one_of(st.none(), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=200))


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.tuples(CELL, TEXT, st.one_of(st.none(), st.dates(date(1700, 1, 1), date(2200, 1, 1)))), min_size=1)
)
def test_xpt_gives_back_what_was_written(rows, tmp_path_factory):
    shape = CdiscDataset("XX", "Anything", "ADaM", "BASIC DATA STRUCTURE", "One", (
        Variable("N", "Number", "float"), Variable("T", "Text"), Variable("D", "Date", "date"),
        Variable("SEQ", "Place", "integer", key=1),
    ))  # fmt: skip
    data = dataset(shape, [{"N": n, "T": t, "D": d, "SEQ": i} for i, (n, t, d) in enumerate(rows)])
    path = write_xpt(data, tmp_path_factory.mktemp("xpt") / "xx.xpt", created=CREATED)
    columns, labels = read_xpt(path)
    assert [list(data.column(name)) for name in ("N", "T", "D", "SEQ")] == list(columns.values())
    assert labels["N"] == "Number"


def test_the_same_data_and_time_give_the_same_bytes(tmp_path):
    a = write_xpt(made(), tmp_path / "a.xpt", created=CREATED).read_bytes()
    assert a == write_xpt(made(), tmp_path / "b.xpt", created=CREATED).read_bytes()
    assert b"02MAR26:08:30:00" in a


def test_dataset_json_reads_again_and_fits_the_schema(tmp_path, shared_data):
    import jsonschema

    data = dataset(SHAPE, [GOOD, GOOD | {"USUBJID": 'a],[b"', "PPSTRESN": None, "ADT": None}])
    path = write_dataset_json(data, tmp_path / "pp.json", study_id="S", created=CREATED)
    content = read_dataset_json(path)
    jsonschema.validate(content, json.loads((shared_data / "clinical/cdisc/dataset.schema.json").read_text()))
    assert content["records"] == 2
    assert content["rows"][1][1] == 'a],[b"'
    assert [c["dataType"] for c in content["columns"]] == [
        "string", "string", "integer", "string", "double", "datetime", "date", "string",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["rows"][0].append(1), "9 cells for 8 columns"),
        (lambda c: c["rows"][0].__setitem__(2, "1"), "not of type integer"),
        (lambda c: c["rows"][0].__setitem__(2, True), "not of type integer"),
        (lambda c: c["rows"][0].__setitem__(6, "02MAR2026"), "not of type date"),
        (lambda c: c["rows"].append(c["rows"][0]), "records is 1, but there are 2 rows"),
    ],
)
def test_what_the_schema_lets_pass_is_found(tmp_path, change, words):
    path = write_dataset_json(made(), tmp_path / "pp.json", study_id="S", created=CREATED)
    content = json.loads(path.read_text())
    change(content)
    assert any(words in p for p in dataset_json_problems(content))
    path.write_text(json.dumps(content))
    with pytest.raises(StudyError, match=words):
        read_dataset_json(path)


def test_define_loads_and_fits_its_schema(tmp_path):
    import xmlschema
    from odmlib.schema_manager import get_schema_path

    path = write_define([made()], tmp_path / "define.xml", study_id="S", description="a study", created=CREATED)
    assert not list(xmlschema.XMLSchema(get_schema_path("define", "2.1")).iter_errors(str(path)))
    version = read_define(path)
    assert [g.Name for g in version.ItemGroupDef] == ["PP"]
    assert [i.Name for i in version.ItemDef] == [v.name for v in SHAPE.variables]
    cmax = version.CodeList[0].EnumeratedItem[0]
    assert (cmax.CodedValue, cmax.Alias[0].Name) == ("CMAX", "C70918")
    assert "by the rule" in version.MethodDef[0].Description.TranslatedText[0]._content


def test_define_holds_one_model(tmp_path):
    other = CdiscDataset("ADPP", "Parameters", "ADaM", "BASIC DATA STRUCTURE", "One", SHAPE.variables)
    with pytest.raises(StudyError, match="one model"):
        write_define([made(), other], tmp_path / "define.xml", study_id="S", description="a study", created=CREATED)
