"""Plasma cells in standard units: kappa and lambda cells are brought onto each other."""

from __future__ import annotations

import numpy as np
from simulated_plasma import SPEC, TUNED, simulate

from cytomrd.mrd.clonality import TubeCells
from cytomrd.mrd.light_chain import KAPPA, LAMBDA
from cytomrd.mrd.standard import standardise


def test_wider_negatives_of_a_light_chain_are_brought_to_the_others_width():
    """The spill of a bright stain widens the negatives of its cells: beyond all kappa cells lay lambda ones only."""
    cells, _ = simulate(TUNED[0], 22, n_normal=6_000, reactive=0.1)
    tube = cells[1]
    values, column = tube.values.copy(), tube.markers.index("CD19")
    wide = (values[:, tube.markers.index("CyIgLambda")] > 0.45) & (values[:, column] < tube.cuts["CD19"])
    middle = np.median(values[wide, column])
    values[wide, column] = middle + 1.6 * (values[wide, column] - middle)
    view = standardise([cells[0], TubeCells("2", tube.markers, values, tube.cuts)], SPEC)
    cd19 = view.x[1][:, list(view.columns[1]).index(view.markers.index("CD19"))]
    negative = cd19 < view.cuts["CD19"]
    low = {c: np.quantile(cd19[negative & (view.chains[1] == c)], [0.02, 0.1, 0.5]) for c in (KAPPA, LAMBDA)}
    assert np.abs(low[LAMBDA] - low[KAPPA]).max() < 0.5
    assert np.ptp(low[LAMBDA]) < 1.15 * np.ptp(low[KAPPA])


def light_chains_by_window(view, edges):
    """Kappa and lambda CD19- cells of each window of CD19, array (n_windows, 2)."""
    cd19 = view.x[1][:, list(view.columns[1]).index(view.markers.index("CD19"))]
    return np.stack([np.histogram(cd19[view.chains[1] == c], edges)[0] for c in (KAPPA, LAMBDA)], axis=1)


def test_cells_between_two_levels_and_far_out_keep_both_light_chains():
    """Widened negatives were narrowed as a whole: their ends piled up, and beyond lay cells of the other chain only."""
    rng, n = np.random.default_rng(4), 40_000
    cells, _ = simulate(TUNED[0], 22, n_normal=n, reactive=0.1)
    tube = cells[1]
    values, column, cut = tube.values.copy(), tube.markers.index("CD19"), tube.cuts["CD19"]
    low = values[:, column] < cut
    # Long tails: up to the cut, and far below.
    values[low, column] = 0.22 + 0.035 * rng.standard_t(3, low.sum())
    lam = values[:, tube.markers.index("CyIgLambda")] > 0.45
    wide = lam & low
    values[wide, column] = 0.22 + 1.5 * (values[wide, column] - 0.22)
    beyond = low & (values[:, column] >= cut)
    values[beyond, column] = cut - 0.1 * rng.random(beyond.sum())
    view = standardise([cells[0], TubeCells("2", tube.markers, values, tube.cuts)], SPEC)
    counts = light_chains_by_window(view, np.arange(-16.0, view.cuts["CD19"], 0.5))
    lots = counts[counts.sum(axis=1) >= 40]
    share = lots[:, 0] / lots.sum(axis=1)
    assert len(lots) > 8
    assert share.min() > 0.3
    assert share.max() < 0.85


def test_the_floor_is_the_middle_of_negative_cells_where_most_cells_are_positive():
    cells, _ = simulate(TUNED[0], 22, n_normal=6_000)
    view = standardise(cells, SPEC)
    floor = dict(zip(view.markers, view.floor, strict=True))
    both = np.concatenate(
        [x[:, list(c).index(view.markers.index("CD19"))] for x, c in zip(view.x, view.columns, strict=True)]
    )
    negative = both[both < view.cuts["CD19"]]
    assert np.mean(negative < floor["CD19"]) == 0.5
    assert floor["CD19"] < -2.5
    # Normal plasma cells are negative: that is their main population.
    assert floor["CD56"] == floor["CD117"] == -np.inf
