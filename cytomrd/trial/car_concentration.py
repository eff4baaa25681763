"""What a concentration of CAR-NK cells is: cells per microlitre, or percent of NK cells where there is no volume.

A marrow has no cells per microlitre unless the instrument is volumetric; its concentration is then the fraction. One
matrix has one unit throughout a study, so that no table and no profile ever mixes the two.
"""

from __future__ import annotations

import pandas as pd

__all__ = ["CELLS_PER_UL", "PERCENT_OF_NK", "with_concentrations"]

CELLS_PER_UL, PERCENT_OF_NK = "cells/uL", "% of NK"
_ABSOLUTE = {"": "cells_per_ul", "_low": "cells_per_ul_low", "_high": "cells_per_ul_high", "_lloq": "lloq_cells_per_ul"}
_FRACTION = {"": "net_fraction", "_low": "ci_low", "_high": "ci_high", "_lloq": "lloq_fraction"}


def with_concentrations(flow: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``flow_car_nk`` with ``concentration``, ``_low``, ``_high``, ``_lloq`` and ``_unit`` added.

    Cells per microlitre in a matrix where any sample has them, else percent of NK cells.
    """
    parts = []
    for _, rows in flow.groupby("MATRIX", sort=False):
        absolute = bool(rows["cells_per_ul"].notna().any())
        names, scale = (_ABSOLUTE, 1.0) if absolute else (_FRACTION, 100.0)
        added = {f"concentration{end}": scale * rows[name] for end, name in names.items()}
        parts.append(rows.assign(**added, concentration_unit=CELLS_PER_UL if absolute else PERCENT_OF_NK))
    if not parts:
        empty = {f"concentration{end}": pd.Series(dtype="float64") for end in _ABSOLUTE}
        return flow.assign(**empty, concentration_unit=pd.Series(dtype=object))
    return pd.concat(parts).sort_index()
