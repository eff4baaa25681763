"""The marks: what must be reached, what is hoped for, and what was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cytomrd.bench.kernels import OURS
from cytomrd.bench.measure import Growth
from cytomrd.bench.process import BYTES_PER_CODE
from cytomrd.bench.rows import Row, find_row

__all__ = ["Judged", "judge"]

SOM_ERROR = 0.005
AT_LEAST, AT_MOST = ">=", "<="


@dataclass(frozen=True)
class Judged:
    """A mark and what became of it; ``measured`` is None where it was not measured.

    Attributes
    ----------
    mark
        What is measured, with its unit.
    must, reach
        Limits, such as ``">= 15"``; empty where there is none.
    met, reached
        Whether they were kept; None where there is no such limit, or it was not measured.
    n_events
        Events that it was measured on: fewer than the mark asks for in a quick run.
    """

    mark: str
    must: str
    reach: str
    measured: float | None
    met: bool | None
    reached: bool | None
    n_events: int | None = None
    note: str = ""


@dataclass(frozen=True)
class _Found:
    value: float | None
    n_events: int | None = None
    note: str = ""
    failed: bool = False


@dataclass(frozen=True)
class _Mark:
    text: str
    sense: str
    must: float | None
    reach: float | None
    find: Callable[[Sequence[Row]], _Found]


def judge(rows: Sequence[Row], growth: Sequence[Growth], threads: int) -> list[Judged]:
    """Every mark, in the order of importance."""
    judged = [_judge(mark, rows) for mark in _marks(threads)]
    return [*judged[:2], _growth(growth), *judged[2:]]


def _marks(threads: int) -> list[_Mark]:
    many = max(threads, 2)
    marks = [
        _Mark("pass against FlowKit Session, 1 thread (x)", AT_LEAST, 15, 30, _ratio("pass", "FlowKit", 1)),
        _Mark(f"pass against FlowKit Session, {many} threads (x)", AT_LEAST, 15, 30, _ratio("pass", "FlowKit", many)),
        _Mark("pass in copies of its bytes, 1 thread", AT_MOST, 20, 12, _ratio("pass", "memcpy", 1, slower=True)),
        _Mark("pass in copies of its bytes, 2 threads", AT_MOST, 12, 7, _ratio("pass", "memcpy", 2, slower=True)),
        _Mark("pass, memory beyond its outputs (MB a thread)", AT_MOST, 4, None, _working_memory),
        _Mark("pass, resident with a file of 1e7 events (MB)", AT_MOST, 300, None, _resident),
        _Mark("gate a marrow of 1e7 events in two tubes (s)", AT_MOST, 60, 15, _seconds("gate_marrow")),
        _Mark("read float32, new memory, in np.fromfile", AT_MOST, 1.0, 0.65, _read(OURS, ("float32",), "le")),
        _Mark("read float32, memory used again, in np.fromfile", AT_MOST, 1.0, 0.65,
              _read(f"{OURS}, memory used again", ("float32",), "le")),
        _Mark("read integers, worst width and byte order, in np.fromfile", AT_MOST, 2.5, 2.0,
              _read(OURS, ("int16", "int24", "int32"), "le", "be")),
    ]  # fmt: skip
    for name, peer in (("logicle", "flowutils"), ("hyperlog", "flowutils"), ("biexponential", "FlowKit")):
        text = f"{name} against {peer}, at most 1e-7 apart (x)"
        marks.append(_Mark(text, AT_LEAST, 30, None, _ratio(name, peer, 1)))
    marks += [
        _Mark("polygon of 20 vertices against flowutils (x)", AT_LEAST, 2, 4, _ratio("polygon", "flowutils", 1)),
        _Mark("ellipsoid on 3 axes against flowutils (x)", AT_LEAST, 80, None, _ratio("ellipsoid", "flowutils", 1)),
        _Mark("ellipsoid on 3 axes against FlowKit (x)", AT_LEAST, 80, None, _ratio("ellipsoid", "FlowKit", 1)),
        _Mark("rectangle on 3 axes against FlowKit (x)", AT_LEAST, 5, None, _ratio("rectangle", "FlowKit", 1)),
        _Mark("events in another gate than the peers'", AT_MOST, 0, None, _mismatches),
        _Mark("map by FlowSOM's rule, error within 0.5 % of flowsom's (x)", AT_LEAST, 3, None, _som("som_online")),
        _Mark("map by the batch rule, error within 0.5 % of flowsom's (x)", AT_LEAST, None, 20, _som("som_batch")),
        _Mark("mapping to nodes against flowsom (x)", AT_LEAST, 12, None, _ratio("map_events", "flowsom", 1)),
        _Mark("mapping to nodes against faiss (x)", AT_LEAST, 1.3, None, _ratio("map_events", "faiss", 1)),
        _Mark("batch of small tubes, 2 workers against 1 (x)", AT_LEAST, 1.8, None, _batch),
        _Mark("cytomrd --help (s)", AT_MOST, 0.2, None, _seconds("start_help")),
        _Mark("first result on a cached kernel (s)", AT_MOST, 1.0, None, _seconds("start_first_result")),
    ]  # fmt: skip
    return marks


def _judge(mark: _Mark, rows: Sequence[Row]) -> Judged:
    found = mark.find(rows)

    def within(limit: float | None) -> bool | None:
        if limit is None or (found.value is None and not found.failed):
            return None
        if found.failed:
            return False
        return found.value >= limit if mark.sense == AT_LEAST else found.value <= limit

    must, reach = ("" if limit is None else f"{mark.sense} {limit:g}" for limit in (mark.must, mark.reach))
    return Judged(
        mark.text,
        must,
        reach,
        found.value,
        within(mark.must),
        within(mark.reach),
        found.n_events,
        found.note,
    )


def _growth(growth: Sequence[Growth]) -> Judged:
    found = next((g for g in growth if g.kernel == "pass"), None)
    text, must = "pass, slope of log(time) on log(events)", "0.95 to 1.05"
    if found is None:
        return Judged(text, must, "", None, None, None)
    sizes = ", ".join(f"{n:.0e}" for n in found.n_events)
    met = 0.95 <= found.slope <= 1.05
    return Judged(text, must, "", found.slope, met, None, max(found.n_events), f"over {sizes} events")


def _of_row(row: Row | None, value: float | None) -> _Found:
    if row is None:
        return _Found(None)
    return _Found(value, row.n_events, row.note, failed=row.agrees is False or row.note.startswith("failed"))


def _ratio(kernel: str, peer: str, threads: int, *, slower: bool = False):
    """The ratio, by the clock or in processor time, whichever is less favourable: see `Row.cpu_ratio`."""

    def find(rows: Sequence[Row]) -> _Found:
        row = find_row(rows, kernel, OURS, ratio_to=peer, threads=threads)
        if row is None or not row.ratio:
            return _of_row(row, None)
        ratios = [ratio for ratio in (row.ratio, row.cpu_ratio) if ratio]
        value, note = min(ratios), f"by the clock {1 / row.ratio if slower else row.ratio:.3g}"
        found = _of_row(row, 1 / value if slower else value)
        return found if value == row.ratio else _Found(found.value, found.n_events, note, found.failed)

    return find


def _read(implementation: str, kinds: tuple[str, ...], *byte_orders: str):
    def find(rows: Sequence[Row]) -> _Found:
        names = [f"read_{kind}_{order}" for kind in kinds for order in byte_orders]
        found = [find_row(rows, name, implementation, ratio_to="np.fromfile") for name in names]
        if any(row is None for row in found):
            return _Found(None)
        if any(not row.ratio for row in found):
            return _Found(None, found[0].n_events, "results differ", failed=True)
        worst = min(found, key=lambda row: row.ratio)
        return _Found(1 / worst.ratio, worst.n_events, worst.kernel if len(names) > 1 else "")

    return find


def _seconds(kernel: str):
    def find(rows: Sequence[Row]) -> _Found:
        row = find_row(rows, kernel, OURS)
        return _of_row(row, None if row is None else row.seconds)

    return find


def _memory_rows(rows: Sequence[Row]) -> list[Row]:
    return [
        row
        for row in rows
        if (row.kernel, row.implementation, row.memory_of) == ("pass", OURS, "process") and row.resident_mb is not None
    ]


def _working_memory(rows: Sequence[Row]) -> _Found:
    found = {row: _beyond_outputs(row) / row.threads for row in _memory_rows(rows)}
    if not found:
        return _Found(None)
    worst = max(found, key=found.get)
    listed = ", ".join(f"{value:.1f} at {row.n_events:.0e} and {row.threads}" for row, value in found.items())
    return _Found(found[worst], worst.n_events, f"MB a thread: {listed} threads")


def _beyond_outputs(row: Row) -> float:
    return row.peak_memory_mb - BYTES_PER_CODE * row.n_events / 1e6


def _resident(rows: Sequence[Row]) -> _Found:
    found = _memory_rows(rows)
    if not found:
        return _Found(None)
    worst = max(found, key=lambda row: row.resident_mb)
    return _Found(worst.resident_mb, worst.n_events)


def _mismatches(rows: Sequence[Row]) -> _Found:
    gates = ("rectangle", "polygon", "ellipsoid", "quadrant", "boolean")
    found = [row for row in rows if row.kernel in gates and row.mismatches is not None]
    return _Found(float(sum(row.mismatches for row in found)), found[0].n_events) if found else _Found(None)


def _som(kernel: str):
    def find(rows: Sequence[Row]) -> _Found:
        row = find_row(rows, kernel, OURS, ratio_to="flowsom", threads=1)
        if row is None or row.max_error is None or not row.ratio:
            return _of_row(row, None)
        note = f"error {100 * row.max_error:.2f} % larger" if row.max_error else "error no larger"
        value = min(ratio for ratio in (row.ratio, row.cpu_ratio) if ratio)
        return _Found(value, row.n_events, note, failed=row.max_error > SOM_ERROR)

    return find


def _batch(rows: Sequence[Row]) -> _Found:
    row = find_row(rows, "gate_batch", OURS, ratio_to=OURS)
    return _of_row(row, None if row is None else row.ratio)
