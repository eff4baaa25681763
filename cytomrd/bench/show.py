"""The benchmark as text: machine, table, growth and marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["machine_line", "mark_cells", "row_cells", "short", "text_lines"]

ROW_HEAD = ("kernel", "implementation", "threads", "events", "M events/s", "GB/s", "of memcpy", "MB more", "speed")
MARK_HEAD = ("mark", "must", "reach", "measured", "met", "")
BUSY = 0.3


def text_lines(result: dict) -> Iterator[str]:
    """Lines for a terminal."""
    yield machine_line(result)
    yield f"memcpy {result['bandwidth_gb_per_s']:.1f} GB/s; GB/s count the bytes that go in"
    busy = result["machine"]["busy_cores_before"]
    if busy is not None and busy > BUSY:
        yield f"Other processes kept {busy:g} cores busy: speeds are low, ratios flatter what is short (the marks take "
        yield "processor time where that is less favourable), and threads cannot show what they gain."
    yield ""
    yield from columns(ROW_HEAD, row_cells(result["rows"]), right=range(2, 8))
    if result["growth"]:
        yield ""
        yield "growth, slope of log(time) on log(events): " + ", ".join(
            f"{g['kernel']} {g['slope']:.2f}" for g in result["growth"]
        )
    yield ""
    marks = [mark for mark in result["marks"] if _is_judged(mark)]
    yield from columns(MARK_HEAD, [mark_cells(mark) for mark in marks], right=(3,))
    left = len(result["marks"]) - len(marks)
    if left:
        yield f"{left} marks were not measured in this run"


def machine_line(result: dict) -> str:
    """Machine and versions."""
    machine = result["machine"]
    installed = ", ".join(f"{name} {found}" for name, found in result["versions"].items() if found)
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, {installed}"
    )


def row_cells(rows: Sequence[dict]) -> list[tuple[str, ...]]:
    """The table: a line for each implementation, size and number of threads, with all its ratios."""
    lines: dict[tuple, list[dict]] = {}
    for row in rows:
        key = row["kernel"], row["implementation"], row["threads"], row["n_events"], row["memory_of"] == "process"
        lines.setdefault(key, []).append(row)
    return [_line(same) for same in lines.values()]


def _line(rows: Sequence[dict]) -> tuple[str, ...]:
    row = rows[0]
    rate, seconds = row["events_per_s"], row["seconds"]
    speeds = [f"{short(r['ratio'])} x {r['ratio_to']}{_agreement(r)}" for r in rows if r["ratio"] is not None]
    notes = [r["note"] for r in rows if r["note"]]
    return (
        row["kernel"],
        row["implementation"],
        str(row["threads"] or ""),
        f"{row['n_events']:,}" if row["n_events"] else "",
        short(rate / 1e6) if rate else (f"{seconds:.3f} s" if seconds is not None else ""),
        short(row["gb_per_s"]),
        short(row["fraction_of_bandwidth"]),
        short(row["peak_memory_mb"]),
        ", ".join(dict.fromkeys([*speeds, *notes])),
    )


def _is_judged(mark: dict) -> bool:
    """Whether there was something to judge; a mark that only hopes has nothing that must be met."""
    return mark["met"] is not None or mark["reached"] is not None


def mark_cells(mark: dict) -> tuple[str, ...]:
    """A row of the table of marks."""
    if not _is_judged(mark):
        outcome = "not measured"
    elif mark["reached"]:
        outcome = "reached"
    else:
        outcome = {True: "yes", False: "NO", None: "not reached"}[mark["met"]]
    return (mark["mark"], mark["must"], mark["reach"], short(mark["measured"]), outcome, mark["note"])


def columns(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterator[str]:
    """Text in columns, some of them aligned right."""
    table = [tuple(head), *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()


def _agreement(row: dict) -> str:
    if row["max_error"]:
        return f" (within {row['max_error']:.0e})"
    return "" if row["mismatches"] in (0, None) else f" ({row['mismatches']} differ)"


def short(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
