"""One sample from its files to a sealed folder: the only thing that a worker does with events, wherever it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cytomrd import __version__
from cytomrd.panel import Panel
from cytomrd.run.blanks import instrument_of
from cytomrd.run.borrowing import Borrowed, evidence_of
from cytomrd.run.car_nk_sample import SubjectControl
from cytomrd.run.gate_draws import spillover_files
from cytomrd.run.gate_file import GatedFile, gate_file
from cytomrd.run.model import FileResult
from cytomrd.run.mrd_sample import ClonesOfSample, call_sample, label_cells
from cytomrd.run.plan import PlannedFile, PlannedSample
from cytomrd.run.records import read_record, write_record
from cytomrd.run.results import write_sample_files
from cytomrd.run.sealed import SealedSample, file_sha256, seal_sample
from cytomrd.run.series_scales import SeriesScales
from cytomrd.run.settings import RunSettings

__all__ = [
    "RESULT_FILES",
    "GatedSample",
    "SampleJob",
    "content_of",
    "described",
    "gate_sample",
    "made_from",
    "read_gated",
]

RESULT_FILES = "results"


@dataclass(frozen=True, eq=False)
class GatedSample:
    """A sample after gating and before what needs the other samples."""

    files: tuple[FileResult, ...]
    clones: ClonesOfSample | None = None
    control: SubjectControl | None = None


@dataclass(frozen=True, eq=False)
class SampleJob:
    """What a worker is told: the sample, how to gate it, what others lend to it, and where to seal it.

    ``scales`` are those of first visits, by their file.
    """

    sample: PlannedSample
    panel: Panel
    settings: RunSettings
    folder: Path
    store: Path
    control: SubjectControl | None = None
    scales: Mapping[str, SeriesScales] = field(default_factory=dict)
    borrowed: Borrowed = field(default_factory=dict)
    n_threads: int = 1


def gate_sample(job: SampleJob) -> SealedSample:
    """Gate every tube, call the clones, and seal what was found."""
    gated = _gate_tubes(job)
    files = tuple(g.result for g in gated)
    clones = None
    if job.panel.mrd is not None:
        clones = call_sample(gated, job.panel, job.settings)
        files = label_cells(files, clones)
    sample = GatedSample(files, clones, job.control)
    contents = {f.row.file: f.sha256 for f in files} | dict(job.control.contents if job.control is not None else {})
    contents |= {s.file: s.sha256 for s in job.scales.values() if s.sha256}
    read = {job.folder / name: sha256 for name, sha256 in contents.items()}
    origin = made_from(job.sample, job.panel, job.settings, job.folder, lambda p: read.get(p) or content_of(p))
    origin |= {"borrowed": described(job.borrowed)}
    return seal_sample(job.store, job.sample.sample_id, origin, lambda folder: _write(job, sample, folder))


def _gate_tubes(job: SampleJob) -> list[GatedFile]:
    """One tube after the other, or side by side where more processors are free than samples."""
    cut = job.control.cut if job.control is not None else None
    controls = {cut.cut: cut} if cut is not None else {}
    n_tubes = len(job.sample.files)
    side_by_side = min(n_tubes, job.n_threads)

    def gate(file: PlannedFile) -> GatedFile:
        first = job.sample.first_visit.get(file.row.file)
        n_threads = max(1, job.n_threads // side_by_side)
        return gate_file(
            file,
            job.panel,
            job.settings,
            job.folder,
            controls=controls,
            borrowed=job.borrowed.get(file.row.file),
            series=job.scales[first.row.file] if first is not None else None,
            n_threads=n_threads,
        )

    if side_by_side == 1:
        return [gate(file) for file in job.sample.files]
    with ThreadPoolExecutor(side_by_side) as threads:
        return list(threads.map(gate, job.sample.files))


def _write(job: SampleJob, sample: GatedSample, folder: Path) -> dict[str, dict]:
    write_record(sample, folder)
    results = folder / RESULT_FILES
    results.mkdir()
    write_sample_files(job.sample.sample_id, sample.files, results)
    summary = {"cuts": {f.row.file: evidence_of(f, job.panel) for f in sample.files}}
    if sample.clones is None:
        return summary
    return summary | {
        "n_nucleated": sample.clones.n_nucleated,
        "n_clonal": sample.clones.n_clonal,
        "about": {"instrument": instrument_of(sample.files), "held": any(f.qc.held for f in sample.files)},
    }


def read_gated(sealed: SealedSample) -> GatedSample:
    """The sample that was sealed."""
    return read_record(sealed.folder, GatedSample)


def made_from(
    sample: PlannedSample, panel: Panel, settings: RunSettings, folder: Path, sha256_of: Callable[[Path], str]
) -> dict[str, object]:
    """All that decides what gating finds in a sample by itself, without what it borrows from others.

    What the samplesheet says of the specimen is not among it. ``sha256_of`` gives the content of a file.
    """
    gating = settings.model_dump(exclude={"lob_events", "spillover"})
    matrix = spillover_files(settings, folder)
    return {
        "cytomrd": __version__,
        "settings": gating | {"spillover": [sha256_of(path) for path in matrix]},
        "panel": {"id": panel.id, "version": panel.version, "sha256": panel.sha256},
        "files": [{"file": f.row.file, "tube": f.tube, "sha256": sha256_of(f.path)} for f in sample.files],
        "controls": [
            {"file": f.row.file, "role": f.row.role, "sha256": sha256_of(f.path)} for f in sample.controls
        ],
        "scales": [{"file": f.row.file, "sha256": sha256_of(f.path)} for f in sample.first_visit.values()],
        "borrowed": {},
    }  # fmt: skip


def described(borrowed: Borrowed) -> dict[str, dict]:
    """What a sample borrows, as its origin says it."""
    return {file: {name: asdict(cut) for name, cut in cuts.items()} for file, cuts in borrowed.items()}


def content_of(path: Path) -> str:
    """SHA-256 of a file; of one that cannot be read, why."""
    try:
        return file_sha256(path)
    except OSError as error:
        return f"unreadable: {error.strerror}"
