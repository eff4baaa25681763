"""Gating one tube in Python."""

from __future__ import annotations

import pytest

import cytomrd as cm
from cytomrd.errors import GateError, PanelError


def test_file_and_anndata_give_the_same_counts(small_run):
    path = small_run[0] / "BM_2.fcs"
    from_file = cm.gate(cm.open_fcs(path), "euroflow-mm-mrd")
    from_anndata = cm.gate(cm.read_fcs(path), "euroflow-mm-mrd")
    assert from_file.tube == "2"
    assert from_file.counts == from_anndata.counts
    assert from_file.counts["plasma_cells"] > 200
    assert len(from_file.events.codes) == 60_000


def test_the_wrong_panel_is_refused(small_run):
    with pytest.raises(PanelError, match="CAR"):
        cm.gate(cm.open_fcs(small_run[0] / "BM_2.fcs"), "car-nk-bcma", tube="1")


def test_an_anndata_without_scale_values_is_refused(small_run):
    data = cm.read_fcs(small_run[0] / "BM_2.fcs")
    del data.layers["raw"]
    with pytest.raises(GateError, match="read_fcs"):
        cm.gate(data, "euroflow-mm-mrd")
