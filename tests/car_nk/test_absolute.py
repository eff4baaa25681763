"""Cells per microlitre: three methods, and every reason for refusing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import cytomrd as cm
from cytomrd.car_nk.absolute import DualPlatform, SinglePlatform, Volumetric, volume_ul_from_keyword
from cytomrd.errors import QuantificationError
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.flowjo import read_flowjo_workspace

NOON = datetime(2024, 5, 2, 12)


def beads(**changes):
    values = {"n_beads": 10_000, "beads_per_tube": 50_000, "bead_lot": "L1", "sample_volume_ul": 100.0, "dilution": 1.0}
    return SinglePlatform(**{**values, **changes}).concentration()


def dual(**changes):
    values = {"wbc_10e9_per_l": 7.0, "collected_at": NOON, "cbc_at": NOON - timedelta(hours=3)}
    n = changes.pop("n_leukocytes", 100_000)
    return DualPlatform(**{**values, **changes}).concentration(n)


def test_single_platform():
    # 2,000 events at 50,000 beads in the tube, 10,000 counted, 100 uL: 100 cells per uL.
    found = beads()
    assert 2_000 * found.per_event_per_ul == pytest.approx(100.0)
    assert (found.method, found.n_reference, found.flags) == ("single_platform", 10_000, ())
    assert beads(dilution=2.0).per_event_per_ul == pytest.approx(2 * found.per_event_per_ul)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"n_beads": None}, "NO_BEADS"),
        ({"n_beads": 0}, "ZERO_BEADS"),
        ({"beads_per_tube": None}, "BEADS_PER_TUBE_INVALID"),
        ({"beads_per_tube": 0}, "BEADS_PER_TUBE_INVALID"),
        ({"beads_per_tube": float("nan")}, "BEADS_PER_TUBE_INVALID"),
        ({"n_beads": 60_000}, "BEADS_EXCEED_TUBE"),
        ({"bead_lot": None}, "BEAD_LOT_MISSING"),
        ({"bead_lot": "  "}, "BEAD_LOT_MISSING"),
        ({"sample_volume_ul": 0}, "VOLUME_INVALID"),
        ({"sample_volume_ul": None}, "VOLUME_INVALID"),
        ({"sample_volume_ul": -5}, "VOLUME_INVALID"),
        ({"dilution": 0}, "DILUTION_INVALID"),
        ({"dilution": 0.1}, "DILUTION_INVALID"),
        ({"washed": True}, "WASHED_TUBE"),
    ],
)
def test_single_platform_refusals(changes, code):
    found = beads(**changes)
    assert found.per_event_per_ul is None
    assert [f.split(":")[0] for f in found.flags] == [code]


def test_few_beads_are_flagged_and_used():
    found = beads(n_beads=400)
    assert found.per_event_per_ul is not None
    assert found.flags[0].startswith("FEW_BEADS")


def test_dual_platform():
    assert dual().per_event_per_ul == pytest.approx(0.07)
    assert dual(cbc_at=NOON + timedelta(hours=24)).flags == ()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"wbc_10e9_per_l": None}, "WBC_MISSING"),
        ({"wbc_10e9_per_l": 7000.0}, "WBC_UNIT"),
        ({"wbc_10e9_per_l": 0.0}, "WBC_UNIT"),
        ({"cbc_at": NOON - timedelta(days=3)}, "CBC_TOO_OLD"),
        ({"cbc_at": NOON + timedelta(hours=25)}, "CBC_TOO_OLD"),
        ({"cbc_at": None}, "CBC_TIME_UNKNOWN"),
        ({"cbc_at": NOON.replace(tzinfo=UTC)}, "CBC_TIME_UNKNOWN"),
        ({"same_denominator": False}, "DENOMINATOR_MISMATCH"),
        ({"n_leukocytes": 0}, "NO_LEUKOCYTES"),
    ],
)
def test_dual_platform_refusals(changes, code):
    found = dual(**changes)
    assert found.per_event_per_ul is None
    assert [f.split(":")[0] for f in found.flags] == [code]


def test_wrong_unit_says_what_it_may_be():
    assert "7000 cells per uL would be 7" in dual(wbc_10e9_per_l=7000.0).flags[0]


def test_volumetric_and_its_keyword():
    # A published Aurora file: 2,193 CD45+ events in 30.5 uL are 71.9 per uL.
    volume = volume_ul_from_keyword("        30.5", cytometer="Aurora")
    assert 2_193 * Volumetric(volume).concentration().per_event_per_ul == pytest.approx(71.9, abs=0.01)
    assert volume_ul_from_keyword("30500") == pytest.approx(30.5)
    assert volume_ul_from_keyword(30.5, unit="uL") == 30.5
    assert Volumetric(0).concentration().per_event_per_ul is None


def test_leukocytes_per_ul_of_a_published_file_from_its_own_volume(shared_data):
    folder, name = shared_data / "flowjo-aurora", "CellCounts4L-NY071-1.fcs"
    dataset = cm.open_fcs(folder / name)
    gates = read_flowjo_workspace(folder / "CellCounts.wsp", folder / name).strategy
    keywords = dataset.keywords
    volume = volume_ul_from_keyword(keywords["$VOL"], cytometer=keywords["$CYT"])
    n_leukocytes = apply_gates(dataset, gates).count("CD45+")
    assert n_leukocytes * Volumetric(volume).concentration().per_event_per_ul == pytest.approx(71.9, rel=0.01)


@pytest.mark.parametrize("vol", ["", "none", "0", "-3", "nan", "30.5"])
def test_volume_keyword_that_says_nothing(vol):
    # 30.5 without a unit would be 0.03 uL by the standard: more likely not nanolitres.
    with pytest.raises(QuantificationError):
        volume_ul_from_keyword(vol)
