"""How dense plasma cells are at a place, by how their markers go together in pairs.

The joint density of eight markers cannot be read off a few thousand cells far out, where clones lie. That of each pair
can, and pairs in a tree (Chow and Liu 1968) make a joint density that a dozen cells of one look hardly move.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, map_coordinates

from cytomrd.mrd.mixture import Block
from cytomrd.mrd.rarity import inside_box, pair_tree

__all__ = ["PairDensity", "Tree"]

Tree = list[tuple[int, int]]

# Grid in standard units, and the kernel's SD.
EDGE, N_BINS, BANDWIDTH = 12.0, 72, 0.6
STEP = 2.0 * EDGE / N_BINS
# Events' worth of prior: in favour of markers that do not go together, and of a marker's cells lying anywhere.
PAIR_PRIOR, FLAT_PRIOR = 5.0, 0.5
# Half width of the box in which markers are asked how they go together.
BOX_SD = 1.2


class PairDensity:
    """The cells of one tube on a grid; densities are per unit of each marker."""

    def __init__(self, block: Block):
        self.block = block
        self.at = np.clip(((block.x + EDGE) / STEP).astype(np.int64), 0, N_BINS - 1)
        self.single = [self._single(j) for j in range(block.x.shape[1])]
        self.pairs: dict[tuple[int, int], np.ndarray] = {}

    def _single(self, j: int) -> np.ndarray:
        counts = np.bincount(self.at[:, j], self.block.weight, N_BINS) + FLAT_PRIOR / N_BINS
        smooth = gaussian_filter1d(counts, BANDWIDTH / STEP, mode="nearest")
        return smooth / smooth.sum()

    def _lift(self, i: int, j: int) -> np.ndarray:
        """Log of a pair's density over that of its markers by themselves, on the grid."""
        if (i, j) not in self.pairs:
            flat = np.bincount(self.at[:, i] * N_BINS + self.at[:, j], self.block.weight, N_BINS**2)
            smooth = gaussian_filter(flat.reshape(N_BINS, N_BINS), BANDWIDTH / STEP, mode="nearest")
            by_chance = np.outer(self.single[i], self.single[j])
            together = (smooth + PAIR_PRIOR * by_chance) / (smooth.sum() + PAIR_PRIOR)
            self.pairs[i, j] = np.log(together / by_chance)
        return self.pairs[i, j]

    def tree_near(self, centre: np.ndarray) -> Tree:
        """The pairs that matter most around a centre (n_markers of the tube,)."""
        return pair_tree(inside_box(self.block.x, centre, np.full(len(centre), BOX_SD)), self.block.weight)

    def log_number(self, x: np.ndarray, tree: Tree) -> np.ndarray:
        """Log of cells per unit of each marker at places (n, n_markers of the tube), float64 (n,)."""
        place = np.clip((x + EDGE) / STEP - 0.5, 0.0, N_BINS - 1.0)
        found = np.full(len(place), np.log(max(self.block.total, 1.0)) - place.shape[1] * np.log(STEP))
        for j, single in enumerate(self.single):
            found += np.interp(place[:, j], np.arange(N_BINS), np.log(single))
        for i, j in tree:
            found += map_coordinates(self._lift(i, j), place[:, [i, j]].T, order=1, mode="nearest")
        return found
