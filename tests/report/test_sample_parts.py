"""Parts of the page of a sample: light chains, marrow cells, quality, series, and why there is no number."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from report.factory import CAR_PANEL, batch, car_sample, mrd_sample

from cytomrd.car_nk.quantify import quantify_car_nk
from cytomrd.report.light_chains import chain_counts, chain_ratios, ratio_words
from cytomrd.report.marrow import marrow_view
from cytomrd.report.plasma import plasma_view
from cytomrd.report.quality import draw_lanes, quality_views
from cytomrd.report.render import SERIES_PLACE, render_report
from cytomrd.report.verdict import describe_sample
from cytomrd.run.model import RunResult


def run_of(*samples) -> RunResult:
    return RunResult("/data/run", samples, (), {})


def test_kappa_and_lambda_are_drawn_for_each_clone_alone():
    sample = mrd_sample(n_clonal=40)
    tube = sample.files[1]
    labels = np.where(tube.rare[0].labels == 1, 1 + (np.arange(len(tube.rare[0].labels)) % 2), tube.rare[0].labels)
    tube = replace(tube, rare=(replace(tube.rare[0], labels=labels),))
    sample = replace(sample, files=(sample.files[0], tube))
    tube_2 = plasma_view(run_of(sample), sample)["tubes"][1]
    pairs = {p["title"]: p for p in tube_2["pairs"] if p["title"].startswith("Kappa")}
    assert list(pairs) == [
        "Kappa against lambda", "Kappa against lambda, clone 1", "Kappa against lambda, clone 2",
        "Kappa against lambda, normal",
    ]  # fmt: skip
    for name, label in (("clone 1", 1), ("clone 2", 2)):
        svg = pairs[f"Kappa against lambda, {name}"]["plot"]
        assert f'class="dot clonal" data-n="{int((labels == label).sum())}"' in svg
        assert "dot normal" not in svg


def test_a_ratio_without_an_upper_end_says_so():
    sample = mrd_sample()
    clonal, normal = (c.restriction for c in sample.clones.clusters)
    assert ratio_words(clonal) == "29.0 (at least 3.40)"
    assert ratio_words(normal) == "1.54 (1.22–1.95)"
    assert chain_counts(sample) == "14 kappa, 0 lambda cells"
    assert chain_counts(mrd_sample(n_clonal=0)) == "182 kappa, 118 lambda cells"


def test_ratios_of_clusters_name_their_cells_and_the_normal_range():
    view = chain_ratios(mrd_sample())
    assert ">clonal\u00a01, 14 : 0<" in view["plot"]
    assert view["note"].startswith("shaded: normal, 0.5 to 4")
    assert chain_ratios(replace(mrd_sample(), clones=None)) is None


def test_marrow_cells_stand_against_their_range():
    view = marrow_view(mrd_sample(hemodilution="hemodiluted", n_nucleated=1_800_000))
    assert [row[0] for row in view["table"].rows] == ["Mast cells", "Nucleated red cells", "B precursors (hematogones)"]
    assert {row[-1] for row in view["table"].rows} == {"low"}
    assert view["table"].rows[1][1:4] == ("1,440", "0.080% (0.076–0.084%)", "0.50% to 40.0%")
    assert marrow_view(car_sample()) is None


def test_quality_shows_gaps_in_time_and_the_largest_spill():
    file = mrd_sample().files[0]
    lanes, matrix = quality_views(file)
    assert lanes["plot"].count('class="rate"') == 2 * len(file.quality.markers), "the stretch without events is a gap"
    assert 'class="removed"' in lanes["plot"]
    assert matrix["note"].startswith("largest: CD27 into CD38 +2.1%, look at it")
    assert 'class="heat untold"' in matrix["plot"]
    assert "nan" not in lanes["plot"] + matrix["plot"]
    assert quality_views(replace(file, quality=None)) == []


def test_a_lane_leaves_its_middle_as_its_median_does():
    quality = mrd_sample().files[0].quality
    medians = np.full((60, 1), 0.4)
    medians[30:, 0] = 0.4 + 0.03
    one = replace(quality, markers=("CD38",), medians=medians)
    svg = draw_lanes(one, ())
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", re.search(r'class="rate" d="([^"]*)"', svg)[1])]
    assert heights[0] - heights[-1] == pytest.approx(0.03 / 0.06 * (17 / 2 - 1), abs=0.11)


def test_nothing_to_tell_of_spill_draws_no_matrix():
    file = mrd_sample().files[0]
    n = len(file.quality.spill_markers)
    untold = np.where(np.eye(n, dtype=bool), 0.0, np.nan)
    assert len(quality_views(replace(file, quality=replace(file.quality, spill=untold)))) == 1


def test_each_sample_shows_its_subjects_visits_with_its_own_ringed():
    html = render_report(batch())
    assert SERIES_PLACE in html, "samples without other visits keep an empty place"
    articles = dict(re.findall(r'<article class="sample [^"]*" id="(s\d+)"(.*?)</article>', html, re.S))
    shown = {anchor: text.count("This subject") for anchor, text in articles.items()}
    assert sum(shown.values()) == 8
    assert all(text.count('class="current"') == shown[anchor] for anchor, text in articles.items())


def test_a_refused_car_nk_result_says_why_and_what_would_allow_it():
    result = quantify_car_nk(210_000, 18_400, 412, background=None, spec=CAR_PANEL.car_nk)
    verdict = describe_sample(replace(car_sample(), car_nk=result, flags=result.flags))
    assert verdict.sentence.startswith("CAR+ NK cells not evaluable: no pre-infusion sample, FMO, isotype")
    assert verdict.numbers[0].endswith("would make it evaluable.")


def test_a_held_result_keeps_its_capitals():
    assert describe_sample(mrd_sample(held=("x",))).word == "Held · positive, below LLOQ"
