"""Gate one tube in Python: match the panel's channels, fit its gates, apply them to every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from cytomrd.errors import GateError
from cytomrd.gating.apply import ArrayDataset, GatedEvents, apply_gates
from cytomrd.gating.fit import ControlCut, FittedGates, fit_gates
from cytomrd.panel import Panel, TubeSpec
from cytomrd.panel.library import read_panel
from cytomrd.panel.matching import ChannelMatch, match_channels, recognise_panel
from cytomrd.preprocess.compensation import Spillover, spillover_of_keywords

if TYPE_CHECKING:
    from anndata import AnnData

    from cytomrd.fcs.dataset import FcsDataset

__all__ = ["GatedTube", "anndata_tube", "gate", "match_tube"]


# What read_fcs keeps of each channel, and the scales are set by.
SCALE_COLUMNS = {"range", "gain", "decades", "offset"}


@dataclass(frozen=True, eq=False)
class GatedTube:
    """A gated tube.

    Attributes
    ----------
    fitted
        The gates as fitted, with the decision behind each cut.
    events
        Counts, membership patterns and the population code of every event.
    panel, tube, match
        What the channels were taken to mean.
    """

    fitted: FittedGates
    events: GatedEvents
    panel: Panel
    tube: str
    match: ChannelMatch

    @property
    def counts(self) -> dict[str, int]:
        """Events of each population."""
        return {name: int(n) for name, n in zip(self.events.populations, self.events.n_events, strict=True)}


def gate(
    data: FcsDataset | AnnData,
    panel: Panel | str | PathLike,
    *,
    tube: str | None = None,
    spillover: Spillover | None = None,
    controls: Mapping[str, ControlCut] | None = None,
    random_state: int = 0,
    n_threads: int = 1,
) -> GatedTube:
    """Fit a panel's gates to one tube and apply them to all of its events.

    Parameters
    ----------
    data
        From :func:`cytomrd.open_fcs` (any size) or :func:`cytomrd.read_fcs`.
    panel
        A panel, the id of a bundled one, or the path of a TOML.
    tube
        Tube within the panel; recognised from the markers when left out.
    spillover
        Matrix to compensate with; by default the file's own.
    controls
        Cuts taken from control samples, by the name of the cut.
    random_state
        Seed of the bootstrap.
    n_threads
        Threads of each pass over the events; the result is the same for any number.

    Raises
    ------
    PanelError
        If the markers do not fit the panel.
    GateError
        If a gate cannot be found, with the evidence that was missing.

    Examples
    --------
    >>> import tempfile, cytomrd as cm
    >>> from pathlib import Path
    >>> from cytomrd.simulate.demo import write_example_tube
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_example_tube(Path(folder) / "marrow.fcs", n_events=60_000)
    ...     tube = cm.gate(cm.open_fcs(path), "euroflow-mm-mrd", tube="2")
    >>> tube.counts["nucleated"] > 40_000
    True
    """
    dataset = data if hasattr(data, "blocks") else anndata_tube(data)
    panel, spec, match = match_tube(dataset, panel, tube)
    matrix = spillover if spillover is not None else getattr(dataset, "spillover", None)
    fitted = fit_gates(
        dataset,
        panel,
        spec.id,
        match=match,
        spillover=matrix,
        controls=controls or {},
        random_state=random_state,
        n_threads=n_threads,
    )
    events = apply_gates(dataset, fitted.strategy, spillover=matrix, n_threads=n_threads)
    return GatedTube(fitted, events, panel, spec.id, match)


def match_tube(dataset, panel: Panel | str | PathLike, tube: str | None = None) -> tuple[Panel, TubeSpec, ChannelMatch]:
    """Match a dataset's markers to a tube of a panel.

    Parameters
    ----------
    dataset
        With ``detectors`` and ``markers``.
    panel
        A panel, the id of a bundled one, or the path of a TOML.
    tube
        Tube within the panel; recognised from the markers when left out.

    Raises
    ------
    PanelError
        If the markers do not fit.
    """
    panel = panel if isinstance(panel, Panel) else read_panel(panel)
    markers = tuple(dataset.markers)
    if tube is None:
        _, spec, match = recognise_panel([panel], dataset.detectors, markers)
    else:
        spec = panel.tube(tube)
        match = match_channels(spec, dataset.detectors, markers)
    match.require(f"panel {panel.id}, tube {spec.id}")
    return panel, spec, match


def anndata_tube(data: AnnData) -> _AnnDataTube:
    """An AnnData from :func:`cytomrd.read_fcs` as a tube that can be gated.

    Raises
    ------
    GateError
        If it has no layer ``raw``.
    """
    if "raw" not in data.layers:
        raise GateError(
            f"the AnnData has no layer 'raw' with scale values; it has {sorted(data.layers)}. Use cytomrd.read_fcs"
        )
    return _AnnDataTube(data)


class _AnnDataTube(ArrayDataset):
    """An AnnData from ``read_fcs`` as a tube that can be gated: detectors, markers, ranges and spillover."""

    def __init__(self, data: AnnData):
        keywords = data.uns.get("cytomrd", {}).get("keywords", {})
        super().__init__(
            data.layers["raw"], tuple(data.var_names), spillover_of_keywords(keywords, tuple(data.var_names))
        )
        self.markers = tuple(data.var["marker"]) if "marker" in data.var else ("",) * data.n_vars
        self.channels = ()
        if set(data.var) >= SCALE_COLUMNS:
            self.channels = tuple(data.var[list(SCALE_COLUMNS)].itertuples(index=False))
