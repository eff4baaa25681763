"""The demo run folder: FCS files, a samplesheet, and the truth beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from cytomrd.errors import RunError
from cytomrd.simulate.blood import plan_blood_tube
from cytomrd.simulate.donors import draw_donor
from cytomrd.simulate.files import TubeFile, write_events, write_samplesheet, write_tube
from cytomrd.simulate.laws import LAWS, Law
from cytomrd.simulate.marrow import MARROW_TUBES, plan_marrow_tube
from cytomrd.simulate.plasma import CLONES
from cytomrd.simulate.scenario import (
    BEADS_PER_TUBE,
    BLOOD_SUBJECT,
    BLOODS,
    MARROWS,
    SAMPLE_VOLUME_UL,
    DemoBlood,
    DemoMarrow,
)
from cytomrd.simulate.truth import BloodTruth, DemoTruth, MarrowTruth, TubeTruth, write_truth
from cytomrd.simulate.tube import Clog

__all__ = ["write_demo", "write_example_tube"]

Progress = Callable[[int, int, str], None]


def write_demo(
    folder: str | os.PathLike,
    *,
    events: int | float | None = None,
    random_state: int = 20260101,
    law: Law = LAWS["clinical"],
    threads: int | None = None,
    progress: Progress | None = None,
    overwrite: bool = False,
) -> DemoTruth:
    """Write a run folder with known truth.

    A marrow at about 1e-5 in two tubes, a negative one of the same size, one too small to evaluate, one clearly
    positive; and one patient's blood from before the infusion to day 28. Truth goes to ``folder/truth``: per sample
    (``marrow.csv``, ``blood.csv``), per file and population (``populations.csv``), and per event
    (``labels/*.npy``, uint8, numbered as in ``populations.csv``).

    Parameters
    ----------
    folder
        Made where it does not exist.
    events
        Events of the two tubes of the 1e-5 marrow together (default 3.6e6). The rest keeps its size.
    random_state
        The same seed gives the same bytes, for any number of threads.
    law
        How the cells are measured.
    threads
        Default: the processors of this machine, at most 4.
    progress
        Called with events written, events in all, and the file's path.
    overwrite
        Allow a folder that has a samplesheet already.

    Returns
    -------
    DemoTruth

    Raises
    ------
    RunError
        If the folder has a samplesheet, or ``events`` is too small to hold the marrow.

    Examples
    --------
    >>> from cytomrd.simulate.demo import write_demo
    >>> truth = write_demo("run")  # doctest: +SKIP
    """
    folder = Path(folder)
    if (folder / "samplesheet.csv").exists() and not overwrite:
        raise RunError(f"{folder} holds a samplesheet.csv already; give an empty folder, or allow it to be overwritten")
    marrows = MARROWS if events is None else (replace(MARROWS[0], events_per_tube=_per_tube(events)), *MARROWS[1:])
    threads = min(4, os.cpu_count() or 1) if threads is None else threads
    seeds = iter(np.random.SeedSequence(random_state).spawn(len(marrows) + 1))
    subjects = sorted({m.subject_id for m in marrows} | {BLOOD_SUBJECT})
    donors = {s: np.random.SeedSequence((random_state, i)) for i, s in enumerate(subjects)}
    groups = [list(_marrow_files(entry, law, donors[entry.subject_id], next(seeds))) for entry in marrows]
    bloods = list(_blood_files(law, donors[BLOOD_SUBJECT], next(seeds)))
    files = [f for group in groups for f in group] + bloods
    total = sum(f.plan.n_events for f in files)

    (folder / "truth" / "labels").mkdir(parents=True, exist_ok=True)
    tubes, done = {}, 0
    for file in files:
        tubes[file.path] = _write_file(folder, file, threads, done, total, progress, random_state)
        done += file.plan.n_events
    truth = DemoTruth(
        folder=folder,
        random_state=random_state,
        law=law.name,
        marrows=tuple(
            _marrow_truth(m, [tubes[f.path] for f in group]) for m, group in zip(marrows, groups, strict=True)
        ),
        bloods=tuple(
            BloodTruth.of(tubes[f.path], entry, BLOOD_SUBJECT, beads_per_tube=BEADS_PER_TUBE,
                          sample_volume_ul=SAMPLE_VOLUME_UL)
            for f, entry in zip(bloods, BLOODS, strict=True)
        ),
        tubes=tuple(tubes.values()),
        n_events=total,
        n_bytes=sum((folder / f.path).stat().st_size for f in files),
    )  # fmt: skip
    write_truth(folder / "truth", truth)
    write_samplesheet(folder / "samplesheet.csv", [f.row for f in files])
    return truth


def write_example_tube(
    path: str | os.PathLike,
    *,
    n_events: int = 60_000,
    tube: str = "2",
    mrd_fraction: float = 1e-3,
    random_state: int = 0,
) -> Path:
    """Write one small marrow tube with a clone, for examples; returns its path.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from cytomrd.simulate.demo import write_example_tube
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_example_tube(Path(folder) / "marrow.fcs", n_events=20_000)
    ...     path.stat().st_size > 20_000 * 12 * 4
    True
    """
    law = LAWS["clinical"]
    plan = plan_marrow_tube(
        law, draw_donor(law, random_state), n_events, 0.004, clone=CLONES["typical"],
        n_clonal=round(mrd_fraction * n_events), tube=tube, clogs=(), random_state=random_state,
    )  # fmt: skip
    path = Path(path)
    acquired = datetime(2026, 3, 2, 14)
    file = TubeFile(path.name, plan, {"sample_id": path.stem}, acquired)
    write_events(path, file, (events for events, _ in plan.chunks()), random_state=random_state)
    return path


def _per_tube(events: int | float) -> int:
    if not (np.isfinite(events) and events >= 20_000):
        raise RunError(f"events is {events}; the two tubes together need at least 20000")
    return round(events / 2)


def _marrow_files(
    entry: DemoMarrow, law: Law, donor_seed: np.random.SeedSequence, seed: np.random.SeedSequence
) -> Iterator[TubeFile]:
    tube_seeds = seed.spawn(len(MARROW_TUBES))
    donor = draw_donor(law, donor_seed, masked=entry.masked)
    nucleated = entry.events_per_tube * (1 - law.doublets - law.debris - law.dead)
    n_clonal = round(entry.clonal_fraction * nucleated)
    for i, (tube, tube_seed) in enumerate(zip(MARROW_TUBES, tube_seeds, strict=True)):
        clogs = (Clog(0.62, 0.012),) if tube == entry.clogged_tube else ()
        plan = plan_marrow_tube(
            law, donor, entry.events_per_tube, entry.plasma_fraction, clone=entry.clone,
            n_clonal=n_clonal if entry.clone else None, tube=tube, clogs=clogs, random_state=tube_seed,
        )  # fmt: skip
        acquired = entry.collected_at + timedelta(hours=4, minutes=25 * i)
        path = f"marrow/{entry.sample_id}_tube{tube}.fcs"
        row = {
            **_common_row(path, entry, entry.subject_id, acquired),
            "matrix": "BM", "panel": "euroflow-mm-mrd", "tube": tube, "role": "sample",
            "prior_therapy": entry.prior_therapy, "pull": 1,
        }  # fmt: skip
        yield TubeFile(path, plan, row, acquired)


def _blood_files(law: Law, donor_seed: np.random.SeedSequence, seed: np.random.SeedSequence) -> Iterator[TubeFile]:
    tube_seeds = seed.spawn(len(BLOODS))
    donor = draw_donor(law, donor_seed)
    for entry, tube_seed in zip(BLOODS, tube_seeds, strict=True):
        plan = plan_blood_tube(
            law, donor, entry.blood, entry.n_leukocytes, beads_per_tube=BEADS_PER_TUBE if entry.beads else None,
            sample_volume_ul=SAMPLE_VOLUME_UL, n_car_nk=entry.n_car_nk,
            clogs=(Clog(0.40, 0.015),) if entry.clogged else (), random_state=tube_seed,
        )  # fmt: skip
        acquired = entry.collected_at + timedelta(hours=3)
        path = f"blood/{entry.sample_id}.fcs"
        row = {
            **_common_row(path, entry, BLOOD_SUBJECT, acquired),
            "matrix": "PB", "panel": "car-nk-bcma", "tube": "1", "role": entry.role, **_counting(entry),
        }  # fmt: skip
        yield TubeFile(path, plan, row, acquired)


def _counting(entry: DemoBlood) -> dict[str, object]:
    if entry.beads:
        beads = {"beads_per_tube": BEADS_PER_TUBE, "bead_lot": "SIM-0001"}
        return {**beads, "sample_volume_ul": SAMPLE_VOLUME_UL, "dilution": 1}
    cbc_at = entry.collected_at + timedelta(minutes=30)
    return {"wbc_10e9_per_l": entry.blood.leukocytes_per_ul / 1000, "cbc_at": cbc_at.isoformat()}


def _common_row(path: str, entry: DemoMarrow | DemoBlood, subject_id: str, acquired: datetime) -> dict[str, object]:
    return {
        "file": path,
        "sample_id": entry.sample_id,
        "subject_id": subject_id,
        "visit": entry.visit,
        "day": f"{entry.day:g}",
        "collected_at": entry.collected_at.isoformat(),
        "acquired_at": acquired.isoformat(),
    }


def _write_file(
    folder: Path, file: TubeFile, threads: int, done: int, total: int, progress: Progress | None, random_state: int
) -> TubeTruth:
    """Write one file and its labels, one byte an event; returns its counts."""

    def blocks() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        written = done
        for events, names in file.plan.chunks(threads):
            yield events, names
            written += len(names)
            if progress is not None:
                progress(written, total, file.path)

    truth, labels = write_tube(folder, file, blocks(), random_state=random_state)
    np.save(folder / "truth" / "labels" / f"{Path(file.path).stem}.npy", labels, allow_pickle=False)
    return truth


def _marrow_truth(entry: DemoMarrow, tubes: Sequence[TubeTruth]) -> MarrowTruth:
    light_chain = entry.clone.light_chain if entry.clone else ""
    clone = entry.clone.name if entry.clone else ""
    return MarrowTruth.of(entry.sample_id, entry.subject_id, tubes, light_chain, clone)
