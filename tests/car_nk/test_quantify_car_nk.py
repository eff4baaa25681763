"""CAR+ NK cells: net of background, per microlitre, status, flags; coverage by simulation."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.car_nk.absolute import DualPlatform, SinglePlatform, Volumetric
from cytomrd.car_nk.background import Background, background_limits, choose_background, net_positive
from cytomrd.car_nk.quantify import quantify_car_nk
from cytomrd.errors import QuantificationError
from cytomrd.panel import CarNkSpec

FMO = Background(20, 20_000, "FMO control")
BEADS = SinglePlatform(10_000, 50_000, "L1", 100.0)


def codes(result):
    return [flag.split(":")[0] for flag in result.flags]


def test_order_of_controls():
    spec = CarNkSpec(reference_background=0.0025, usual_background=(0.0013, 0.0037))
    every = {"isotype": (1, 100), "fmo": (2, 200), "pre_infusion": (3, 300)}
    assert choose_background(every, spec).source.startswith("pre-infusion sample")
    assert choose_background(every, spec).between_cv == pytest.approx(0.24)
    del every["pre_infusion"]
    fmo = choose_background(every, spec)
    assert fmo.source == "FMO control (2 of 200 NK cells), usual 0.25 % of the reagent added"
    assert fmo.fraction == pytest.approx(0.01 + 0.0025)
    every["fmo"] = (0, 0)
    assert choose_background(every, spec).source.startswith("isotype")
    reference = choose_background({}, spec)
    assert reference.source == "panel reference (0.25 %)"
    assert reference.fraction == pytest.approx(0.0025)
    # The usual range read as mean +- 2 SD: 0.06 % as published.
    spread = np.sqrt(reference.fraction * (1 - reference.fraction) / (reference.n_events + 1))
    assert spread == pytest.approx(0.0006, rel=0.01)
    assert choose_background({}, CarNkSpec()) is None
    with pytest.raises(QuantificationError):
        choose_background({"sample": (1, 2)}, spec)


def test_gross_net_and_cells_per_ul():
    result = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=BEADS, n_car_t=7)
    assert (result.gross_fraction, result.background_fraction) == (0.1, 0.001)
    assert result.net_fraction == pytest.approx((0.1 - 0.001) / (1 - 0.001))
    assert result.cells_per_ul == pytest.approx(result.net_fraction * 20_000 * 0.05)
    assert result.cells_per_ul_low < result.cells_per_ul < result.cells_per_ul_high
    assert result.lloq_cells_per_ul == pytest.approx(50 * 0.05)
    assert (result.status, result.method, result.n_car_t, result.flags) == ("QUANTIFIED", "single_platform", 7, ())


def test_interval_per_ul_carries_the_beads():
    many = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=SinglePlatform(50_000, 60_000, "L", 100.0))
    few = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=SinglePlatform(500, 600, "L", 100.0))
    relative = [(r.cells_per_ul_high - r.cells_per_ul_low) / r.cells_per_ul for r in (many, few)]
    assert relative[0] == pytest.approx(2 * 1.96 * np.sqrt(1 / 2_000 + 1 / 50_000), rel=0.05)
    assert relative[1] == pytest.approx(2 * 1.96 * np.sqrt(1 / 2_000 + 1 / 500), rel=0.08)


@pytest.mark.parametrize(
    ("n_car", "status"),
    [(0, "BELOW_LOD"), (30, "BELOW_LOD"), (39, "BELOW_LOD"), (45, "BELOW_LLOQ"), (65, "BELOW_LLOQ"),
     (75, "QUANTIFIED")],
)  # fmt: skip
def test_status_needs_net_events_beyond_the_blank(n_car, status):
    assert quantify_car_nk(100_000, 20_000, n_car, background=FMO).status == status


def test_high_background_raises_the_limit():
    noisy = Background(1_400, 20_000, "FMO control")
    limits = background_limits(200_000, 14_000, noisy)
    assert limits.lloq_events > 1_000
    result = quantify_car_nk(10**6, 200_000, 14_500, background=noisy, absolute=BEADS)
    assert result.net_events > 50
    assert result.status == "BELOW_LOD"
    assert result.lloq_cells_per_ul == pytest.approx(result.lloq_events * 0.05)
    assert {"LLOQ_RAISED", "BACKGROUND_HIGH"} <= set(codes(result))


def test_without_a_control_no_net_number():
    result = quantify_car_nk(200_000, 20_000, 2_000, background=None, absolute=BEADS)
    assert result.status == "NOT_EVALUABLE"
    assert codes(result) == ["NO_CONTROL"]
    for name in ("net_fraction", "ci_low", "ci_high", "cells_per_ul", "cells_per_ul_low", "cells_per_ul_high"):
        assert getattr(result, name) is None
    assert (result.gross_fraction, result.background_source) == (0.1, "none")


def test_no_nk_cells():
    result = quantify_car_nk(1_000, 0, 0, background=FMO, absolute=BEADS)
    assert (result.status, result.gross_fraction, result.cells_per_ul) == ("NOT_EVALUABLE", None, None)
    assert codes(result) == ["NO_NK"]


@pytest.mark.parametrize(
    ("absolute", "code"),
    [
        (SinglePlatform(0, 50_000, "L1", 100.0), "ZERO_BEADS"),
        (SinglePlatform(9, 50_000, None, 100.0), "BEAD_LOT_MISSING"),
        (SinglePlatform(9, 50_000, "L1", 0.0), "VOLUME_INVALID"),
        (DualPlatform(7_000.0, datetime(2024, 1, 1), datetime(2024, 1, 1)), "WBC_UNIT"),
        (DualPlatform(7.0, datetime(2024, 1, 4), datetime(2024, 1, 1)), "CBC_TOO_OLD"),
    ],
)
def test_refused_absolute_counts_leave_the_fraction(absolute, code):
    result = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=absolute)
    assert code in codes(result)
    assert (result.cells_per_ul, result.cells_per_ul_low, result.lloq_cells_per_ul) == (None, None, None)
    assert result.net_fraction is not None
    assert result.status == "QUANTIFIED"


def test_marrow_gives_fractions_unless_volumetric():
    beads = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=BEADS, matrix="BM")
    assert (beads.cells_per_ul, beads.method, codes(beads)) == (None, "none", ["MARROW_FRACTION_ONLY"])
    volume = quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=Volumetric(100.0), matrix="BM")
    assert volume.cells_per_ul == pytest.approx(volume.net_events / 100.0)


def test_flags_of_the_sample():
    drawn = datetime(2024, 5, 2, 9)
    result = quantify_car_nk(
        50_000, 5_000, 900, background=Background(300, 10_000, "isotype control"),
        collected_at=drawn, acquired_at=drawn + timedelta(hours=30), flags=("FIRST: given",),
    )  # fmt: skip
    assert codes(result) == ["FIRST", "FEW_NK", "STORAGE", "BACKGROUND_HIGH"]
    backwards = quantify_car_nk(
        50_000, 20_000, 900, background=FMO, collected_at=drawn, acquired_at=drawn - timedelta(hours=1)
    )
    assert "STORAGE_NEGATIVE" in codes(backwards)


def test_sample_below_its_control_says_that_the_control_does_not_fit():
    result = quantify_car_nk(200_000, 20_000, 3, background=Background(200, 20_000, "FMO control"))
    assert (result.net_fraction, result.ci_low, result.status) == (0.0, 0.0, "BELOW_LOD")
    assert 0 < result.ci_high < 0.001
    assert "BELOW_BACKGROUND" in codes(result)


@pytest.mark.parametrize("counts", [(10, 11, 1), (10, 5, 6), (10, -1, 0), (10.5, 5, 1)])
def test_counts_that_contradict_each_other(counts):
    with pytest.raises(QuantificationError):
        quantify_car_nk(*counts, background=FMO)


@given(st.integers(1, 10**6), st.floats(0, 1), st.integers(1, 10**5), st.floats(0, 0.99))
@settings(max_examples=25, deadline=None)
def test_net_is_a_fraction_within_its_interval(n, share, n_control, b):
    x, k = round(n * share), round(n_control * b)
    net = net_positive(n, x, Background(k, n_control, "control"))
    assert 0 <= net.low <= net.fraction <= net.high <= 1
    # Nothing can be net that was not gross.
    assert net.fraction <= x / n + 1e-12


def test_same_counts_give_the_same_numbers():
    results = [quantify_car_nk(200_000, 20_000, 2_000, background=FMO, absolute=BEADS) for _ in range(2)]
    assert results[0] == results[1]


def _coverage(n_runs, seed, settings_list):
    rng = np.random.default_rng(seed)
    inside = inside_ul = total = quantified = negatives = 0
    bias = []
    for n_nk, b, d in settings_list:
        truth = n_nk * d * 50_000 / 10_000 / 100
        for _ in range(n_runs):
            n = rng.poisson(n_nk)
            true = rng.binomial(n, d)
            x = true + rng.binomial(n - true, b)
            control = Background(int(rng.binomial(20_000, b)), 20_000, "FMO control")
            beads = SinglePlatform(int(rng.poisson(10_000)), 50_000, "L1", 100.0)
            r = quantify_car_nk(10 * n, n, x, background=control, absolute=beads)
            inside += r.ci_low <= d <= r.ci_high
            inside_ul += r.cells_per_ul_low <= truth <= r.cells_per_ul_high
            total += 1
            negatives += d == 0
            quantified += d == 0 and r.status == "QUANTIFIED"
            if d > 0.01:
                bias.append(r.net_fraction / d - 1)
    return inside / total, inside_ul / total, quantified / max(negatives, 1), float(np.mean(bias)) if bias else 0.0


def test_coverage_and_bias_small():
    grid = [(5_000, 0.0025, 0.02), (30_000, 0.0005, 0.002), (30_000, 0.05, 0.3), (30_000, 0.01, 0.0)]
    fraction, per_ul, false, bias = _coverage(25, 4, grid)
    # 100 runs: 0.95 less three standard errors of simulations.
    assert fraction >= 0.88
    assert per_ul >= 0.88
    assert false == 0
    assert abs(bias) < 0.02


@pytest.mark.slow
def test_coverage_and_bias_large():
    grid = [(n, b, d) for n in (3_000, 30_000, 200_000) for b in (0.0002, 0.0025, 0.07) for d in (0, 5e-4, 0.005, 0.5)]
    fraction, per_ul, false, bias = _coverage(120, 5, grid)
    assert fraction >= 0.94
    assert per_ul >= 0.94
    assert false < 0.01
    assert abs(bias) < 0.01


def test_counts_that_cannot_be_defended_give_no_number():
    result = quantify_car_nk(
        100_000, 10_000, 500, background=Background(10, 10_000, "FMO control"),
        absolute=SinglePlatform(10_000, 50_000, "L1", 100.0), refusal="NK_LOST: a cut runs through the NK cells",
    )  # fmt: skip
    assert result.status == "NOT_EVALUABLE"
    assert codes(result) == ["NK_LOST"]
    assert (result.net_fraction, result.cells_per_ul, result.lloq_cells_per_ul) == (None, None, None)


def test_a_background_that_is_a_little_higher_than_in_the_control_is_not_measured_as_car():
    """154 of 5,410 NK cells against 90 of 5,330 in the control: in the truth 19 carried the CAR."""
    spec = CarNkSpec(usual_background=(0.0013, 0.0037))
    background = choose_background({"pre_infusion": (90, 5_330)}, spec)
    result = quantify_car_nk(80_000, 5_410, 154, background=background, spec=spec)
    assert result.status == "BELOW_LLOQ"
    assert result.ci_low < 19 / 5_410 < result.ci_high


def test_what_an_fmo_cannot_show_is_not_measured_as_car():
    """79 of 19,605 NK cells of a sample without CAR, 60 of them stained by the reagent; 4 of 3,514 in the FMO."""
    spec = CarNkSpec(usual_background=(0.0013, 0.0037))
    result = quantify_car_nk(
        80_000, 19_605, 79, background=choose_background({"fmo": (4, 3_514)}, spec), absolute=BEADS, spec=spec
    )
    assert result.status == "BELOW_LOD"
    # As of a control that does hold the reagent, this would be a number.
    pre = choose_background({"pre_infusion": (4, 3_514)}, spec)
    assert quantify_car_nk(80_000, 19_605, 79, background=pre, absolute=BEADS, spec=spec).status != "BELOW_LOD"
