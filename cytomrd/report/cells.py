"""The rare cells that the page draws: what kind each is, and those of the subject's other visits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cytomrd.gating.fit import CutDecision
from cytomrd.run.model import FileResult, RareCells, RunResult, SampleResult
from cytomrd.run.plan import PlannedSample
from cytomrd.run.sealed import SealedSample
from cytomrd.run.tracking import earlier_samples, is_earlier, visit_order

__all__ = ["cell_word", "clone_phenotype", "compared_with", "control_of", "cut_on", "earlier_clone", "kinds_of"]

# From this share of the clonal cells on one side of the cut an antigen is called + or -; between them +/-.
CLEAR_SHARE = 0.8
CONTROL_ROLES = ("pre_infusion", "fmo", "isotype")


def cell_word(sample: SampleResult) -> str:
    """What one cell of the judged compartment is called: ``plasma cell``, or as the panel says."""
    return sample.panel.mrd.cell if sample.panel is not None and sample.panel.mrd is not None else "plasma cell"


def kinds_of(sample: SampleResult, labels: np.ndarray) -> tuple[tuple[str, np.ndarray], ...]:
    """Populations among rare cells as (kind, mask), the rarest last so that it lies on top."""
    labels = np.asarray(labels)
    if sample.mrd is not None:
        return (("normal", labels == 0), ("unsure", labels == -1), ("clonal", labels >= 1))
    return (("car", labels == 1),)


def earlier_clone(run: RunResult, sample: SampleResult, file: FileResult) -> tuple[str, RareCells, np.ndarray] | None:
    """The subject's latest earlier visit with clonal cells in the same tube: (visit, cells, mask of the clonal)."""
    for other in earlier_samples(run.samples, sample):
        for tube in other.files:
            if tube.panel_id != file.panel_id or tube.tube != file.tube:
                continue
            for cells in tube.rare:
                mask = np.asarray(cells.labels) >= 1
                if mask.any():
                    return other.rows[0].visit or other.sample_id, cells, mask
    return None


Gated = tuple[PlannedSample, SealedSample]


def compared_with(sample: PlannedSample, subject: Sequence[Gated]) -> tuple[Gated, ...]:
    """The samples whose cells are drawn beside those of a sample, in the order given.

    ``subject`` are the gated samples of its subject. Among them are the controls, of each tube the latest earlier
    visit with clonal cells, and the earlier visit with the most: what :func:`control_of`, :func:`earlier_clone` and
    :func:`cytomrd.run.tracking.track_clone` then choose among all samples, they choose among these.
    """
    row = sample.files[0].row
    needed = {p.sample_id for p, _ in subject if p.role in CONTROL_ROLES and sample.assay == "car_nk"}
    earlier = [(p, s) for p, s in subject if is_earlier(p.files[0].row, row)]
    missing = {(f.panel_id, f.tube) for f in sample.files}
    for other, sealed in sorted(earlier, key=lambda pair: visit_order(pair[0].files[0].row), reverse=True):
        clonal = {(f.panel_id, f.tube) for f in other.files if sealed.summary.get("n_clonal", {}).get(f.tube)}
        if clonal & missing:
            needed.add(other.sample_id)
            missing -= clonal
    same = [(p, s) for p, s in earlier if p.files[0].panel_id == sample.files[0].panel_id]
    if same:
        needed.add(max(same, key=lambda pair: sum(pair[1].summary.get("n_clonal", {}).values()))[0].sample_id)
    return tuple((p, s) for p, s in subject if p.sample_id in needed and p.sample_id != sample.sample_id)


def control_of(run: RunResult, sample: SampleResult) -> tuple[str, RareCells] | None:
    """The control's rare cells where the control is a sample of this run: (its name, its cells)."""
    subject = sample.rows[0].subject_id
    for role in CONTROL_ROLES:
        for other in run.samples:
            first = other.rows[0]
            if first.role != role or first.subject_id != subject or other is sample:
                continue
            for file in other.files:
                for cells in file.rare:
                    return f"{role.replace('_', '-')} control {other.sample_id}", cells
    return None


def cut_on(file: FileResult, marker: str) -> CutDecision | None:
    """The cut that divides a marker's negatives from its positives: the one of its own name, else its first."""
    called = [d for d in file.decisions if d.marker == marker and d.value is not None]
    return next((d for d in called if d.name == marker), called[0] if called else None)


def clone_phenotype(sample: SampleResult) -> str:
    """``CD19- CD56+ CD45+/-``: where the clonal cells stand on the panel's antigens, as far as each has a cut."""
    mrd = sample.panel.mrd if sample.panel is not None else None
    words = []
    for marker in [a.marker for a in mrd.antigens] if mrd is not None else ():
        share = _clonal_positive(sample, marker)
        if share is not None:
            words.append(marker + ("+" if share >= CLEAR_SHARE else "-" if share <= 1 - CLEAR_SHARE else "+/-"))
    return " ".join(words)


def _clonal_positive(sample: SampleResult, marker: str) -> float | None:
    n_positive = n_cells = 0
    for file in sample.files:
        cut = cut_on(file, marker)
        for cells in file.rare:
            if cut is None or marker not in cells.markers:
                continue
            values = cells.transformed[np.asarray(cells.labels) >= 1, cells.markers.index(marker)]
            n_positive += int(np.count_nonzero(values >= cut.value))
            n_cells += len(values)
    return n_positive / n_cells if n_cells else None
