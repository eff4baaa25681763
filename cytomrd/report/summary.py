"""A run in a few lines for the terminal: one line a sample, the one that needs a person first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import shorten

from cytomrd.report.sample_words import result_words
from cytomrd.report.verdict import NEEDS, Verdict
from cytomrd.run.model import RunResult, SampleResult

__all__ = ["summary_lines"]

TITLES = {"mrd": "Marrow MRD", "car_nk": "CAR+ NK cells", "phenotype": "Phenotype"}


def summary_lines(run: RunResult, verdicts: Sequence[Verdict]) -> Iterator[str]:
    """Lines for the terminal: by assay, each sample's status and number."""
    for assay, title in TITLES.items():
        of_assay = [(s, v) for s, v in zip(run.samples, verdicts, strict=True) if s.assay == assay]
        if not of_assay:
            continue
        yield from ("", title)
        needs = list(NEEDS)
        if assay == "mrd":
            of_assay.sort(key=lambda pair: needs.index(pair[1].need))
        width = max(len(s.sample_id) for s, _ in of_assay)
        words = max(len(v.word) for _, v in of_assay)
        for sample, verdict in of_assay:
            yield f"  {sample.sample_id:<{width}}  {verdict.word:<{words}}  {_number(sample)}"
    for note in run.notes:
        yield f"note: {note}"


def _number(sample: SampleResult) -> str:
    if sample.status == "failed":
        reason = "; ".join(error.splitlines()[0] for error in sample.errors)
        return shorten(reason, 160, placeholder=" ... (all of it in the report)")
    return result_words(sample)
