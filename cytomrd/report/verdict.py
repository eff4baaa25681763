"""The answer of a sample in words: one sentence, then what stands behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from cytomrd.report.cells import cell_word, clone_phenotype
from cytomrd.report.words import (
    cells_per_ul_words,
    count_words,
    fraction_words,
    join_words,
    percent_words,
    plural,
    power_of_ten,
)
from cytomrd.run.model import SampleResult

__all__ = ["NEEDS", "Verdict", "describe_sample"]

NEEDS = {
    "failed": "Failed",
    "held": "Held",
    "not-evaluable": "Not evaluable",
    "indeterminate": "Indeterminate",
    "positive": "Positive",
    "negative": "Negative",
    "other": "Other",
}
METHODS = {
    "single_platform": "counted against beads (single platform)",
    "volumetric": "counted from the volume that the instrument drew",
    "dual_platform": "from the analyser's white cell count (dual platform)",
}
# Flags that refuse a number of CAR+ NK cells, and what would allow one.
CAR_NK_REMEDIES = {
    "NO_NK": "A tube with NK cells in it (more events, or gates that find them)",
    "NO_CONTROL": "A pre-infusion sample of the subject, or an FMO or isotype control",
    "NO_CAR_CUT": "A control of the subject, or more NK cells",
    "NK_LOST": "A look at the gates before the NK cells",
}


@dataclass(frozen=True)
class Verdict:
    """What a sample says.

    Attributes
    ----------
    need
        Key in :data:`NEEDS`; they are in the order in which samples need a person.
    word
        The status in a word or two, for the table.
    answer
        The status of the result itself (a held sample has an answer too): a key in :data:`NEEDS`.
    sentence
        The verdict, one sentence.
    numbers
        The numbers behind it, sentence by sentence, each with its n.
    """

    need: str
    word: str
    answer: str
    sentence: str
    numbers: tuple[str, ...] = ()


def describe_sample(sample: SampleResult) -> Verdict:
    """The verdict of a sample.

    Parameters
    ----------
    sample
        A finished, held or failed sample.

    Returns
    -------
    Verdict
        Words and place in the order of need.
    """
    if sample.status == "failed":
        return Verdict("failed", "Failed", "failed", "No result: this sample could not be analysed.")
    if sample.mrd is not None:
        verdict = _describe_mrd(sample)
    elif sample.car_nk is not None:
        verdict = _describe_car_nk(sample.car_nk)
    else:
        verdict = _describe_other(sample)
    if sample.status == "held":
        word = f"Held · {verdict.word[:1].lower()}{verdict.word[1:]}"
        return Verdict("held", word, verdict.answer, verdict.sentence, verdict.numbers)
    return verdict


def _describe_mrd(sample: SampleResult) -> Verdict:
    mrd = sample.mrd
    say: Callable[[SampleResult], Verdict] = {
        "POSITIVE": _mrd_positive,
        "POSITIVE_BELOW_LLOQ": _mrd_positive,
        "NEGATIVE": _mrd_negative,
        "NOT_EVALUABLE": _mrd_not_evaluable,
    }[mrd.status]
    verdict = say(sample)
    unsure = mrd.n_indeterminate_pc
    if mrd.status == "NEGATIVE" and mrd.n_clonal_pc + unsure >= mrd.threshold_events:
        sentence = (
            f"Indeterminate: {plural(unsure, cell_word(sample))} could be called neither normal nor clonal; "
            f"without them the sample is MRD negative, with them it would be positive."
        )
        return Verdict("indeterminate", "Indeterminate", "indeterminate", sentence, verdict.numbers)
    return verdict


def _mrd_counts(sample: SampleResult) -> str:
    mrd = sample.mrd
    fraction = fraction_words(mrd.mrd_fraction, mrd.ci_low, mrd.ci_high)
    cells = plural(mrd.n_clonal_pc, f"clonal {cell_word(sample)}")
    return f"{cells} in {count_words(mrd.n_nucleated, 'nucleated cells')}: {fraction}."


def _mrd_limits(sample: SampleResult) -> str:
    mrd = sample.mrd
    if mrd.lod is None or mrd.lloq is None:
        return "Without nucleated cells there is no limit of detection."
    lod, lloq = (fraction_words(limit, digits=2) for limit in (mrd.lod, mrd.lloq))
    text = f"This sample could detect {lod} and quantify {lloq}."
    return text + (f" The limit of blank is {plural(mrd.lob_events, 'event')}." if mrd.lob_events else "")


def _clone_phenotype(sample: SampleResult) -> str:
    """``Kappa-restricted, CD19- CD56+ CD45-.`` of the clonal cells."""
    parts = [f"{sample.mrd.light_chain}-restricted"] if sample.mrd.light_chain in ("kappa", "lambda") else []
    phenotype = clone_phenotype(sample)
    if phenotype:
        parts.append(phenotype)
    return _sentence(", ".join(parts))


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _mrd_positive(sample: SampleResult) -> Verdict:
    mrd = sample.mrd
    below_lloq = mrd.status == "POSITIVE_BELOW_LLOQ"
    sentence = "MRD positive, below the limit of quantification." if below_lloq else "MRD positive."
    numbers = [_mrd_counts(sample), _mrd_limits(sample), _clone_phenotype(sample)]
    if mrd.below_1e_5:
        numbers.append(
            f"Detected, yet below {power_of_ten(-5)}: positive where absence is asked (IMWG), "
            f"negative where the endpoint is a threshold of {power_of_ten(-5)}."
        )
    if mrd.decided_by:
        numbers.append(_sentence(mrd.decided_by))
    word = "Positive, below LLOQ" if below_lloq else "Positive"
    return Verdict("positive", word, "positive", sentence, tuple(n for n in numbers if n))


def _mrd_negative(sample: SampleResult) -> Verdict:
    mrd = sample.mrd
    sentence = (
        f"MRD negative: fewer than {mrd.threshold_events} clonal {cell_word(sample)}s in "
        f"{count_words(mrd.n_nucleated, 'nucleated cells')}, below {fraction_words(mrd.lod, digits=2)}."
    )
    return Verdict("negative", "Negative", "negative", sentence, (_mrd_counts(sample), _mrd_limits(sample)))


def _mrd_not_evaluable(sample: SampleResult) -> Verdict:
    mrd = sample.mrd
    needed = mrd.events_needed
    reasons, remedies = [], []
    if needed:
        reasons.append(
            f"{count_words(mrd.n_nucleated, 'nucleated cells')} cannot prove an absence at {power_of_ten(-5)}"
        )
        remedies.append(f"{count_words(needed)} more nucleated cells")
    if mrd.hemodilution == "hemodiluted":
        reasons.append("the aspirate is diluted with blood")
        remedies.append("a first pull of the aspirate")
    if any(f.qc.doubts for f in sample.files):
        reasons.append("the nucleated cells cannot be counted reliably")
    sentence = f"MRD not evaluable: {join_words(reasons)}." if reasons else "MRD not evaluable."
    numbers = [_mrd_counts(sample), _mrd_limits(sample)]
    if remedies:
        numbers.insert(0, _sentence(f"{join_words(remedies)} would make it evaluable."))
    return Verdict("not-evaluable", "Not evaluable", "not-evaluable", sentence, tuple(numbers))


def _describe_car_nk(result) -> Verdict:
    say = {
        "QUANTIFIED": ("positive", "Quantified"),
        "BELOW_LLOQ": ("positive", "Detected, below LLOQ"),
        "BELOW_LOD": ("negative", "Not detected"),
        "NOT_EVALUABLE": ("not-evaluable", "Not evaluable"),
    }
    need, word = say[result.status]
    lloq = f"< {cells_per_ul_words(result.lloq_cells_per_ul)}" if result.lloq_cells_per_ul else ""
    if result.status == "QUANTIFIED":
        amount = cells_per_ul_words(result.cells_per_ul, result.cells_per_ul_low, result.cells_per_ul_high)
        if result.cells_per_ul is None:
            amount = f"{percent_words(result.net_fraction, result.ci_low, result.ci_high)} of NK cells"
        sentence = f"CAR+ NK cells: {amount}."
    elif result.status == "BELOW_LLOQ":
        sentence = f"CAR+ NK cells detected, below the limit of quantification{': ' + lloq if lloq else ''}."
    elif result.status == "BELOW_LOD":
        sentence = f"CAR+ NK cells not detected{': ' + lloq if lloq else ''}."
    else:
        sentence, remedies = _car_nk_refusal(result)
        return Verdict(need, word, need, sentence, (*remedies, *_car_nk_numbers(result)))
    return Verdict(need, word, need, sentence, tuple(_car_nk_numbers(result)))


def _car_nk_refusal(result) -> tuple[str, tuple[str, ...]]:
    """Why CAR+ NK cells cannot be said, and what would make them so."""
    codes = {code: words.strip() for code, _, words in (flag.partition(":") for flag in result.flags)}
    known = [code for code in CAR_NK_REMEDIES if code in codes]
    reasons = join_words(codes[code] for code in known)
    remedies = tuple(f"{CAR_NK_REMEDIES[code]} would make it evaluable." for code in known)
    return (f"CAR+ NK cells not evaluable: {reasons}." if reasons else "CAR+ NK cells not evaluable."), remedies


def _car_nk_numbers(result):
    yield (
        f"{plural(result.n_car_nk, 'CAR+ cell')} among {plural(result.n_nk, 'NK cell')} "
        f"({count_words(result.n_leukocytes, 'CD45+ leukocytes')}): gross {percent_words(result.gross_fraction)}."
    )
    if result.background_fraction is not None:
        net = percent_words(result.net_fraction, result.ci_low, result.ci_high)
        source = f", from the {result.background_source}" if result.background_source else ""
        yield f"Net {net} of NK cells; background {percent_words(result.background_fraction)}{source}."
    if result.lloq_cells_per_ul is not None:
        yield f"This sample could quantify {cells_per_ul_words(result.lloq_cells_per_ul)}."
    if result.method in METHODS:
        yield f"Cells per microlitre {METHODS[result.method]}."
    elif result.cells_per_ul is None:
        yield "No absolute count: the samplesheet gives neither beads, volume nor a white cell count."
    if result.n_car_t:
        yield f"CAR+ T cells: {count_words(result.n_car_t)}."


def _describe_other(sample: SampleResult) -> Verdict:
    roles = Counter(row.role for row in sample.rows)
    role = roles.most_common(1)[0][0] if roles else "sample"
    if role == "sample":
        return Verdict("other", "Gated", "other", "Gated; this panel asks for no MRD and no CAR+ NK result.")
    words = {
        "pre_infusion": "pre-infusion control",
        "fmo": "FMO control",
        "isotype": "isotype control",
        "negative": "negative (blank)",
    }
    return Verdict("other", "Control", "other", f"Control: {words.get(role, role.replace('_', ' '))}.")
