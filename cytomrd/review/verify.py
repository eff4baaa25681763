"""Verifying what people did to a run: the trail, every reviewed version, every signature."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cytomrd.review.run import TRAIL_NAME, open_review, review_folder
from cytomrd.review.versions import Versions
from cytomrd.run.results import safe_name

__all__ = ["ReviewVerification", "verify_review"]


@dataclass(frozen=True)
class ReviewVerification:
    """How much was looked at, the head of the trail, and everything that does not agree, in words."""

    n_entries: int
    n_signatures: int
    head: str
    problems: tuple[str, ...]


def verify_review(folder: Path, results: Path) -> ReviewVerification | None:
    """Look at the review of some results; None where nobody reviewed them.

    Raises
    ------
    RunError
        If there is no finished run.
    """
    review = review_folder(results)
    if not (review / TRAIL_NAME).exists() and not (review / "samples").exists():
        return None
    run = open_review(folder, results)
    entries = run.trail.entries()
    n_signatures = sum(e.action == "sign" for e in entries)
    problems = tuple(_problems(run))
    return ReviewVerification(len(entries), n_signatures, run.trail.head()[1], problems)


def _problems(run) -> Iterator[str]:
    yield from (f"trail: {problem}" for problem in run.problems())
    entries = run.trail.entries()
    known = dict.fromkeys([*run.samples, *(e.sample_id for e in entries)])
    for sample_id in known:
        own = [e for e in entries if e.sample_id == sample_id]
        versions = Versions.of(run.review, sample_id)
        versions.settle(own)
        yield from (f"review of {sample_id}: {problem}" for problem in versions.problems(own))
        if sample_id not in run.samples:
            yield f"review of {sample_id}: is no sample of the run any more"
            continue
        version = max((e.version for e in own), default=0)
        for state in run.signatures(sample_id):
            # One that a later change made void is in order: it says so where the result is shown.
            if not state.valid and state.version == version:
                yield f"review of {sample_id}: {state.meaning} by {state.who} at {state.at}: not valid: {state.reason}"
    there = {p.name for p in (run.review / "samples").glob("*")}
    for name in sorted(there - {safe_name(s) for s in known}):
        yield f"review: samples/{name} is of no sample that the trail or the run knows"
