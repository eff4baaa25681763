"""A table of the trial: data, how it was made, and where it came from; and the list of all outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path

import pandas as pd

from cytomrd.trial.study import Study

__all__ = [
    "EXPORTS",
    "FIGURES",
    "OUTCOMES",
    "Outcome",
    "TrialFigure",
    "TrialTable",
    "outcome_figures",
    "outcome_tables",
    "write_exports",
]


@dataclass(frozen=True)
class TrialFigure:
    """A figure of an outcome: ``svg`` is a whole ``<svg>`` element, ``notes`` are sentences below it."""

    id: str
    title: str
    svg: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrialTable:
    """One table of an outcome.

    Attributes
    ----------
    id
        Name of its files: lower case letters, digits and ``_`` (``s1_s3_pk_parameters``).
    title
        What it shows, with units where all columns share one.
    data
        The table; its column names head it, a unit ends a name.
    notes
        Rules in sentences: how its numbers came about.
    footnotes
        What a reader must know of single values: flags, and (added for every table) accepted problems of the study.
    listing
        One row a derived number: what it is, its value, the rule, the inputs, the flags; None where ``data`` says all.
    sources
        SHA-256 of the files it was made from, by their path in the study folder.
    """

    id: str
    title: str
    data: pd.DataFrame
    notes: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    listing: pd.DataFrame | None = None
    sources: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """An outcome measure of the record: ``number`` as registered, and ``home`` of the function that makes it.

    ``home`` is ``module:function``; the function takes a :class:`~cytomrd.trial.study.Study` and gives a tuple of
    :class:`TrialTable`.
    """

    number: str
    title: str
    home: str

    def load(self) -> Callable[[Study], tuple[TrialTable, ...]]:
        """The function."""
        return _load(self.home)


# In the order of the record; several outcomes that one function makes stand together.
OUTCOMES: tuple[Outcome, ...] = (
    Outcome("P1", "Dose-limiting toxicity within 28 days", "cytomrd.trial.safety:dlt_tables"),
    Outcome("S1-S3", "CAR-NK cells: Cmax, Tmax and AUC over 28 days", "cytomrd.trial.pharmacokinetics:pk_tables"),
    Outcome("K", "Persistence of CAR-NK cells in blood", "cytomrd.trial.survival_tables:persistence_tables"),
    Outcome("S4", "Body weight", "cytomrd.trial.vitals:weight_tables"),
    Outcome("S5", "Cytokines, CRP and granzyme B", "cytomrd.trial.cytokines:cytokine_tables"),
    Outcome("S6", "Monoclonal plasma cells in marrow", "cytomrd.trial.mrd_tables:marrow_tables"),
    Outcome("S7", "Subjects negative for MRD", "cytomrd.trial.mrd_tables:mrd_rate_tables"),
    Outcome("S8, S13", "Adverse events", "cytomrd.trial.safety:adverse_event_tables"),
    Outcome("S9", "Overall and progression-free survival", "cytomrd.trial.survival_tables:survival_tables"),
    Outcome("S10", "Overall response by 3 months", "cytomrd.trial.response_tables:response_tables"),
    Outcome("S11", "Duration of MRD negativity", "cytomrd.trial.mrd_tables:mrd_duration_tables"),
    Outcome("S12", "ECOG performance status", "cytomrd.trial.vitals:ecog_tables"),
    Outcome("S14", "Duration of response", "cytomrd.trial.survival_tables:duration_tables"),
    Outcome("E", "Eligibility", "cytomrd.trial.eligibility:eligibility_tables"),
)

# Figures of an outcome, by its number: ``module:function`` of a study, which gives a tuple of TrialFigure.
FIGURES: dict[str, str] = {
    "S1-S3": "cytomrd.trial.figures.exposure:exposure_figures",
    "K": "cytomrd.trial.figures.survival:persistence_figures",
    "S5": "cytomrd.trial.figures.cytokines:cytokine_figures",
    "S6": "cytomrd.trial.figures.marrow:clonal_figures",
    "S9": "cytomrd.trial.figures.survival:survival_figures",
    "S10": "cytomrd.trial.figures.response:response_figures",
    "S11": "cytomrd.trial.figures.survival:mrd_duration_figures",
    "S14": "cytomrd.trial.figures.survival:duration_figures",
}

# What else is written beside the tables: ``module:function`` of a study and the folder to write into.
EXPORTS: tuple[str, ...] = ("cytomrd.trial.cdisc.package:export_cdisc",)


def _load(home: str) -> Callable:
    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


def write_exports(study: Study, folder: Path) -> None:
    """Write what other programs read, such as the CDISC package."""
    for home in EXPORTS:
        _load(home)(study, folder)


def outcome_figures(outcome: Outcome, study: Study) -> tuple[TrialFigure, ...]:
    """The figures of an outcome; none where it has no function for them."""
    return _load(FIGURES[outcome.number])(study) if outcome.number in FIGURES else ()


def outcome_tables(outcome: Outcome, study: Study) -> tuple[TrialTable, ...]:
    """The tables of an outcome, each with the problems that the study accepts and, where it names none, all sources."""
    return tuple(
        replace(table, footnotes=(*table.footnotes, *study.footnotes), sources=table.sources or study.sources)
        for table in outcome.load()(study)
    )
