"""A run in a few lines for the terminal: one line a sample, the one that needs a person first."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import shorten

from cytomrd.report.batch import result_words
from cytomrd.report.verdict import NEEDS, describe_sample
from cytomrd.run.model import RunResult, SampleResult

__all__ = ["summary_lines"]

TITLES = {"mrd": "Marrow MRD", "car_nk": "CAR+ NK cells", "phenotype": "Phenotype"}


def summary_lines(run: RunResult) -> Iterator[str]:
    """Lines for the terminal: by assay, each sample's status and number."""
    for assay, title in TITLES.items():
        samples = [s for s in run.samples if s.assay == assay]
        if not samples:
            continue
        yield from ("", title)
        verdicts = [(s, describe_sample(s)) for s in samples]
        needs = list(NEEDS)
        if assay == "mrd":
            verdicts.sort(key=lambda pair: needs.index(pair[1].need))
        width = max(len(s.sample_id) for s in samples)
        words = max(len(v.word) for _, v in verdicts)
        for sample, verdict in verdicts:
            yield f"  {sample.sample_id:<{width}}  {verdict.word:<{words}}  {_number(sample)}"
    for note in run.notes:
        yield f"note: {note}"


def _number(sample: SampleResult) -> str:
    if sample.status == "failed":
        reason = "; ".join(error.splitlines()[0] for error in sample.errors)
        return shorten(reason, 160, placeholder=" ... (all of it in the report)")
    return result_words(sample)
