"""Scales: logicle, biexponential (FlowJo), hyperlog, asinh, linear and logarithmic.

A transform is a small immutable description. Its arithmetic lives in
:mod:`cytomrd.kernels.transforms`; ``apply`` and ``inverse`` are the readable way in.
All of them take scale values (linear, compensated or not) and give float64.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cytomrd.errors import GateError

__all__ = [
    "Asinh",
    "Biexponential",
    "FlowJoLog",
    "Hyperlog",
    "Linear",
    "Log",
    "Logicle",
    "ScaleConstants",
    "ScaleGrid",
    "ScaleTable",
    "Transform",
    "scale_constants",
    "scale_grid",
    "scale_table",
]


class ScaleConstants(NamedTuple):
    """What the kernels need of a transform: its kind, float64 (8,) constants and a table float64 (2, n)."""

    kind: int
    constants: np.ndarray
    table: np.ndarray


class ScaleTable(NamedTuple):
    """A costly scale by table (``cytomrd.kernels.scale_tables.build_table``); ``error`` bounds how far off it is."""

    pieces: np.ndarray
    offset: float
    first: int
    zero: float
    error: float


class ScaleGrid(NamedTuple):
    """A scale that is straight between the points of a grid (``cytomrd.kernels.grid_index.index_grid``)."""

    segments: np.ndarray
    starts: np.ndarray
    n_steps: int
    offset: float
    first: int


class _Scale:
    """``apply`` and ``inverse`` for every transform below."""

    __slots__ = ()

    def apply(self, x) -> np.ndarray:
        """Positions on this scale of the scale values ``x``.

        Parameters
        ----------
        x
            Array of any shape, or a number. NaN stays NaN and an infinity
            stays infinite where the scale has no upper end.

        Returns
        -------
        numpy.ndarray
            float64, the shape of ``x``.
        """
        from cytomrd.kernels.transforms import transform_column

        return _by_column(transform_column, x, self)

    def inverse(self, y) -> np.ndarray:
        """Scale values whose position on this scale is ``y`` (any shape; float64 out)."""
        from cytomrd.kernels.transforms import inverse_column

        return _by_column(inverse_column, y, self)


def _by_column(run, values, transform: Transform) -> np.ndarray:
    given = np.asarray(values, dtype=np.float64)
    column = np.ascontiguousarray(given.reshape(-1))
    out = np.empty_like(column)
    run(column, *scale_constants(transform), out)
    return out.reshape(given.shape)


@dataclass(frozen=True, slots=True)
class Logicle(_Scale):
    """Logicle (Moore and Parks 2012, doi:10.1002/cyto.a.22030): T to 1, M decades, W decades linear, A below.

    Negative values mirror the positive ones around the position of zero.

    Examples
    --------
    >>> from cytomrd.preprocess.transforms import Logicle
    >>> Logicle(T=262144, W=0.5, M=4.5).apply([0.0, 262144.0]).round(6).tolist()
    [0.111111, 1.0]
    """

    T: float = 262144.0
    W: float = 0.5
    M: float = 4.5
    A: float = 0.0

    def __post_init__(self):
        _check(self, W=0 <= self.W <= self.M / 2, **_common(self))


@dataclass(frozen=True, slots=True)
class Hyperlog(_Scale):
    """Hyperlog (Bagwell 2005, doi:10.1002/cyto.a.20114) with Gating-ML 2.0 parameters."""

    T: float = 262144.0
    W: float = 0.5
    M: float = 4.5
    A: float = 0.0

    def __post_init__(self):
        _check(self, W=0 < self.W <= self.M / 2, **_common(self))


@dataclass(frozen=True, slots=True)
class Asinh(_Scale):
    """Inverse hyperbolic sine, Gating-ML 2.0: ``(asinh(x sinh(M ln 10) / T) + A ln 10) / ((M + A) ln 10)``."""

    T: float = 262144.0
    M: float = 4.5
    A: float = 0.0

    def __post_init__(self):
        _check(self, T=self.T > 0, M=self.M > 0, A=0 <= self.A <= self.M)


@dataclass(frozen=True, slots=True)
class Linear(_Scale):
    """``(x + A) / (T + A)``: the interval [-A, T] onto [0, 1]."""

    T: float = 262144.0
    A: float = 0.0

    def __post_init__(self):
        _check(self, T=self.T + self.A > 0)


@dataclass(frozen=True, slots=True)
class Log(_Scale):
    """``log10(x / T) / M + 1``; not finite at and below zero."""

    T: float = 262144.0
    M: float = 4.5

    def __post_init__(self):
        _check(self, T=self.T > 0, M=self.M > 0)


@dataclass(frozen=True, slots=True)
class FlowJoLog(_Scale):
    """FlowJo's logarithm: ``(log10(max(x, offset)) - log10(offset)) / decades``, 0 below the offset."""

    offset: float = 1.0
    decades: float = 4.5

    def __post_init__(self):
        _check(self, offset=self.offset > 0, decades=self.decades > 0)


@dataclass(frozen=True, slots=True)
class Biexponential(_Scale):
    """FlowJo's biexponential: a table over ``channel_range`` channels, as its workspaces describe it.

    Between the table's points the scale is straight; beyond its ends it stays at
    the end channels 0 and ``channel_range``. ``width`` is negative, at most -1.
    """

    negative: float = 0.0
    width: float = -10.0
    positive: float = 4.418540
    max_value: float = 262144.000029
    channel_range: int = 4096

    def __post_init__(self):
        room = self.width <= -1 and self.positive > math.log10(-self.width) / 2
        _check(self, width=room, max_value=self.max_value > 0, channel_range=self.channel_range >= 2)


Transform = Logicle | Hyperlog | Asinh | Linear | Log | FlowJoLog | Biexponential


def _common(scale: Logicle | Hyperlog) -> dict[str, bool]:
    """What logicle and hyperlog ask of their parameters alike."""
    return {"T": scale.T > 0, "M": scale.M > 0, "A": -scale.W <= scale.A <= scale.M - 2 * scale.W}


def _check(transform: Transform, **allowed: bool) -> None:
    numbers = astuple(transform)
    wrong = [name for name, is_allowed in allowed.items() if not is_allowed]
    if wrong or not all(math.isfinite(number) for number in numbers):
        raise GateError(
            f"{transform}: {', '.join(wrong) or 'a parameter'} out of range; allowed are finite numbers with T, M, "
            "offset and decades above 0, 0 <= W <= M/2 (hyperlog: W > 0), -W <= A <= M - 2W (asinh: 0 <= A <= M), "
            "T + A > 0 (linear), width <= -1 (biexponential)"
        )


@lru_cache(maxsize=256)
def scale_constants(transform: Transform) -> ScaleConstants:
    """Kind, constants and table of ``transform`` for the kernels."""
    from cytomrd.kernels import constants as of

    if isinstance(transform, Logicle):
        found = of.LOGICLE, of.logicle_constants(transform.T, transform.W, transform.M, transform.A), of.NO_TABLE
    elif isinstance(transform, Hyperlog):
        found = of.HYPERLOG, of.hyperlog_constants(transform.T, transform.W, transform.M, transform.A), of.NO_TABLE
    elif isinstance(transform, Asinh):
        found = of.ASINH, of.asinh_constants(transform.T, transform.M, transform.A), of.NO_TABLE
    elif isinstance(transform, Linear):
        found = of.LINEAR, of.linear_constants(transform.T, transform.A), of.NO_TABLE
    elif isinstance(transform, Log):
        found = of.LOG, of.log_constants(transform.T, transform.M), of.NO_TABLE
    elif isinstance(transform, FlowJoLog):
        found = of.CLAMPED_LOG, of.clamped_log_constants(transform.offset, transform.decades), of.NO_TABLE
    elif isinstance(transform, Biexponential):
        found = of.BIEXPONENTIAL, np.zeros(8), of.biexponential_table(*astuple(transform))
    else:
        raise GateError(f"unknown transform {transform!r}; known are {Transform}")
    return ScaleConstants(*found)


@lru_cache(maxsize=256)
def scale_table(transform: Transform) -> ScaleTable | None:
    """Table of a costly scale, with its error; None for scales that are computed."""
    from cytomrd.kernels.scale_tables import build_table

    built = build_table(*scale_constants(transform), transform.T) if hasattr(transform, "T") else None
    return None if built is None else ScaleTable(*built)


@lru_cache(maxsize=256)
def scale_grid(transform: Transform) -> ScaleGrid | None:
    """Index of a scale that is a grid with straight lines between; None for the others."""
    from cytomrd.kernels.grid_index import index_grid

    return ScaleGrid(*index_grid(*scale_constants(transform).table)) if isinstance(transform, Biexponential) else None
