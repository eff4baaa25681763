"""Spectral files of a run folder: reference spectra from its single stains, and its samples unmixed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cytomrd.errors import CompensationError, RunError
from cytomrd.fcs.dataset import FcsDataset, open_fcs
from cytomrd.fcs.writer import write_fcs
from cytomrd.preprocess.compensation import SPILLOVER_KEYWORDS
from cytomrd.preprocess.spectra import SpectralFit, check_spectra, fit_spectra
from cytomrd.preprocess.spillover_checks import Check
from cytomrd.preprocess.unmixing import SpectralReference, format_spectra_csv, unmix
from cytomrd.run.compensation import read_control, read_unstained
from cytomrd.run.plan import SKIPPED_ROLES
from cytomrd.run.single_stains import ControlPlan, plan_controls
from cytomrd.run.staging import staged_file
from cytomrd.samplesheet import SAMPLESHEET_NAME, format_samplesheet, load_samplesheet

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["RESIDUAL", "SPECTRA_NAME", "SpectralResult", "fit_run_spectra", "spectral_tables", "unmix_run", "unmixed"]

SPECTRA_NAME = "spectra.csv"
RESIDUAL = "Unmixing residual"


@dataclass(frozen=True, eq=False)
class SpectralResult:
    """Fitted spectra with everything that tables and page say of them."""

    folder: str
    plan: ControlPlan
    fit: SpectralFit
    checks: tuple[Check, ...]


def fit_run_spectra(folder: str | Path, *, strict: bool = False) -> SpectralResult:
    """Fit the reference spectra of a folder's single stains, which its samplesheet names.

    Raises
    ------
    RunError, CompensationError, FcsError, SamplesheetError
        If there are no single stains, or one cannot be used.
    """
    plan = plan_controls(folder, spectral=True, strict=strict)
    stains = [read_control(control, plan) for control in plan.stains]
    fit = fit_spectra(stains, plan.detectors, read_unstained(plan), source=SPECTRA_NAME)
    return SpectralResult(str(folder), plan, fit, check_spectra(fit))


def spectral_tables(result: SpectralResult) -> dict[str, str]:
    """Names and texts of the CSV files."""
    return {SPECTRA_NAME: format_spectra_csv(result.fit.reference)}


def unmixed(dataset: FcsDataset, reference: SpectralReference) -> AnnData:
    """A file unmixed, as AnnData: events x spectra.

    Parameters
    ----------
    dataset
        The opened file; it must have all of the reference's detectors.
    reference
        The spectra.

    Returns
    -------
    AnnData
        ``X`` abundances, ``var_names`` the spectra's names, ``obs["residual_rms"]`` what they leave of each event,
        ``obsm["scatter"]`` the channels that are no detectors of the reference, named in ``uns["scatter"]``.
    """
    import pandas as pd
    from anndata import AnnData

    columns, other = _columns(dataset, reference)
    values = dataset.read_events()
    found = unmix(values[:, columns], reference)
    obs = pd.DataFrame({"residual_rms": found.residual_rms}, index=pd.RangeIndex(len(values)).astype(str))
    var = pd.DataFrame(index=pd.Index(list(reference.names), dtype=object))
    names = [dataset.detectors[k] for k in other]
    return AnnData(found.abundances, obs=obs, var=var, obsm={"scatter": values[:, other]}, uns={"scatter": names})


def unmix_run(folder: str | Path, reference: SpectralReference, out: Path) -> tuple[Path, ...]:
    """Write every sample of a run unmixed, with a samplesheet: a run folder that ``gate`` takes.

    The new files hold scatter and time as they were, one channel a spectrum, and the residual. They are written
    one after another; a file that exists is replaced.

    Raises
    ------
    RunError
        If ``out`` lies inside the run, whose files would then be gated twice; or there is no sample.
    """
    folder, out = Path(folder), Path(out)
    if out.resolve().is_relative_to(folder.resolve()):
        raise RunError(f"{out} lies inside the run {folder}; write the unmixed files beside it")
    rows = [row for row in load_samplesheet(folder).rows if row.role not in SKIPPED_ROLES]
    if not rows:
        raise RunError(f"{folder / SAMPLESHEET_NAME} lists controls alone; there is no sample to unmix")
    written = []
    for row in rows:
        path = (out / row.file).with_suffix(".fcs")
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(open_fcs(folder / row.file), reference, path)
        written.append(path)
    for panel in {row.panel for row in rows if (folder / row.panel).is_file()}:
        (out / panel).parent.mkdir(parents=True, exist_ok=True)
        with staged_file(out / panel) as stage:
            stage.write_bytes((folder / panel).read_bytes())
    kept = [replace(row, file=path.relative_to(out).as_posix()) for row, path in zip(rows, written, strict=True)]
    with staged_file(out / SAMPLESHEET_NAME) as stage:
        stage.write_text(format_samplesheet(kept), "utf-8", newline="")
    return tuple(written)


def _columns(dataset: FcsDataset, reference: SpectralReference) -> tuple[list[int], list[int]]:
    detectors = dataset.detectors
    missing = [d for d in reference.detectors if d not in detectors]
    if missing:
        raise CompensationError(
            f"{dataset.path.name}: lacks the detectors {', '.join(missing)} of the spectra; it must be "
            "recorded as the controls were"
        )
    columns = [detectors.index(d) for d in reference.detectors]
    return columns, [k for k in range(len(detectors)) if k not in set(columns)]


def _write(dataset: FcsDataset, reference: SpectralReference, path: Path) -> None:
    columns, other = _columns(dataset, reference)
    kept = [dataset.channels[k] for k in other]
    names = [c.detector for c in kept]
    for name in (*reference.names, RESIDUAL):
        names.append(_free(name, names))
    # The reader has turned time into seconds and undone gains, so that nothing of that is left to say.
    dropped = {*SPILLOVER_KEYWORDS, "$TIMESTEP"}
    keywords = {k: v for k, v in dataset.keywords.items() if k not in dropped and not re.match(r"\$P[0-9]", k)}
    top = max(dataset.channels[k].range / dataset.channels[k].gain for k in columns)

    def blocks() -> Iterator[np.ndarray]:
        for _, values in dataset.blocks():
            found = unmix(values[columns].T, reference)
            yield np.column_stack([values[other].T, found.abundances, found.residual_rms])

    has_time = any(c.is_time for c in kept)
    write_fcs(
        path, blocks(), names,
        markers=[*(c.marker for c in kept), *reference.names, RESIDUAL],
        keywords=keywords, timestep=1.0 if has_time and dataset.timestep is not None else None,
        ranges=[*(c.range / c.gain for c in kept), *[top] * (len(names) - len(kept))], n_events=dataset.n_events,
    )  # fmt: skip


def _free(name: str, taken: list[str]) -> str:
    """A detector's name without commas, which FCS keeps for its own use, and unlike those that are taken."""
    plain = name.replace(",", " ")
    while plain in taken:
        plain += " unmixed"
    return plain
