"""Each subject's samples as series over its visits."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cytomrd.report.sample_words import day_words, result_words
from cytomrd.report.series import SeriesPoint, draw_series
from cytomrd.report.verdict import Verdict
from cytomrd.run.model import SampleResult

__all__ = ["Entry", "kind_of", "series_key", "series_of", "series_views"]

# A sample, its verdict, and its anchor on the page.
Entry = tuple[SampleResult, Verdict, str]


def kind_of(sample: SampleResult) -> str:
    """Colour and shape of its series."""
    return "clonal" if sample.mrd is not None else "car"


def series_key(sample: SampleResult) -> tuple[str, ...] | None:
    """Samples of one line: a subject's marrow MRD, its CAR+ NK in blood, its CAR+ NK in marrow."""
    row = sample.rows[0]
    if not row.subject_id or row.day is None or not math.isfinite(row.day):
        return None
    if sample.mrd is not None:
        return (row.subject_id, "mrd", row.matrix)
    if sample.car_nk is not None:
        unit = "cells_per_ul" if sample.car_nk.method != "none" else "fraction"
        return (row.subject_id, unit, row.matrix)
    return None


def series_of(entries: Sequence[Entry]) -> dict[tuple[str, ...], list[SeriesPoint]]:
    """Every subject's series, each sorted by day."""
    series: dict[tuple[str, ...], list[SeriesPoint]] = {}
    for sample, _, anchor in entries:
        key = series_key(sample)
        if key is not None:
            series.setdefault(key, []).append(_point(sample, anchor))
    return {key: sorted(points, key=lambda p: (p.day, p.sample_id)) for key, points in sorted(series.items())}


def _point(sample: SampleResult, anchor: str) -> SeriesPoint:
    row = sample.rows[0]
    if sample.mrd is not None:
        mrd = sample.mrd
        detected = mrd.status in ("POSITIVE", "POSITIVE_BELOW_LLOQ")
        value, low, high, floor = mrd.mrd_fraction, mrd.ci_low, mrd.ci_high, mrd.lod
    else:
        car = mrd = sample.car_nk
        detected = car.status in ("QUANTIFIED", "BELOW_LLOQ")
        value, low, high, floor = car.cells_per_ul, car.cells_per_ul_low, car.cells_per_ul_high, car.lloq_cells_per_ul
        if car.method == "none":
            value, low, high, floor = car.net_fraction, car.ci_low, car.ci_high, car.lloq_fraction
    return SeriesPoint(
        sample_id=sample.sample_id,
        anchor=anchor,
        visit=row.visit or sample.sample_id,
        day=float(row.day),
        value=value,
        low=low,
        high=high,
        floor=floor,
        detected=detected,
        evaluable=mrd.status != "NOT_EVALUABLE",
        words=result_words(sample),
    )


SERIES_LABELS = {
    "mrd": ("MRD (clonal of nucleated)", "MRD", "limit of detection"),
    "cells_per_ul": ("CAR+ NK cells/µL", "CAR+ NK cells per µL", "limit of quantification"),
    "fraction": ("CAR+ of NK cells", "CAR+ fraction of NK cells", "limit of quantification"),
}


def series_views(
    entries: Sequence[Entry], infusions_d: Sequence[float], *, current: str = ""
) -> list[dict[str, object]]:
    """A plot for every series of at least two visits; with ``current``, only those that hold this sample, ringed."""
    views = []
    for (subject, unit, matrix), points in series_of(entries).items():
        if len(points) < 2 or all(p.place is None for p in points):
            continue
        if current and all(p.anchor != current for p in points):
            continue
        axis, what, floor = SERIES_LABELS[unit]
        where = {"PB": "blood", "BM": "marrow"}.get(matrix, matrix)
        views.append(
            {
                "subject": subject,
                "title": f"{what}, {where}" if where else what,
                "plot": draw_series(
                    points,
                    label=axis,
                    kind="clonal" if unit == "mrd" else "car",
                    floor_name=floor,
                    infusions_d=infusions_d,
                    title=f"{subject}: {what}",
                    current=current,
                ),
                "floor": floor,
                "points": [(p.anchor, p.visit, day_words(p.day), p.words) for p in points],
            }
        )
    return views
