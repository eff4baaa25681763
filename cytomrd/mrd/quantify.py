"""The MRD result of one marrow: counts over its tubes, fraction, interval, limits, status, and what to beware of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from cytomrd.errors import QuantificationError
from cytomrd.mrd.clonality import CloneCalls
from cytomrd.mrd.hemodilution import HemodilutionResult
from cytomrd.mrd.limits import MrdStatus, mrd_limits
from cytomrd.panel import MrdSpec

__all__ = ["MrdResult", "quantify_mrd", "therapy_warnings"]

# Tubes of one marrow differ by pipetting too: a difference counts when it is both sure and of some size.
DISCORDANCE_P, DISCORDANCE_FOLD = 0.01, 1.3


@dataclass(frozen=True, slots=True)
class MrdResult:
    """One row of ``mrd.csv``, without the columns that name the sample.

    Attributes
    ----------
    n_nucleated, n_plasma_cells, n_normal_pc, n_clonal_pc, n_indeterminate_pc
        Events of all tubes together; normal + clonal + indeterminate are all plasma cells.
    mrd_fraction, ci_low, ci_high, lod, lloq
        Of nucleated cells, 0 to 1; None without nucleated cells.
    lob_events, threshold_events
        Limit of blank used, and the clonal events from which the sample is positive.
    status
        ``POSITIVE``, ``POSITIVE_BELOW_LLOQ``, ``NEGATIVE`` or ``NOT_EVALUABLE``.
    below_1e_5
        None where the sample cannot tell.
    events_needed
        Nucleated cells still needed before an absence can be claimed.
    light_chain, kappa_lambda_ratio
        Of the clone; the ratio is of all plasma cells where there is no clone.
    hemodilution
        The verdict.
    decided_by
        What decided on clonality, in words.
    flags
        ``"CODE: words"``.
    by_tube
        Tube to ``(n_nucleated, n_plasma_cells, n_clonal_pc)``.
    """

    n_nucleated: int
    n_plasma_cells: int
    n_normal_pc: int
    n_clonal_pc: int
    n_indeterminate_pc: int
    mrd_fraction: float | None
    ci_low: float | None
    ci_high: float | None
    lod: float | None
    lloq: float | None
    lob_events: int
    threshold_events: int
    status: MrdStatus
    below_1e_5: bool | None
    events_needed: int
    light_chain: str
    kappa_lambda_ratio: float | None
    hemodilution: str
    decided_by: str
    flags: tuple[str, ...]
    by_tube: Mapping[str, tuple[int, int, int]]


def quantify_mrd(
    calls: CloneCalls,
    n_nucleated_by_tube: Mapping[str, int],
    spec: MrdSpec,
    *,
    lob_events: int = 0,
    hemodilution: HemodilutionResult | None = None,
    prior_therapy: Sequence[str] = (),
    pull: int | None = None,
    confidence: float = 0.95,
    doubts: Sequence[str] = (),
    flags: Sequence[str] = (),
) -> MrdResult:
    """Turn the calls on a marrow's plasma cells into its MRD result.

    Parameters
    ----------
    calls
        From :func:`cytomrd.mrd.clonality.call_clones`.
    n_nucleated_by_tube
        Tube to nucleated cells; exactly the tubes of the calls.
    spec
        The panel's assay: limits and therapies.
    lob_events
        Limit of blank from the laboratory's negatives (:func:`cytomrd.mrd.limits.limit_of_blank`).
    hemodilution
        From :func:`cytomrd.mrd.hemodilution.assess_hemodilution`; None is ``not_assessed``.
    prior_therapy
        Such as ``("anti-CD38",)``: the panel's warnings for it become flags.
    pull
        Which pull of the aspirate; anything but the first is flagged, and so is an unknown one.
    confidence
        Of the interval.
    doubts
        Why the nucleated cells may be miscounted: no absence can then be claimed. A positive stays positive,
        with a flag on its fraction.
    flags
        Put in front of those found here.

    Raises
    ------
    QuantificationError
        If tubes or counts contradict each other.

    Examples
    --------
    >>> import numpy as np
    >>> import cytomrd as cm
    >>> from cytomrd.mrd.clonality import CloneCalls
    >>> from cytomrd.panel import MrdSpec
    >>> labels = np.repeat([0, 1], [900, 34])
    >>> calls = CloneCalls(("1",), (labels,), (), "kappa", 17.0, "3 aberrancies", ())
    >>> result = cm.quantify_mrd(calls, {"1": 4_000_000}, MrdSpec(), pull=1)
    >>> result.status, result.mrd_fraction, result.n_normal_pc
    ('POSITIVE_BELOW_LLOQ', 8.5e-06, 900)
    """
    by_tube = _by_tube(calls, n_nucleated_by_tube, spec.cell)
    n_nucleated, n_pc, n_clonal = (sum(counts[i] for counts in by_tube.values()) for i in range(3))
    n_indeterminate = sum(int((labels < 0).sum()) for labels in calls.labels)
    hemodilution = hemodilution or HemodilutionResult("not_assessed")
    limits = mrd_limits(
        n_nucleated,
        n_clonal,
        lob_events=lob_events,
        lod_events=spec.lod_events,
        lloq_events=spec.lloq_events,
        evaluable_nucleated=spec.evaluable_nucleated,
        quality_ok=hemodilution.quality_ok and not doubts,
        confidence=confidence,
    )
    found = [
        *flags,
        *(f"DENOMINATOR_UNSURE: {d}; the fraction and its limits are not to be relied on" for d in doubts),
        *calls.flags,
        *_indeterminate_flags(n_indeterminate, n_clonal, limits.threshold_events, spec.cell),
        *_discordance_flags(by_tube),
        *_sample_flags(limits.status, limits.events_needed, n_pc, n_nucleated, hemodilution, pull, spec.cell),
        *therapy_warnings(spec, prior_therapy),
    ]
    return MrdResult(
        n_nucleated=n_nucleated,
        n_plasma_cells=n_pc,
        n_normal_pc=n_pc - n_clonal - n_indeterminate,
        n_clonal_pc=n_clonal,
        n_indeterminate_pc=n_indeterminate,
        mrd_fraction=limits.mrd_fraction,
        ci_low=limits.ci_low,
        ci_high=limits.ci_high,
        lod=limits.lod,
        lloq=limits.lloq,
        lob_events=int(lob_events),
        threshold_events=limits.threshold_events,
        status=limits.status,
        below_1e_5=limits.below_1e_5,
        events_needed=limits.events_needed,
        light_chain=calls.light_chain,
        kappa_lambda_ratio=calls.kappa_lambda_ratio,
        hemodilution=hemodilution.verdict,
        decided_by=calls.decided_by,
        flags=tuple(found),
        by_tube=by_tube,
    )


def therapy_warnings(spec: MrdSpec, prior_therapy: Sequence[str]) -> tuple[str, ...]:
    """The panel's warnings that apply to a subject's prior therapies (compared without regard to case)."""
    had = {t.strip().lower() for t in prior_therapy}
    return tuple(f"THERAPY: {t.warning}" for t in spec.therapies if t.therapy.strip().lower() in had)


def _by_tube(calls: CloneCalls, n_nucleated_by_tube: Mapping[str, int], cell: str) -> dict[str, tuple[int, int, int]]:
    if set(calls.tubes) != set(n_nucleated_by_tube):
        raise QuantificationError(
            f"nucleated cells of tubes {sorted(n_nucleated_by_tube)} with calls on tubes {sorted(calls.tubes)}; "
            "give the same tubes, so that clonal cells and nucleated cells are of the same events"
        )
    by_tube = {}
    for tube, labels in zip(calls.tubes, calls.labels, strict=True):
        nucleated = int(n_nucleated_by_tube[tube])
        if nucleated < len(labels):
            raise QuantificationError(
                f"tube {tube}: {len(labels)} {cell}s among {nucleated} nucleated cells; "
                f"{cell}s must be gated within the nucleated cells"
            )
        by_tube[tube] = (nucleated, len(labels), int((labels > 0).sum()))
    return by_tube


def _indeterminate_flags(n_indeterminate: int, n_clonal: int, threshold: int, cell: str) -> list[str]:
    if n_indeterminate == 0:
        return []
    flags = [f"INDETERMINATE: {n_indeterminate} {cell}s are neither clearly clonal nor clearly normal"]
    if n_clonal < threshold <= n_clonal + n_indeterminate:
        flags.append(
            f"INDETERMINATE_COULD_BE_POSITIVE: with them {n_clonal + n_indeterminate} events reach the threshold "
            f"of {threshold}; a person must look before this counts as negative"
        )
    return flags


def _discordance_flags(by_tube: Mapping[str, tuple[int, int, int]]) -> list[str]:
    flags = []
    pairs = list(combinations(by_tube, 2))
    for one, other in pairs:
        (n1, _, k1), (n2, _, k2) = by_tube[one], by_tube[other]
        if n1 == 0 or n2 == 0 or k1 + k2 == 0:
            continue
        p = float(stats.fisher_exact([[k1, n1 - k1], [k2, n2 - k2]])[1])
        low, high = sorted((k1 / n1, k2 / n2))
        # Bonferroni over the pairs of tubes.
        if p * len(pairs) < DISCORDANCE_P and high > DISCORDANCE_FOLD * low:
            flags.append(
                f"TUBES_DISCORDANT: {k1} of {n1} clonal in tube {one}, {k2} of {n2} in tube {other} (p = {p:.2g})"
            )
    return flags


def _sample_flags(
    status: MrdStatus,
    events_needed: int,
    n_pc: int,
    n_nucleated: int,
    hemodilution: HemodilutionResult,
    pull: int | None,
    cell: str,
) -> list[str]:
    flags = []
    if n_nucleated == 0:
        flags.append("NO_NUCLEATED: no nucleated cell was gated")
    elif n_pc == 0:
        flags.append(f"NO_PLASMA_CELLS: not one {cell} was gated; check the markers that identify them")
    if status == "NOT_EVALUABLE" and events_needed:
        flags.append(f"ACQUIRE_MORE: {events_needed:,} more nucleated cells are needed to claim an absence at 1e-5")
    if hemodilution.verdict in ("hemodiluted", "possible"):
        code = "HEMODILUTED" if not hemodilution.quality_ok else "HEMODILUTION_POSSIBLE"
        flags.append(f"{code}: {'; '.join(hemodilution.evidence)}")
    if pull is None:
        flags.append("PULL_UNKNOWN: the samplesheet does not say which pull of the aspirate this is")
    elif pull != 1:
        flags.append(f"NOT_FIRST_PULL: pull {pull}; later pulls hold more blood")
    return flags
