"""What a person wants to know about an FCS file before using it. No events are decoded."""

from __future__ import annotations

import os
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cytomrd.errors import CompensationError, FcsError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.fcs.findings import Finding
from cytomrd.fcs.text import printable
from cytomrd.preprocess.compensation import Spillover

__all__ = ["FcsDescription", "FileCheck", "check_fcs", "describe_fcs"]

WIDTH = 100
CHANNEL_COLUMNS = ("no", "detector", "marker", "type", "bits", "range", "scale", "gain")
_FACTS = (
    ("instrument", "$CYT"),
    ("serial number", "$CYTSN"),
    ("acquired", "$DATE"),
    ("begin", "$BTIM"),
    ("end", "$ETIM"),
    ("operator", "$OP"),
    ("named", "$FIL"),
    ("software", "CREATOR"),
)
_TYPES = {"I": "integer", "F": "float32", "D": "float64", "A": "ASCII"}


@dataclass(frozen=True)
class FcsDescription:
    """A file in words: every text is safe to print.

    Attributes
    ----------
    facts
        Pairs of label and value: version, size, events, instrument, ...
    channels
        One tuple of texts per channel, in the order of ``CHANNEL_COLUMNS``.
    spillover
        Size, source and condition number of the file's matrix, or why it cannot be used.
    datasets
        One line per data set, where there are several.
    findings
        What departs from the standard.
    """

    facts: tuple[tuple[str, str], ...]
    channels: tuple[tuple[str, ...], ...]
    spillover: str
    datasets: tuple[str, ...]
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        facts = [*self.facts, ("spillover", self.spillover)]
        width = max(len(label) for label, _ in facts)
        lines = [*(f"{label:<{width}}  {value}" for label, value in facts), ""]
        table = [CHANNEL_COLUMNS, *self.channels]
        widths = [max(len(row[i]) for row in table) for i in range(len(CHANNEL_COLUMNS))]
        lines += ["  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in table]
        if self.datasets:
            lines += ["", "data sets", *(f"  {line}" for line in self.datasets)]
        lines += ["", _heading(self.findings)]
        for line in _in_groups(self.findings):
            lines += textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False)
        return "\n".join(lines)


@dataclass(frozen=True)
class FileCheck:
    """The verdict on one file.

    Attributes
    ----------
    path
        The file.
    status
        ``"ok"``, ``"repaired"`` (readable with corrections, or its spillover matrix is unusable) or ``"refused"``.
    reason
        Why it is not ok, in one line, safe to print; empty where it is.
    findings
        All findings, notes included; empty where refused.
    """

    path: Path
    status: Literal["ok", "repaired", "refused"]
    reason: str
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        name = printable(str(self.path))
        return f"{name}: {self.status}" + (f": {self.reason}" if self.reason else "")


def describe_fcs(path: str | os.PathLike, *, dataset: int = 0, strict: bool = False) -> FcsDescription:
    """Describe a file's header, channels, spillover matrix and findings.

    Raises
    ------
    FcsError
        If the file cannot be read without guessing.

    Examples
    --------
    >>> import numpy as np, tempfile, cytomrd as cm
    >>> from cytomrd.fcs.check import describe_fcs
    >>> path = tempfile.mkdtemp() + "/tube.fcs"
    >>> cm.write_fcs(path, np.array([[1.0, 2.5]]), ["FSC-A", "FITC-A"], markers=["", "CD38"])
    >>> describe_fcs(path).channels[1]
    ('2', 'FITC-A', 'CD38', 'float32', '32', '262144', 'linear', '1')
    """
    tube = open_fcs(path, dataset=dataset, strict=strict)
    spillover, finding = _spillover(tube)
    facts = [
        ("file", printable(str(tube.path))),
        ("version", tube.version),
        ("size", f"{tube.size_bytes:,} bytes"),
        ("events", f"{tube.n_events:,}"),
        ("channels", str(tube.n_channels)),
        ("data", _place(tube)),
    ]
    facts += [(label, printable(tube.keywords[key].strip(), 120)) for label, key in _FACTS if tube.keywords.get(key)]
    if tube.volume_ul is not None:
        facts.append(("volume", f"{tube.volume_ul:g} uL"))
    if tube.timestep is not None:
        facts.append(("timestep", f"{tube.timestep:g} s"))
    datasets = ()
    if tube.datasets > 1:
        datasets = tuple(
            f"{s.index}: {s.version} at byte {s.byte_offset}, {s.n_events} events, {s.n_channels} channels"
            + (" (this one)" if s.index == tube.index else "")
            for s in tube.summaries
        )
    return FcsDescription(tuple(facts), _channel_rows(tube), spillover, datasets, tube.findings + finding)


def check_fcs(paths: Iterable[str | os.PathLike], *, strict: bool = False) -> tuple[FileCheck, ...]:
    """Check files for what would stop or mislead an analysis. Structure is read, events are not.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from cytomrd.fcs.check import check_fcs
    >>> path = pathlib.Path(tempfile.mkdtemp(), "empty.fcs")
    >>> _ = path.write_bytes(b"")
    >>> check_fcs([path])[0].status
    'refused'
    """
    return tuple(_check_one(Path(path), strict) for path in paths)


def _check_one(path: Path, strict: bool) -> FileCheck:
    try:
        tube = open_fcs(path, strict=strict)
    except FcsError as error:
        return FileCheck(path, "refused", str(error.args[0]), ())
    findings = tube.findings + _spillover(tube)[1]
    serious = [f for f in findings if f.grade != "note"]
    more = f" (and {len(serious) - 1} more)" if len(serious) > 1 else ""
    return FileCheck(path, "repaired" if serious else "ok", serious[0].text + more if serious else "", findings)


def _spillover(tube: FcsDataset) -> tuple[str, tuple[Finding, ...]]:
    """The file's matrix in words, and a finding where it is unusable or does nothing."""
    try:
        matrix = tube.spillover
    except CompensationError as error:
        reason = str(error)
        text = Finding("refused", "$SPILLOVER", None, reason, "a usable matrix", "give the matrix as a CSV file")
        return reason, (text,)
    if matrix is None:
        return "none in the file", ()
    size = len(matrix.detectors)
    words = f"{size} x {size} ({matrix.source}), condition number {matrix.condition_number:.3g}"
    if not matrix.is_identity:
        return f"{words}, {_largest(matrix)}", ()
    note = Finding(
        "note",
        matrix.source,
        None,
        "the identity matrix",
        "measured spillover",
        "compensation changes nothing: the file was exported compensated or unmixed, or never set up",
    )
    return f"{words}, identity", (note,)


def _largest(matrix: Spillover) -> str:
    off_diagonal = np.where(np.eye(len(matrix.detectors), dtype=bool), 0, np.abs(matrix.matrix))
    i, j = np.unravel_index(np.argmax(off_diagonal), off_diagonal.shape)
    source, target = (printable(matrix.detectors[k], 60) for k in (i, j))
    return f"largest {matrix.matrix[i, j]:.3g} from {source} into {target}"


def _place(tube: FcsDataset) -> str:
    """Where the events are, and in which byte order."""
    structure = tube.structure
    layout = structure.layout
    order = "little endian" if layout.is_little else "big endian" if layout.is_big else "permuted bytes"
    if all(c.datatype == "A" for c in tube.channels):
        order = "digits"
    return f"{structure.data.size:,} bytes from byte {structure.header.base + structure.data.begin:,}, {order}"


def _heading(findings: tuple[Finding, ...]) -> str:
    n = Counter(f.grade for f in findings)
    counts = [(n["refused"], "refused"), (n["repaired"], "repaired"), (n["note"], "notes" if n["note"] > 1 else "note")]
    words = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"findings ({words})" if words else "no findings"


def _in_groups(findings: tuple[Finding, ...]) -> list[str]:
    """One line per finding; the same about many keywords (``$P1E`` to ``$P16E``) is said once."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.grade, finding.seen, finding.expected, finding.remedy), []).append(finding)
    lines = []
    for first, *others in groups.values():
        more = f" (also {', '.join(printable(f.keyword, 60) for f in others)})" if others else ""
        lines.append(f"{first}{more}")
    return lines


def _channel_rows(tube: FcsDataset) -> tuple[tuple[str, ...], ...]:
    rows = []
    for c in tube.channels:
        scale = f"log {c.decades:g} decades from {c.offset:g}" if c.decades else "linear"
        if c.is_time and tube.timestep is not None:
            scale = f"time x {tube.timestep:g} s"
        texts = (printable(c.detector, 60), printable(c.marker, 60), _TYPES[c.datatype], str(c.bits or "any"))
        rows.append((str(c.index + 1), *texts, f"{c.range:.10g}", scale, f"{c.gain:g}"))
    return tuple(rows)
