"""Clones through a subject's visits: each later marrow of a run against the clone of an earlier one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cytomrd.mrd.tracking import CloneTrack, TrackedTube, compare_tube, track_flags
from cytomrd.run.model import FileResult, PlotAxis, RareCells, SampleResult
from cytomrd.samplesheet import SampleRow

__all__ = ["earlier_samples", "is_earlier", "on_axes", "track_clone", "visit_order"]

# Fewer clonal cells over all tubes have no phenotype to follow.
MIN_CLONE = 20
FOLLOWED_ROLES = ("aberrancy", "light_chain")


def visit_order(row: SampleRow) -> tuple[bool, float, str]:
    """Visits in time: by day where given, else by collection."""
    when = row.collected_at.isoformat() if row.collected_at is not None else ""
    return (row.day is None, row.day if row.day is not None else 0.0, when)


def is_earlier(other: SampleRow, row: SampleRow) -> bool:
    """Whether both are visits of one subject, placed in time in the same way, and ``other`` comes before."""
    if not row.subject_id or (row.day is None and row.collected_at is None):
        return False
    order, before = visit_order(row), visit_order(other)
    return other.subject_id == row.subject_id and before[0] == order[0] and before < order


def earlier_samples(samples: Sequence[SampleResult], sample: SampleResult) -> list[SampleResult]:
    """The subject's earlier marrows with an MRD result, the latest first; none where the time is not known."""
    found = [o for o in samples if o.mrd is not None and is_earlier(o.rows[0], sample.rows[0])]
    return sorted(found, key=lambda o: visit_order(o.rows[0]), reverse=True)


def on_axes(cells: RareCells, axes: Sequence[PlotAxis]) -> np.ndarray | None:
    """Rare cells on the scales of some axes, array of shape (n, n_axes); None where the cells lack a marker.

    The compensated values go through the axes' own transforms: two visits share a scale only that way.
    """
    if any(axis.marker not in cells.markers for axis in axes):
        return None
    columns = [axis.transform.apply(cells.compensated[:, cells.markers.index(axis.marker)]) for axis in axes]
    return np.stack(columns, axis=1)


def track_clone(sample: SampleResult, samples: Sequence[SampleResult]) -> SampleResult:
    """The sample with what became of an earlier clone of the same subject; nothing else of it changes.

    The earlier visit with the most clonal cells is followed: that of the diagnosis, where it is among ``samples``.
    """
    if sample.mrd is None:
        return sample
    earlier = [s for s in earlier_samples(samples, sample) if _followable(s, sample)]
    if not earlier:
        return sample
    source = max(earlier, key=lambda s: s.mrd.n_clonal_pc)
    theirs = {f.tube: f for f in source.files}
    tubes = [_compare(theirs[f.tube], f, sample) for f in sample.files if f.tube in theirs]
    tubes = [t for t in tubes if t is not None]
    if not tubes:
        return sample
    row = source.rows[0]
    track = CloneTrack(row.visit or source.sample_id, source.sample_id, tuple(tubes))
    return replace(sample, track=track, flags=(*sample.flags, *track_flags(track)))


def _followable(earlier: SampleResult, sample: SampleResult) -> bool:
    same = earlier.panel is not None and sample.panel is not None and earlier.panel.id == sample.panel.id
    return same and earlier.mrd.n_clonal_pc >= max(MIN_CLONE, earlier.mrd.threshold_events)


def _compare(theirs: FileResult, ours: FileResult, sample: SampleResult) -> TrackedTube | None:
    """One tube, on the antigens and light chains that both visits measured; identifying markers move with therapy."""
    if not theirs.rare or not ours.rare:
        return None
    before, now = theirs.rare[0], ours.rare[0]
    channels = sample.panel.tube(ours.tube).channels
    markers = [c.marker for c in channels if c.role in FOLLOWED_ROLES]
    markers = [m for m in markers if m in ours.axes and m in before.markers and m in now.markers]
    clonal = np.asarray(before.labels) > 0
    if len(markers) < 2 or not clonal.any():
        return None
    axes = [ours.axes[m] for m in markers]
    placed = on_axes(before, axes)
    normal = np.asarray(before.labels) == 0
    return compare_tube(
        placed[clonal], placed[normal], on_axes(now, axes), np.asarray(now.labels) > 0, markers=tuple(markers)
    )
