"""The batch page: samples by need, and what was refused or assumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from textwrap import shorten

from markupsafe import Markup

from cytomrd.report.marks import status_mark
from cytomrd.report.sample_words import flag_words, result_words, visit_words
from cytomrd.report.series import draw_sparkline
from cytomrd.report.visits import Entry, kind_of, series_key, series_of
from cytomrd.report.words import (
    MISSING,
    count_words,
    plural,
)
from cytomrd.run.model import FileResult, RunResult, SampleResult

__all__ = ["batch_notes", "batch_rows"]

# A flag in the table is a reminder; the sample says all of it.
MAX_FLAG = 110


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
        points = series.get(series_key(sample), [])
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
                "spark": draw_sparkline(points, anchor, kind_of(sample)) if points else Markup(""),
            }
        )
    return rows


def _short_flags(sample: SampleResult) -> list[str]:
    if sample.errors:
        return [sample.errors[0].strip().partition("\n")[0]]
    held = [reason for file in sample.files for reason in file.qc.held]
    flags = [*held, *(flag_words(f) for f in sample.flags if not _is_assumption(f))]
    return [shorten(flag, MAX_FLAG, placeholder=" …") for flag in dict.fromkeys(flags)]


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
    repaired = [(s, x.text) for s, f in files for x in f.findings if x.grade == "repaired"]
    if repaired:
        groups.append(_group("Repaired while reading", "other", _counted(repaired, anchor_of)))
    fallbacks = _fallbacks(files)
    if fallbacks:
        groups.append(_group("Gates that the data did not support", "other", fallbacks))
    remarks = [(s, note) for s, f in files for note in f.notes]
    if remarks:
        groups.append(_group("Remarks of the gating", "other", _counted(remarks, anchor_of)))
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


def _counted(said: Iterable[tuple[SampleResult, str]], anchor_of: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Each text once: with its sample where one alone has it, else with the number of tubes."""
    samples: dict[str, list[str]] = {}
    for sample, text in said:
        samples.setdefault(text, []).append(sample.sample_id)
    items = []
    for text, ids in samples.items():
        one = ids[0] if len(set(ids)) == 1 else ""
        count = f" (in {len(ids)} tubes)" if len(ids) > 1 else ""
        items.append((one, anchor_of[one] if one else "", text + count))
    return items
