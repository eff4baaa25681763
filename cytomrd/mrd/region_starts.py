"""Where clones are looked for: components of the mixture that may be a piece of one, and places that scans found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.mixture import Block, Mixture
from cytomrd.mrd.phenotype import AntigenScore, NormalLevel, score_antigen
from cytomrd.mrd.region_cells import Cells
from cytomrd.mrd.region_clone import Start
from cytomrd.mrd.rule import MIN_EVALUABLE
from cytomrd.mrd.sharing import settled_centre
from cytomrd.mrd.standard import StandardView

__all__ = ["MAX_START", "starts_of", "with_settled"]

# Aberrant antigens and events of a component from which a clone is looked for; a larger one is judged as it is.
MIN_ABERRANT, MIN_START, MAX_START = 2, 3.0, 400.0
# Settled places nearer to each other than this on every marker are one.
SAME_PLACE = 0.5
# The main population in standard units.
MAIN_POPULATION = NormalLevel(0.0, 1.0, 100.0)


def starts_of(
    mixture: Mixture,
    verdicts: Sequence[Verdict],
    blocks: Sequence[Block],
    dense: Sequence[np.ndarray],
    one_chain: Sequence[np.ndarray],
    view: StandardView,
) -> list[Start]:
    """Components that may be a piece of a clone, and centres (n_markers,) of the scans by number and by light chain."""
    size = mixture.weight[0] * sum(b.total for b in blocks)
    starts = []
    for k, v in enumerate(verdicts):
        suspicious = MIN_START <= size[k] <= MAX_START and _is_suspicious(mixture.mean[k], v.antigens, view)
        if suspicious and not mixture.fixed[k] and mixture.evaluable[k] >= MIN_EVALUABLE:
            starts.append(Start(mixture.mean[k] + mixture.shift[:, k], v.antigens))
    for centres, tried in ((dense, 1), (one_chain, max(len(one_chain), 1))):
        for centre in map(np.nan_to_num, centres):
            antigens = _scores(centre, view)
            if _is_suspicious(centre, antigens, view):
                starts.append(Start(np.repeat(centre[None], len(blocks), axis=0), antigens, tried))
    return starts


def with_settled(starts: Sequence[Start], cells: Cells, view: StandardView) -> list[Start]:
    """The starts, and where those settle that move to a place of their own."""
    found, places = list(starts), []
    for start in starts:
        centre = settled_centre(start.centre, cells.densities, cells.usual)
        middle = centre.mean(axis=0)
        if any(np.abs(middle - place).max() < SAME_PLACE for place in places):
            continue
        antigens = _scores(middle, view)
        if _is_suspicious(middle, antigens, view):
            places.append(middle)
            found.append(Start(centre, antigens, start.tried))
    return found


def _is_suspicious(centre: np.ndarray, antigens: Sequence[AntigenScore], view: StandardView) -> bool:
    return sum(a.aberrant for a in antigens) >= MIN_ABERRANT and view.is_identified(centre)


def _scores(centre: np.ndarray, view: StandardView) -> tuple[AntigenScore, ...]:
    return tuple(
        score_antigen(a, centre[view.markers.index(m)], view.cuts.get(m), MAIN_POPULATION)
        for m, a in view.antigens.items()
    )
