"""Clusters among plasma cells: a mixture grown where events are denser than it explains.

A clone at 1e-5 is about fifteen events in each of two tubes, among hundreds or thousands of normal plasma cells: a
compact cluster in every tube, at the same place and of one light chain. The outliers of normal cells, doublets and dead
cells are scattered. So the mixture starts with the bulk, and a component is added where it raises the likelihood of all
tubes together the most, as long as the gain is more than chance would give; and where a scan (:mod:`cytomrd.mrd.scan`)
finds a place that the mixture smooths over. Light chains take no part in placing a component: they judge it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.spatial import cKDTree

from cytomrd.mrd.light_chain import NORMAL_KAPPA
from cytomrd.mrd.mixture import MIN_GAIN, Block, Mixture, join_components, log_sum
from cytomrd.mrd.scan import Place
from cytomrd.mrd.splits import split_components, split_suspicious

__all__ = ["fit_clusters"]

# Seeds with less gain than this are not worth a refinement.
MIN_SEED_GAIN = 6.0
MAX_ROUNDS = 12
MAX_START = 8
EVENTS_PER_START = 250
N_NEIGHBOURS, N_QUICK, N_SEEDS, N_REFINED = 30, 400, 100, 12
N_REFINE_STEPS, N_GLOBAL_STEPS, N_LAST_STEPS = 12, 3, 15
# Where to look: sizes of a clone in events per tube, and its spread against the main population's.
SIZES = (8.0, 16.0, 40.0, 120.0)
SCALES = (0.7, 1.1)
SCATTER_SD = 2.0
# Components added at once must lie this many SDs apart on some marker.
APART_SD = 2.0
# A place of the scan is a component already, if one lies this near and holds at most so many times its events.
PLACED, CROWD, MIN_PLACED = 1.2, 2.2, 8.0
MIN_SCORE, MIN_EXCESS, MAX_PLACES = 8.0, 6.0, 12
LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass
class _Search:
    """The events among which clusters are sought, their log density under the mixture, and the tubes' totals."""

    blocks: list[Block]
    log_density: list[np.ndarray]
    totals: np.ndarray
    neighbours: list[list[tuple[np.ndarray, np.ndarray]]]


def fit_clusters(
    blocks: Sequence[Block],
    aberrant: Sequence[np.ndarray],
    places: Sequence[Place] = (),
    *,
    random_state: int = 0,
) -> Mixture:
    """Fit the mixture; component 0 is the scatter.

    Parameters
    ----------
    blocks
        One per tube, standardised so that the main population has SD 1 on every marker.
    aberrant
        Per tube, bool (n_events,): events among which clusters are sought.
    places
        Of a scan; the evident ones get a component where there is none.
    random_state
        For the start and the choice of seeds.
    """
    rng = np.random.default_rng(random_state)
    mixture = _start(blocks, rng).fit(blocks, N_LAST_STEPS)
    mixture = split_components(mixture, blocks).fit(blocks, N_GLOBAL_STEPS)
    chosen = [np.flatnonzero(a) for a in aberrant]
    if sum(len(c) for c in chosen) < 5:
        return mixture
    search_blocks = [b.take(c) for b, c in zip(blocks, chosen, strict=True)]
    totals = np.array([max(b.total, 1.0) for b in blocks])
    neighbours = [_neighbours(search_blocks, t) for t in range(len(search_blocks))]
    for _ in range(MAX_ROUNDS):
        density = [log_sum(mixture.log_parts(t, b, light=False)) for t, b in enumerate(search_blocks)]
        found = _additions(_Search(search_blocks, density, totals, neighbours), mixture)
        if not found:
            break
        for added in found:
            mixture = join_components(mixture, added)
        mixture = mixture.fit(blocks, N_GLOBAL_STEPS)
    mixture = split_components(mixture, blocks).fit(blocks, N_GLOBAL_STEPS)
    evident = [p for p in places if p.score > MIN_SCORE and p.excess > MIN_EXCESS]
    for place in evident[:MAX_PLACES]:
        if not _has_component(mixture, place, totals):
            mixture = join_components(mixture, _component_at(place, totals))
    mixture = mixture.fit(blocks, N_LAST_STEPS)
    return split_suspicious(mixture, blocks).fit(blocks, N_GLOBAL_STEPS)


def _has_component(mixture: Mixture, place: Place, totals: np.ndarray) -> bool:
    """Whether a component at this place already holds little else."""
    known = np.isfinite(place.centre)
    apart = np.abs(mixture.mean[:, known] - place.centre[known]).max(axis=1)
    size = mixture.weight.T @ totals
    return bool(((apart < PLACED) & (size < CROWD * max(sum(place.n_inside), MIN_PLACED)) & ~mixture.fixed).any())


def _component_at(place: Place, totals: np.ndarray) -> Mixture:
    """A round component at a place of the scan."""
    d, n_tubes = len(place.centre), len(totals)
    weight = min(max(sum(place.n_inside), 4.0) / totals.sum(), 0.5)
    return Mixture(
        weight=np.full((n_tubes, 1), weight), mean=np.nan_to_num(place.centre)[None], cov=np.eye(d)[None],
        shift=np.zeros((n_tubes, 1, d)), kappa=np.full(1, NORMAL_KAPPA), evaluable=np.array([0.9]),
        fixed=np.zeros(1, bool),
    )  # fmt: skip


def _start(blocks: Sequence[Block], rng: np.random.Generator) -> Mixture:
    """Scatter, and a few components placed by k-means on the markers that all tubes share."""
    d = 1 + max(int(b.columns.max()) for b in blocks)
    shared = blocks[0].columns
    for block in blocks[1:]:
        shared = np.intersect1d(shared, block.columns)
    n_events = sum(len(b.x) for b in blocks)
    k = int(np.clip(n_events // EVENTS_PER_START, 1, MAX_START)) if shared.size else 1
    pooled = np.concatenate([b.x[:, np.searchsorted(b.columns, shared)] for b in blocks])
    pooled_weight = np.concatenate([b.weight for b in blocks])
    labels = np.split(_k_means(pooled, pooled_weight, k, rng), np.cumsum([len(b.x) for b in blocks])[:-1])
    everything = _moments(blocks, [np.ones(len(b.x)) for b in blocks], d)
    mean, cov = [everything[0]], [np.diag(np.maximum(SCATTER_SD**2 * np.diag(everything[1]), 9.0))]
    for j in range(k):
        centre, spread = _moments(blocks, [(label == j).astype(float) for label in labels], d)
        mean.append(centre)
        cov.append(spread)
    weight = np.full((len(blocks), k + 1), 0.98 / k)
    weight[:, 0] = 0.02
    fixed = np.zeros(k + 1, dtype=bool)
    fixed[0] = True
    return Mixture(
        weight=weight, mean=np.array(mean), cov=np.array(cov), shift=np.zeros((len(blocks), k + 1, d)),
        kappa=np.full(k + 1, NORMAL_KAPPA), evaluable=np.full(k + 1, 0.9), fixed=fixed,
    )  # fmt: skip


def _k_means(x: np.ndarray, weight: np.ndarray, k: int, rng: np.random.Generator, n_steps: int = 20) -> np.ndarray:
    if k == 1 or len(x) == 0:
        return np.zeros(len(x), dtype=int)
    clipped = np.clip(x, -8.0, 8.0)
    centres = clipped[rng.choice(len(x), 1)]
    for _ in range(k - 1):
        nearest = _squared_distances(clipped, centres).min(axis=1) * weight
        pick = rng.choice(len(x), p=nearest / nearest.sum()) if nearest.sum() > 0 else rng.integers(len(x))
        centres = np.vstack([centres, clipped[pick]])
    labels = np.zeros(len(x), dtype=int)
    for _ in range(n_steps):
        labels = _squared_distances(clipped, centres).argmin(axis=1)
        for j in range(k):
            inside = labels == j
            if inside.any():
                centres[j] = np.average(clipped[inside], axis=0, weights=weight[inside])
    return labels


def _moments(blocks: Sequence[Block], shares: Sequence[np.ndarray], d: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and diagonal covariance over the tubes that show each marker."""
    n, first, second = np.full(d, 1e-9), np.zeros(d), np.zeros(d)
    for block, share in zip(blocks, shares, strict=True):
        r = share * block.weight
        n[block.columns] += r.sum()
        first[block.columns] += r @ block.x
        second[block.columns] += r @ block.x**2
    mean = first / n
    return mean, np.diag(np.maximum((second - n * mean**2 + 5.0) / (n + 5.0), 0.05))


def _additions(search: _Search, mixture: Mixture) -> list[Mixture]:
    """Components that each raise the likelihood by enough, the best first, none of them near a better one."""
    candidates = sorted(_seed_gains(search), key=lambda c: -c[0])
    tried, refined = [], []
    for gain, tube, row, size, scale in candidates:
        if gain < MIN_SEED_GAIN or len(tried) >= N_REFINED:
            break
        place = (tube, row)
        if any(_near(search, place, other) for other in tried):
            continue
        tried.append(place)
        part, gain = _refine(search, _seed_component(search, mixture, tube, row, size, scale))
        if gain > MIN_GAIN:
            refined.append((gain, part))
    kept: list[Mixture] = []
    for _, part in sorted(refined, key=lambda r: -r[0]):
        if all(_apart(part, other) for other in kept):
            kept.append(part)
    return kept


def _apart(one: Mixture, other: Mixture) -> bool:
    """Whether two components of one share no events to speak of."""
    variance = np.diag(one.cov[0]) + np.diag(other.cov[0])
    return bool(((one.mean[0] - other.mean[0]) ** 2 / variance).max() > APART_SD**2)


def _neighbours(blocks: Sequence[Block], tube: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per tube the events nearest to each event of ``tube`` on the markers both have, and their squared distances.

    Arrays (n_events, k). A tube with other markers than the seed's shows the seed through those it shares.
    """
    origin, found = blocks[tube], []
    for block in blocks:
        common, here, there = np.intersect1d(origin.columns, block.columns, return_indices=True)
        k = min(N_NEIGHBOURS, len(block.x))
        if k == 0 or common.size == 0 or len(origin.x) == 0:
            found.append((np.zeros((len(origin.x), 0), dtype=np.int64), np.zeros((len(origin.x), 0))))
            continue
        distance, rows = cKDTree(block.x[:, there]).query(origin.x[:, here], k=k)
        found.append((rows.reshape(len(origin.x), k), distance.reshape(len(origin.x), k) ** 2))
    return found


def _seed_gains(search: _Search) -> list[tuple]:
    """Gain of a round cluster at each event, at its best size and spread.

    Only the nearest events of each tube are looked at, so the gain of a large cluster is understated, never overstated.
    Returns ``(gain, tube, row, size, scale)`` of the best events.
    """
    best = []
    for tube, origin in enumerate(search.blocks):
        rows = np.arange(len(origin.x))
        # A quick look at one size and spread leaves the events at which all of them are tried.
        quick = _gains(search, tube, rows, ((1.0, SIZES[1]),))
        rows = np.array([r for _, r, *_ in sorted(quick, key=lambda g: -g[0])[:N_QUICK]], dtype=np.int64)
        full = _gains(search, tube, rows, product(SCALES, SIZES))
        best += [(gain, tube, *rest) for gain, *rest in sorted(full, key=lambda g: -g[0])[:N_SEEDS]]
    return best


def _gains(search: _Search, tube: int, rows: np.ndarray, settings) -> list[tuple]:
    """Best ``(gain, row, size, scale)`` of each row over the settings (scale, size)."""
    top, how = np.full(len(rows), -np.inf), np.zeros((len(rows), 2))
    ratios: dict[float, list] = {}
    for scale, size in settings:
        if scale not in ratios:
            ratios[scale] = [
                np.exp(np.minimum(_log_ratios(search, tube, rows, other, scale), 60.0))
                for other in range(len(search.blocks))
            ]
        gain = np.zeros(len(rows))
        for other, ratio in enumerate(ratios[scale]):
            gain += np.log1p(size / search.totals[other] * ratio).sum(axis=1) - size
        better = gain > top
        top[better], how[better] = gain[better], (size, scale)
    return [(float(g), int(r), *h.tolist()) for g, r, h in zip(top, rows, how, strict=True)]


def _log_ratios(search: _Search, tube: int, seeds: np.ndarray, other: int, scale: float) -> np.ndarray:
    """Log of a round cluster's density over the mixture's, at the events of another tube that are nearest."""
    rows, squared = (part[seeds] for part in search.neighbours[tube][other])
    shared = np.intersect1d(search.blocks[tube].columns, search.blocks[other].columns).size
    extra = np.setdiff1d(np.arange(search.blocks[other].x.shape[1]), _shared_places(search, tube, other))
    # Markers of the other tube that the seed lacks: taken as unknown, with a wide normal density.
    wide = -0.5 * (search.blocks[other].x[:, extra] ** 2 / 9.0).sum(axis=1)
    constant = shared * (np.log(scale) + 0.5 * LOG_2PI) + extra.size * (np.log(3.0) + 0.5 * LOG_2PI)
    return -0.5 * squared / scale**2 - constant + (wide - search.log_density[other])[rows]


def _shared_places(search: _Search, tube: int, other: int) -> np.ndarray:
    return np.flatnonzero(np.isin(search.blocks[other].columns, search.blocks[tube].columns))


def _near(search: _Search, one: tuple[int, int], other: tuple[int, int]) -> bool:
    (t1, r1), (t2, r2) = one, other
    a, b = search.blocks[t1], search.blocks[t2]
    common, here, there = np.intersect1d(a.columns, b.columns, return_indices=True)
    return bool(((a.x[r1][here] - b.x[r2][there]) ** 2).mean() < 1.0) if common.size else False


def _seed_component(search, mixture, tube, row, size, scale) -> Mixture:
    """A round component at one event; markers that its tube lacks start at the neighbours' mean in other tubes."""
    d = mixture.mean.shape[1]
    origin = search.blocks[tube]
    mean, cov = np.zeros(d), np.eye(d) * 2.0**2
    mean[origin.columns] = origin.x[row]
    cov[origin.columns, origin.columns] = scale**2
    for block in search.blocks:
        common, here, there = np.intersect1d(origin.columns, block.columns, return_indices=True)
        new = np.setdiff1d(np.arange(len(block.columns)), there)
        if new.size == 0 or len(block.x) == 0 or common.size == 0:
            continue
        squared = ((block.x[:, there] - origin.x[row][here]) ** 2).sum(axis=1)
        closest = np.argsort(squared, kind="stable")[:10]
        mean[block.columns[new]] = np.median(block.x[closest][:, new], axis=0)
    n_tubes = len(search.blocks)
    return Mixture(
        weight=np.full((n_tubes, 1), min(size * n_tubes / search.totals.sum(), 0.5)), mean=mean[None], cov=cov[None],
        shift=np.zeros((n_tubes, 1, d)), kappa=np.array([NORMAL_KAPPA]), evaluable=np.array([0.9]),
        fixed=np.zeros(1, bool),
    )  # fmt: skip


def _refine(search: _Search, part: Mixture) -> tuple[Mixture, float]:
    """Expectation-maximisation of one component against the mixture held fixed, and its gain in log likelihood."""
    gain = -np.inf
    for step in range(N_REFINE_STEPS + 1):
        shares, gain = [], 0.0
        for tube, block in enumerate(search.blocks):
            own = part.log_parts(tube, block, light=False)[:, 0]
            w = min(part.weight[tube, 0], 0.98)
            total = np.logaddexp(search.log_density[tube] + np.log1p(-w), own)
            gain += float((total - search.log_density[tube]).sum())
            # Events outside the search lose the weight that the component takes.
            gain += (search.totals[tube] - len(block.x)) * np.log1p(-w)
            shares.append(np.exp(own - total)[:, None])
        if step == N_REFINE_STEPS or sum(s.sum() for s in shares) < 4.0:
            break
        part = part.step(search.blocks, shares)
        counts = np.array([s.sum() for s in shares])
        part = replace(part, weight=np.full((len(counts), 1), min(counts.sum() / search.totals.sum(), 0.98)))
    return part, gain if sum(s.sum() for s in shares) >= 4.0 else -np.inf


def _squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2.0 * a @ b.T, 0.0)
