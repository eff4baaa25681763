"""The numbers of a sample in the words of the lab: what each is called, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cytomrd.report.sample import HEMODILUTION
from cytomrd.report.words import MISSING, fraction_words, number_words
from cytomrd.review.views import Number

__all__ = ["figure_views", "value_words"]

STATUS = {
    "POSITIVE": "positive",
    "POSITIVE_BELOW_LLOQ": "positive, below LLOQ",
    "NEGATIVE": "negative",
    "NOT_EVALUABLE": "not evaluable",
}


def _count(value) -> str:
    return f"{value:,}"


def _limit(value) -> str:
    return fraction_words(value, digits=2)


# Name in mrd.csv: what it is called, how it is written. In the order in which a reader asks.
_WORDS: dict[str, tuple[str, Callable[[object], str]]] = {
    "status": ("Status", lambda v: STATUS.get(v, str(v))),
    "mrd_fraction": ("MRD", fraction_words),
    "ci_low": ("95% interval, lower end", fraction_words),
    "ci_high": ("95% interval, upper end", fraction_words),
    "n_clonal_pc": ("Clonal plasma cells", _count),
    "n_normal_pc": ("Normal plasma cells", _count),
    "n_plasma_cells": ("Plasma cells", _count),
    "n_nucleated": ("Nucleated cells (N)", _count),
    "lod": ("Limit of detection", _limit),
    "lloq": ("Limit of quantification", _limit),
    "lob_events": ("Limit of blank", _count),
    "below_1e_5": ("Below 10⁻⁵", lambda v: "yes" if v else "no"),
    "light_chain": ("Light chain", str),
    "kappa_lambda_ratio": ("Kappa : lambda", number_words),
    "hemodilution": ("Hemodilution", lambda v: HEMODILUTION.get(v, str(v))),
    "mrd_low_with_gates": ("With moved gates, lower end", fraction_words),
    "mrd_high_with_gates": ("With moved gates, upper end", fraction_words),
    "mrd_sd_gates": ("SD of moved gates", fraction_words),
    "mrd_fraction_without_qc": ("MRD without time QC", fraction_words),
    "n_alike_earlier": ("Like the earlier clone", _count),
    "flags": ("Flags", lambda v: str(v).replace(";", "; ")),
}
# Shown although nothing changed.
_ALWAYS = (
    "status", "mrd_fraction", "ci_low", "ci_high", "n_clonal_pc", "n_normal_pc", "n_plasma_cells", "n_nucleated", "lod",
    "lloq", "light_chain", "kappa_lambda_ratio", "hemodilution",
)  # fmt: skip


def value_words(name: str, value: object) -> str:
    """One number as it is read."""
    if value is None or value == "":
        return MISSING
    if name in _WORDS:
        return _WORDS[name][1](value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _count(value)
    return number_words(value) if isinstance(value, float) else str(value)


def figure_views(numbers: Iterable[Number]) -> list[dict[str, object]]:
    """The numbers of the sample, each with what was kept, what it is now, and what the program alone had found."""
    found = {n.name: n for n in numbers if n.group == "mrd"}
    order = [name for name in _WORDS if name in found] + [name for name in found if name not in _WORDS]
    views = []
    for name in order:
        number = found[name]
        if not number.changed and name not in _ALWAYS:
            continue
        now, kept, automatic = (value_words(name, v) for v in (number.new, number.old, number.automatic))
        views.append(
            {
                "key": name,
                "name": _WORDS[name][0] if name in _WORDS else name.replace("_", " "),
                "now": now,
                "kept": kept,
                "changed": bool(number.changed),
                "note": f"automatic: {automatic}" if automatic != now else "",
            }
        )
    return views
