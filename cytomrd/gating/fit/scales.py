"""Axes of a tube: which detector a marker is, whether it is compensated, and the scale it is looked at on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cytomrd.errors import GateError
from cytomrd.gating.fit.scatter import scatter_steps
from cytomrd.gating.fit.widths import logicle_width
from cytomrd.gating.gates import FROM_FILE, UNCOMPENSATED, Dimension
from cytomrd.panel import ChannelSpec, TransformSpec, TubeSpec
from cytomrd.preprocess.compensation import Spillover
from cytomrd.preprocess.transforms import Asinh, Hyperlog, Linear, Log, Logicle, Transform

__all__ = ["Axes", "fit_axes"]

LINEAR_ROLES = ("scatter",)
OVER_RANGE = 1.05


@dataclass(frozen=True)
class Axes:
    """Axes by marker, the transforms they refer to, and remarks on how these came about."""

    dimensions: Mapping[str, Dimension]
    transforms: Mapping[str, Transform]
    notes: tuple[str, ...]


def fit_axes(
    tube: TubeSpec,
    detector_of: Mapping[str, str],
    dataset,
    sample: np.ndarray,
    spillover: Spillover | None,
    series: Mapping[str, Transform] | None = None,
) -> Axes:
    """Choose each channel's axis and scale.

    T is the panel's, else the channel's range in the file (``$PnR`` over the gain), else,
    for events in memory, the power of two that holds every signal channel; it is raised
    where the data exceed it, since a scale must hold its events. Scatter whose gain
    is far from usual is doubled or halved to where panels expect cells. The logicle
    width comes from the compensated negatives unless the panel gives one, or the series
    that the sample belongs to. Time stays in its own unit.

    Parameters
    ----------
    tube
        The panel's tube.
    detector_of
        Marker to detector.
    dataset
        With ``detectors``, and ``channels`` where the file tells ranges.
    sample
        Array of shape (n_sample, n_channels), scale values.
    spillover
        The matrix to compensate with, or None.
    series
        Marker to the scale of the series that the sample belongs to.

    Raises
    ------
    GateError
        If a matched detector is not in the file.
    """
    compensated = _compensated(sample, dataset.detectors, spillover)
    dimensions, transforms, notes = {}, {}, []
    shared = None
    if not getattr(dataset, "channels", None):
        signals = [d for m, d in detector_of.items() if (c := tube.channel(m)) is not None and c.role != "time"]
        shared = _shared_top(sample[:, [list(dataset.detectors).index(d) for d in signals if d in dataset.detectors]])
        notes.append(
            f"no ranges are known for these events: every scale whose top the panel leaves open ends at {shared:g}"
        )
    steps = _scatter_steps(tube, detector_of, dataset, sample, shared)
    for kind, n in steps.items():
        if n:
            notes.append(f"{kind}: cells lie {2.0 ** abs(n):g} times {'lower' if n < 0 else 'higher'} than panels "
                         f"expect; the scale ends at {2.0**n:g} of the range")  # fmt: skip
    for spec in tube.channels:
        detector = detector_of.get(spec.marker)
        if detector is None:
            continue
        if detector not in dataset.detectors:
            there = ", ".join(dataset.detectors)
            raise GateError(f"marker {spec.marker}: no detector {detector!r} in the file; it has {there}")
        index = list(dataset.detectors).index(detector)
        in_matrix = spillover is not None and detector in spillover.detectors
        compensation = FROM_FILE if in_matrix and spec.role not in ("scatter", "time") else UNCOMPENSATED
        if spec.role == "time":
            dimensions[spec.marker] = Dimension(detector, UNCOMPENSATED, None)
            continue
        values = compensated[:, index] if compensation == FROM_FILE else sample[:, index]
        top = _range(dataset, index) or shared
        transform, note = _scale(spec, top, sample[:, index], values, steps.get(spec.marker[:3], 0))
        if series and spec.marker in series:
            transform, note = _of_series(spec, transform, series[spec.marker], note)
        key = _key(spec.marker, transform, transforms)
        transforms[key] = transform
        dimensions[spec.marker] = Dimension(detector, compensation, key)
        notes += [note] if note else []
    return Axes(dimensions, transforms, tuple(notes))


def _scale(
    spec: ChannelSpec, from_file: float | None, raw: np.ndarray, values: np.ndarray, steps: int
) -> tuple[Transform, str]:
    wanted = spec.transform or TransformSpec(kind="linear" if spec.role in LINEAR_ROLES else "logicle")
    top, note = wanted.T, ""
    if top is None:
        top, note = _top(spec.marker, from_file, raw)
        if spec.role in LINEAR_ROLES and not spec.marker.upper().endswith("W"):
            top *= 2.0**steps
    if wanted.kind == "linear":
        return Linear(T=top, A=wanted.A), note
    if wanted.kind == "log":
        return Log(T=top, M=wanted.M), note
    if wanted.kind == "asinh":
        return Asinh(T=top, M=wanted.M, A=wanted.A), note
    width = wanted.W if wanted.W is not None else logicle_width(values, T=top, M=wanted.M)
    kind = Hyperlog if wanted.kind == "hyperlog" else Logicle
    return kind(T=top, W=width, M=wanted.M, A=wanted.A), note


def _of_series(spec: ChannelSpec, own: Transform, shared: Transform, note: str) -> tuple[Transform, str]:
    """The width of a series on an axis that is otherwise the same; an axis with another top is another scale."""
    if not isinstance(own, Logicle | Hyperlog) or own == shared:
        return own, note
    if isinstance(shared, Logicle | Hyperlog) and replace(own, W=shared.W) == shared:
        return shared, note
    other = f"{spec.marker}: its scale ends at {own.T:g} and that of its series at {shared.T:g}: a width of its own"
    return own, "; ".join(filter(None, (note, other)))


def _scatter_steps(tube: TubeSpec, detector_of, dataset, sample: np.ndarray, shared) -> dict[str, int]:
    """Doublings of the scales of forward and side scatter; height follows area, and width has no gain."""
    areas, tops = {}, {}
    for kind in ("FSC", "SSC"):
        spec = tube.channel(f"{kind}-A") or tube.channel(f"{kind}-H")
        if spec is None or spec.role not in LINEAR_ROLES or spec.marker not in detector_of:
            continue
        if spec.transform is not None and (spec.transform.kind != "linear" or spec.transform.T is not None):
            continue
        index = list(dataset.detectors).index(detector_of[spec.marker])
        areas[kind] = sample[:, index]
        tops[kind] = _top(spec.marker, _range(dataset, index) or shared, sample[:, index])[0]
    return scatter_steps(areas, tops)


def _top(marker: str, from_file: float | None, raw: np.ndarray) -> tuple[float, str]:
    finite = raw[np.isfinite(raw)]
    highest = float(finite.max()) if finite.size else 0.0
    if from_file is not None and from_file > 0 and highest <= OVER_RANGE * from_file:
        return float(from_file), ""
    top = _shared_top(raw)
    return top, f"{marker}: events reach {highest:g}, beyond the file's range {from_file:g}; the scale ends at {top:g}"


def _shared_top(values: np.ndarray) -> float:
    """The power of two that holds all finite values; 1 where there are none."""
    highest = float(np.max(values, where=np.isfinite(values), initial=1.0))
    return float(2.0 ** np.ceil(np.log2(highest)))


def _range(dataset, index: int) -> float | None:
    channels = getattr(dataset, "channels", None)
    if not channels:
        return None
    channel = channels[index]
    decades = channel.decades if isinstance(channel.decades, float | int) else 0.0
    if decades:
        return float((channel.offset or 1.0) * 10.0**decades)
    return float(channel.range / channel.gain) if channel.gain else float(channel.range)


def _compensated(sample: np.ndarray, detectors, spillover: Spillover | None) -> np.ndarray:
    if spillover is None or any(d not in detectors for d in spillover.detectors):
        return sample
    columns = [list(detectors).index(d) for d in spillover.detectors]
    compensated = sample.copy()
    compensated[:, columns] = sample[:, columns] @ spillover.inverse
    return compensated


def _key(marker: str, transform: Transform, taken: Mapping[str, Transform]) -> str:
    key = f"{type(transform).__name__.lower()}_{re.sub(r'[^A-Za-z0-9.-]', '_', marker)}"
    while key in taken:
        key += "_"
    return key
