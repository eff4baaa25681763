"""The page of a validation: the verdict first, each ladder with its figures, then how it was done and who signs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from markupsafe import Markup

from cytomrd import __version__
from cytomrd.mrd.ladder import Criterion, LevelSummary, Mixture, Rung
from cytomrd.report.compensation import write_files
from cytomrd.report.marks import status_mark
from cytomrd.report.page import asset, environment, last_part, policy
from cytomrd.report.tables import Table, data_uri
from cytomrd.report.validation_plots import draw_hit_rates, draw_linearity
from cytomrd.report.words import (
    MISSING,
    count_words,
    fraction_words,
    interval_words,
    number_words,
    percent_words,
    plural,
)
from cytomrd.run.validation import ValidationResult, validation_tables

__all__ = ["CAUTION", "PAGE_NAME", "lob_setting", "publish_validation", "render_validation", "verdict_words"]

PAGE_NAME = "validation.html"
CAUTION = "In silico; not clinical concordance."
_GROUPS = ((False, "held", "Not met"), (None, "other", "Too few mixtures to tell"), (True, "negative", "Met"))


def publish_validation(result: ValidationResult, out: Path, provenance: Mapping[str, object]) -> None:
    """Write page, tables and provenance into ``out``, each file whole or not at all."""
    tables = validation_tables(result)
    hashes = {name: hashlib.sha256(text.encode("utf-8")).hexdigest() for name, text in tables.items()}
    provenance = {**provenance, "table SHA-256": hashes}
    page = render_validation(result, provenance)
    text = json.dumps(provenance, indent=1) + "\n"
    write_files(out, {**tables, "provenance.json": text, PAGE_NAME: page})


def render_validation(result: ValidationResult, provenance: Mapping[str, object]) -> str:
    """The page as one HTML text that needs nothing else."""
    plan = result.plan
    style = asset("report.css") + asset("validation.css")
    what = last_part(str(plan.folder)) if plan.folder is not None else "simulated marrow"
    return (
        environment()
        .get_template("validation.html.j2")
        .render(
            csp=policy(style, ""),
            style=Markup(style),
            title=f"{plan.panel.id} on {what}",
            version=__version__,
            size=f"{plural(len(result.mixtures), 'mixture')}, panel {plan.panel.id} {plan.panel.version}",
            caution=CAUTION,
            verdict=verdict_words(result),
            groups=_groups(result.criteria),
            rungs=[_rung_view(result, rung) for rung in result.rungs],
            failures=[f"{_rung_title(m.group, m.n_wanted)}, level {_level(m.level)}, seed {m.seed}: {m.error}"
                      for m in result.mixtures if m.error],
            how=_how(result),
            settings=_settings_table(provenance),
            downloads=[(name, data_uri(text)) for name, text in validation_tables(result).items()],
        )
    )  # fmt: skip


def verdict_words(result: ValidationResult) -> str:
    """How many targets were met, in one sentence."""
    met = sum(c.met is True for c in result.criteria)
    missed, open_ = sum(c.met is False for c in result.criteria), sum(c.met is None for c in result.criteria)
    parts = [f"{met} of {len(result.criteria)} targets met"]
    if missed:
        parts.append(f"{missed} not met")
    if open_:
        parts.append(f"{open_} open, for want of mixtures")
    return ", ".join(parts) + f". {CAUTION}"


def _groups(criteria: tuple[Criterion, ...]) -> list[dict[str, object]]:
    groups = []
    for met, css, title in _GROUPS:
        texts = [
            f"{_rung_title(c.group, c.n_wanted)}: {c.name} {c.found}; wanted {c.target}"
            for c in criteria
            if c.met is met
        ]
        if texts:
            groups.append({"css": css, "mark": status_mark(css), "title": title, "texts": texts})
    return groups


def _rung_title(group: str, n_wanted: int) -> str:
    return f"{group}, {count_words(n_wanted)} nucleated cells"


def _rung_view(result: ValidationResult, rung: Rung) -> dict[str, object]:
    mixtures = [m for m in result.mixtures if (m.group, m.n_wanted) == (rung.group, rung.n_wanted)]
    line, rates = draw_linearity(mixtures, rung.threshold), draw_hit_rates(rung.levels, rung.n_wanted, rung.threshold)
    plots = []
    if line is not None:
        note = "Each mixture; open: fewer events than the threshold; on the lower edge: none found. Dashed: identity."
        plots.append({"title": "Linearity", "plot": line, "note": f"{note} {CAUTION}"})
    if rates is not None:
        note = "Dots with exact 95% intervals; the curve is what counting alone allows."
        plots.append({"title": "Hit rate", "plot": rates, "note": f"{note} {CAUTION}"})
    return {
        "title": _rung_title(rung.group, rung.n_wanted),
        "figures": list(_figures(rung)),
        "plots": plots,
        "levels": _level_table(rung),
        "clones": _clone_table(mixtures, rung.threshold),
    }


def _figures(rung: Rung) -> Iterator[tuple[str, str, str]]:
    blank = rung.blank
    if blank is not None:
        yield "Limit of blank", plural(blank.lob_events, "event"), f"{blank.reason}; at most {blank.high_events}"
        yield "Limit of detection (EP17)", f"{number_words(blank.lod_events)} events", "mean of a low positive"
    yield "Positive from", plural(rung.threshold, "event"), "the panel's number, or limit of blank + 1"
    lod = fraction_words(rung.lod, digits=2) if rung.lod is not None else "none"
    yield "Lowest level found in 95%", lod, "this level and all above it"
    if rung.false_per_million is not None:
        yield (
            "False events",
            f"{number_words(rung.false_per_million)} in a million",
            f"95% interval {interval_words(rung.false_low, rung.false_high)}, in blanks",
        )
        yield "Positive blanks", f"{rung.n_blanks_positive} of {rung.n_blanks}", "by the panel's number of events"
    if rung.line is not None:
        line = rung.line
        yield (
            "Slope, log-log",
            number_words(line.slope),
            f"95% interval {interval_words(line.slope_low, line.slope_high)}; from {_level(line.lowest)} up",
        )
        yield "r²", f"{line.r_squared:.4f}", plural(line.n, "mixture")


def _level(level: float) -> str:
    return fraction_words(level, digits=2) if level else "0"


def _level_table(rung: Rung) -> Table:
    heads = (
        ("Level", True), ("Mixtures", True), ("Called positive", True), ("95% interval", True),
        ("Indeterminate", True), ("By counting alone", True), ("Events, mean", True),
        ("Recovery (95% interval)", True), ("CV", True), ("CV by counting", True), ("Clonal events found", True),
        ("False events, mean", True), ("Interval holds level", True), ("Whole analysis", True),
        ("Without result", True),
    )  # fmt: skip
    return Table(heads, tuple(_level_row(s) for s in rung.levels))


def _level_row(s: LevelSummary) -> tuple[str, ...]:
    recovery = MISSING
    if s.recovery is not None:
        recovery = f"{100 * s.recovery:.0f}%"
        if s.recovery_low is not None:
            recovery += f" ({100 * s.recovery_low:.0f} to {100 * s.recovery_high:.0f}%)"
    return (
        _level(s.level), str(s.n_runs), f"{s.n_hits} ({percent_words(s.hit_rate)})",
        f"{100 * s.hit_low:.0f} to {100 * s.hit_high:.0f}%", str(s.n_suspected), percent_words(s.hit_rate_counting),
        number_words(s.mean_clonal), recovery, percent_words(s.cv), percent_words(s.cv_counting),
        percent_words(s.found), number_words(s.wrong), percent_words(s.coverage),
        percent_words(s.coverage_with_gates), str(s.n_failed),
    )  # fmt: skip


def _clone_table(mixtures: list[Mixture], threshold: int) -> Table:
    """Hit rate of each clone by level: what is missed, and which."""
    heads = (("Clone", False), ("Level", True), ("Called positive", True), ("Clonal events found", True))
    rows = []
    for clone in dict.fromkeys(m.clone for m in mixtures if m.clone):
        for level in sorted({m.level for m in mixtures if m.level}, reverse=True):
            own = [m for m in mixtures if m.clone == clone and m.level == level]
            if own:
                hits, n_true = sum(m.n_clonal >= threshold for m in own), sum(m.n_true for m in own)
                found = percent_words(sum(m.n_right for m in own) / n_true) if n_true else MISSING
                rows.append((clone, _level(level), f"{hits} of {len(own)}", found))
    return Table(heads, tuple(rows))


def _how(result: ValidationResult) -> list[str]:
    return [
        "each mixture is written as FCS and goes through the chain of `cytomrd gate`: quality control, compensation, "
        "fit, gates, calls on plasma cells, counts",
        "the clonal cells of a mixture are a Poisson draw around level × nucleated cells, in each tube",
        "a mixture is positive from the panel's number of events, or from the limit of blank + 1 of its own ladder",
        *result.plan.notes,
        *lob_setting(result),
    ]


def lob_setting(result: ValidationResult) -> list[str]:
    """How the limit of blank of own negatives is put into a run, for each number of nucleated cells."""
    if result.plan.folder is None:
        return []
    return [
        f"limit of blank of these negatives at {count_words(r.n_wanted)} nucleated cells, for run.toml once it is "
        f'approved: lob_events = {{ "{result.plan.panel.id}" = {r.blank.lob_events} }}'
        for r in result.rungs
        if r.blank is not None
    ]


def _settings_table(provenance: Mapping[str, object]) -> Table:
    rows = []
    for name, value in provenance.items():
        text = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else value
        text = ", ".join(map(str, text)) if isinstance(text, list | tuple) else text
        rows.append((name, str(text)))
    return Table((("Setting", False), ("Value", False)), tuple(rows))
