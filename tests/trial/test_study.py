"""The study folder: read with units converted, or refused with every problem at once; accepted ones are footnoted."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from plain_study import SUBJECTS, TOML, plain_tables, write_plain_study
from study_mistakes import MISTAKES

from cytomrd.cli.main import cytomrd
from cytomrd.errors import StudyError
from cytomrd.trial.publish import publish_tables
from cytomrd.trial.study import check_study_folder, read_study
from cytomrd.trial.study.columns import TABLES
from cytomrd.trial.table import OUTCOMES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_plain_study(tmp_path_factory.mktemp("plain") / "study")


@pytest.fixture(scope="module")
def study(folder):
    return read_study(folder)


def problems_of(tmp_path, tables, toml=TOML):
    return check_study_folder(write_plain_study(tmp_path / "study", tables, toml))


def test_a_valid_study_has_no_problem(folder, study):
    assert check_study_folder(folder) == ()
    assert study.treated == SUBJECTS and study.footnotes == study.remarks == ()


def test_every_column_of_the_template_is_known(shared_data):
    template = pd.read_csv(shared_data / "clinical" / "templates" / "columns.csv", keep_default_na=False)
    extra = {"vitals": {"VSTESTCD": "VSTESTCD"}}
    for row in template.to_dict("records"):
        for column in row["column"].split("|"):
            known = TABLES[row["table"]].by_name
            assert column in known, (row["table"], column)
            if row["type"] == "enum" and row["table"] not in extra and known[column].values:
                assert set(row["unit_or_values"].replace("1.5e8|3e8|6e8", "").split("|")) <= {*known[column].values, ""}


def test_units_are_converted_and_limits_kept(study):
    def lab(visit, test):
        labs = study.resp_labs
        rows = labs[(labs["USUBJID"] == "S01") & (labs["VISIT"] == visit) & (labs["LBTESTCD"] == test)]
        assert len(rows) == 1
        return rows.iloc[0]

    first = lab("SCREENING", "MCPROT")
    assert (first["LBSTRESN"], first["LBSTRESU"]) == (30.0, "g/L")
    below = lab("D-1", "INTLK6")
    assert (below["BLQ"], below["LBLLOQ"], below["LBSTRESC"]) == (True, 2.0, "<2") and np.isnan(below["LBSTRESN"])
    assert lab("SCREENING", "SIFE")["LBSTRESC"] == "POSITIVE"


@pytest.mark.parametrize(
    ("test", "result", "unit", "expected", "standard"),
    [
        ("MCPROT", "2.5", "g/dL", 25.0, "g/L"),
        ("MCPROT", "25", "g/L", 25.0, "g/L"),
        ("KLCFR", "12", "mg/dL", 120.0, "mg/L"),
        ("MPROTEXR", "0.5", "g/24h", 500.0, "mg/day"),
        ("CREAT", "88.4", "µmol/L", 9.9996312, "mg/L"),
        ("INTLK6", "3", "ng/mL", 3000.0, "ng/L"),
        ("IGG", "900", "mg/dL", 9.0, "g/L"),
    ],
)
def test_units(test, result, unit, expected, standard):
    from cytomrd.trial.study.labs import standard_labs
    from cytomrd.trial.study.problems import Problems

    row = {"LBTESTCD": test, "LBORRES": result, "LBORRESU": unit, "LBNRLO": 1.0, "LBNRHI": np.nan, "row": 2}
    problems = Problems()
    made = standard_labs(pd.DataFrame([row]), problems).iloc[0]
    assert not problems.found
    assert made["LBSTRESN"] == pytest.approx(expected, rel=1e-9) and made["LBSTRESU"] == standard
    assert made["LBSTNRLO"] == pytest.approx(expected / float(result), rel=1e-9)


def test_flow_results_come_with_time_and_hash(study):
    blood = study.flow_car_nk[(study.flow_car_nk["USUBJID"] == "S01") & (study.flow_car_nk["MATRIX"] == "BLOOD")]
    assert list(blood["time_d"].round(9)) == [-0.5, 0.1, 1.0, 3.0, 6.9, 7.2, 8.0, 10.0, 14.0, 21.0, 28.0]
    assert len(study.sources["runs/one/results/car_nk.csv"]) == 64
    assert study.provenance["runs/one"]["outputs"]["car_nk.csv"] == study.sources["runs/one/results/car_nk.csv"]


def test_study_day_has_no_0(study):
    subject = pd.Series(["S01"] * 4)
    start = study.first_infusion["S01"].normalize()
    days = study.study_day(subject, pd.Series([start + pd.Timedelta(days=d) for d in (-1, 0, 7, 28)]))
    assert list(days) == [-1, 1, 8, 29]


assert len(MISTAKES) >= 40


@pytest.mark.parametrize("seed", [7])
@pytest.mark.parametrize("wrong", MISTAKES, ids=lambda m: m.name)
def test_every_mistake_is_named(tmp_path, wrong, seed):
    tables = plain_tables()
    row, value = wrong.make(tables, np.random.default_rng(seed))
    with pytest.raises(StudyError) as caught:
        read_study(write_plain_study(tmp_path / "study", tables))
    found = caught.value.problems
    named = [p for p in found if (p.table, p.row, p.column, p.code) == (wrong.table, row, wrong.column, wrong.code)]
    assert named, "\n".join(map(str, found))
    problem = named[0]
    assert problem.grade == "error" and problem.remedy and value in problem.seen
    text = str(problem)
    assert f"{wrong.table}, row {row}" in text and wrong.column in text and (value in text or value == "")
    assert text in str(caught.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    tables = plain_tables()
    tables["subjects"][0]["WEIGHT_BL"] = -3
    tables["dosing"][2]["EXDOSE"] *= 10
    tables["events"][1]["AETOXGR"] = 9
    with pytest.raises(StudyError, match="3 problems") as caught:
        read_study(write_plain_study(tmp_path / "study", tables))
    assert {p.table for p in caught.value.problems} == {"subjects", "dosing", "events"}


def test_nothing_is_written_from_an_invalid_study(tmp_path):
    tables = plain_tables()
    tables["dosing"][0]["EXDOSE"] *= 10
    folder = write_plain_study(tmp_path / "study", tables)
    before = sorted(folder.iterdir())
    result = CliRunner().invoke(cytomrd, ["tables", str(folder)])
    assert isinstance(result.exception, StudyError) and sorted(folder.iterdir()) == before
    checked = CliRunner().invoke(cytomrd, ["tables", str(folder), "--check"])
    assert checked.exit_code == 3 and "dosing, row 2, EXDOSE" in checked.output and "1 errors" in checked.output


def accepting(problem, reason="weighed twice"):
    return f'{TOML}\n[[accepted]]\nid = "{problem.key}"\nreason = "{reason}"\nby = "A. Reviewer"\n'


def test_an_accepted_problem_is_footnoted(tmp_path):
    tables = plain_tables()
    tables["dosing"][0]["EXDOSE"] *= 1.5
    (problem,) = problems_of(tmp_path, tables)
    study = read_study(write_plain_study(tmp_path / "study", tables, accepting(problem)))
    assert len(study.footnotes) == 1
    assert "weighed twice, A. Reviewer" in study.footnotes[0] and "dosing, row 2, EXDOSE" in study.footnotes[0]


def test_an_acceptance_does_not_outlive_its_value(tmp_path):
    tables = plain_tables()
    tables["dosing"][0]["EXDOSE"] *= 1.5
    (problem,) = problems_of(tmp_path, tables)
    tables["dosing"][0]["EXDOSE"] *= 2
    with pytest.raises(StudyError, match="is no problem of this study"):
        read_study(write_plain_study(tmp_path / "study", tables, accepting(problem)))


def test_an_acceptance_holds_where_the_row_stands_and_not_against_another_level(tmp_path):
    tables = plain_tables()
    tables["dosing"][0]["EXDOSE"] *= 1.5
    (problem,) = problems_of(tmp_path, tables)
    tables["dosing"].reverse()
    assert read_study(write_plain_study(tmp_path / "study", tables, accepting(problem))).footnotes
    tables["subjects"][0]["COHORT"] = 6e8
    with pytest.raises(StudyError, match="is no problem of this study"):
        read_study(write_plain_study(tmp_path / "study", tables, accepting(problem)))


def test_what_has_no_value_cannot_be_accepted(tmp_path):
    tables = plain_tables()
    tables["dosing"][0]["EXDOSE"] = "a lot"
    problem = problems_of(tmp_path, tables)[0]
    assert not problem.acceptable
    with pytest.raises(StudyError, match="a lot"):
        read_study(write_plain_study(tmp_path / "study", tables, accepting(problem)))


def test_warnings_do_not_refuse_and_are_remarked(tmp_path):
    tables = plain_tables()
    tables["marrow"][0]["FIRST_PULL"] = "N"
    study = read_study(write_plain_study(tmp_path / "study", tables))
    assert len(study.remarks) == 1 and "not the first pull" in study.remarks[0]


def test_the_folder_itself(tmp_path):
    with pytest.raises(StudyError, match="not a folder"):
        read_study(tmp_path / "nowhere")
    folder = write_plain_study(tmp_path / "study")
    (folder / "event.csv").write_text("USUBJID\n")
    (folder / "therapy.csv").unlink()
    text = (folder / "vitals.csv").read_text()
    (folder / "vitals.csv").write_text(text.replace("VSORRESU", "UNIT", 1))
    (folder / "cbc.csv").write_text("")
    found = check_study_folder(folder)
    assert "SAMPLEID, WBC" in next(p.remedy for p in found if p.table == "cbc")
    codes = {(p.table, p.code) for p in found}
    assert {("event.csv", "UNKNOWN_TABLE"), ("therapy", "MISSING_TABLE"), ("vitals", "UNKNOWN_COLUMN")} <= codes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('runs = ["../other"]', "not inside the study folder"),
        ('runs = ["runs/two"]', "no finished results"),
        ("unknown = 1", "unknown"),
        ("dose_levels = []", "dose_levels"),
    ],
)
def test_study_toml(tmp_path, line, said):
    name = line.partition(" ")[0]
    kept = [x for x in TOML.splitlines() if not x.startswith(name)]
    with pytest.raises(StudyError, match=said):
        read_study(write_plain_study(tmp_path / "study", toml="\n".join([*kept, line])))


def test_results_that_were_edited_are_refused(tmp_path):
    folder = write_plain_study(tmp_path / "study")
    path = folder / "runs" / "one" / "results" / "car_nk.csv"
    path.write_text(path.read_text().replace("BELOW_LOD", "QUANTIFIED", 1))
    with pytest.raises(StudyError, match="not the file that the run wrote"):
        read_study(folder)


def test_a_result_of_a_sample_that_the_study_does_not_know(tmp_path):
    tables = plain_tables()
    removed = tables["samples"].pop()
    found = problems_of(tmp_path, tables)
    assert {p.code for p in found} == {"UNKNOWN_SAMPLE"} and removed["SAMPLEID"] in found[0].seen
    assert {p.table for p in found} == {"runs/one/results/car_nk.csv", "runs/one/results/mrd.csv"}


def test_a_rejected_sample_stays_out(tmp_path):
    tables = plain_tables()
    row = next(r for r in tables["samples"] if r["SAMPLEID"] == "S01-PB-8")
    row |= {"STATUS": "REJECTED", "REASON": "clotted"}
    study = read_study(write_plain_study(tmp_path / "study", tables))
    assert "S01-PB-8" not in set(study.flow_car_nk["sample_id"])
    assert any("clotted" in text for text in study.remarks)


def test_tables_are_written_whole_and_the_same_again(tmp_path):
    tables = plain_tables()
    tables["events"].append(
        {"USUBJID": "S01", "AEDECOD": "=1+1", "AESTDTC": "2026-02-01", "AEENDTC": "", "AETOXGR": 1, "AEREL": "N",
         "AESER": "N", "DLTFL": "N"}
    )  # fmt: skip
    folder = write_plain_study(tmp_path / "study", tables)
    result = CliRunner().invoke(cytomrd, ["tables", str(folder)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    out = folder / "tables"
    first = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert b"'=1+1" in first[next(p for p in first if p.name == "s8_adverse_event_listing.csv")]
    known = json.loads((out / "provenance.json").read_text())
    assert set(known["outputs"]) == {p.as_posix() for p in first} - {"provenance.json"}
    assert known["inputs"]["dosing.csv"] and known["runs"]["runs/one"]
    assert "<script" not in (out / "tables.html").read_text()
    CliRunner().invoke(cytomrd, ["tables", str(folder)], catch_exceptions=False)
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()} == first
    assert not [p for p in folder.iterdir() if p.name.startswith(".tables-")]


def test_a_folder_that_is_not_of_tables_is_not_replaced(tmp_path):
    folder = write_plain_study(tmp_path / "study")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = CliRunner().invoke(cytomrd, ["tables", str(folder), "-o", str(tmp_path / "mine")])
    assert "thesis.txt" in str(result.exception) and (tmp_path / "mine" / "thesis.txt").exists()
    results = folder / "runs" / "one" / "results"
    result = CliRunner().invoke(cytomrd, ["tables", str(folder), "-o", str(results)])
    assert "other results" in str(result.exception) and (results / "car_nk.csv").exists()


def test_a_row_cut_short_lacks_what_it_lacks(tmp_path):
    folder = write_plain_study(tmp_path / "study")
    lines = (folder / "imaging.csv").read_text().splitlines()
    lines[3] = ",".join(lines[3].split(",")[:4])
    (folder / "imaging.csv").write_text("\n".join(lines) + "\n")
    found = check_study_folder(folder)
    assert [(p.table, p.row, p.column, p.code) for p in found] == [("imaging", 4, "NEW_LESION", "EMPTY")]


def with_headers_alone(tmp_path, *names):
    folder = write_plain_study(tmp_path / "study", toml=TOML.replace('"runs/one"', ""))
    for name in names:
        (folder / f"{name}.csv").write_text(",".join(TABLES[name].by_name) + "\n")
    return folder


def test_a_study_where_nobody_was_treated_yet_has_its_tables(tmp_path):
    empty = [name for name, table in TABLES.items() if table.required and name != "subjects"]
    folder = with_headers_alone(tmp_path, *empty)
    study, made = publish_tables(folder, folder / "tables")
    assert study.treated == () and {m.outcome.number for m in made} == {o.number for o in OUTCOMES}


def test_a_study_without_subjects_is_refused(tmp_path):
    folder = with_headers_alone(tmp_path, *(name for name, table in TABLES.items() if table.required))
    assert [(p.table, p.code) for p in check_study_folder(folder)] == [("subjects", "NO_SUBJECT")]


def test_a_sample_not_done_needs_no_time(tmp_path):
    tables = plain_tables()
    row = next(r for r in tables["samples"] if r["SAMPLEID"] == "S01-PB-8")
    tables["samples"].append(row | {"SAMPLEID": "S01-PB-35", "COLLDTC": "", "ACQDTC": "", "STATUS": "NOT DONE",
                                    "REASON": "no vein"})  # fmt: skip
    assert problems_of(tmp_path, tables) == ()
    tables["samples"][-1] |= {"STATUS": "REJECTED"}
    assert [p.code for p in problems_of(tmp_path, tables)] == ["EMPTY"]


GARBAGE = ("", "x", "-1", "1e400", "NaN", "2026-13-45", "9999-12-31", "Y", "=1+1", "<", "<-1", ";", '"', "1,5", "inf",
           "2026-01-05T10:00+02:00", "é" * 50)  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_garbage_in_any_cell_is_told_and_never_a_crash(tmp_path, seed):
    """A date that could not be read once crashed the search for rows of one day."""
    rng = np.random.default_rng(seed)
    tables = plain_tables()
    for _ in range(80):
        rows = tables[str(rng.choice([name for name, rows in tables.items() if rows]))]
        row = rows[int(rng.integers(len(rows)))]
        row[str(rng.choice(list(row)))] = str(rng.choice(GARBAGE))
    assert all(p.what and p.remedy for p in problems_of(tmp_path, tables))
