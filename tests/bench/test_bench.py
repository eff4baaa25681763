"""`cytomrd bench`: what it prints, and that a wrong result gets no ratio. Times are never tested."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from lxml import etree

from cytomrd.bench import ours, peers, process, run
from cytomrd.bench.agreement import as_good_a_map, as_near, close_values, same_counts, same_members, same_rows
from cytomrd.bench.events import FILE_KINDS, Events, bench_strategy
from cytomrd.bench.kernels import KERNELS
from cytomrd.bench.marks import judge
from cytomrd.bench.measure import Growth, measure_kernel
from cytomrd.bench.plan import plan_bench
from cytomrd.bench.process import measure_batch, measure_marrow, measure_memory, measure_start
from cytomrd.bench.rows import Row, find_row
from cytomrd.bench.show import mark_cells
from cytomrd.bench.timing import Times, interleave
from cytomrd.cli.main import cytomrd
from cytomrd.fcs.dataset import open_fcs

N = 3000
TINY = replace(plan_bench(quick=True, events=N, threads=2), rounds=1)
# Columns that readers of the JSON rely on, with their types.
CONTRACT = {
    "kernel": str, "implementation": str, "n_events": int, "events_per_s": float, "gb_per_s": float,
    "fraction_of_bandwidth": float, "ratio_to": str, "ratio": float, "peak_memory_mb": float, "threads": int,
}  # fmt: skip
NAMES = [kernel.name for kernel in KERNELS]


@pytest.fixture(autouse=True, scope="module")
def small_copies():
    """Measuring the bandwidth of memory properly takes seconds and half a gigabyte."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "COPIED_BYTES", 1_000_000)
        patch.setattr("cytomrd.bench.machine.busy_cores", lambda: 0.0)
        yield


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    return Events(N, tmp_path_factory.mktemp("events"))


def kernel(name):
    return next(k for k in KERNELS if k.name == name)


def bench(*arguments):
    return CliRunner().invoke(cytomrd, ["bench", "--quick", "--events", str(N), *arguments])


def test_json_is_one_object_that_keeps_the_contract(tmp_path):
    plot = tmp_path / "bench.svg"
    done = bench("--json", "--only", "rectangle", "--only", "growth", "--threads", "2", "--plot", str(plot))
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert {"machine", "versions", "rows", "marks", "growth", "settings", "bandwidth_gb_per_s"} <= set(result)
    assert {row["kernel"] for row in result["rows"]} == {"memcpy", "rectangle"}
    for row in result["rows"]:
        for name, kind in CONTRACT.items():
            assert row[name] is None or isinstance(row[name], kind), (name, row)
    (own,) = [r for r in result["rows"] if r["implementation"] == "cytomrd" and r["threads"] == 1]
    assert (own["ratio_to"], own["n_events"], own["mismatches"], own["agrees"]) == ("FlowKit", N, 0, True)
    assert own["ratio"] > 0
    marks = {mark["mark"]: mark for mark in result["marks"]}
    assert marks["rectangle on 3 axes against FlowKit (x)"]["met"] in (True, False)
    assert marks["cytomrd --help (s)"]["met"] is None
    assert {g["kernel"] for g in result["growth"]} == {"rectangle", "pass"}
    drawing = etree.parse(str(plot)).getroot()
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"


def test_table_has_every_implementation_and_the_marks():
    done = bench("--only", "histogram_2d", "--threads", "1")
    assert done.exit_code == 0, done.output
    assert "x numpy" in done.output
    assert "must" in done.output
    assert done.stderr == ""


def test_a_quick_run_begins_nothing_when_its_time_is_over():
    result = run.run_bench(replace(TINY, only=("rectangle", "pass"), limit_s=-1.0))
    left_out = {row["kernel"] for row in result["rows"] if row["note"].startswith("left out")}
    assert left_out == {"rectangle", "pass", "growth"}
    assert {mark["met"] for mark in result["marks"]} == {None}


def test_unknown_names_are_refused_with_the_names_that_exist():
    done = bench("--only", "rectangel")
    assert done.exit_code == 2
    assert "rectangle" in done.output.replace("rectangel", "")
    assert CliRunner().invoke(cytomrd, ["bench", "--events", "12.5"]).exit_code == 2


def test_a_plot_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    done = bench("--plot", str(tmp_path / "no" / "bench.svg"))
    assert done.exit_code == 2
    assert "is no folder" in done.output


@pytest.mark.parametrize("name", NAMES)
def test_every_kernel_agrees_with_every_peer(name, events):
    chosen = kernel(name)
    found = chosen.ours(events)()
    for implementation, build in {**chosen.variants, **chosen.peers}.items():
        if name.startswith("read_int24") and implementation in ("FlowIO", "FlowKit"):
            continue  # they do not read integers of 3 bytes
        try:
            ready = build(events)
        except ImportError:
            continue  # not installed here
        agreement = chosen.compare(found, ready())
        assert agreement.holds, f"{implementation}: {agreement}"


def test_the_gates_of_the_pass_all_hold_events(events):
    counts = ours.whole_pass(events)()
    assert set(counts) == set(bench_strategy().populations)
    assert all(0 < count < N for count in counts.values())


@pytest.mark.parametrize("kind", FILE_KINDS)
@pytest.mark.parametrize("byte_order", "<>")
def test_files_hold_what_they_are_meant_to(kind, byte_order, events):
    stored = events.stored(kind, byte_order)
    values = open_fcs(events.file(kind, byte_order)).read_events()
    if kind == "int24":
        weights = 256 ** np.arange(3)
        stored = stored.astype(np.int64) @ (weights[::-1] if byte_order == ">" else weights)
    np.testing.assert_array_equal(values, stored)


def test_threads_reach_the_whole_pass(events, monkeypatch):
    seen = []

    def apply_gates(dataset, strategy, *, n_threads=1):
        seen.append(n_threads)
        return SimpleNamespace(populations=("a",), n_events=np.array([1]))

    monkeypatch.setattr(ours, "apply_gates", apply_gates)
    assert ours.whole_pass(events, 2)() == {"a": 1}
    assert seen == [2]


def test_a_wrong_result_gets_no_ratio_and_fails_the_mark(events):
    def wrong(events):
        correct = peers.flowkit_rectangle(events)
        return lambda: np.concatenate([correct()[:-1], [True]]) ^ (np.arange(N) == 7)

    measured = measure_kernel(replace(kernel("rectangle"), peers={"FlowKit": wrong}), events, TINY, 10.0)
    row = find_row(measured.rows, "rectangle", "cytomrd", threads=1)
    assert (row.ratio, row.agrees) == (None, False)
    assert row.mismatches >= 1
    assert "differ" in row.note
    mark = next(m for m in judge(measured.rows, [], 2) if m.mark.startswith("rectangle"))
    assert mark.met is False


def test_a_wrong_result_is_told_by_the_command(monkeypatch):
    def wrong(events):
        return lambda: 1 - ours.rectangle(events)()

    chosen = tuple(replace(k, ours=wrong) if k.name == "rectangle" else k for k in KERNELS)
    monkeypatch.setattr(run, "KERNELS", chosen)
    done = bench("--only", "rectangle", "--threads", "1")
    assert done.exit_code == 1
    assert f"wrong result: rectangle: cytomrd and FlowKit differ ({N} events)" in done.stderr


def test_a_variant_of_ours_is_checked_too(events):
    chosen = replace(kernel("logicle"), variants={"cytomrd, exact": lambda e: lambda: e.linear[0]}, peers={})
    measured = measure_kernel(chosen, events, TINY, 10.0)
    row = find_row(measured.rows, "logicle", "cytomrd, exact", ratio_to="cytomrd")
    assert row.agrees is False


@pytest.mark.parametrize(
    ("error", "note"), [(ImportError("No module named 'flowkit'"), "not installed"), (ValueError("odd"), "failed")]
)
def test_a_peer_that_is_missing_or_fails_is_a_row(error, note, events):
    def build(events):
        raise error

    measured = measure_kernel(replace(kernel("rectangle"), peers={"FlowKit": build}), events, TINY, 10.0)
    row = find_row(measured.rows, "rectangle", "FlowKit")
    assert row.note.startswith(note)
    assert row.events_per_s is None
    own = find_row(measured.rows, "rectangle", "cytomrd", threads=1)
    assert own.events_per_s > 0
    assert own.ratio is None


def test_an_error_of_ours_is_an_error(events):
    def build(events):
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        measure_kernel(replace(kernel("rectangle"), ours=build), events, TINY, 10.0)


def test_results_that_grow_are_compared_in_the_end(events):
    def counting(step):
        def build(events):
            calls = []
            return lambda: (calls.append(step * len(calls)), calls)[1]

        return build

    chosen = replace(
        kernel("boolean"), ours=counting(1), peers={"FlowKit": counting(2)}, grows=True, can_split=False,
        compare=lambda mine, other: same_counts([sum(mine)], [sum(other)]),
    )  # fmt: skip
    # at the first calls both are 0; only the later ones differ
    row = find_row(measure_kernel(chosen, events, TINY, 10.0).rows, "boolean", "cytomrd", threads=1)
    assert row.agrees is False


def test_threads_get_all_events_between_them(events):
    seen = []

    def count(events):
        return lambda: seen.append(events.n_events)

    chosen = replace(kernel("boolean"), ours=count, peers={}, compare=lambda a, b: None)
    measured = measure_kernel(chosen, events, replace(TINY, threads=3), 10.0)
    assert sorted(set(seen)) == [N // 16, N // 4, N // 3, N]
    assert find_row(measured.rows, "boolean", "cytomrd", threads=3).ratio_to == "cytomrd"


def test_agreement_counts_differences():
    members = np.array([0, 1, 1], dtype=np.uint8)
    assert same_members(members, np.array([False, True, False])).mismatches == 1
    assert same_members(members, members[:2]).mismatches == 3
    assert same_counts({"a": 5, "b": 2}, {"a": 4, "b": 3}).mismatches == 2
    assert not same_counts({"a": 5}, {"b": 5}).holds
    rows = np.array([[0x010203]], dtype=np.uint32)
    assert same_rows(rows, np.array([3, 2, 1], dtype=np.uint8)).holds
    assert same_rows(rows, np.array([1, 2, 3], dtype=np.uint8), ">").holds
    assert not same_rows(rows, np.array([1, 2, 3], dtype=np.uint8)).holds


def test_agreement_of_maps_minds_distance_and_not_numbers():
    rng = np.random.default_rng(0)
    x, nodes = rng.random((500, 4)), rng.random((10, 4))
    nearest = np.linalg.norm(x[:, None] - nodes, axis=2).argmin(axis=1)
    assert as_near((x, nodes, nearest), (x, nodes, nearest.astype(np.int32))).holds
    assert not as_near((x, nodes, nearest), (x, nodes, (nearest + 1) % 10)).holds
    assert as_good_a_map((x, [nodes]), (x, [nodes[:3]])).holds
    assert not as_good_a_map((x, [nodes[:3]]), (x, [nodes])).holds


def test_agreement_of_values_minds_what_is_not_finite():
    close = partial(close_values, allowed=1e-7)
    values = np.array([1.0, np.nan, np.inf])
    assert close(values, values + np.array([1e-8, 0, 0])).holds
    assert not close(values, values + np.array([1e-6, 0, 0])).holds
    assert close(values, np.array([1.0, np.nan, -np.inf])).mismatches == 1
    assert close(values, np.array([1.0, 0.0, np.inf])).mismatches == 1


def test_slow_ways_sit_out():
    calls = {"slow": 0, "fast": 0}

    def way(name):
        def call():
            calls[name] += 1

        return call

    first = {"slow": Times([200.0], [190.0])}
    taken = interleave({name: way(name) for name in calls}, rounds=3, budget_s=100.0, first=first)
    assert (taken["slow"].wall, len(taken["fast"].wall), len(taken["fast"].cpu)) == ([200.0], 3, 3)
    assert calls == {"slow": 0, "fast": 3}


def test_marks_are_judged_on_their_own_side():
    rows = [
        Row("pass", "cytomrd", 10, ratio_to="FlowKit", ratio=15.0, threads=1, agrees=True),
        Row("pass", "cytomrd", 10, ratio_to="memcpy", ratio=0.1, cpu_ratio=0.05, threads=1, agrees=True),
        Row("rectangle", "cytomrd", 10, ratio_to="FlowKit", ratio=9.0, cpu_ratio=3.0, threads=1, agrees=True),
        Row("pass", "cytomrd", 1_000_000, peak_memory_mb=9.0, threads=2, memory_of="process", resident_mb=301.0),
        Row("som_online", "cytomrd", 10, ratio_to="flowsom", ratio=9.0, threads=1, agrees=True, max_error=0.006),
        Row("start_help", "cytomrd", seconds=0.3),
    ]
    marks = {m.mark: m for m in judge(rows, [Growth("pass", [10, 100], [1.0, 12.6], 1.1)], 2)}
    assert marks["pass against FlowKit Session, 1 thread (x)"].met is True
    assert marks["pass against FlowKit Session, 1 thread (x)"].reached is False
    # the less favourable of clock and processor time counts
    assert marks["pass in copies of its bytes, 1 thread"].measured == pytest.approx(20.0)
    assert marks["pass in copies of its bytes, 1 thread"].met is True
    assert marks["rectangle on 3 axes against FlowKit (x)"].met is False
    assert marks["pass, memory beyond its outputs (MB a thread)"].measured == pytest.approx((9.0 - 4.0) / 2)
    assert marks["pass, resident with a file of 1e7 events (MB)"].met is False
    assert marks["cytomrd --help (s)"].met is False
    assert marks["pass, slope of log(time) on log(events)"].met is False
    assert marks["map by FlowSOM's rule, error within 0.5 % of flowsom's (x)"].met is False
    assert marks["polygon of 20 vertices against flowutils (x)"].met is None


def test_a_mark_that_nothing_must_reach_is_told_as_hoped_for():
    name = "map by the batch rule, error within 0.5 % of flowsom's (x)"

    def outcome(**found):
        row = Row("som_batch", "cytomrd", 10, ratio_to="flowsom", threads=1, agrees=True, **found)
        mark = next(m for m in judge([row], [], 2) if m.mark == name)
        assert (mark.must, mark.reach, mark.met) == ("", ">= 20", None)
        return mark_cells(asdict(mark))[4]

    assert outcome(ratio=12.0, max_error=0.0) == "not reached"
    assert outcome(ratio=25.0, max_error=0.0) == "reached"
    assert outcome(ratio=25.0, max_error=0.01) == "not reached"
    assert outcome(ratio=None) == "not measured"


def test_peak_memory_sees_what_is_freed_again():
    # In a process of its own, as in the benchmark: one that freed much before may take the memory from its own heap.
    code = "import json, numpy; from cytomrd.bench.child import peak_of; "
    code += "print(json.dumps(peak_of(lambda: numpy.ones(8_000_000).sum())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["peak_mb"] - found["before_mb"] == pytest.approx(64.0, abs=8.0)


def test_memory_and_start_are_measured_in_processes(tmp_path):
    rows = [*measure_memory(replace(TINY, threads=1), tmp_path), *measure_start(TINY, tmp_path)]
    assert not [row.note for row in rows if row.note]
    own = [row for row in rows if (row.kernel, row.implementation) == ("pass", "cytomrd")]
    theirs = find_row(rows, "pass", "FlowKit")
    assert all(0 < row.peak_memory_mb < row.resident_mb < theirs.resident_mb for row in own)
    assert find_row(rows, "start_help", "cytomrd").seconds > 0


@pytest.mark.slow
def test_marrow_and_batch_are_gated_by_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "TUBE_EVENTS", 20_000)
    plan = replace(TINY, batch_tubes=4, marrow_events=100_000)
    rows = [*measure_marrow(plan, tmp_path), *measure_batch(plan, tmp_path)]
    assert [(row.kernel, row.threads, row.n_events, row.note) for row in rows] == [
        ("gate_marrow", 2, 100_000, ""), ("gate_batch", 1, 80_000, ""), ("gate_batch", 2, 80_000, ""),
    ]  # fmt: skip
    assert rows[-1].ratio_to == "cytomrd"
