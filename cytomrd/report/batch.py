"""The batch page: samples by need, what was refused or assumed, and each subject's series."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from markupsafe import Markup

from cytomrd.report.marks import status_mark
from cytomrd.report.series import SeriesPoint, draw_series, draw_sparkline
from cytomrd.report.verdict import Verdict
from cytomrd.report.words import (
    MISSING,
    cells_per_ul_words,
    count_words,
    fraction_words,
    number_words,
    percent_words,
    plural,
)
from cytomrd.run.model import FileResult, RunResult, SampleResult

__all__ = ["batch_notes", "batch_rows", "flag_words", "result_words", "series_of", "series_views", "visit_words"]

Entry = tuple[SampleResult, Verdict, str]


def flag_words(flag: str) -> str:
    """The words of a flag written ``CODE: words``; a bare code is spelt out.

    Examples
    --------
    >>> from cytomrd.report.batch import flag_words
    >>> flag_words("FEW_NK: 900 NK cells"), flag_words("LOW_N")
    ('900 NK cells', 'low n')
    """
    code, colon, words = flag.partition(":")
    if colon and code.isupper() and words.strip():
        return words.strip()
    return flag.replace("_", " ").lower() if flag.isupper() else flag


def visit_words(sample: SampleResult) -> str:
    """``C3D1, day 63``."""
    row = sample.rows[0]
    parts = [row.visit] if row.visit else []
    if row.day is not None and f"day {row.day:g}" not in row.visit.lower():
        parts.append(f"day\u00a0{_day(row.day)}")
    return ", ".join(parts) or MISSING


def _day(day: float) -> str:
    return f"{day:g}".replace("-", "−")


def result_words(sample: SampleResult) -> str:
    """The result with its interval, as the table shows it; ``< limit`` where below it."""
    if sample.mrd is not None:
        mrd = sample.mrd
        if mrd.status == "NEGATIVE":
            return f"< {fraction_words(mrd.lod, digits=2)}"
        if mrd.status == "NOT_EVALUABLE":
            return MISSING
        return fraction_words(mrd.mrd_fraction, mrd.ci_low, mrd.ci_high)
    if sample.car_nk is not None:
        car = sample.car_nk
        if car.status == "NOT_EVALUABLE":
            return MISSING
        if car.status != "QUANTIFIED":
            if car.lloq_cells_per_ul is not None:
                return f"< {cells_per_ul_words(car.lloq_cells_per_ul)}"
            return f"< {percent_words(car.lloq_fraction)} of NK" if car.lloq_fraction is not None else MISSING
        if car.cells_per_ul is None:
            return f"{percent_words(car.net_fraction, car.ci_low, car.ci_high)} of NK"
        return cells_per_ul_words(car.cells_per_ul, car.cells_per_ul_low, car.cells_per_ul_high)
    return MISSING


def _denominator_words(sample: SampleResult) -> str:
    if sample.mrd is not None:
        return count_words(sample.mrd.n_nucleated)
    if sample.car_nk is not None:
        return f"{count_words(sample.car_nk.n_nk)} NK"
    return MISSING


def batch_rows(run: RunResult, entries: Sequence[Entry]) -> list[dict[str, object]]:
    """One row a sample, in the order of need."""
    series = series_of(entries)
    rows = []
    for sample, verdict, anchor in entries:
        row = sample.rows[0]
        points = series.get(_series_key(sample), [])
        rows.append(
            {
                "anchor": anchor,
                "need": verdict.need,
                "mark": status_mark(verdict.need, sample.assay),
                "assay": sample.assay,
                "word": verdict.word,
                "sample_id": sample.sample_id,
                "subject": row.subject_id or MISSING,
                "visit": visit_words(sample),
                "matrix": row.matrix or MISSING,
                "result": result_words(sample),
                "n": _denominator_words(sample),
                "flags": _short_flags(sample),
                "spark": draw_sparkline(points, anchor, _kind(sample)) if points else Markup(""),
            }
        )
    return rows


def _short_flags(sample: SampleResult) -> list[str]:
    if sample.errors:
        return [sample.errors[0].strip().partition("\n")[0]]
    held = [reason for file in sample.files for reason in file.qc.held]
    return list(dict.fromkeys([*held, *(flag_words(f) for f in sample.flags if not _is_assumption(f))]))


def batch_notes(run: RunResult, anchor_of: Mapping[str, str]) -> list[dict[str, object]]:
    """What a reader must know before the table: what failed, is held, was repaired, or was assumed."""
    groups = []
    failed = [
        (s.sample_id, anchor_of[s.sample_id], "; ".join(e.partition("\n")[0] for e in s.errors))
        for s in run.samples
        if s.status == "failed"
    ]
    held = [
        (s.sample_id, anchor_of[s.sample_id], "; ".join(dict.fromkeys(r for f in s.files for r in f.qc.held)))
        for s in run.samples
        if s.status == "held"
    ]
    if failed:
        groups.append(_group("Refused", "failed", failed))
    if held:
        groups.append(_group("Held for a person to look at", "held", held))
    files = [(s, f) for s in run.samples for f in s.files]
    repaired = [x.text for _, f in files for x in f.findings if x.grade == "repaired"]
    if repaired:
        groups.append(_group("Repaired while reading", "other", _counted(repaired)))
    fallbacks = _fallbacks(files)
    if fallbacks:
        groups.append(_group("Gates that the data did not support", "other", fallbacks))
    remarks = [note for _, f in files for note in f.notes]
    if remarks:
        groups.append(_group("Remarks of the gating", "other", _counted(remarks)))
    assumed = Counter(flag_words(f) for s in run.samples for f in s.flags if _is_assumption(f))
    notes = [*run.notes, *(f"{words} ({plural(n, 'sample')})" for words, n in assumed.items())]
    if notes:
        groups.append(_group("Assumed or skipped", "other", [("", "", note) for note in notes]))
    return groups


def _is_assumption(flag: str) -> bool:
    """A flag that holds for the batch rather than for a sample: it is said once, at the top."""
    return "ASSUMED" in flag.partition(":")[0]


def _fallbacks(files: Iterable[tuple[SampleResult, FileResult]]) -> list[tuple[str, str, str]]:
    """One line a cut that found no support in some tubes; each tube's own table gives the reason."""
    tubes: dict[tuple[str, str], int] = {}
    for _, file in files:
        for cut in file.decisions:
            if cut.status in ("fallback", "no_call"):
                how = "no call" if cut.status == "no_call" else f"{_used(cut.method)} used instead"
                tubes[cut.name, how] = tubes.get((cut.name, how), 0) + 1
    return [
        ("", "", f"{name}: no clear division in the data, {how} in {plural(n, 'tube')}")
        for (name, how), n in sorted(tubes.items())
    ]


def _used(method: str) -> str:
    return "that of other samples" if method == "borrowed" else method


def _group(title: str, need: str, items: list[tuple[str, str, str]]) -> dict[str, object]:
    return {
        "title": title,
        "mark": status_mark(need) if need != "other" else "",
        "need": need,
        "items": items[:8],
        "more": items[8:],
    }


def _counted(texts: Iterable[str]) -> list[tuple[str, str, str]]:
    counts = Counter(texts)
    return [("", "", text if n == 1 else f"{text} (in {n} tubes)") for text, n in counts.items()]


# ---- series ----


def _kind(sample: SampleResult) -> str:
    return "clonal" if sample.mrd is not None else "car"


def _series_key(sample: SampleResult) -> tuple[str, ...] | None:
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
        key = _series_key(sample)
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


def series_views(run: RunResult, entries: Sequence[Entry], infusions_d: Sequence[float]) -> list[dict[str, object]]:
    """A plot for every series of at least two visits."""
    views = []
    for (subject, unit, matrix), points in series_of(entries).items():
        if len(points) < 2 or all(p.place is None for p in points):
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
                ),
                "floor": floor,
                "points": [(p.anchor, p.visit, _day(p.day), p.words, number_words(p.floor)) for p in points],
            }
        )
    return views
