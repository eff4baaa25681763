"""Opening, decoding and reading FCS files, against files built byte by byte."""

from __future__ import annotations

import copy
import gc
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_fcs import build_fcs, channel_keywords, decode_rows, float_file

from cytomrd.errors import CompensationError, FcsError
from cytomrd.fcs import arrays
from cytomrd.fcs.dataset import open_fcs, read_fcs

VALUES = np.random.default_rng(0).normal(1000, 300, (50, 3)).astype("<f4")


@pytest.fixture
def write(tmp_path):
    """A function that writes bytes to a file and returns its path."""

    def write(data: bytes, name="tube.fcs"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def integer_file(values, bits, *, amplification=None, ranges=None, keywords=None, byte_order="1,2,3,4", **options):
    dtype = {8: "u1", 16: "<u2", 32: "<u4", 64: "<u8"}[bits]
    values = np.asarray(values, dtype=dtype)
    n = values.shape[1]
    described = channel_keywords(
        [bits] * n,
        ranges or [2**bits] * n,
        n_events=len(values),
        datatype="I",
        byte_order=byte_order,
        amplification=amplification,
    )
    return build_fcs(values.tobytes(), described | (keywords or {}), **options)


columns = st.lists(
    st.tuples(
        st.sampled_from(["I", "F", "D"]),
        st.sampled_from([1, 7, 8, 10, 12, 16, 20, 24, 31, 32, 40, 48, 64]),
        st.integers(2, 2**64),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(columns, st.integers(0, 9), st.booleans(), st.randoms(use_true_random=False))
def test_any_mix_of_widths_types_and_masks_is_decoded_exactly(tmp_path_factory, columns, n_events, little, rng):
    kinds = [kind for kind, _, _ in columns]
    bits = [{"I": b, "F": 32, "D": 64}[kind] for kind, b, _ in columns]
    widths = [-(-b // 8) for b in bits]
    ranges = [r for _, _, r in columns]
    rows = bytes(rng.randrange(256) for _ in range(n_events * sum(widths)))
    keywords = channel_keywords(
        bits,
        ranges,
        n_events=n_events,
        datatype="I",
        byte_order="1,2,3,4" if little else "4,3,2,1",
        types=kinds,
    )
    path = tmp_path_factory.mktemp("mix") / "mix.fcs"
    path.write_bytes(build_fcs(rows, keywords, version="FCS3.2"))
    expected = decode_rows(rows, widths, kinds, ranges, bits, little)
    try:
        tube = open_fcs(path)
    except FcsError as error:
        # Random bytes can look like floats of the other byte order; that is a refusal by right.
        assert error.keyword == "$BYTEORD"
        return
    np.testing.assert_array_equal(tube.read_events(), expected)
    blocks = [values.T.copy() for _, values in tube.blocks(2)]
    np.testing.assert_array_equal(np.concatenate([np.empty((0, len(bits))), *blocks]), expected)


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("bits", [8, 16, 24, 32, 64])
def test_integers_of_one_width_in_both_byte_orders(write, bits, little):
    rows = np.random.default_rng(bits).bytes(bits // 8 * 3 * 40000)
    ranges = [2**bits, 2 ** (bits - 2), 200]
    order = ",".join(map(str, range(1, bits // 8 + 1) if little else range(bits // 8, 0, -1)))
    described = channel_keywords([bits] * 3, ranges, n_events=40000, datatype="I", byte_order=order)
    tube = open_fcs(write(build_fcs(rows, described)))
    part = decode_rows(rows[: 1000 * 3 * bits // 8], [bits // 8] * 3, "III", ranges, [bits] * 3, little)
    values = tube.read_events()
    np.testing.assert_array_equal(values[:1000], part)
    np.testing.assert_array_equal(values, np.concatenate([v.T.copy() for _, v in tube.blocks()]))


def test_blocks_are_contiguous_reused_and_cover_the_range(write):
    tube = open_fcs(write(float_file(VALUES)))
    seen = []
    for first, values in tube.blocks(16, start=3, stop=40):
        assert values.dtype == np.float64
        assert values.flags.c_contiguous
        np.testing.assert_array_equal(values, VALUES[first : first + values.shape[1]].T)
        seen.append((first, values.shape[1]))
    assert seen == [(3, 16), (19, 16), (35, 5)]
    for start, stop, size in ((-1, 5, 8), (3, 2, 8), (0, 51, 8), (0, 5, 0)):
        with pytest.raises(FcsError):
            tube.blocks(size, start, stop)


def test_channels_and_events_are_chosen_in_any_order(write):
    tube = open_fcs(write(float_file(VALUES, names=["FSC-A", "CD38", "Time"])))
    np.testing.assert_array_equal(tube.read_events(["Time", 0], [49, 0, 7, 7]), VALUES[[49, 0, 7, 7]][:, [2, 0]])
    np.testing.assert_array_equal(tube.read_events(events=slice(40, 10, -3)), VALUES[40:10:-3])
    np.testing.assert_array_equal(tube.read_events(["CD38"], VALUES[:, 0] > 1000), VALUES[VALUES[:, 0] > 1000][:, [1]])
    assert tube.read_events(events=[]).shape == (0, 3)
    assert tube.read_events(dtype=np.float32).dtype == np.float32
    np.testing.assert_array_equal(tube.read_events(dtype=np.float32), VALUES)
    for channels, events in ((["cd38"], None), ([3], None), (None, [50]), (None, [-1]), (None, [True, False])):
        with pytest.raises(FcsError):
            tube.read_events(channels, events)


@pytest.mark.parametrize(
    ("bits", "ranges", "native"),
    [(8, [256, 200], "u1"), (16, [1024, 1000], "u2"), (24, [2**24, 2**20], "u4"), (32, [2**32, 99], "u4")],
)
def test_integers_come_in_their_own_type_too(write, bits, ranges, native):
    rows = np.random.default_rng(bits).bytes(bits // 4 * 500)
    tube = open_fcs(
        write(build_fcs(rows, channel_keywords([bits] * 2, ranges, n_events=500, datatype="I", byte_order="4,3,2,1")))
    )
    values = tube.read_events()
    assert tube.native_dtype == np.dtype(native)
    for dtype in (native, "u8", "f4"):
        again = tube.read_events(dtype=dtype)
        assert again.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(again, values.astype(dtype))
        np.testing.assert_array_equal(tube.read_events([1], slice(7, 90), dtype=dtype), again[7:90, [1]])


@pytest.mark.parametrize("kind", ["floats", "24 bits", "logarithms", "mixed widths", "some columns"])
def test_any_number_of_threads_gives_the_same_bytes(write, monkeypatch, kind):
    monkeypatch.setattr(arrays, "BYTES_PER_THREAD", 1)
    n_events, bits = 1001, {"floats": [32] * 3, "24 bits": [24] * 3, "mixed widths": [8, 24, 16]}.get(kind, [16] * 3)
    described = channel_keywords(
        bits,
        [1000, 2 ** (bits[1] - 1), 256],
        n_events=n_events,
        datatype="F" if kind == "floats" else "I",
        byte_order="1,2,3,4",
        amplification=["4,1", "0,0", "0,0"] if kind == "logarithms" else None,
    )
    rows = np.random.default_rng(7).bytes(n_events * sum(bits) // 8)
    if kind == "floats":
        rows = np.random.default_rng(7).normal(1000, 300, (n_events, 3)).astype("<f4").tobytes()
    tube = open_fcs(write(build_fcs(rows, described)))
    chosen = [2, 0] if kind == "some columns" else None
    for dtype in (np.float64, np.float32, tube.native_dtype):
        alone = tube.read_events(chosen, slice(3, 999), dtype=dtype, threads=1)
        for threads in (2, 3, 996, 2000, None):
            together = tube.read_events(chosen, slice(3, 999), dtype=dtype, threads=threads)
            np.testing.assert_array_equal(together, alone)


def test_without_threads_to_be_had_one_reads_all(write, monkeypatch):
    class NoThreads(arrays.ThreadPoolExecutor):
        def submit(self, *arguments):
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(arrays, "BYTES_PER_THREAD", 1)
    monkeypatch.setattr(arrays, "ThreadPoolExecutor", NoThreads)
    np.testing.assert_array_equal(open_fcs(write(float_file(VALUES))).read_events(threads=3), VALUES)


def test_an_error_in_a_thread_is_that_of_the_first_wrong_event(write, monkeypatch):
    monkeypatch.setattr(arrays, "BYTES_PER_THREAD", 1)
    rows = bytearray(b" 12 34" * 40)
    rows[6 * 30] = rows[6 * 17] = ord("x")
    keywords = channel_keywords([3, 3], [1024] * 2, n_events=40, datatype="A", byte_order="1,2,3,4")
    tube = open_fcs(write(build_fcs(bytes(rows), keywords)))
    messages = []
    for threads in (1, 4):
        with pytest.raises(FcsError, match="no whole number") as caught:
            tube.read_events(threads=threads)
        messages.append((str(caught.value), caught.value.byte_offset))
    assert messages[0] == messages[1]
    tube.path.write_bytes(b"another file")
    with pytest.raises(FcsError, match="changed"):
        tube.read_events(threads=4)


def test_types_that_cannot_hold_the_values_are_refused(write):
    plain = open_fcs(write(integer_file([[1, 70000]], 32, ranges=[256, 2**20]), "plain.fcs"))
    scaled = open_fcs(write(integer_file([[1, 2]], 16, keywords={"$P1G": "2"}), "scaled.fcs"))
    floats = open_fcs(write(float_file(VALUES), "floats.fcs"))
    assert (plain.native_dtype, scaled.native_dtype, floats.native_dtype) == (np.uint32, np.float64, np.float32)
    for tube, dtype in ((plain, "u2"), (plain, "i8"), (scaled, "u2"), (floats, "u4"), (floats, "f2")):
        with pytest.raises(FcsError, match="allowed are float64"):
            tube.read_events(dtype=dtype)


def test_events_are_read_into_memory_that_is_there(write):
    tube = open_fcs(write(float_file(VALUES)))
    out = np.empty((50, 3))
    assert tube.read_events(out=out) is out
    np.testing.assert_array_equal(out, VALUES)
    few = np.empty((2, 1), dtype=np.float32)
    assert tube.read_events([2], [9, 4], dtype=np.float32, out=few) is few
    np.testing.assert_array_equal(few, VALUES[[9, 4]][:, [2]])
    for wrong in (np.empty((49, 3)), np.empty((3, 50)).T, np.empty((50, 3), dtype=np.float32)):
        with pytest.raises(FcsError, match="out has shape"):
            tube.read_events(out=wrong)


def test_a_first_look_loads_no_compiler(write):
    """numba takes longer to load than a thousand events to read."""
    stored = np.arange(2000).reshape(1000, 2) % 1024
    path = write(integer_file(stored, 16, ranges=[1024] * 2, amplification=["4,1", "0,0"]))
    code = (
        "import sys; from cytomrd.fcs.dataset import open_fcs; t = open_fcs(sys.argv[1]); "
        "t.read_events(events=slice(0, 1000)); list(t.blocks()); sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 0


def test_scale_gain_and_time(write):
    stored = np.arange(60).reshape(20, 3) % 50
    data = integer_file(
        stored,
        16,
        ranges=[1024, 1024, 1024],
        amplification=["4,1", "0,0", "0,0"],
        keywords={"$P2G": "2.5", "$P3N": "TIME", "$P3G": "7", "$TIMESTEP": "0.01"},
    )
    tube = open_fcs(write(data))
    values = tube.read_events()
    np.testing.assert_array_equal(values[:, 0], [10.0 ** (4.0 * x / 1024) for x in stored[:, 0]])
    np.testing.assert_array_equal(values[:, 1], stored[:, 1] / 2.5)
    np.testing.assert_array_equal(values[:, 2], stored[:, 2] * 0.01)
    assert tube.timestep == 0.01
    assert [f.keyword for f in tube.findings] == ["$P3G"]


def test_log_amplifier_on_wide_integers_uses_the_same_formula(write):
    stored = np.array([[0], [1], [2**31], [2**32 - 1]], dtype=np.uint32)
    tube = open_fcs(write(integer_file(stored, 32, amplification=["5,0.1"])))
    assert tube.read_events().ravel().tolist() == [10.0 ** (5.0 * float(x) / 2.0**32) * 0.1 for x in stored.ravel()]


@pytest.mark.parametrize("order", ["3,4,1,2", "2,1,4,3"])
def test_permuted_byte_orders(write, order):
    values = np.array([[1, 0x01020304], [0xAABBCCDD, 7]], dtype=">u4")
    significance = [int(i) for i in order.split(",")]
    big = values.tobytes()
    rows = b"".join(bytes(big[at + 4 - s] for s in significance) for at in range(0, len(big), 4))
    described = channel_keywords([32, 32], [2**32] * 2, n_events=2, datatype="I", byte_order=order)
    np.testing.assert_array_equal(open_fcs(write(build_fcs(rows, described))).read_events(), values)


@pytest.mark.parametrize("order", ["", "1", "1,1,2,2", "0,1,2,3", "a,b", "1,2,4", "3,1,2"])
def test_byte_orders_that_say_nothing_are_refused(write, order):
    with pytest.raises(FcsError, match="BYTEORD") as caught:
        open_fcs(write(integer_file([[1, 2]], 32, byte_order=order)))
    assert (caught.value.keyword, caught.value.byte_offset is not None) == ("$BYTEORD", True)


def test_ascii_data_delimited_and_fixed(write):
    described = channel_keywords([0, 0], [1024] * 2, n_events=3, datatype="A", byte_order="1,2,3,4")
    tube = open_fcs(write(build_fcs(b"1 20,300\r\n4 5\t6", described)))
    assert tube.read_events().tolist() == [[1, 20], [300, 4], [5, 6]]
    assert tube.read_events(events=[2]).tolist() == [[5, 6]]
    with pytest.raises(FcsError, match=r"\$TOT"):
        open_fcs(write(build_fcs(b"1 20 300 4 5", described)))
    with pytest.raises(FcsError, match="digit"):
        open_fcs(write(build_fcs(b"1 20 300 4 5 6.5", described)))
    described = channel_keywords([3, 4], [1024] * 2, n_events=2, datatype="A", byte_order="1,2,3,4")
    with pytest.raises(FcsError, match="no whole number") as caught:
        open_fcs(write(build_fcs(b"  1 0203-0   4", described))).read_events()
    assert caught.value.byte_offset > 256
    assert open_fcs(write(build_fcs(b"  1 020" + b"300   4", described))).read_events().tolist() == [[1, 20], [300, 4]]


@pytest.mark.parametrize("widths", [[0, 0], [3, 4]])
def test_log_amplifiers_and_gains_apply_to_digits_too(write, widths):
    described = channel_keywords(
        widths, [1024] * 2, n_events=2, datatype="A", byte_order="1,2,3,4", amplification=["4,1", "0,0"]
    )
    rows = b"  1 020300   4" if all(widths) else b"1 20 300 4"
    tube = open_fcs(write(build_fcs(rows, described | {"$P2G": "2"})))
    assert tube.read_events().tolist() == [[10.0 ** (4.0 * 1.0 / 1024.0), 10.0], [10.0 ** (4.0 * 300.0 / 1024.0), 2.0]]


def test_a_width_like_20_bits_is_settled_by_the_size_of_the_data(write):
    for width in (3, 4):
        rows = b"".join(int(v).to_bytes(width, "little") for v in (1, 2, 3, 2**20 - 1))
        described = channel_keywords([20], [2**20], n_events=4, datatype="I", byte_order="1,2,3,4")
        assert open_fcs(write(build_fcs(rows, described))).read_events().ravel().tolist() == [1, 2, 3, 2**20 - 1]


def test_wide_integers_are_exact_or_told(write):
    stored = np.array([[2**53 - 1], [2**53 + 1]], dtype=np.uint64)
    tube = open_fcs(write(integer_file(stored, 64)))
    assert tube.read_events()[0, 0] == 2**53 - 1
    assert any("rounded" in f.remedy for f in tube.findings)


@pytest.mark.parametrize(
    ("keywords", "keyword"),
    [
        ({"$TOT": "49"}, "$TOT"),
        ({"$TOT": "51"}, "$TOT"),
        ({"$TOT": "5_0"}, "$TOT"),
        ({"$TOT": "+50"}, "$TOT"),
        ({"$TOT": "٥٠"}, "$TOT"),
        ({"$TOT": "@OMIT"}, "$TOT"),
        ({"$TOT": "9" * 30}, "$TOT"),
        ({"$PAR": "2"}, "$PAR"),
        ({"$PAR": "4"}, "$PAR"),
        ({"$PAR": "@OMIT"}, "$PAR"),
        ({"$P2N": "@OMIT"}, "$P2N"),
        ({"$P2N": " "}, "$P2N"),
        ({"$P2N": "C1"}, "$P2N"),
        ({"$P2B": "16"}, "$P2B"),
        ({"$P2B": "@OMIT"}, "$P2B"),
        ({"$P2R": "@OMIT"}, "$P2R"),
        ({"$P2R": "nan"}, "$P2R"),
        ({"$P2R": "-5"}, "$P2R"),
        ({"$P2E": "4"}, "$P2E"),
        ({"$P2E": "-4,1"}, "$P2E"),
        ({"$P2E": "inf,1"}, "$P2E"),
        ({"$P2G": "x"}, "$P2G"),
        ({"$DATATYPE": "@OMIT"}, "$DATATYPE"),
        ({"$MODE": "C"}, "$MODE"),
        ({"$BEGINDATA": "x"}, "$BEGINDATA"),
        ({"$BEGINSTEXT": "9000", "$ENDSTEXT": "9900"}, "$BEGINSTEXT"),
        ({"$NEXTDATA": "999999"}, "$NEXTDATA"),
        ({"$NEXTDATA": "-1"}, "$NEXTDATA"),
        ({"$P3N": "Time", "$TIMESTEP": "soon"}, "$TIMESTEP"),
        ({"$P3N": "Time", "$P2N": "TIME", "$TIMESTEP": "0.1"}, "$P3N"),
    ],
)
def test_a_refusal_names_keyword_and_place(write, keywords, keyword):
    with pytest.raises(FcsError) as caught:
        open_fcs(write(float_file(VALUES, keywords=keywords)))
    assert caught.value.keyword == keyword
    assert caught.value.byte_offset >= 26
    assert "tube.fcs" in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "keyword"),
    [
        ({"$NEXTDATA": "@OMIT"}, "$NEXTDATA"),
        ({"$MODE": "@OMIT"}, "$MODE"),
        ({"$P2E": "@OMIT"}, "$P2E"),
        ({"$P2E": "4,1"}, "$P2E"),
        ({"$P2G": "0"}, "$P2G"),
        ({"$TIMESTEP": " "}, "$TIMESTEP"),
        ({"$TIMESTEP": "xxxxxx", "$P3N": "Time"}, "$TIMESTEP"),
        ({"$BEGINANALYSIS": "5000", "$ENDANALYSIS": "6000"}, "$BEGINANALYSIS"),
        ({"$P3DATATYPE": "F"}, "$P3DATATYPE"),
    ],
)
def test_what_the_file_itself_proves_is_repaired_told_and_refused_when_strict(write, keywords, keyword):
    path = write(float_file(VALUES, keywords=keywords))
    tube = open_fcs(path)
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert [f.keyword for f in tube.findings if f.grade == "repaired"] == [keyword]
    with pytest.raises(FcsError, match="strict mode"):
        open_fcs(path, strict=True)


def test_a_gain_on_a_log_amplifier_is_refused(write):
    with pytest.raises(FcsError, match="forbids both") as caught:
        open_fcs(write(integer_file([[1, 2]], 16, amplification=["4,1", "0,0"], keywords={"$P1G": "2"})))
    assert caught.value.keyword == "$P1G"


@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("where", ["both", "HEADER", "TEXT"])
def test_an_end_one_byte_off_is_put_right(write, change, where):
    plain = float_file(VALUES)
    begin, end = int(plain[26:34]), int(plain[34:42])
    data = plain
    if where != "TEXT":
        data = data[:34] + f"{end + change:>8}".encode() + data[42:]
    if where != "HEADER":
        data = data.replace(f"$ENDDATA|{end:012d}".encode(), f"$ENDDATA|{end + change:012d}".encode())
    tube = open_fcs(write(data))
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert begin == tube.structure.data.begin
    assert any(f.grade == "repaired" for f in tube.findings)


def test_one_byte_off_is_a_whole_event_where_events_have_one_byte(write):
    data = integer_file(np.arange(20).reshape(20, 1), 8, keywords={"$TOT": "19"}, byte_order="1")
    with pytest.raises(FcsError, match=r"\$TOT"):
        open_fcs(write(data))


@pytest.mark.parametrize("shift", [-12, -4, -1, 1, 4, 12, 24])
def test_shifted_offsets_are_refused_wherever_they_agree(write, shift):
    plain = float_file(VALUES, tail=b"x" * 100)
    begin, end = int(plain[26:34]), int(plain[34:42])
    data = plain[:26] + f"{begin + shift:>8}{end + shift:>8}".encode() + plain[42:]
    for key, value in (("BEGIN", begin), ("END", end)):
        data = data.replace(f"${key}DATA|{value:012d}".encode(), f"${key}DATA|{value + shift:012d}".encode())
    with pytest.raises(FcsError):
        open_fcs(write(data))


@pytest.mark.parametrize("shift", [-40, -12, 12, 46])
@pytest.mark.parametrize("wrong", ["HEADER", "TEXT"])
def test_of_two_places_the_one_behind_text_is_believed(write, shift, wrong):
    plain = float_file(VALUES, tail=b"x" * 100)
    begin, end = int(plain[26:34]), int(plain[34:42])
    if wrong == "HEADER":
        data = plain[:26] + f"{begin + shift:>8}{end + shift:>8}".encode() + plain[42:]
    else:
        data = plain
        for key, value in (("BEGIN", begin), ("END", end)):
            data = data.replace(f"${key}DATA|{value:012d}".encode(), f"${key}DATA|{value + shift:012d}".encode())
    tube = open_fcs(write(data))
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert any(f.grade == "repaired" for f in tube.findings)


@pytest.mark.parametrize("padding", [b"", b" " * 7, b"\0" * 300, b"\r\n"])
def test_padding_before_the_data_changes_nothing(write, padding):
    np.testing.assert_array_equal(open_fcs(write(float_file(VALUES, padding=padding))).read_events(), VALUES)


@pytest.mark.parametrize("header_data", [(0, 0), (0, 12)])
def test_offsets_of_zero_in_header(write, header_data):
    np.testing.assert_array_equal(open_fcs(write(float_file(VALUES, header_data=header_data))).read_events(), VALUES)


def test_fcs_2_has_its_offsets_in_header_only(write):
    base = dict.fromkeys(
        ["$BEGINDATA", "$ENDDATA", "$BEGINSTEXT", "$ENDSTEXT", "$BEGINANALYSIS", "$ENDANALYSIS"], "@OMIT"
    )
    path = write(float_file(VALUES, version="FCS2.0", base=base, keywords={"$TOT": "@OMIT", "$P2N": "@OMIT"}))
    tube = open_fcs(path)
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert tube.detectors == ("C1", "P2", "C3")


def test_data_behind_the_first_100_million_bytes(write, tmp_path):
    path = tmp_path / "far.fcs"
    begin = 100_000_100
    head = float_file(
        VALUES, header_data=(0, 0), base={"$BEGINDATA": f"{begin}", "$ENDDATA": f"{begin + 599}"}, tail=b""
    )
    with path.open("wb") as handle:
        handle.write(head[: -VALUES.nbytes])
        handle.seek(begin)
        handle.write(VALUES.tobytes())
    tube = open_fcs(path)
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert tube.findings == ()


def test_an_empty_list_of_events(write):
    for header_data in (None, (0, 0)):
        tube = open_fcs(write(float_file(VALUES[:0], header_data=header_data)))
        assert tube.n_events == 0
        assert tube.read_events().shape == (0, 3)
        assert list(tube.blocks()) == []


def test_supplemental_text_is_read_and_must_not_contradict(write):
    def with_supplement(extra: str) -> bytes:
        extra_bytes = extra.encode()
        plain = float_file(VALUES, base={"$BEGINSTEXT": "0" * 8, "$ENDSTEXT": "0" * 8}, tail=extra_bytes)
        begin = len(plain) - len(extra_bytes)
        plain = plain.replace(b"$BEGINSTEXT|00000000", f"$BEGINSTEXT|{begin:08d}".encode())
        return plain.replace(b"$ENDSTEXT|00000000", f"$ENDSTEXT|{len(plain) - 1:08d}".encode())

    tube = open_fcs(write(with_supplement("/NOTE/a//b/$P2S/CD38/")))
    assert (tube.keywords["NOTE"], tube.markers[1]) == ("a/b", "CD38")
    with pytest.raises(FcsError, match=r"\$P2G") as caught:
        open_fcs(write(with_supplement("/$P2G/1/$P2G/9/")))
    assert caught.value.keyword == "$P2G"
    with pytest.raises(FcsError):
        open_fcs(write(with_supplement("/$TOT/7/")))


def test_several_data_sets(write):
    second = float_file(VALUES[:7])
    size = len(float_file(VALUES, keywords={"$NEXTDATA": "0000000"}))
    data = float_file(VALUES, keywords={"$NEXTDATA": f"{size:07d}"}) + second
    path = write(data)
    first = open_fcs(path)
    assert [(s.byte_offset, s.n_events) for s in first.summaries] == [(0, 50), (size, 7)]
    assert [f.grade for f in first.findings] == ["note"]
    np.testing.assert_array_equal(first.read_events(), VALUES)
    np.testing.assert_array_equal(open_fcs(path, dataset=1).read_events(), VALUES[:7])
    with pytest.raises(FcsError):
        open_fcs(path, dataset=-1)
    # A damaged second set is told and does not hide the first; asked for, it is refused.
    damaged = write(data[: size + 300])
    tube = open_fcs(damaged)
    np.testing.assert_array_equal(tube.read_events(), VALUES)
    assert any("damaged" in f.seen for f in tube.findings)
    with pytest.raises(FcsError):
        open_fcs(damaged, dataset=1)


def test_wrong_byte_order_of_floats_is_refused(write):
    data = float_file(VALUES).replace(b"|1,2,3,4|", b"|4,3,2,1|")
    with pytest.raises(FcsError, match="opposite order") as caught:
        open_fcs(write(data))
    assert caught.value.keyword == "$BYTEORD"


@pytest.mark.parametrize("n_events", [4, 300, 3000])
def test_data_that_went_through_a_text_conversion_are_refused(write, n_events):
    """Bytes that are no UTF-8 become EF BF BD, which makes the file longer but leaves $TOT's bytes in place."""
    rows = np.random.default_rng(3).bytes(n_events * 12)
    described = channel_keywords([32] * 3, [2**32] * 3, n_events=n_events, datatype="I", byte_order="1,2,3,4")
    open_fcs(write(build_fcs(rows, described)))
    lossy = rows.decode("utf-8", errors="replace").encode()
    plain = build_fcs(lossy[: len(rows)], described, tail=lossy[len(rows) :])
    with pytest.raises(FcsError, match="converted as text") as caught:
        open_fcs(write(plain))
    assert (caught.value.keyword, caught.value.byte_offset >= len(plain) - len(lossy)) == ("DATA", True)


def test_not_finite_values_are_kept_and_counted(write):
    values = VALUES.copy()
    values[3, 1], values[4, :2], values[9, 2] = np.nan, np.inf, 1e-42
    path = write(float_file(values))
    np.testing.assert_array_equal(open_fcs(path).read_events(), values)
    assert read_fcs(path).uns["cytomrd"]["n_non_finite"] == 2


def test_text_of_the_file_is_data_and_cannot_be_changed(write):
    tube = open_fcs(write(float_file(VALUES, keywords={"$P2S": "TCR γδ", "lower": "Kept As Is"})))
    assert (tube.markers[1], tube.keywords["LOWER"]) == ("TCR γδ", "Kept As Is")
    with pytest.raises(TypeError):
        tube.keywords["LOWER"] = "x"


def test_volume_is_in_microlitres(write):
    assert open_fcs(write(float_file(VALUES, keywords={"$VOL": "30500"}))).volume_ul == 30.5
    assert open_fcs(write(float_file(VALUES))).volume_ul is None


def test_spillover_fails_when_asked_for_and_not_before(write):
    path = write(float_file(VALUES, keywords={"SPILL": "2,C1,CX,1,0.1,0,1"}))
    tube = open_fcs(path)
    with pytest.raises(CompensationError, match="CX"):
        _ = tube.spillover
    good = open_fcs(write(float_file(VALUES, keywords={"SPILL": "2,C1,C2,1,0.1,0,1"})))
    assert good.spillover.matrix[0, 1] == 0.1
    assert open_fcs(write(float_file(VALUES))).spillover is None


def test_identity_is_the_hash_of_the_bytes(write):
    import hashlib

    data = float_file(VALUES)
    assert open_fcs(write(data)).sha256 == hashlib.sha256(data).hexdigest()


def test_a_dataset_travels_between_processes(write):
    tube = copy.deepcopy(open_fcs(write(float_file(VALUES))))  # by the protocol that sends it to a worker
    np.testing.assert_array_equal(tube.read_events(), VALUES)


def test_a_file_that_changes_after_opening_is_refused(write):
    path = write(float_file(VALUES))
    tube = open_fcs(path)
    path.write_bytes(float_file(VALUES[:10]))
    with pytest.raises(FcsError, match="changed"):
        tube.read_events()
    with pytest.raises(FcsError, match="changed"):
        list(tube.blocks())


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo.fcs")
    (tmp_path / "folder.fcs").mkdir()
    (tmp_path / "loop.fcs").symlink_to(tmp_path / "loop.fcs")
    (tmp_path / "packed.fcs").write_bytes(b"\x1f\x8b\x08" + bytes(100))
    for name in ("fifo.fcs", "folder.fcs", "loop.fcs", "packed.fcs", "missing.fcs", "nul\0.fcs", "x" * 300):
        with pytest.raises(FcsError) as caught:
            open_fcs(tmp_path / name)
        assert caught.value.keyword in ("FILE", "HEADER")


def test_failed_and_finished_reads_leave_no_descriptor(write):
    good, bad = write(float_file(VALUES)), write(float_file(VALUES)[:700], "cut.fcs")
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("open descriptors are not listed on this system")
    gc.collect()
    before = len(list(descriptors.iterdir()))
    for _ in range(1000):
        with pytest.raises(FcsError):
            open_fcs(bad)
    tube = open_fcs(good)
    next(iter(tube.blocks(4)))
    tube.read_events()
    gc.collect()
    assert len(list(descriptors.iterdir())) == before


def test_opening_a_huge_file_reads_its_head_only(write, tmp_path):
    path = tmp_path / "huge.fcs"
    n_events = 400_000_000
    head = float_file(VALUES[:0], keywords={"$TOT": str(n_events)}, header_data=(0, 0), tail=b"")
    size = n_events * 12
    begin = len(head)
    head = head.replace(b"$ENDDATA|" + f"{begin - 1:012d}".encode(), f"$ENDDATA|{begin + size - 1:012d}".encode())
    with path.open("wb") as handle:
        handle.write(head)
        handle.truncate(begin + size)
    tube = open_fcs(path)
    assert tube.n_events == n_events
    assert tube.read_events(events=slice(n_events - 1000, None)).shape == (1000, 3)


def test_an_array_larger_than_the_memory_is_an_error_of_the_reader():
    with pytest.raises(FcsError, match="read fewer, or by blocks"):
        arrays._result(None, (1 << 50, 100), np.dtype(np.float64))


def test_anndata_has_events_by_channels(write, tmp_path):
    path = write(float_file(VALUES, names=["FSC-A", "CD38", "Time"], keywords={"$P2S": "CD38 FITC", "A/B": "x"}))
    adata = read_fcs(path)
    np.testing.assert_array_equal(adata.X, VALUES)
    np.testing.assert_array_equal(adata.layers["raw"], VALUES)
    assert list(adata.var_names) == ["FSC-A", "CD38", "Time"]
    assert list(adata.var["marker"]) == ["", "CD38 FITC", ""]
    assert adata.uns["cytomrd"]["keywords"]["$TOT"] == "50"
    assert adata.uns["cytomrd"]["sha256"] == open_fcs(path).sha256
    adata.X[0, 0] = -1
    assert adata.layers["raw"][0, 0] == VALUES[0, 0]


def mutated(data: bytes, rng: random.Random) -> bytes:
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(min(len(data), 800)) if data else 0
        how = rng.randrange(5)
        if how == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif how == 1:
            data[at:at] = rng.choice([b"|", b"||", b"\0", b"$TOT", b"|$P1B|8|", b"\xff", b"-1", b"1e9", b" "])
        elif how == 2:
            del data[at : at + rng.randrange(1, 30)]
        elif how == 3:
            del data[rng.randrange(len(data) + 1) :]
        else:
            field = 10 + 8 * rng.randrange(6)
            data[field : field + 8] = b"%8d" % rng.choice([0, 1, 58, 256, rng.randrange(2000), 99999999])
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["float", "integer", "ascii"]))
def test_damaged_files_are_read_alike_by_both_ways_or_refused(tmp_path_factory, seed, kind):
    described = channel_keywords([0, 0], [1024] * 2, n_events=3, datatype="A", byte_order="1,2,3,4")
    plain = {
        "float": float_file(VALUES),
        "integer": integer_file(np.arange(40).reshape(20, 2), 16, ranges=[1024, 30], amplification=["4,1", "0,0"]),
        "ascii": build_fcs(b"1 20 300 4 5 6", described),
    }[kind]
    path = tmp_path_factory.getbasetemp() / "damaged.fcs"
    path.write_bytes(mutated(plain, random.Random(seed)))
    try:
        tube = open_fcs(path)
        values = tube.read_events()
        again = [v.T.copy() for _, v in tube.blocks(7)]
    except FcsError as error:
        assert error.keyword
        return
    assert values.shape == (tube.n_events, tube.n_channels)
    np.testing.assert_array_equal(values, np.concatenate([np.empty((0, tube.n_channels)), *again]))
