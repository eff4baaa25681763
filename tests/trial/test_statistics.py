"""Summaries, dose proportionality and exact intervals against R; the registry of parameters."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import fields

import pytest

from cytomrd.errors import QuantificationError
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.trial.nca import nca
from cytomrd.trial.nca.parameters import PARAMETERS, all_needs, parameter_values
from cytomrd.trial.nca.statistics import fit_power_model, summarise


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "clinical" / "statistics"


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file, skipinitialspace=True))


def test_summaries_agree_with_r(folder):
    subjects = rows_of(folder / "pk_params.csv")
    names = {"n": "n", "mean": "mean", "sd": "sd", "cv": "cv_percent", "median": "median", "min": "minimum",
             "max": "maximum", "geomean": "geometric_mean", "geocv": "geometric_cv_percent", "geosd": "geometric_sd",
             "q1": "q1", "q3": "q3", "geo_lcl": "geometric_low", "geo_ucl": "geometric_high"}  # fmt: skip
    rows = rows_of(folder / "summary_expected.csv")
    assert len(rows) == 6
    for row in rows:
        values = [float(s[row["param"]]) for s in subjects if float(s["dose"]) == float(row["dose"])]
        made = summarise(values)
        for column, field in names.items():
            assert getattr(made, field) == pytest.approx(float(row[column]), rel=1e-9), (row["param"], column)


def test_power_model_agrees_with_r(folder):
    subjects = rows_of(folder / "pk_params.csv")
    text = (folder / "power_model_expected.txt").read_text()
    for name in ("cmax", "auc"):
        line = next(t for t in text.splitlines() if t.startswith(f"{name} slope"))
        slope, error, _, low, high, _, low95, high95, intercept = map(float, re.findall(r"-?\d+\.?\d*", line))
        doses, values = [float(s["dose"]) for s in subjects], [float(s[name]) for s in subjects]
        made, wide = fit_power_model(doses, values), fit_power_model(doses, values, confidence=0.95)
        assert (made.slope, made.standard_error, made.low, made.high) == pytest.approx(
            (slope, error, low, high), rel=1e-9
        )
        assert (wide.low, wide.high, made.intercept) == pytest.approx((low95, high95, intercept), rel=1e-9)
        assert (made.region_low, made.region_high) == pytest.approx((0.5, 1.5))
        assert made.verdict == ("inconclusive" if name == "cmax" else "proportional")  # 1.519 > 1.5


def test_clopper_pearson_agrees_with_r(folder):
    for row in rows_of(folder / "clopper_pearson_expected.csv"):
        k, n = int(row["k"]), int(row["n"])
        for confidence, low, high in ((0.95, "lcl95", "ucl95"), (0.90, "lcl90", "ucl90")):
            made = clopper_pearson(k, n, confidence)
            assert made == pytest.approx((float(row[low]), float(row[high])), abs=1e-9), (k, n)


def test_all_blq_counts_and_stays_out_of_the_geometric_mean():
    made = summarise([0.0, 4.0, 9.0, None, math.nan])
    assert (made.n, made.n_blq, made.n_missing) == (3, 1, 2)
    assert made.geometric_mean == pytest.approx(6.0) and made.mean == pytest.approx(13 / 3)


def test_summaries_of_few_values_say_nothing_they_cannot():
    assert summarise([]).mean is None and summarise([None]).n_missing == 1
    one = summarise([5.0])
    assert one.sd is None and one.geometric_cv_percent is None and one.geometric_mean == pytest.approx(5.0)
    assert summarise([0.0, 0.0]).cv_percent is None and summarise([0.0]).geometric_mean is None
    with pytest.raises(QuantificationError, match="-1"):
        summarise([-1.0])


def test_power_model_of_too_little_is_none():
    assert fit_power_model([1, 2], [1, 2]) is None
    assert fit_power_model([1, 1, 1], [1, 2, 3]) is None
    assert fit_power_model([1, 2, 4], [0, None, 3]) is None
    with pytest.raises(QuantificationError, match="positive dose"):
        fit_power_model([0, 1, 2], [1, 2, 3])


def test_proportionality_is_judged_by_the_interval():
    assert fit_power_model([1, 1, 2, 2, 4, 4], [10, 10.1, 20, 20.2, 40, 40.1]).verdict == "proportional"
    assert fit_power_model([1, 1, 2, 2, 4, 4], [10, 10.1, 80, 81, 640, 641]).verdict == "not proportional"


def test_every_parameter_is_registered_and_rests_on_known_ones():
    result = nca([0, 1, 3, 7, 14, 28], [0, 20, 35, 18, 4, 1])
    assert set(PARAMETERS) == {f.name for f in fields(result)} - {"flags", "auc_0_28d_status"}
    for name, parameter in PARAMETERS.items():
        assert set(parameter.needs) <= {*PARAMETERS, "profile"}
        assert name not in all_needs(name) and all_needs(name)[-1:] != ()
        assert parameter.rule and "{" not in parameter.unit()
    codes = [p.code for p in PARAMETERS.values() if p.code and not p.name.endswith("_by_dose")]
    assert len(codes) == len(set(codes))
    assert parameter_values(result)["cmax_dose_1"] == 35
