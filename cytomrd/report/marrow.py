"""Cells that only marrow holds, against their range: whether blood diluted the aspirate."""

from __future__ import annotations

from cytomrd.mrd.hemodilution import MarrowCells
from cytomrd.report.standing import Interval, draw_intervals
from cytomrd.report.tables import Table
from cytomrd.report.words import percent_words
from cytomrd.run.model import SampleResult

__all__ = ["marrow_view"]

HEADS = (
    ("Population", False), ("Cells", True), ("of nucleated (95% interval)", True), ("Expected", True),
    ("Reading", False),
)  # fmt: skip


def marrow_view(sample: SampleResult) -> dict[str, object] | None:
    """The picture and the table; None where nothing was measured."""
    cells = sample.hemodilution.compared if sample.hemodilution is not None else ()
    if not cells:
        return None
    titles = {p.name: p.title for p in sample.panel.populations if p.title} if sample.panel is not None else {}
    names = [titles.get(c.population, c.population.replace("_", " ")) for c in cells]
    rows = tuple(
        (name, f"{c.n_events:,}", percent_words(c.n_events / c.n_nucleated, c.low, c.high), _range(c), c.reading)
        for name, c in zip(names, cells, strict=True)
    )
    return {
        "plot": draw_intervals(
            [_interval(name, c) for name, c in zip(names, cells, strict=True)],
            label="of nucleated cells",
            percent=True,
            title="Cells that only marrow holds, against their range",
        ),
        "table": Table(HEADS, rows),
    }


def _interval(name: str, cells: MarrowCells) -> Interval:
    fraction = cells.n_events / cells.n_nucleated
    return Interval(name, fraction, cells.low, cells.high, "normal", cells.expected, percent_words(fraction))


def _range(cells: MarrowCells) -> str:
    low, high = cells.expected
    return f"{percent_words(low)} to {percent_words(high)}"
