"""What the report draws of a gated tube: histograms asked of the pass, and gates as outlines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cytomrd.fcs.dataset import FcsDataset
from cytomrd.gating.apply import GatedEvents, Histogram, HistogramRequest
from cytomrd.gating.fit import FittedGates
from cytomrd.gating.gates import (
    ROOT,
    BooleanGate,
    Dimension,
    EllipsoidGate,
    Gate,
    GatingStrategy,
    PolygonGate,
    RectangleGate,
)
from cytomrd.panel import Panel, PopulationSpec, TubeSpec
from cytomrd.preprocess.transforms import Linear
from cytomrd.run.model import GatePlot, PlotAxis, RareCells, TimePlot

__all__ = [
    "PlotRequest",
    "gate_outlines",
    "gate_plots",
    "plot_axes",
    "plot_requests",
    "time_axis",
    "time_plot",
    "time_request",
]

N_BINS = 128
N_TIME_BINS = 200
# Every scale maps its working range onto 0-1; the margin shows compensated negatives and the saturated.
SCALE_LOW, SCALE_HIGH = -0.08, 1.03
N_DOTS = 2_000


@dataclass(frozen=True)
class PlotRequest:
    """A population to draw, the axes, and the histogram that the pass makes for it."""

    spec: PopulationSpec
    parent: str
    x: PlotAxis
    y: PlotAxis
    request: HistogramRequest


def plot_axes(dataset: FcsDataset, tube: TubeSpec, fitted: FittedGates) -> dict[str, PlotAxis]:
    """Marker to plot axis, for every channel of the tube that the file has and that carries a scale."""
    axes = {}
    for marker, dimension in fitted.axes.items():
        channel = tube.channel(marker)
        if dimension.transform is None or channel is None or channel.role == "time":
            continue
        axes[marker] = PlotAxis(
            marker=marker,
            detector=dimension.channel,
            fluorochrome=channel.fluorochrome,
            transform=fitted.strategy.transforms[dimension.transform],
            low=SCALE_LOW,
            high=SCALE_HIGH,
        )
    return axes


def time_axis(panel: Panel, dataset: FcsDataset, fitted: FittedGates) -> PlotAxis | None:
    """The time channel as an axis from first to last event; None where the file has none that runs."""
    marker = next((c.marker for t in panel.tubes for c in t.channels if c.role == "time"), None)
    if marker is None or marker not in fitted.axes or not dataset.n_events:
        return None
    detector = fitted.axes[marker].channel
    stride = max(1, dataset.n_events // 10_000)
    sampled = np.r_[np.arange(0, dataset.n_events, stride), dataset.n_events - 1]
    values = dataset.read_events(channels=[detector], events=sampled)[:, 0]
    values = values[np.isfinite(values)]
    if not values.size or values.min() >= values.max() or values.max() <= 0:
        return None
    scale = Linear(T=float(values.max()))
    unit = "(s)" if dataset.timestep is not None else ""
    return PlotAxis(marker, detector, unit, scale, float(scale.apply(values.min())), 1.0)


def plot_requests(
    panel: Panel, tube: TubeSpec, fitted: FittedGates, axes: Mapping[str, PlotAxis]
) -> tuple[PlotRequest, ...]:
    """One histogram for each population that the panel says how to look at."""
    requests = []
    for spec in panel.populations_of(tube.id):
        if spec.plot is None or spec.name not in fitted.strategy.populations:
            continue
        if any(marker not in axes for marker in spec.plot):
            continue
        x, y = (axes[marker] for marker in spec.plot)
        parent = fitted.strategy.parent_of(spec.name)
        (on_x, x_limits), (on_y, y_limits) = (_histogram_axis(axis, fitted) for axis in (x, y))
        requests.append(
            PlotRequest(spec, parent, x, y, HistogramRequest(parent, on_x, on_y, x_limits, y_limits, bins=N_BINS))
        )
    return tuple(requests)


def _histogram_axis(axis: PlotAxis, fitted: FittedGates) -> tuple[Dimension, tuple[float, float]]:
    dimension = fitted.axes[axis.marker]
    if dimension.transform is not None:
        return dimension, (axis.low, axis.high)
    low, high = axis.transform.inverse(np.array([axis.low, axis.high]))
    return dimension, (float(low), float(high))


def time_request(axis: PlotAxis) -> HistogramRequest:
    """Events over the acquisition."""
    low, high = axis.transform.inverse(np.array([axis.low, axis.high]))
    return HistogramRequest(ROOT, Dimension(axis.detector), x_limits=(float(low), float(high)), bins=N_TIME_BINS)


def time_plot(histogram: Histogram, fitted: FittedGates) -> TimePlot:
    """Rate of events over time; the unit is seconds where the file gives $TIMESTEP."""
    low, high = histogram.request.x_limits
    edges = np.linspace(low, high, len(histogram.counts) + 1)
    width = edges[1] - edges[0]
    return TimePlot((edges[:-1] + edges[1:]) / 2, histogram.counts / width, tuple(fitted.time_removed))


def gate_plots(
    requests: tuple[PlotRequest, ...], gated: GatedEvents, fitted: FittedGates, rare: RareCells | None
) -> tuple[GatePlot, ...]:
    """Counts, outlines, uncertainty of the cuts, and the dots of a small rare population."""
    plots = []
    for request, histogram in zip(requests, gated.histograms, strict=False):
        spec, x, y = request.spec, request.x, request.y
        strategy = fitted.strategy
        n_parent = gated.n_total - gated.n_non_finite if request.parent == ROOT else gated.count(request.parent)
        plots.append(
            GatePlot(
                population=spec.name,
                title=spec.title or spec.name.replace("_", " "),
                parent=request.parent,
                x=x,
                y=y,
                counts=histogram.counts,
                outlines=tuple(gate_outlines(strategy.gate(spec.name), strategy, x, y)),
                bands=tuple(_bands(spec, fitted, x, y)),
                n_parent=n_parent,
                n_population=gated.count(spec.name),
                dots=_dots(spec.name, rare, x, y),
            )
        )
    return tuple(plots)


def gate_outlines(gate: Gate, strategy: GatingStrategy, x: PlotAxis, y: PlotAxis) -> list[np.ndarray]:
    """A gate's outlines on two axes; a gate on other axes has none to draw."""
    if isinstance(gate, BooleanGate):
        operands = [strategy.gate(o.name) for o in gate.operands if o.name in {g.name for g in strategy.gates}]
        return [outline for operand in operands for outline in gate_outlines(operand, strategy, x, y)]
    if not hasattr(gate, "dimensions"):
        return []
    position = {d.channel: i for i, d in enumerate(gate.dimensions) if isinstance(d, Dimension)}
    ix, iy = position.get(x.detector), position.get(y.detector)
    if isinstance(gate, RectangleGate):
        if ix is None and iy is None:
            return []
        x0, x1 = _interval(gate, ix, x)
        y0, y1 = _interval(gate, iy, y)
        return [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])]
    if ix is None or iy is None:
        return []
    if isinstance(gate, PolygonGate):
        return [np.array(gate.vertices)[:, [ix, iy]]]
    if isinstance(gate, EllipsoidGate) and len(gate.dimensions) == 2:
        angle = np.linspace(0, 2 * np.pi, 73)[:-1]
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.sqrt(gate.distance_square)
        ellipse = np.array(gate.mean) + circle @ np.linalg.cholesky(np.array(gate.covariance)).T
        return [ellipse[:, [ix, iy]]]
    return []


def _interval(gate: RectangleGate, index: int | None, axis: PlotAxis) -> tuple[float, float]:
    if index is None:
        return axis.low, axis.high
    low, high = gate.minimum[index], gate.maximum[index]
    return axis.low if low is None else low, axis.high if high is None else high


def _bands(spec: PopulationSpec, fitted: FittedGates, x: PlotAxis, y: PlotAxis):
    phenotype = getattr(spec.gate, "phenotype", "")
    used = {word[:-1] for word in phenotype.split()}
    for decision in fitted.decisions:
        if decision.name not in used or decision.low is None or decision.high is None:
            continue
        for name, axis in (("x", x), ("y", y)):
            if axis.marker == decision.marker and decision.high > decision.low:
                yield name, decision.low, decision.high


def _dots(population: str, rare: RareCells | None, x: PlotAxis, y: PlotAxis) -> np.ndarray | None:
    """Every event of a rare population; an abundant one is drawn as density alone."""
    if rare is None or rare.population != population or len(rare.events) > N_DOTS:
        return None
    columns = [rare.markers.index(axis.marker) for axis in (x, y)]
    return rare.transformed[:, columns]
