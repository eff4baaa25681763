"""FlowJo 10 workspaces: one sample's gates as a strategy, and what could not be taken over."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from cytomrd.errors import CytomrdError, GateError
from cytomrd.gating.flowjo_axes import name_axes
from cytomrd.gating.flowjo_tree import BOOLEANS, SkippedPopulation, keep_one_sample, path_of, prune
from cytomrd.gating.from_flowkit import population_names, strategy_from_flowkit
from cytomrd.gating.gates import GatingStrategy
from cytomrd.gating.xml_files import local_name, read_xml

__all__ = ["FlowJoGates", "read_flowjo_workspace"]

FINEST_GRID = 4096


@dataclass(frozen=True)
class FlowJoGates:
    """What a workspace says about one sample.

    Attributes
    ----------
    strategy
        The gates. FlowJo's ellipses come as polygons of 128 vertices.
    counts
        Population name to the number of events that FlowJo counted, where it did.
    skipped
        Populations that were left out, with all below them; empty if none was.
    sample
        Name of the sample in the workspace.
    paths
        Population name to its names from the top of FlowJo's tree.
    bins
        Population name to the bins of the grid that FlowJo draws its polygon or ellipse on.
    """

    strategy: GatingStrategy
    counts: Mapping[str, int]
    skipped: tuple[SkippedPopulation, ...]
    sample: str
    paths: Mapping[str, tuple[str, ...]]
    bins: Mapping[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out and why, one sentence each; empty if nothing was."""
        return tuple(str(population) for population in self.skipped)


def read_flowjo_workspace(path: str | Path, sample: str | Path) -> FlowJoGates:
    """Read one sample's gates from a FlowJo 10 workspace (``.wsp``).

    Parameters
    ----------
    path
        The workspace.
    sample
        The FCS file or its name. It is looked for among the workspace's sample names, and
        then among the names of the files that the samples were loaded from.

    Returns
    -------
    FlowJoGates
        Gates on scales or of shapes that are not supported, or that are malformed, are left
        out with everything below them, and noted.

    Raises
    ------
    GateError
        If the file is no FlowJo 10 workspace, the sample is not in it or is in it twice, or its
        matrix is spectral; the message names the file.
    CompensationError
        If the sample's matrix cannot be used.

    Notes
    -----
    A channel is compensated where its name bears the prefix of the sample's matrix (``Comp-``),
    and not otherwise, as in FlowJo.

    FlowJo decides polygons on a grid of 256 (or 1024) bins; here they are exact, so a count may
    differ by the few events next to an edge (:func:`cytomrd.gating.flowjo_counts.compare_with_flowjo`).
    """
    try:
        return _read(Path(path), Path(sample).name)
    except CytomrdError as error:
        if str(path) not in str(error):
            error.add_note(f"in the FlowJo workspace {path}")
        raise


def _read(path: Path, wanted: str) -> FlowJoGates:
    tree = read_xml(path)
    root = tree.getroot()
    if local_name(root) != "Workspace":
        raise GateError(f"{path}: the root element is {local_name(root)!r}; a FlowJo workspace begins with 'Workspace'")
    sample = keep_one_sample(root, wanted, path)
    node = sample.find("SampleNode")
    axes = name_axes(sample)
    skipped = prune(node, axes)
    populations = list(node.iter("Population", *BOOLEANS))
    names = population_names([path_of(e) for e in populations])
    name_of = {element: names[path_of(element)] for element in populations}
    sample_name = node.get("name")
    strategy = strategy_from_flowkit(
        _parsed(tree, path, sample_name), sample_id=sample_name, detector_of=axes.detector_of, source=path.name
    )
    lost = set(name_of.values()) - set(strategy.populations)
    if lost:
        raise GateError(f"{path}: populations {', '.join(sorted(lost))} stand at a place where FlowJo puts none")
    return FlowJoGates(
        strategy=strategy,
        counts={name: int(e.get("count")) for e, name in name_of.items() if _is_count(e.get("count", ""))},
        skipped=skipped,
        sample=sample_name,
        paths={name: path_of(element) for element, name in name_of.items()},
        bins={name: bins for element, name in name_of.items() if (bins := _grid(element))},
    )


def _parsed(tree, path: Path, name: str):
    import flowkit
    from lxml import etree

    data = BytesIO(etree.tostring(tree, encoding="utf-8", xml_declaration=True))
    try:
        return flowkit.Workspace(data, load_missing_file_data=True).get_gating_strategy(name)
    except Exception as error:
        raise GateError(f"{path}: not readable as a FlowJo 10 workspace: {error or type(error).__name__}") from error


def _is_count(text: str) -> bool:
    return re.fullmatch("[0-9]{1,15}", text) is not None


def _grid(population) -> int:
    """Bins of the grid of a polygon or an ellipse; 0 for what FlowJo decides without one."""
    shape = next((s for s in population.iterfind("Gate/*") if local_name(s) in ("PolygonGate", "EllipsoidGate")), None)
    if shape is None:
        return 0
    text = shape.get("gateResolution", "256")
    return min(int(text), FINEST_GRID) if re.fullmatch("[1-9][0-9]{0,5}", text) else 256
