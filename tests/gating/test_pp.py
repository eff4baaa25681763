"""Preprocessing on AnnData: the same numbers as gating, in place or on a copy, and nothing that h5ad cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

import cytomrd as cm
from cytomrd.errors import CompensationError, GateError, PanelError
from cytomrd.gating.apply import transform_events
from cytomrd.preprocess.transforms import Asinh
from cytomrd.simulate.demo import write_example_tube


@pytest.fixture(scope="module")
def marrow(tmp_path_factory):
    return write_example_tube(tmp_path_factory.mktemp("pp") / "marrow.fcs", n_events=30_000)


@pytest.fixture(scope="module")
def prepared(marrow):
    """All steps run, and the same tube gated."""
    tube = cm.read_fcs(marrow)
    cm.pp.compensate(tube)
    cm.pp.transform(tube, "euroflow-mm-mrd", tube="2")
    cm.pp.margin_events(tube)
    cm.pp.time_qc(tube)
    cm.pp.singlets(tube)
    return tube, cm.gate(cm.open_fcs(marrow), "euroflow-mm-mrd", tube="2")


def test_layers_are_what_gating_sees(prepared, marrow):
    tube, gated = prepared
    dataset = cm.open_fcs(marrow)
    events = dataset.read_events()
    strategy = gated.fitted.strategy
    assert (tube.layers["raw"] == events).all()
    assert (tube.layers["transformed"] == tube.X).all()
    n_compensated = 0
    for dimension in gated.fitted.axes.values():
        if dimension.transform is None:
            continue
        column = tube.var_names.get_loc(dimension.channel)
        seen = transform_events(events, dataset.detectors, [dimension], strategy, dataset.spillover)[:, 0]
        np.testing.assert_allclose(tube.layers["transformed"][:, column], seen, rtol=0, atol=1e-12)
        n_compensated += dimension.compensation == "FCS"
    assert n_compensated == len(dataset.spillover.detectors)
    compensated = events[:, [dataset.detectors.index(d) for d in dataset.spillover.detectors]]
    columns = [tube.var_names.get_loc(d) for d in dataset.spillover.detectors]
    expected = np.linalg.solve(dataset.spillover.matrix.T, compensated.T).T
    np.testing.assert_allclose(tube.layers["compensated"][:, columns], expected, rtol=1e-9, atol=1e-6)


def test_verdicts_agree_with_gating(prepared):
    tube, gated = prepared
    assert {tube.obs[name].dtype for name in ("margin", "time_removed", "singlet")} == {np.dtype(bool)}
    assert (tube.obs["time_removed"].to_numpy() == ~gated.events.members("time")).all()
    singlets = gated.events.members("singlets")
    assert (tube.obs["singlet"].to_numpy() == singlets)[gated.events.members("time")].mean() > 0.995
    scatter = tube.to_df(layer="raw")[["FSC-A", "SSC-A"]]
    assert (tube.obs["margin"] == (scatter >= 0.999 * 262_143).any(axis=1)).all()


def test_a_copy_leaves_the_data_alone(marrow):
    tube = cm.read_fcs(marrow)
    copied = cm.pp.compensate(tube, copy=True)
    copied = cm.pp.singlets(copied, copy=True)
    assert set(tube.layers) == {"raw"}
    assert not len(tube.obs.columns)
    assert "compensation" not in tube.uns["cytomrd"]
    assert "compensated" in copied.layers
    assert "singlet" in copied.obs


def test_everything_can_be_written(prepared, tmp_path):
    import anndata

    tube, _ = prepared
    tube.write_h5ad(tmp_path / "tube.h5ad")
    again = anndata.read_h5ad(tmp_path / "tube.h5ad")
    assert (again.layers["transformed"] == tube.layers["transformed"]).all()
    # A step that builds on earlier ones works after reading too.
    cm.pp.transform(again, "euroflow-mm-mrd", tube="2")
    assert (again.X == tube.X).all()
    cm.pp.time_qc(again)
    assert (again.obs["time_removed"] == tube.obs["time_removed"]).all()


def test_refusals_say_what_to_do(marrow, tmp_path):
    cm.write_fcs(tmp_path / "plain.fcs", np.ones((5, 1)), ["PE-A"])
    plain = cm.read_fcs(tmp_path / "plain.fcs")
    with pytest.raises(CompensationError, match="brings no spillover matrix"):
        cm.pp.compensate(plain)
    with pytest.raises(GateError, match=r"call cytomrd\.pp\.transform first"):
        cm.pp.time_qc(plain)
    with pytest.raises(GateError, match="no channel FITC-A; there are PE-A"):
        cm.pp.transform(plain, {"FITC-A": Asinh()})
    with pytest.raises(GateError, match="no channel FSC-A, FSC-H; there are PE-A"):
        cm.pp.singlets(plain)
    with pytest.raises(GateError, match="no channel of FSC-A, SSC-A"):
        cm.pp.margin_events(plain)
    with pytest.raises(PanelError):
        cm.pp.transform(plain, "euroflow-mm-mrd", tube="2")
    cm.pp.transform(plain, {"PE-A": Asinh()})
    with pytest.raises(GateError, match="no channel 'Time'"):
        cm.pp.time_qc(plain)
    del plain.layers["raw"]
    with pytest.raises(GateError, match="no layer 'raw'"):
        cm.pp.singlets(plain)
