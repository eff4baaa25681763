"""Choices for one run: ``run.toml`` in the run folder, overridden by the command line."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cytomrd.errors import RunError

__all__ = ["SETTINGS_NAME", "RunSettings", "read_settings"]

SETTINGS_NAME = "run.toml"


class RunSettings(BaseModel):
    """What a lab may choose for a run; every choice is recorded in the provenance.

    Attributes
    ----------
    random_state
        Seed of everything random in fitting and clustering.
    spillover
        CSV of a spillover matrix to use for every file instead of the file's own.
    lob_events
        Limit of blank by panel id, in events; else it comes from the run's negatives.
    gate_draws
        How many times the gates are moved within their evidence, to say how far MRD moves with them; 0 leaves it out.
    spillover_error
        Relative error of the coefficients of a spillover matrix that says nothing of its own error.
    strict
        Refuse files that the reader would repair.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    random_state: int = Field(default=0, ge=0)
    spillover: str | None = None
    lob_events: dict[str, int] = {}
    gate_draws: int = Field(default=20, ge=0, le=1000)
    spillover_error: float = Field(default=0.02, ge=0, le=0.5)
    strict: bool = False


def read_settings(folder: Path, **overrides) -> RunSettings:
    """Read ``run.toml`` where there is one; ``overrides`` that are not None win.

    Raises
    ------
    RunError
        With every unknown or unusable entry of the file.
    """
    path = folder / SETTINGS_NAME
    given: dict = {}
    if path.exists():
        try:
            given = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunError(f"{path}: not TOML: {error}") from error
    given |= {name: value for name, value in overrides.items() if value is not None}
    try:
        return RunSettings(**given)
    except ValidationError as error:
        allowed = ", ".join(RunSettings.model_fields)
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RunError(f"{path}: {problems}. Allowed: {allowed}") from error
