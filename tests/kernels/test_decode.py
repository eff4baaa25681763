"""Decoding kernels against Python's own integers, compiled and interpreted."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from cytomrd.kernels import decode, decode_plain

WAYS = ["compiled", "interpreted", "plain"]


def function(kernel, way):
    """The kernel itself, its Python source, or its twin in numpy."""
    if way == "plain":
        return getattr(decode_plain, kernel.py_func.__name__)
    return kernel if way == "compiled" else kernel.py_func


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint16, np.uint32, np.uint64])
def test_numbers_are_transposed_exactly(dtype, way):
    rows = np.random.default_rng(1).integers(0, 200, (301, 5)).astype(dtype)
    if dtype in (np.float32, np.float64):
        rows[:4, 2] = [np.nan, np.inf, -np.inf, np.finfo(dtype).tiny / 2]
    out = np.full((5, 301), -1.0)
    function(decode.columns_of_numbers, way)(rows, out)
    np.testing.assert_array_equal(out, [[float(v) for v in column] for column in rows.T])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_masks_keep_their_bits_only(dtype, way):
    top = np.iinfo(dtype).max
    rows = np.random.default_rng(2).integers(0, top, (257, 3), dtype=dtype, endpoint=True)
    masks = np.array([top, 127, 3], dtype=dtype)
    out = np.empty((3, 257))
    function(decode.columns_of_integers, way)(rows, masks, out)
    expected = [[float(int(v) & int(m)) for v in column] for column, m in zip(rows.T, masks, strict=True)]
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("way", WAYS)
def test_bytes_of_any_width_and_order(way):
    rows = np.random.default_rng(4).integers(0, 256, (129, 12), dtype=np.uint8)
    widths = np.array([1, 3, 8], dtype=np.uint64)
    starts = np.array([0, 1, 4], dtype=np.uint64)
    shifts = np.zeros((3, 8), dtype=np.uint64)
    shifts[1, :3] = [16, 8, 0]
    shifts[2] = 8 * np.arange(8)
    out = np.empty((3, 129), dtype=np.uint64)
    function(decode.columns_of_bytes, way)(rows, starts, widths, shifts, out)
    for i, row in enumerate(rows):
        assert out[0, i] == row[0]
        assert out[1, i] == int.from_bytes(row[1:4].tobytes(), "big")
        assert out[2, i] == int.from_bytes(row[4:].tobytes(), "little")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [None, np.float32, np.float64])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_integers_are_converted_in_both_byte_orders(dtype, swap, target, way):
    raw = np.random.default_rng(5).integers(0, 256, 67 * np.dtype(dtype).itemsize, dtype=np.uint8)
    raw[: np.dtype(dtype).itemsize] = 255
    values = raw.view(dtype)
    top = int(np.iinfo(dtype).max)
    masks = np.resize(np.array([top, 127, top >> 1], dtype=dtype), 70)
    out = np.empty(67, dtype=target or dtype)
    function(decode.convert_integers, way)(values, masks, swap, out)
    order = {True: "big", False: "little"}[swap == (sys.byteorder == "little")]
    whole = [int.from_bytes(v.tobytes(), order) & int(m) for v, m in zip(values, masks[:67], strict=True)]
    np.testing.assert_array_equal(out, np.array(whole, dtype=np.uint64).astype(out.dtype))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_conversion_in_place_repeats_its_masks(dtype, swap, way):
    values = np.random.default_rng(8).integers(0, np.iinfo(dtype).max, 67, dtype=dtype, endpoint=True)
    masks = np.array([np.iinfo(dtype).max, 127, 3, 1], dtype=dtype)
    expected = np.empty_like(values)
    decode.convert_integers.py_func(values, np.resize(masks, 67), swap, expected)
    function(decode.convert_in_place, way)(values, masks, swap)
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [np.uint32, np.float64])
@pytest.mark.parametrize("swap", [False, True])
def test_integers_may_overlap_and_stand_at_odd_bytes(swap, target, way):
    raw = np.random.default_rng(6).integers(0, 256, 3 * 67 + 2, dtype=np.uint8)
    values = np.ndarray((67,), dtype=np.uint32, buffer=raw, offset=1, strides=(3,))
    masks = np.resize(np.array([0xFFFFFF, 0x7FFF], dtype=np.uint32), 68)
    out = np.empty(67, dtype=target)
    function(decode.convert_integers, way)(values, masks, swap, out)
    order = {True: "big", False: "little"}[swap == (sys.byteorder == "little")]
    fours = [raw[3 * i + 1 : 3 * i + 5].tobytes() for i in range(67)]
    np.testing.assert_array_equal(out, [int.from_bytes(v, order) & int(m) for v, m in zip(fours, masks, strict=False)])


@pytest.mark.parametrize("way", WAYS)
def test_antilog_is_the_formula_of_the_standard(way):
    values = np.arange(0.0, 1024.0)
    function(decode.antilog, way)(values, 4.0, 1024.0, 0.1)
    np.testing.assert_array_equal(values, [10.0 ** (4.0 * x / 1024.0) * 0.1 for x in range(1024)])


@pytest.mark.parametrize("way", WAYS)
def test_look_up_replaces_each_value(way):
    values = np.array([2.0, 0.0, 1.0])
    function(decode.look_up, way)(values, np.array([10.0, 20.0, 30.0]))
    assert values.tolist() == [30.0, 10.0, 20.0]


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize(
    ("text", "numbers"),
    [(b"", []), (b" 12,\r\n3\t004 ", [12, 3, 4]), (b"9007199254740991", [9007199254740991])],
)
def test_digits(text, numbers, way):
    read, out = function(decode.read_digits, way), np.empty(9)
    n, position = read(np.frombuffer(text, dtype=np.uint8), 0, out)
    assert (out[:n].tolist(), position) == (numbers, len(text))


@pytest.mark.parametrize("way", WAYS[:2])
@pytest.mark.parametrize("text", [b"1 2x 3", b"-4", b"1.5", b"9007199254740992"])
def test_what_is_no_whole_number_is_told(text, way):
    assert function(decode.read_digits, way)(np.frombuffer(text, dtype=np.uint8), 0, np.empty(4))[0] == -1


@pytest.mark.parametrize("way", WAYS[:2])
def test_digits_in_columns(way):
    read, out = function(decode.columns_of_digits, way), np.empty((2, 2))
    widths = np.array([3, 4])

    def outcome(*fields):
        rows = np.frombuffer("".join(fields).encode(), dtype=np.uint8).reshape(2, 7)
        return read(rows, widths, out)

    assert outcome(" 12", "0034", "5  ", " 6\t ") == -1
    assert out.tolist() == [[12, 5], [34, 6]]
    for place, bad in enumerate(["1 2", "    ", "-12", "3,,4"]):
        fields = ["  1", "   2", "  3", "   4"]
        fields[place] = bad
        assert outcome(*fields) == place


@pytest.mark.parametrize("way", WAYS[:2])
def test_digits_go_on_where_they_stopped(way):
    read = function(decode.read_digits, way)
    text, out = np.frombuffer(b"1 2 3 4 5", dtype=np.uint8), np.empty(2)
    position, seen = 0, []
    for _ in range(3):
        n, position = read(text, position, out)
        seen += out[:n].tolist()
    assert seen == [1, 2, 3, 4, 5]
