"""Response by IMWG 2016 and the criteria of plasma cell leukaemia, through ``cm.respond``."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cytomrd as cm
from cytomrd.errors import QuantificationError
from cytomrd.trial.response.criteria import LEVELS, read_criteria

MYELOMA = {"serum": 30, "urine": 0, "iflc": 50, "uflc": 10, "ratio_normal": False, "bm": 40, "spd": 0}
LIGHT_CHAIN = {"serum": 0, "urine": 50, "iflc": 800, "uflc": 10, "ratio_normal": False, "bm": 60, "spd": 0}
COMPLETE = {"serum": 0, "sife": "NEG", "urine": 0, "uife": "NEG", "bm": 2}
LEUKAEMIA = {**MYELOMA, "bm": 60, "blood_pc_percent": 20}


def serum(*values, **more):
    """Visits with these serum M proteins and no urine protein."""
    return [{"serum": v, "urine": 0, "uife": "NEG", **more} for v in values]


def test_shared_cases(shared_data):
    cases = json.loads((shared_data / "clinical" / "response" / "timepoint_cases.json").read_text())
    names = {"S": "serum", "U": "urine", "F": "flc", "B": "marrow"}
    for case in cases:
        found = cm.respond(case["baseline"], case["visits"])
        assert list(found.levels) == case["expected_timepoint"], case["case_id"]
        assert found.best_response == case["expected_bor"], case["case_id"]
        assert found.pd_visit_index == case["expected_pd_visit_index"], case["case_id"]
        assert found.measurable == tuple(names[m] for m in case["measurable"]), case["case_id"]
        assert all(found.reasons), f"{case['case_id']}: a level without a reason"
    assert len(cases) == 22


@pytest.mark.parametrize(
    ("baseline", "measurable"),
    [
        ({"serum": 10}, ("serum",)),
        ({"serum": 9.9}, ()),
        ({"serum": 10, "urine": 200}, ("serum", "urine")),
        ({"serum": 2, "urine": 200, "iflc": 900, "uflc": 1, "ratio_normal": False}, ("urine",)),
        ({"serum": 2, "iflc": 100, "uflc": 1, "ratio_normal": False, "bm": 50}, ("flc",)),
        ({"serum": 2, "iflc": 100, "uflc": 90, "ratio_normal": True, "bm": 50}, ("marrow",)),
        ({"serum": 2, "iflc": 99, "uflc": 1, "ratio_normal": False, "bm": 10}, ("marrow",)),
        ({"serum": 0, "bm": 9}, ()),
        ({"serum": 2, "heavy_chain": "IGD", "igd_above_normal": True}, ("serum",)),
        ({"serum": 2, "heavy_chain": "IGD", "igd_above_normal": False}, ()),
    ],
)
def test_measurable(baseline, measurable):
    assert cm.respond(baseline, []).measurable == measurable


def test_a_study_changes_single_thresholds():
    trial = read_criteria("imwg-2016", {"measurable_serum_g_per_l": 5})
    assert cm.respond({"serum": 6}, [{"serum": 3}]).levels == ("NE",)
    assert cm.respond({"serum": 6}, [{"serum": 3}], criteria=trial).levels == ("PR",)
    with pytest.raises(QuantificationError, match="pr_serum_drop"):
        read_criteria("imwg-2016", {"pr_serum_drop": 0.4})
    with pytest.raises(QuantificationError, match="imwg-2011"):
        cm.respond({}, [], criteria="imwg-2011")


@pytest.mark.parametrize(
    ("visit", "level"),
    [
        ({"serum": 3.01, "urine": 0}, "PR"),
        ({"serum": 3, "urine": 99}, "VGPR"),
        ({"serum": 3, "urine": 100}, "PR"),
        ({"serum": 3}, "PR"),
        ({"serum": 3, "uife": "NEG"}, "VGPR"),
        ({"serum": 22.6, "urine": 0}, "SD"),
        ({**COMPLETE, "bm": None}, "VGPR"),
        ({**COMPLETE, "uife": None}, "VGPR"),
        ({**COMPLETE, "sife": "POS"}, "VGPR"),
        (COMPLETE, "CR"),
        ({**COMPLETE, "spd": 10}, "PD"),
        ({**COMPLETE, "new_lesion": True}, "PD"),
        ({**COMPLETE, "ratio_normal": True, "clonal_bm": "ABSENT"}, "sCR"),
        ({**COMPLETE, "ratio_normal": False, "clonal_bm": "ABSENT"}, "CR"),
        ({**COMPLETE, "ratio_normal": True, "clonal_bm": "NE"}, "CR"),
        ({**COMPLETE, "serum": None}, "NE"),
        ({}, "NE"),
    ],
)
def test_level_by_serum(visit, level):
    assert cm.respond(MYELOMA, [visit]).levels == (level,)


@pytest.mark.parametrize(
    ("urine", "level"), [(100, "PR"), (99, "VGPR"), (199, "PR"), (200, "PR"), (201, "MR"), (1000, "MR"), (1001, "SD")]
)
def test_level_by_urine(urine, level):
    assert cm.respond({"urine": 2000}, [{"urine": urine}]).levels == (level,)


def test_the_lowest_parameter_counts_and_none_may_be_missing():
    baseline = {"serum": 30, "urine": 1000}
    assert cm.respond(baseline, [{"serum": 20, "urine": 50}]).levels == ("MR",)
    assert cm.respond(baseline, [{"serum": 2}]).levels == ("NE",)


def test_light_chain_disease_needs_the_ratio_for_cr():
    visit = {**COMPLETE, "iflc": 20, "uflc": 15}
    assert cm.respond(LIGHT_CHAIN, [{**visit, "ratio_normal": True}]).levels == ("CR",)
    assert cm.respond(LIGHT_CHAIN, [{**visit, "ratio_normal": False}]).levels == ("VGPR",)
    assert cm.respond(LIGHT_CHAIN, [{"iflc": 20}]).levels == ("NE",)


def test_marrow_alone():
    assert cm.respond({"bm": 30}, [{"bm": 15}]).levels == ("PR",)
    assert cm.respond({"bm": 29}, [{"bm": 14}]).levels == ("SD",)
    assert cm.respond({"bm": 30}, [{**COMPLETE, "bm": 4}]).levels == ("CR",)


def test_a_plasmacytoma_must_shrink_and_be_looked_at():
    baseline = {**MYELOMA, "spd": 900}
    assert cm.respond(baseline, serum(12, spd=450)).levels == ("PR",)
    assert cm.respond(baseline, serum(20, spd=451)).levels == ("SD",)
    assert cm.respond(baseline, serum(12)).levels == ("NE",)
    assert cm.respond(baseline, serum(28)).levels == ("SD",), "no response is claimed, so none has to be shown"
    assert cm.respond(baseline, [{**COMPLETE, "spd": 100}]).levels == ("VGPR",)
    assert cm.respond(baseline, [{**COMPLETE, "spd": 0}]).levels == ("CR",)


@pytest.mark.parametrize(
    ("baseline", "before", "now", "pd"),
    [
        (MYELOMA, {"serum": 20}, {"serum": 25}, True),
        (MYELOMA, {"serum": 20.2}, {"serum": 25.2}, False),  # +24.8 %
        (MYELOMA, {"serum": 10.1}, {"serum": 15.1}, True),  # 15.1 - 10.1 is 4.999... in binary
        (MYELOMA, {"serum": 10}, {"serum": 14.9}, False),
        ({**MYELOMA, "serum": 60}, {"serum": 50}, {"serum": 60}, True),
        ({**MYELOMA, "serum": 60}, {"serum": 49.9}, {"serum": 60}, False),
        (MYELOMA, {"serum": 0}, {"serum": 5}, True),
        (MYELOMA, {"serum": 0}, {"serum": 4.9}, False),
        (MYELOMA, {"serum": 30, "urine": 0}, {"serum": 30, "urine": 200}, True),
        (MYELOMA, {"serum": 30, "urine": 0}, {"serum": 30, "urine": 199}, False),
        (MYELOMA, {"iflc": 50, "uflc": 10}, {"serum": 30, "iflc": 900, "uflc": 10}, False),
        (LIGHT_CHAIN, {"iflc": 110, "uflc": 10}, {"iflc": 211, "uflc": 10}, True),
        (LIGHT_CHAIN, {"iflc": 110, "uflc": 10}, {"iflc": 210, "uflc": 10}, False),
        (LIGHT_CHAIN, {"bm": 10}, {"bm": 60, "iflc": 800, "uflc": 10}, False),
        ({"bm": 40}, {"bm": 20}, {"bm": 30}, True),
        ({"bm": 40}, {"bm": 20}, {"bm": 29}, False),
        ({**MYELOMA, "spd": 400}, {"spd": 200}, {"spd": 300, "serum": 30}, True),
        ({**MYELOMA, "spd": 400}, {"spd": 200}, {"spd": 299, "serum": 30}, False),
        (MYELOMA, {"longest_diameter_mm": 12}, {"longest_diameter_mm": 18, "serum": 30}, True),
        (MYELOMA, {"longest_diameter_mm": 10}, {"longest_diameter_mm": 18, "serum": 30}, False),
        ({}, {"circulating_pc_per_ul": 300}, {"circulating_pc_per_ul": 500}, True),
        ({}, {"circulating_pc_per_ul": 300}, {"circulating_pc_per_ul": 499}, False),
        (MYELOMA, {"circulating_pc_per_ul": 300}, {"circulating_pc_per_ul": 900, "serum": 30}, False),
    ],
)
def test_progression(baseline, before, now, pd):
    assert (cm.respond(baseline, [before, now]).levels[1] == "PD") is pd


def test_spurious_values_set_no_nadir():
    visits = serum(25, 10, 26)
    assert cm.respond(MYELOMA, visits).levels[2] == "PD"
    visits[1]["spurious"] = ["serum"]
    assert cm.respond(MYELOMA, visits).levels[2] == "SD"
    visits[1]["spurious"] = True
    assert cm.respond(MYELOMA, visits).levels[2] == "SD"


def test_a_confirmed_nadir_can_be_asked_for():
    twice = read_criteria("imwg-2016", {"nadir": "confirmed"})
    assert cm.respond(MYELOMA, serum(10, 16)).levels == ("PR", "PD")
    assert cm.respond(MYELOMA, serum(10, 16), criteria=twice).levels == ("PR", "MR")
    assert cm.respond(MYELOMA, serum(10, 11, 16), criteria=twice).levels == ("PR", "PR", "PD")


def test_progression_by_bloods_waits_for_a_second_one():
    assert cm.respond(MYELOMA, serum(10, 10, 16)).pd_visit_index is None
    assert cm.respond(MYELOMA, serum(10, 10, 16, 10)).pd_visit_index is None
    assert cm.respond(MYELOMA, serum(10, 10, 16, None, 16)).pd_visit_index == 2
    assert cm.respond(MYELOMA, serum(10, 10, 16), died_of_progression=True).pd_visit_index == 2
    assert cm.respond(MYELOMA, serum(10, 10, 16, 10), died_of_progression=True).pd_visit_index is None
    assert cm.respond(MYELOMA, [*serum(10, 10), {"new_lesion": True}]).pd_visit_index == 2


def test_best_response_comes_before_progression():
    assert cm.respond(MYELOMA, serum(38, 39)).best_response == "PD"
    assert cm.respond(MYELOMA, serum(38, 39, 10, 10)).best_response == "PD"
    assert cm.respond(MYELOMA, serum(10, 16, 17)).best_response == "SD", "PR was not confirmed"
    assert cm.respond(MYELOMA, serum(10)).best_response == "SD"
    assert cm.respond(MYELOMA, []).best_response == "NE"
    found = cm.respond(MYELOMA, serum(20, 12, 2, 2, 1))
    assert (found.best_response, found.best_response_index, found.onset_index) == ("VGPR", 2, 1)


def test_the_marrow_is_not_repeated_to_confirm():
    again = {k: v for k, v in COMPLETE.items() if k != "bm"}
    found = cm.respond(MYELOMA, [COMPLETE, again])
    assert (found.levels, found.confirmed[0]) == (("CR", "VGPR"), "CR")
    imaged = cm.respond({**MYELOMA, "spd": 900}, [*serum(10, spd=100), *serum(10)])
    assert (imaged.levels, imaged.confirmed[0]) == (("PR", "NE"), "PR")


def test_relapse_from_cr_is_not_progression():
    found = cm.respond(MYELOMA, [COMPLETE, COMPLETE, {**COMPLETE, "sife": "POS"}, COMPLETE])
    assert (found.cr_relapse_index, found.pd_visit_index, found.best_response) == (2, None, "CR")
    assert cm.respond(MYELOMA, serum(0, 0, 1)).cr_relapse_index is None


def test_a_new_therapy_ends_the_assessments():
    visits = [{**v, "date": 28 * (i + 1)} for i, v in enumerate(serum(12, 11, 2, 2))]
    assert cm.respond(MYELOMA, visits).best_response == "VGPR"
    found = cm.respond(MYELOMA, visits, new_therapy=60)
    assert (found.levels, found.best_response) == (("PR", "PR"), "PR")
    assert cm.respond(MYELOMA, visits, new_therapy=56).levels == ("PR", "PR"), "that day's bloods came before it"
    assert cm.respond(MYELOMA, visits, new_therapy=50).best_response == "SD"


def test_best_response_by_a_cutoff_counts_its_beginning():
    visits = [{**v, "date": 28 * (i + 1)} for i, v in enumerate(serum(20, 20, 12, 11, 2, 2))]
    found = cm.respond(MYELOMA, visits)
    assert [found.best_response_by(d) for d in (83, 84, 140)] == ["MR", "PR", "VGPR"]
    assert (found.onset_date, found.pd_date) == (84, None)


LEUKAEMIA_CR = {**COMPLETE, "blood_pc_percent": 0}


@pytest.mark.parametrize(
    ("visit", "level"),
    [
        ({"serum": 3, "urine": 0, "bm": 4, "blood_pc_percent": 0}, "VGPR"),
        ({"serum": 3, "urine": 0, "bm": 5, "blood_pc_percent": 0}, "PR"),
        ({"serum": 3, "urine": 0, "bm": 4, "blood_pc_percent": 1}, "PR"),
        ({"serum": 12, "urine": 0, "bm": 25, "blood_pc_percent": 5}, "PR"),
        ({"serum": 12, "urine": 0, "bm": 26, "blood_pc_percent": 5}, "SD"),
        ({"serum": 12, "urine": 0, "bm": 25, "blood_pc_percent": 6}, "SD"),
        ({"serum": 20, "urine": 0, "bm": 4, "blood_pc_percent": 0}, "SD"),
        ({"serum": 3, "urine": 0, "blood_pc_percent": 0}, "PR"),
        ({"serum": 12, "urine": 0, "bm": 25}, "SD"),
        (LEUKAEMIA_CR, "CR"),
        ({**LEUKAEMIA_CR, "ratio_normal": True, "clonal_bm": "ABSENT"}, "CR"),
        ({**LEUKAEMIA_CR, "ratio_normal": True, "bm_flow_negative": True, "blood_flow_negative": True}, "sCR"),
        ({**LEUKAEMIA_CR, "ratio_normal": True, "bm_flow_negative": True, "blood_flow_negative": False}, "CR"),
        ({"serum": 30, "bm": 70, "blood_pc_percent": 20}, "PD"),
        ({"serum": 30, "bm": 60, "blood_pc_percent": 25.1}, "PD"),
        ({"serum": 30, "bm": 60, "blood_pc_percent": 25}, "SD"),
        ({"serum": 37.5, "bm": 60, "blood_pc_percent": 20}, "SD"),  # more than 25 %, not at least
        ({"serum": 37.6, "bm": 60, "blood_pc_percent": 20}, "PD"),
    ],
)
def test_plasma_cell_leukaemia(visit, level):
    assert cm.respond(LEUKAEMIA, [visit], criteria="pcl-imwg").levels == (level,)


def test_plasma_cell_leukaemia_asks_urine_for_the_fall_and_the_value():
    blood = {"bm": 10, "blood_pc_percent": 2}
    for before, now, level in ((1000, 150, "SD"), (2500, 240, "SD"), (1800, 170, "PR"), (1000, 90, "PR")):
        found = cm.respond({"urine": before, **blood}, [{"urine": now, **blood}], criteria="pcl-imwg")
        assert found.levels == (level,), (before, now)


amount = st.sampled_from([None, 0, 2, 3, 5, 9, 10, 14, 15, 16, 20, 25, 30, 36, 41])
visit = st.fixed_dictionaries(
    {
        "serum": amount,
        "urine": st.sampled_from([0, 0, 0, None, 150, 250]),
        "sife": st.sampled_from([None, "POS", "NEG"]),
        "uife": st.sampled_from([None, "NEG", "NEG", "POS"]),
        "bm": st.sampled_from([None, 1, 4, 5, 30]),
        "spd": st.sampled_from([None, None, 0, 100, 500]),
        "ratio_normal": st.sampled_from([None, True, False]),
        "clonal_bm": st.sampled_from([None, "ABSENT", "PRESENT"]),
        "new_lesion": st.sampled_from([None, None, None, False, True]),
        "blood_pc_percent": st.sampled_from([None, 0, 2]),
    }
)
courses = st.lists(visit, min_size=1, max_size=7).map(
    lambda visits: [{**v, "date": date(2026, 1, 1) + timedelta(days=28 * i)} for i, v in enumerate(visits)]
)
baselines = st.sampled_from([MYELOMA, {**MYELOMA, "spd": 400}, {**MYELOMA, "urine": 900}])
criteria = st.sampled_from(["imwg-2016", "pcl-imwg"])


@given(baselines, courses, criteria, st.randoms())
@settings(max_examples=150, deadline=None)
def test_response_does_not_depend_on_row_order(baseline, visits, criteria, random):
    shuffled = random.sample(visits, len(visits))
    assert cm.respond(baseline, shuffled, criteria=criteria) == cm.respond(baseline, visits, criteria=criteria)


@given(baselines, courses, criteria)
@settings(max_examples=300, deadline=None)
def test_a_later_visit_never_changes_an_earlier_confirmed_date(baseline, visits, criteria):
    whole = cm.respond(baseline, visits, criteria=criteria)
    for n in range(1, len(visits)):
        part = cm.respond(baseline, visits[:n], criteria=criteria)
        assert part.levels == whole.levels[:n]
        assert part.pd_date in (None, whole.pd_date)
        assert part.onset_date in (None, whole.onset_date)
        # What was confirmed stays; only what awaited its second assessment may change.
        awaiting = ("NOT_CONFIRMED",)
        for before, after in zip(part.visits, whole.visits, strict=False):
            if before.confirmed != after.confirmed:
                assert before.reasons[-1].rule in awaiting


@given(baselines, courses, criteria)
@settings(max_examples=150, deadline=None)
def test_no_confirmed_response_is_better_than_what_was_seen(baseline, visits, criteria):
    found = cm.respond(baseline, visits, criteria=criteria)
    for v in found.visits:
        assert v.reasons
        if v.level not in ("PD", "NE"):
            assert LEVELS.index("SD") <= LEVELS.index(v.confirmed) <= LEVELS.index(v.level)
    if found.best_response in LEVELS[2:]:
        later = visits[found.best_response_index :]
        assert sum(v["serum"] is not None for v in later) >= 2, "nothing is confirmed by one assessment"


@given(st.floats(0, 30), st.floats(0, 4.99))
@settings(max_examples=60, deadline=None)
def test_progression_needs_the_absolute_rise(nadir, rise):
    nadir, rise = round(nadir, 1), round(rise, 2)
    assert cm.respond(MYELOMA, serum(nadir, nadir + rise)).levels[1] != "PD"
    assert cm.respond(MYELOMA, serum(0, 0, rise)).levels[2] != "PD"


@pytest.mark.parametrize(
    ("baseline", "visits", "names"),
    [
        ({"serum": -1}, [], "serum"),
        ({"serum": float("nan")}, [], "serum"),
        ({"serum": "12"}, [], "serum"),
        ({"bm": 101}, [], "bm"),
        ({"sife": "MAYBE"}, [], "sife"),
        ({"M": 3}, [], "M"),
        ({"spurious": ["blood"]}, [], "blood"),
        ({}, [{"date": 3}, {"date": 3}], "3"),
        ({}, [{"date": 3}, {}], "no date"),
        ({}, [{"date": 3}, {"date": date(2026, 1, 1)}], "date"),
        ({"date": 5}, [{"date": 3}], "baseline"),
        ({"clonal_bm": "NONE"}, [], "clonal_bm"),
        ({"new_lesion": "N"}, [], "new_lesion"),
    ],
)
def test_impossible_assessments_are_refused(baseline, visits, names):
    with pytest.raises(QuantificationError, match=names):
        cm.respond(baseline, visits)


def test_immunofixation_is_understood_in_full_words():
    long = {"sife": "NEGATIVE", "uife": "negative"}
    assert cm.respond(MYELOMA, [{**COMPLETE, **long}]).levels == ("CR",)
