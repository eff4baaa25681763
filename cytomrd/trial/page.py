"""The page of a study's tables: every outcome with its figures and tables, and how each was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from numbers import Real

import pandas as pd
from markupsafe import Markup

from cytomrd import __version__
from cytomrd.report.page import asset, environment, policy
from cytomrd.report.words import MISSING, number_words, plural
from cytomrd.trial.figures.style import figure_css
from cytomrd.trial.study import Study
from cytomrd.trial.table import Outcome, TrialFigure, TrialTable

__all__ = ["Made", "plain_value", "render_tables"]


@dataclass(frozen=True)
class Made:
    """What was made for an outcome."""

    outcome: Outcome
    tables: tuple[TrialTable, ...]
    figures: tuple[TrialFigure, ...] = ()


def plain_value(value: object) -> object:
    """A cell as plain Python: None for anything missing, text for lists and moments."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return ";".join(str(v) for v in value)
    if value is None or pd.isna(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat(timespec="minutes") if value.hour or value.minute else value.date().isoformat()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def render_tables(study: Study, made: Sequence[Made]) -> str:
    """The page as one HTML text; the same for the same study, byte for byte."""
    style = asset("report.css") + asset("tables.css") + figure_css()
    settings = study.settings
    n_tables = sum(len(m.tables) for m in made)
    return (
        environment()
        .get_template("tables.html.j2")
        .render(
            csp=policy(style, ""),
            style=Markup(style),
            title=f"{settings.id}: {settings.title}" if settings.title else settings.id,
            version=__version__,
            size=f"{plural(len(study.subjects), 'subject')}, {len(study.treated)} treated; "
            f"{plural(n_tables, 'table')}; data cut {settings.data_cutoff.isoformat()}",
            footnotes=[*study.footnotes, *study.remarks],
            sources=sorted(study.sources.items()),
            outcomes=[_outcome_view(m) for m in made],
        )
    )


def _outcome_view(made: Made) -> dict[str, object]:
    number = made.outcome.number
    return {
        "number": number,
        "anchor": "".join(c if c.isalnum() else "-" for c in number.lower()),
        "title": made.outcome.title,
        "figures": [
            {"svg": Markup(f.svg), "title": f.title, "notes": list(f.notes)} for f in made.figures
        ],  # our own SVG
        "tables": [_table_view(t) for t in made.tables],
    }


def _table_view(table: TrialTable) -> dict[str, object]:
    values = [[plain_value(v) for v in row] for row in table.data.itertuples(index=False, name=None)]
    numeric = [_is_numeric(column) for column in zip(*values, strict=True)] or [False] * table.data.shape[1]
    return {
        "id": table.id,
        "title": table.title,
        "columns": [(_heading(c), is_number) for c, is_number in zip(table.data.columns, numeric, strict=True)],
        "rows": [
            list(row) for row in zip(*(_column_words(column) for column in zip(*values, strict=True)), strict=True)
        ],
        "notes": list(table.notes),
        "footnotes": list(table.footnotes),
        "files": [f"{table.id}.csv", *([f"{table.id}_listing.csv"] if table.listing is not None else [])],
    }


def _heading(name: str) -> str:
    return str(name).replace("_", " ")


def _is_numeric(values: Sequence[object]) -> bool:
    given = [v for v in values if v is not None]
    return bool(given) and all(isinstance(v, Real) and not isinstance(v, bool) for v in given)


def _column_words(values: Sequence[object]) -> list[str]:
    """A column in words; counts that came as numbers because one is missing read as counts."""
    numbers = [v for v in values if isinstance(v, float)]
    if numbers and all(v.is_integer() and abs(v) < 1e6 for v in numbers):
        values = [int(v) if isinstance(v, float) else v for v in values]
    return [_words(v) for v in values]


def _words(value: object) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, float):
        return number_words(value, 4)
    return str(value)
