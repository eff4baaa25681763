"""The report: one self-contained page, verdict first, then plots and tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from cytomrd.report.batch import batch_notes, batch_rows
from cytomrd.report.page import asset, environment, last_part, policy
from cytomrd.report.sample import sample_view
from cytomrd.report.svg import SHARED
from cytomrd.report.tables import DECISION_COLUMNS, csv_text, data_uri, decision_rows, provenance_table, qc_table
from cytomrd.report.verdict import NEEDS, Verdict, describe_sample
from cytomrd.report.visits import Entry, series_views
from cytomrd.report.words import plural
from cytomrd.run.model import RunResult, SampleResult
from cytomrd.schema import table_to_csv

__all__ = ["INFUSIONS_D", "anchor_of", "render_article", "render_page", "render_report"]

# Days of the two infusions of the trial's schedule (NCT06045091); a visit's day counts from the first.
INFUSIONS_D = (0.0, 7.0)
# An article is made before the subject's other visits are known. Escaped text can never hold this.
SERIES_PLACE = "<!--series-->"
SHARED_GROUP = re.compile(f'<g class="{SHARED}">(.*?)</g>', re.DOTALL)


def render_report(run: RunResult, *, infusions_d: Sequence[float] = INFUSIONS_D) -> str:
    """The report of a run held in memory, as one HTML page that needs nothing else.

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

    def article(index: int) -> str:
        return render_article(run, run.samples[index], verdicts[index], anchor_of(index))

    return "".join(render_page(run, verdicts, article, infusions_d=infusions_d))


def anchor_of(index: int) -> str:
    """Where a sample stands on the page, by its place in the run."""
    return f"s{index + 1}"


def render_article(run: RunResult, sample: SampleResult, verdict: Verdict, anchor: str) -> str:
    """One sample's part of the page; ``run`` need hold only the samples that it is compared with."""
    return environment().get_template("sample.html.j2").render(s=sample_view(run, sample, verdict, anchor))


def render_page(
    run: RunResult,
    verdicts: Sequence[Verdict],
    article: Callable[[int], str],
    *,
    infusions_d: Sequence[float] = INFUSIONS_D,
) -> Iterator[str]:
    """The page piece by piece; ``article(index)`` is asked for each sample's part when it is due.

    The samples need not hold their events: what is drawn of them stands in the articles.
    """
    needs = list(NEEDS)
    order = sorted(range(len(run.samples)), key=lambda i: (needs.index(verdicts[i].need), i))
    entries = [(run.samples[i], verdicts[i], anchor_of(i)) for i in order]
    anchors = {s.sample_id: anchor_of(i) for i, s in enumerate(run.samples)}
    style, script = asset("report.css"), asset("report.js")
    counts = Counter(v.need for v in verdicts)
    return (
        environment()
        .get_template("report.html.j2")
        .generate(
            csp=policy(style, script),
            style=Markup(style),
            script=Markup(script),
            title=last_part(run.folder) or "run",
            folder=run.folder,
            version=str(run.provenance.get("cytomrd", "")),
            finished=_moment(run.provenance.get("finished")),
            size=f"{plural(len(run.samples), 'sample')}, {plural(sum(len(s.rows) for s in run.samples), 'tube')}",
            counts=[(need, NEEDS[need], str(counts[need])) for need in needs if counts[need]],
            notes=batch_notes(run, anchors),
            rows=batch_rows(run, entries),
            series=series_views(entries, infusions_d),
            articles=_articles(article, order, entries, infusions_d),
            qc=qc_table(run.samples),
            provenance=provenance_table(run),
            downloads=_downloads(run),
        )
    )


def _articles(
    article: Callable[[int], str], order: Sequence[int], entries: Sequence[Entry], infusions_d: Sequence[float]
) -> Iterator[Markup]:
    """Each sample's article with its series. An axis drawn before is not written again but referred to."""
    seen: dict[str, str] = {}

    def once(found: re.Match) -> str:
        shapes = found[1]
        if shapes in seen:
            return f'<use href="#{seen[shapes]}"/>'
        seen[shapes] = f"axis{len(seen) + 1}"
        return f'<g id="{seen[shapes]}" class="plot">{shapes}</g>'  # what refers to it finds its style here alone

    for index in order:
        text = _with_series(article(index), entries, anchor_of(index), infusions_d)
        yield Markup(SHARED_GROUP.sub(once, text))


def _with_series(article: str, entries: Sequence[Entry], anchor: str, infusions_d: Sequence[float]) -> str:
    """An article with the series that its sample is a visit of, in the place that the article keeps for it."""
    views = series_views(entries, infusions_d, current=anchor)
    if not views:
        return article
    figures = environment().get_template("series.html.j2").render(series=views)
    return article.replace(SERIES_PLACE, figures, 1)


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
