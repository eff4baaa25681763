"""Which rare cells are in a population: the gates, applied to those few events again."""

from __future__ import annotations

import numpy as np

from cytomrd.gating.apply import ArrayDataset, apply_gates
from cytomrd.gating.gates import ROOT
from cytomrd.run.model import FileResult, RareCells

__all__ = ["rare_members"]


def rare_members(file: FileResult, cells: RareCells, population: str) -> np.ndarray:
    """bool (n_cells,): which of a compartment's cells are in a population of the same tube."""
    everyone = np.ones(len(cells.events), dtype=bool)
    if population in (ROOT, cells.population) or population in file.strategy.gate_path(cells.population):
        return everyone
    if not len(cells.events):
        return everyone
    return apply_gates(ArrayDataset(cells.raw, file.detectors), file.strategy).members(population)
