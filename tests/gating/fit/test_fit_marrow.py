"""Plasma cells of simulated marrows: kept, and kept clean, on laws and donors that no bound was tuned on."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.fit import fit_gates
from cytomrd.panel.library import read_panel
from cytomrd.panel.matching import match_channels
from cytomrd.simulate import CLONES, LAWS, draw_donor, simulate_marrow_tube

PLASMA = ("plasma_cell", "clonal_plasma_cell", "clonal_plasma_cell_2")


def gate_marrow(law, donor, tube, **changes):
    settings = {"n_events": 200_000, "plasma_fraction": 0.002, "clone": [CLONES["typical"], CLONES["cd38_low"]],
                "n_clonal": [100, 100], "tube": tube, "random_state": 901, **changes}  # fmt: skip
    simulated = simulate_marrow_tube(law, donor, **settings)
    panel = read_panel("euroflow-mm-mrd")
    match = match_channels(panel.tube(tube), simulated.detectors, simulated.markers)
    dataset = ArrayDataset(simulated.events, simulated.detectors)
    fitted = fit_gates(dataset, panel, tube, match=match, spillover=simulated.spillover)
    gated = apply_gates(dataset, fitted.strategy, spillover=simulated.spillover)
    labels = np.array(simulated.label_names)[simulated.labels]
    flowing = ~simulated.in_clog
    return SimpleNamespace(fitted=fitted, gated=gated, labels=labels, flowing=flowing)


@pytest.mark.parametrize(("law", "tube"), [("clinical", "1"), ("varied", "2"), ("crowded", "1"), ("dim", "2")])
def test_plasma_cells_are_kept_and_clean(law, tube):
    marrow = gate_marrow(LAWS[law], draw_donor(LAWS[law], 900), tube)
    found = marrow.gated.members("plasma_cells")
    assert found[np.isin(marrow.labels, PLASMA) & marrow.flowing].mean() >= 0.95
    for label in PLASMA:
        assert found[(marrow.labels == label) & marrow.flowing].mean() >= 0.90, label
    # A doublet with a plasma cell in it is one: what must stay out is every other single event.
    strangers = found & ~np.isin(marrow.labels, (*PLASMA, "doublet"))
    assert strangers.sum() <= 2
    nucleated = ~np.isin(marrow.labels, ("debris", "dead", "doublet"))
    assert marrow.gated.count("nucleated") == pytest.approx(nucleated.sum(), rel=0.07)
    assert marrow.gated.members("nucleated")[nucleated & marrow.flowing].mean() > 0.99


def test_no_plasma_cells_no_plasma_cells():
    law = LAWS["clinical"]
    marrow = gate_marrow(law, draw_donor(law, 910), "1", plasma_fraction=0.0, clone=None, n_clonal=None)
    assert marrow.gated.count("plasma_cells") <= 2


def test_cd38_lost_after_therapy_is_found_by_cd138():
    law = LAWS["clinical"]
    donor = draw_donor(law, 920, masked={"CD38": 0.08})
    marrow = gate_marrow(law, donor, "1")
    found = marrow.gated.members("plasma_cells")
    assert found[np.isin(marrow.labels, PLASMA) & marrow.flowing].mean() > 0.9
    assert (found & ~np.isin(marrow.labels, (*PLASMA, "doublet"))).sum() <= 5


def test_a_third_of_debris_does_not_move_the_denominator():
    law = replace(LAWS["varied"], debris=0.30)
    marrow = gate_marrow(law, draw_donor(law, 930), "2")
    nucleated = ~np.isin(marrow.labels, ("debris", "dead", "doublet"))
    assert marrow.gated.members("nucleated")[nucleated & marrow.flowing].mean() > 0.98
    assert marrow.gated.count("nucleated") == pytest.approx(nucleated.sum(), rel=0.10)


@pytest.mark.parametrize("gain", [1.2, 4.0])
def test_marrow_on_a_low_gain_is_gated_as_on_the_usual_one(gain):
    law = replace(LAWS["clinical"], top=1048576.0, gain=gain, photon_noise=0.5)
    marrow = gate_marrow(law, draw_donor(law, 940), "1")
    whole = ~np.isin(marrow.labels, ("debris", "dead", "doublet")) & marrow.flowing
    assert marrow.gated.members("nucleated")[whole].mean() > 0.98
    granular = np.isin(marrow.labels, ("granulocyte", "eosinophil")) & marrow.flowing
    assert marrow.gated.members("granular")[granular].mean() > 0.93
    assert marrow.gated.members("plasma_cells")[np.isin(marrow.labels, PLASMA) & marrow.flowing].mean() >= 0.95


def test_without_precursors_mature_b_cells_are_not_called_precursors():
    law = LAWS["dim"]
    donor = draw_donor(law, 950)
    donor = replace(donor, abundance={**donor.abundance, "b_precursor": 0.0})
    marrow = gate_marrow(law, donor, "1")
    b_cells = marrow.labels == "b_cell"
    assert marrow.gated.members("b_cells")[b_cells & marrow.flowing].mean() > 0.85
    assert marrow.gated.count("b_precursors") < 0.15 * b_cells.sum()


def test_bright_autofluorescence_makes_no_plasma_cells():
    """Cells that glow form a second population in CD138's channel: it must not be taken for plasma cells."""
    law = replace(LAWS["crowded"], autofluorescence=5.4)
    marrow = gate_marrow(law, draw_donor(law, 960), "1", plasma_fraction=0.0, clone=None, n_clonal=None)
    assert (marrow.gated.members("plasma_cells") & (marrow.labels != "doublet")).sum() <= 3


def test_saturated_plasma_cells_are_not_removed_as_margins():
    """Upper-saturated CD38 and CD138 are a finding: no step before the plasma cells may drop such an event."""
    law = LAWS["clinical"]
    tube = simulate_marrow_tube(law, draw_donor(law, 970), 100_000, 0.004, tube="2", random_state=970)
    plasma = np.isin(np.array(tube.label_names)[tube.labels], PLASMA) & ~tube.in_clog
    events = tube.events.copy()
    for marker in ("CD38", "CD138"):
        events[plasma, tube.markers.index(marker)] = tube.top - 1
    panel = read_panel("euroflow-mm-mrd")
    match = match_channels(panel.tube("2"), tube.detectors, tube.markers)
    dataset = ArrayDataset(events, tube.detectors)
    fitted = fit_gates(dataset, panel, "2", match=match, spillover=tube.spillover)
    gated = apply_gates(dataset, fitted.strategy, spillover=tube.spillover)
    assert gated.members("nucleated")[plasma].mean() > 0.99
    assert gated.members("plasma_cells")[plasma].mean() > 0.99
