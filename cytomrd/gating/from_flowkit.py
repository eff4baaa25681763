"""FlowKit's gate objects turned into ours: the XML formats are its business, the geometry is ours."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from cytomrd.errors import GateError
from cytomrd.gating.gates import (
    FROM_FILE,
    ROOT,
    UNCOMPENSATED,
    Axis,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    Operand,
    PolygonGate,
    Quadrant,
    QuadrantGate,
    RatioDimension,
    RectangleGate,
)
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import (
    Asinh,
    Biexponential,
    FlowJoLog,
    Hyperlog,
    Linear,
    Log,
    Logicle,
    Transform,
)

__all__ = ["OUTLINE", "population_names", "strategy_from_flowkit"]

OUTLINE = "{} (outline)"


def strategy_from_flowkit(
    strategy,
    *,
    sample_id: str | None = None,
    detector_of: Mapping[str, str] | None = None,
    outside: Collection[str] = (),
    source: str = "",
) -> GatingStrategy:
    """Convert a ``flowkit.GatingStrategy``.

    Parameters
    ----------
    strategy
        The FlowKit object.
    sample_id
        Take this sample's own versions of the gates.
    detector_of
        Channel name in the gates to ``$PnN``, where they differ.
    outside
        Gates (by name) whose population lies outside of the drawn shape, beyond those
        that FlowKit marks itself.
    source
        Where the matrices came from, for reports.

    Returns
    -------
    GatingStrategy
        Names that occur at several places of the tree are told apart as ``"parent/name"``. A gate
        whose population lies outside of its shape becomes the shape, named ``"NAME (outline)"``,
        and a ``not`` of it, named as the gate was.
    """
    return _Conversion(strategy, sample_id, detector_of or {}, set(outside), source).strategy()


def population_names(paths: Collection[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """Shortest ending of each path (root left out) that names it alone, joined with slashes.

    Examples
    --------
    >>> from cytomrd.gating.from_flowkit import population_names
    >>> sorted(population_names([("root", "CD4"), ("root", "CD4", "CD25+"), ("root", "CD8", "CD25+")]).values())
    ['CD4', 'CD4/CD25+', 'CD8/CD25+']
    """
    names: dict[tuple[str, ...], str] = {}
    for path in paths:
        own = path[1:] if path[0] == ROOT else path
        for length in range(1, len(own) + 1):
            ending = own[-length:]
            if sum(other[-length:] == ending for other in paths) == 1 or length == len(own):
                names[path] = "/".join(ending)
                break
    return names


class _Conversion:
    """One strategy on its way; names are resolved by their full paths."""

    def __init__(self, strategy, sample_id, detector_of, outside, source):
        self.given = strategy
        self.sample_id = sample_id
        self.detector_of = detector_of
        self.outside = outside
        self.source = source
        self.paths = [(*path, name) for name, path in strategy.get_gate_ids()]
        self.name_of = population_names(self.paths) | {(ROOT,): ROOT}
        self.transforms: dict[str, Transform] = {}
        self.spillovers: dict[str, Spillover] = {}

    def strategy(self) -> GatingStrategy:
        from flowkit.exceptions import QuadrantReferenceError

        gates: list[Gate] = []
        for path in self.paths:
            try:
                gate = self.given.get_gate(path[-1], path[:-1], sample_id=self.sample_id)
            except QuadrantReferenceError:
                continue
            gates.extend(self._gates(gate, path))
        return GatingStrategy(tuple(gates), transforms=self.transforms, spillovers=self.spillovers)

    def _gates(self, gate, path: tuple[str, ...]) -> list[Gate]:
        name, parent = self.name_of[path], self.name_of[path[:-1]]
        if not (getattr(gate, "use_complement", False) or path[-1] in self.outside):
            return [self._gate(gate, path, name, parent)]
        outline = OUTLINE.format(name)
        return [
            self._gate(gate, path, outline, parent),
            BooleanGate(name, "not", (Operand(outline),), parent),
        ]

    def _gate(self, gate, path, name, parent) -> Gate:
        kind = type(gate).__name__
        if kind == "BooleanGate":
            operands = tuple(self._operand(reference, name) for reference in gate.gate_refs)
            return BooleanGate(name, gate.type, operands, parent)
        axes = tuple(self._axis(dimension, name) for dimension in gate.dimensions)
        if kind == "RectangleGate":
            low = tuple(_bound(dimension, "min") for dimension in gate.dimensions)
            high = tuple(_bound(dimension, "max") for dimension in gate.dimensions)
            return RectangleGate(name, axes, low, high, parent)
        if kind == "PolygonGate":
            return PolygonGate(name, axes, tuple((float(x), float(y)) for x, y in gate.vertices), parent)
        if kind == "EllipsoidGate":
            covariance = tuple(tuple(float(v) for v in row) for row in gate.covariance_matrix)
            mean = tuple(float(v) for v in gate.coordinates)
            return EllipsoidGate(name, axes, mean, covariance, float(gate.distance_square), parent)
        if kind == "QuadrantGate":
            quadrants = tuple(self._quadrant(quadrant, gate, path) for quadrant in gate.quadrants.values())
            return QuadrantGate(name, axes, quadrants, parent)
        raise GateError(
            f"gate {name!r} is a {kind}; known are rectangle, polygon, ellipsoid, quadrant and boolean gates"
        )

    def _quadrant(self, quadrant, gate, path) -> Quadrant:
        ranges = [
            quadrant.get_divider_range(divider.id) if divider.id in quadrant.divider_refs else (None, None)
            for divider in gate.dimensions
        ]
        low, high = zip(*ranges, strict=True)
        return Quadrant(self.name_of[(*path, quadrant.id)], low, high)

    def _operand(self, reference: Mapping, name: str) -> Operand:
        path = (*reference["path"], reference["ref"])
        if path not in self.name_of:
            raise GateError(f"gate {name!r} refers to {'/'.join(path)}, which is not in the file")
        return Operand(self.name_of[path], bool(reference["complement"]))

    def _axis(self, dimension, name: str) -> Axis:
        transform = self._transform(dimension.transformation_ref, name)
        reference = dimension.compensation_ref or UNCOMPENSATED
        if type(dimension).__name__ == "RatioDimension":
            return self._ratio(dimension, reference, transform, name)
        channel = getattr(dimension, "dimension_ref", None) or dimension.id
        if reference not in (UNCOMPENSATED, FROM_FILE):
            channel = self._compensated_channel(reference, channel, name)
        return Dimension(self.detector_of.get(channel, channel), reference, transform)

    def _ratio(self, dimension, reference, transform, name) -> RatioDimension:
        if reference != UNCOMPENSATED:
            raise GateError(
                f"gate {name!r}: a ratio of channels compensated with {reference!r}; uncompensated is known"
            )
        ratio = self.given.transformations[dimension.ratio_ref]
        x, y = (self.detector_of.get(channel, channel) for channel in ratio.dimensions)
        return RatioDimension(x, y, ratio.param_a, ratio.param_b, ratio.param_c, transform)

    def _compensated_channel(self, key: str, channel: str, name: str) -> str:
        """Keep the matrix ``key``, and give the detector where the gate names the matrix's fluorochrome."""
        if key not in self.given.comp_matrices:
            raise GateError(f"gate {name!r}: no spillover matrix {key!r} in the file")
        matrix = self.given.comp_matrices[key]
        if type(matrix).__name__ != "Matrix":
            raise GateError(f"gate {name!r}: matrix {key!r} is spectral, which is not supported; square ones are")
        if key not in self.spillovers:
            detectors = tuple(self.detector_of.get(d, d) for d in matrix.detectors)
            source = f"{key} in {self.source}" if self.source else key
            self.spillovers[key] = Spillover(detectors, matrix.matrix, source)
        if channel not in matrix.detectors and channel in matrix.fluorochromes:
            return matrix.detectors[list(matrix.fluorochromes).index(channel)]
        return channel

    def _transform(self, key: str | None, name: str) -> str | None:
        if key is not None and key not in self.transforms:
            if key not in self.given.transformations:
                raise GateError(f"gate {name!r}: no transformation {key!r} in the file")
            self.transforms[key] = _transform_of(self.given.transformations[key], key)
        return key


def _bound(dimension, side: str) -> float | None:
    """A bound of a dimension; an infinite one is none, and a ratio without one lacks the attribute in FlowKit."""
    value = getattr(dimension, side, None)
    return None if value is None or math.isinf(value) else float(value)


def _transform_of(given, key: str) -> Transform:
    kind = type(given).__name__
    if kind == "LinearTransform":
        return Linear(given.param_t, given.param_a)
    if kind == "LogTransform":
        return Log(given.param_t, given.param_m)
    if kind == "AsinhTransform":
        return Asinh(given.param_t, given.param_m, given.param_a)
    if kind == "LogicleTransform":
        return Logicle(given.param_t, given.param_w, given.param_m, given.param_a)
    if kind == "HyperlogTransform":
        return Hyperlog(given.param_t, given.param_w, given.param_m, given.param_a)
    if kind == "WSPLogTransform":
        return FlowJoLog(given.offset, given.decades)
    if kind == "WSPBiexTransform":
        return Biexponential(given.negative, given.width, given.positive, given.max_value)
    raise GateError(f"transformation {key!r} is a {kind}, which is not known")
