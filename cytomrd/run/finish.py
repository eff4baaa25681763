"""From a gated sample to its result: what is drawn together over samples (limit of blank, control) enters here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cytomrd.errors import CytomrdError
from cytomrd.panel import Panel
from cytomrd.run.blanks import Blank
from cytomrd.run.car_nk_sample import finish_car_nk
from cytomrd.run.gate_file import gate_file
from cytomrd.run.gate_sample import GatedSample
from cytomrd.run.model import SampleResult
from cytomrd.run.mrd_sample import call_sample, finish_mrd, label_cells
from cytomrd.run.plan import PlannedSample
from cytomrd.run.settings import RunSettings

__all__ = ["analyse_marrow", "failed_sample", "finish_sample"]


def finish_sample(
    planned: PlannedSample, gated: GatedSample, panel: Panel, *, blanks: Sequence[Blank], settings: RunSettings
) -> SampleResult:
    """The result of a sample; what the samplesheet says of the specimen is taken from the plan."""
    files = tuple(replace(f, row=p.row) for f, p in zip(gated.files, planned.files, strict=True))
    held = any(f.qc.held for f in files)
    result = SampleResult(
        planned.sample_id,
        tuple(f.row for f in files),
        panel.assay,
        "held" if held else "done",
        files=files,
        panel=panel,
    )
    try:
        if gated.clones is not None:
            return finish_mrd(result, gated.clones, panel, blanks, settings)
        if panel.car_nk is not None and planned.role in ("sample", "pre_infusion"):
            return finish_car_nk(result, panel, gated.control)
    except CytomrdError as error:
        return failed_sample(planned, (f"{type(error).__name__}: {error}",), result)
    return result


def failed_sample(planned: PlannedSample, errors: tuple[str, ...], result: SampleResult | None = None) -> SampleResult:
    """A sample without a result, boxed with the reasons."""
    if result is not None:
        return replace(result, status="failed", errors=errors)
    rows = tuple(f.row for f in planned.files)
    return SampleResult(planned.sample_id, rows, planned.assay, "failed", errors=errors)


def analyse_marrow(planned: PlannedSample, panel: Panel, settings: RunSettings, *, folder: Path) -> SampleResult:
    """One marrow from files to result in memory, by itself: nothing is sealed, and no other sample enters.

    Raises
    ------
    CytomrdError
        If a tube cannot be gated.
    """
    gated = [gate_file(f, panel, settings, folder) for f in planned.files]
    clones = call_sample(gated, panel, settings)
    files = label_cells([g.result for g in gated], clones)
    return finish_sample(planned, GatedSample(files, clones), panel, blanks=(), settings=settings)
