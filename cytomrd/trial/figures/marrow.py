"""Clonal plasma cells in marrow over time, with what each sample could have shown."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cytomrd.report.svg import Drawing
from cytomrd.report.words import number_words
from cytomrd.trial.figures.axes import Panel, dose_levels, dose_words, finished, limits_of
from cytomrd.trial.figures.style import DOSE_CLASSES
from cytomrd.trial.study import Study
from cytomrd.trial.table import TrialFigure

__all__ = ["clonal_figures"]

NOTES = (
    "Filled: clonal plasma cells of nucleated cells. Open, on its limit of detection: none found in a sample large "
    "enough. A cross on the limit: not evaluable.",
    "The grey bar below each sample ends at its limit of detection: what lies in it could not have been seen.",
)


def clonal_figures(study: Study) -> tuple[TrialFigure, ...]:
    """One figure with a plot a dose level."""
    rows = study.flow_mrd[(study.flow_mrd["MATRIX"] == "BONE MARROW") & study.flow_mrd["time_d"].notna()]
    rows = rows[rows["USUBJID"].isin(study.treated) & rows["lod"].notna()]
    if rows.empty:
        return ()
    return (TrialFigure("clonal_plasma_cells", "Clonal plasma cells in marrow", _panels(study, rows), NOTES),)


def _panels(study: Study, rows: pd.DataFrame) -> str:
    doses = dose_levels(study)
    width, height, gap, left, top = 250.0, 250.0, 22.0, 62.0, 40.0
    drawing = Drawing(left + len(doses) * (width + gap), top + height + 48, "Clonal plasma cells in marrow over time")
    shown = [*(rows["lod"] / 2), *rows["lod"], *rows.loc[rows["mrd_fraction"] > 0, "mrd_fraction"]]
    days = (rows["time_d"].min(), rows["time_d"].max())
    span = (days[0] - 0.06 * (days[1] - days[0] + 1), days[1] + 0.06 * (days[1] - days[0] + 1))
    for place, dose in enumerate(doses):
        panel = Panel(drawing, left=left + place * (width + gap), top=top, width=width, height=height, x=span,
                      y=limits_of(shown, log=True), log_y=True)  # fmt: skip
        own = rows[rows["USUBJID"].map(study.dose_level) == dose]
        panel.y_axis("Clonal of nucleated cells" if place == 0 else "", numbers=place == 0)
        panel.infusions(float(d) for d in sorted(study.dosing["PLANNED_DAY"].dropna().unique()))
        panel.head(
            f"{dose_words(dose)} cells (n = {own['USUBJID'].nunique()})", DOSE_CLASSES[place % len(DOSE_CLASSES)]
        )
        _draw_dose(panel, own)
        panel.x_axis("Day (0 = first infusion)")
        panel.box()
    return finished(drawing)


def _draw_dose(panel: Panel, own: pd.DataFrame) -> None:
    base = panel.top + panel.height
    for _, series in own.groupby("USUBJID", sort=True):
        series = series.sort_values("time_d")
        for row in series.itertuples():
            x, y = panel.across(row.time_d), panel.up(row.lod)
            panel.drawing.rect(x - 2.5, y, 5, base - y, "floor", tip=f"{row.sample_id}: LOD {number_words(row.lod)}")
        places = [row.mrd_fraction if _seen(row) else row.lod for row in series.itertuples()]
        known = (series["status"] != "NOT_EVALUABLE").to_numpy()  # no line leads through what nobody knows
        panel.drawing.polyline(panel.points(series["time_d"][known], np.array(places)[known]), "curve clonal")
        for row, value in zip(series.itertuples(), places, strict=True):
            _draw_sample(panel, row, value)


def _seen(row) -> bool:
    return row.status in ("POSITIVE", "POSITIVE_BELOW_LLOQ") and row.mrd_fraction > 0


def _draw_sample(panel: Panel, row, value: float) -> None:
    x, y = panel.across(row.time_d), panel.up(value)
    if row.status == "NOT_EVALUABLE":
        panel.drawing.lines([(x - 4, y - 4, x + 4, y + 4), (x - 4, y + 4, x + 4, y - 4)], "cross")
        panel.drawing.tip(f"{row.sample_id}: not evaluable")
        return
    if _seen(row) and row.ci_low > 0:
        panel.drawing.line(x, panel.up(row.ci_low), x, panel.up(row.ci_high), "whisker clonal")
    css = "dot clonal" if _seen(row) else "dot open clonal"
    panel.drawing.dots(np.array([[x, y]]), css, "diamond", 3.6)
    words = number_words(value) if _seen(row) else f"< {number_words(value)}"
    panel.drawing.tip(f"{row.sample_id}: {words}")
