"""The numbers of a sample in the words of the lab: what each is called, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cytomrd.report.sample import HEMODILUTION
from cytomrd.report.sample_words import flag_words
from cytomrd.report.words import MISSING, fraction_words, number_words
from cytomrd.review.views import Number

__all__ = ["figure_views", "value_words"]

STATUS = {
    "POSITIVE": "positive",
    "POSITIVE_BELOW_LLOQ": "positive, below LLOQ",
    "NEGATIVE": "negative",
    "NOT_EVALUABLE": "not evaluable",
}


def _count(value: int) -> str:
    return f"{value:,}"


def _limit(value: float) -> str:
    return fraction_words(value, digits=2)


def _interval(low: float, high: float) -> str:
    return fraction_words(high, low, high).partition("(")[2].rstrip(")") or fraction_words(high)


@dataclass(frozen=True)
class _Row:
    """A row of the page: columns of mrd.csv, what they are called together, and how they are written."""

    label: str
    names: tuple[str, ...]
    words: Callable[..., str]
    always: bool = True
    missing: str = MISSING


# In the order in which a reader asks; ``always``: shown although nothing changed.
_ROWS = (
    _Row("MRD", ("mrd_fraction",), fraction_words),
    _Row("95% interval", ("ci_low", "ci_high"), _interval),
    _Row("Status", ("status",), lambda v: STATUS.get(v, str(v))),
    _Row("Clonal plasma cells", ("n_clonal_pc",), _count),
    _Row("Normal plasma cells", ("n_normal_pc",), _count),
    _Row("Plasma cells", ("n_plasma_cells",), _count),
    _Row("Nucleated cells (N)", ("n_nucleated",), _count),
    _Row("Limit of detection", ("lod",), _limit),
    _Row("Limit of quantification", ("lloq",), _limit),
    _Row("Light chain", ("light_chain",), str),
    _Row("Kappa : lambda", ("kappa_lambda_ratio",), number_words),
    _Row("Hemodilution", ("hemodilution",), lambda v: HEMODILUTION.get(v, str(v))),
    _Row("Below 10⁻⁵", ("below_1e_5",), lambda v: "yes" if v else "no", False),
    # Gates that a person placed are not moved at random.
    _Row("Interval, gates moved", ("mrd_low_with_gates", "mrd_high_with_gates"), _interval, False, "not taken"),
    _Row("MRD without time QC", ("mrd_fraction_without_qc",), fraction_words, False),
    _Row("Like the earlier clone", ("n_alike_earlier",), _count, False),
    _Row("Flags", ("flags",), lambda v: "; ".join(map(flag_words, str(v).split(";"))), False, "none"),
)
_HIDDEN = {"mrd_sd_gates"}  # says what the interval with moved gates says


def value_words(name: str, value: object) -> str:
    """One value of mrd.csv as it is read."""
    row = next((r for r in _ROWS if r.names == (name,)), None)
    return _written(row if row is not None else _Row(name, (name,), _plain), (value,))


def _written(row: _Row, values: tuple[object, ...]) -> str:
    return row.missing if any(v is None or v == "" for v in values) else row.words(*values)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _count(value)
    return number_words(value) if isinstance(value, float) else str(value)


def figure_views(numbers: Iterable[Number]) -> list[dict[str, object]]:
    """The numbers of the sample, each with what was kept, what it is now, and what the program alone had found."""
    found = {n.name: n for n in numbers if n.group == "mrd"}
    named = {name for row in _ROWS for name in row.names} | _HIDDEN
    others = [_Row(name.replace("_", " "), (name,), _plain, False) for name in found if name not in named]
    views = []
    for row in (*_ROWS, *others):
        members = [found[name] for name in row.names if name in found]
        changed = any(bool(n.changed) for n in members)
        if len(members) < len(row.names) or not (changed or row.always):
            continue
        automatic, kept, now = (
            _written(row, tuple(getattr(n, which) for n in members)) for which in ("automatic", "old", "new")
        )
        views.append(
            {
                "key": row.names[0],
                "name": row.label,
                "now": now,
                "kept": kept,
                "changed": changed,
                "note": f"automatic: {automatic}" if automatic != now else "",
            }
        )
    return views
