"""The flow cytometry of the demo study: specimens, their tubes, and what is truly in them.

Tubes are small, so that the whole study is gated in minutes; what small tubes cannot say, they do not say: most
marrows are too small for a negative MRD, and two of day 28 have the size that it needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from cytomrd.simulate.blood import Blood, plan_blood_tube
from cytomrd.simulate.donors import Donor, draw_donor
from cytomrd.simulate.files import TubeFile
from cytomrd.simulate.laws import LAWS
from cytomrd.simulate.marrow import MARROW_TUBES, plan_marrow_tube
from cytomrd.simulate.plasma import CLONES
from cytomrd.simulate.study_subjects import RESPONSE_DAYS, StudySubject

__all__ = [
    "BEADS_PER_TUBE", "FULL_SIZE_EVENTS", "SAMPLE_VOLUME_UL", "Specimen", "specimens", "subject_donor", "tube_files",
]  # fmt: skip

LAW = LAWS["clinical"]
BEADS_PER_TUBE = 15_000
SAMPLE_VOLUME_UL = 100.0
FULL_SIZE_EVENTS = 3_600_000
_BLOOD_LEUKOCYTES, _MARROW_LEUKOCYTES, _MARROW_TUBE_EVENTS = 14_000, 12_000, 20_000

# Planned day, visit, infusion it refers to, taken before that infusion, leukocytes per uL in blood.
_BLOODS = (
    (0, "DAY 0", 0, True, 4_500), (1, "DAY 1", 1, False, 600), (3, "DAY 3", 1, False, 400),
    (7, "DAY 7", 2, True, 900), (8, "DAY 8", 2, False, 900), (14, "DAY 14", 2, False, 2_500),
    (28, "DAY 28", 2, False, 4_000),
)  # fmt: skip
# Planned day, visit, infusion, and CAR+ of NK cells at the lowest dose level.
_CAR_MARROWS = ((-6, "SCREENING", 0, 0.0), (14, "DAY 14", 2, 0.16), (28, "DAY 28", 2, 0.05))
_DOSE_FACTORS = (1.0, 1.7, 3.0)
_PEAK_PER_UL = (26.0, 34.0)  # after each infusion, at the lowest dose level
_NORMAL_PLASMA_CELLS = 0.0015  # of nucleated cells, as in marrow after treatment
# Share of the screening's clonal cells that each level leaves in the marrow.
_CLONE_LEFT = {"SD": 1.0, "PD": 1.1, "MR": 0.6, "PR": 0.2, "VGPR": 0.02, "CR": 0.0, "sCR": 0.0}


@dataclass(frozen=True)
class Specimen:
    """One specimen of one subject for one panel.

    Attributes
    ----------
    kind
        ``blood`` or ``marrow`` (CAR+ NK cells), ``mrd``.
    dose_ref, predose
        The infusion that the planned time refers to (0: before any), and whether it was taken before it.
    leukocytes_per_ul, nk_fraction, n_leukocytes, n_car_nk
        What circulates and what was acquired; for CAR+ NK cells.
    clonal_fraction, events_per_tube
        For MRD.
    done
        False where the specimen was planned and not taken.
    """

    subject: StudySubject
    kind: str
    visit: str
    planned_day: float
    collected_at: datetime
    dose_ref: int = 0
    predose: bool = False
    leukocytes_per_ul: float = 0.0
    nk_fraction: float = 0.0
    n_leukocytes: int = 0
    n_car_nk: int = 0
    clonal_fraction: float = 0.0
    events_per_tube: int = 0
    done: bool = True

    @property
    def sample_id(self) -> str:
        """Subject, tissue and visit: ``101-PB-D8``, ``101-BM-D28-CAR``."""
        short = self.visit.replace("SCREENING", "SCR").replace("DAY ", "D").replace("MONTH ", "M")
        tissue = {"blood": "PB", "marrow": "BM", "mrd": "BM"}[self.kind]
        ending = {"blood": "", "marrow": "-CAR", "mrd": "-MRD"}[self.kind]
        return f"{self.subject.number}-{tissue}-{short}{ending}"

    @property
    def acquired_at(self) -> datetime:
        """Some hours after collection."""
        return self.collected_at + timedelta(hours=3 if self.kind == "blood" else 4)


def specimens(subject: StudySubject, random_state: int, *, full_size_events: int = FULL_SIZE_EVENTS) -> list[Specimen]:
    """Every specimen of a subject, in order of time."""
    rng = np.random.default_rng((random_state, 1, subject.number))
    found = [*_bloods(subject, rng), *_car_marrows(subject, rng), *_mrd_marrows(subject, full_size_events)]
    alive = [s for s in found if subject.death_day is None or s.planned_day < subject.death_day]
    return sorted(alive, key=lambda s: (s.collected_at, s.sample_id))


def _bloods(subject: StudySubject, rng: np.random.Generator) -> Iterator[Specimen]:
    scale = _DOSE_FACTORS[subject.dose_level - 1] * subject.exposure
    for day, visit, dose_ref, predose, leukocytes in _BLOODS:
        hour = 8 if predose else 11  # after the hour of the infusion, so that day 28 is a whole 28 days
        moment = subject.on_day(day, hour) + timedelta(minutes=int(rng.integers(0, 45)))
        car_per_ul = sum(
            peak * scale * 0.5 ** ((day - infused - 1) / subject.half_life_d)
            for peak, infused in zip(_PEAK_PER_UL, (0, 7), strict=True)
            if day > infused
        )
        cells = leukocytes + car_per_ul
        nk_fraction = (0.12 * leukocytes + car_per_ul) / cells
        yield Specimen(
            subject, "blood", visit, day, moment, dose_ref, predose, leukocytes_per_ul=cells, nk_fraction=nk_fraction,
            n_leukocytes=_BLOOD_LEUKOCYTES, n_car_nk=_clear_count(_BLOOD_LEUKOCYTES * car_per_ul / cells),
            done=not (subject.number == 103 and day == 3),
        )  # fmt: skip


def _car_marrows(subject: StudySubject, rng: np.random.Generator) -> Iterator[Specimen]:
    for day, visit, dose_ref, car in _CAR_MARROWS:
        moment = subject.on_day(day, 11) + timedelta(minutes=int(rng.integers(0, 30)))
        fraction = min(0.6, car * _DOSE_FACTORS[subject.dose_level - 1] ** 0.7 * subject.exposure)
        n_nk = 0.20 * _MARROW_LEUKOCYTES
        yield Specimen(
            subject, "marrow", visit, day, moment, dose_ref, predose=day <= 0, leukocytes_per_ul=6_000,
            nk_fraction=0.20, n_leukocytes=_MARROW_LEUKOCYTES, n_car_nk=_clear_count(n_nk * fraction),
        )  # fmt: skip


def _mrd_marrows(subject: StudySubject, full_size_events: int) -> Iterator[Specimen]:
    visits = [("SCREENING", -6.0, "SD")]
    # Aspirates after month 3 were looked at by morphology alone.
    visits += [
        (visit, RESPONSE_DAYS[visit], subject.assessments.get(visit, "PD"))
        for visit in subject.marrow_at
        if visit in ("DAY 28", "MONTH 3")
    ]
    for visit, day, level in visits:
        fraction = subject.marrow_fraction * _CLONE_LEFT[level]
        full = subject.full_size_marrow and visit == "DAY 28"
        if subject.number == 302 and visit == "MONTH 3":
            fraction = 3e-3  # the clone is back before the serum shows it
        yield Specimen(
            subject, "mrd", visit, day, subject.on_day(day, 11, 30), dose_ref=0 if day < 0 else 2, predose=day < 0,
            clonal_fraction=fraction, events_per_tube=full_size_events // 2 if full else _MARROW_TUBE_EVENTS,
        )  # fmt: skip


def _clear_count(expected: float) -> int:
    """A count whose status no gate can put in doubt: well below 20, between 20 and 50, or well above 50."""
    if expected < 12:
        return min(round(expected), 6)
    if expected < 55:
        return 34
    return max(80, round(expected))


def subject_donor(subject: StudySubject, random_state: int) -> Donor:
    """The subject's cells, the same in every tube."""
    return draw_donor(LAW, np.random.SeedSequence((random_state, 2, subject.number)))


def tube_files(specimen: Specimen, donor: Donor, random_state: int) -> list[TubeFile]:
    """The tubes of a specimen, with their rows of the run's samplesheet."""
    seed = np.random.SeedSequence((random_state, 3, *specimen.sample_id.encode("ascii")))
    if specimen.kind == "mrd":
        return list(_mrd_tubes(specimen, donor, seed))
    blood = Blood(
        specimen.leukocytes_per_ul, specimen.nk_fraction, plasma_fraction=2e-4, background_fraction=0.001,
        debris_fraction=0.05,
    )  # fmt: skip
    plan = plan_blood_tube(
        LAW, donor, blood, specimen.n_leukocytes, n_car_nk=specimen.n_car_nk,
        beads_per_tube=BEADS_PER_TUBE, sample_volume_ul=SAMPLE_VOLUME_UL, clogs=(), random_state=seed,
    )  # fmt: skip
    row = _row(specimen) | {
        "file": f"{specimen.kind}/{specimen.sample_id}.fcs", "panel": "car-nk-bcma", "tube": "1",
        "role": "pre_infusion" if specimen.visit == "DAY 0" else "sample", "beads_per_tube": BEADS_PER_TUBE,
        "bead_lot": "SIM-0001", "sample_volume_ul": SAMPLE_VOLUME_UL, "dilution": 1,
    }  # fmt: skip
    return [TubeFile(str(row["file"]), plan, row, specimen.acquired_at)]


def _mrd_tubes(specimen: Specimen, donor: Donor, seed: np.random.SeedSequence) -> Iterator[TubeFile]:
    subject = specimen.subject
    clone = replace(CLONES[subject.clone], light_chain=subject.light_chain.lower())
    nucleated = specimen.events_per_tube * (1 - LAW.doublets - LAW.debris - LAW.dead)
    for i, (tube, tube_seed) in enumerate(zip(MARROW_TUBES, seed.spawn(len(MARROW_TUBES)), strict=True)):
        plan = plan_marrow_tube(
            LAW, donor, specimen.events_per_tube, _NORMAL_PLASMA_CELLS, clone=clone,
            n_clonal=math.floor(specimen.clonal_fraction * nucleated), tube=tube, clogs=(), random_state=tube_seed,
        )  # fmt: skip
        acquired = specimen.acquired_at + timedelta(minutes=25 * i)
        row = _row(specimen) | {
            "file": f"mrd/{specimen.sample_id}_tube{tube}.fcs", "acquired_at": acquired.isoformat(),
            "panel": "euroflow-mm-mrd", "tube": tube, "role": "sample", "pull": 1,
        }  # fmt: skip
        yield TubeFile(str(row["file"]), plan, row, acquired)


def _row(specimen: Specimen) -> Mapping[str, object]:
    return {
        "sample_id": specimen.sample_id,
        "subject_id": specimen.subject.usubjid,
        "visit": specimen.visit,
        "day": f"{specimen.planned_day:g}",
        "collected_at": specimen.collected_at.isoformat(),
        "acquired_at": specimen.acquired_at.isoformat(),
        "matrix": "PB" if specimen.kind == "blood" else "BM",
    }
