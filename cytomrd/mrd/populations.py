"""Large populations of normal plasma cells, as a second opinion on how many normal cells a place holds.

Pairs of markers (:mod:`cytomrd.mrd.pair_density`) know no population that only three markers together tell apart, and
expect next to no cell in the midst of one. The mixture knows those that are large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.mixture import Block, Mixture, log_sum

__all__ = ["Populations", "normal_populations"]

# A smaller component may be a clone's, whatever its light chains say: a clone to be found has a few dozen cells.
LEAST_CELLS = 100.0
# So many stand for none, whose log there is not.
NO_CELLS = 1e-300


@dataclass(frozen=True, eq=False)
class Populations:
    """Components of a mixture, and all cells of each tube."""

    mixture: Mixture
    totals: tuple[float, ...]

    def log_number(self, tube: int, block: Block) -> np.ndarray:
        """Log of their cells per unit of each marker where each event lies, float64 (n_events,)."""
        return np.log(max(self.totals[tube], NO_CELLS)) + log_sum(self.mixture.log_parts(tube, block, light=False))


def normal_populations(mixture: Mixture, verdicts: Sequence[Verdict], blocks: Sequence[Block]) -> Populations | None:
    """The large components that are called normal; None if there are none."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    large = [k for k, v in enumerate(verdicts) if v.call == "normal" and size[k] >= LEAST_CELLS]
    return Populations(mixture.take(large), tuple(b.total for b in blocks)) if large else None
