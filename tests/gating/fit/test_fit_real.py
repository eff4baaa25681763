"""Data-driven gates on real marrow with expert labels."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import cytomrd as cm
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.fit import fit_gates
from cytomrd.panel.library import read_panel
from cytomrd.panel.matching import match_channels

PANELS = Path(__file__).parents[2] / "panels"
PANEL = PANELS / "marrow-cytof.toml"


@pytest.fixture(scope="module")
def marrow(shared_data):
    """The 20 files of one population each, merged: in order of EventNum, rows that share EventNum and Time once.

    385 rows stand in two files; such an event is true for both labels.
    """
    parts, labels = [], []
    for path in sorted((shared_data / "marrow-cytof").glob("*.fcs")):
        dataset = open_fcs(path)
        parts.append(dataset.read_events())
        labels += [path.stem.split("Basal1_")[-1]] * dataset.n_events
    events, labels = np.concatenate(parts), np.array(labels)
    columns = [dataset.markers.index("EventNum"), dataset.detectors.index("Time")]
    _, first, position = np.unique(events[:, columns], axis=0, return_index=True, return_inverse=True)
    truth = {name: np.bincount(position[labels == name], minlength=len(first)) > 0 for name in np.unique(labels)}
    return ArrayDataset(events[first], dataset.detectors), dataset.markers, truth


def f1(called, truth):
    return 2 * (called & truth).sum() / (called.sum() + truth.sum())


def test_plasma_and_nk_cells_of_marrow_by_mass_cytometry(marrow):
    dataset, markers, truth = marrow
    assert dataset.n_events == 103_372
    panel = read_panel(str(PANEL))
    match = match_channels(panel.tube("1"), dataset.detectors, markers)
    fitted = fit_gates(dataset, panel, "1", match=match, spillover=None)
    assert {d.status for d in fitted.decisions} == {"fitted"}
    gated = apply_gates(dataset, fitted.strategy)
    assert f1(gated.members("plasma_cells"), truth["Plasma cell"]) >= 0.97
    assert f1(gated.members("nk"), truth["NK"]) >= 0.90


def test_nk_cells_of_blood_on_a_channel_scale(shared_data):
    with gzip.open(shared_data / "pbmc-nk" / "DC_MONO_NK_001_labelled.csv.gz", "rt") as lines:
        names = next(lines).strip().split(",")
        values = np.loadtxt(lines, delimiter=",")
    signals = [i for i, name in enumerate(names) if not name.startswith("gate:")]
    dataset = ArrayDataset(values[:, signals], tuple(names[i] for i in signals))
    dataset.markers = tuple(names[i].split(" (")[0] for i in signals)
    tube = cm.gate(dataset, PANELS / "pbmc-nk.toml")
    for population, gate in {"nk_cd16_positive": "NK_CD16+CD56+", "nk_cd16_negative": "NK_CD16-CD56+"}.items():
        truth = values[:, names.index(f"gate:{gate}")] == 1
        assert f1(tube.events.members(population), truth) >= 0.90, population
