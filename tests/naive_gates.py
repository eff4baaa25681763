"""Slow oracles for gating: exact rational polygons, published formulas by bisection, one numpy line per gate."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.optimize import brentq

from cytomrd.gating.gates import (
    ROOT,
    BooleanGate,
    EllipsoidGate,
    GatingStrategy,
    PolygonGate,
    QuadrantGate,
    RatioDimension,
    RectangleGate,
)


def logicle(x: float, T: float, W: float, M: float, A: float) -> float:
    """Root of the published biexponential, mirrored below zero."""
    b = (M + A) * math.log(10)
    w = W / (M + A)
    x2 = A / (M + A)
    x1, x0 = x2 + w, x2 + 2 * w
    d = (
        b
        if w == 0
        else brentq(lambda d: 2 * (math.log(d) - math.log(b)) + w * (b + d), 1e-12, b, xtol=1e-15, rtol=1e-15)
    )
    c_a = math.exp(x0 * (b + d))
    f_a = math.exp(b * x1) - c_a * math.exp(-d * x1)
    a = T / (math.exp(b) - f_a - c_a * math.exp(-d))

    def scale_value(y):
        return a * math.exp(b * y) - a * c_a * math.exp(-d * y) - a * f_a

    y = brentq(lambda y: scale_value(y) - abs(x), x1 - 1, x1 + 3, xtol=1e-15, rtol=1e-15)
    return y if x >= 0 else 2 * x1 - y


def hyperlog(x: float, T: float, W: float, M: float, A: float) -> float:
    """Root of the published hyperlog, mirrored below zero."""
    b = (M + A) * math.log(10)
    w = W / (M + A)
    x2 = A / (M + A)
    x1, x0 = x2 + w, x2 + 2 * w
    c_a = math.exp(b * x0) / w
    f_a = math.exp(b * x1) + c_a * x1
    a = T / (math.exp(b) + c_a - f_a)

    def scale_value(y):
        return a * math.exp(b * y) + a * c_a * y - a * f_a

    y = brentq(lambda y: scale_value(y) - abs(x), x1 - 1, x1 + 3, xtol=1e-15, rtol=1e-15)
    return y if x >= 0 else 2 * x1 - y


def in_polygon(x: float, y: float, vertices) -> bool:
    """Even-odd rule in exact arithmetic; left and lower edges belong to the inside."""
    if not (math.isfinite(x) and math.isfinite(y)):
        return False
    px, py = Fraction(x), Fraction(y)
    inside = False
    for (ax, ay), (bx, by) in zip(vertices, [*vertices[1:], vertices[0]], strict=True):
        ax, ay, bx, by = map(Fraction, (ax, ay, bx, by))
        if (ay <= py) != (by <= py) and px < ax + (py - ay) * (bx - ax) / (by - ay):
            inside = not inside
    return inside


def mean_and_covariance(points) -> tuple[list[float], list[list[float]]]:
    """Of points, a row each, in exact fractions; covariance by n - 1."""
    rows = [[Fraction(float(value)) for value in point] for point in points]
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    apart = [[value - middle for value, middle in zip(row, mean, strict=True)] for row in rows]
    products = [[sum(row[i] * row[j] for row in apart) for j in range(len(mean))] for i in range(len(mean))]
    return [float(m) for m in mean], [[float(p / (len(rows) - 1)) for p in line] for line in products]


def compensated(events: np.ndarray, detectors, spillover) -> np.ndarray:
    """All detectors of the matrix solved for, one event at a time."""
    out = events.astype(float).copy()
    where = [list(detectors).index(name) for name in spillover.detectors]
    for e in range(len(out)):
        out[e, where] = np.linalg.solve(spillover.matrix.T, out[e, where])
    return out


def axis_values(axis, events, detectors, strategy: GatingStrategy, file_spillover) -> np.ndarray:
    """Positions of all events on one axis."""
    index = {name: i for i, name in enumerate(detectors)}
    if isinstance(axis, RatioDimension):
        x, y = events[:, index[axis.numerator]], events[:, index[axis.denominator]]
        with np.errstate(all="ignore"):
            values = axis.scale * ((x - axis.x_offset) / (y - axis.y_offset))
    else:
        matrix = {"uncompensated": None, "FCS": file_spillover}.get(
            axis.compensation, strategy.spillovers.get(axis.compensation)
        )
        values = (events if matrix is None else compensated(events, detectors, matrix))[:, index[axis.channel]]
    return values if axis.transform is None else strategy.transforms[axis.transform].apply(values)


def memberships(events, detectors, strategy: GatingStrategy, file_spillover=None) -> dict[str, np.ndarray]:
    """Population name to bool (n_events,); the events must be finite."""
    found = {ROOT: np.ones(len(events), dtype=bool)}

    def within(axes, lows, highs):
        inside = np.ones(len(events), dtype=bool)
        for axis, low, high in zip(axes, lows, highs, strict=True):
            values = axis_values(axis, events, detectors, strategy, file_spillover)
            inside &= True if low is None else values >= low
            inside &= True if high is None else values < high
        return inside

    for gate in strategy.gates:
        parent = found[gate.parent]
        if isinstance(gate, BooleanGate):
            parts = [found[o.name] != o.complement for o in gate.operands]
            results = {"and": np.all(parts, axis=0), "or": np.any(parts, axis=0), "not": ~parts[0]}
            found[gate.name] = parent & results[gate.operator]
        elif isinstance(gate, RectangleGate):
            found[gate.name] = parent & within(gate.dimensions, gate.minimum, gate.maximum)
        elif isinstance(gate, QuadrantGate):
            for q in gate.quadrants:
                found[q.name] = parent & within(gate.dimensions, q.minimum, q.maximum)
            found[gate.name] = np.any([found[q.name] for q in gate.quadrants], axis=0)
        else:
            points = np.column_stack(
                [axis_values(a, events, detectors, strategy, file_spillover) for a in gate.dimensions]
            )
            if isinstance(gate, PolygonGate):
                inside = np.array([in_polygon(x, y, gate.vertices) for x, y in points], dtype=bool)
            else:
                assert isinstance(gate, EllipsoidGate)
                apart = points - np.array(gate.mean)
                squares = np.einsum("ei,ij,ej->e", apart, np.linalg.inv(np.array(gate.covariance)), apart)
                inside = squares <= gate.distance_square
            found[gate.name] = parent & inside
    return found
