"""The columns of every result table, declared once: name, type, unit, meaning.

Other programs read these tables. Columns are added; none is renamed or removed.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CAR_NK",
    "CLUSTERS",
    "LADDERS",
    "LADDER_LEVELS",
    "LADDER_TARGETS",
    "MIXTURES",
    "MRD",
    "POPULATIONS",
    "QC",
    "SPILLOVER_PAIRS",
    "Column",
    "format_cell",
    "table_to_csv",
]

Kind = Literal["text", "integer", "number", "boolean"]

# What the columns named ``..._with_gates`` stand for.
WHOLE_ANALYSIS = "the whole analysis: counting, moved gates and compensation, cells unsure, cells that gates lose"
UPPER_END = "with the indeterminate cells, and with what may be missed below the threshold"


@dataclass(frozen=True)
class Column:
    """One column of a result table."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""


_WHO = (
    Column("sample_id", "text", "specimen, as in the samplesheet"),
    Column("subject_id", "text", "subject, as in the samplesheet"),
    Column("visit", "text", "visit, as in the samplesheet"),
    Column("day", "number", "day of the visit; 0 is the first infusion", "d"),
    Column("collected_at", "text", "time of collection, ISO 8601"),
)

MRD = (
    *_WHO,
    Column("n_nucleated", "integer", "nucleated cells over all tubes: the denominator N", "events"),
    Column("n_plasma_cells", "integer", "plasma cells over all tubes", "events"),
    Column("n_normal_pc", "integer", "plasma cells called normal", "events"),
    Column("n_clonal_pc", "integer", "plasma cells called clonal", "events"),
    Column("mrd_fraction", "number", "n_clonal_pc / n_nucleated"),
    Column("ci_low", "number", "lower end of the 95 % Clopper-Pearson interval"),
    Column("ci_high", "number", "upper end of the 95 % Clopper-Pearson interval"),
    Column("mrd_low_with_gates", "number", f"lower end of the 95 % interval of {WHOLE_ANALYSIS}"),
    Column("mrd_high_with_gates", "number", f"upper end of the same; {UPPER_END}"),
    Column("mrd_sd_gates", "number", "SD of MRD when gates and compensation move within their evidence"),
    Column("lod", "number", "limit of detection that this sample reached"),
    Column("lloq", "number", "lower limit of quantification that this sample reached"),
    Column("lob_events", "integer", "limit of blank used", "events"),
    Column("lob_high_events", "integer", "upper 95 % limit of lob_events; empty where it was given", "events"),
    Column("lob_donors", "integer", "negative donors behind lob_events; empty where it was given"),
    Column("lob_source", "text", "where lob_events comes from"),
    Column("status", "text", "POSITIVE, POSITIVE_BELOW_LLOQ, NEGATIVE or NOT_EVALUABLE"),
    Column("below_1e_5", "boolean", "n_clonal_pc / n_nucleated < 1e-5 with N adequate; empty when N is not"),
    Column("light_chain", "text", "kappa or lambda where the clone is restricted"),
    Column("kappa_lambda_ratio", "number", "kappa to lambda within the clone"),
    Column("n_removed_by_qc", "integer", "events that time QC left out", "events"),
    Column("mrd_fraction_without_qc", "number", "MRD had time QC left nothing out"),
    Column("hemodilution", "text", "verdict on admixture of blood"),
    Column("tracked_from", "text", "sample_id of the earlier visit whose clone was looked for; empty without one"),
    Column("n_alike_earlier", "integer", "plasma cells that look like that clone, called or not", "events"),
    Column("flags", "text", "what a reader must know, separated by ;"),
    Column("panel", "text", "panel id"),
    Column("panel_version", "text", "panel version"),
    Column("tubes", "text", "tubes counted, separated by ;"),
)

CAR_NK = (
    *_WHO,
    Column("matrix", "text", "PB or BM"),
    Column("n_leukocytes", "integer", "CD45+ leukocytes", "events"),
    Column("n_nk", "integer", "NK cells", "events"),
    Column("n_car_nk", "integer", "NK cells above the CAR threshold", "events"),
    Column("gross_fraction", "number", "n_car_nk / n_nk"),
    Column("background_fraction", "number", "fraction of CAR-negative NK cells above the threshold"),
    Column("background_source", "text", "the control that set the threshold and showed the background"),
    Column("net_fraction", "number", "CAR+ fraction of NK cells, background taken off"),
    Column("ci_low", "number", "lower end of the 95 % interval of net_fraction"),
    Column("ci_high", "number", "upper end of the 95 % interval of net_fraction"),
    Column("cells_per_ul", "number", "CAR+ NK cells", "1/uL"),
    Column("cells_per_ul_low", "number", "lower end of its 95 % interval", "1/uL"),
    Column("cells_per_ul_high", "number", "upper end of its 95 % interval", "1/uL"),
    Column("method", "text", "single_platform, volumetric, dual_platform or none"),
    Column("lloq_cells_per_ul", "number", "lower limit of quantification of this sample", "1/uL"),
    Column("status", "text", "QUANTIFIED, BELOW_LLOQ, BELOW_LOD or NOT_EVALUABLE"),
    Column("n_car_t", "integer", "T cells above the CAR threshold", "events"),
    Column("flags", "text", "what a reader must know, separated by ;"),
    Column("lloq_fraction", "number", "lower limit of quantification of this sample, as a fraction of NK cells"),
    Column("median_car", "number", "median CAR of NK cells above the CAR threshold, compensated, linear scale"),
    Column("median_cd16", "number", "median CD16 of NK cells above the CAR threshold, compensated, linear scale"),
)

POPULATIONS = (
    Column("sample_id", "text", "specimen"),
    Column("tube", "text", "tube within the panel"),
    Column("file", "text", "file, relative to the run folder"),
    Column("population", "text", "population, as the panel names it"),
    Column("gate_path", "text", "path from the root, separated by /"),
    Column("n_events", "integer", "events in the population", "events"),
    Column("n_parent", "integer", "events in its parent", "events"),
    Column("fraction_of_parent", "number", "n_events / n_parent"),
    Column("fraction_of_nucleated", "number", "n_events / nucleated cells; empty where the panel has none"),
    Column("n_removed_by_time_qc", "integer", "events that would be in the population without time QC", "events"),
)

QC = (
    Column("sample_id", "text", "specimen"),
    Column("tube", "text", "tube within the panel"),
    Column("file", "text", "file, relative to the run folder"),
    Column("role", "text", "role in the samplesheet"),
    Column("status", "text", "ok, held or failed"),
    Column("n_events", "integer", "events in the file", "events"),
    Column("n_non_finite", "integer", "events with a value that is not a finite number", "events"),
    Column("n_upper_margin", "integer", "events at the top of a scatter channel (kept)", "events"),
    Column("n_removed_by_time_qc", "integer", "events that time QC left out", "events"),
    Column("n_doublets", "integer", "events off the singlet ridge", "events"),
    Column("drift", "number", "largest move of a channel's median over the acquisition, on its scale 0-1"),
    Column("spillover_condition", "number", "condition number of the spillover matrix"),
    Column("findings", "text", "what the reader found in the file, separated by ;"),
    Column("reason", "text", "why the file is held or failed"),
)

CLUSTERS = (
    Column("sample_id", "text", "specimen"),
    Column("tube", "text", "tube within the panel"),
    Column("file", "text", "file, relative to the run folder"),
    Column("population", "text", "population whose events were clustered"),
    Column("metacluster", "integer", "metacluster, 0 the largest of the tube; -1 for events that cannot be placed"),
    Column("cluster", "integer", "node of the map, row by row from 0; -1 for events that cannot be placed"),
    Column("n_events", "integer", "events in the cluster", "events"),
    Column("fraction", "number", "n_events / events clustered in this tube"),
)


SPILLOVER_PAIRS = (
    Column("file", "text", "single stain"),
    Column("stain", "text", "what stains it, as in the samplesheet or recognised"),
    Column("detector", "text", "the stain's own detector: row of the matrix"),
    Column("spill_detector", "text", "detector that also sees it: column of the matrix"),
    Column("coefficient", "number", "signal in spill_detector as a fraction of that in detector"),
    Column("ci_low", "number", "lower end of the 95 % interval of the coefficient"),
    Column("ci_high", "number", "upper end of the 95 % interval of the coefficient"),
    Column("autofluorescence", "number", "how far other autofluorescence of the stained cells may shift it"),
    Column("method", "text", "regression or medians"),
    Column("other_method", "number", "the coefficient by the method that was not chosen; empty where impossible"),
    Column("negatives", "text", "unstained tube or negative fraction"),
    Column("n_positive", "integer", "positives found", "events"),
    Column("n_used", "integer", "positives that lie on the line in every detector", "events"),
    Column("n_negative", "integer", "negatives that they are compared with", "events"),
    Column("residual", "number", "left after compensation, per compensated signal: median of the positives"),
    Column("residual_bright", "number", "the same of their brightest quarter; below 0 is over-compensated"),
)

_LADDER = (
    Column("group", "text", "law of simulation, or own files"),
    Column("n_wanted", "integer", "nucleated cells of each mixture, as asked for", "events"),
)

MIXTURES = (
    *_LADDER,
    Column("level", "number", "clonal cells put in, as a fraction of nucleated cells"),
    Column("seed", "integer", "number within its level"),
    Column("blank", "text", "whose marrow"),
    Column("clone", "text", "whose clonal cells, or which simulated clone"),
    Column("n_true", "integer", "clonal events in the files", "events"),
    Column("n_nucleated", "integer", "nucleated cells as gated", "events"),
    Column("n_plasma_cells", "integer", "plasma cells as gated", "events"),
    Column("n_clonal", "integer", "events called clonal", "events"),
    Column("n_right", "integer", "of these, truly clonal", "events"),
    Column("n_indeterminate", "integer", "events called indeterminate", "events"),
    Column("fraction", "number", "n_clonal / n_nucleated"),
    Column("low", "number", "lower end of its 95 % Clopper-Pearson interval"),
    Column("high", "number", "upper end of its 95 % Clopper-Pearson interval"),
    Column("low_with_gates", "number", f"lower end of the 95 % interval of {WHOLE_ANALYSIS}"),
    Column("high_with_gates", "number", f"upper end of the same; {UPPER_END}"),
    Column("error", "text", "why there is no result"),
)

LADDER_LEVELS = (
    *_LADDER,
    Column("level", "number", "clonal cells put in, as a fraction of nucleated cells"),
    Column("n_runs", "integer", "mixtures"),
    Column("n_failed", "integer", "mixtures without a result, counted as misses"),
    Column("n_hits", "integer", "mixtures called positive"),
    Column("n_suspected", "integer", "of the others, those that would be positive with their indeterminate events"),
    Column("hit_rate", "number", "n_hits / n_runs"),
    Column("hit_low", "number", "lower end of its exact 95 % interval"),
    Column("hit_high", "number", "upper end of its exact 95 % interval"),
    Column("hit_rate_counting", "number", "hit rate that counting alone allows"),
    Column("mean_clonal", "number", "mean of the events called clonal", "events"),
    Column("recovery", "number", "mean MRD / level"),
    Column("recovery_low", "number", "lower end of its 95 % interval"),
    Column("recovery_high", "number", "upper end of its 95 % interval"),
    Column("found", "number", "truly clonal events that were called clonal, of all that there were"),
    Column("wrong", "number", "events called clonal that are none, a mixture", "events"),
    Column("cv", "number", "coefficient of variation of MRD"),
    Column("cv_counting", "number", "coefficient of variation that counting alone gives"),
    Column("coverage", "number", "mixtures whose Clopper-Pearson interval holds the level"),
    Column("coverage_low", "number", "lower end of its exact 95 % interval"),
    Column("coverage_high", "number", "upper end of its exact 95 % interval"),
    Column("coverage_with_gates", "number", "the same of the 95 % interval of the whole analysis"),
    Column("width_with_gates", "number", "width of that interval over the exact one's, mean"),
)

LADDERS = (
    *_LADDER,
    Column("threshold", "integer", "events from which a mixture is positive", "events"),
    Column("n_blanks", "integer", "mixtures of level 0"),
    Column("n_blanks_positive", "integer", "of these, with as many events as the panel needs to detect"),
    Column("lob_events", "integer", "limit of blank", "events"),
    Column("lob_high_events", "integer", "upper 95 % limit of lob_events", "events"),
    Column("lod_events", "number", "EP17 limit of detection", "events"),
    Column("false_per_million", "number", "events called clonal in blanks, in a million nucleated cells"),
    Column("false_low", "number", "lower end of its exact 95 % interval"),
    Column("false_high", "number", "upper end of its exact 95 % interval"),
    Column("lod", "number", "lowest level found in at least 95 % of mixtures, as are all above it"),
    Column("slope", "number", "log10 MRD against log10 level"),
    Column("slope_low", "number", "lower end of its 95 % interval"),
    Column("slope_high", "number", "upper end of its 95 % interval"),
    Column("r_squared", "number", "of the same line"),
)

LADDER_TARGETS = (
    *_LADDER,
    Column("name", "text", "what was asked"),
    Column("target", "text", "what is wanted"),
    Column("found", "text", "what was found"),
    Column("met", "boolean", "whether it was met; empty where too few mixtures tell"),
)


def format_cell(value: object) -> str:
    """The text of one cell: integers whole, numbers to 10 significant digits, None empty.

    Raises
    ------
    ValueError
        For a number that is not finite: a result is a number or it is absent.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(f"{value} in a result table; an absent value is None")
        return format(value, ".10g")
    return str(value)


def table_to_csv(columns: Iterable[Column], rows: Iterable[Mapping[str, object]]) -> str:
    """A table as CSV text, header first; a row must name every column.

    Text that a spreadsheet would run as a formula gets a leading apostrophe.
    """
    columns = tuple(columns)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([c.name for c in columns])
    for row in rows:
        writer.writerow([_cell(column, row[column.name]) for column in columns])
    return buffer.getvalue()


def _cell(column: Column, value: object) -> str:
    if value is None:
        return ""
    if column.kind == "integer" and not isinstance(value, str):
        value = int(value)
    elif column.kind == "number" and not isinstance(value, str):
        value = float(value)
    elif column.kind == "boolean" and not isinstance(value, str):
        value = bool(value)
    text = format_cell(value)
    if column.kind == "text" and text[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + text
    return text
