"""All SDTM and ADaM datasets of a study, written in both formats with their Define-XML."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path

from cytomrd.trial.cdisc.adam import (
    analysis_concentrations,
    analysis_parameters,
    analysis_responses,
    subject_level,
    times_to_event,
)
from cytomrd.trial.cdisc.dataset_json import write_dataset_json
from cytomrd.trial.cdisc.define import write_define
from cytomrd.trial.cdisc.model import CdiscDataset
from cytomrd.trial.cdisc.sdtm_cells import cell_phenotyping, concentrations
from cytomrd.trial.cdisc.sdtm_exposure import pk_parameters, related_records
from cytomrd.trial.cdisc.sdtm_laboratory import laboratory
from cytomrd.trial.cdisc.sdtm_response import responses
from cytomrd.trial.cdisc.sdtm_subjects import subject_domains
from cytomrd.trial.cdisc.xpt import write_xpt
from cytomrd.trial.pharmacokinetics import profiles
from cytomrd.trial.response.from_study import study_responses
from cytomrd.trial.study import Study
from cytomrd.trial.study_endpoints import study_endpoints

__all__ = ["cdisc_datasets", "export_cdisc", "write_cdisc"]


def cdisc_datasets(study: Study) -> tuple[CdiscDataset, ...]:
    """SDTM and ADaM datasets of a study, SDTM first; a dataset without a record is left out."""
    made, courses = profiles(study), study_responses(study)
    cells = cell_phenotyping(study)
    drug = concentrations(cells)
    parameters = pk_parameters(study, made)
    sdtm = [
        *subject_domains(study), laboratory(study), cells, drug, parameters, responses(study, courses),
        related_records(study, parameters, cells),
    ]  # fmt: skip
    adam = [
        subject_level(study, {c.subject: c for c in courses}),
        analysis_concentrations(study, drug),
        analysis_parameters(study, parameters),
        analysis_responses(study, courses),
        times_to_event(study, study_endpoints(study, courses)),
    ]
    return tuple(data for data in (*sdtm, *adam) if data.rows)


def export_cdisc(study: Study, folder: Path) -> None:
    """Write the package into ``folder/cdisc``, dated by the study's last run: the same study gives the same bytes."""
    finished = [known["finished"] for known in study.provenance.values() if known.get("finished")]
    cutoff = datetime.combine(study.settings.data_cutoff, time(), UTC)
    write_cdisc(study, folder / "cdisc", created=max(map(datetime.fromisoformat, finished), default=cutoff))


def write_cdisc(study: Study, folder: str | os.PathLike, *, created: datetime) -> tuple[Path, ...]:
    """Write ``folder/sdtm`` and ``folder/adam``: each dataset as Dataset-JSON and XPT, and ``define.xml``.

    Parameters
    ----------
    study
        The study, its runs gated.
    folder
        Made where it does not exist.
    created
        Time that the files carry, with a time zone.

    Returns
    -------
    tuple of Path
        Every file written.

    Raises
    ------
    StudyError
        If a dataset breaks a rule of its format or terminology; what was written before stays.
    """
    datasets = cdisc_datasets(study)
    written: list[Path] = []
    for model in ("SDTM", "ADaM"):
        own = [data for data in datasets if data.model == model]
        written += _write_model(study, own, Path(folder) / model.lower(), created)
    return tuple(written)


def _write_model(study: Study, datasets: Sequence[CdiscDataset], folder: Path, created: datetime) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for data in datasets:
        name = data.name.lower()
        written.append(write_dataset_json(data, folder / f"{name}.json", study_id=study.settings.id, created=created))
        written.append(write_xpt(data, folder / f"{name}.xpt", created=created))
    title = study.settings.title or study.settings.id
    define = folder / "define.xml"
    written.append(write_define(datasets, define, study_id=study.settings.id, description=title, created=created))
    return written
