"""Whether blood diluted the aspirate: cells that only marrow holds, against their reference ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from cytomrd.errors import QuantificationError
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.panel import HemodilutionSpec

__all__ = ["HemodilutionResult", "MarrowCells", "assess_hemodilution"]

Verdict = Literal["not_suspected", "possible", "hemodiluted", "not_assessed"]


@dataclass(frozen=True, slots=True)
class MarrowCells:
    """One marrow-only population against its range.

    Attributes
    ----------
    population, n_events, n_nucleated
        Its events, and the nucleated cells of the tubes that gate it.
    low, high
        Exact 95 % interval of its fraction of nucleated cells.
    expected
        The reference range of that fraction.
    reading
        ``low``, ``low within its error``, ``not low`` or ``cannot be told``; with ``, not counted`` where therapy
        removes the population.
    """

    population: str
    n_events: int
    n_nucleated: int
    low: float
    high: float
    expected: tuple[float, float]
    reading: str


@dataclass(frozen=True, slots=True)
class HemodilutionResult:
    """The verdict on one aspirate.

    Attributes
    ----------
    verdict
        ``not_suspected``; ``possible`` (some evidence: a person should look); ``hemodiluted`` (a negative result
        cannot be trusted); ``not_assessed`` (the panel or the sample cannot tell).
    evidence
        One sentence per population.
    compared
        The populations that were measured.
    """

    verdict: Verdict
    evidence: tuple[str, ...] = ()
    compared: tuple[MarrowCells, ...] = ()

    @property
    def quality_ok(self) -> bool:
        """False only for ``hemodiluted``."""
        return self.verdict != "hemodiluted"


def assess_hemodilution(
    n_events: Mapping[str, int],
    n_nucleated: int | Mapping[str, int],
    references: Sequence[HemodilutionSpec],
    *,
    prior_therapy: Sequence[str] = (),
    lost_after_therapy: Sequence[str] = ("b_precursors", "hematogones"),
) -> HemodilutionResult:
    """Judge hemodilution by marrow-only populations.

    A population is low when even the upper end of its exact 95 % interval is under the reference range.
    All that count being low is hemodilution; some of them is possible. B precursors may be gone after therapy:
    in a treated subject they count neither for nor against, and alone they never decide.

    Parameters
    ----------
    n_events
        Population name to events; those missing are not assessed.
    n_nucleated
        Nucleated cells of the same tubes; by population where not every tube gates each of them.
    references
        The panel's marrow-only populations with their expected fractions of nucleated cells.
    prior_therapy
        From the samplesheet; any entry means treated.
    lost_after_therapy
        Populations that therapy itself removes.

    Returns
    -------
    HemodilutionResult

    Examples
    --------
    >>> from cytomrd.mrd.hemodilution import assess_hemodilution
    >>> from cytomrd.panel import HemodilutionSpec
    >>> mast = HemodilutionSpec(population="mast_cells", expected_range=(2e-5, 0.01))
    >>> assess_hemodilution({"mast_cells": 2}, 3_000_000, [mast]).verdict
    'hemodiluted'
    """
    totals = dict.fromkeys(n_events, n_nucleated) if isinstance(n_nucleated, int) else n_nucleated
    if any(not 0 <= n <= totals.get(name, -1) for name, n in n_events.items()):
        raise QuantificationError(f"marrow-only populations {dict(n_events)} exceed the nucleated cells {n_nucleated}")
    evidence, counted, compared = [], [], []
    for reference in references:
        name = reference.population
        if name not in n_events or totals[name] == 0:
            evidence.append(f"{name}: not measured")
            continue
        fraction, verdict = _compare(n_events[name], totals[name], reference)
        expected = f"{100 * reference.expected_range[0]:.3g} to {100 * reference.expected_range[1]:.3g} %"
        text = f"{name}: {100 * fraction:.3g} % of nucleated cells, expected {expected}: {verdict}"
        lost = name in lost_after_therapy
        not_counted = ", not counted" if lost and prior_therapy else ""
        low, high = clopper_pearson(n_events[name], totals[name])
        compared.append(
            MarrowCells(
                name, n_events[name], totals[name], low, high, tuple(reference.expected_range), verdict + not_counted
            )
        )
        if not_counted:
            evidence.append(f"{text}; not counted, since therapy removes them")
            continue
        evidence.append(text)
        if verdict != "cannot be told":
            counted.append((verdict == "low", lost))
    return HemodilutionResult(_verdict(counted), tuple(evidence), tuple(compared))


def _compare(k: int, n: int, reference: HemodilutionSpec) -> tuple[float, str]:
    low, high = clopper_pearson(k, n)
    floor = reference.expected_range[0]
    if high < floor:
        return k / n, "low"
    # Too few cells to say: the interval spans everything from none to normal.
    if low < floor and k < 3:
        return k / n, "cannot be told"
    return k / n, "low within its error" if k / n < floor else "not low"


def _verdict(counted: list[tuple[bool, bool]]) -> Verdict:
    decisive = [low for low, lost in counted if not lost]
    if not counted:
        return "not_assessed"
    if decisive and all(low for low, _ in counted):
        return "hemodiluted"
    return "possible" if any(low for low, _ in counted) else "not_suspected"
