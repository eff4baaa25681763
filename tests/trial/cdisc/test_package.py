"""The demo study's SDTM and ADaM: every dataset passes its checks, and says what the truth says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from demo_study import read_csv

from cytomrd.trial.cdisc.checks import dataset_problems
from cytomrd.trial.cdisc.define import read_define
from cytomrd.trial.cdisc.package import cdisc_datasets, write_cdisc
from cytomrd.trial.cdisc.xpt import read_xpt
from cytomrd.trial.study import read_study

CREATED = datetime(2026, 3, 2, 8, 30, tzinfo=UTC)
SDTM = {"DM", "EX", "AE", "SUPPAE", "VS", "CV", "QS", "CM", "DS", "LB", "CP", "PC", "PP", "RS", "RELREC"}
ADAM = {"ADSL", "ADPC", "ADPP", "ADRS", "ADTTE"}


@pytest.fixture(scope="module")
def study(true_study):
    return read_study(true_study)


@pytest.fixture(scope="module")
def datasets(study):
    return {data.name: data for data in cdisc_datasets(study)}


def test_every_dataset_is_there_and_sound(datasets):
    assert set(datasets) == SDTM | ADAM
    for data in datasets.values():
        assert not list(dataset_problems(data)), data.name


def test_every_file_validates_and_reads_back(study, datasets, tmp_path, shared_data):
    import jsonschema

    schema = json.loads((shared_data / "clinical/cdisc/dataset.schema.json").read_text())
    written = write_cdisc(study, tmp_path, created=CREATED)
    assert len(written) == 2 * len(datasets) + 2
    for data in datasets.values():
        base = tmp_path / data.model.lower() / data.name.lower()
        content = json.loads(base.with_suffix(".json").read_text())
        jsonschema.validate(content, schema)
        columns, _ = read_xpt(base.with_suffix(".xpt"))
        assert list(columns) == [c["name"] for c in content["columns"]]
        for i, values in enumerate(columns.values()):
            assert len(values) == content["records"] == len(content["rows"])
            plain = [v.isoformat() if hasattr(v, "isoformat") else v for v in values]
            assert plain == [row[i] for row in content["rows"]]
    for model, names in (("sdtm", SDTM), ("adam", ADAM)):
        assert {g.Name for g in read_define(tmp_path / model / "define.xml").ItemGroupDef} == names


def test_cells_are_written_as_cdisc_has_them(datasets, true_study):
    samples = {row["sample_id"]: row for row in read_csv(true_study / "truth" / "samples.csv")}
    records = [r for r in datasets["CP"].records() if r["CPTESTCD"] == "NKS" and not r["CPSTAT"]]
    assert len(records) == sum(s["kind"] == "blood" for s in samples.values())
    for record in records:
        true = samples[record["CPREFID"]]
        assert (record["CPSBMRKS"], record["CPORRESU"], record["CPSPEC"]) == ("CAR+", "10^6/L", "BLOOD")
        if true["status"] == "QUANTIFIED":
            assert record["CPSTRESN"] == pytest.approx(float(true["car_nk_per_ul"]), rel=1e-9)
        else:
            assert record["CPORRES"].startswith("<") and record["CPSTRESN"] is None
    missed = [r for r in datasets["CP"].records() if r["CPREASND"] == "no venous access"]
    assert [(r["CPREFID"], r["CPSTAT"]) for r in missed] == [("103-PB-D3", "NOT DONE")]


def test_parameters_agree_with_the_true_curves(datasets, true_study):
    truth = {row["USUBJID"]: row for row in read_csv(true_study / "truth" / "exposure.csv")}
    found = {(r["USUBJID"], r["PPTESTCD"]): r for r in datasets["PP"].records() if r["PPSPEC"] == "BLOOD"}
    for subject, row in truth.items():
        for code, name in (("CMAX", "cmax"), ("TMAX", "tmax_d"), ("AUCINT", "auc_0_28d"), ("TLST", "tlast_d")):
            value = found[subject, code]["PPSTRESN"]
            assert value == (pytest.approx(float(row[name]), rel=1e-6) if row[name] else None), (subject, code)


def test_groups_lead_from_parameters_to_samples(datasets):
    cells = {(r["USUBJID"], r["CPGRPID"]) for r in datasets["CP"].records()}
    parameters = {(r["USUBJID"], r["PPGRPID"]) for r in datasets["PP"].records()}
    for record in datasets["RELREC"].records():
        assert (record["USUBJID"], record["IDVARVAL"]) in (cells if record["RDOMAIN"] == "CP" else parameters)


def test_response_and_times_agree_with_the_truth(datasets, true_study):
    truth = {row["USUBJID"]: row for row in read_csv(true_study / "truth" / "endpoints.csv")}
    best = {r["USUBJID"]: r["RSORRES"] for r in datasets["RS"].records() if r["RSTESTCD"] == "BESTRESP"}
    assert best == {subject: row["best_response"] for subject, row in truth.items()}
    times = {(r["PARAMCD"], r["USUBJID"]): (r["AVAL"], r["CNSR"]) for r in datasets["ADTTE"].records()}
    for subject, row in truth.items():
        for code, name in (("PFS", "pfs"), ("OS", "os"), ("DOR", "dor")):
            expected = (int(row[f"{name}_days"]), 1 - int(row[f"{name}_event"])) if row[f"{name}_days"] else None
            assert times.get((code, subject)) == expected, (code, subject)


def test_a_study_day_has_no_zero(datasets):
    days = [r["CPDY"] for r in datasets["CP"].records()]
    assert 0 not in days and 1 in days and min(days) < 0
