"""Which spillover matrix a file of a run is compensated with."""

from __future__ import annotations

from pathlib import Path

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.preprocess.compensation import Spillover, read_spillover_csv
from cytomrd.run.settings import RunSettings

__all__ = ["file_spillover"]


def file_spillover(dataset: FcsDataset, settings: RunSettings, folder: Path) -> Spillover | None:
    """The run's matrix where one is given, else the file's own; None where there is neither."""
    if settings.spillover is not None:
        return read_spillover_csv(folder / settings.spillover)
    return dataset.spillover
