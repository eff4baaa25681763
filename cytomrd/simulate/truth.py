"""Truth tables: what a perfect analysis of the demo would find."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cytomrd.simulate.blood import LEUKOCYTE_LABELS, NK_LABELS
from cytomrd.simulate.marrow import CLONAL_LABELS, NUCLEATED_LABELS

__all__ = [
    "BloodTruth",
    "DemoTruth",
    "MarrowTruth",
    "TubeTruth",
    "blood_status",
    "write_csv",
    "write_truth",
]

# The assay's rules by default (panels may set others).
_LOD_EVENTS, _LLOQ_EVENTS, _EVALUABLE_NUCLEATED = 20, 50, 3_000_000


@dataclass(frozen=True)
class TubeTruth:
    """One file: events of each population, and how many of them passed during a clog."""

    file: str
    sample_id: str
    tube: str
    label_names: tuple[str, ...]
    n_events: tuple[int, ...]
    n_in_clog: tuple[int, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Events of each population."""
        return dict(zip(self.label_names, self.n_events, strict=True))

    def total(self, labels: Sequence[str]) -> int:
        """Events of these populations together."""
        return sum(self.counts.get(name, 0) for name in labels)


@dataclass(frozen=True)
class MarrowTruth:
    """One marrow over its tubes. Counts are of whole, single, living cells."""

    sample_id: str
    subject_id: str
    n_nucleated: int
    n_plasma_cells: int
    n_normal_pc: int
    n_clonal_pc: int
    mrd_fraction: float
    light_chain: str
    clone: str
    status: str

    @classmethod
    def of(cls, sample_id: str, subject_id: str, tubes: Sequence[TubeTruth], light_chain: str, clone: str):
        """Add up the tubes of one marrow."""
        nucleated = sum(t.total(NUCLEATED_LABELS) for t in tubes)
        clonal = sum(t.total(CLONAL_LABELS) for t in tubes)
        normal = sum(t.total(("plasma_cell",)) for t in tubes)
        return cls(
            sample_id=sample_id,
            subject_id=subject_id,
            n_nucleated=nucleated,
            n_plasma_cells=normal + clonal,
            n_normal_pc=normal,
            n_clonal_pc=clonal,
            mrd_fraction=clonal / nucleated,
            light_chain=light_chain,
            clone=clone,
            status=_marrow_status(clonal, nucleated),
        )


@dataclass(frozen=True)
class BloodTruth:
    """One blood tube. ``*_per_ul`` is what circulates; ``*_per_ul_in_file`` what the events of the file amount to.

    They differ by counting error alone, which every result's interval must cover.
    """

    sample_id: str
    subject_id: str
    day: float
    role: str
    method: str
    n_leukocytes: int
    n_nk: int
    n_car_nk: int
    n_car_t: int
    n_beads: int
    leukocytes_per_ul: float
    nk_per_ul: float
    car_nk_per_ul: float
    car_nk_per_ul_in_file: float
    car_nk_fraction: float
    status: str

    @classmethod
    def of(cls, tube: TubeTruth, entry, subject_id: str, *, beads_per_tube: float, sample_volume_ul: float):
        """From a tube's counts and the demo's entry (:class:`cytomrd.simulate.scenario.DemoBlood`)."""
        blood = entry.blood
        n_leukocytes, n_nk, n_car = tube.total(LEUKOCYTE_LABELS), tube.total(NK_LABELS), tube.total(("car_nk",))
        n_beads = tube.total(("bead",))
        if entry.beads:
            in_file = n_car / n_beads * beads_per_tube / sample_volume_ul
        else:
            in_file = n_car / n_leukocytes * blood.leukocytes_per_ul
        fixed = entry.n_car_nk is not None
        return cls(
            sample_id=tube.sample_id,
            subject_id=subject_id,
            day=entry.day,
            role=entry.role,
            method="beads" if entry.beads else "dual platform",
            n_leukocytes=n_leukocytes,
            n_nk=n_nk,
            n_car_nk=n_car,
            n_car_t=tube.total(("car_t",)),
            n_beads=n_beads,
            leukocytes_per_ul=blood.leukocytes_per_ul,
            nk_per_ul=blood.leukocytes_per_ul * blood.nk_fraction,
            car_nk_per_ul=n_car / n_leukocytes * blood.leukocytes_per_ul if fixed else blood.car_nk_per_ul,
            car_nk_per_ul_in_file=in_file,
            car_nk_fraction=n_car / n_nk,
            status=blood_status(n_car),
        )


@dataclass(frozen=True)
class DemoTruth:
    """What :func:`cytomrd.simulate.demo.write_demo` wrote, and the right answers."""

    folder: Path
    random_state: int
    law: str
    marrows: tuple[MarrowTruth, ...]
    bloods: tuple[BloodTruth, ...]
    tubes: tuple[TubeTruth, ...]
    n_events: int
    n_bytes: int

    @property
    def n_files(self) -> int:
        """FCS files written."""
        return len(self.tubes)


def write_truth(folder: Path, truth: DemoTruth) -> None:
    """Write ``marrow.csv``, ``blood.csv`` and ``populations.csv`` into a folder."""
    write_csv(folder / "marrow.csv", [asdict(m) for m in truth.marrows])
    write_csv(folder / "blood.csv", [asdict(b) for b in truth.bloods])
    rows = [
        {"file": t.file, "sample_id": t.sample_id, "tube": t.tube, "label": i, "population": name,
         "n_events": n, "n_in_clog": clogged}
        for t in truth.tubes
        for i, (name, n, clogged) in enumerate(zip(t.label_names, t.n_events, t.n_in_clog, strict=True))
    ]  # fmt: skip
    write_csv(folder / "populations.csv", rows)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]], *, columns: Sequence[str] = ()) -> None:
    """Write rows as CSV, whole or not at all; columns as the rows name them unless given."""
    columns = columns or tuple(dict.fromkeys(name for row in rows for name in row))
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def _marrow_status(n_clonal: int, n_nucleated: int) -> str:
    if n_clonal >= _LLOQ_EVENTS:
        return "POSITIVE"
    if n_clonal >= _LOD_EVENTS:
        return "POSITIVE_BELOW_LLOQ"
    return "NEGATIVE" if n_nucleated >= _EVALUABLE_NUCLEATED else "NOT_EVALUABLE"


def blood_status(n_car_nk: int) -> str:
    """Status of a CAR+ NK count by the assay's rules alone."""
    if n_car_nk >= _LLOQ_EVENTS:
        return "QUANTIFIED"
    return "BELOW_LLOQ" if n_car_nk >= _LOD_EVENTS else "BELOW_LOD"
