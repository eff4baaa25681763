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


SPLEEN = {"b_cells": (2459, 0.03), "t_cells": (10745, 0.10), "cd4_t_cells": (7480, 0.10), "cd8_t_cells": (1407, 0.10),
          "gd_t_cells": (1470, 0.10), "nkt": (535, 0.15), "nk": (312, 0.20)}  # fmt: skip


def test_lymphocytes_of_a_spleen_beside_a_persons_gates_in_flowjo(shared_data):
    """A person's gates leave out what lies between populations, so that ours hold somewhat more."""
    tube = cm.gate(cm.open_fcs(shared_data / "flowjo-spleen" / "68983.fcs"), PANELS / "flowjo-spleen.toml")
    assert {d.status for d in tube.fitted.decisions} == {"fitted"}
    for population, (n, tolerance) in SPLEEN.items():
        assert tube.counts[population] == pytest.approx(n, rel=tolerance), population


@pytest.mark.parametrize(("number", "n"), [("071", 2193), ("072", 2983)])
def test_leukocytes_of_a_spectral_file_beside_a_persons_gate_in_flowjo(shared_data, number, n):
    file = shared_data / "flowjo-aurora" / f"CellCounts4L-NY{number}-1.fcs"
    tube = cm.gate(cm.open_fcs(file), PANELS / "flowjo-aurora.toml")
    assert n <= tube.counts["leukocytes"] <= 1.3 * n
