"""Tubes in which no gate can be found: no events, a dead channel, two clocks. A reason is given, and no dummy gate."""

import csv

import numpy as np
import pytest
from click.testing import CliRunner

import cytomrd as cm
from cytomrd.cli.main import cytomrd
from cytomrd.errors import CytomrdError
from cytomrd.gating.apply import ArrayDataset
from cytomrd.simulate import LAWS, draw_donor, simulate_marrow_tube

LAW = LAWS["clinical"]
COLUMNS = ("file", "sample_id", "subject_id", "matrix", "panel", "tube")


@pytest.fixture(scope="module")
def tube():
    return simulate_marrow_tube(LAW, draw_donor(LAW, 1), 20_000, 0.004, tube="2", random_state=3)


def broken(tube, how):
    """Events, detectors and markers of a tube that is broken in one way."""
    events, detectors, markers = tube.events.copy(), list(tube.detectors), list(tube.markers)
    place = {"CD38": "FITC-A", "kappa": "APC-A", "FSC-A": "FSC-A", "FSC-H": "FSC-H", "Time": "Time"}
    what, _, spoilt = how.partition(" ")
    if what == "events":
        return events[: int(spoilt)], detectors, markers
    if how == "all equal":
        return np.repeat(events[:1], 5_000, axis=0), detectors, markers
    if how == "nothing above zero":
        return -events, detectors, markers
    column = detectors.index(place[what])
    if spoilt == "zero":
        events[:, column] = 0
    elif spoilt == "missing":
        return np.delete(events, column, axis=1), np.delete(detectors, column), np.delete(markers, column)
    elif spoilt == "backwards":
        events[:, column] = events[::-1, column]
    elif spoilt == "twice":
        return np.c_[events, events[:, column] // 10], [*detectors, "HDR-T"], [*markers, ""]
    return events, detectors, markers


def as_dataset(tube, how):
    events, detectors, markers = broken(tube, how)
    spillover = tube.spillover if set(tube.spillover.detectors) <= set(detectors) else None
    dataset = ArrayDataset(events, tuple(map(str, detectors)), spillover)
    dataset.markers = tuple(map(str, markers))
    return dataset


REFUSED = {
    "events 0": "0 events, 50 needed",
    "events 1": "1 events, 50 needed",
    "events 30": "30 events, 50 needed",
    "all equal": "FSC-A recorded nothing: every event has the same value",
    "nothing above zero": "0 of 20000 events are 'nucleated', 50 needed to go on",
    "CD38 zero": "CD38 recorded nothing: every event has the same value, 0",
    "FSC-A zero": "FSC-A recorded nothing",
    "CD38 missing": "needs CD38, which the file lacks",
}


@pytest.mark.parametrize("how", REFUSED)
def test_a_tube_without_evidence_is_refused_with_the_reason(tube, how):
    with pytest.raises(CytomrdError, match=REFUSED[how]):
        cm.gate(as_dataset(tube, how), "euroflow-mm-mrd", tube="2")


GATED = {
    "FSC-H zero": "FSC-H recorded nothing",
    "Time zero": "no time QC",
    "Time backwards": "runs backwards",
    "Time twice": "time is not used",
}


@pytest.mark.parametrize("how", GATED)
def test_what_only_cleans_up_is_done_without_and_said(tube, how):
    whole = cm.gate(as_dataset(tube, "events 20000"), "euroflow-mm-mrd", tube="2")
    gated = cm.gate(as_dataset(tube, how), "euroflow-mm-mrd", tube="2")
    assert any(GATED[how] in note for note in (*gated.fitted.notes, *gated.match.notes))
    assert gated.counts["plasma_cells"] == pytest.approx(whole.counts["plasma_cells"], abs=2)


def test_a_light_chain_that_recorded_nothing_has_no_cut(tube):
    fitted = cm.gate(as_dataset(tube, "kappa zero"), "euroflow-mm-mrd", tube="2").fitted
    kappa = next(d for d in fitted.decisions if d.name == "CyIgKappa")
    assert (kappa.status, kappa.value) == ("no_call", None)
    assert "recorded nothing" in kappa.reason
    # Compensation makes two peaks of nothing: a clone's light chain must not be read from it.
    assert "CyIgKappa" not in fitted.axes


def test_a_run_boxes_broken_tubes_and_gates_the_rest(tube, tmp_path):
    rows = []
    for how in ("events 20000", "kappa zero", "FSC-H zero", "events 1", "all equal", "CD38 zero", "nothing above zero"):
        name = how.replace(" ", "-")
        events, detectors, markers = broken(tube, how)
        cm.write_fcs(tmp_path / f"{name}.fcs", events, detectors, markers=markers, ranges=[tube.top] * len(detectors),
                     spillover=tube.spillover, timestep=tube.timestep_s)  # fmt: skip
        rows.append((f"{name}.fcs", name, name, "BM", "euroflow-mm-mrd", "2"))
    with (tmp_path / "samplesheet.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    result = CliRunner().invoke(cytomrd, ["gate", str(tmp_path)])
    assert result.exit_code == 4, result.output
    for reason in ("1 events, 50 needed", "FSC-A recorded nothing", "CD38 recorded nothing", "'nucleated', 50 needed"):
        assert reason in " ".join(result.output.split()), reason
    with (tmp_path / "results" / "mrd.csv").open(newline="") as file:
        assert [row["sample_id"] for row in csv.DictReader(file)] == ["events-20000", "kappa-zero", "FSC-H-zero"]
