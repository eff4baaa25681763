"""The report: one self-contained page, verdict first, then plots and tables."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cytomrd.report.batch import batch_notes, batch_rows, series_views
from cytomrd.report.sample import sample_view
from cytomrd.report.tables import DECISION_COLUMNS, csv_text, data_uri, decision_rows, provenance_table, qc_table
from cytomrd.report.verdict import NEEDS, describe_sample
from cytomrd.report.words import plain, plural
from cytomrd.run.model import RunResult
from cytomrd.schema import table_to_csv

__all__ = ["INFUSIONS_D", "render_report"]

# Days of the two infusions of the trial's schedule (NCT06045091); a visit's day counts from the first.
INFUSIONS_D = (0.0, 7.0)


def render_report(run: RunResult, *, infusions_d: Sequence[float] = INFUSIONS_D) -> str:
    """The report of a run as one HTML page that needs nothing else.

    Parameters
    ----------
    run
        The run's samples, notes and provenance.
    infusions_d
        Days to mark on the series, where they lie within the visits.

    Returns
    -------
    str
        The page. It is the same for the same run, byte for byte; every text from a file or a
        samplesheet is escaped, and the page forbids itself anything but its own style and script.
    """
    verdicts = [describe_sample(s) for s in run.samples]
    anchors = [f"s{i}" for i in range(1, len(run.samples) + 1)]
    needs = list(NEEDS)
    order = sorted(range(len(run.samples)), key=lambda i: (needs.index(verdicts[i].need), i))
    entries = [(run.samples[i], verdicts[i], anchors[i]) for i in order]
    style, script = _asset("report.css"), _asset("report.js")
    page = _environment().get_template("report.html.j2")
    counts = Counter(v.need for v in verdicts)
    return page.render(
        csp=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        title=_last_part(run.folder) or "run",
        folder=run.folder,
        version=str(run.provenance.get("cytomrd", "")),
        finished=_moment(run.provenance.get("finished")),
        size=f"{plural(len(run.samples), 'sample')}, {plural(sum(len(s.rows) for s in run.samples), 'tube')}",
        counts=[(need, NEEDS[need], str(counts[need])) for need in needs if counts[need]],
        notes=batch_notes(run, dict(zip((s.sample_id for s in run.samples), anchors, strict=True))),
        rows=batch_rows(run, entries),
        series=series_views(run, entries, infusions_d),
        samples=[sample_view(run, sample, verdict, anchor) for sample, verdict, anchor in entries],
        qc=qc_table(run.samples),
        provenance=provenance_table(run),
        downloads=_downloads(run),
    )


def _downloads(run: RunResult) -> list[tuple[str, str]]:
    """File name and address of every table, as CSV: the result files byte for byte, and the cuts."""
    from cytomrd.run.results import result_tables

    found = []
    for name, (columns, rows) in result_tables(run).items():
        if rows:
            found.append((f"{name}.csv", data_uri(table_to_csv(columns, rows))))
    decisions = [row for sample in run.samples for row in decision_rows(sample)]
    if decisions:
        found.append(("gates_decided.csv", data_uri(csv_text(DECISION_COLUMNS, decisions))))
    return found


def _last_part(folder: str) -> str:
    return folder.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _moment(text: object) -> str:
    return str(text).replace("T", " ").replace("+00:00", " UTC") if text else ""


def _policy(style: str, script: str) -> str:
    """Nothing may load, and only this page's own style and script may run."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@cache
def _asset(name: str) -> str:
    source, _, _ = _environment().loader.get_source(_environment(), name)
    return source


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("cytomrd.report", "templates"),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    """What may stand on the page: text made plain, whole numbers, and our own markup; never a bare float."""
    if isinstance(value, Markup) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str):
        return plain(value).replace(" × ", "\u00a0×\u00a0")  # a number does not break over two lines
    raise TypeError(f"{type(value).__name__} {value!r} reached the page unformatted; put it in words first")
