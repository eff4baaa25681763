"""Moved gates: the short way over the events near a gate finds what gating all events would."""

from __future__ import annotations

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from runs import write_samplesheet, write_tube

import cytomrd as cm
from cytomrd.cli.main import cytomrd
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.perturb import draw_cuts, draw_spillover, loosened, with_cuts
from cytomrd.mrd.gate_error import RECOVERY_SD, GateError95, interval_with_gates
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.run.gate_draws import draw_gates, spillover_sd
from cytomrd.run.model import SampleResult
from cytomrd.run.settings import RunSettings
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    law = LAWS["crowded"]
    path = tmp_path_factory.mktemp("moved") / "tube.fcs"
    tube = simulate_marrow_tube(
        law, draw_donor(law, 2), 60_000, 0.01, clone=CLONES["cd38_low"], n_clonal=200, tube="2", random_state=3
    )
    write_tube(path, tube)
    dataset = cm.open_fcs(path)
    return dataset, cm.gate(dataset, "euroflow-mm-mrd", tube="2").fitted


def wider(fitted, factor):
    """The same gates on less evidence."""
    decisions = tuple(
        replace(d, low=d.value - factor * (d.value - d.low), high=d.value + factor * (d.high - d.value))
        if d.low is not None
        else d
        for d in fitted.decisions
    )
    return replace(fitted, decisions=decisions)


def test_cuts_where_they_stand_change_nothing(gated):
    _, fitted = gated
    still = {d.name: d.value for d in fitted.decisions if d.value is not None}
    assert with_cuts(fitted, still).gates == fitted.strategy.gates


def test_draws_have_the_width_of_the_interval(gated):
    fitted, rng = wider(gated[1], 1.0), np.random.default_rng(1)
    cut = next(d for d in fitted.decisions if d.name == "CD138:bright")
    drawn = np.array([draw_cuts(fitted, rng)[cut.name] for _ in range(2_000)])
    assert np.mean((drawn < cut.low) | (drawn > cut.high)) == pytest.approx(0.05, abs=0.02)


def test_every_draw_equals_gating_all_events(gated):
    dataset, fitted = gated[0], wider(gated[1], 5.0)
    settings = RunSettings(gate_draws=6, spillover_error=0.03, random_state=4)
    found = draw_gates(
        dataset, fitted, dataset.spillover, rare="plasma_cells", denominator="nucleated", settings=settings, folder=None
    )
    rng = np.random.default_rng([4, 3])
    cuts = [draw_cuts(fitted, rng) for _ in range(6)]
    sd = spillover_sd(dataset.spillover, settings, None)
    matrices = [draw_spillover(dataset.spillover, sd, rng) for _ in cuts]
    counts = set()
    for i, (drawn, matrix) in enumerate(zip(cuts, matrices, strict=True)):
        whole = apply_gates(dataset, with_cuts(fitted, drawn), spillover=matrix)
        assert np.array_equal(found.events[found.members[i]], np.flatnonzero(whole.members("plasma_cells")))
        counts.add(whole.count("plasma_cells"))
    assert len(counts) > 3  # the gates did move
    usual = apply_gates(dataset, fitted.strategy).count("nucleated")
    last = apply_gates(dataset, with_cuts(fitted, cuts[-1]), spillover=matrices[-1]).count("nucleated")
    assert found.denominator_ratio[-1] == pytest.approx(last / usual, abs=0.003)


def test_loosened_gates_hold_the_fitted_ones(gated):
    dataset, fitted = gated
    still = {d.name: d.value for d in fitted.decisions if d.value is not None}
    inner = apply_gates(dataset, fitted.strategy)
    outer = apply_gates(dataset, loosened(fitted, [still], margin=0.1))
    for name in ("plasma_cells", "b_cells", "nucleated"):  # b_cells are "not b_precursors"
        assert not (inner.members(name) & ~outer.members(name)).any()


def test_evidence_beside_the_matrix_goes_before_the_assumed_error(gated, tmp_path):
    spillover = gated[0].spillover
    first, second, third = spillover.detectors[:3]
    (tmp_path / "spillover_pairs.csv").write_text(
        "detector,spill_detector,ci_low,ci_high,residual_bright\n"
        f"{first},{second},0.1,0.13919928,0.002\n{first},{third},0.1,0.1,-0.03\n"
    )
    sd = spillover_sd(spillover, RunSettings(spillover="spillover.csv"), tmp_path)
    assert sd[0, 1] == pytest.approx(0.01)
    assert sd[0, 2] == pytest.approx(0.03)
    assert sd[1, 0] == pytest.approx(0.02 * abs(spillover.matrix[1, 0]))
    assert not np.diag(sd).any()


def test_a_run_tells_the_interval_with_gates(tmp_path):
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(
        law, draw_donor(law, 5), 50_000, 0.006, clone=CLONES["typical"], n_clonal=60, tube="2", clogs=(), random_state=1
    )
    write_tube(tmp_path / "BM.fcs", tube)
    write_samplesheet(tmp_path, [{"file": "BM.fcs", "sample_id": "BM", "panel": "euroflow-mm-mrd", "tube": "2"}])
    rows = {}
    for draws in (20, 0):
        (tmp_path / "run.toml").write_text(f"gate_draws = {draws}\n")
        result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        with (tmp_path / "results" / "mrd.csv").open(newline="") as file:
            (rows[draws],) = csv.DictReader(file)
        page = (tmp_path / "results" / "report.html").read_text("utf-8")
        assert ("MRD by the whole analysis" in page) == (draws > 0)
    moved, still = rows[20], rows[0]
    assert {k: v for k, v in moved.items() if "gates" not in k} == {k: v for k, v in still.items() if "gates" not in k}
    assert still["mrd_low_with_gates"] == still["mrd_sd_gates"] == ""
    assert float(moved["mrd_low_with_gates"]) <= float(moved["ci_low"]) * (1 + 1e-9)
    assert float(moved["mrd_high_with_gates"]) >= float(moved["ci_high"]) * (1 - 1e-9)
    assert float(moved["mrd_sd_gates"]) < 0.2 * float(moved["mrd_fraction"])


def test_indeterminate_cells_widen_the_upper_end_alone():
    low, high = clopper_pearson(30, 1_000_000)
    mrd = SimpleNamespace(
        mrd_fraction=3e-5, ci_low=low, ci_high=high, n_clonal_pc=30, n_indeterminate_pc=25, n_nucleated=1_000_000,
        threshold_events=20,
    )  # fmt: skip
    sample = SampleResult("BM", (), "mrd", "done", mrd=mrd, gate_error=GateError95(20, 0.0, 30, 30))
    expected = interval_with_gates(3e-5, low, clopper_pearson(55, 1_000_000)[1], RECOVERY_SD * 3e-5)
    assert sample.interval_with_gates == pytest.approx(expected)
