"""Who takes part in the demo study, and how each one fares: the truth that its tables must find again.

The courses are written by hand, with every outcome beside them, so that nothing here follows from the rules that
the trial's tables apply. No person's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

__all__ = ["CUTOFF", "DOSE_LEVELS", "RESPONSE_DAYS", "STUDY_ID", "STUDY_TITLE", "SUBJECTS", "StudySubject"]

STUDY_ID = "NCT06045091-SIM"
STUDY_TITLE = "BCMA CAR-NK in relapsed or refractory myeloma and plasma cell leukaemia (simulated)"
DOSE_LEVELS = (1.5e8, 3.0e8, 6.0e8)
CUTOFF = date(2026, 6, 30)
FIRST_SUBJECT = datetime(2025, 1, 14, 10)
DAYS_BETWEEN_SUBJECTS = 10

RESPONSE_DAYS = {
    "DAY 28": 28, "MONTH 2": 56, "MONTH 3": 84, "MONTH 4": 112, "MONTH 6": 168, "MONTH 9": 252, "MONTH 12": 336,
}  # fmt: skip
"""Visits at which response is assessed, with their planned day (0 = first infusion)."""


@dataclass(frozen=True)
class StudySubject:
    """One subject.

    Attributes
    ----------
    number
        Within the study; the dose level is its first digit.
    measured_by
        What tells the response: ``serum``, ``urine``, ``flc`` or ``marrow``.
    baseline
        Of that: g/L, mg/24 h, mg/L of the involved chain, or % of plasma cells.
    levels
        Level at each assessment, from day 28 on; ``""`` where there was none.
    best_response, onset, pd
        The right best response, the visit of its onset or of the first PR or better, and of the first progression;
        ``""`` for none.
    new_therapy_day, death_day
        Days since the first infusion.
    clone
        Phenotype of the clone, a name of :data:`cytomrd.simulate.plasma.CLONES`.
    full_size_marrow
        True where the marrow of day 28 has enough cells to speak at 1e-5.
    marrow_at
        Visits with a marrow, beside screening.
    exposure
        Factor on the CAR-NK concentrations of the dose level.
    half_life_d
        Half-life of the CAR-NK cells in blood, days.
    """

    number: int
    mtype: str
    light_chain: str
    sex: str
    age: int
    weight_kg: float
    levels: tuple[str, ...]
    best_response: str
    onset: str = ""
    pd: str = ""
    dx: str = "MM"
    measured_by: str = "serum"
    baseline: float = 40.0
    new_therapy_day: int | None = None
    death_day: int | None = None
    death_cause: str = ""
    clone: str = "typical"
    full_size_marrow: bool = False
    marrow_at: tuple[str, ...] = ("DAY 28",)
    plasmacytoma_mm2: float = 0.0
    exposure: float = 1.0
    half_life_d: float = 2.0

    @property
    def usubjid(self) -> str:
        """Unique subject identifier."""
        return f"{STUDY_ID}-{self.number}"

    @property
    def dose_level(self) -> int:
        """1, 2 or 3."""
        return self.number // 100

    @property
    def dose(self) -> float:
        """CAR+ NK cells for each infusion."""
        return DOSE_LEVELS[self.dose_level - 1]

    @property
    def marrow_fraction(self) -> float:
        """Clonal cells of nucleated cells in the marrow at screening."""
        return (0.014, 0.03, 0.012, 0.02, 0.05, 0.018)[self.number % 100 - 1]

    @property
    def first_infusion(self) -> datetime:
        """Start of the first infusion: subjects begin one after another."""
        place = SUBJECTS.index(self)
        return FIRST_SUBJECT + timedelta(days=DAYS_BETWEEN_SUBJECTS * place, minutes=7 * (place % 5))

    @property
    def second_infusion(self) -> datetime:
        """Start of the second infusion."""
        return self.first_infusion + timedelta(days=7, minutes=25)

    def on_day(self, day: float, hour: int = 9, minute: int = 0) -> datetime:
        """A time of day on a day after the first infusion."""
        start = self.first_infusion.replace(hour=hour, minute=minute)
        return start + timedelta(days=day)

    @property
    def assessments(self) -> dict[str, str]:
        """Level by visit, for the visits that took place."""
        return {visit: level for visit, level in zip(RESPONSE_DAYS, self.levels, strict=False) if level}


def _levels(text: str) -> tuple[str, ...]:
    return tuple("" if level == "-" else level for level in text.split())


_S, _L = StudySubject, _levels
SUBJECTS: tuple[StudySubject, ...] = (
    _S(101, "IGG", "KAPPA", "F", 63, 71.5, _L("SD SD SD PD PD"), "SD", pd="MONTH 4", exposure=0.8, half_life_d=1.6),
    _S(102, "IGA", "LAMBDA", "M", 58, 84.0, _L("PD PD"), "PD", pd="DAY 28", baseline=28.0, new_therapy_day=64,
       death_day=151, death_cause="PROGRESSIVE DISEASE", clone="cd117", exposure=0.6, half_life_d=1.4),
    _S(103, "IGG", "KAPPA", "M", 71, 90.2, _L("SD MR MR MR MR"), "MR", exposure=1.1, half_life_d=1.9),
    _S(104, "IGG", "LAMBDA", "F", 66, 62.3, _L("PR PR PR PD PD"), "PR", onset="DAY 28", pd="MONTH 4", baseline=36.0,
       clone="cd27_positive", marrow_at=("DAY 28", "MONTH 3"), exposure=1.4, half_life_d=2.2),
    _S(105, "FLC", "KAPPA", "M", 60, 78.8, _L("SD SD SD SD SD SD SD"), "SD", measured_by="flc", baseline=900.0,
       exposure=1.0, half_life_d=1.8),
    _S(106, "IGG", "KAPPA", "F", 74, 58.4, _L("SD SD PR"), "SD", new_therapy_day=70, baseline=45.0, exposure=0.9,
       half_life_d=1.7),
    _S(201, "IGG", "KAPPA", "M", 55, 95.1, _L("PR PR VGPR VGPR VGPR VGPR VGPR"), "VGPR", onset="DAY 28",
       marrow_at=("DAY 28", "MONTH 3"), exposure=1.2, half_life_d=2.4),
    _S(202, "IGA", "KAPPA", "F", 68, 66.6, _L("SD PR PR PR PR PD PD"), "PR", onset="MONTH 2", pd="MONTH 9",
       baseline=32.0, plasmacytoma_mm2=900.0, clone="cd81_positive", exposure=0.9, half_life_d=2.0),
    _S(203, "FLC", "LAMBDA", "M", 62, 81.0, _L("PR PR PR PR PR"), "PR", onset="DAY 28", measured_by="flc",
       baseline=1200.0, clone="cd45_positive", marrow_at=("DAY 28", "MONTH 3"), exposure=1.0, half_life_d=2.1),
    _S(204, "FLC", "LAMBDA", "F", 70, 54.9, _L("MR PR PR PR PR PR"), "PR", onset="MONTH 2", measured_by="urine",
       baseline=1800.0, clone="cd117", exposure=0.8, half_life_d=1.9),
    _S(205, "IGG", "KAPPA", "M", 59, 88.7, _L("VGPR VGPR VGPR PD PD"), "VGPR", onset="DAY 28", pd="MONTH 4",
       death_day=205, death_cause="PROGRESSIVE DISEASE", marrow_at=("DAY 28", "MONTH 3"), exposure=1.3,
       half_life_d=2.3),
    _S(206, "IGG", "KAPPA", "F", 64, 69.2, _L("SD SD PD PD"), "SD", pd="MONTH 3", dx="PCL", baseline=34.0,
       death_day=140, death_cause="PROGRESSIVE DISEASE", marrow_at=("DAY 28", "MONTH 3"), exposure=0.7,
       half_life_d=1.5),
    _S(301, "IGG", "KAPPA", "F", 57, 73.3, _L("sCR sCR sCR sCR sCR sCR sCR"), "sCR", onset="DAY 28",
       full_size_marrow=True, marrow_at=("DAY 28", "MONTH 2", "MONTH 3", "MONTH 4", "MONTH 6", "MONTH 9", "MONTH 12"),
       exposure=1.5, half_life_d=2.8),
    _S(302, "IGA", "LAMBDA", "M", 65, 79.4, _L("CR CR CR CR PD PD"), "CR", onset="DAY 28", pd="MONTH 6",
       baseline=30.0, full_size_marrow=True, clone="cd27_positive",
       marrow_at=("DAY 28", "MONTH 2", "MONTH 3", "MONTH 4"), exposure=1.1, half_life_d=2.5),
    _S(303, "IGG", "LAMBDA", "M", 69, 92.5, _L("VGPR VGPR VGPR CR CR CR CR"), "CR", onset="DAY 28", clone="cd117",
       marrow_at=("DAY 28", "MONTH 3", "MONTH 4", "MONTH 6", "MONTH 9", "MONTH 12"), exposure=1.2, half_life_d=2.6),
    _S(304, "IGG", "KAPPA", "F", 61, 64.0, _L("PR PR PR VGPR VGPR VGPR"), "VGPR", onset="DAY 28",
       marrow_at=("DAY 28", "MONTH 3"), exposure=0.9, half_life_d=2.2),
    _S(305, "IGG", "KAPPA", "M", 76, 70.7, (), "NE", baseline=38.0, death_day=20, death_cause="SEPSIS", marrow_at=(),
       exposure=1.0, half_life_d=2.0),
    _S(306, "NONSEC", "KAPPA", "F", 67, 60.8, _L("PR - PR - PR"), "PR", onset="DAY 28", measured_by="marrow",
       baseline=60.0, marrow_at=("DAY 28", "MONTH 3", "MONTH 6"), exposure=1.1, half_life_d=2.4),
)  # fmt: skip
"""Eighteen subjects, six at each dose level."""
