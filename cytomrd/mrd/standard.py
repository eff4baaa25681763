"""Plasma cells of several tubes in standard units, and the events that a mixture is fitted to.

Staining and instrument set a marker's scale; in units of the main population's own spread one rule serves all of them.
Tubes of one marrow hold the same cells, so a difference of a shared marker between tubes is staining, and is taken out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.errors import QuantificationError
from cytomrd.mrd.light_chain import KAPPA, LAMBDA, label_light_chains
from cytomrd.mrd.mixture import Block
from cytomrd.panel import AntigenSpec, MrdSpec

__all__ = ["MarkerScale", "StandardView", "TubeCells", "check_tubes", "fitting_sample", "standardise"]

# Events of the mixture's fit: all suspicious ones up to this many per tube, and a sample of the rest.
MAX_SUSPICIOUS, MAX_BULK = 9_000, 2_500
# SDs from the main population above which cells lie on one of the markers that identify them.
LEAST_IDENTITY = -2.0
# SDs from the main population beyond which one event's antigen is suspicious.
SUSPICIOUS_SHIFT = 2.5
# SD of a population on a transformed scale of 0 to 1: where it cannot be measured, and where it must lie.
USUAL_SD, SD_RANGE = 0.05, (0.01, 0.15)
# Events needed on one side of a cut to measure its SD, and how far the rarer side may differ.
MIN_SIDE, UNIT_RATIO = 30, (0.8, 2.5)
# Kappa and lambda cells needed on a side of a cut to compare their widths, and quantiles that place them.
MIN_WIDTHS, ALIGN_LEVELS = 150, np.linspace(0.1, 0.9, 17)
# Tails in which widths are compared, as long as so many cells lie beyond, and how much narrower they are made at most.
TAILS, MIN_BEYOND, LEAST_NARROWING = (0.1, 0.05, 0.02), 15, 0.5


@dataclass(frozen=True)
class TubeCells:
    """Plasma cells of one tube.

    Attributes
    ----------
    tube
        Its id.
    markers
        Names of the columns: antigens, markers that identify plasma cells, light chains. No scatter, no time.
    values : array of shape (n_events, n_markers)
        On the transformed scale, 0 to 1.
    cuts
        Marker to the value between negative and positive, on the same scale; may lack some.
    """

    tube: str
    markers: tuple[str, ...]
    values: np.ndarray
    cuts: Mapping[str, float]


@dataclass(frozen=True)
class MarkerScale:
    """One marker in standard units: 0 at the main population's centre, 1 its SD on either side of the cut.

    Negative and positive cells spread differently on a logicle scale (electronic noise below, expression above), so
    each side of the cut has its own unit; the two meet at the cut.
    """

    cut: float
    sd_below: float
    sd_above: float
    offset: float = 0.0

    def standard(self, values: np.ndarray) -> np.ndarray:
        """From the transformed scale."""
        away = np.asarray(values, dtype=np.float64) - self.cut
        return np.where(away < 0, away / self.sd_below, away / self.sd_above) + self.offset

    def transformed(self, z: float) -> float:
        """Back to the transformed scale."""
        away = z - self.offset
        return self.cut + away * (self.sd_below if away < 0 else self.sd_above)


@dataclass
class StandardView:
    """All tubes in standard units.

    ``x`` per tube (n_finite, n_columns), ``columns`` their places in ``markers``; ``finite`` which events of the tube
    these are; ``chains`` their light chains or None; ``cuts`` in standard units; ``scales`` per marker.
    """

    tubes: tuple[TubeCells, ...]
    markers: tuple[str, ...]
    x: list[np.ndarray]
    columns: list[np.ndarray]
    finite: list[np.ndarray]
    chains: list[np.ndarray | None]
    cuts: dict[str, float]
    scales: tuple[MarkerScale, ...]
    antigens: dict[str, AntigenSpec]
    flags: list[str]

    @property
    def n_events(self) -> int:
        """Plasma cells of all tubes together."""
        return sum(len(x) for x in self.x)

    @property
    def blocks(self) -> list[Block]:
        """All events, one block per tube."""
        return [Block(x, c, np.ones(len(x)), ch) for x, c, ch in zip(self.x, self.columns, self.chains, strict=True)]

    @property
    def floor(self) -> np.ndarray:
        """Middle of each marker's negative cells, float64 (n_markers,).

        -inf where they are next to none, or the main population.
        """
        found = np.full(len(self.markers), -np.inf)
        for i, marker in enumerate(self.markers):
            values = _pooled(self.x, self.columns, i)
            negative = values[values < self.cuts.get(marker, -np.inf)]
            if len(negative) >= MIN_SIDE and np.median(negative) < -SUSPICIOUS_SHIFT:
                found[i] = np.median(negative)
        return found

    def is_identified(self, centre: np.ndarray) -> bool:
        """Whether cells around a centre (n_markers,) are of the wanted kind by one marker at least.

        Those are the markers that are no antigens of the clone's: plasma cells may have lost CD38 or CD138, cells with
        neither are others that the gates let through. True where fewer than two are measured.
        """
        identify = [i for i, m in enumerate(self.markers) if m not in self.antigens]
        return len(identify) < 2 or bool(centre[identify].max() > LEAST_IDENTITY)

    @property
    def has_chains(self) -> bool:
        """Whether any tube tells light chains."""
        return any(c is not None for c in self.chains)


def check_tubes(tubes: Sequence[TubeCells], spec: MrdSpec) -> None:
    """Refuse tubes that do not fit their markers, or hold no antigen of the panel."""
    if not tubes:
        raise QuantificationError(f"no tube with {spec.cell}s was given; at least one is needed")
    if len({t.tube for t in tubes}) < len(tubes):
        raise QuantificationError(f"tubes {[t.tube for t in tubes]}: each tube may be given once")
    for t in tubes:
        if t.values.ndim != 2 or t.values.shape[1] != len(t.markers) or len(set(t.markers)) < len(t.markers):
            raise QuantificationError(
                f"tube {t.tube}: values of shape {t.values.shape} for markers {list(t.markers)}; need one column each"
            )
    seen = {m for t in tubes for m in t.markers}
    if not seen & {a.marker for a in spec.antigens}:
        raise QuantificationError(
            f"markers {sorted(seen)}: none of the panel's antigens {[a.marker for a in spec.antigens]} is among them"
        )


def standardise(tubes: Sequence[TubeCells], spec: MrdSpec) -> StandardView:
    """Bring the tubes of one marrow onto common units, and read their light chains."""
    light = {spec.kappa_marker, spec.lambda_marker}
    markers = tuple(dict.fromkeys(m for t in tubes for m in t.markers if m not in light))
    flags, values, columns, finite, chains = [], [], [], [], []
    for t in tubes:
        own = [m for m in t.markers if m not in light]
        selected = np.asarray(t.values, dtype=np.float64)[:, [t.markers.index(m) for m in own]]
        good = np.isfinite(selected).all(axis=1)
        if not good.all():
            flags.append(f"NON_FINITE: {np.count_nonzero(~good)} {spec.cell}s of tube {t.tube} were not judged")
        places = np.array([markers.index(m) for m in own])
        order = np.argsort(places)
        values.append(selected[good][:, order])
        columns.append(places[order])
        finite.append(good)
        found = label_light_chains(np.asarray(t.values, dtype=np.float64), t.markers, t.cuts, spec)
        chains.append(None if found is None else found[good])
        if found is None and light & set(t.markers):
            flags.append(f"LIGHT_CHAINS_UNREADABLE: no clear cut for kappa and lambda in tube {t.tube}")
    shift = _tube_shifts(values, columns, len(markers))
    shifted = [v - shift[i][c] for i, (v, c) in enumerate(zip(values, columns, strict=True))]
    cuts = _common_cuts(tubes, markers, shift)
    scales = tuple(_marker_scale(_pooled(shifted, columns, i), cuts.get(m)) for i, m in enumerate(markers))
    x = [
        np.stack([scales[c].standard(v[:, i]) for i, c in enumerate(cols)], axis=1) if len(cols) else v
        for v, cols in zip(shifted, columns, strict=True)
    ]
    standard_cuts = {m: float(scales[markers.index(m)].standard(cut)) for m, cut in cuts.items()}
    for v, cols, found in zip(x, columns, chains, strict=True):
        if found is not None:
            _align_chains(v, [standard_cuts.get(markers[c]) for c in cols], found, spec)
    antigens = {a.marker: a for a in spec.antigens if a.marker in markers}
    return StandardView(tuple(tubes), markers, x, columns, finite, chains, standard_cuts, scales, antigens, flags)


def _align_chains(x: np.ndarray, cuts: Sequence[float | None], chains: np.ndarray, spec: MrdSpec) -> None:
    """Bring kappa and lambda cells onto each other, in place, marker by marker on each side of its cut.

    A light chain is the brightest stain of its tube. What compensation leaves of it moves all cells of that chain on
    other markers, and its shot noise widens their negatives: normal lambda cells then lie beside the kappa cells or
    around them, as a restricted cluster would. Not done where one chain so prevails that a clone may be most of it.
    """
    kappa, lam = chains == KAPPA, chains == LAMBDA
    for j, cut in enumerate(cuts):
        below = np.zeros(len(x), dtype=bool) if cut is None else x[:, j] < cut
        for side in (below, ~below):
            one, other = side & kappa, side & lam
            if min(one.sum(), other.sum()) >= MIN_SIDE and _both_prevail(one.sum(), other.sum(), spec):
                x[one, j], x[other, j] = _aligned(x[one, j], x[other, j], cut)


def _both_prevail(n_kappa: int, n_lambda: int, spec: MrdSpec) -> bool:
    low, high = spec.kappa_lambda_normal
    return bool(low * n_lambda <= n_kappa <= high * n_lambda)


def _aligned(one: np.ndarray, other: np.ndarray, cut: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Both at one median; with enough of both, the wider one brought to the other's width on either side of it.

    What lies at the cut stays there: cells between two levels are few, and moved with a level they would be of one
    light chain on one side of a line.
    """
    # The median alone moves with a few clonal cells; the differences over all quantiles hardly do.
    apart = float(np.median(np.quantile(other, ALIGN_LEVELS) - np.quantile(one, ALIGN_LEVELS)))
    part = len(one) / (len(one) + len(other))
    n = min(len(one), len(other))
    tails = [t for t in TAILS if n * t >= MIN_BEYOND] if n >= MIN_WIDTHS else []
    return (
        _moved(one, other, apart * (1.0 - part), tails, cut),
        _moved(other, one, -apart * part, tails, cut),
    )


def _moved(values: np.ndarray, against: np.ndarray, shift: float, tails: Sequence[float], cut: float | None):
    """Values shifted by so much, and narrowed to ``against`` on either side of the median, out to the last tail."""
    middle, its_middle = np.median(values), np.median(against)
    moved = np.empty_like(values)
    for sign in (-1.0, 1.0):
        rows = (values - middle) * sign >= 0
        levels = [t if sign < 0 else 1.0 - t for t in tails]
        own = np.abs(np.quantile(values, levels) - middle) if tails else np.zeros(0)
        wanted = np.minimum(own, np.abs(np.quantile(against, levels) - its_middle) if tails else own)
        # What is wider still is no shot noise: a clone may lie there.
        wanted = np.maximum.accumulate(np.maximum(wanted, LEAST_NARROWING * own))
        knots, to = np.r_[0.0, own], np.r_[0.0, wanted]
        room = np.inf if cut is None or (cut - middle) * sign < 0 else abs(cut - middle)
        if np.isfinite(room) and room > knots[-1]:
            knots, to = np.r_[knots, room], np.r_[to, room - sign * shift]
        away = np.abs(values[rows] - middle)
        beyond = np.maximum(away - knots[-1], 0.0)
        moved[rows] = middle + shift + sign * (np.interp(away, knots, to) + beyond)
    return moved


def _tube_shifts(values: list[np.ndarray], columns: list[np.ndarray], d: int) -> list[np.ndarray]:
    """Shift of each tube's markers against the first tube that has them: median difference of quantiles."""
    levels = np.linspace(0.05, 0.95, 19)
    shifts = [np.zeros(d) for _ in values]
    for column in range(d):
        reference = None
        for tube, (v, cols) in enumerate(zip(values, columns, strict=True)):
            # With few events the quantiles say less than the instrument's stability does.
            if column not in cols or len(v) < 100:
                continue
            quantiles = np.quantile(v[:, np.flatnonzero(cols == column)[0]], levels)
            if reference is None:
                reference = quantiles
            else:
                shifts[tube][column] = np.median(quantiles - reference)
    return shifts


def _common_cuts(tubes: Sequence[TubeCells], markers: Sequence[str], shift: list[np.ndarray]) -> dict[str, float]:
    """Cut of each marker on the first tube's scale, the mean over the tubes that have one."""
    cuts = {}
    for column, marker in enumerate(markers):
        found = [
            t.cuts[marker] - shift[i][column]
            for i, t in enumerate(tubes)
            if marker in t.markers and t.cuts.get(marker) is not None and np.isfinite(t.cuts[marker])
        ]
        if found:
            cuts[marker] = float(np.mean(found))
    return cuts


def _pooled(values: list[np.ndarray], columns: list[np.ndarray], column: int) -> np.ndarray:
    parts = [v[:, np.flatnonzero(c == column)[0]] for v, c in zip(values, columns, strict=True) if column in c]
    return np.sort(np.concatenate(parts))


def _marker_scale(pooled: np.ndarray, cut: float | None) -> MarkerScale:
    """Units of one marker from its sorted values in all tubes."""
    centre, sd = _densest_half(pooled)
    if cut is None:
        return MarkerScale(centre, sd, sd)
    below, above = (_densest_half(side)[1] if len(side) >= MIN_SIDE else None for side in _sides(pooled, cut))
    if below is None or above is None:
        below = above = below or above or sd
    # A side that holds several levels, or only the tail of the other, must not set a unit of its own.
    if centre < cut:
        above = float(np.clip(above, below * UNIT_RATIO[0], below * UNIT_RATIO[1]))
    else:
        below = float(np.clip(below, above * UNIT_RATIO[0], above * UNIT_RATIO[1]))
    scale = MarkerScale(cut, below, above)
    return replace(scale, offset=-float(scale.standard(centre)))


def _sides(pooled: np.ndarray, cut: float) -> tuple[np.ndarray, np.ndarray]:
    at = int(np.searchsorted(pooled, cut))
    return pooled[:at], pooled[at:]


def _densest_half(ordered: np.ndarray) -> tuple[float, float]:
    """Centre and SD of the densest half of sorted values; half of a normal population spans 1.349 SD."""
    n = ordered.size
    if n < 2:
        return float(ordered[0]) if n else 0.5, USUAL_SD
    half = n // 2
    width = ordered[half:] - ordered[: n - half]
    at = int(np.argmin(width))
    sd = float(np.clip(width[at] / 1.349, *SD_RANGE)) if n >= MIN_SIDE else USUAL_SD
    return float(np.median(ordered[at : at + half])), sd


def fitting_sample(view: StandardView, random_state: int) -> tuple[list[Block], list[np.ndarray]]:
    """Every event with two or more departures from normal, and samples of those with one and with none."""
    rng = np.random.default_rng([random_state, 1])
    blocks, aberrant = [], []
    for x, cols, chains in zip(view.x, view.columns, view.chains, strict=True):
        departures = _departures(view, x, cols)
        weight, keep = np.ones(len(x)), np.zeros(len(x), dtype=bool)
        for least, most, limit in ((0, 0, MAX_BULK), (1, 1, MAX_BULK), (2, len(cols), MAX_SUSPICIOUS)):
            rows = np.flatnonzero((departures >= least) & (departures <= most))
            chosen = rows if len(rows) <= limit else np.sort(rng.choice(rows, limit, replace=False))
            keep[chosen] = True
            if len(chosen):
                weight[chosen] = len(rows) / len(chosen)
        blocks.append(Block(x[keep], cols, weight[keep], None if chains is None else chains[keep]))
        aberrant.append(departures[keep] >= 1)
    return blocks, aberrant


def _departures(view: StandardView, x: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """How many antigens of each event lie beyond the cut, or far from the main population, on the abnormal side."""
    count = np.zeros(len(x), dtype=np.int64)
    for place, column in enumerate(cols):
        antigen = view.antigens.get(view.markers[column])
        if antigen is None or antigen.normal == "+/-":
            continue
        value, cut = x[:, place], view.cuts.get(antigen.marker)
        aberrant = np.zeros(len(x), dtype=bool)
        if "reduced" in antigen.abnormal and antigen.normal == "+":
            aberrant |= value < (-SUSPICIOUS_SHIFT if cut is None else cut)
            aberrant |= value < -SUSPICIOUS_SHIFT if cut is None or cut < 0 else aberrant
        if "increased" in antigen.abnormal and antigen.normal == "-":
            aberrant |= value > (SUSPICIOUS_SHIFT if cut is None else cut)
            aberrant |= value > SUSPICIOUS_SHIFT if cut is None or cut > 0 else aberrant
        count += aberrant
    return count
