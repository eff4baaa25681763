"""Simulated tubes: exact counts, reproducible chunks, and cells that behave as real ones are known to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.simulate import (
    CLONES,
    LAWS,
    NUCLEATED_LABELS,
    Blood,
    Clog,
    Clone,
    draw_donor,
    plan_marrow_tube,
    simulate_blood,
    simulate_marrow_tube,
)

CLINICAL, TYPICAL = LAWS["clinical"], CLONES["typical"]


def compensated(tube):
    """Compensated fluorescence, (n_events, n_markers), and the markers."""
    columns = [i for i, marker in enumerate(tube.markers) if marker]
    values = tube.events[:, columns].astype(np.float64) @ tube.spillover.inverse
    return {tube.markers[c]: values[:, i] for i, c in enumerate(columns)}


def of(tube, *names):
    return np.isin(tube.labels, [i for i, name in enumerate(tube.label_names) if name in names])


def channel(tube, detector):
    return tube.events[:, tube.detectors.index(detector)]


@pytest.fixture(scope="module")
def marrow():
    donor = draw_donor(CLINICAL, 5)
    return simulate_marrow_tube(
        CLINICAL, donor, 120_000, 0.05, clone=CLONES["typical"], n_clonal=900, tube="2", random_state=6, clogs=()
    )


@settings(max_examples=20, deadline=None)
@given(
    n_events=st.integers(1_000, 90_000),
    n_clonal=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    plasma=st.floats(0, 0.2),
    seed=st.integers(0, 2**32),
    law=st.sampled_from(sorted(LAWS)),
)
def test_planned_counts_are_the_counts_of_the_events(n_events, n_clonal, plasma, seed, law):
    law = LAWS[law]
    clones = (CLONES["typical"], CLONES["cd117"])
    donor = draw_donor(law, seed)
    plan = plan_marrow_tube(law, donor, n_events, plasma, clone=clones, n_clonal=n_clonal, random_state=seed)
    tube = plan.simulate()
    assert tube.events.shape == (n_events, len(tube.detectors)) == (n_events, len(tube.markers))
    assert tube.events.dtype == np.float32 and tube.labels.dtype == np.uint8
    assert dict(tube.counts) == dict(plan.population_counts)
    assert (tube.counts["clonal_plasma_cell"], tube.counts["clonal_plasma_cell_2"]) == n_clonal
    assert sum(tube.counts.values()) == n_events
    assert np.isfinite(tube.events).all()
    assert tube.events[:, :-1].max() <= law.top - 1


def test_chunks_depend_on_seed_and_number_alone():
    donor = draw_donor(CLINICAL, 1)
    plan, again, other = (plan_marrow_tube(CLINICAL, donor, 150_000, random_state=s) for s in (3, 3, 4))
    assert plan.n_chunks == 5
    last = again.chunk(4)
    chunks = list(plan.chunks(threads=3))
    serial = list(again.chunks(threads=1))
    for (events, labels), (events_1, labels_1) in zip(chunks, serial, strict=True):
        assert events.tobytes() == events_1.tobytes() and labels.tobytes() == labels_1.tobytes()
    assert last[0].tobytes() == chunks[4][0].tobytes()
    assert other.chunk(0)[0].tobytes() != chunks[0][0].tobytes()
    assert chunks[0][0][:1000, 0].tobytes() != chunks[1][0][:1000, 0].tobytes()


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_brightness_is_ordered_as_published(law):
    tube = simulate_marrow_tube(law, draw_donor(law, 8), 100_000, 0.02, tube="1", random_state=9, clogs=())
    medians = {
        name: {m: np.median(v[of(tube, name)]) for m, v in compensated(tube).items()}
        for name in tube.label_names
        if tube.counts[name] > 20
    }

    def increasing(marker, *names):
        values = [medians[n][marker] for n in names]
        assert values == sorted(values), (marker, names, values)

    increasing("CD38", "nucleated_red_cell", "granulocyte", "monocyte", "b_precursor", "plasma_cell")
    increasing("CD45", "nucleated_red_cell", "b_precursor", "granulocyte", "monocyte", "t_cell")
    increasing("CD19", "t_cell", "plasma_cell", "b_cell")
    increasing("CD138", "t_cell", "plasma_cell")
    increasing("CD56", "t_cell", "nk")
    increasing("CD81", "nucleated_red_cell", "t_cell", "b_precursor")
    ssc = {n: np.median(channel(tube, "SSC-A")[of(tube, n)]) for n in medians}
    assert ssc["t_cell"] < ssc["monocyte"] < ssc["granulocyte"] < ssc["eosinophil"]
    assert ssc["t_cell"] < ssc["plasma_cell"] < ssc["granulocyte"]


def test_negatives_scatter_around_zero_and_positives_do_not(marrow):
    values = compensated(marrow)
    cd19 = values["CD19"][of(marrow, "t_cell")]
    assert 0.05 < np.mean(cd19 < 0) < 0.60  # spread of CD45's spillover, and compensation that is not exact
    cd38 = values["CD38"][of(marrow, "plasma_cell")]
    assert np.mean(cd38 < 0) == 0
    cv = np.std(np.log(values["CD45"][of(marrow, "t_cell")]))
    assert 0.3 < cv < 0.6


def test_bright_plasma_cells_saturate(marrow):
    cd38 = channel(marrow, "FITC-A")[of(marrow, "plasma_cell")]
    at_top = np.mean(cd38 == marrow.top - 1)
    assert 0.0005 < at_top < 0.2
    assert np.mean(channel(marrow, "FITC-A")[of(marrow, "t_cell")] == marrow.top - 1) == 0


def test_doublets_are_wide_and_most_lie_off_the_ridge(marrow):
    width = channel(marrow, "FSC-A") / channel(marrow, "FSC-H")
    single = of(marrow, *NUCLEATED_LABELS)
    limit = np.quantile(width[single], 0.995)
    off = np.mean(width[of(marrow, "doublet")] > limit)
    assert 0.4 < off < 0.95  # debris stuck to a cell and cells abreast pass, as they do in life


def test_light_chains_follow_donor_and_clone(marrow):
    donor = draw_donor(CLINICAL, 5)
    values = compensated(marrow)
    kappa = values["CyIgKappa"] > values["CyIgLambda"]
    normal = kappa[of(marrow, "plasma_cell")]
    sd = np.sqrt(donor.kappa_fraction * (1 - donor.kappa_fraction) / normal.size)
    assert abs(normal.mean() - donor.kappa_fraction) < 4 * sd + 0.01
    assert kappa[of(marrow, "clonal_plasma_cell")].mean() > 0.99


def test_normal_plasma_cells_are_mixed_as_the_donor_says():
    donor = draw_donor(CLINICAL, 3, cd19_negative=0.35, cd56_positive=0.20)
    assert sum(donor.plasma_subsets.values()) == pytest.approx(1)
    alone = replace(CLINICAL, spill_scale=0.0)  # else bright CD38 spreads into the detector of CD56
    tube = simulate_marrow_tube(alone, donor, 60_000, 0.4, tube="1", random_state=1, clogs=())
    values = compensated(tube)
    plasma = of(tube, "plasma_cell")
    assert np.mean(values["CD19"][plasma] < 1_000) == pytest.approx(0.35, abs=0.05)
    assert np.mean(values["CD56"][plasma] > 1_100) == pytest.approx(0.20, abs=0.05)


def test_published_shares_of_normal_plasma_cells_over_donors():
    donors = [draw_donor(CLINICAL, i) for i in range(300)]
    cd19 = [1 - d.plasma_subsets["CD19-CD56-"] - d.plasma_subsets["CD19-CD56+"] for d in donors]
    cd56 = [d.plasma_subsets["CD19-CD56+"] + d.plasma_subsets["CD19+CD56+"] for d in donors]
    cd45 = [d.plasma_cd45_fraction for d in donors]
    ratio = [d.kappa_fraction / (1 - d.kappa_fraction) for d in donors]
    for values, mean, low, high in ((cd19, 0.80, 0.52, 0.97), (cd56, 0.06, 0.0, 0.37), (cd45, 0.78, 0.41, 1.0)):
        assert np.mean(values) == pytest.approx(mean, abs=0.03)
        assert low - 1e-9 <= min(values) and max(values) <= high
    assert np.median(ratio) == pytest.approx(1.5, abs=0.06)
    assert min(ratio) > 0.9 and max(ratio) < 2.6


@pytest.mark.parametrize("name", ["clinical", "varied"])
def test_donors_differ_by_the_law(name):
    law = LAWS[name]
    shifts = np.log([draw_donor(law, i).marker_shift["CD27"] for i in range(400)])
    assert np.std(shifts) == pytest.approx(law.donor_shift, rel=0.12)
    assert np.mean(shifts) == pytest.approx(0, abs=4 * law.donor_shift / 20)


def test_therapy_hides_cd38_on_all_cells():
    masked = draw_donor(CLINICAL, 4, masked={"CD38": 0.1})
    plain = draw_donor(CLINICAL, 4)
    medians = []
    for donor in (plain, masked):
        tube = simulate_marrow_tube(CLINICAL, donor, 30_000, 0.1, tube="1", random_state=2, clogs=())
        medians.append(np.median(compensated(tube)["CD38"][of(tube, "plasma_cell")]))
    assert medians[1] / medians[0] == pytest.approx(0.1, rel=0.15)


def test_drift_and_clog_are_where_they_were_put():
    law = replace(CLINICAL, drift=0.2)
    clog = Clog(start=0.5, length=0.05)
    tube = simulate_marrow_tube(law, draw_donor(law, 1), 120_000, random_state=1, clogs=(clog,))
    seconds = tube.scale_events[:, tube.detectors.index("Time")]
    assert (np.diff(seconds) >= 0).all()
    assert tube.in_clog.sum() == pytest.approx(6_000, abs=2)
    cd45 = np.log(np.maximum(1, compensated(tube)["CD45"]))
    t_cells = of(tube, "t_cell") & ~tube.in_clog
    number = np.arange(120_000)
    early, late = (np.median(cd45[t_cells & part]) for part in (number < 12_000, number >= 108_000))
    assert np.exp(late - early) == pytest.approx((1 - 0.2 * 0.95) / (1 - 0.2 * 0.05), rel=0.03)
    inside = np.median(cd45[of(tube, "t_cell") & tube.in_clog])
    assert np.exp(inside - (early + late) / 2) == pytest.approx(clog.signal, rel=0.06)
    rate_in = tube.in_clog.sum() / np.ptp(seconds[tube.in_clog])
    assert rate_in == pytest.approx(law.events_per_s * clog.rate, rel=0.05)


def test_laws_are_distinct():
    tops = {law.top for law in LAWS.values()}
    assert {262144.0, 4194304.0} <= tops and len(LAWS) >= 4
    for law in LAWS.values():
        tube = simulate_marrow_tube(law, draw_donor(law, 1), 5_000, random_state=1)
        assert ("FSC-W" in tube.detectors) == law.pulse_width
        assert tube.spillover.condition_number < 100
        assert tube.top == law.top
    signals = [np.median(simulate_marrow_tube(law, draw_donor(law, 1), 5_000).events[:, 0]) for law in LAWS.values()]
    assert max(signals) / min(signals) > 5


@pytest.mark.parametrize("name", sorted(CLONES))
def test_clones_look_as_named(name):
    clone = CLONES[name]
    tube = simulate_marrow_tube(
        CLINICAL, draw_donor(CLINICAL, 2), 20_000, 0.2, clone=clone, n_clonal=3_000, tube="1", random_state=3, clogs=()
    )
    values = compensated(tube)
    clonal, normal = of(tube, "clonal_plasma_cell"), of(tube, "plasma_cell")
    for marker, sign in clone.levels.items():
        ratio = np.median(values[marker][clonal]) / np.median(values[marker][normal])
        if sign == "-" and marker != "CD56":
            assert ratio < 0.35, (marker, ratio)
        if sign in ("+", "++") and marker in ("CD56", "CD117"):
            assert ratio > 5, (marker, ratio)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_beads_and_cells_give_back_the_concentration(law):
    blood = Blood(leukocytes_per_ul=3_000, nk_fraction=0.2, car_nk_fraction=0.3)
    cells = beads = 0
    for seed in range(4):
        tube = simulate_blood(
            law, draw_donor(law, 1), blood, 40_000, beads_per_tube=50_000, sample_volume_ul=50, random_state=seed
        )
        cells += tube.counts["car_nk"]
        beads += tube.counts["bead"]
    error = 4 * np.sqrt(1 / cells + 1 / beads)
    assert cells / beads * 50_000 / 50 == pytest.approx(blood.car_nk_per_ul, rel=error)


def test_beads_shine_in_every_channel_and_are_tight():
    tube = simulate_blood(CLINICAL, draw_donor(CLINICAL, 1), Blood(), 10_000, beads_per_tube=100_000, random_state=1)
    beads = of(tube, "bead")
    for marker, values in compensated(tube).items():
        assert np.median(values[beads]) > 50_000, marker
        assert np.std(np.log(values[beads])) < 0.12, marker
    t_cells = of(tube, "t_cell")
    assert np.median(compensated(tube)["CAR"][t_cells]) < 500


def test_car_and_its_background():
    blood = Blood(nk_fraction=0.3, car_nk_fraction=0.2, background_fraction=0.02)
    tube = simulate_blood(CLINICAL, draw_donor(CLINICAL, 1), blood, 100_000, random_state=4)
    car = compensated(tube)["CAR"]
    plain, stained, positive = (np.median(car[of(tube, n)]) for n in ("nk", "nk_reagent_positive", "car_nk"))
    assert plain < 300 < stained < positive
    n_plain, n_stained = tube.counts["nk"], tube.counts["nk_reagent_positive"]
    assert n_stained / (n_plain + n_stained) == pytest.approx(0.02, rel=0.2)
    exact = simulate_blood(CLINICAL, draw_donor(CLINICAL, 1), blood, 10_000, n_car_nk=7, random_state=4)
    assert exact.counts["car_nk"] == 7 and exact.counts["bead"] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, 1.2), "plasma_fraction is 1.2"),
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, tube="3"), "tube is '3'"),
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, clone=TYPICAL), "either n_clonal or clonal_fraction"),
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, n_clonal=3), "no clone"),
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, clone=TYPICAL, n_clonal=2_000), "do not fit"),
        (lambda d: simulate_marrow_tube(CLINICAL, d, 1_000, clone=[TYPICAL] * 2, n_clonal=2), "2 clones, but 1"),
        (lambda d: simulate_blood(CLINICAL, d, Blood(nk_fraction=1.0), 1_000), "need room"),
        (lambda d: simulate_blood(CLINICAL, d, Blood(), 1_000, n_car_nk=900), "do not fit among"),
        (lambda d: simulate_blood(CLINICAL, d, Blood(50), 10_000, beads_per_tube=1e4), "100.0 uL hold 5000"),
        (lambda d: Clone("kappa", {"CD20": "+"}), "no marker 'CD20'"),
        (lambda d: Clone("kappa", {"CD56": "bright"}), "'bright'; it must be one of"),
        (lambda d: Clone("both"), "must be 'kappa' or 'lambda'"),
    ],
)
def test_impossible_wishes_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make(draw_donor(CLINICAL, 1))
