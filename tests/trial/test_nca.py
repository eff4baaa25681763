"""NCA against Phoenix WinNonlin, PKNCA and this project's own answers; and what must hold for any profile."""

from __future__ import annotations

import csv
import math
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cytomrd as cm
from cytomrd.errors import QuantificationError

# Column of the Phoenix exports -> field of the result.
PHOENIX = {
    "Rsq": "lambda_z_r2",
    "Rsq_adjusted": "lambda_z_r2_adjusted",
    "No_points_lambda_z": "lambda_z_n_points",
    "Lambda_z": "lambda_z",
    "Lambda_z_lower": "lambda_z_low_d",
    "Lambda_z_upper": "lambda_z_high_d",
    "HL_Lambda_z": "half_life_d",
    "Tmax": "tmax_d",
    "Cmax": "cmax",
    "Tlast": "tlast_d",
    "Clast": "clast",
    "AUClast": "auc_last",
    "AUCall": "auc_all",
    "AUCINF_obs": "auc_inf_observed",
    "AUCINF_pred": "auc_inf_predicted",
    "AUC_%Extrap_obs": "extrapolated_percent",
    "AUMClast": "aumc_last",
}


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def profiles_of(path, *, subject, time, conc):
    rows = rows_of(path)
    return {
        key: (np.array([float(r[time]) for r in own]), np.array([float(r[conc]) for r in own]))
        for key, own in ((k, list(g)) for k, g in groupby(rows, key=lambda r: r[subject]))
    }


def theoph(folder):
    return profiles_of(folder / "Theoph.csv", subject="Subject", time="Time", conc="conc")


def indometh(folder):
    return profiles_of(folder / "Indometh.csv", subject="Subject", time="time", conc="conc")


@pytest.fixture(scope="module")
def folder(shared_data):
    return shared_data / "clinical" / "nca"


@pytest.mark.parametrize(
    ("name", "profiles", "method"),
    [
        ("Theoph_Linear", theoph, "linear"),
        ("Theoph_Log", theoph, "linear-up/log-down"),
        ("Indometh_Linear_Infusion", indometh, "linear"),
        ("Indometh_Linear_NoDose", indometh, "linear"),
        ("Indometh_Linear_Wrong_Extravascular", indometh, "linear"),
        ("Indometh_Log_Infusion", indometh, "linear-up/log-down"),
        ("Indometh_Log_Wrong_Extravascular", indometh, "linear-up/log-down"),
    ],
)
def test_phoenix(folder, name, profiles, method):
    known = profiles(folder)
    rows = rows_of(folder / f"Final_Parameters_Pivoted_{name}.csv")
    assert len(rows) == len(known)
    for row in rows:
        result = cm.nca(*known[row["Subject"]], method=method)
        for column, field in PHOENIX.items():
            assert getattr(result, field) == pytest.approx(float(row[column]), rel=1e-6), (row["Subject"], column)
        tail, rate = result.clast / result.lambda_z, result.lambda_z
        moment = result.aumc_last + tail * (result.tlast_d + 1 / rate)
        derived = {
            "Corr_XY": -math.sqrt(result.lambda_z_r2),
            "AUMCINF_obs": moment,
            "AUMC_%Extrap_obs": 100 * (1 - result.aumc_last / moment),
        }
        if "Infusion" not in name:
            derived["MRTINF_obs"] = moment / result.auc_inf_observed
        if name.startswith("Theoph"):
            derived |= {"Cl_F_obs": 320 / result.auc_inf_observed, "Vz_F_obs": 320 / result.auc_inf_observed / rate}
        for column, value in derived.items():
            if name.startswith("Indometh") or row["Subject"] == "1" or not column.endswith("F_obs"):
                assert value == pytest.approx(float(row[column]), rel=1e-6), (row["Subject"], column)
        if "Infusion" not in name:  # there Phoenix takes off half of the infusion's length
            assert result.mrt_last_d == pytest.approx(float(row["MRTlast"]), rel=1e-6)


@pytest.mark.parametrize(("name", "method"), [("Linear", "linear"), ("Log", "linear-up/log-down")])
def test_phoenix_bolus(folder, name, method):
    """An intravenous bolus: Phoenix puts a back-extrapolated value at 0; given that value, the rest agrees."""
    known = indometh(folder)
    for row in rows_of(folder / f"Final_Parameters_Pivoted_Indometh_{name}.csv"):
        times, values = known[row["Subject"]]
        result = cm.nca([0.0, *times], [float(row["C0"]), *values], method=method)
        for column in PHOENIX.keys() - {"Cmax", "Tmax"}:
            assert getattr(result, PHOENIX[column]) == pytest.approx(float(row[column]), rel=1e-6), column


def cases_of(folder):
    return profiles_of(folder / "cellular_kinetics_cases.csv", subject="case", time="time_d", conc="conc")


OURS = {
    "CMAX": "cmax",
    "TMAX": "tmax_d",
    "CLST": "clast",
    "TLST": "tlast_d",
    "LAMZHL": "half_life_d",
    "LAMZNPT": "lambda_z_n_points",
    "AUCLST": "auc_last",
    "AUC0_28D": "auc_0_28d",
}


def test_cellular_kinetics(folder):
    known = cases_of(folder)
    rows = rows_of(folder / "cellular_kinetics_cytomrd_spec_expected.csv")
    assert {r["case"] for r in rows} == set(known)
    for row in rows:
        result = cm.nca(*known[row["case"]])
        for column, field in OURS.items():
            expected = float(row[column]) if row[column] else None
            assert getattr(result, field) == (pytest.approx(expected, rel=1e-9) if expected else expected), row["case"]
        status, _, percent = (
            row["AUC_STATUS"].partition("_") if "%" in row["AUC_STATUS"] else (row["AUC_STATUS"], "", "")
        )
        assert result.auc_0_28d_status == status
        if percent:
            assert f"{result.auc_0_28d_extrapolated_percent:.3f}%" == percent
        ours = set(result.flags) - {"NO_LAMBDA_Z", "ALL_BLQ", "OBSERVED_TAIL_BLQ"}
        assert ours == set(filter(None, row["FLAGS"].split(";"))), row["case"]


# Where PKNCA's rules are ours: without what it does with a BLQ after the last value, with all BLQ, or before 0.
PKNCA = {
    "cmax": "cmax",
    "tmax": "tmax_d",
    "tlast": "tlast_d",
    "clast.obs": "clast",
    "half.life": "half_life_d",
    "lambda.z": "lambda_z",
    "lambda.z.n.points": "lambda_z_n_points",
    "lambda.z.time.first": "lambda_z_low_d",
    "r.squared": "lambda_z_r2",
    "adj.r.squared": "lambda_z_r2_adjusted",
    "span.ratio": "lambda_z_span",
    "clast.pred": "clast_predicted",
    "auclast[0,Inf]": "auc_last",
    "aucint.last[0,28]": "auc_0_28d",
}
NOT_OURS = {
    (case, area) for case in ("CK11_no_predose", "CK13_BM_sparse") for area in ("auclast[0,Inf]", "aucint.last[0,28]")
}


def test_pknca_where_the_rules_agree(folder):
    known = cases_of(folder)
    compared = 0
    for row in rows_of(folder / "cellular_kinetics_pknca_expected.csv"):
        field = PKNCA.get(row["param"])
        blq, method = row["conc.blq"] in ("", "default"), row["method"] in ("", "lin up/log down")
        if field is None or not (blq and method) or (row["case"], row["param"]) in NOT_OURS or row["case"] not in known:
            continue
        result = cm.nca(*known[row["case"]])
        if result.cmax == 0 or (field == "auc_0_28d" and result.auc_0_28d_status not in ("OBSERVED", "INTERPOLATED")):
            continue
        try:
            expected = float(row["value"])
        except ValueError:
            expected = math.nan
        value = getattr(result, field)
        assert (value is None) == math.isnan(expected), (row["case"], row["param"], value, expected)
        if value is not None:
            assert value == pytest.approx(expected, rel=1e-9), (row["case"], row["param"])
            compared += 1
    assert compared > 60


def test_theoph_by_pknca(folder):
    known = theoph(folder)
    fields = {name: PKNCA[name] for name in PKNCA if "[" not in name} | {"aucinf.obs": "auc_inf_observed"}
    for row in rows_of(folder / "theoph_pknca_defaults.csv"):
        if row["PPTESTCD"] in fields:
            result = cm.nca(*known[row["Subject"]])
            assert getattr(result, fields[row["PPTESTCD"]]) == pytest.approx(float(row["PPORRES"]), rel=1e-6)


def test_the_second_infusion_splits_the_profile():
    times = [0, 0.04, 1, 3, 6.99, 7.04, 8, 10, 14, 21, 28, 60]
    values = [0, 12.0, 8.5, 4.2, 1.9, 22.4, 15.3, 9.1, 3.6, 0.8, 0.2, 0]
    result = cm.nca(times, values, infusions_d=(0.0, 7.0))
    first, second = result.auc_by_dose
    assert first + second == pytest.approx(result.auc_0_28d, rel=1e-12)
    assert result.cmax_by_dose == (12.0, 22.4)
    # by hand: the value of 6.99 stands at 7; a line to 7.04
    start = 0.5 * 12 * 0.04 + sum(
        (a - b) * w / math.log(a / b) for a, b, w in ((12, 8.5, 0.96), (8.5, 4.2, 2), (4.2, 1.9, 4))
    )
    assert first == pytest.approx(start, rel=1e-12)


def test_no_value_before_the_second_infusion_means_no_split():
    result = cm.nca([0, 1, 3, 8, 14, 28], [0, 5, 3, 9, 4, 1], infusions_d=(0.0, 7.0))
    assert result.auc_by_dose == (None, None)
    assert "NO_PREDOSE_2" in result.flags
    assert result.auc_0_28d is not None and result.cmax_by_dose == (5.0, 9.0)


def test_cells_gone_before_the_second_infusion_are_not_drawn_across_it():
    times, values = [0, 1, 3, 6.9, 8, 14, 28], [0, 10, 4, 0, 12, 3, 1]
    result = cm.nca(times, values, infusions_d=(0.0, 7.0))
    assert "MID_BLQ_DROPPED" not in result.flags and "TAIL_BLQ_DOSE_1" in result.flags
    assert result.auc_by_dose[0] == pytest.approx(5 + (10 - 4) * 2 / math.log(10 / 4))
    assert result.auc_by_dose[1] == pytest.approx(6 + (12 - 3) * 6 / math.log(12 / 3) + (3 - 1) * 14 / math.log(3))
    # without the infusion the same value is one between two others
    assert "MID_BLQ_DROPPED" in cm.nca(times, values).flags


@pytest.mark.parametrize(
    ("times", "values", "said"),
    [
        ([0, 1, 1, 3], [0, 1, 2, 3], "1 d stands twice"),
        ([0, 1, 3], [0, -2, 3], "concentration -2 at 1 d"),
        ([0, 1], [0, math.inf], "concentration inf"),
        ([0, math.nan], [0, 1], "not a finite number"),
        ([0, 1], [0], "one time for each"),
        ([], [], "at least"),
    ],
)
def test_refused(times, values, said):
    with pytest.raises(QuantificationError, match=said):
        cm.nca(times, values)


@pytest.mark.parametrize("infusions", [(), (1.0,), (0.0, 0.0), (0.0, 7.0, 3.0), (0.0, math.inf)])
def test_infusions_that_do_not_begin_at_0_are_refused(infusions):
    with pytest.raises(QuantificationError, match="infusions at"):
        cm.nca([0, 1], [0, 1], infusions_d=infusions)


def test_a_limit_makes_values_below_it_blq():
    times, values = [0, 1, 3, 7, 14, 28], [0, 8, 6, 4, 0.05, math.nan]
    assert cm.nca(times, values, lloq=0.1) == cm.nca(times, [0, 8, 6, 4, 0, 0])
    assert cm.nca(times, values, lloq=[0.1, 0.1, 0.1, 0.1, 0.01, 0.1]).tlast_d == 14
    assert cm.nca(times, [0, 8, 6, 4, 0.1, 0], lloq=0.1).tlast_d == 14  # at the limit is quantifiable


def test_middle_zero_is_a_choice():
    times, values = [0, 1, 3, 7, 10, 28], [0, 20, 35, 0, 9, 1]
    assert cm.nca(times, values, middle="zero").flags[0] == "MID_BLQ_ZERO"
    assert cm.nca(times, values, middle="zero").auc_0_28d < cm.nca(times, values).auc_0_28d


def test_a_long_unseen_tail_is_not_calculated():
    result = cm.nca([0, 1, 2, 3, 4], [0, 10, 9, 8, 7])
    assert result.auc_0_28d is None and result.auc_0_28d_status == "NOT_CALCULATED"
    assert {"TAIL_NOT_EXTRAPOLATED", "EXTRAPOLATED_GT_20"} <= set(result.flags)


def test_only_samples_before_the_infusion():
    result = cm.nca([-3, -1], [0, 0])
    assert result.cmax is None and result.auc_0_28d is None and "NO_POSTDOSE" in result.flags


@st.composite
def courses(draw):
    """A blood course of two infusions, sampled anywhere; some values below the limit."""
    second = draw(st.floats(5, 9))
    first_times = draw(st.lists(st.floats(0.01, 4.0), min_size=1, max_size=5, unique=True))
    later = draw(st.lists(st.floats(second + 0.01, 60), min_size=2, max_size=8, unique=True))
    times = sorted({-1.0, *first_times, second - 0.5, *later})
    values = draw(st.lists(st.one_of(st.just(0.0), st.floats(0.01, 1000)), min_size=len(times), max_size=len(times)))
    return times, values, second


@settings(max_examples=200, deadline=None)
@given(courses())
def test_the_areas_of_both_infusions_add_up(course):
    times, values, second = course
    result = cm.nca(times, values, infusions_d=(0.0, second))
    if result.auc_0_28d is None:
        assert result.auc_by_dose[1] is None
        return
    first, later = result.auc_by_dose
    assert first + later == pytest.approx(result.auc_0_28d, rel=1e-9, abs=1e-9)
    assert first >= 0 and later >= -1e-9
    assert max(result.cmax_by_dose) == result.cmax or values[0] == result.cmax


@settings(max_examples=200, deadline=None)
@given(courses(), st.integers(-10, 10))
def test_scaling_the_values_scales_peak_and_areas(course, power):
    # A power of two, so that no two values meet by rounding.
    factor = 2.0**power
    times, values, second = course
    plain = cm.nca(times, values, infusions_d=(0.0, second))
    scaled = cm.nca(times, [v * factor for v in values], infusions_d=(0.0, second))
    for name in ("cmax", "auc_last", "auc_0_28d", "auc_all"):
        before, after = getattr(plain, name), getattr(scaled, name)
        if plain.auc_0_28d_status == scaled.auc_0_28d_status:
            assert (before is None) == (after is None)
            assert before is None or after == pytest.approx(before * factor, rel=1e-9, abs=1e-12)
    assert scaled.tmax_d == plain.tmax_d and scaled.tlast_d == plain.tlast_d


@settings(max_examples=100, deadline=None)
@given(courses(), st.randoms(use_true_random=False))
def test_the_order_of_the_samples_does_not_matter(course, random):
    times, values, second = course
    order = list(range(len(times)))
    random.shuffle(order)
    shuffled = cm.nca([times[i] for i in order], [values[i] for i in order], infusions_d=(0.0, second))
    assert shuffled == cm.nca(times, values, infusions_d=(0.0, second))
