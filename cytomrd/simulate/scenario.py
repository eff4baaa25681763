"""What the demo holds: four marrows and a blood series, chosen so that each right answer is clear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from cytomrd.simulate.blood import Blood
from cytomrd.simulate.plasma import CLONES, Clone

__all__ = ["BEADS_PER_TUBE", "BLOODS", "BLOOD_SUBJECT", "MARROWS", "SAMPLE_VOLUME_UL", "DemoBlood", "DemoMarrow"]

FIRST_INFUSION = date(2026, 3, 2)
BLOOD_SUBJECT = "S01"
BEADS_PER_TUBE = 50_000
SAMPLE_VOLUME_UL = 100.0


@dataclass(frozen=True)
class DemoMarrow:
    """One marrow in two tubes; ``clonal_fraction`` of its nucleated cells are clonal, to the nearest whole cell."""

    sample_id: str
    subject_id: str
    visit: str
    day: float
    events_per_tube: int
    plasma_fraction: float
    clone: Clone | None = None
    clonal_fraction: float = 0.0
    prior_therapy: str = ""
    masked: Mapping[str, float] = field(default_factory=dict)
    clogged_tube: str = ""

    @property
    def collected_at(self) -> datetime:
        """Time of the aspirate."""
        return _at(self.day, 10)


@dataclass(frozen=True)
class DemoBlood:
    """One blood tube. ``n_car_nk`` fixes the CAR+ NK events where the right status hangs on them."""

    sample_id: str
    visit: str
    day: float
    blood: Blood
    n_leukocytes: int
    role: str = "sample"
    beads: bool = True
    n_car_nk: int | None = None
    clogged: bool = False

    @property
    def collected_at(self) -> datetime:
        """Time of the blood draw."""
        return _at(self.day, 8)


def _at(day: float, hour: int) -> datetime:
    start = datetime(FIRST_INFUSION.year, FIRST_INFUSION.month, FIRST_INFUSION.day, hour)
    return start + timedelta(days=day)


_CD117_CLONE = replace(CLONES["cd117"], levels={**CLONES["cd117"].levels, "CD27": "-"}, light_chain="lambda")

MARROWS: tuple[DemoMarrow, ...] = (
    # 36 clonal among 3.3 million: above 20 and below 50 even if a third were lost or a dozen were added.
    DemoMarrow("BM-01", "S01", "day 28", 28, 1_800_000, 0.0012, CLONES["typical"], 1.1e-5),
    DemoMarrow("BM-02", "S02", "month 3", 90, 1_800_000, 0.0020, clogged_tube="1"),
    DemoMarrow("BM-03", "S03", "month 1", 28, 165_000, 0.0008, prior_therapy="anti-CD38", masked={"CD38": 0.35}),
    DemoMarrow("BM-04", "S04", "screening", -8, 330_000, 0.0030, _CD117_CLONE, 1.0e-3),
)

# Leukocytes per uL, then NK, CAR+ NK of NK, CAR+ T of T, reagent background, circulating plasma cells.
BLOODS: tuple[DemoBlood, ...] = (
    DemoBlood("PB-pre", "pre-infusion", -3, Blood(5_200, 0.12, 0, 0, 0.0015, 6e-4), 170_000, role="pre_infusion"),
    DemoBlood("PB-d1", "day 1", 1, Blood(1_500, 0.20, 0.20, 0.0005, 0.0015, 5e-4), 130_000),
    # Too few leukocytes for beads to be worth their events: counted against the blood count.
    DemoBlood("PB-d3", "day 3", 3, Blood(1_100, 0.16, 0.17, 0.0003, 0.0015, 3e-4), 140_000, beads=False),
    DemoBlood("PB-d7", "day 7, before dose 2", 7, Blood(2_400, 0.10, 0.045, 0, 0.0015, 1e-4), 170_000),
    DemoBlood("PB-d8", "day 8", 8, Blood(2_000, 0.18, 0.24, 0.0006, 0.0015, 8e-5), 150_000, clogged=True),
    DemoBlood("PB-d14", "day 14", 14, Blood(3_600, 0.075, 0, 0, 0.0015, 2e-5), 150_000, n_car_nk=30),
    DemoBlood("PB-d28", "day 28", 28, Blood(4_800, 0.08, 0, 0, 0.0015, 0), 140_000, n_car_nk=2),
)
