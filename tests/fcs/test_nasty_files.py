"""Every nasty file behaves as its manifest wants; real files of many instruments give FlowIO's numbers."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from cytomrd.errors import FcsError
from cytomrd.fcs.dataset import open_fcs

# The last digit of 10**x differs from library to library; numpy's, which FlowIO takes, from processor to processor.
SCALED_TOLERANCE = 3e-16


def outcome(path, case):
    """ "exact", "refused", or a word on what is different."""
    try:
        tube = open_fcs(path)
        values = tube.read_events()
    except FcsError as error:
        assert error.keyword, "a refusal names the keyword"
        assert error.byte_offset is not None, "and the place"
        return "refused"
    truth = case["pre"] if case["pre"] is not None else case["truth"]
    if truth is None or values.shape != np.shape(truth):
        return f"shape {values.shape}"
    truth = np.array(truth, dtype=float)
    if not np.allclose(values, truth, rtol=SCALED_TOLERANCE if case["pre"] else 0, atol=0, equal_nan=True):
        return "other numbers"
    wrong = {k: tube.keywords.get(k) for k, v in case["meta"].items() if tube.keywords.get(k) != v}
    if wrong or (case["names"] and list(tube.detectors) != case["names"]):
        return f"other keywords {wrong} or names {tube.detectors}"
    return "exact"


def test_every_nasty_file_is_read_exactly_or_refused(shared_data):
    folder = shared_data / "nasty-fcs"
    cases = json.loads((folder / "manifest.json").read_text())
    allowed = {"read": {"exact"}, "reject": {"refused"}, "either": {"exact", "refused"}, "qc": {"exact", "refused"}}
    wrong = []
    for name, case in cases.items():
        result = outcome(folder / case["file"], case)
        if result not in allowed[case["want"]]:
            wrong.append((name, case["want"], result))
    assert len(cases) >= 81
    assert not wrong


REFUSED = {
    "README.txt": "not an FCS file",
    "corrupted.fcs": "not an FCS file",
    "sample_header.fcs": "cut short",
    "variable_int_example.fcs": "converted as text",
    "data_start_offset_discrepancy_example.fcs": "converted as text",
    "data_stop_offset_discrepancy_example.fcs": "converted as text",
}


def test_real_files_open_and_equal_flowio(shared_data):
    import flowio

    n_compared = 0
    for path in sorted((shared_data / "instruments").iterdir()):
        if path.name in REFUSED:
            with pytest.raises(FcsError, match=REFUSED[path.name].replace("$", r"\$")):
                open_fcs(path)
            continue
        values = open_fcs(path).read_events()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                theirs = flowio.read_multiple_data_sets(str(path))[0].as_array()
        except Exception:  # FlowIO stops at many of these; then there is nothing to compare
            continue
        same = values.shape == theirs.shape and np.allclose(
            values, theirs, rtol=SCALED_TOLERANCE, atol=0, equal_nan=True
        )
        # Guava stores log10 of a channel as float and says $PnE=4.0,1.0, which FlowIO takes for 10**(4 x / range).
        assert same != path.name.startswith("Guava"), path.name
        n_compared += same
    assert n_compared >= 20


def test_guava_log_channels_hold_the_logarithm_of_the_linear_ones(shared_data):
    tube = open_fcs(shared_data / "instruments" / "Guava Muse (history).fcs")
    linear, logarithm = tube.read_events(["FSC-HLin", "FSC-HLog"]).T
    gain = tube.channels[0].gain
    np.testing.assert_allclose(np.log10(linear * gain), logarithm, atol=2e-3)


def test_header_is_right_in_accuri_and_cyan(shared_data):
    """Decoded by hand from the bytes behind the HEADER's offset."""
    folder = shared_data / "instruments"
    for name, begin, dtype in (("Accuri - C6.fcs", 2960, ">u4"), ("Beckman Coulter - Cyan.fcs", 2284, "<u2")):
        tube = open_fcs(folder / name)
        count = tube.n_events * tube.n_channels
        rows = np.fromfile(folder / name, dtype=dtype, count=count, offset=begin).reshape(-1, tube.n_channels)
        linear = [c.index for c in tube.channels if not c.decades and not c.is_time]
        masks = np.array([tube.channels[j].mask for j in linear])
        np.testing.assert_array_equal(tube.read_events(linear), rows[:, linear] & masks)
        with pytest.raises(FcsError, match="strict mode"):
            open_fcs(folder / name, strict=True)


def test_ten_bits_in_sixteen_and_24_bit_integers_by_hand(shared_data):
    folder = shared_data / "instruments"
    tube = open_fcs(folder / "Beckman Coulter - Cytomics FC500.LMD")
    rows = np.fromfile(tube.path, dtype="<u2", count=tube.n_events * 4, offset=8192).reshape(-1, 4)
    assert tube.channels[0].bits == 10
    np.testing.assert_array_equal(tube.read_events([0, 1]), rows[:, :2] & 1023)
    tube = open_fcs(folder / "Cytek xP5.fcs")
    raw = np.fromfile(tube.path, dtype=np.uint8, count=tube.n_events * 24, offset=4096).reshape(-1, 8, 3).astype(int)
    whole = raw[:, :, 0] * 65536 + raw[:, :, 1] * 256 + raw[:, :, 2]
    linear = [c.index for c in tube.channels if not c.decades and not c.is_time]
    np.testing.assert_array_equal(tube.read_events(linear), whole[:, linear] & 32767)


def test_copies_of_the_same_cells_are_listed_and_not_added(shared_data):
    path = shared_data / "instruments" / "Beckman Coulter - Gallios.LMD"
    first, second = open_fcs(path), open_fcs(path, dataset=1)
    assert (first.datasets, first.n_events, second.n_events) == (2, 26383, 26383)
    assert (first.version, second.version) == ("FCS2.0", "FCS3.0")
    assert any("same cells" in f.seen for f in first.findings)
    with pytest.raises(FcsError, match="has 2"):
        open_fcs(path, dataset=2)


def test_values_equal_flowkit_where_gains_and_log_amplifiers_apply(shared_data):
    flowkit = pytest.importorskip("flowkit")
    path = shared_data / "gating-ml" / "data1.fcs"
    theirs = flowkit.Sample(str(path)).get_events("raw")
    np.testing.assert_allclose(open_fcs(path).read_events(), theirs, rtol=SCALED_TOLERANCE)
