"""What a sample is called in a line: its visit, its result, its flags."""

from __future__ import annotations

from cytomrd.report.words import MISSING, cells_per_ul_words, fraction_words, percent_words
from cytomrd.run.model import SampleResult

__all__ = ["day_words", "flag_words", "result_words", "visit_words"]


def flag_words(flag: str) -> str:
    """The words of a flag written ``CODE: words``; a bare code is spelt out.

    Examples
    --------
    >>> from cytomrd.report.sample_words import flag_words
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
        parts.append(f"day\u00a0{day_words(row.day)}")
    return ", ".join(parts) or MISSING


def day_words(day: float) -> str:
    """A day with a proper minus sign."""
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
