"""What a channel name in a FlowJo workspace means: which detector, compensated or not, on which scale.

FlowJo tells a compensated channel by the prefix of the sample's matrix: ``Comp-FITC-A`` is compensated and
``FITC-A``, the same detector, is not; each has a scale of its own. FlowKit takes the prefix off and lets
the two be one, so both are given names of their own here before it sees them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass

from cytomrd.errors import GateError
from cytomrd.gating.xml_files import DATATYPES, TRANSFORMATIONS, local_name

__all__ = ["Axes", "name_axes"]

NAME = f"{{{DATATYPES}}}name"
MIN_RANGE = f"{{{TRANSFORMATIONS}}}minRange"
SCALES = ("linear", "log", "logicle", "biex", "fasinh")
# FlowKit's table of the biexponential; with another length it would be another scale.
BIEX_LENGTH = "256"


@dataclass(frozen=True)
class Axes:
    """Names that the tree now has.

    Attributes
    ----------
    detector_of
        Name to ``$PnN``.
    without_scale
        Names whose scale is none that is known.
    not_in_file
        Names of what FlowJo derives, or the file lacks, as the sample's keywords tell.
    """

    detector_of: Mapping[str, str]
    without_scale: Collection[str]
    not_in_file: Collection[str]


def name_axes(sample) -> Axes:
    """Rename every gated channel of a ``Sample`` element, so that its name alone tells its compensation and scale.

    Raises
    ------
    GateError
        If the sample has no list of scales, or its matrix a detector without a name.
    """
    in_file = _detectors(sample)
    detectors = dict(in_file)
    matrix = next((e for e in sample if local_name(e) == "spilloverMatrix"), None)
    compensated = _compensated_names(matrix)
    known = set(compensated.values())
    scales = sample.find("Transformations")
    if scales is None:
        raise GateError("the sample has no element 'Transformations'; save the workspace again with FlowJo 10")
    scale_of = {p.get(NAME): scale for scale in scales for p in scale.iter(f"{{{DATATYPES}}}parameter")}
    for scale in list(scales):
        scales.remove(scale)
    renamed: dict[str, str] = {}
    without_scale, not_in_file = set(), set()
    for channel in sample.find("SampleNode").iter(f"{{{DATATYPES}}}fcs-dimension"):
        given = channel.get(NAME, "")
        if given not in renamed:
            plain = compensated.get(given, given)
            renamed[given] = f"{given} (uncompensated)" if given not in compensated and given in known else plain
            detectors[renamed[given]] = in_file.get(plain, plain)
            if in_file and plain not in in_file:
                not_in_file.add(renamed[given])
            scale = scale_of.get(given, scale_of.get(plain))
            if scale is not None and _is_known(scale):
                scales.append(_scale_for(scale, renamed[given]))
            elif scale is not None:
                without_scale.add(renamed[given])
        channel.set(NAME, renamed[given])
    if matrix is not None:
        matrix.set("prefix", "")
        matrix.set("suffix", "")
    return Axes(detectors, without_scale, not_in_file)


def _compensated_names(matrix) -> dict[str, str]:
    """Compensated channel to the matrix's detector."""
    if matrix is None:
        return {}
    prefix, suffix = matrix.get("prefix", ""), matrix.get("suffix", "")
    names = [p.get(NAME) for p in matrix.iterfind(f"{{{DATATYPES}}}parameters/{{{DATATYPES}}}parameter")]
    if not all(names):
        raise GateError(f"a detector of the sample's spillover matrix {matrix.get('name')!r} has no name")
    return {f"{prefix}{name}{suffix}": name for name in names}


def _is_known(scale) -> bool:
    kind = local_name(scale)
    return kind in SCALES and (kind != "biex" or scale.get(f"{{{TRANSFORMATIONS}}}length") == BIEX_LENGTH)


def _scale_for(scale, name: str):
    """A copy of the scale for the one channel of that name."""
    copied = deepcopy(scale)
    for parameter in copied.iter(f"{{{DATATYPES}}}parameter"):
        parameter.set(NAME, name)
    if local_name(scale) == "linear":
        # FlowJo's axis begins at minRange; FlowKit takes the number as Gating-ML's A, by which it begins at -A.
        start = scale.get(MIN_RANGE, "")
        copied.set(MIN_RANGE, start[1:] if start.startswith("-") else f"-{start.removeprefix('+')}")
    return copied


def _detectors(sample) -> dict[str, str]:
    """FlowJo's channel name (slashes turned into underscores) to ``$PnN``."""
    keywords = {k.get("name", "").strip(): k.get("value", "") for k in sample.findall("Keywords/Keyword")}
    names = [value for key, value in keywords.items() if re.fullmatch(r"\$P[0-9]+N", key)]
    return {name.replace("/", "_"): name for name in names}
