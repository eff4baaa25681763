"""The spillover matrix of a run folder from its single stains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.preprocess.compensation import format_spillover_csv
from cytomrd.preprocess.single_stains import SpilloverFit, fit_spillover
from cytomrd.preprocess.spillover_checks import Check, PairEvidence, check_spillover, pair_evidence
from cytomrd.preprocess.stain_tube import StainTube
from cytomrd.run.single_stains import ControlFile, ControlPlan, plan_controls, read_stain_tube
from cytomrd.schema import SPILLOVER_PAIRS, table_to_csv

__all__ = [
    "COMPENSATION_FOLDER",
    "MATRIX_NAME",
    "CompensationResult",
    "compensation_tables",
    "fit_compensation",
    "read_control",
    "read_unstained",
]

# Beside the results and not among them: `gate` replaces its results whole, and needs the matrix to do so.
COMPENSATION_FOLDER = "compensation"
MATRIX_NAME = "spillover.csv"


@dataclass(frozen=True, eq=False)
class CompensationResult:
    """A fitted matrix with everything that tables and page say of it."""

    folder: str
    plan: ControlPlan
    fit: SpilloverFit
    pairs: tuple[PairEvidence, ...]
    checks: tuple[Check, ...]


def fit_compensation(folder: str | Path, *, method: str = "auto", strict: bool = False) -> CompensationResult:
    """Fit the spillover matrix of a folder's single stains; see `plan_controls` and `fit_spillover`.

    Raises
    ------
    RunError, CompensationError, FcsError, SamplesheetError
        If there are no single stains, or one cannot be used.
    """
    plan = plan_controls(folder, strict=strict)
    stains = [read_control(control, plan) for control in plan.stains]
    fit = fit_spillover(stains, plan.detectors, read_unstained(plan), method=method, source=MATRIX_NAME)
    pairs = pair_evidence(fit)
    return CompensationResult(str(folder), plan, fit, pairs, check_spillover(fit, pairs))


def compensation_tables(result: CompensationResult) -> dict[str, str]:
    """Names and texts of the CSV files: the matrix, which `gate` reads, and the evidence for each coefficient."""
    rows = [{c.name: getattr(p, "tube" if c.name == "file" else c.name) for c in SPILLOVER_PAIRS} for p in result.pairs]
    return {
        MATRIX_NAME: format_spillover_csv(result.fit.spillover),
        "spillover_pairs.csv": table_to_csv(SPILLOVER_PAIRS, rows),
    }


def read_control(control: ControlFile, plan: ControlPlan) -> StainTube:
    """Events of one control."""
    return read_stain_tube(
        control.dataset, plan.detectors, plan.scatter,
        name=control.name, stain=control.stain, detector=control.detector,
    )  # fmt: skip


def read_unstained(plan: ControlPlan) -> StainTube | None:
    """The unstained tubes as one; their events count together."""
    tubes = [read_control(control, plan) for control in plan.unstained]
    if not tubes:
        return None
    first = tubes[0]
    return StainTube(
        ", ".join(t.name for t in tubes),
        np.concatenate([t.values for t in tubes]),
        np.concatenate([t.scatter for t in tubes]),
        tops=first.tops,
        scatter_tops=first.scatter_tops,
        steps=first.steps,
        notes=tuple(f"{t.name}: {note}" for t in tubes for note in t.notes),
    )
