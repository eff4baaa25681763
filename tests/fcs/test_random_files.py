"""Random files: by the book they give the true numbers, damaged they are read alike by all ways or refused."""

from __future__ import annotations

import time
import tracemalloc
import warnings

import numpy as np
import pytest
from fcs.strategies import damaged, layouts, plans
from hypothesis import HealthCheck, assume, given, settings
from naive_fcs import build_fcs, channel_keywords

from cytomrd.errors import CompensationError, FcsError
from cytomrd.fcs import data as decoding
from cytomrd.fcs.dataset import open_fcs
from cytomrd.kernels.decode import read_digits

# Keywords as Python objects, and the buffer of the ASCII reader.
BASE_MEMORY = 2 << 20
many = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@pytest.fixture
def write(tmp_path):
    def write(data: bytes):
        path = tmp_path / "random.fcs"
        path.write_bytes(data)
        return path

    return write


@settings(many, max_examples=150)
@given(plan=plans(), layout=layouts())
def test_a_file_by_the_book_gives_its_numbers_names_and_words(write, plan, layout):
    tube = open_fcs(write(plan.encode(**layout)))
    np.testing.assert_array_equal(tube.read_events(), plan.expected)
    assert list(tube.detectors) == plan.names
    assert tube.markers == plan.markers
    assert tube.keywords.get("NOTE", "") == plan.note
    assert not [f for f in tube.findings if f.grade == "repaired"]


@settings(many, max_examples=60)
@given(plan=plans(), layout=layouts(), other=layouts())
def test_padding_changes_no_number(write, plan, layout, other):
    values = open_fcs(write(plan.encode(**layout))).read_events()
    np.testing.assert_array_equal(open_fcs(write(plan.encode(**other))).read_events(), values)


@settings(many, max_examples=60)
@given(plan=plans())
def test_compiled_and_plain_kernels_and_all_types_agree(write, plan):
    tube = open_fcs(write(plan.encode()))
    values = tube.read_events()
    small, decoding.SMALL_READ = decoding.SMALL_READ, -1
    try:
        np.testing.assert_array_equal(tube.read_events(), values)
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(tube.read_events(dtype=tube.native_dtype).astype(float), values)
        np.testing.assert_array_equal(np.concatenate([values[:0], *(v.T.copy() for _, v in tube.blocks(5))]), values)
    finally:
        decoding.SMALL_READ = small


@settings(many, max_examples=60)
@given(plan=plans(for_flowio=True), layout=layouts())
def test_flowio_gives_the_same_numbers(write, plan, layout):
    flowio = pytest.importorskip("flowio")
    # FlowIO takes gains and the time step of files of version 2.0 for absent.
    assume(plan.version != "FCS2.0" or (set(plan.gains) == {1} and plan.timestep is None))
    path = write(plan.encode(**layout))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = flowio.FlowData(str(path)).as_array()
    # numpy's vectorised 10**x is off by a unit in the last place here and there
    np.testing.assert_allclose(open_fcs(path).read_events(), theirs, rtol=1e-15, atol=0)


@settings(many, max_examples=250)
@given(data=damaged())
def test_a_damaged_file_is_refused_or_read_alike_by_all_ways(write, data):
    read_digits(np.zeros(1, dtype=np.uint8), 0, np.empty(1))  # compiled before memory is counted
    path = write(data)
    started = time.perf_counter()
    tracemalloc.start()
    try:
        tube = open_fcs(path)
        values = tube.read_events()
        blocks = [v.T.copy() for _, v in tube.blocks(7)]
    except FcsError as error:
        assert error.keyword, error
        assert error.byte_offset is not None, error
        return
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert time.perf_counter() - started < 2
        assert peak < 3 * len(data) + BASE_MEMORY
    assert values.shape == (tube.n_events, len(tube.channels))
    np.testing.assert_array_equal(values, np.concatenate([values[:0], *blocks]))
    try:
        _ = tube.spillover
    except CompensationError as error:
        assert str(error)
    for strict in (True, False):
        path.write_bytes(data + b" " * 9)
        try:
            again = open_fcs(path, strict=strict).read_events()
        except FcsError:
            continue
        np.testing.assert_array_equal(again, values)


@pytest.mark.parametrize("kind", ["delimited", "fixed", "mixed", "permuted"])
def test_streaming_takes_no_more_than_three_times_the_file(write, kind):
    """Formats that are not decoded straight from a small buffer; 4 MB are the blocks themselves."""
    n = 60_000
    if kind == "delimited":
        keywords = channel_keywords([0, 0], [1024] * 2, n_events=n, datatype="A", byte_order="1,2,3,4")
        rows = b"123 4567 " * n
    elif kind == "fixed":
        keywords = channel_keywords([3, 4], [1024] * 2, n_events=n // 10, datatype="A", byte_order="1,2,3,4")
        rows = b"1234567" * (n // 10)
    elif kind == "mixed":
        keywords = channel_keywords([16, 32], [1024] * 2, n_events=n, datatype="I", byte_order="1,2,3,4")
        rows = bytes(6 * n)
    else:
        keywords = channel_keywords([32, 32], [1024] * 2, n_events=n, datatype="I", byte_order="3,4,1,2")
        rows = bytes(8 * n)
    path = write(build_fcs(rows, keywords))
    for _ in open_fcs(path).blocks():  # compiled before memory is counted
        break
    tracemalloc.start()
    try:
        n_read = sum(values.shape[1] for _, values in open_fcs(path).blocks())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert n_read == (n // 10 if kind == "fixed" else n)
    assert peak < 3 * path.stat().st_size + (4 << 20)
