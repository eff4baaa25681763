"""How the rare compartment and the denominator of a tube move when its gates move within their evidence.

The file is read once more, for the events that any draw could let into the compartment; the draws then look at those
alone, and at a sample of all events for the denominator. What is drawn: :mod:`cytomrd.gating.perturb`.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.apply import ArrayDataset, apply_gates, transform_events
from cytomrd.gating.fit import FittedGates
from cytomrd.gating.perturb import draw_cuts, draw_spillover, loosened, with_cuts
from cytomrd.preprocess.compensation import Spillover
from cytomrd.run.settings import RunSettings

__all__ = ["GateDraws", "draw_gates", "evidence_path", "spillover_files", "spillover_sd"]

# Beyond what the drawn cuts reach, on the transformed scale: a tenth of it is nearly half a decade.
COMPENSATION_MARGIN = 0.10
# Of the events from which the change of the denominator is taken; the same events in every draw.
SAMPLE_BLOCKS, BLOCK = 6, 8192
PAIRS_NAME = "spillover_pairs.csv"
Z95 = 1.959964


@dataclass(frozen=True, eq=False)
class GateDraws:
    """One tube under moved gates.

    Attributes
    ----------
    events
        int64 (n,): positions in the file of the events that any draw lets into the rare compartment.
    members
        bool (n_draws, n): which of them each draw lets in.
    denominator_ratio
        float64 (n_draws,): events of the denominator over those without moving a gate.
    markers, transformed
        The panel's markers, and float64 (n, n_markers) of the events on the scales as fitted.
    """

    events: np.ndarray
    members: np.ndarray
    denominator_ratio: np.ndarray
    markers: tuple[str, ...]
    transformed: np.ndarray


def draw_gates(
    dataset: FcsDataset,
    fitted: FittedGates,
    spillover: Spillover | None,
    *,
    rare: str,
    denominator: str,
    settings: RunSettings,
    folder: Path,
    n_threads: int = 1,
) -> GateDraws:
    """Move the gates of a tube ``settings.gate_draws`` times.

    Parameters
    ----------
    rare, denominator
        Populations of the panel.
    folder
        The run's, where a spillover matrix of its own may have its evidence beside it.
    """
    rng = np.random.default_rng([settings.random_state, 3])
    sd = None if spillover is None else spillover_sd(spillover, settings, folder)
    cuts = [draw_cuts(fitted, rng) for _ in range(settings.gate_draws)]
    matrices = [None if sd is None else draw_spillover(spillover, sd, rng) for _ in cuts]
    wide = loosened(fitted, cuts, margin=COMPENSATION_MARGIN)
    found = apply_gates(dataset, wide, spillover=spillover, compartments=(rare,), n_threads=n_threads)
    reach = found.compartments[rare]
    near, sample = ArrayDataset(reach.values, dataset.detectors), _sample(dataset)
    usual = max(1, apply_gates(sample, fitted.strategy, spillover=spillover).count(denominator))
    members, ratios = [], []
    for drawn, matrix in zip(cuts, matrices, strict=True):
        strategy = with_cuts(fitted, drawn)
        members.append(apply_gates(near, strategy, spillover=matrix).members(rare))
        ratios.append(apply_gates(sample, strategy, spillover=matrix).count(denominator) / usual)
    ever = np.any(members, axis=0)
    axes = [fitted.axes[m] for m in fitted.axes]
    return GateDraws(
        events=reach.events[ever],
        members=np.array(members)[:, ever],
        denominator_ratio=np.array(ratios),
        markers=tuple(fitted.axes),
        transformed=transform_events(reach.values[ever], dataset.detectors, axes, fitted.strategy, spillover),
    )


def evidence_path(settings: RunSettings, folder: Path) -> Path | None:
    """Where the evidence for the run's own matrix would lie: beside it. None where the run names no matrix."""
    return None if settings.spillover is None else (folder / settings.spillover).with_name(PAIRS_NAME)


def spillover_files(settings: RunSettings, folder: Path) -> list[Path]:
    """The run's own matrix and the evidence for it, where there are any."""
    if settings.spillover is None:
        return []
    return [path for path in (folder / settings.spillover, evidence_path(settings, folder)) if path.is_file()]


def spillover_sd(spillover: Spillover, settings: RunSettings, folder: Path) -> np.ndarray:
    """Standard error of each coefficient, float64 of the matrix' shape.

    From the evidence that ``cytomrd compensation`` wrote beside the run's matrix: the interval of the coefficient, or
    what it left of the brightest cells where that is more. A matrix without evidence has the relative error
    ``settings.spillover_error``.
    """
    sd = settings.spillover_error * np.abs(spillover.matrix)
    pairs = evidence_path(settings, folder)
    if pairs is not None and pairs.is_file():
        place = {name: i for i, name in enumerate(spillover.detectors)}
        with pairs.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["detector"] in place and row["spill_detector"] in place:
                    chance = (float(row["ci_high"]) - float(row["ci_low"])) / (2 * Z95)
                    left = abs(float(row["residual_bright"] or 0.0))
                    sd[place[row["detector"]], place[row["spill_detector"]]] = max(chance, left)
    np.fill_diagonal(sd, 0.0)
    return sd


def _sample(dataset: FcsDataset) -> ArrayDataset:
    """Blocks of events spread evenly over the file."""
    n = dataset.n_events
    starts = range(0, n, BLOCK) if n <= SAMPLE_BLOCKS * BLOCK else np.linspace(0, n - BLOCK, SAMPLE_BLOCKS).astype(int)
    parts = [dataset.read_events(events=slice(int(s), min(n, int(s) + BLOCK))) for s in starts]
    return ArrayDataset(np.concatenate(parts), dataset.detectors)
