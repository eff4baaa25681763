"""The page of a spillover matrix: checks first, then the matrix, what it leaves, and each stain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from cytomrd import __version__
from cytomrd.preprocess.single_stains import StainFit
from cytomrd.preprocess.spillover_checks import Check
from cytomrd.report.compensation_plots import draw_matrix, draw_stain
from cytomrd.report.marks import status_mark
from cytomrd.report.page import asset, environment, last_part, policy
from cytomrd.report.tables import data_uri
from cytomrd.report.words import count_words, number_words, plural
from cytomrd.run.compensation import CompensationResult, compensation_tables
from cytomrd.run.staging import staged_file

__all__ = ["PAGE_NAME", "check_groups", "publish_compensation", "render_compensation", "write_files"]

PAGE_NAME = "compensation.html"
PLOTS_A_STAIN = 3
_LEVELS = (
    ("warning", "held", "Look at these"),
    ("note", "other", "Good to know"),
    ("ok", "negative", "In order"),
)


def publish_compensation(result: CompensationResult, out: Path) -> None:
    """Write matrix, evidence and page into ``out``, each file whole or not at all; other files there stay."""
    write_files(out, {**compensation_tables(result), PAGE_NAME: render_compensation(result)})


def write_files(out: Path, files: Mapping[str, str]) -> None:
    """Write texts under their names, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with staged_file(out / name) as stage:
            stage.write_text(text, "utf-8", newline="")


def render_compensation(result: CompensationResult) -> str:
    """The page as one HTML text that needs nothing else; the same for the same controls, byte for byte."""
    spillover, fit = result.fit.spillover, result.fit
    style = asset("report.css") + asset("compensation.css")
    names = list(spillover.detectors)
    rows = [names.index(s.detector) for s in fit.stains]
    residual = np.zeros(spillover.matrix.shape)
    for pair in result.pairs:
        residual[names.index(pair.detector), names.index(pair.spill_detector)] = pair.residual_bright
    stained = [names[r] for r in rows]
    return (
        environment()
        .get_template("compensation.html.j2")
        .render(
            csp=policy(style, ""),
            style=Markup(style),
            title=last_part(result.folder) or "run",
            folder=result.folder,
            version=__version__,
            size=f"{plural(len(fit.stains), 'single stain')} over {plural(len(names), 'detector')}, "
            f"condition number {number_words(spillover.condition_number)}",
            checks=check_groups(result.checks),
            matrix=draw_matrix(stained, names, spillover.matrix[rows], title="spillover in percent"),
            residual=draw_matrix(stained, names, residual[rows], title="residual spill in percent"),
            stains=[_stain_view(result, stain) for stain in fit.stains],
            pairs=_pair_table(result),
            assumed=[*result.plan.notes],
            downloads=[(name, data_uri(text)) for name, text in compensation_tables(result).items()],
        )
    )


def check_groups(checks: Sequence[Check]) -> list[dict[str, object]]:
    """Checks by level, with mark and title."""
    groups = []
    for level, css, title in _LEVELS:
        texts = [c.text for c in checks if c.level == level]
        if texts:
            groups.append({"css": css, "mark": status_mark(css), "title": title, "texts": texts})
    return groups


def _stain_view(result: CompensationResult, stain: StainFit) -> dict[str, object]:
    pairs = [p for p in result.pairs if p.detector == stain.detector]
    shown = sorted(pairs, key=lambda p: -abs(p.coefficient))[:PLOTS_A_STAIN]
    worst = max(pairs, key=lambda p: abs(p.residual_bright))
    if worst not in shown and abs(worst.residual_bright) > 0.01:
        shown.append(worst)
    figures = []
    for pair in shown:
        before, after = draw_stain(stain, result.fit.spillover, pair.spill_detector)
        figures.append(
            {
                "before": before,
                "after": after,
                "title": f"into {pair.spill_detector}: {_percent(pair.coefficient)}",
                "note": f"95% interval {_percent(pair.ci_low)} to {_percent(pair.ci_high)}; brightest cells keep "
                f"{_percent(pair.residual_bright, 2)} after compensation",
            }
        )
    how = {
        "regression": "bright cells against negatives of the same scatter",
        "medians": "medians of all cells, since the tube is stained as a whole",
    }[stain.method]
    return {
        "title": stain.detector if stain.stain == stain.detector else f"{stain.stain} ({stain.detector})",
        "file": stain.tube,
        "note": f"{count_words(stain.n_used)} of {plural(stain.n_positive, 'positive')}, "
        f"{count_words(stain.n_negative)} negatives ({_negatives(result, stain)}); {how}",
        "figures": figures,
    }


def _negatives(result: CompensationResult, stain: StainFit) -> str:
    if stain.negatives == "unstained tube":
        return ", ".join(c.name for c in result.plan.unstained)
    return "the tube's own"


def _pair_table(result: CompensationResult) -> dict[str, object]:
    columns = [
        ("Stain", False), ("Seen in", False), ("Coefficient", True), ("95% interval", True),
        ("Autofluorescence", True), ("Residual", True), ("Brightest", True), ("Method", False),
    ]  # fmt: skip
    rows = [
        (
            p.detector, p.spill_detector, _percent(p.coefficient, 2),
            f"{_percent(p.ci_low, 2)} to {_percent(p.ci_high, 2)}", f"± {_percent(p.autofluorescence, 2)}",
            _percent(p.residual, 2), _percent(p.residual_bright, 2), p.method,
        )
        for p in result.pairs
    ]  # fmt: skip
    return {"columns": columns, "rows": rows}


def _percent(value: float, decimals: int = 1) -> str:
    text = f"{100 * value:.{decimals}f}"
    return ("0" if float(text) == 0 else text.replace("-", "−")) + "%"
