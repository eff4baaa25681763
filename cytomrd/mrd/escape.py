"""Antigen escape: a therapy's target that the clone has lost or carries less of than the normal plasma cells.

The plasma-cell gate stands on other markers too, so such a clone is found; that its target is low is a finding to
report (CD38 after anti-CD38, CD269 after anti-BCMA).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.mrd.judge import Verdict
from cytomrd.mrd.mixture import Mixture
from cytomrd.mrd.standard import StandardView
from cytomrd.panel import MrdSpec

__all__ = ["escape_flags"]

# SDs of the normal cells below their centre from which a target is low; fewer normal cells are no yardstick.
LOW_SD, MIN_NORMAL = 2.5, 30.0


def escape_flags(
    mixture: Mixture, verdicts: Sequence[Verdict], n_events: np.ndarray, view: StandardView, spec: MrdSpec
) -> list[str]:
    """``ESCAPE`` flags, one for each therapy's marker that is low on the clone.

    Parameters
    ----------
    mixture, verdicts
        Components and their calls.
    n_events : array of shape (n_components,)
        Events of each, over all tubes.
    view
        For the markers' names and cuts.
    spec
        For the therapies and their markers.
    """
    clone = np.array([v.call == "clonal" for v in verdicts]) * n_events
    normal = np.array([v.call == "normal" and not f for v, f in zip(verdicts, mixture.fixed, strict=True)]) * n_events
    flags: list[str] = []
    for marker in dict.fromkeys(m for therapy in spec.therapies for m in therapy.markers):
        if marker not in view.markers or clone.sum() <= 0:
            continue
        column = view.markers.index(marker)
        level = float(clone @ mixture.mean[:, column] / clone.sum())
        if normal.sum() >= MIN_NORMAL:
            share = normal / normal.sum()
            centre = float(share @ mixture.mean[:, column])
            spread = share @ (mixture.cov[:, column, column] + (mixture.mean[:, column] - centre) ** 2)
            shift = (level - centre) / float(np.sqrt(spread))
            if shift < -LOW_SD:
                flags.append(f"ESCAPE: {marker} of the clone is {-shift:.1f} SD below that of normal {spec.cell}s")
        elif marker in view.cuts and level < view.cuts[marker]:
            flags.append(f"ESCAPE: {marker} of the clone is below the cut; there are no normal {spec.cell}s beside it")
    return flags
