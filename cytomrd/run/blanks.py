"""The limit of blank of a run: its negative marrows, by panel and instrument, set against each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cytomrd.mrd.limits import MIN_DONORS, MIN_DONORS_FOR_PERCENTILE, LimitOfBlank, limit_of_blank

if TYPE_CHECKING:
    from cytomrd.run.model import FileResult

__all__ = ["Blank", "BlankLimit", "find_limit", "instrument_of"]


@dataclass(frozen=True)
class Blank:
    """What one marrow adds to the limit of blank, as called by the whole chain.

    Attributes
    ----------
    sample_id, donor
        The specimen, and whose it is: the subject where the samplesheet names one, else the specimen itself.
    instrument
        From :func:`instrument_of`.
    n_clonal, n_nucleated
        Over all tubes.
    held
        A QC limit was passed: it then says nothing about a blank.
    """

    sample_id: str
    donor: str
    instrument: str
    n_clonal: int
    n_nucleated: int
    held: bool = False


@dataclass(frozen=True)
class BlankLimit:
    """The limit of blank that a sample is judged by.

    Attributes
    ----------
    lob_events
        What the positivity threshold is made from.
    source
        Where it comes from, in words.
    n_donors
        Negative donors behind it; None where it was given.
    high_events
        Upper 95 % limit of it; None where it was given or there are no negatives.
    flags
        What a reader must know.
    """

    lob_events: int
    source: str
    n_donors: int | None = None
    high_events: int | None = None
    flags: tuple[str, ...] = ()


def instrument_of(files: Sequence[FileResult]) -> str:
    """The cytometer of a specimen's tubes, with its serial number where the files have one."""
    names = {" ".join(part for part in (f.cytometer, f.cytometer_serial) if part) for f in files}
    return ", ".join(sorted(names))


def find_limit(own: Blank, blanks: Sequence[Blank], *, given: int | None = None, lod_events: int = 20) -> BlankLimit:
    """Limit of blank for one sample.

    Only negatives of the same instrument count, and never the sample's own donor: a negative that holds a clone
    would otherwise lift the threshold that it is judged by.

    Parameters
    ----------
    own
        The sample itself.
    blanks
        The run's negatives of the same panel.
    given
        ``lob_events`` of run.toml, which goes before the run's negatives.
    lod_events
        Of the panel: a limit of blank from this on raises the positivity threshold.
    """
    if given is not None:
        return BlankLimit(given, "run.toml")
    usable = [b for b in blanks if b.n_nucleated > 0 and not b.held and b.donor != own.donor]
    same = [b for b in usable if b.instrument == own.instrument]
    if not same or not own.n_nucleated:
        flag = f"LOB_ASSUMED_0: limit of blank taken as 0, since {_why_none(usable)}"
        return BlankLimit(0, "assumed", 0, None, (flag,))
    n_clonal, n_nucleated = _by_donor(same)
    found = limit_of_blank(n_clonal, n_nucleated, at_nucleated=own.n_nucleated)
    source = f"{found.reason}, same panel and instrument"
    return BlankLimit(
        found.lob_events, source, found.n_blanks, found.high_events, tuple(_flags(found, same, own, lod_events))
    )


def _why_none(usable: Sequence[Blank]) -> str:
    remedy = f"At least {MIN_DONORS} negative donors (role negative) are wanted, or lob_events in run.toml"
    if usable:
        others = ", ".join(sorted({b.instrument or "an unnamed instrument" for b in usable}))
        return f"the run's negatives of other donors were acquired on another instrument ({others}). {remedy}"
    return f"the run has no negatives of other donors. {remedy}"


def _by_donor(blanks: Sequence[Blank]) -> tuple[list[int], list[int]]:
    """Clonal and nucleated events of each donor: two samples of one donor are not two donors."""
    totals: dict[str, list[int]] = {}
    for b in blanks:
        total = totals.setdefault(b.donor, [0, 0])
        total[0] += b.n_clonal
        total[1] += b.n_nucleated
    return [k for k, _ in totals.values()], [n for _, n in totals.values()]


def _flags(found: LimitOfBlank, blanks: Sequence[Blank], own: Blank, lod_events: int):
    interval = f"{found.lob_events} events, and with 95 % confidence at most {found.high_events}"
    if found.provisional:
        yield (
            f"LOB_PROVISIONAL: limit of blank from {found.n_blanks} negative donor{'s' * (found.n_blanks != 1)} "
            f"({interval}): it counts where it raises the threshold, and is no limit of the laboratory before there "
            f"are {MIN_DONORS} donors ({MIN_DONORS_FOR_PERCENTILE} for a percentile over donors)"
        )
    elif found.high_events >= lod_events > found.lob_events:
        yield f"LOB_UNSURE: limit of blank {interval}: more negatives would show whether the threshold must rise"
    if found.lob_events >= lod_events:
        top = max(blanks, key=lambda b: b.n_clonal / b.n_nucleated)
        yield (
            f"LOB_RAISED: the limit of blank of {found.lob_events} events raises the threshold, the highest negative "
            f"is {top.sample_id} with {top.n_clonal} events called clonal: look whether it is one"
        )
