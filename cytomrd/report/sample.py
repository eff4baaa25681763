"""One sample as the page shows it: who, the verdict, the numbers, and the plots that let a reader check it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from markupsafe import Markup

from cytomrd.report.car_plots import car_views
from cytomrd.report.cells import cell_word
from cytomrd.report.light_chains import chain_counts
from cytomrd.report.marks import status_mark
from cytomrd.report.marrow import marrow_view
from cytomrd.report.path import gating_path
from cytomrd.report.plasma import plasma_view
from cytomrd.report.quality import quality_views
from cytomrd.report.sample_words import flag_words, visit_words
from cytomrd.report.standing import Standing, draw_standing
from cytomrd.report.tables import decision_table, population_table
from cytomrd.report.verdict import NEEDS, Verdict
from cytomrd.report.words import (
    MISSING,
    count_words,
    fraction_words,
    join_words,
    number_words,
    percent_words,
    plural,
)
from cytomrd.run.model import FileResult, RunResult, SampleResult

__all__ = ["sample_view"]

HEMODILUTION = {
    "not_suspected": "not suspected",
    "possible": "possible",
    "hemodiluted": "diluted with blood",
    "not_assessed": "not assessed",
}


def sample_view(run: RunResult, sample: SampleResult, verdict: Verdict, anchor: str) -> dict[str, object]:
    """Everything that the template writes of one sample, in words and drawings."""
    held = [reason for file in sample.files for reason in file.qc.held]
    return {
        "anchor": anchor,
        "id": sample.sample_id,
        "need": verdict.need,
        "answer": verdict.answer,
        "mark": status_mark(verdict.need, sample.assay),
        "assay": sample.assay,
        "status": NEEDS[verdict.need] if verdict.need in ("failed", "held") else verdict.word,
        "sentence": verdict.sentence,
        "numbers": verdict.numbers,
        "standing": _standing(sample),
        "facts": list(_facts(sample)),
        "errors": [error.strip().split("\n") for error in sample.errors],
        "held": list(dict.fromkeys(held)),
        "flags": list(dict.fromkeys(flag_words(f) for f in sample.flags)),
        "figures": list(_figures(sample)),
        "tubes": [_tube_view(sample, file) for file in sample.files],
        "plasma": plasma_view(run, sample) if sample.mrd is not None else None,
        "marrow": marrow_view(sample),
        "car": car_views(run, sample) if sample.assay == "car_nk" else [],
    }


def _standing(sample: SampleResult) -> Markup:
    """The result against what this sample could detect and quantify; nothing where it could not be evaluated."""
    mrd, car = sample.mrd, sample.car_nk
    if mrd is not None and mrd.status != "NOT_EVALUABLE":
        wide = sample.interval_with_gates or (None, None)
        standing = Standing(
            mrd.mrd_fraction, mrd.ci_low, mrd.ci_high, mrd.status != "NEGATIVE", mrd.lod, mrd.lloq, *wide
        )
        return draw_standing(standing, kind="clonal", label="Clonal of nucleated cells", title="MRD and its limits")
    if car is None or car.status == "NOT_EVALUABLE":
        return Markup("")
    detected = car.status != "BELOW_LOD"
    if car.cells_per_ul is not None:
        values = (car.cells_per_ul, car.cells_per_ul_low, car.cells_per_ul_high)
        limit, label = car.lloq_cells_per_ul, "CAR+ NK cells per µL"
    else:
        values = (car.net_fraction, car.ci_low, car.ci_high)
        limit, label = car.lloq_fraction, "CAR+ fraction of NK cells"
    standing = Standing(*values, detected, quantifies=limit)
    return draw_standing(standing, kind="car", label=label, title="CAR+ NK cells and their limit")


def _facts(sample: SampleResult) -> Iterator[tuple[str, str]]:
    """Who and when, label by label; what is not known is left out."""
    row = sample.rows[0]
    yield "Subject", row.subject_id or MISSING
    yield "Visit", visit_words(sample)
    if row.matrix:
        yield "Matrix", {"BM": "bone marrow", "PB": "peripheral blood"}.get(row.matrix, row.matrix)
    if row.role not in ("", "sample"):
        yield "Role", row.role.replace("_", " ")
    if row.collected_at is not None:
        yield "Collected", row.collected_at.isoformat(sep=" ", timespec="minutes")
    if row.acquired_at is not None:
        yield "Acquired", row.acquired_at.isoformat(sep=" ", timespec="minutes")
    if row.pull is not None:
        yield "Pull", {1: "first", 2: "second", 3: "third"}.get(row.pull, str(row.pull))
    if row.prior_therapy:
        yield "Prior therapy", join_words(row.prior_therapy)
    if sample.files:
        first = sample.files[0]
        yield "Panel", f"{first.panel_id} {first.panel_version}"
        yield "Tubes", join_words(f.tube for f in sample.files)
    yield "Review", "not yet reviewed or signed"


def _figures(sample: SampleResult) -> Iterator[tuple[str, str, str]]:
    """Key figures: label, value, and the n or the reason beside it."""
    if sample.mrd is not None:
        yield from _mrd_figures(sample)
    if sample.car_nk is not None:
        yield from _car_figures(sample)
    events = sum(f.qc.n_events for f in sample.files)
    if events:
        removed = sum(f.qc.n_removed_by_time for f in sample.files)
        share = percent_words(removed / events) if removed else "none"
        yield "Events acquired", count_words(events), f"{share} left out by time QC"


def _mrd_figures(sample: SampleResult) -> Iterator[tuple[str, str, str]]:
    mrd = sample.mrd
    n, pc = mrd.n_nucleated, mrd.n_plasma_cells
    yield "Nucleated cells (N)", count_words(n), _by_tube(mrd.by_tube)
    cell = cell_word(sample)
    yield (
        f"{cell[0].upper()}{cell[1:]}s",
        percent_words(pc / n) if n else MISSING,
        f"of nucleated; {plural(pc, 'cell')}",
    )
    for name, count in (("Clonal", mrd.n_clonal_pc), ("Normal", mrd.n_normal_pc)):
        within = f"{percent_words(count / pc)} of {cell}s; " if pc else ""
        yield (
            f"{name} {cell}s",
            f"{count:,}",
            f"{within}{fraction_words(count / n) if n else MISSING} of nucleated",
        )
    if mrd.n_indeterminate_pc:
        yield "Indeterminate", f"{mrd.n_indeterminate_pc:,}", f"{cell}s called neither normal nor clonal"
    if mrd.kappa_lambda_ratio is not None:
        chain = f"{mrd.light_chain}-restricted" if mrd.n_clonal_pc and mrd.light_chain else f"of all {cell}s"
        yield "Kappa : lambda", number_words(mrd.kappa_lambda_ratio), f"{chain}; {chain_counts(sample)}".rstrip("; ")
    yield "Limit of blank", plural(mrd.lob_events, "event"), _blank_words(sample)
    if sample.track is not None:
        clonal = sum(t.n_clonal_alike for t in sample.track.tubes)
        expected = sum(t.n_expected for t in sample.track.tubes)
        yield (
            f"Like the clone at {sample.track.visit}",
            plural(sample.track.n_alike, cell),
            f"{clonal:,} of them called clonal; of the others {number_words(expected, 2)} expected by chance",
        )
    if mrd.below_1e_5 is not None:
        yield "Threshold 10⁻⁵", "below" if mrd.below_1e_5 else "at or above", "the point estimate"
    if sample.interval_with_gates is not None:
        shown = fraction_words(mrd.mrd_fraction, *sample.interval_with_gates)
        yield "MRD by the whole analysis", shown, _gates_words(sample)
    if sample.mrd_fraction_without_qc is not None:
        yield "MRD without time QC", fraction_words(sample.mrd_fraction_without_qc), _difference(sample)
    verdict = str(mrd.hemodilution or "not_assessed")
    yield "Hemodilution", HEMODILUTION.get(verdict, verdict.replace("_", " ")), "marrow-only cells against their range"


def _gates_words(sample: SampleResult) -> str:
    error = sample.gate_error
    upper = ["all indeterminate cells"] if sample.mrd.n_indeterminate_pc else []
    if sample.mrd.n_clonal_pc < sample.mrd.threshold_events:
        upper.append(f"the {sample.mrd.threshold_events - 1} events that may be missed below the threshold")
    unsure = f", up to {' or '.join(upper)}" if upper else ""
    return (
        "counting, cuts, compensation, cells that may be the clone's or not, and cells that gates lose"
        f"{unsure}; {error.fewest:,} to {error.most:,} clonal cells in {error.n_draws} draws of the gates within "
        "their evidence"
    )


def _blank_words(sample: SampleResult) -> str:
    parts = [f"positive from {sample.mrd.threshold_events} clonal cells"]
    if sample.lob is not None:
        if sample.lob.high_events is not None:
            parts.append(f"at most {sample.lob.high_events} with 95% confidence")
        parts.append(f"source: {sample.lob.source}")
    return "; ".join(parts)


def _difference(sample: SampleResult) -> str:
    with_qc, without = sample.mrd.mrd_fraction, sample.mrd_fraction_without_qc
    if with_qc is None or with_qc == without:
        return "no difference"
    return f"{fraction_words(abs(without - with_qc))} {'more' if without > with_qc else 'less'} than with it"


def _by_tube(counts: Mapping[str, tuple[int, int, int]]) -> str:
    """Nucleated and clonal cells of each tube, where there are several."""
    if len(counts) < 2:
        return ""
    return "; ".join(f"tube {tube}: {count_words(n)}, {clonal:,} clonal" for tube, (n, _, clonal) in counts.items())


def _car_figures(sample: SampleResult) -> Iterator[tuple[str, str, str]]:
    car = sample.car_nk
    yield "Leukocytes", count_words(car.n_leukocytes), "CD45+ events"
    share = f"{percent_words(car.n_nk / car.n_leukocytes)} of leukocytes" if car.n_leukocytes else ""
    yield "NK cells", count_words(car.n_nk), share
    yield "CAR+ NK, gross", f"{car.n_car_nk:,}", f"{percent_words(car.gross_fraction)} of NK"
    yield "Background", percent_words(car.background_fraction), car.background_source
    net = percent_words(car.net_fraction, car.ci_low, car.ci_high)
    yield "CAR+ NK, net", net, f"{number_words(car.net_events)} cells" if car.net_events is not None else ""
    if car.lloq_fraction is not None:
        yield "LLOQ", percent_words(car.lloq_fraction), f"of NK; {plural(car.lloq_events, 'net event')}"
    if car.median_car is not None:
        also = f"CD16 {number_words(car.median_cd16)}" if car.median_cd16 is not None else ""
        yield "Median CAR of CAR+ NK", number_words(car.median_car), also
    if car.n_car_t is not None:
        yield "CAR+ T cells", f"{car.n_car_t:,}", "a safety read-out"


def _tube_view(sample: SampleResult, file: FileResult) -> dict[str, object]:
    spec = next((t for t in sample.panel.tubes if t.id == file.tube), None) if sample.panel is not None else None
    path, beside = gating_path(sample, file)
    return {
        "title": f"Tube {file.tube}" + (f", {spec.title}" if spec is not None and spec.title else ""),
        "file": file.row.file,
        "sha256": file.sha256,
        "path": path,
        "beside": beside,
        "quality": quality_views(file),
        "decisions": decision_table(file),
        "populations": population_table(file),
        "notes": list(dict.fromkeys((*file.notes, *file.matches))),
        "findings": [f"{f.grade}: {f.text}" for f in file.findings],
        "held": list(file.qc.held),
    }
