"""The tables of PK, safety, weight, cytokines, ECOG and eligibility, against numbers worked out by hand."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from plain_study import BLOOD, LEVELS, SUBJECTS, TOML, date, moment, plain_tables, write_plain_study

from cytomrd.mrd.limits import clopper_pearson
from cytomrd.trial.cytokines import cytokine_tables
from cytomrd.trial.eligibility import cockcroft_gault, eligibility_tables
from cytomrd.trial.nca import nca
from cytomrd.trial.pharmacokinetics import FLAG_WORDS, pk_tables, profiles
from cytomrd.trial.safety import adverse_event_tables, dlt_tables
from cytomrd.trial.study import read_study
from cytomrd.trial.vitals import ecog_tables, loss_grade, weight_tables


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return read_study(write_plain_study(tmp_path_factory.mktemp("plain") / "study"))


def changed(tmp_path, change, toml=TOML):
    tables = plain_tables()
    change(tables)
    return read_study(write_plain_study(tmp_path / "study", tables, toml))


def by_id(tables):
    return {t.id: t for t in tables}


def test_pk_parameters_are_those_of_the_profile(study):
    made = by_id(pk_tables(study))
    row = made["s1_s3_pk_parameters"].data.query("USUBJID == 'S03' and matrix == 'BLOOD'").iloc[0]
    times, values = zip(*BLOOD, strict=True)
    expected = nca(times, [v * 2 * 1.2 for v in values], infusions_d=(0.0, 7.0))
    assert row["cmax"] == pytest.approx(14 * 2.4) and row["tmax_d"] == 8 and row["tlast_d"] == 28
    assert row["auc_0_28d"] == pytest.approx(expected.auc_0_28d, rel=1e-9)
    assert row["auc_dose_1"] + row["auc_dose_2"] == pytest.approx(row["auc_0_28d"], rel=1e-12)


def test_every_pk_number_says_how_it_came_about(study):
    table = by_id(pk_tables(study))["s1_s3_pk_parameters"]
    listing = table.listing
    assert (listing["rule"] != "").all() and (listing["inputs"] != "").all()
    own = listing[(listing["USUBJID"] == "S01") & (listing["matrix"] == "BLOOD")].set_index("quantity")
    assert own.loc["Cmax", "inputs"] == "sample S01-PB-8"
    assert "lambda_z" in own.loc["Half-life", "inputs"] and own.loc["Half-life", "rule"] == "ln 2 / lambda z"
    marrow = listing[(listing["USUBJID"] == "S01") & (listing["matrix"] == "BONE MARROW")].set_index("quantity")
    assert marrow.loc["Half-life", "rule"].startswith("not calculated")
    assert any(text.startswith("NO_LAMBDA_Z") for text in table.footnotes)


def test_pk_summary_and_dose_proportionality(study):
    made = by_id(pk_tables(study))
    summary = made["s1_s3_pk_summary"].data
    cmax = summary.query("matrix == 'BLOOD' and parameter == 'cmax' and dose_level == '1.5e+08'").iloc[0]
    assert cmax["n"] == 2 and cmax["geometric_mean"] == pytest.approx(math.sqrt(14 * 15.4))
    tmax = summary.query("matrix == 'BLOOD' and parameter == 'tmax_d' and dose_level == 'All'").iloc[0]
    assert (tmax["median"], tmax["minimum"]) == (8, 8) and np.isnan(tmax["mean"])
    slopes = made["s1_s3_dose_proportionality"].data.query("matrix == 'BLOOD'")
    # each level doubles, and the subjects' own factors grow from 1.0 to 1.5
    x, y = np.log(LEVELS), np.log([LEVELS[i] * (1 + 0.1 * i) for i in range(6)])
    assert slopes["slope"].to_numpy() == pytest.approx(np.polyfit(x, y, 1)[0])


def test_samples_that_say_nothing_are_left_out_and_named(tmp_path, study):
    flow = study.flow_car_nk.copy()
    of_subject = (flow["USUBJID"] == "S01") & (flow["MATRIX"] == "BLOOD")
    flow.loc[of_subject & (flow["time_d"] == 8), "status"] = "NOT_EVALUABLE"
    flow.loc[of_subject & (flow["time_d"] == 10), "cells_per_ul"] = np.nan
    from dataclasses import replace

    other = replace(study, flow_car_nk=flow)
    profile = profiles(other)[0]
    assert profile.left_out == ("S01-PB-8: not evaluable", "S01-PB-10: no absolute count")
    assert profile.result.cmax == 10
    assert any("S01-PB-8" in text for text in by_id(pk_tables(other))["s1_s3_pk_parameters"].footnotes)


def test_every_flag_has_its_words():
    from pathlib import Path

    import cytomrd.trial.nca as package

    text = "".join(p.read_text("utf-8") for p in Path(package.__file__).parent.glob("*.py"))
    found = set(re.findall(r'"([A-Z][A-Z0-9_.]{6,})"', text)) - {"HORIZON_D", "NOT_CALCULATED"}
    flags = {f for f in found if "_" in f}
    assert flags <= set(FLAG_WORDS), flags - set(FLAG_WORDS)


def test_dlt_by_either_infusion(study):
    (table,) = dlt_tables(study)
    first = table.data[table.data["anchor"] == "first infusion"].set_index("dose_level")
    assert first.loc["6e+08", ["treated", "evaluable", "with_dlt"]].tolist() == [2, 2, 1]
    low, high = clopper_pearson(1, 6)
    assert first.loc["All", ["ci_low_percent", "ci_high_percent"]].tolist() == pytest.approx([100 * low, 100 * high])


@pytest.mark.parametrize(("day", "by_first", "by_last"), [(28, 1, 1), (29, 0, 1), (35, 0, 1), (36, 0, 0)])
def test_the_window_of_a_dlt_ends_on_its_28th_day(tmp_path, day, by_first, by_last):
    def change(tables):
        tables["events"][-2] |= {"AESTDTC": date(4, day), "AEENDTC": ""}

    (table,) = dlt_tables(changed(tmp_path, change))
    found = table.data[table.data["dose_level"] == "All"].set_index("anchor")["with_dlt"]
    assert (found["first infusion"], found["last infusion"]) == (by_first, by_last)
    assert len(table.footnotes) == 2 - by_first - by_last


def test_who_is_evaluable_for_dlt_where_nobody_said(tmp_path):
    def change(tables):
        for row in tables["subjects"]:
            row["DLTEVAL"] = ""
        tables["followup"][0]["LSTALVDT"] = date(0, 20)
        tables["followup"][4]["LSTALVDT"] = date(4, 20)  # with a DLT on day 8
        for name, column in (("samples", "COLLDTC"),):
            tables[name] = [r for r in tables[name] if r["USUBJID"] != "S01" or r[column] <= moment(0, 20)]

    tables = plain_tables()
    change(tables)
    tables["therapy"][0]["NACTDT"] = ""
    folder = write_plain_study(tmp_path / "study", tables, TOML.replace('"runs/one"', ""))
    (table,) = dlt_tables(read_study(folder))
    first = table.data[table.data["anchor"] == "first infusion"].set_index("dose_level")
    assert first.loc["All", ["treated", "evaluable", "with_dlt"]].tolist() == [6, 5, 1]


def test_adverse_events_count_subjects_once_at_the_worst_grade(tmp_path):
    def change(tables):
        again = dict(tables["events"][0]) | {"AESTDTC": date(0, 5), "AEENDTC": "", "AETOXGR": 3, "AEDECOD": "PYREXIA"}
        before = again | {"AESTDTC": date(0, -4), "AEDECOD": "Anaemia", "AEREL": "NOT RELATED"}
        tables["events"] += [again, before]

    study = changed(tmp_path, change)
    made = by_id(adverse_event_tables(study))
    terms = made["s8_adverse_events_by_term"].data.set_index(["term", "dose_level"])
    low = terms.loc[("Pyrexia", "1.5e+08")]
    assert (low["n"], low["worst_grade_1"], low["worst_grade_2"], low["worst_grade_3"]) == (2, 0, 1, 1)
    assert "Anaemia" not in terms.index.get_level_values(0)  # before the cells
    overview = made["s8_adverse_events"].data.set_index(["events", "dose_level"])
    assert overview.loc[("any", "1.5e+08"), ["n", "of", "n_events"]].tolist() == [2, 2, 3]
    assert overview.loc[("grade 3 or more", "All"), "n"] == 4
    severe = made["s13_grade_3_by_term"].data.set_index(["term", "dose_level"])
    assert severe.loc[("Pyrexia", "All"), "n"] == 3
    crs = made["s8_crs_icans"].data.set_index(["event", "dose_level"])
    assert crs.loc[("CRS", "6e+08"), "worst_grade_4"] == 1 and crs.loc[("ICANS", "All"), "n"] == 0
    listing = made["s8_adverse_event_listing"].data
    assert listing.set_index("term").loc["Anaemia", "treatment_emergent"].item() is False
    assert any("treatment-emergent" in text for text in study.remarks)


def test_no_adverse_events_are_a_table_of_zeros(tmp_path):
    def change(tables):
        tables["events"] = []

    tables = plain_tables()
    folder = write_plain_study(tmp_path / "study", tables)
    header = "USUBJID,AEDECOD,AESTDTC,AEENDTC,AETOXGR,AEREL,AESER,DLTFL\n"
    (folder / "events.csv").write_text(header)
    made = by_id(adverse_event_tables(read_study(folder)))
    assert (made["s8_adverse_events"].data["n"] == 0).all() and len(made["s8_adverse_events_by_term"].data) == 0


def test_weight(study):
    made = by_id(weight_tables(study))
    row = made["s4_weight"].data.query("USUBJID == 'S02' and VISIT == 'D28'").iloc[0]
    assert row["change_kg"] == -8 and row["change_percent"] == pytest.approx(-800 / 71) and row["loss_grade"] == 2
    assert made["s4_weight_loss"].data.set_index("dose_level").loc["All", "worst_grade_2"] == 6


@pytest.mark.parametrize("weight", [50.0, 66.6, 70.0, 71.3, 84.9])
def test_loss_grades_begin_on_their_border(weight):
    for percent, grade in ((5, 1), (10, 2), (20, 3)):
        lost = weight - weight * percent / 100
        assert loss_grade(100 * (lost - weight) / weight) == grade
        assert loss_grade(-percent + 1e-6) == grade - 1


def test_ecog(study):
    made = by_id(ecog_tables(study))
    shift = made["s12_ecog_shift"].data
    row = shift[(shift["to"] == "worst") & (shift["dose_level"] == "All")].iloc[0]
    assert (row["baseline"], row["to_2"], row["n"]) == ("1", 6, 6)
    assert list(made["s12_ecog"].data["change"]) == [0, 1] * 6


def test_ecog_without_a_baseline_is_counted_as_missing(tmp_path):
    def change(tables):
        tables["vitals"] = [
            r for r in tables["vitals"]
            if not (r["USUBJID"] == "S01" and r["VSTESTCD"] == "ECOG" and r["VISIT"] == "SCREENING")
        ]  # fmt: skip

    shift = by_id(ecog_tables(changed(tmp_path, change)))["s12_ecog_shift"].data
    own = shift[(shift["to"] == "worst") & (shift["dose_level"] == "1.5e+08")].set_index("baseline")
    assert own.loc["missing", "n"] == 1 and own.loc["1", "n"] == 1


def test_cytokines(study):
    made = by_id(cytokine_tables(study))
    rows = made["s5_cytokine_parameters"].data.set_index(["USUBJID", "test"])
    crp = rows.loc[("S01", "CRP")]
    assert (crp["baseline"], crp["peak"], crp["peak_time_d"], crp["peak_fold"]) == (5, 60, 1, 12)
    area = 32.5 + (60 + 40) + 35 * 4.5 + 18 * 6.5
    assert crp["auc_d"] == pytest.approx(area) and crp["auc_end_d"] == 14
    il6 = rows.loc[("S01", "INTLK6")]
    assert il6["baseline"] == 1.0 and il6["flags"] == "BLQ_HALF"  # <2
    listing = made["s5_cytokine_parameters"].listing
    assert listing.iloc[0]["inputs"].startswith("resp_labs.csv row")


def test_cytokine_area_stops_at_day_28(tmp_path):
    def change(tables):
        row = next(r for r in tables["resp_labs"] if r["USUBJID"] == "S01" and r["LBTESTCD"] == "CRP")
        tables["resp_labs"].append(row | {"VISIT": "D42", "LBDTC": moment(0, 42), "LBORRES": 34})

    made = by_id(cytokine_tables(changed(tmp_path, change)))["s5_cytokine_parameters"].data
    crp = made.set_index(["USUBJID", "test"]).loc[("S01", "CRP")]
    assert crp["auc_end_d"] == 28
    assert crp["auc_d"] == pytest.approx(407 + (6 + 20) / 2 * 14)  # 6 on day 14, 34 on day 42: 20 on day 28


def test_a_spurious_cytokine_is_left_out(tmp_path):
    def change(tables):
        row = next(r for r in tables["resp_labs"] if r["USUBJID"] == "S01" and r["LBORRES"] == 60)
        row["SPURIOUS"] = "Y"

    made = by_id(cytokine_tables(changed(tmp_path, change)))["s5_cytokine_parameters"].data
    assert made.set_index(["USUBJID", "test"]).loc[("S01", "CRP"), "peak"] == 40


def test_eligibility(study):
    made = by_id(eligibility_tables(study))
    rows = made["e_eligibility"].data.set_index(["USUBJID", "criterion"])
    clearance = rows.loc[("S01", "Creatinine clearance (Cockcroft-Gault)")]
    assert clearance["value"] == pytest.approx(80 * 70 / 72 * 0.85) and clearance["verdict"] == "MET"
    assert rows.loc[("S01", "Bilirubin"), "verdict"] == "NOT SET"
    assert rows.loc[("S01", "Measurable disease"), "inputs"] == "serum"


@pytest.mark.parametrize(
    ("test", "value", "verdict"),
    [("SPO2", 95, "NOT MET"), ("SPO2", 95.5, "MET"), ("LVEF", 50, "NOT MET"), ("LVEF", 51, "MET")],
)
def test_strict_limits(tmp_path, test, value, verdict):
    def change(tables):
        for row in tables["vitals"]:
            if row["VSTESTCD"] == test:
                row["VSORRES"] = value

    rows = by_id(eligibility_tables(changed(tmp_path, change)))["e_eligibility"].data
    name = {"SPO2": "Oxygen saturation", "LVEF": "Left ventricular ejection fraction"}[test]
    assert set(rows[rows["criterion"] == name]["verdict"]) == {verdict}


def test_what_is_missing_is_never_met(tmp_path):
    def change(tables):
        tables["subjects"][0] |= {"AGE": "", "SEX": ""}
        tables["vitals"] = [r for r in tables["vitals"] if r["VSTESTCD"] != "SPO2"]

    toml = TOML + "\n[eligibility]\ntransaminase_times_uln = 0.7\nbilirubin_times_uln = 1.5\n"
    rows = by_id(eligibility_tables(changed(tmp_path, change, toml)))["e_eligibility"].data
    first = rows[rows["USUBJID"] == "S01"].set_index("criterion")["verdict"]
    assert first["Creatinine clearance (Cockcroft-Gault)"] == "MISSING" and first["Age"] == "MISSING"
    assert first["Oxygen saturation"] == "MISSING" and first["Bilirubin"] == "MISSING"  # no upper limit of normal
    assert first["Alanine aminotransferase"] == "NOT MET" and first["Aspartate aminotransferase"] == "MET"


def test_cockcroft_gault_by_hand():
    assert cockcroft_gault(40, 72, 10, female=False) == pytest.approx(100)
    assert cockcroft_gault(40, 72, 20, female=True) == pytest.approx(42.5)


def test_an_untreated_subject_is_screened_and_nowhere_else(tmp_path):
    def change(tables):
        tables["subjects"].append(tables["subjects"][0] | {"USUBJID": "S07"})

    study = changed(tmp_path, change)
    assert "S07" not in study.treated and len(study.treated) == len(SUBJECTS)
    rows = by_id(eligibility_tables(study))["e_eligibility"].data
    assert set(rows[rows["USUBJID"] == "S07"]["verdict"]) == {"MISSING", "NOT SET", "MET"}
    assert dlt_tables(study)[0].data["treated"].max() == 6
