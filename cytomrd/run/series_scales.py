"""Scales of a subject's series: all visits are looked at on those of the first, so that cuts and plots compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cytomrd.errors import CytomrdError
from cytomrd.fcs.dataset import open_fcs
from cytomrd.gating.fit import read_scales
from cytomrd.panel import Panel
from cytomrd.preprocess.transforms import Transform
from cytomrd.run.plan import PlannedFile
from cytomrd.run.settings import RunSettings
from cytomrd.run.spillover import file_spillover

__all__ = ["SeriesScales", "first_visit_scales"]


@dataclass(frozen=True)
class SeriesScales:
    """Marker to the scale that the first visit gives to a series; ``reason`` says why there is none.

    ``sha256`` is that of the first visit's file.
    """

    file: str
    scales: Mapping[str, Transform] = field(default_factory=dict)
    reason: str = ""
    sha256: str = ""

    @property
    def note(self) -> str:
        """What a reader of a later visit must know."""
        if self.reason:
            return f"scales of its own, since those of the subject's first visit cannot be read: {self.reason}"
        return f"logicle widths are those of the subject's first visit, {self.file}"


def first_visit_scales(file: PlannedFile, panel: Panel, settings: RunSettings, folder) -> SeriesScales:
    """The scales of a subject's first visit, from its own negatives."""
    try:
        dataset = open_fcs(file.path, strict=settings.strict)
        spillover = file_spillover(dataset, settings, folder)
        scales = read_scales(dataset, panel.tube(file.tube), match=file.match, spillover=spillover)
        return SeriesScales(file.row.file, scales, sha256=dataset.sha256)
    except (CytomrdError, OSError) as error:
        return SeriesScales(file.row.file, reason=f"{file.row.file}: {error}")
