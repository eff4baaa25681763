"""What is written is read back exactly, here and by FlowIO and FlowKit."""

from __future__ import annotations

import numpy as np
import pytest

from cytomrd.errors import FcsError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.fcs.writer import write_fcs
from cytomrd.preprocess.compensation import Spillover

DETECTORS = ["FSC-A", "FITC-A", "PE-A", "Time"]
VALUES = np.random.default_rng(1).normal(1000, 500, (200, 4)).astype(np.float32)


@pytest.mark.parametrize("datatype", ["F", "D", "I"])
def test_round_trip_through_three_readers(tmp_path, datatype):
    flowio, flowkit = pytest.importorskip("flowio"), pytest.importorskip("flowkit")
    values = np.abs(np.round(VALUES)) if datatype == "I" else VALUES
    path = tmp_path / "tube.fcs"
    write_fcs(
        path,
        values,
        DETECTORS,
        markers=["", "TCR γδ", "IFN-γ µ", ""],
        keywords={"$CYT": "made | up", "note": "a/b\\c\x0cd", "$TOT": "7", "$P9V": "500", "empty": ""},
        gains=[1, 2.5, 1, 1],
        ranges=[262144, 1024.5 if datatype != "I" else 10000, 262144, 2**20],
        spillover=Spillover(("FITC-A", "PE-A"), np.array([[1, 0.1], [1 / 3, 1]])),
        timestep=0.01,
        datatype=datatype,
    )
    tube = open_fcs(path, strict=True)
    expected = values.astype(np.float64)
    expected[:, 1] /= 2.5
    expected[:, 3] *= 0.01
    np.testing.assert_array_equal(tube.read_events(), expected)
    np.testing.assert_array_equal(flowio.FlowData(str(path)).as_array(), expected)
    sample = flowkit.Sample(str(path))
    np.testing.assert_array_equal(sample.get_events("raw"), expected)
    assert sample.pns_labels == ["", "TCR γδ", "IFN-γ µ", ""]
    assert (tube.findings, tube.markers, tube.n_events) == ((), ("", "TCR γδ", "IFN-γ µ", ""), 200)
    assert tube.keywords["$CYT"] == "made | up"
    assert tube.keywords["NOTE"] == "a/b\\c\x0cd"
    assert not {"EMPTY", "$P9V"} & set(tube.keywords)
    assert tube.spillover.matrix.tolist() == [[1, 0.1], [1 / 3, 1]]


def test_keywords_with_every_delimiter_survive(tmp_path):
    path = tmp_path / "tube.fcs"
    note = "x|\x0c\\!^~*\x1ey"
    write_fcs(path, VALUES, DETECTORS, keywords={"note": note})
    assert open_fcs(path, strict=True).keywords["NOTE"] == note


def test_blocks_give_the_same_bytes_as_one_array(tmp_path):
    write_fcs(tmp_path / "one.fcs", VALUES, DETECTORS)
    blocks = (VALUES[i : i + 70] for i in range(0, 200, 70))
    write_fcs(tmp_path / "blocks.fcs", blocks, DETECTORS, n_events=200)
    assert (tmp_path / "one.fcs").read_bytes() == (tmp_path / "blocks.fcs").read_bytes()


def test_an_opened_file_is_written_again_from_its_own_parts(tmp_path, shared_data):
    source = open_fcs(shared_data / "flowjo-spleen" / "68983.fcs")
    values = source.read_events()
    path = tmp_path / "again.fcs"
    write_fcs(path, values, source.detectors, markers=source.markers, keywords=source.keywords, datatype="D")
    again = open_fcs(path, strict=True)
    np.testing.assert_array_equal(again.read_events(), values)
    np.testing.assert_array_equal(again.spillover.matrix, source.spillover.matrix)
    assert again.markers == source.markers


@pytest.mark.parametrize("n", [0, 1, 9, 10, 99, 100, 9_000, 70_000])
def test_offsets_are_right_for_every_length_of_their_digits(tmp_path, n):
    path = tmp_path / "tube.fcs"
    for extra in ("", "x", "xx" * 40, "y" * 777):
        write_fcs(path, np.ones((n, 1)), ["FSC"], keywords={"note": extra})
        tube = open_fcs(path, strict=True)
        assert (tube.n_events, tube.findings) == (n, ())


@pytest.mark.slow
def test_a_file_with_offsets_beyond_the_header_is_read_back_by_three_readers(tmp_path):
    """Data end behind byte 99,999,999, which has no room in HEADER, so 0 stands there (FCS 3.1, section 3.1)."""
    flowio, flowkit = pytest.importorskip("flowio"), pytest.importorskip("flowkit")
    path = tmp_path / "big.fcs"
    rng = np.random.default_rng(5)
    first, last = (rng.normal(1000, 500, (500_000, 2)).astype(np.float32) for _ in range(2))
    empty = np.zeros_like(first)
    blocks = [first, *[empty] * 24, last]
    write_fcs(path, iter(blocks), ["FSC-A", "Time"], n_events=13_000_000, markers=["CD38 γδ", "µs"], timestep=0.5)
    assert path.read_bytes()[26:42] == b"       0       0"
    expected = np.concatenate(blocks).astype(np.float64)
    expected[:, 1] *= 0.5
    tube = open_fcs(path, strict=True)
    assert (tube.n_events, tube.markers, tube.findings) == (13_000_000, ("CD38 γδ", "µs"), ())
    assert np.array_equal(tube.read_events(), expected)
    data = flowio.FlowData(str(path))
    assert data.pns_labels == ["CD38 γδ", "µs"]
    assert np.array_equal(data.as_array(), expected)
    del data
    sample = flowkit.Sample(str(path), subsample=10)
    assert sample.pns_labels == ["CD38 γδ", "µs"]
    assert np.array_equal(sample.get_events("raw"), expected)


def test_a_sparse_file_is_read_at_its_far_end(tmp_path):
    """The same offsets without 100 MB to write: events of zero are a hole in the file."""
    path = tmp_path / "sparse.fcs"
    n_events, n_zero = 1_250_000_000, 1_249_999_800
    # What the longer numbers take is given back by a note, so that the data begin where they did.
    write_fcs(path, np.zeros((0, 4)), DETECTORS, markers=["CD38 γδ", "", "", ""], keywords={"note": "x" * 40})
    text = path.read_bytes().removesuffix(b"00000000").decode()
    begin = len(text.encode())
    grown = text.replace("|$TOT|0|", f"|$TOT|{n_events}|")
    grown = grown.replace(f"|$BEGINDATA|{begin}|$ENDDATA|{begin - 1}|", "|$BEGINDATA|{0}|$ENDDATA|{1}|")
    end = begin + n_events * 16 - 1
    grown = grown.replace("{0}", str(begin)).replace("{1}", str(end))
    surplus = len(grown.encode()) - begin
    grown = grown.replace("x" * 40, "x" * (40 - surplus))
    with path.open("wb") as handle:
        handle.write((grown[:26] + f"{0:>8}{0:>8}" + grown[42:]).encode())
        handle.seek(begin + n_zero * 16)
        handle.write(VALUES.tobytes())
    tube = open_fcs(path, strict=True)
    assert (tube.n_events, tube.size_bytes, tube.markers[0]) == (n_events, end + 1, "CD38 γδ")
    assert not tube.read_events(events=slice(0, 1000)).any()
    np.testing.assert_array_equal(tube.read_events(events=slice(n_zero, None)), VALUES)
    np.testing.assert_array_equal(tube.read_events(events=[n_events - 1, 0]), [VALUES[-1], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("values", "detectors", "options"),
    [
        (VALUES, DETECTORS[:3], {}),
        (VALUES[0], DETECTORS, {}),
        (VALUES, ["A", "A", "B", "C"], {}),
        (VALUES, ["A,B", "C", "D", "E"], {}),
        (VALUES, ["", "C", "D", "E"], {}),
        (VALUES, DETECTORS, {"markers": ["x"]}),
        (VALUES, DETECTORS, {"gains": [0, 1, 1, 1]}),
        (VALUES, DETECTORS, {"ranges": [np.inf, 1, 1, 1]}),
        (VALUES, DETECTORS, {"datatype": "A"}),
        (VALUES, DETECTORS, {"datatype": "I"}),
        (VALUES, DETECTORS, {"timestep": np.nan}),
        (VALUES, DETECTORS, {"n_events": 7}),
        (VALUES.astype(float) * 1e300, DETECTORS, {}),
        (np.full((2, 4), 300000.0), DETECTORS, {"datatype": "I"}),
        ([VALUES], DETECTORS, {}),
        ([VALUES], DETECTORS, {"n_events": 199}),
        ([VALUES], DETECTORS, {"n_events": 201}),
        ([VALUES[:, :2]], DETECTORS, {"n_events": 200}),
        (VALUES, DETECTORS, {"spillover": Spillover(("X",), np.eye(1))}),
        (VALUES, DETECTORS, {"keywords": {"note": "\ud800"}}),
    ],
)
def test_what_cannot_be_written_exactly_is_refused_and_leaves_no_file(tmp_path, values, detectors, options):
    with pytest.raises(FcsError):
        write_fcs(tmp_path / "tube.fcs", values, detectors, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "tube.fcs"
    write_fcs(path, VALUES, DETECTORS)

    def broken():
        yield VALUES
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        write_fcs(path, broken(), DETECTORS, n_events=400)
    assert [p.name for p in tmp_path.iterdir()] == ["tube.fcs"]
    assert open_fcs(path).n_events == 200


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FcsError, match="cannot be written"):
        write_fcs(tmp_path / "none" / "tube.fcs", VALUES, DETECTORS)


def test_not_finite_values_are_written_as_they_are(tmp_path):
    values = np.array([[np.nan], [np.inf], [-np.inf], [0.5]])
    write_fcs(tmp_path / "tube.fcs", values, ["A"])
    np.testing.assert_array_equal(open_fcs(tmp_path / "tube.fcs").read_events(), values)
