"""``study.toml``: what the study is, its thresholds and choices, and the problems that somebody accepted."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cytomrd.errors import QuantificationError, StudyError
from cytomrd.trial.response.criteria import ResponseCriteria, read_criteria

__all__ = [
    "SETTINGS_NAME",
    "Accepted",
    "Choices",
    "Eligibility",
    "ResponseThresholds",
    "StudySettings",
    "read_study_settings",
]

SETTINGS_NAME = "study.toml"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Accepted(_Model):
    """A problem that is known and accepted: its id, why, and by whom; the tables carry it as a footnote."""

    id: str
    reason: str = Field(min_length=3)
    by: str = ""


class ResponseThresholds(_Model):
    """Thresholds of measurable disease and progression (IMWG 2016, with this trial's own where they differ).

    ``thresholds`` changes single fields of :class:`~cytomrd.trial.response.criteria.ResponseCriteria`. A subject who
    had no adequate assessment around ``missed_visits`` or more of the ``planned_days`` (0 = first infusion) before an
    event is censored; a visit counts within ``visit_window_d`` of its day.
    """

    criteria: Literal["imwg-2016"] = "imwg-2016"
    serum_g_per_l: float = Field(default=5.0, gt=0)
    urine_mg_per_day: float = Field(default=200.0, gt=0)
    flc_mg_per_l: float = Field(default=100.0, gt=0)
    marrow_percent: float = Field(default=10.0, gt=0)
    ratio_low: float = Field(default=0.26, gt=0)
    ratio_high: float = Field(default=1.65, gt=0)
    thresholds: dict[str, bool | float | str] = {}
    planned_days: tuple[float, ...] = (28, 56, *range(84, 729, 84))
    visit_window_d: float = Field(default=7.0, ge=0)
    missed_visits: int = Field(default=2, ge=1)

    def criteria_of(self, disease: str) -> ResponseCriteria:
        """The criteria for myeloma (``MM``) or plasma cell leukaemia (``PCL``), with this study's thresholds."""
        measurable = {
            "measurable_serum_g_per_l": self.serum_g_per_l,
            "measurable_urine_mg_per_24h": self.urine_mg_per_day,
            "measurable_flc_mg_per_l": self.flc_mg_per_l,
            "measurable_marrow_percent": self.marrow_percent,
        }
        return read_criteria("pcl-imwg" if disease == "PCL" else self.criteria, {**measurable, **self.thresholds})

    @model_validator(mode="after")
    def _thresholds_are_known(self) -> ResponseThresholds:
        try:
            self.criteria_of("MM")
        except QuantificationError as error:
            raise ValueError(str(error)) from error
        return self


class Eligibility(_Model):
    """Limits of the screening table; one that is not set is reported as not set, never guessed."""

    cockcroft_gault_ml_per_min: float | None = 30.0
    hgb_g_per_l: float | None = 60.0
    neut_10e9_per_l: float | None = 1.0
    plat_10e9_per_l: float | None = 30.0
    spo2_percent: float | None = 95.0
    lvef_percent: float | None = 50.0
    age_min_years: float | None = 18.0
    age_max_years: float | None = None
    bilirubin_times_uln: float | None = None
    transaminase_times_uln: float | None = None


class Choices(_Model):
    """How the tables are made, where the protocol leaves a choice."""

    blq_middle: Literal["drop", "zero"] = "drop"
    predose_window_d: float = Field(default=1.0, gt=0)
    dlt_anchor: Literal["first", "last"] = "first"
    dlt_window_d: int = Field(default=28, ge=1)
    response_cutoff_months: float = Field(default=3.0, gt=0)
    stability_h: float = Field(default=72.0, gt=0)
    confidence: float = Field(default=0.95, gt=0, lt=1)


class StudySettings(_Model):
    """The whole of ``study.toml``.

    Attributes
    ----------
    id, title
        The study, as in STUDYID.
    data_cutoff
        Day of the data cut: nothing may be dated after it.
    dose_levels
        CAR+ NK cells for each infusion, in order.
    runs
        Run folders with finished results, relative to the study folder.
    """

    id: str
    title: str = ""
    data_cutoff: date
    dose_levels: tuple[float, ...] = Field(min_length=1)
    runs: tuple[str, ...] = ()
    choices: Choices = Choices()
    response: ResponseThresholds = ResponseThresholds()
    eligibility: Eligibility = Eligibility()
    accepted: tuple[Accepted, ...] = ()


def read_study_settings(folder: Path) -> StudySettings:
    """Read ``study.toml``.

    Raises
    ------
    StudyError
        With every unknown or unusable entry of the file.
    """
    path = folder / SETTINGS_NAME
    if not path.is_file():
        raise StudyError(f"{path} is missing; `cytomrd demo --study DIR` writes an example")
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"{path}: not TOML: {error}; correct the line") from error
    try:
        return StudySettings(**given)
    except ValidationError as error:
        problems = "\n".join(
            f"  {'.'.join(map(str, e['loc']))}: {e['msg']}, seen {str(e['input'])[:60]!r}" for e in error.errors()
        )
        allowed = ", ".join(StudySettings.model_fields)
        raise StudyError(
            f"{path} has {error.error_count()} problem(s); its entries are {allowed}:\n{problems}"
        ) from error
