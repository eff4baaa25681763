"""The verdict sentence of every status."""

from __future__ import annotations

from dataclasses import replace

import pytest
from report.factory import car_sample, failed_sample, mrd_sample

from cytomrd.report.sample_words import flag_words, result_words
from cytomrd.report.verdict import NEEDS, describe_sample


def test_positive_below_lloq_says_the_sentence_of_the_specification():
    verdict = describe_sample(mrd_sample(n_clonal=31, n_nucleated=3_020_000))
    assert verdict.need == "positive"
    assert verdict.sentence == "MRD positive, below the limit of quantification."
    assert (
        verdict.numbers[0] == "31 clonal plasma cells in 3.02 million nucleated cells: 1.03 × 10⁻⁵ (0.70–1.46 × 10⁻⁵)."
    )
    assert verdict.numbers[1] == "This sample could detect 6.6 × 10⁻⁶ and quantify 1.7 × 10⁻⁵."
    assert verdict.numbers[2].startswith("Kappa-restricted, CD19- CD56+")


def test_positive():
    verdict = describe_sample(mrd_sample(n_clonal=900))
    assert (verdict.word, verdict.sentence) == ("Positive", "MRD positive.")


def test_detected_yet_below_the_threshold_says_both_readings():
    verdict = describe_sample(mrd_sample(n_clonal=20, n_nucleated=10_000_000, n_normal=60))
    assert any("yet below 10⁻⁵" in n and "IMWG" in n for n in verdict.numbers)


def test_negative_says_what_it_excludes():
    sample = mrd_sample(n_clonal=4, n_nucleated=3_020_000)
    verdict = describe_sample(sample)
    assert verdict.sentence == (
        "MRD negative: fewer than 20 clonal plasma cells in 3.02 million nucleated cells, below 6.6 × 10⁻⁶."
    )
    assert result_words(sample) == "< 6.6 × 10⁻⁶"


def test_negative_with_a_high_blank_excludes_less():
    verdict = describe_sample(mrd_sample(n_clonal=4, n_nucleated=4_000_000, lob_events=24))
    assert "fewer than 25 clonal plasma cells in 4.00 million nucleated cells, below 6.2 × 10⁻⁶" in verdict.sentence
    assert any("limit of blank is 24 events" in n for n in verdict.numbers)


def test_not_evaluable_says_what_would_make_it_so():
    verdict = describe_sample(mrd_sample(n_clonal=3, n_nucleated=1_800_000))
    assert verdict.need == "not-evaluable"
    assert verdict.numbers[0] == "1.20 million more nucleated cells would make it evaluable."
    assert "cannot prove an absence" in verdict.sentence


def test_hemodiluted_asks_for_a_first_pull():
    verdict = describe_sample(mrd_sample(n_clonal=3, n_nucleated=5_000_000, hemodilution="hemodiluted"))
    assert verdict.sentence == "MRD not evaluable: the aspirate is diluted with blood."
    assert verdict.numbers[0] == "A first pull of the aspirate would make it evaluable."


def test_indeterminate_cells_that_would_decide_are_said():
    verdict = describe_sample(mrd_sample(n_clonal=9, n_unsure=30))
    assert verdict.need == "indeterminate"
    assert "30 plasma cells could be called neither normal nor clonal" in verdict.sentence
    assert describe_sample(mrd_sample(n_clonal=9, n_unsure=6)).need == "negative"


def test_held_keeps_its_answer():
    verdict = describe_sample(mrd_sample(n_clonal=900, held=("doublets are 43 %",)))
    assert (verdict.need, verdict.answer, verdict.sentence) == ("held", "positive", "MRD positive.")
    assert verdict.word == "Held · positive"


def test_failed():
    assert describe_sample(failed_sample()).need == "failed"


def test_car_nk_quantified():
    sample = car_sample()
    verdict = describe_sample(sample)
    assert verdict.sentence.startswith("CAR+ NK cells: 22.1 cells/µL (")
    assert verdict.numbers[0].startswith("412 CAR+ cells among 18,400 NK cells (210,000 CD45+ leukocytes): gross 2.24%")
    assert any("counted against beads" in n for n in verdict.numbers)


def test_car_nk_without_an_absolute_count_is_a_fraction():
    verdict = describe_sample(car_sample(absolute=False))
    assert verdict.sentence.endswith("of NK cells.")
    assert "cells/µL" not in verdict.sentence
    assert any("No absolute count" in n for n in verdict.numbers)


@pytest.mark.parametrize(
    ("n_car", "need", "start"), [(45, "positive", "detected, below"), (3, "negative", "not detected")]
)
def test_car_nk_below_its_limits_is_written_as_less_than(n_car, need, start):
    sample = car_sample(n_car=n_car)
    verdict = describe_sample(sample)
    assert verdict.need == need
    assert start in verdict.sentence
    assert "< 2.70 cells/µL" in verdict.sentence
    assert result_words(sample) == "< 2.70 cells/µL"


def test_car_nk_not_evaluable():
    sample = car_sample()
    sample = replace(sample, car_nk=replace(sample.car_nk, status="NOT_EVALUABLE", background_fraction=None))
    assert describe_sample(sample).need == "not-evaluable"


def test_needs_are_in_the_order_of_the_table():
    assert list(NEEDS)[:6] == ["failed", "held", "not-evaluable", "indeterminate", "positive", "negative"]


def test_flags_are_words():
    assert flag_words("FEW_NK: 900 NK cells") == "900 NK cells"
    assert flag_words("CD38: masked") == "CD38: masked" or flag_words("CD38: masked") == "masked"
    assert flag_words("LOW_N") == "low n"
    assert flag_words("ratio 3:1 in tube 2") == "ratio 3:1 in tube 2"
