"""A finished run opened for review: its people, its trail, and the samples that can be put on the bench."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from cytomrd.errors import ReviewError, RunError
from cytomrd.fcs.text import printable
from cytomrd.report.cells import compared_with
from cytomrd.review.calls import Beside
from cytomrd.review.marrow import Marrow
from cytomrd.review.people import People
from cytomrd.review.recent import Recent
from cytomrd.review.signature import RememberedHashes, SignatureState, Signer
from cytomrd.review.state import fold
from cytomrd.review.trail import Trail
from cytomrd.review.versions import Versions
from cytomrd.review.workbench import Workbench
from cytomrd.run.execute import GatedRun
from cytomrd.run.finish import finish_sample
from cytomrd.run.gate_sample import RESULT_FILES, read_gated
from cytomrd.run.model import SampleResult
from cytomrd.run.plan import PlannedSample, plan_run
from cytomrd.run.provenance import PROVENANCE_NAME
from cytomrd.run.results import sample_folder
from cytomrd.run.sealed import SealedSample, find_sealed, storage_errors
from cytomrd.run.settings import RunSettings
from cytomrd.run.staging import sample_store
from cytomrd.run.workers import Failed

__all__ = ["ReviewRun", "SampleLine", "open_review", "review_folder"]

# More share the reading of a file without its being faster.
MOST_THREADS = 8
# Samples whose files and last results are kept at hand.
MOST_OPEN = 6
TRAIL_NAME, PEOPLE_NAME = "trail.sqlite", "people.json"


@dataclass(frozen=True)
class SampleLine:
    """A sample in the list: who it is, what was found without a person, and what people made of it.

    ``reviewed_status`` and ``reviewed_fraction`` are those of the last version; None where nobody changed anything.
    """

    sample_id: str
    subject_id: str
    visit: str
    status: str
    mrd_fraction: float | None
    n_edits: int
    signed: tuple[str, ...]
    reviewed_status: str | None = None
    reviewed_fraction: float | None = None


def review_folder(results: Path) -> Path:
    """Where the review of some results is: beside them, since `cytomrd gate` takes the results' place as a whole."""
    return results.parent / f"{results.name}-review"


def open_review(folder: Path, results: Path | None = None) -> ReviewRun:
    """Open the review of a finished run; made with the first time.

    Raises
    ------
    RunError
        If there is no finished run, or what its samples were gated to is gone.
    """
    results = results if results is not None else folder / "results"
    try:
        record = json.loads((results / PROVENANCE_NAME).read_bytes())
        settings = RunSettings(**record["settings"])
        outputs = dict(record["outputs"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{results}: no finished run here ({error}); `cytomrd gate` makes one") from error
    plan = plan_run(folder, strict=settings.strict, exclude=results)
    found = find_sealed(sample_store(results))
    sealed = tuple(_of_results(s, found.get(s.sample_id, []), outputs) for s in plan.samples)
    return ReviewRun(GatedRun(plan, settings, sealed), results)


def _of_results(
    planned: PlannedSample, sealed: list[SealedSample], outputs: Mapping[str, str]
) -> SealedSample | Failed:
    """The sealed sample whose files the results hold: a sample may be there as it was before it borrowed cuts too."""
    folder = sample_folder(planned.sample_id)
    for sample in sealed:
        own = {name: sha256 for name, sha256 in sample.files.items() if name.startswith(f"{RESULT_FILES}/")}
        if own and all(outputs.get(f"{folder}/{n.removeprefix(RESULT_FILES + '/')}") == h for n, h in own.items()):
            return sample
    return Failed((f"{planned.sample_id}: was not gated, or its gating is gone",))


class ReviewRun:
    """The review of one run; shared by all windows of a server.

    Attributes
    ----------
    samples
        Ids of the samples that can be reviewed, in the order of the run.
    """

    def __init__(self, gated: GatedRun, results: Path):
        self.folder, self.results, self.review = gated.plan.folder, results, review_folder(results)
        self.plan, self.settings = gated.plan, gated.settings
        with storage_errors(self.review):
            self.review.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.trail, self.people = Trail(self.review / TRAIL_NAME), People(self.review / PEOPLE_NAME)
        self._pairs = {p.sample_id: (p, s) for p, s in gated.pairs if p.assay == "mrd" and isinstance(s, SealedSample)}
        self._blanks = gated.blanks
        self._sha256 = RememberedHashes()
        self._open = Recent(MOST_OPEN)
        self._beside: Beside | None = None
        self._guard = Lock()
        self._results: dict[str, SampleResult] = {}
        self._locks = {sample_id: Lock() for sample_id in self._pairs}
        self.samples = tuple(self._pairs)

    def workbench(self, sample_id: str) -> Workbench:
        """A sample on the bench, with its tubes open; the first time takes as long as gating it without a fit.

        Raises
        ------
        ReviewError
            If there is no such sample, or its files are not those that were gated.
        """
        planned, sealed = self._pair(sample_id)
        with self._guard:
            if self._beside is None:
                self._beside = Beside()
        with self._locks[sample_id]:
            return self._open.get(sample_id, lambda: self._bench(planned, sealed))

    def _bench(self, planned: PlannedSample, sealed: SealedSample) -> Workbench:
        self.trail.require_whole(self._anchors())
        if not sealed.is_whole:
            raise ReviewError(f"{planned.sample_id}: what it was gated to was changed or is gone; gate it again")
        subject = planned.files[0].row.subject_id
        of_subject = [pair for pair in self._pairs.values() if pair[0].files[0].row.subject_id == subject]
        marrow = Marrow(
            planned,
            read_gated(sealed),
            self.plan.panels[planned.files[0].panel_id],
            settings=self.settings,
            blanks=self._blanks.get(planned.files[0].panel_id, ()),
            others=[self._automatic(p, s) for p, s in compared_with(planned, of_subject)],
            beside=self._beside,
            n_threads=min(MOST_THREADS, os.cpu_count() or 1),
        )
        return Workbench(
            marrow,
            sealed,
            trail=self.trail,
            people=self.people,
            signer=self._signer(planned, sealed),
            versions=Versions.of(self.review, planned.sample_id),
        )

    def lines(self) -> tuple[SampleLine, ...]:
        """Every sample in a list; of their files, those that were signed are looked at."""
        problems = self.problems()
        return tuple(self._line(sample_id, problems) for sample_id in self.samples)

    def line(self, sample_id: str) -> SampleLine:
        """One sample in a list."""
        return self._line(sample_id, self.problems())

    def _line(self, sample_id: str, problems: tuple[str, ...]) -> SampleLine:
        planned, sealed = self._pair(sample_id)
        row, history = planned.files[0].row, fold(self.trail.entries(sample_id), sealed.folder.name)
        edits = history.edits
        status, fraction = _mrd_in(self.results / "mrd.csv", sample_id)
        last = Versions.of(self.review, sample_id).path(edits[-1].version) if edits else None
        reviewed = _mrd_in(last / "mrd.csv", sample_id) if last is not None else (None, None)
        return SampleLine(
            sample_id=sample_id,
            subject_id=row.subject_id or "",
            visit=row.visit or "",
            status=status or "",
            mrd_fraction=fraction,
            n_edits=len(edits),
            signed=tuple(
                f"{s.meaning} by {s.who}, {'valid' if s.valid else 'not valid: ' + s.reason}"
                for s in self._signatures(sample_id, problems)
            ),
            reviewed_status=reviewed[0],
            reviewed_fraction=reviewed[1],
        )

    def signatures(self, sample_id: str) -> tuple[SignatureState, ...]:
        """Every signature of a sample, and whether it holds; the sample need not be open."""
        return self._signatures(sample_id, self.problems())

    def _signatures(self, sample_id: str, problems: tuple[str, ...]) -> tuple[SignatureState, ...]:
        entries = self.trail.entries(sample_id)
        if not any(e.action == "sign" for e in entries):
            return ()
        return self._signer(*self._pair(sample_id)).states(entries, problems)

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the trail, measured also by what every sample's versions say came before them."""
        return self.trail.check(self._anchors())

    def _anchors(self) -> tuple[tuple[int, str], ...]:
        return tuple(a for i in self.samples for a in Versions.of(self.review, i).anchors())

    def _automatic(self, planned: PlannedSample, sealed: SealedSample) -> SampleResult:
        if planned.sample_id not in self._results:
            panel = self.plan.panels[planned.files[0].panel_id]
            blanks = self._blanks.get(panel.id, ())
            found = finish_sample(planned, read_gated(sealed), panel, blanks=blanks, settings=self.settings)
            self._results[planned.sample_id] = found
        return self._results[planned.sample_id]

    def _signer(self, planned: PlannedSample, sealed: SealedSample) -> Signer:
        files = tuple(f.row.file for f in planned.files)
        return Signer(self.review, self.results, self.folder, sealed, files, self._sha256)

    def _pair(self, sample_id: str) -> tuple[PlannedSample, SealedSample]:
        if sample_id not in self._pairs:
            raise ReviewError(f"no sample {printable(sample_id, 60)!r} to review; there are {', '.join(self._pairs)}")
        return self._pairs[sample_id]

    def close(self) -> None:
        """Let go of all that was opened."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None


def _mrd_in(table: Path, sample_id: str) -> tuple[str | None, float | None]:
    """Status and MRD of a sample in an mrd.csv; None where it is not there."""
    try:
        with table.open(newline="", encoding="utf-8") as file:
            row = next((r for r in csv.DictReader(file) if r["sample_id"] == sample_id), {})
        return row.get("status"), float(row["mrd_fraction"]) if row.get("mrd_fraction") else None
    except (OSError, ValueError, KeyError, csv.Error):
        return None, None
