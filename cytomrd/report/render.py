"""The report: one self-contained page, verdict first, then plots and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from cytomrd.report.batch import batch_notes, batch_rows, series_views
from cytomrd.report.page import asset, environment, last_part, policy
from cytomrd.report.sample import sample_view
from cytomrd.report.tables import DECISION_COLUMNS, csv_text, data_uri, decision_rows, provenance_table, qc_table
from cytomrd.report.verdict import NEEDS, describe_sample
from cytomrd.report.words import plural
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
    style, script = asset("report.css"), asset("report.js")
    page = environment().get_template("report.html.j2")
    counts = Counter(v.need for v in verdicts)
    return page.render(
        csp=policy(style, script),
        style=Markup(style),
        script=Markup(script),
        title=last_part(run.folder) or "run",
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


def _moment(text: object) -> str:
    return str(text).replace("T", " ").replace("+00:00", " UTC") if text else ""
