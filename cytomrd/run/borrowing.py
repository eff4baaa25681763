"""Which samples of a run lend a cut to which: a second look at those whose own evidence is weak.

Every sample is gated by itself first. What it knows of its cuts is sealed with it, so that what a sample borrows
follows from the content of the others, whatever the order or the number of workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from cytomrd.gating.fit import BorrowedCut, CutEvidence, cut_evidence, pool_cuts
from cytomrd.panel import Panel
from cytomrd.run.model import FileResult
from cytomrd.run.plan import SERIES_ROLES, PlannedFile, PlannedSample, RunPlan
from cytomrd.run.sealed import SealedSample
from cytomrd.run.tracking import is_earlier
from cytomrd.run.workers import Failed

__all__ = ["Borrowed", "evidence_of", "find_borrowed"]

Borrowed = Mapping[str, Mapping[str, BorrowedCut]]
"""File to cut to what is borrowed for it."""


@dataclass(frozen=True, eq=False)
class _Known:
    """A tube of the run and what it knows of its cuts; ``cuts`` is None for a sample that could not be gated."""

    sample: PlannedSample
    file: PlannedFile
    cuts: Mapping[str, CutEvidence] | None

    @property
    def kind(self) -> tuple[str | None, str | None, str]:
        """Tubes of one kind may be compared."""
        return self.file.panel_id, self.file.tube, self.file.instrument


def evidence_of(file: FileResult, panel: Panel) -> dict[str, dict]:
    """What a tube knows of each cut, to be sealed; nothing where its count of cells is in doubt."""
    if file.qc.doubts or file.row.role not in SERIES_ROLES:
        return {}
    specs = {c.name: c for c in panel.cuts}
    found = {}
    for decision in file.decisions:
        if decision.name in specs and decision.marker in file.axes:
            evidence = cut_evidence(specs[decision.name], decision, file.axes[decision.marker].transform)
            found |= {decision.name: asdict(evidence)} if evidence is not None else {}
    return found


def find_borrowed(plan: RunPlan, gated: Mapping[str, SealedSample | Failed]) -> dict[str, Borrowed]:
    """Sample id to what it borrows, for the samples that do; ``gated`` is every sample by itself."""
    known = list(_known(plan, gated))
    kinds: dict[tuple, list[_Known]] = {}
    for tube in known:
        kinds.setdefault(tube.kind, []).append(tube)
    found: dict[str, dict[str, dict[str, BorrowedCut]]] = {}
    for tube in known:
        others = [t for t in kinds[tube.kind] if t.sample is not tube.sample and t.cuts is not None]
        cuts = {name: cut for name in _wanted(tube, plan) if (cut := _lent(name, tube, others)) is not None}
        if cuts:
            found.setdefault(tube.sample.sample_id, {})[tube.file.row.file] = cuts
    return found


def _known(plan: RunPlan, gated: Mapping[str, SealedSample | Failed]) -> Iterator[_Known]:
    for sample in plan.samples:
        result = gated[sample.sample_id]
        if sample.role not in SERIES_ROLES or any(f.error for f in sample.files):
            continue
        for file in sample.files:
            if isinstance(result, Failed):
                # Its gates may need a cut that the others have.
                if str(result).startswith("GateError"):
                    yield _Known(sample, file, None)
                continue
            cuts = result.summary["cuts"][file.row.file]
            yield _Known(sample, file, {name: CutEvidence(**evidence) for name, evidence in cuts.items()})


def _wanted(tube: _Known, plan: RunPlan) -> list[str]:
    if tube.cuts is not None:
        return [name for name, evidence in tube.cuts.items() if evidence.weak]
    return [c.name for c in plan.panels[tube.file.panel_id].cuts_of(tube.file.tube)]


def _lent(name: str, tube: _Known, others: Sequence[_Known]) -> BorrowedCut | None:
    """A cut from the subject's earlier visits where they suffice, else from all other samples of the run."""
    groups = (
        ("earlier visits of the subject", [t for t in others if is_earlier(t.file.row, tube.file.row)]),
        ("other samples of the run", others),
    )
    for source, lenders in groups:
        evidence = [t.cuts[name] for t in lenders if name in t.cuts]
        scale = tube.cuts[name].scale if tube.cuts is not None else _usual(evidence)
        cut = pool_cuts([e for e in evidence if e.scale == scale], source)
        if cut is not None:
            return cut
    return None


def _usual(evidence: Sequence[CutEvidence]) -> str:
    """The scale that most of them have, the first by name of several."""
    counts = Counter(e.scale for e in evidence)
    return min(counts, key=lambda s: (-counts[s], s), default="")
