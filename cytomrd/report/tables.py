"""Tables of the page: cells in words to read, and the same table as CSV to keep."""

from __future__ import annotations

import base64
import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from cytomrd.report.words import (
    MISSING,
    count_words,
    interval_words,
    linear_words,
    number_words,
    percent_words,
    plain,
)
from cytomrd.run.model import FileResult, RunResult, SampleResult

__all__ = [
    "Table",
    "csv_text",
    "data_uri",
    "decision_rows",
    "decision_table",
    "neutral",
    "population_table",
    "provenance_table",
    "qc_table",
]

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
DECISION_COLUMNS = (
    "sample_id", "tube", "file", "cut", "marker", "status", "method", "value", "low", "high", "value_transformed",
    "low_transformed", "high_transformed", "n_events", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table as shown: ``columns`` are ``(heading, is_number)``, ``rows`` are cells in words."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]


def neutral(value: object) -> object:
    """A cell that no spreadsheet runs: text that begins like a formula gets a leading apostrophe.

    Examples
    --------
    >>> from cytomrd.report.tables import neutral
    >>> neutral("=1+1"), neutral(-1.5)
    ("'=1+1", '-1.5')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = plain(value)
        return "'" + text if text.startswith(FORMULA_STARTS) or value.startswith(FORMULA_STARTS) else text
    return format(value, ".10g") if isinstance(value, float) else value


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV, header first, formulas neutralised."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([neutral(str(c)) for c in columns])
    writer.writerows([neutral(cell) for cell in row] for row in rows)
    return buffer.getvalue()


def data_uri(text: str, kind: str = "text/csv") -> str:
    """Text as a ``data:`` address, for a link that saves it."""
    data = base64.b64encode(text.encode("utf-8", "replace")).decode("ascii")
    return f"data:{kind};charset=utf-8;base64,{data}"


def _linear(file: FileResult, marker: str, value: float | None) -> float | None:
    """A position on a marker's scale as a scale value; None where the axis is not known."""
    axis = file.axes.get(marker)
    if axis is None or value is None or not math.isfinite(value):
        return None
    linear = float(axis.transform.inverse(value))
    return linear if math.isfinite(linear) else None


def decision_rows(sample: SampleResult) -> Iterable[tuple[object, ...]]:
    """One row for each cut of each tube, for :data:`DECISION_COLUMNS`."""
    for file in sample.files:
        for cut in file.decisions:
            linear = [_linear(file, cut.marker, v) for v in (cut.value, cut.low, cut.high)]
            yield (
                sample.sample_id, file.tube, file.row.file, cut.name, cut.marker, cut.status, cut.method, *linear,
                cut.value, cut.low, cut.high, cut.n_events, cut.reason,
            )  # fmt: skip


STATUS_WORDS = {
    "fitted": "from the data",
    "fallback": "fallback",
    "fixed": "fixed by the panel",
    "control": "from the control",
    "no_call": "no call",
}


def decision_table(file: FileResult) -> Table:
    """How each cut of a tube was set: its value in scale units, its interval, its reason."""
    rows = []
    for cut in file.decisions:
        value, low, high = (_linear(file, cut.marker, v) for v in (cut.value, cut.low, cut.high))
        where = cut.name if cut.name == cut.marker else f"{cut.name} ({cut.marker})"
        how = STATUS_WORDS.get(cut.status, cut.status)
        rows.append(
            (
                where,
                f"{cut.method}, {how}" if cut.method else how,
                linear_words(value),
                interval_words(low, high),
                count_words(cut.n_events),
                cut.reason or MISSING,
            )
        )
    heads = (
        ("Cut", False),
        ("How it was set", False),
        ("Value", True),
        ("95% interval", True),
        ("Events", True),
        ("Reason", False),
    )
    return Table(heads, tuple(rows))


def population_table(file: FileResult) -> Table:
    """Counts of a tube's populations, indented by their place in the tree."""
    rows = []
    for count in file.populations:
        depth = max(0, len(count.gate_path) - 2)
        rows.append(
            (
                "\u2003" * depth + count.population.replace("_", " "),
                f"{count.n_events:,}",
                percent_words(count.fraction_of_parent),
                percent_words(count.fraction_of_nucleated),
            )
        )
    heads = (("Population", False), ("Events", True), ("of parent", True), ("of nucleated", True))
    return Table(heads, tuple(rows))


def qc_table(samples: Sequence[SampleResult]) -> Table:
    """One row a file: what was counted, left out, and found."""
    rows = []
    for sample in samples:
        for file in sample.files:
            qc = file.qc
            findings = [str(f) for f in file.findings if f.grade != "note"]
            rows.append(
                (
                    sample.sample_id,
                    file.tube,
                    file.row.file,
                    "; ".join(qc.held) if qc.held else "acceptable",
                    f"{qc.n_events:,}",
                    f"{qc.n_non_finite:,}",
                    f"{qc.n_upper_margin:,}",
                    _with_share(qc.n_removed_by_time, qc.n_events),
                    _with_share(qc.n_doublets, qc.n_events),
                    number_words(qc.drift, 2),
                    number_words(qc.spillover_condition, 3),
                    "; ".join(findings) or "none",
                )
            )
        if not sample.files:
            for row in sample.rows:
                rows.append((sample.sample_id, row.tube or MISSING, row.file, "failed", *[MISSING] * 7, MISSING))
    heads = (
        ("Sample", False), ("Tube", False), ("File", False), ("Verdict", False), ("Events", True), ("Not finite", True),
        ("At the top", True), ("Left out by time", True), ("Doublets", True), ("Drift", True),
        ("Spillover condition", True), ("Repaired in the file", False),
    )  # fmt: skip
    return Table(heads, tuple(rows))


def _with_share(count: int, total: int) -> str:
    return f"{count:,} ({percent_words(count / total)})" if total else f"{count:,}"


def provenance_table(run: RunResult) -> Table:
    """Versions, hashes, settings: every entry of the run's provenance by its path."""
    rows = tuple((path, text) for path, text in _flat(run.provenance))
    return Table((("What", False), ("Value", False)), rows)


def _flat(value: object, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path} · {key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value, start=1):
            if isinstance(inner, Mapping):
                yield f"{path} {index}", ", ".join(f"{k} {_scalar(v)}" for k, v in inner.items())
            else:
                yield f"{path} {index}", _scalar(inner)
    else:
        yield path, _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else MISSING
    if isinstance(value, list | tuple):
        return "; ".join(map(_scalar, value)) or MISSING
    return str(value)
