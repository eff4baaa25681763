"""From a study folder to response, MRD and survival tables."""

from __future__ import annotations

import csv

import pytest
from plain_study import TOML, date, plain_tables, write_plain_study

from cytomrd.errors import StudyError
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.trial.groups import rate_cells
from cytomrd.trial.response.from_study import study_responses
from cytomrd.trial.study import read_study
from cytomrd.trial.study_endpoints import study_endpoints
from cytomrd.trial.table import OUTCOMES, outcome_tables

MINE = ("K", "S6", "S7", "S9", "S10", "S11", "S14")


class Folder:
    """A study that a test edits before it reads it."""

    def __init__(self, path):
        self.path, self.tables, self.toml = path, plain_tables(), TOML

    def lab(self, subject, visit, when, **results):
        """Add results: test code = (value, unit)."""
        for code, (value, unit) in results.items():
            specimen = "URINE" if code in ("MPROTEXR", "UIFE") else "SERUM"
            self.tables["resp_labs"].append(
                {"USUBJID": subject, "VISIT": visit, "LBDTC": when, "LBTESTCD": code, "LBORRES": value,
                 "LBORRESU": unit, "LBSPEC": specimen}
            )  # fmt: skip

    def rows(self, table, subject, **cells):
        """Rows of a subject with these cells."""
        return [r for r in self.tables[table] if r["USUBJID"] == subject and all(r[k] == v for k, v in cells.items())]

    def study(self):
        return read_study(write_plain_study(self.path, self.tables, self.toml))

    def response(self, subject):
        return next(who for who in study_responses(self.study()) if who.subject == subject)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path / "study")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return read_study(write_plain_study(tmp_path_factory.mktemp("plain") / "study"))


def tables_of(study, number):
    outcome = next(o for o in OUTCOMES if o.number == number)
    return {table.id: table for table in outcome_tables(outcome, study)}


def test_each_subject_s_course(plain):
    for who in study_responses(plain):
        assert who.response.levels == ("PR", "VGPR")
        assert who.response.best_response == "PR"
        assert who.assessments[0].bm == 10
        assert who.baseline.serum == pytest.approx(30)


def test_labs_of_a_visit_within_a_week_are_one_assessment(folder):
    folder.lab("S01", "D28", date(0, 30), UIFE=("NEGATIVE", ""))
    folder.lab("S01", "D56", date(0, 70), UIFE=("POSITIVE", ""))
    who = folder.response("S01")
    assert [(a.visit, a.uife) for a in who.assessments] == [("D28", "NEG"), ("D56", None), ("D56", "POS")]
    assert who.response.levels == ("PR", "VGPR", "NE"), "urine immunofixation alone judges nothing"


def test_of_two_results_on_one_day_the_one_that_is_no_error_counts(folder):
    for row in folder.rows("resp_labs", "S01", VISIT="D56", LBTESTCD="MCPROT"):
        row["SPURIOUS"] = "Y"
    folder.lab("S01", "D56", date(0, 56), MCPROT=(12, "g/L"))
    assert folder.response("S01").response.levels == ("PR", "PR")


def test_a_spurious_low_value_sets_no_nadir(folder):
    folder.lab("S01", "D70", date(0, 70), MCPROT=(6.6, "g/L"), MPROTEXR=(0, "mg/day"))
    assert folder.response("S01").response.levels[2] == "PD"
    for row in folder.rows("resp_labs", "S01", VISIT="D56", LBTESTCD="MCPROT"):
        row["SPURIOUS"] = "Y"
    assert folder.response("S01").response.levels[2] == "PR"


def test_light_chain_below_its_limit_makes_no_response(folder):
    for row in folder.rows("resp_labs", "S06", LBTESTCD="MCPROT"):
        row.update(LBORRES="<0.1")
    for row in folder.rows("resp_labs", "S06", VISIT="D56", LBTESTCD="KLCFR"):
        row.update(LBORRES="<150")
    who = folder.response("S06")
    assert who.response.measurable == ("flc",)
    assert (who.baseline.serum, who.assessments[1].iflc) == (0, 150)
    assert who.response.levels == ("PR", "SD")


def test_the_range_of_the_ratio_is_the_laboratory_s_where_given(folder):
    for row in folder.rows("resp_labs", "S01", VISIT="D56", LBTESTCD="KLCFR"):
        row.update(LBORRES=29)
    for row in folder.rows("resp_labs", "S01", VISIT="D56", LBTESTCD="KLCLLCFR"):
        row.update(LBNRLO=0.37, LBNRHI=3.1, LBORRES=2.9)
    assert folder.response("S01").assessments[1].ratio_normal is True


def test_a_new_lesion_keeps_its_date(folder):
    folder.tables["imaging"].append(
        {"USUBJID": "S01", "VISIT": "D56", "IMDTC": date(0, 60), "MODALITY": "CT", "SPD_MM2": "", "NEW_LESION": "Y"}
    )
    who = folder.response("S01")
    assert who.response.pd_date.isoformat() == date(0, 60)
    assert who.response.best_response == "PR"


def test_marrow_without_an_assessment_near_stands_alone(folder):
    folder.tables["marrow"].append(
        {"USUBJID": "S01", "VISIT": "UNPLANNED", "BMDTC": date(0, 75), "PC_PCT": 3, "PC_METHOD": "ASPIRATE"}
    )
    who = folder.response("S01")
    assert [(a.visit, a.bm) for a in who.assessments] == [("D28", 10), ("D56", None), ("UNPLANNED", 3)]
    assert who.response.levels[2] == "NE"


def test_death_of_progression_confirms_the_last_progression(folder):
    for index, subject in ((1, "S02"), (2, "S03"), (3, "S04")):
        folder.lab(subject, "D80", date(index, 80), MCPROT=(20, "g/L"), MPROTEXR=(0, "mg/day"))
    for index, subject, cause in ((2, "S03", "Sepsis"), (3, "S04", "Disease progression")):
        folder.rows("followup", subject)[0].update(DTHDT=date(index, 95), DTHCAUS=cause)
    folder.rows("therapy", "S04")[0]["NACTDT"] = date(3, 82)
    found = {who.subject: who.response for who in study_responses(folder.study())}
    assert [found[s].levels[-1] for s in ("S02", "S03", "S04")] == ["PD", "PD", "PD"]
    assert found["S02"].pd_date.isoformat() == date(1, 80), "died of myeloma"
    assert found["S03"].pd_date is None, "died of something else"
    assert found["S04"].pd_date is None, "a new therapy came between"


def test_few_cells_do_not_show_that_there_is_no_clone(folder):
    for row in folder.rows("marrow", "S01", VISIT="D28") + folder.rows("marrow", "S02", VISIT="D28"):
        row.update(CLONAL_IHC="ABSENT", IHC_PC_COUNTED=100)
    study = folder.study()
    study.marrow.loc[study.marrow["USUBJID"] == "S02", "IHC_PC_COUNTED"] = 99
    assert [who.assessments[0].clonal_bm for who in study_responses(study)][:3] == ["ABSENT", "NE", None]


def test_plasma_cell_leukaemia_is_judged_by_its_own_criteria(folder):
    folder.rows("subjects", "S02")[0]["DX"] = "PCL"
    for visit, at, percent in (("SCREENING", -10, 20), ("D28", 28, 2), ("D56", 56, 0)):
        folder.lab("S02", visit, date(1, at), PLSTCELE=(percent, "%"))
    for row in folder.rows("resp_labs", "S02", LBTESTCD="PLSTCELE"):
        row["LBSPEC"] = "BLOOD"
    who = folder.response("S02")
    assert who.response.criteria == "pcl-imwg"
    assert who.response.levels == ("PR", "PR"), "VGPR but for the marrow, which was not examined"


def test_thresholds_of_the_study(folder):
    folder.toml += "[response.thresholds]\npr_serum_fall = 0.7\n"
    assert folder.response("S01").response.levels == ("MR", "VGPR")
    notes = tables_of(folder.study(), "S10")["s10_overall_response"].notes
    assert any("pr_serum_fall = 0.7" in note for note in notes)


def test_unknown_thresholds_are_refused(folder):
    folder.toml += "[response.thresholds]\npr_serum_drop = 0.7\n"
    with pytest.raises(StudyError, match="pr_serum_drop"):
        folder.study()


def test_endpoints(plain):
    times = study_endpoints(plain)
    assert [(t.days, t.event) for t in times["OS"]][:2] == [(91, False), (96, True)]
    assert [(t.days, t.event) for t in times["PFS"]][:2] == [(57, False), (96, True)]
    assert [(t.days, t.event) for t in times["DOR"]][:2] == [(29, False), (68, True)]
    assert "new therapy" in times["PFS"][0].reason
    assert len(times["MRDNEG"]) == 6
    assert all(t.days == 29 for t in times["PERSIST"])


def test_missed_visits_censor(folder):
    folder.tables["followup"] = [
        r | ({"DTHDT": date(1, 120), "LSTALVDT": date(1, 120)} if r["USUBJID"] == "S02" else {})
        for r in folder.tables["followup"]
    ]
    folder.toml += "[response]\nplanned_days = [28, 56, 84, 112]\n"
    found = next(t for t in study_endpoints(folder.study())["PFS"] if t.subject == "S02")
    assert (found.days, found.event) == (57, False)
    assert "2 missed visits" in found.reason


def test_rates_are_the_shared_clopper_pearson_intervals(shared_data):
    with (shared_data / "clinical" / "statistics" / "clopper_pearson_expected.csv").open() as file:
        expected = [r for r in csv.DictReader(file) if int(r["n"]) <= 18]
    for row in expected:
        for confidence, tag in ((0.95, "95"), (0.9, "90")):
            found = rate_cells(int(row["k"]), int(row["n"]), confidence)
            assert found["ci_low_percent"] == pytest.approx(100 * float(row[f"lcl{tag}"]), abs=1e-9)
            assert found["ci_high_percent"] == pytest.approx(100 * float(row[f"ucl{tag}"]), abs=1e-9)
    assert len(expected) > 90
    assert rate_cells(0, 0, 0.95) == {"n": 0, "of": 0, "percent": None, "ci_low_percent": None, "ci_high_percent": None}


def test_overall_response_table(plain):
    data = tables_of(plain, "S10")["s10_overall_response"].data
    whole = data[(data["dose_level"] == "All") & (data["population"] == "treated")]
    low, high = clopper_pearson(6, 6)
    for row in whole.to_dict("records"):
        assert (row["n"], row["PR"], row["ORR_n"], row["ORR_percent"]) == (6, 6, 6, 100)
        assert row["ORR_ci_low_percent"] == pytest.approx(100 * low)
        assert row["ORR_ci_high_percent"] == pytest.approx(100 * high)
    assert set(data["window"]) == {"onset by 3 months", "any time"}


def test_a_treated_subject_who_cannot_be_judged_counts_as_no_responder(folder):
    folder.tables["resp_labs"] = [
        r for r in folder.tables["resp_labs"] if r["USUBJID"] != "S03" or r["VISIT"] not in ("D28", "D56")
    ]
    data = tables_of(folder.study(), "S10")["s10_overall_response"].data
    own = data[(data["dose_level"] == "All") & (data["window"] == "any time")].set_index("population")
    assert (own.loc["treated", "n"], own.loc["treated", "ORR_n"], own.loc["treated", "NE"]) == (6, 5, 1)
    assert (own.loc["evaluable", "n"], own.loc["evaluable", "ORR_n"]) == (5, 5)


def test_marrow_table(plain):
    data = tables_of(plain, "S6")["s6_clonal_plasma_cells"].data
    last = data[(data["USUBJID"] == "S01") & (data["VISIT"] == "D28")].iloc[0]
    assert last["clonal_percent"] == pytest.approx(100 * 5 / 4e6)
    assert last["log10_change"] == pytest.approx(-2.778151)
    assert tables_of(plain, "S6")["s6_clonal_plasma_cells"].listing["inputs"].str.contains("runs/one/results").all()


def complete(folder, index, subject, days, pet):
    """Put a subject into CR on these days, with PET."""
    folder.tables["resp_labs"] = [
        r for r in folder.tables["resp_labs"] if r["USUBJID"] != subject or r["VISIT"] not in ("D28", "D56")
    ]
    for name in ("marrow", "imaging"):
        folder.tables[name] = [
            r for r in folder.tables[name] if r["USUBJID"] != subject or r["VISIT"] not in ("D28", "D56")
        ]
    for n in days:
        folder.lab(subject, f"D{n}", date(index, n), MCPROT=(0, "g/L"), MPROTEXR=(0, "mg/day"),
                   SIFE=("NEGATIVE", ""), UIFE=("NEGATIVE", ""))  # fmt: skip
        folder.tables["marrow"].append(
            {"USUBJID": subject, "VISIT": f"D{n}", "BMDTC": date(index, n), "PC_PCT": 1, "PC_METHOD": "ASPIRATE"}
        )
    folder.tables["imaging"].append(
        {"USUBJID": subject, "VISIT": f"D{days[0]}", "IMDTC": date(index, days[0]), "MODALITY": "PETCT",
         "SPD_MM2": 0, "NEW_LESION": "N", "PET_NEG": pet}
    )  # fmt: skip


def test_mrd_rates(folder):
    complete(folder, 2, "S03", (28, 56), "Y")
    complete(folder, 3, "S04", (28, 56), "N")
    study = folder.study()
    data = tables_of(study, "S7")["s7_mrd_negative"].data
    own = data[(data["dose_level"] == "All") & (data["population"] == "treated")].set_index("category")["n"]
    assert own.tolist() == [6, 2, 1, 0]


def test_a_marrow_that_could_not_show_a_hundred_thousandth_is_no_negative(folder):
    study = folder.study()
    study.flow_mrd.loc[study.flow_mrd["status"] == "NEGATIVE", "lod"] = 2e-5
    data = tables_of(study, "S7")["s7_mrd_negative"].data
    assert data["n"].sum() == 0
    assert data[data["population"] == "evaluable"]["of"].max() == 6, "the positive marrows are evaluable"


@pytest.mark.parametrize("number", MINE)
def test_every_outcome_has_a_title_notes_and_a_listing(plain, number):
    tables = tables_of(plain, number)
    assert tables
    for table in tables.values():
        assert table.title and table.notes and table.sources
        assert not table.data.empty
    assert any(table.listing is not None and not table.listing.empty for table in tables.values())


def test_outcomes_of_a_study_in_which_nobody_was_treated_yet(folder):
    path = write_plain_study(folder.path, folder.tables, folder.toml.replace('["runs/one"]', "[]"))
    for name, rows in folder.tables.items():
        if name not in ("subjects", "cbc"):
            (path / f"{name}.csv").write_text(",".join(rows[0]) + "\n")
    study = read_study(path)
    for number in MINE:
        for table in tables_of(study, number).values():
            assert table.notes


def test_tables_do_not_depend_on_the_order_of_rows(folder, plain):
    for name, rows in folder.tables.items():
        if name != "subjects":  # whose order is that of the tables
            rows.reverse()
    shuffled = folder.study()
    for number in MINE:
        for name, table in tables_of(plain, number).items():
            other = tables_of(shuffled, number)[name].data
            assert other.to_csv(index=False) == table.data.to_csv(index=False), name
