"""The whole demo study, from FCS to the tables, against its truth: what must agree exactly, and what within what.

Exactly: the status of every sample, best response, onset and progression, every time to an event, Tmax and Tlast.
Within the sample's own 95 % interval widened by what gates may cost: cells per microlitre, fractions. Within 5 %: Cmax
and AUC to day 28.
"""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from demo_study import read_csv

from cytomrd.cli.main import cytomrd
from cytomrd.trial.table import OUTCOMES

# What a gate may lose or add, beside counting error.
GATES = 0.05
PARAMETERS = 0.05


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The demo study with its tables, by the two commands that the demo names."""
    folder = tmp_path_factory.mktemp("demo") / "study"
    for command in (["demo", "--study", folder], ["tables", folder, "--gate", "-j", 2]):
        result = CliRunner().invoke(cytomrd, [str(c) for c in command], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return folder


def by(rows, *names):
    return {tuple(row[n] for n in names) if len(names) > 1 else row[names[0]]: row for row in rows}


def results(folder, name):
    return by([r for run in sorted(folder.glob("runs/*")) for r in read_csv(run / "results" / name)], "sample_id")


def check_cells(folder):
    """Every blood and marrow sample of the CAR panel."""
    truth = by(read_csv(folder / "truth" / "samples.csv"), "sample_id")
    found = results(folder, "car_nk.csv")
    assert set(found) == {name for name, row in truth.items() if row["kind"] != "mrd"}
    for name, row in found.items():
        assert row["status"] == truth[name]["status"], name
        if row["status"] == "QUANTIFIED":
            fields = ("cells_per_ul_low", "cells_per_ul_high", "car_nk_per_ul")
            if truth[name]["kind"] == "marrow":
                fields = ("ci_low", "ci_high", "car_nk_fraction")
            low, high, expected = float(row[fields[0]]), float(row[fields[1]]), float(truth[name][fields[2]])
            assert low * (1 - GATES) <= expected <= high * (1 + GATES), name


def check_marrows(folder):
    """Every marrow of the MRD panel."""
    truth = by(read_csv(folder / "truth" / "samples.csv"), "sample_id")
    found = results(folder, "mrd.csv")
    assert set(found) == {name for name, row in truth.items() if row["kind"] == "mrd"}
    for name, row in found.items():
        assert row["status"] == truth[name]["status"], name
        expected = float(truth[name]["mrd_fraction"])
        if row["status"].startswith("POSITIVE"):
            assert float(row["ci_low"]) * (1 - GATES) <= expected <= float(row["ci_high"]) * (1 + GATES), name


def check_exposure(folder):
    """PK parameters of blood on the times drawn."""
    truth = by(read_csv(folder / "truth" / "exposure.csv"), "USUBJID")
    found = by(read_csv(folder / "tables" / "s1_s3_pk_parameters.csv"), "USUBJID", "matrix")
    assert len(found) == 2 * len(truth)
    for subject, row in truth.items():
        own = found[subject, "BLOOD"]
        for name in ("tmax_d", "tlast_d"):
            assert float(own[name]) == pytest.approx(float(row[name]), rel=1e-8), (subject, name)
        for name in ("cmax", "auc_0_28d"):
            if row[name]:
                assert float(own[name]) == pytest.approx(float(row[name]), rel=PARAMETERS), (subject, name)
            else:
                assert not own[name], subject
        assert found[subject, "BONE MARROW"]["unit"] == "% of NK"


def check_endpoints(folder):
    """Response and times to an event, as the analysis datasets have them."""
    truth = by(read_csv(folder / "truth" / "endpoints.csv"), "USUBJID")
    content = json.loads((folder / "tables" / "cdisc" / "adam" / "adtte.json").read_text())
    names = [c["name"] for c in content["columns"]]
    times = by([dict(zip(names, row, strict=True)) for row in content["rows"]], "PARAMCD", "USUBJID")
    best = by(read_csv(folder / "tables" / "s10_overall_response_listing.csv"), "USUBJID")
    for subject, row in truth.items():
        assert best[subject]["value"] == row["best_response"]
        for code, name in (("PFS", "pfs"), ("OS", "os"), ("DOR", "dor")):
            own = times.get((code, subject))
            assert (str(own["AVAL"]) if own else "") == row[f"{name}_days"], (subject, code)
            assert not own or own["CNSR"] == 1 - int(row[f"{name}_event"])
    negative = {subject[-3:]: t["CNSR"] for (code, subject), t in times.items() if code == "MRDNEG"}
    assert negative == {"301": 1, "302": 0}  # the one is still negative, the other's clone came back


def check_outputs(folder):
    """Every outcome has its tables, and most their figure."""
    tables = folder / "tables"
    notes = read_csv(tables / "notes.csv")
    assert {row["outcome"] for row in notes} >= {outcome.number for outcome in OUTCOMES}
    assert (tables / "tables.html").stat().st_size > 100_000 and (tables / "tables.xlsx").exists()
    assert len(list((tables / "figures").glob("*.svg"))) == 14
    assert {p.parent.name for p in tables.glob("cdisc/*/define.xml")} == {"sdtm", "adam"}


@pytest.mark.slow
@pytest.mark.parametrize("check", [check_cells, check_marrows, check_exposure, check_endpoints, check_outputs])
def test_the_demo_study_agrees_with_its_truth(folder, check):
    check(folder)
