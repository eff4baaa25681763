"""Where debris ends and cells begin, on forward and side scatter together, and whether a count of cells may rest on it.

Debris scatters little in both directions, so the boundary falls with side scatter: a straight cut on forward scatter
alone loses small cells where it keeps debris out. Both spread in proportion to their size, so the valley is looked for
on a logarithmic axis, where much debris does not bury it under its tail. Where the panel stains leukocytes, the
brightest of them, which are lymphocytes, tell how large cells are in this file, and how many of the cells carry it.
"""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

import numpy as np

from cytomrd.gating.fit.cuts import INTERVAL, N_BOOTSTRAP, CutDecision
from cytomrd.gating.fit.density import Counts, count_events, find_valley, valley_positions

__all__ = ["CellBoundary", "Stain", "fit_cells"]

MIN_EVENTS = 200
LYMPHOCYTES = (0.24, 0.06)
"""Forward and side scatter that panels expect of lymphocytes (scale 0 to 1)."""
# Where lymphocytes are few, granulocytes are among the brightest too; they are larger.
BRIGHTEST, MIN_BRIGHTEST, SMALLER = 0.05, 20, 0.25
SLOPE = 0.6
"""Weight of side scatter, up to that of lymphocytes, against forward scatter, both as logarithms."""
FLOOR, CEILING = 1e-3, 1e3
# The density's grid holds -4.2 to 1.8 decades of scatter, one decade to a quarter of its scale.
DECADE, ONE = 0.25, 0.75
# A boundary that was found is good to an eighth, one that was not to a factor of 1.4.
SURE_DECADES, UNSURE_DECADES = 0.05, 0.15
MAX_CHANGE = 0.20
MIN_LEUKOCYTES = 0.25
N_VERTICES = 17


@dataclass(frozen=True, eq=False)
class Stain:
    """A stain of leukocytes, such as CD45: its name, its values on the same events, and where it is positive."""

    name: str
    values: np.ndarray
    cut: float

    @property
    def positive(self) -> np.ndarray:
        """Which events are leukocytes, by this stain alone: bool array of shape (n_events,)."""
        return self.values >= self.cut


@dataclass(frozen=True)
class CellBoundary:
    """The boundary between debris and cells.

    Attributes
    ----------
    decision
        Its place on forward scatter, for cells with the side scatter of lymphocytes or more, and the evidence.
    vertices
        A polygon on (forward, side) scatter that holds the cells.
    share
        Fraction of the events that are cells, 0 to 1.
    doubt
        Why no count of cells should rest on it; empty where one may.
    """

    decision: CutDecision
    vertices: tuple[tuple[float, float], ...]
    share: float
    doubt: str


def fit_cells(
    forward: np.ndarray,
    side: np.ndarray,
    *,
    stain: Stain | None = None,
    name: str = "cells",
    marker: str = "FSC-A",
    on: str = "singlets",
    bounds: tuple[float, float] = (0.12, 0.75),
    value: float = 0.30,
    random_state: int = 0,
) -> CellBoundary:
    """Fit the boundary between debris and cells.

    Parameters
    ----------
    forward, side
        Arrays of shape (n_events,): areas of forward and side scatter on their linear scales, 0 to 1.
    stain
        Of leukocytes; None where the tube has none.
    name, marker, on
        For the decision: the population, the channel of forward scatter, the parent.
    bounds
        The boundary lies within these multiples of the forward scatter of lymphocytes.
    value
        The multiple where it is put when the data show none; the count of cells is then in doubt unless it hardly
        matters.
    random_state
        Seed of the bootstrap.

    Examples
    --------
    >>> import numpy as np
    >>> from cytomrd.gating.fit.debris import fit_cells
    >>> rng = np.random.default_rng(0)
    >>> small = rng.random(20_000) < 0.7
    >>> forward = np.where(small, 0.04, 0.26) * np.exp(0.3 * rng.standard_normal(20_000))
    >>> side = np.where(small, 0.02, 0.07) * np.exp(0.3 * rng.standard_normal(20_000))
    >>> boundary = fit_cells(forward, side)
    >>> boundary.decision.status, 0.05 < boundary.decision.value < 0.2, boundary.doubt
    ('fitted', True, '')
    """
    forward, side = (np.clip(np.nan_to_num(v), FLOOR, CEILING) for v in (forward, side))
    lymphocytes = _lymphocytes(forward, side, stain)
    # Decades of forward scatter, less for events with less side scatter than lymphocytes have.
    size = np.log10(forward) + SLOPE * np.minimum(np.log10(side / lymphocytes[1]), 0.0)
    limits = tuple(b * lymphocytes[0] for b in bounds)
    found, evidence = _valley(count_events(ONE + DECADE * size), limits, [random_state, crc32(name.encode())])
    if found is None:
        found, evidence = (value * lymphocytes[0],) * 3, f"{evidence}; the panel's fixed value"
        status, method = "fallback", "fixed"
    else:
        status, method = "fitted", "valley"
    place = found[0]
    cells = size > np.log10(place)
    decision = CutDecision(
        name=name,
        marker=marker,
        method=method,
        value=place,
        low=min(found),
        high=max(found),
        status=status,
        reason=f"{evidence}; lymphocytes lie at {lymphocytes[0]:.2f}; {int(cells.sum())} of {len(size)} events pass",
        n_events=len(size),
        n_smaller=int(min(cells.sum(), (~cells).sum())),
        on=on,
    )
    # Twice what the sample reaches: rarer events reach further, and none of them may be lost.
    ends = (2.0 * max(1.0, float(forward.max(initial=1.0))), 2.0 * max(1.0, float(side.max(initial=1.0))))
    share = float(cells.sum()) / max(1, len(size))
    return CellBoundary(decision, _polygon(place, lymphocytes[1], ends), share, _doubt(size, cells, stain, decision))


def _valley(
    counts: Counts, limits: tuple[float, float], seed: list[int]
) -> tuple[tuple[float, float, float] | None, str]:
    """The valley of size within limits and its 95 % interval, on forward scatter, with the evidence in words."""
    on_grid = tuple(ONE + DECADE * np.log10(limit) for limit in limits)
    valley = find_valley(counts, on_grid) if counts.n_within >= MIN_EVENTS else None
    if valley is None:
        return None, f"no valley between debris and cells within {limits[0]:.3f} to {limits[1]:.3f}"
    resampled = np.random.default_rng(seed).poisson(counts.bins, size=(N_BOOTSTRAP, len(counts.bins)))
    ends = np.quantile(valley_positions(resampled, valley, on_grid), INTERVAL)
    found = tuple(float(10.0 ** ((p - ONE) / DECADE)) for p in (valley.position, *ends))
    return found, (
        f"valley of forward and side scatter together, {valley.depth:.1f} times below the lower peak "
        f"(z = {valley.z:.0f}), seen at {valley.n_bandwidths} of 9 smoothing widths"
    )


def _lymphocytes(forward: np.ndarray, side: np.ndarray, stain: Stain | None) -> tuple[float, float]:
    """Forward and side scatter of the smaller of the brightest leukocytes; the usual ones without a stain."""
    if stain is None or BRIGHTEST * stain.positive.sum() < MIN_BRIGHTEST:
        return LYMPHOCYTES
    brightest = stain.values >= np.quantile(stain.values[stain.positive], 1.0 - BRIGHTEST)
    return tuple(float(np.quantile(scatter[brightest], SMALLER)) for scatter in (forward, side))


def _doubt(size: np.ndarray, cells: np.ndarray, stain: Stain | None, decision: CutDecision) -> str:
    """Why the count of cells is not to be relied on: it hangs on the boundary, or most of them may be none."""
    decades = SURE_DECADES if decision.status == "fitted" else UNSURE_DECADES
    n_least = int((size > np.log10(decision.high) + decades).sum())
    n_most = int((size > np.log10(decision.low) - decades).sum())
    if n_most > (1.0 + MAX_CHANGE) * n_least:
        how = "not sharp" if decision.status == "fitted" else "not seen in the data"
        return (
            f"the boundary between debris and cells is {how}: moved by a factor of {10.0**decades:.1f} to either side "
            f"it leaves {n_least / len(size):.1%} or {n_most / len(size):.1%} of {decision.on!r} as cells"
        )
    if stain is None:
        return ""
    n_positive = int((cells & stain.positive).sum())
    if n_positive < MIN_LEUKOCYTES * cells.sum():
        return (
            f"{n_positive} of {int(cells.sum())} events beyond debris carry {stain.name}, where {MIN_LEUKOCYTES:.0%} "
            "is the least expected: the others may be debris, platelets or red cells"
        )
    return ""


def _polygon(place: float, smooth: float, ends: tuple[float, float]) -> tuple[tuple[float, float], ...]:
    """Forward scatter beyond ``place`` from the side scatter ``smooth`` up, beyond a curve below it."""
    xs = np.geomspace(place, ends[0], N_VERTICES)
    curve = [(float(x), float(smooth * (place / x) ** (1.0 / SLOPE))) for x in xs]
    return (*reversed(curve), (place, ends[1]), (ends[0], ends[1]))
