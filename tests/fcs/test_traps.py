"""Traps of the kinds that real and hostile files set: each is read exactly, or refused with keyword and place."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from naive_fcs import build_fcs, channel_keywords, float_file

from cytomrd.errors import CompensationError, FcsError
from cytomrd.fcs.dataset import open_fcs

VALUES = np.random.default_rng(4).uniform(100, 9000, (40, 4)).astype("<f4")
COUNTS = np.random.default_rng(5).integers(0, 1024, (40, 4)).astype("<u2")
NAMES = ["FSC-A", "SSC-A", "FITC-A", "PE-A"]
PLAIN = float_file(VALUES, names=NAMES)
TEXT_END, BEGIN, END = (int(PLAIN[at : at + 8]) for at in (18, 26, 34))


def floats(keywords=None, values=VALUES, **options):
    return float_file(values, names=NAMES, keywords=keywords or {}, **options)


def integers(values=COUNTS, bits=16, ranges=1024, amplification="0,0", keywords=None, byte_order="1,2,3,4"):
    described = channel_keywords(
        [bits] * 4,
        [ranges] * 4,
        names=NAMES,
        n_events=len(values),
        datatype="I",
        byte_order=byte_order,
        amplification=["0,0", "0,0", amplification, "0,0"],
    )
    return build_fcs(values.tobytes(), described | (keywords or {}))


def placed(data=PLAIN, begin=BEGIN, end=END, *, header=(0, 0), text=(0, 0)):
    """The file with the begin and the end of DATA shifted in HEADER and in TEXT."""
    data = data[:26] + f"{begin + header[0]:>8}{end + header[1]:>8}".encode() + data[42:]
    data = data.replace(b"$BEGINDATA|%012d" % begin, b"$BEGINDATA|%012d" % (begin + text[0]))
    return data.replace(b"$ENDDATA|%012d" % end, b"$ENDDATA|%012d" % (end + text[1]))


def with_zeros(**options):
    """A file whose first channel is 0, which looks like padding."""
    values = VALUES.copy()
    values[:, 0] = 0
    return floats(values=values, **options)


def padded(begin_shift=0, end_shift=0, **options):
    """DATA behind 100 spaces, with offsets shifted in HEADER and in TEXT alike."""
    shifts = (begin_shift, end_shift)
    return placed(floats(padding=b" " * 100, **options), BEGIN + 100, END + 100, header=shifts, text=shifts)


def data_before_text(gap=b"", shift=0):
    described = channel_keywords([32] * 4, [262144] * 4, names=NAMES, n_events=40, datatype="F", byte_order="1,2,3,4")
    begin, end = 58 + shift, 58 + shift + VALUES.nbytes - 1
    base = {"$BEGINDATA": str(begin), "$ENDDATA": str(end)}
    text = build_fcs(b"", described, base=base, tail=b"", text_begin=58)[58:]
    at = 58 + VALUES.nbytes + len(gap)
    header = b"FCS3.1    " + b"".join(b"%8d" % n for n in (at, at + len(text) - 1, begin, end, 0, 0))
    return header + VALUES.tobytes() + gap + text


def other_segment_between():
    other = b"OTHER SEGMENT " * 7
    data = floats(padding=other)
    return data[:58] + b"%8d%8d" % (TEXT_END + 1, TEXT_END + len(other)) + data[74:]


def masked_logarithm():
    expected = COUNTS.astype(float)
    expected[:, 2] = [10.0 ** (4.0 * x / 1000.0) for x in expected[:, 2].tolist()]
    return integers(COUNTS | np.uint16(0xF000), ranges=1000, amplification="4.0, 1"), expected


READ = {
    "version 3.2": floats(version="FCS3.2"),
    "HEADER left aligned": PLAIN[:10] + b"%-8d%-8d%-8d%-8d" % (256, TEXT_END, BEGIN, END) + PLAIN[42:],
    "HEADER blank": PLAIN[:26] + b" " * 32 + PLAIN[58:],
    "no CRC": floats(tail=b""),
    "a tail of anything": floats(tail=b"\xff" * 5000),
    "$TOT with spaces": floats({"$TOT": " 0040 "}),
    "lower-case keywords": PLAIN.replace(b"$TOT", b"$tot").replace(b"$P1N", b"$p1n"),
    "keywords without $": floats({"TOT": "7", "PAR": "9", "P1N": "x", "BYTEORD": "4,3,2,1", "NEXTDATA": "9"}),
    "a standard keyword as a value": floats({"NOTE": "$TOT"}),
    "$P3R=0 on floats": floats({"$P3R": "0"}),
    "$P3E=0,1": floats({"$P3E": "0,1"}),
    "matrix of nonsense": floats({"$SPILLOVER": "2,FITC-A,PE-A,1,nan,0.02,1"}),
    "markers alike": floats({"$P1S": "CD3", "$P2S": "CD3"}),
    "names alike but for case": floats({"$P4N": "fitc-a"}),
    "dotless i in a keyword": floats({"$t\u0131mestep": "5", "$P4N": "Time"}),
    "megabytes of text": floats({"NOTE": "x" * 3_000_000}),
    "OTHER segment before DATA": other_segment_between(),
    "DATA before TEXT": data_before_text(),
    "DATA, a gap, TEXT": data_before_text(b" " * 100),
    "first values like padding": with_zeros(padding=b"\0" * 4),
    "behind padding": padded(),
    "one event": floats(values=VALUES[:1]),
    "no event": floats(values=VALUES[:0]),
    "not finite": floats(values=np.full_like(VALUES, np.nan)),
    "bits above the range": integers(COUNTS | np.uint16(0xF000)),
    "range 2**64": integers(ranges=2**64),
    "byte order of two": integers(COUNTS.astype(">u2"), byte_order="2,1"),
    "linear with offset 1": integers(amplification="0,1"),
}
EXPECTED = {
    "first values like padding": VALUES * np.array([0, 1, 1, 1]),
    "one event": VALUES[:1],
    "no event": VALUES[:0],
    "not finite": np.full(VALUES.shape, np.nan),
} | dict.fromkeys(["bits above the range", "range 2**64", "byte order of two", "linear with offset 1"], COUNTS)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tube.fcs"


@pytest.mark.parametrize("case", READ)
def test_what_is_legal_is_read_exactly(path, case):
    path.write_bytes(READ[case])
    tube = open_fcs(path)
    np.testing.assert_array_equal(tube.read_events(), EXPECTED.get(case, VALUES))
    assert not [f for f in tube.findings if f.grade != "note"] or case == "HEADER blank"


def test_a_log_amplifier_uses_the_range_and_the_bits_of_the_next_power_of_two(path):
    data, expected = masked_logarithm()
    path.write_bytes(data)
    np.testing.assert_array_equal(open_fcs(path).read_events(), expected)


REFUSED = {
    "gzip": gzip.compress(PLAIN),
    "UTF-16": PLAIN.decode("latin-1").encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "version 1": floats(version="FCS1.0"),
    "version 3.9": floats(version="FCS3.9"),
    "HEADER alone": PLAIN[:58],
    "dotless i as data type": floats({"$DATATYPE": "\u0131"}),
    "three bytes for values of four": floats({"$BYTEORD": "1,2,3"}),
    "log amplifier on time": integers(amplification="4,1", keywords={"$P3N": "Time", "$TIMESTEP": "0.1"}),
    "gain with a comma": integers(keywords={"$P1G": "2,0"}),
    "a name twice by case of the keyword": floats({"$p3n": "APC-A"}),
    "a missing name's keyword as a value": floats({"$P4N": "@OMIT", "NOTE": "$P4N"}),
    "late over zeros": placed(with_zeros(), header=(4, 4), text=(4, 4)),
    "eight bytes late over zeros": placed(floats(values=VALUES * [0, 0, 1, 1]), header=(8, 8), text=(8, 8)),
    "early into padding": padded(-4, -4),
    "two events early into padding": padded(-32, -32),
    "early into padding, no CRC": padded(-16, -16, tail=b"x" * 60),
    "begin early, no CRC": padded(-1, 0, tail=b""),
    "begin or end": padded(1, 0, tail=b"x" * 60),
    "late before TEXT": data_before_text(b" " * 100, shift=4),
    "an event late before TEXT": data_before_text(b"\0" * 100, shift=16),
    "bytes lost on the way": PLAIN[: BEGIN + 100] + PLAIN[BEGIN + 104 :],
    "sent as text": floats(values=np.full_like(VALUES, 1024.0012)).replace(b"\n", b"\r\n"),
    "ends before it begins": placed(header=(END - BEGIN, BEGIN - END), text=(END - BEGIN, BEGIN - END)),
    "over TEXT": placed(header=(256 - BEGIN, 256 - BEGIN), text=(256 - BEGIN, 256 - BEGIN)),
    "HEADER and TEXT an event apart": placed(text=(16, 0)),
    "next data set within HEADER": floats({"$NEXTDATA": "40"}),
    "next data set within TEXT": floats({"$NEXTDATA": "300"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_right_is_refused_with_its_place(path, case):
    path.write_bytes(REFUSED[case])
    with pytest.raises(FcsError) as caught:
        open_fcs(path).read_events()
    assert caught.value.keyword
    assert caught.value.byte_offset is not None


@pytest.mark.parametrize(("shift", "tail"), [(-1, b"0" * 8), (-1, b""), (1, b"0" * 8), (1, b""), (1, b"x" * 60)])
def test_an_end_one_byte_off_behind_padding(path, shift, tail):
    path.write_bytes(padded(0, shift, tail=tail))
    np.testing.assert_array_equal(open_fcs(path).read_events(), VALUES)


def test_bytes_added_on_the_way_are_told(path):
    path.write_bytes(PLAIN[: BEGIN + 100] + b"four" + PLAIN[BEGIN + 100 :])
    assert [f.keyword for f in open_fcs(path).findings if f.grade == "repaired"] == ["DATA"]
    with pytest.raises(FcsError):
        open_fcs(path, strict=True)


@pytest.mark.parametrize("delimiter", [chr(i) for i in range(1, 127) if not (chr(i).isalnum() or chr(i) in "$ ,.-_@#")])
def test_any_delimiter_that_no_keyword_contains(path, delimiter):
    path.write_bytes(floats({"NOTE": f"a{delimiter}b", "$CYT": "LSR II"}, delimiter=delimiter))
    tube = open_fcs(path)
    assert (tube.keywords["NOTE"], tube.keywords["$CYT"]) == (f"a{delimiter}b", "LSR II")
    np.testing.assert_array_equal(tube.read_events(), VALUES)


@pytest.mark.parametrize("delimiter", list("019AaZ ,.-_"))
def test_a_delimiter_that_keywords_contain_gives_no_wrong_number(path, delimiter):
    path.write_bytes(floats(delimiter=delimiter))
    try:
        values = open_fcs(path).read_events()
    except FcsError:
        return
    np.testing.assert_array_equal(values, VALUES)


def test_thousands_of_channels_and_of_data_sets(path):
    values = np.random.default_rng(6).normal(size=(3, 3000)).astype("<f4")
    path.write_bytes(float_file(values))
    np.testing.assert_array_equal(open_fcs(path).read_events(), values)
    one = floats({"$NEXTDATA": "0000000"}, values=VALUES[:1])
    path.write_bytes(one.replace(b"$NEXTDATA|0000000", b"$NEXTDATA|%07d" % len(one)) * 1200 + one)
    tube = open_fcs(path)
    assert tube.datasets == 1001
    assert any("not listed" in f.remedy for f in tube.findings)
    assert open_fcs(path, dataset=1200).datasets == 1201


def test_absurd_floats_are_read_and_noted(path):
    values = np.full((40, 4), 0x01000001, dtype="<u4").view("<f4")  # 2e-38 in either byte order
    path.write_bytes(floats(values=values))
    tube = open_fcs(path)
    np.testing.assert_array_equal(tube.read_events(), values)
    assert [(f.grade, f.keyword) for f in tube.findings] == [("note", "$DATATYPE")]


@pytest.mark.parametrize(
    "text",
    [
        "1000000,a",
        "-1",
        "x",
        "2, FITC-A,PE-A,1,0,0,1",
        "2,FITC-A,PE-A,1,1,1,1",
        "2,FITC-A,FITC-A,1,0.1,0,1",
        "0" * 9999,
    ],
)
def test_a_matrix_that_does_not_fit_is_an_error_at_compensation(path, text):
    path.write_bytes(floats({"$SPILLOVER": text}))
    tube = open_fcs(path)
    with pytest.raises(CompensationError):
        _ = tube.spillover
