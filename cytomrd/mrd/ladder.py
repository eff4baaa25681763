"""The in-silico ladder, as statistics: from mixtures of known content to blank, detection, linearity and precision.

A mixture is one marrow of known clonal content that went through the whole chain. No events are seen here. What a
ladder shows is the software's part; it is not clinical concordance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from cytomrd.mrd.limits import LimitOfBlank, clopper_pearson, detection_probability, limit_of_blank

__all__ = ["LEVELS", "Criterion", "LevelSummary", "LineFit", "Mixture", "Rung", "judge_ladder", "summarise_ladder"]

LEVELS = (1e-3, 1e-4, 5e-5, 2e-5, 1e-5, 5e-6, 2e-6, 0.0)
TARGET = 1e-5
# A target is met on at least so many mixtures of a level; on fewer it stays open.
MIN_MIXTURES = 20
# A level at which this share of samples is found is detected (EP17-A2: beta of 5 %).
DETECTED_SHARE = 0.95
Z95 = 1.959964


@dataclass(frozen=True)
class Mixture:
    """One marrow of known content, as the chain saw it.

    Attributes
    ----------
    group
        What is summarised together: a law of simulation, or the laboratory's own files.
    level, n_wanted
        Clonal cells as a fraction of nucleated cells, and nucleated cells, that were asked for.
    seed
        Number within its rung.
    blank, clone
        Whose marrow, and which clone was put into it (empty at level 0).
    n_true
        Clonal events that the files hold.
    n_nucleated, n_plasma_cells, n_clonal, n_right
        As called over all tubes; ``n_right`` of the clonal ones are truly clonal.
    fraction, low, high
        MRD with its Clopper-Pearson interval; None without nucleated cells.
    low_with_gates, high_with_gates
        The interval of the whole chain (:func:`cytomrd.mrd.gate_error.interval_of_chain`); None where gates were not
        moved.
    error
        Why there is no result, or empty.
    """

    group: str
    level: float
    n_wanted: int
    seed: int
    blank: str
    clone: str
    n_true: int
    n_nucleated: int = 0
    n_plasma_cells: int = 0
    n_clonal: int = 0
    n_right: int = 0
    n_indeterminate: int = 0
    fraction: float | None = None
    low: float | None = None
    high: float | None = None
    low_with_gates: float | None = None
    high_with_gates: float | None = None
    error: str = ""


@dataclass(frozen=True)
class LevelSummary:
    """One level of one rung; intervals are 95 %.

    Attributes
    ----------
    n_runs, n_failed
        Mixtures, and those without a result: a failure counts as a miss.
    n_hits, hit_rate, hit_low, hit_high
        Called positive, with the Clopper-Pearson interval.
    n_suspected
        Of the others, those that would be positive with their indeterminate events: a person must look.
    hit_rate_counting
        What counting alone allows: the chance that so many nucleated cells hold enough clonal ones.
    recovery, recovery_low, recovery_high
        Mean MRD over the level, with the interval of the mean; None at level 0.
    found, wrong
        Truly clonal events that were called clonal, of all that there were; called events that are none, a mixture.
    cv, cv_counting
        Coefficient of variation of MRD, and what counting alone gives; None with fewer than two results.
    coverage, coverage_low, coverage_high
        Mixtures whose exact interval of MRD holds the level.
    coverage_with_gates, width_with_gates
        The same of the whole chain's interval, and its width over the exact interval's.
    """

    level: float
    n_runs: int
    n_failed: int
    n_hits: int
    n_suspected: int
    hit_rate: float
    hit_low: float
    hit_high: float
    hit_rate_counting: float
    mean_clonal: float
    recovery: float | None
    recovery_low: float | None
    recovery_high: float | None
    found: float | None
    wrong: float
    cv: float | None
    cv_counting: float | None
    coverage: float | None
    coverage_low: float | None
    coverage_high: float | None
    coverage_with_gates: float | None
    width_with_gates: float | None


@dataclass(frozen=True)
class LineFit:
    """log10 MRD against log10 level over the mixtures whose level alone would give the events needed to detect."""

    slope: float
    slope_low: float
    slope_high: float
    r_squared: float
    n: int
    lowest: float


@dataclass(frozen=True)
class Rung:
    """All levels of one group at one number of nucleated cells.

    Attributes
    ----------
    blank
        Limit of blank from the mixtures of level 0; None where there are none.
    threshold
        Events from which a mixture is positive: the panel's, or one more than the limit of blank.
    n_blanks_positive
        Blanks that reach the panel's own threshold.
    false_per_million, false_low, false_high
        Events called clonal in blanks, for a million nucleated cells, with the exact Poisson interval.
    lod
        The lowest level at which at least 95 % were found, this level and all above it; None where there is none.
    line
        None with fewer than two levels.
    """

    group: str
    n_wanted: int
    levels: tuple[LevelSummary, ...]
    blank: LimitOfBlank | None
    threshold: int
    n_blanks: int
    n_blanks_positive: int
    false_per_million: float | None
    false_low: float | None
    false_high: float | None
    lod: float | None
    line: LineFit | None

    def level(self, value: float) -> LevelSummary | None:
        """The summary of one level."""
        return next((s for s in self.levels if s.level == value), None)


@dataclass(frozen=True)
class Criterion:
    """A target, what was found, and whether it was met (None where the ladder cannot tell)."""

    group: str
    n_wanted: int
    name: str
    target: str
    found: str
    met: bool | None


def summarise_ladder(mixtures: Sequence[Mixture], *, lod_events: int = 20) -> tuple[Rung, ...]:
    """Summarise mixtures by group and number of nucleated cells, in the order in which they come.

    Parameters
    ----------
    mixtures
        In any number; those with an error count as misses, never as absent.
    lod_events
        Clonal events that the panel needs to detect.
    """
    keys = dict.fromkeys((m.group, m.n_wanted) for m in mixtures)
    return tuple(
        _rung(group, n, [m for m in mixtures if (m.group, m.n_wanted) == (group, n)], lod_events) for group, n in keys
    )


def _rung(group: str, n_wanted: int, mixtures: list[Mixture], lod_events: int) -> Rung:
    blanks = [m for m in mixtures if m.level == 0 and not m.error and m.n_nucleated]
    limit = None
    if blanks:
        limit = limit_of_blank([m.n_clonal for m in blanks], [m.n_nucleated for m in blanks], at_nucleated=n_wanted)
    threshold = max(lod_events, limit.lob_events + 1 if limit is not None else 0)
    levels = sorted({m.level for m in mixtures}, reverse=True)
    summaries = tuple(_level(level, [m for m in mixtures if m.level == level], threshold) for level in levels)
    n_false, n_cells = sum(m.n_clonal for m in blanks), sum(m.n_nucleated for m in blanks)
    false = [1e6 * v / n_cells for v in (n_false, *_poisson_interval(n_false))] if n_cells else [None] * 3
    return Rung(
        group=group,
        n_wanted=n_wanted,
        levels=summaries,
        blank=limit,
        threshold=threshold,
        n_blanks=len(blanks),
        n_blanks_positive=sum(m.n_clonal >= lod_events for m in blanks),
        false_per_million=false[0],
        false_low=false[1],
        false_high=false[2],
        lod=_lowest_detected(summaries),
        line=_line([m for m in mixtures if m.level * m.n_wanted >= lod_events]),
    )


def _poisson_interval(k: int) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson mean from one count (Garwood)."""
    low = float(stats.chi2.ppf(0.025, 2 * k)) / 2 if k else 0.0
    return low, float(stats.chi2.ppf(0.975, 2 * k + 2)) / 2


def _level(level: float, mixtures: list[Mixture], threshold: int) -> LevelSummary:
    done = [m for m in mixtures if not m.error and m.fraction is not None]
    moved = [m for m in done if m.low_with_gates is not None]
    n_hits = sum(m.n_clonal >= threshold for m in done)
    hit_low, hit_high = clopper_pearson(n_hits, len(mixtures))
    n_true = sum(m.n_true for m in done)
    recovery = _mean_interval([m.fraction / level for m in done]) if level else (None, None, None)
    covered = sum(m.low <= level <= m.high for m in done)
    coverage = (covered / len(done), *clopper_pearson(covered, len(done))) if done else (None, None, None)
    return LevelSummary(
        level=level,
        n_runs=len(mixtures),
        n_failed=len(mixtures) - len(done),
        n_hits=n_hits,
        n_suspected=sum(m.n_clonal < threshold <= m.n_clonal + m.n_indeterminate for m in done),
        hit_rate=n_hits / len(mixtures),
        hit_low=hit_low,
        hit_high=hit_high,
        hit_rate_counting=float(np.mean([_by_counting(m, threshold) for m in mixtures])),
        mean_clonal=_mean([m.n_clonal for m in done]) or 0.0,
        recovery=recovery[0],
        recovery_low=recovery[1],
        recovery_high=recovery[2],
        found=sum(m.n_right for m in done) / n_true if n_true else None,
        wrong=_mean([m.n_clonal - m.n_right for m in done]) or 0.0,
        cv=_variation([m.fraction for m in done]),
        cv_counting=_mean([1 / np.sqrt(level * m.n_nucleated) for m in done]) if level else None,
        coverage=coverage[0],
        coverage_low=coverage[1],
        coverage_high=coverage[2],
        coverage_with_gates=_mean([m.low_with_gates <= level <= m.high_with_gates for m in moved]),
        width_with_gates=_mean([(m.high_with_gates - m.low_with_gates) / (m.high - m.low) for m in moved]),
    )


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _by_counting(mixture: Mixture, threshold: int) -> float:
    # Nucleated cells as the chain counted them, since that is what was acquired; as asked for where it failed.
    return detection_probability(mixture.level, mixture.n_nucleated or mixture.n_wanted, threshold)


def _mean_interval(values: list[float]) -> tuple[float | None, float | None, float | None]:
    if not values:
        return None, None, None
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None, None
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def _variation(values: list[float]) -> float | None:
    mean = float(np.mean(values)) if values else 0.0
    return float(np.std(values, ddof=1)) / mean if len(values) > 1 and mean else None


def _lowest_detected(summaries: Sequence[LevelSummary]) -> float | None:
    found = None
    for summary in summaries:
        if summary.level == 0 or summary.hit_rate < DETECTED_SHARE:
            break
        found = summary.level
    return found


def _line(mixtures: list[Mixture]) -> LineFit | None:
    """A mixture in which nothing was found has no logarithm: it stands at half an event, and bends the line."""
    done = [m for m in mixtures if not m.error and m.n_nucleated]
    if len({m.level for m in done}) < 2 or len(done) < 3:
        return None
    x = np.log10([m.level for m in done])
    y = np.log10([max(m.n_clonal, 0.5) / m.n_nucleated for m in done])
    fit = stats.linregress(x, y)
    half = float(stats.t.ppf(0.975, len(done) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    r_squared = float(fit.rvalue) ** 2
    return LineFit(slope, slope - half, slope + half, r_squared, len(done), min(m.level for m in done))


def judge_ladder(rungs: Sequence[Rung]) -> tuple[Criterion, ...]:
    """Set each rung against the targets for marrow after treatment; what it has no mixtures for is not asked."""
    return tuple(c for rung in rungs for c in _criteria(rung))


def _criteria(rung: Rung):
    def criterion(name: str, target: str, found: str, met: bool | None) -> Criterion:
        return Criterion(rung.group, rung.n_wanted, name, target, found, met)

    for level, n_wanted, wanted in ((1e-5, 3_000_000, 0.90), (1e-5, 5_000_000, 0.99), (5e-6, 10_000_000, 0.95)):
        # The same mean count asks the same of the call: a short ladder of fewer cells has its levels raised to match.
        at = level * n_wanted / rung.n_wanted
        summary = _near(rung, at)
        if summary is not None and (rung.n_wanted == n_wanted or at > level):
            yield _hit_rate(criterion, summary, wanted)
            break
    above = [s for s in rung.levels if s.level * rung.n_wanted >= TARGET * 3_000_000 and s.recovery is not None]
    if above:
        worst = max(above, key=lambda s: abs(s.recovery - 1))
        found = f"{100 * worst.recovery:.0f} % at {worst.level:.3g}, the farthest from 100 %"
        within = 0.8 <= worst.recovery <= 1.2
        few = min(s.n_runs for s in above) < MIN_MIXTURES
        yield criterion("recovery", "80 to 120 %", found, None if few else within)
    if rung.line is not None:
        line = rung.line
        yield criterion("slope", "0.95 to 1.05", f"{line.slope:.3f}", 0.95 <= line.slope <= 1.05)
        yield criterion("r squared", "at least 0.97", f"{line.r_squared:.4f}", line.r_squared >= 0.97)
    if rung.blank is not None:
        lob = rung.blank
        found = f"{lob.lob_events} events ({lob.n_blanks} blanks, at most {lob.high_events} with 95 % confidence)"
        # What it may turn out to be counts: few blanks without an event promise little.
        met = False if lob.lob_events > 10 else (True if lob.high_events <= 10 and not lob.provisional else None)
        yield criterion("limit of blank", "at most 10 events", found, met)
        count = f"{rung.n_blanks_positive} of {rung.n_blanks}"
        yield criterion(
            "positive blanks", "none in 60", count, False if rung.n_blanks_positive else _enough(rung.n_blanks)
        )


def _near(rung: Rung, level: float) -> LevelSummary | None:
    return next((s for s in rung.levels if s.level and abs(s.level / level - 1) < 1e-6), None)


def _enough(n_blanks: int) -> bool | None:
    return True if n_blanks >= 60 else None


def _hit_rate(criterion: Callable[..., Criterion], summary: LevelSummary, wanted: float) -> Criterion:
    found = (
        f"{summary.n_hits} of {summary.n_runs} (95 % interval {100 * summary.hit_low:.0f} to "
        f"{100 * summary.hit_high:.0f} %; counting alone {100 * summary.hit_rate_counting:.1f} %)"
    )
    met = True if summary.hit_rate >= wanted and summary.n_runs >= MIN_MIXTURES else None
    if summary.hit_high < wanted:
        met = False
    name = f"hit rate at {summary.level:.3g}"
    return criterion(name, f"at least {100 * wanted:.0f} %", found, met)
