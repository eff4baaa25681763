"""Fitting a whole panel: the tree, the evidence, and what happens where evidence or channels are missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from cytomrd.errors import GateError
from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.fit import ControlCut, fit_control_cut, fit_gates
from cytomrd.gating.fit.sampling import EventSource, read_sample
from cytomrd.panel import Panel
from cytomrd.preprocess.compensation import Spillover

MARKERS = ("Time", "FSC-A", "FSC-H", "CD3", "CD56", "CAR")
DETECTORS = ("Time", "FSC-A", "FSC-H", "PE-A", "APC-A", "BV421-A")
TOP = 262144.0


def blood(seed=0, n=40_000, *, car=0.05, t_share=0.7):
    """Debris, T and NK cells with 8 % spillover of CD3 into CD56, doublets, and the truth by label."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["debris", "t", "nk", "car_nk"], n, p=[0.1, 0.9 * t_share, 0.9 * (1 - t_share) * (1 - car),
                                                            0.9 * (1 - t_share) * car])  # fmt: skip
    debris, nk = kind == "debris", np.isin(kind, ["nk", "car_nk"])
    area = np.where(debris, 9_000, 70_000) * np.exp(0.13 * rng.standard_normal(n))
    height = 0.85 * area * np.exp(0.03 * rng.standard_normal(n))
    double = rng.random(n) < 0.04
    area = np.where(double, 1.9 * area, area)
    levels = [np.where(kind == "t", 15_000, 60), np.where(nk, 9_000, 60), np.where(kind == "car_nk", 6_000, 60)]
    light = np.stack([level * np.exp(0.4 * rng.standard_normal(n)) for level in levels], axis=1)
    spill = np.array([[1.0, 0.08, 0.0], [0.0, 1.0, 0.02], [0.0, 0.0, 1.0]])
    light = light @ spill + rng.normal(0, 60, (n, 3))
    events = np.column_stack([np.arange(n) / 500.0, area, height, light])
    return ArrayDataset(np.minimum(events, TOP - 1), DETECTORS), Spillover(DETECTORS[3:], spill), kind, double


def panel(populations=None, cuts=None, markers=MARKERS):
    roles = {"Time": "time", "FSC-A": "scatter", "FSC-H": "scatter"}
    channels = [{"marker": m, "role": roles.get(m, "gate"), "transform": _transform(m)} for m in markers]
    cuts = cuts or [
        {"name": "cells", "marker": "FSC-A", "on": "singlets", "bounds": (0.02, 0.25)},
        {"name": "CD3", "marker": "CD3", "on": "cells", "bounds": (0.3, 0.7), "fallback": "none"},
        {"name": "CD56", "marker": "CD56", "on": "cd3_negative", "bounds": (0.3, 0.7)},
        {"name": "CAR", "marker": "CAR", "on": "nk", "method": "control", "bounds": (0.25, 0.9), "fallback": "none"},
    ]
    populations = populations or [
        {"name": "time", "gate": {"kind": "time"}},
        {"name": "singlets", "parent": "time", "gate": {"kind": "singlets", "channels": ("FSC-A", "FSC-H")},
         "optional": True},
        {"name": "cells", "parent": "singlets", "gate": {"kind": "phenotype", "phenotype": "cells+"}},
        {"name": "cd3_negative", "parent": "cells", "gate": {"kind": "phenotype", "phenotype": "CD3-"}},
        {"name": "nk", "parent": "cd3_negative", "gate": {"kind": "phenotype", "phenotype": "CD56+"}},
    ]  # fmt: skip
    return Panel.model_validate({
        "id": "small", "version": "1", "assay": "phenotype", "tubes": [{"id": "1", "channels": channels}],
        "cuts": cuts, "populations": populations,
    })  # fmt: skip


def _transform(marker):
    return {"kind": "linear", "T": TOP} if marker.startswith("FSC") else {"kind": "logicle", "T": TOP}


def match(without=()):
    pairs = zip(MARKERS, DETECTORS, strict=True)
    return SimpleNamespace(detector_of={m: d for m, d in pairs if m not in without})


def test_populations_are_the_cells_they_are_meant_to_be():
    dataset, spillover, kind, double = blood()
    fitted = fit_gates(dataset, panel(), "1", match=match(), spillover=spillover)
    gated = apply_gates(dataset, fitted.strategy, spillover=spillover)
    assert fitted.strategy.populations == ("time", "singlets", "cells", "cd3_negative", "nk")
    nk = np.isin(kind, ["nk", "car_nk"])
    found = gated.members("nk")
    assert found[nk & ~double].mean() > 0.99
    assert nk[found].mean() > 0.99
    assert gated.members("singlets")[double].mean() < 0.05
    assert gated.members("time").all()
    by_name = {d.name: d for d in fitted.decisions}
    assert by_name["CD3"].status == "fitted"
    assert by_name["CD3"].low <= by_name["CD3"].value <= by_name["CD3"].high
    assert by_name["CAR"].status == "no_call"  # no control, no fallback, and no population asks for it
    assert fitted.axes["CD56"].compensation == "FCS"
    assert fitted.axes["FSC-A"].compensation == "uncompensated"


def test_same_input_same_gates():
    dataset, spillover, _, _ = blood()
    first, second = (fit_gates(dataset, panel(), "1", match=match(), spillover=spillover) for _ in range(2))
    assert first.strategy.gates == second.strategy.gates
    assert first.decisions == second.decisions


def test_a_control_moves_the_cut_to_this_samples_scale():
    before, spillover, _, _ = blood(1, car=0.0)
    asked = panel()
    fitted = fit_gates(before, asked, "1", match=match(), spillover=spillover)
    control = fit_control_cut(before, fitted, "CAR", population="nk", quantile=0.99, spillover=spillover)
    assert control.low_linear <= control.value_linear <= control.high_linear
    assert control.n_positive == pytest.approx(0.01 * control.n_events, abs=3)
    after, _, kind, double = blood(2)
    populations = [*(p.model_dump() for p in asked.populations),
                   {"name": "car_nk", "parent": "nk", "gate": {"kind": "phenotype", "phenotype": "CAR+"}}]  # fmt: skip
    with_car = panel(populations=populations)
    fitted = fit_gates(after, with_car, "1", match=match(), spillover=spillover, controls={"CAR": control})
    decision = fitted.decisions[-1]
    assert (decision.status, decision.n_events) == ("control", control.n_events)
    transform = fitted.strategy.transforms[fitted.axes["CAR"].transform]
    assert transform.inverse(np.array([decision.value]))[0] == pytest.approx(control.value_linear, rel=1e-6)
    car = apply_gates(after, fitted.strategy, spillover=spillover).members("car_nk")
    assert car[(kind == "car_nk") & ~double].mean() > 0.97


def test_no_call_names_cut_evidence_and_remedy():
    dataset, spillover, _, _ = blood(t_share=0.0)
    with pytest.raises(GateError, match=r"(?s)'cd3_negative'.*cut 'CD3'.*no valley.*control or a fixed value"):
        fit_gates(dataset, panel(), "1", match=match(), spillover=spillover)


def test_a_missing_channel_is_refused_unless_optional():
    dataset, spillover, _, _ = blood()
    with pytest.raises(GateError, match=r"'nk' cannot be gated: this file has no channel 'CD56'"):
        fit_gates(dataset, panel(), "1", match=match(without=["CD56"]), spillover=spillover)
    fitted = fit_gates(dataset, panel(), "1", match=match(without=["FSC-H", "Time"]), spillover=spillover)
    gated = apply_gates(dataset, fitted.strategy, spillover=spillover)
    assert gated.members("singlets").all()
    assert gated.members("time").all()
    assert sum("every event" in note for note in fitted.notes) == 2


def test_an_optional_positive_population_is_left_out_and_not_invented():
    base = [p.model_dump() for p in panel().populations[:-1]]
    positive = {"name": "nk", "parent": "cd3_negative", "gate": {"kind": "phenotype", "phenotype": "CD56+"},
                "optional": True}  # fmt: skip
    child = {"name": "big_nk", "parent": "nk", "gate": {"kind": "range", "channel": "FSC-A", "minimum": 0.4},
             "optional": True}  # fmt: skip
    cuts = [c.model_dump() for c in panel().cuts[:3]]
    dataset, spillover, _, _ = blood()
    asked = panel([*base, positive, child], cuts)
    fitted = fit_gates(dataset, asked, "1", match=match(without=["CD56"]), spillover=spillover)
    assert "nk" not in fitted.strategy.populations
    assert "big_nk" not in fitted.strategy.populations
    assert sum("left out" in note for note in fitted.notes) == 2


def test_cuts_out_of_order_select_nothing_and_are_refused():
    cuts = [{"name": "low", "marker": "CD3", "on": "root", "method": "fixed", "value": 0.3},
            {"name": "high", "marker": "CD3", "on": "root", "method": "fixed", "value": 0.7}]  # fmt: skip
    wrong = [{"name": "none", "gate": {"kind": "phenotype", "phenotype": "low- high+"}}]
    right = [{"name": "middle", "gate": {"kind": "phenotype", "phenotype": "low+ high-"}}]
    dataset, spillover, _, _ = blood(n=2_000)
    with pytest.raises(GateError, match="out of order"):
        fit_gates(dataset, panel(wrong, cuts), "1", match=match(), spillover=spillover)
    gate = fit_gates(dataset, panel(right, cuts), "1", match=match(), spillover=spillover).strategy.gate("middle")
    assert (gate.minimum, gate.maximum) == ((0.3,), (0.7,))


def test_bad_stretches_become_gates_that_a_person_can_see():
    dataset, spillover, _, _ = blood()
    events = dataset.events.copy()
    events[10_000:12_000, 3] += 60_000
    events[30_000:32_000, 3] += 60_000
    spoilt = ArrayDataset(events, DETECTORS)
    fitted = fit_gates(spoilt, panel(), "1", match=match(), spillover=spillover)
    kept = apply_gates(spoilt, fitted.strategy, spillover=spillover).members("time")
    assert len(fitted.time_removed) == 2
    assert {"_time_removed_1", "_time_removed_2"} <= set(fitted.strategy.populations)
    assert not kept[10_300:11_700].any()
    assert not kept[30_300:31_700].any()
    assert kept.mean() > 0.88


def test_ellipse_boolean_polygon_and_range_gates():
    populations = [
        {"name": "main", "gate": {"kind": "ellipse", "channels": ("FSC-A", "FSC-H"), "coverage": 0.95}},
        {"name": "box", "gate": {"kind": "polygon", "channels": ("FSC-A", "FSC-H"),
                                 "vertices": ((0, 0), (1, 0), (1, 1), (0, 1))}},
        {"name": "wide", "gate": {"kind": "range", "channel": "FSC-A", "minimum": 0.1}},
        {"name": "outside", "gate": {"kind": "boolean", "operator": "and", "of": ("!main", "wide")}},
    ]  # fmt: skip
    dataset, _, kind, double = blood()
    asked = panel(populations, [{"name": "x", "marker": "CD3", "on": "outside"}])
    gated = apply_gates(dataset, fit_gates(dataset, asked, "1", match=match(), spillover=None).strategy)
    single = (kind != "debris") & ~double
    assert gated.members("main")[single].mean() == pytest.approx(0.95, abs=0.04)
    np.testing.assert_array_equal(gated.members("outside"), gated.members("wide") & ~gated.members("main"))


def test_rare_events_come_from_the_whole_file_and_agree_with_the_pass():
    dataset, spillover, _, _ = blood(n=60_000, t_share=0.97)
    fitted = fit_gates(dataset, panel(), "1", match=match(), spillover=spillover)
    sample = read_sample(dataset, size=10_000)
    np.testing.assert_array_equal(sample, dataset.events[::6])
    source = EventSource(dataset, spillover, sample)
    gated = apply_gates(dataset, fitted.strategy, spillover=spillover)
    for name in fitted.strategy.populations:
        members = source.members(name, fitted.strategy).astype(bool)
        np.testing.assert_array_equal(members, gated.members(name)[::6])
    axis = fitted.axes["CD56"]
    assert len(source.columns("nk", (axis,), fitted.strategy)) == gated.count("nk")
    full = source.full_counts("nk", axis, fitted.strategy)
    np.testing.assert_array_equal(full.bins, source.counts("nk", axis, fitted.strategy).bins)


@pytest.mark.parametrize("n", [0, 1, 30])
def test_hardly_any_events_end_in_a_reason(n):
    dataset, spillover, _, _ = blood(n=max(n, 1))
    few = ArrayDataset(dataset.events[:n], DETECTORS)
    with pytest.raises(GateError, match="50 needed"):
        fit_gates(few, panel(), "1", match=match(), spillover=spillover)


@pytest.mark.parametrize("spoil", ["equal", "zero", "nan"])
def test_dead_channels_end_in_a_reason(spoil):
    dataset, spillover, _, _ = blood(n=5_000)
    events = dataset.events.copy()
    events[:, 3] = {"equal": 777.0, "zero": 0.0, "nan": np.nan}[spoil]
    with pytest.raises(GateError, match=r"'cd3_negative' cannot be gated: CD3 recorded nothing"):
        fit_gates(ArrayDataset(events, DETECTORS), panel(), "1", match=match(), spillover=spillover)


def test_control_cut_needs_enough_events():
    dataset, spillover, _, _ = blood(n=40_000)
    fitted = fit_gates(dataset, panel(), "1", match=match(), spillover=spillover)
    few = ArrayDataset(dataset.events[:500], DETECTORS)
    with pytest.raises(GateError, match="200 are needed"):
        fit_control_cut(few, fitted, "CAR", population="nk", spillover=spillover)
    with pytest.raises(GateError, match="no cut 'CAT'"):
        fit_control_cut(dataset, fitted, "CAT", population="nk", spillover=spillover)


def test_a_control_of_one_value_has_no_tail():
    dataset, spillover, _, _ = blood()
    fitted = fit_gates(dataset, panel(), "1", match=match(), spillover=spillover)
    events = dataset.events.copy()
    events[:, MARKERS.index("CAR")] = 500.0
    with pytest.raises(GateError, match="have the same value"):
        fit_control_cut(ArrayDataset(events, DETECTORS), fitted, "CAR", population="nk")


def test_a_control_outside_the_bounds_is_used_and_said():
    dataset, spillover, _, _ = blood()
    control = ControlCut("CAR", 250_000.0, 249_000.0, 251_000.0, 5_000, 5, "pre.fcs")
    fitted = fit_gates(dataset, panel(), "1", match=match(), spillover=spillover, controls={"CAR": control})
    assert fitted.decisions[-1].status == "control"
    assert "outside the panel's" in fitted.decisions[-1].reason


def test_an_optional_population_is_never_opened_for_want_of_a_call():
    """Without a call on its excluding sign it used to pass every event of its parent, its other signs forgotten."""
    cuts = [*(c.model_dump() for c in panel().cuts[:3]),
            {"name": "CAR", "marker": "CAR", "on": "nk", "bounds": (0.4, 0.9), "fallback": "none"}]  # fmt: skip
    extra = {"name": "plain_nk", "parent": "nk", "gate": {"kind": "phenotype", "phenotype": "CD56+ CAR-"},
             "optional": True}  # fmt: skip
    asked = panel([*(p.model_dump() for p in panel().populations), extra], cuts)
    dataset, spillover, _, _ = blood(car=0.0)
    fitted = fit_gates(dataset, asked, "1", match=match(), spillover=spillover)
    assert "plain_nk" not in fitted.strategy.populations
    assert any("plain_nk" in note and "left out" in note for note in fitted.notes)
    # A channel that the file lacks excludes nothing, and the other signs hold.
    fitted = fit_gates(dataset, asked, "1", match=match(without=["CAR"]), spillover=spillover)
    assert fitted.strategy.gate("plain_nk").minimum == fitted.strategy.gate("nk").minimum
    assert any("plain_nk" in note and "nothing is excluded" in note for note in fitted.notes)


def test_stained_cells_of_a_control_are_background_and_do_not_push_the_cut_up():
    before, spillover, kind, _ = blood(1, car=0.05)
    stained = before.events.copy()
    # Cells that the reagent stains without the antigen: 5 % of the control's NK cells, at a tenth of a CAR+ cell.
    stained[kind == "car_nk", MARKERS.index("CAR")] *= 0.25
    control_tube = ArrayDataset(stained, DETECTORS)
    fitted = fit_gates(control_tube, panel(), "1", match=match(), spillover=spillover)
    control = fit_control_cut(control_tube, fitted, "CAR", population="nk", spillover=spillover)
    assert control.value_linear < 1_000
    assert 0.03 < control.n_positive / control.n_events < 0.07
    assert control.low_linear <= control.value_linear <= control.high_linear
