"""Simulated tubes as FCS files: header, chunks, counts; and the samplesheet of a run folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from cytomrd.fcs.writer import write_fcs
from cytomrd.simulate.truth import TubeTruth, write_csv
from cytomrd.simulate.tube import TIMESTEP_S, TubePlan

__all__ = ["TubeFile", "write_events", "write_samplesheet", "write_tube"]

_SAMPLESHEET = (
    "file", "sample_id", "subject_id", "visit", "day", "collected_at", "acquired_at", "matrix", "panel", "tube",
    "role", "prior_therapy", "pull", "beads_per_tube", "bead_lot", "sample_volume_ul", "dilution",
    "wbc_10e9_per_l", "cbc_at",
)  # fmt: skip


@dataclass(frozen=True)
class TubeFile:
    """A file to be written: its plan, its row of the samplesheet, its time of acquisition."""

    path: str
    plan: TubePlan
    row: Mapping[str, object]
    acquired_at: datetime


def write_tube(
    folder: Path, file: TubeFile, blocks: Iterator[tuple[np.ndarray, np.ndarray]], *, random_state: int
) -> tuple[TubeTruth, np.ndarray]:
    """Write a file chunk by chunk; returns its counts and its labels (uint8, one an event)."""
    plan, path = file.plan, folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = np.empty(plan.n_events, dtype=np.uint8)

    def events() -> Iterator[np.ndarray]:
        first = 0
        for values, names in blocks:
            labels[first : first + len(names)] = names
            first += len(names)
            yield values

    write_events(path, file, events(), random_state=random_state)
    names = plan.label_names
    clogged = labels[plan.in_clog(0, plan.n_events)]
    truth = TubeTruth(
        file=file.path,
        sample_id=str(file.row["sample_id"]),
        tube=str(file.row["tube"]),
        label_names=names,
        n_events=tuple(np.bincount(labels, minlength=len(names)).tolist()),
        n_in_clog=tuple(np.bincount(clogged, minlength=len(names)).tolist()),
    )
    return truth, labels


def write_events(path: Path, file: TubeFile, blocks: Iterator[np.ndarray], *, random_state: int) -> None:
    """Write the FCS file alone, from blocks of events."""
    plan = file.plan
    ranges = [plan.law.top] * len(plan.channel_detectors)
    ranges[-1] = max(plan.law.top, np.ceil(plan.duration_s / TIMESTEP_S) + 1)
    write_fcs(
        path, blocks, plan.channel_detectors, n_events=plan.n_events, markers=plan.channel_markers, ranges=ranges,
        spillover=plan.spillover, timestep=TIMESTEP_S,
        keywords=_keywords(file, random_state),
    )  # fmt: skip


def _keywords(file: TubeFile, random_state: int) -> dict[str, str]:
    end = file.acquired_at + timedelta(seconds=file.plan.duration_s)
    return {
        "$CYT": f"simulated ({file.plan.law.name})",
        "$DATE": file.acquired_at.strftime("%d-%b-%Y").upper(),
        "$BTIM": file.acquired_at.strftime("%H:%M:%S"),
        "$ETIM": end.strftime("%H:%M:%S"),
        "$SRC": str(file.row["sample_id"]),
        "$FIL": Path(file.path).name,
        "$COM": f"simulated by cytomrd, seed {random_state}: no person's cells",
    }


def write_samplesheet(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write a samplesheet, whole or not at all."""
    write_csv(path, rows, columns=_SAMPLESHEET)
