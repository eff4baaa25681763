"""The figures of the demo study: every mark is there, says what it is, and stands where its value is."""

from __future__ import annotations

import re

import pytest
from lxml import etree

from cytomrd.trial.figures.axes import Panel, dose_words, limits_of
from cytomrd.trial.figures.exposure import car_points
from cytomrd.trial.figures.response import best_change
from cytomrd.trial.figures.style import figure_css, standalone
from cytomrd.trial.figures.survival import _steps
from cytomrd.trial.response.from_study import study_responses
from cytomrd.trial.study import read_study
from cytomrd.trial.table import FIGURES, OUTCOMES, outcome_figures

EXPECTED = {
    "car_nk_blood_individual", "car_nk_blood_mean", "car_nk_bone_marrow_individual", "car_nk_bone_marrow_mean",
    "cytokines", "clonal_plasma_cells", "km_os", "km_pfs", "km_dor", "km_mrdneg", "km_persist", "waterfall", "swimmer",
    "cmax_response",
}  # fmt: skip


@pytest.fixture(scope="module")
def study(true_study):
    return read_study(true_study)


@pytest.fixture(scope="module")
def figures(study):
    return {f.id: f for outcome in OUTCOMES for f in outcome_figures(outcome, study)}


def titles(svg: str) -> list[str]:
    return [e.text for e in etree.fromstring(svg).iter("title")]


def test_every_figure_of_the_study_is_there(figures):
    assert set(figures) == EXPECTED
    assert set(FIGURES) <= {outcome.number for outcome in OUTCOMES}


def test_every_figure_stands_alone(figures):
    for figure in figures.values():
        root = etree.fromstring(standalone(figure.svg).encode())
        assert root.get("role") == "img" and root.get("aria-label")
        assert "http" not in figure.svg and "NaN" not in figure.svg
        used = {c for e in root.iter() for c in (e.get("class") or "").split()}
        known = set(re.findall(r"\.([a-z][a-z0-9-]*)", figure_css())) | {"plot", "alone", "paper", "area", "bar"}
        assert used <= known, used - known


def test_every_sample_has_its_mark(study, figures):
    for matrix, name in (("BLOOD", "blood"), ("BONE MARROW", "bone_marrow")):
        points, unit = car_points(study, matrix)
        said = [t for t in titles(figures[f"car_nk_{name}_individual"].svg) if not t.startswith("infusion")]
        assert len(said) == len(points) == (study.flow_car_nk["MATRIX"] == matrix).sum()
        assert sum("<" in t for t in said) == sum(not p.quantified for p in points)
        assert all(unit in t for t in said)


def test_below_the_limit_stands_at_half_of_it(study):
    points, unit = car_points(study, "BLOOD")
    assert unit == "cells/µL"
    rows = study.flow_car_nk.set_index("sample_id")
    low = [p for p in points if not p.quantified]
    limits = {(r.USUBJID, r.VISIT): r.lloq_cells_per_ul for r in rows[rows["MATRIX"] == "BLOOD"].itertuples()}
    assert low and all(p.value == limits[p.usubjid, p.visit] / 2 for p in low)


def test_the_waterfall_falls_as_the_disease_does(study, figures):
    changes = {c.subject[-3:]: c for c in map(best_change, study_responses(study)) if c}
    assert changes["301"].percent == -100 and changes["103"].percent == pytest.approx(-38)
    assert changes["102"].percent > 25 and changes["306"].parameter == "marrow"
    assert "305" not in changes
    assert "305" in figures["waterfall"].notes[-1]


def test_the_swimmer_has_every_subject(study, figures):
    texts = [e.text for e in etree.fromstring(figures["swimmer"].svg).iter("text")]
    assert {s[-3:] for s in study.treated} <= set(texts)


def test_at_risk_begins_with_everybody(figures):
    texts = [e.text for e in etree.fromstring(figures["km_os"].svg).iter("text")]
    assert texts[texts.index("All") + 1] == "18"
    assert any(t.startswith("median") for t in texts)


def test_marrows_that_say_nothing_are_crosses(study, figures):
    said = titles(figures["clonal_plasma_cells"].svg)
    assert sum("not evaluable" in t for t in said) == (study.flow_mrd["status"] == "NOT_EVALUABLE").sum()
    assert sum("LOD" in t for t in said) == len(study.flow_mrd)


def test_words_and_limits():
    assert dose_words(1.5e8) == "1.5 × 10⁸"
    assert limits_of([3.0, 130.0], log=True) == (2.0, 200.0)
    assert limits_of([], log=True) == (1.0, 10.0)
    assert limits_of([5.0, 5.0], log=False) == (5.0, 6.0)
    assert _steps([2.0], [0.5], 4.0) == ([0.0, 2.0, 2.0, 4.0], [1.0, 1.0, 0.5, 0.5])


def test_a_logarithmic_axis_places_decades_evenly():
    from cytomrd.report.svg import Drawing

    panel = Panel(Drawing(100, 100, "x"), left=0, top=0, width=100, height=100, x=(0, 10), y=(1, 100), log_y=True)
    assert [panel.up(v) for v in (1, 10, 100)] == [100, 50, 0]
    assert panel.up(0) == 100  # what cannot be drawn stands on the edge


def test_only_a_figure_can_stand_alone():
    with pytest.raises(ValueError, match="<svg>"):
        standalone("<p>no figure</p>")
