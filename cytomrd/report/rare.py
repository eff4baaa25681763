"""Plots of the rare cells, every one drawn: antigens one by one, light chains, CAR against its control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from cytomrd.report.frame import Frame
from cytomrd.report.words import count_words
from cytomrd.run.model import PlotAxis

__all__ = [
    "AntigenCut",
    "EarlierClone",
    "draw_antigen",
    "draw_car_histogram",
    "draw_car_threshold",
    "draw_pair",
    "spread",
]

SIDE = 176.0
STRIP = (168.0, 26.0)
_GOLDEN = 0.6180339887498949
KIND_ORDER = ("other", "normal", "unsure", "car", "clonal", "control")  # the control's marks are open


@dataclass(frozen=True)
class AntigenCut:
    """Where negatives end on an antigen, the 95 % interval, and the sign of normal cells (``+``, ``-``, ``+/-``)."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    normal: str = ""


@dataclass(frozen=True, eq=False)
class EarlierClone:
    """The clonal cells of an earlier visit of the same subject: transformed values of shape (n, 2) or (n,)."""

    visit: str
    values: np.ndarray


def spread(n: int) -> np.ndarray:
    """Even, seemingly irregular offsets in 0-1 for dots that would lie on each other; the same each time."""
    return np.modf(0.5 + _GOLDEN * np.arange(n))[0]


def draw_antigen(
    axis: PlotAxis, cells: dict[str, np.ndarray], cut: AntigenCut, earlier: EarlierClone | None = None
) -> Markup:
    """One strip a population on one antigen: clonal above normal, each cell a mark.

    Parameters
    ----------
    axis
        The antigen's axis.
    cells
        Kind (``clonal``, ``normal``, ``unsure``) to transformed values of shape (n,).
    cut
        The antigen's cut and the side on which normal plasma cells lie.
    earlier
        The subject's earlier clone, drawn as the outline of its middle 90 %.
    """
    width, row = STRIP
    names = {"clonal": "clonal", "unsure": "unsure", "normal": "normal"}
    rows = [kind for kind in names if kind == "normal" or len(cells.get(kind, ()))]
    if "clonal" not in rows and earlier is not None:
        rows.insert(0, "clonal")
    frame = Frame(axis, None, (width, row * len(rows)), f"{axis.label} by kind of cell", left=50.0)
    base = frame.top + frame.height
    _shade_normal(frame, cut, rows.index("normal") * row + frame.top, row)
    if cut.low is not None and cut.high is not None and cut.high > cut.low:
        frame.band("x", cut.low, cut.high)
    for index, kind in enumerate(rows):
        values = np.asarray(cells.get(kind, ()), dtype=np.float64)
        top = frame.top + index * row
        if kind == "clonal" and earlier is not None:
            _outline_range(frame, earlier, top, row)
        y = top + 4 + spread(len(values)) * (row - 8)
        frame.dots(np.stack([frame.across(values), y], axis=1), kind, size=1.7)
        frame.drawing.text(frame.left - 5, top + row / 2 - 1, names[kind], "tick end")
        frame.drawing.text(
            frame.left - 5, top + row / 2 + 9, count_words(len(values)).replace(" million", "M"), "tick end dim"
        )
        if index:
            frame.drawing.line(frame.left, top, frame.left + width, top, "divider")
    if cut.value is not None:
        x = float(frame.across([cut.value])[0])
        frame.drawing.line(x, frame.top, x, base, "cut")
    frame.bottom = 18.0
    frame.drawing.height = frame.top + frame.height + frame.bottom
    frame.x_axis(label=False)
    frame.box()
    return frame.drawing.markup("strip")


def _shade_normal(frame: Frame, cut: AntigenCut, top: float, row: float) -> None:
    """The side on which the panel expects normal plasma cells, shaded in their row."""
    if cut.value is None or cut.normal not in ("+", "-"):
        return
    x = float(frame.across([cut.value])[0])
    left, right = (x, frame.left + frame.width) if cut.normal == "+" else (frame.left, x)
    frame.drawing.rect(
        left, top, right - left, row, "expected", tip=f"where the panel expects most normal cells ({cut.normal})"
    )


def _outline_range(frame: Frame, earlier: EarlierClone, top: float, row: float) -> None:
    values = np.asarray(earlier.values, dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size:
        x0, x1 = frame.across(np.quantile(values, [0.05, 0.95]))
        frame.drawing.rect(
            x0, top + 2.5, max(x1 - x0, 2.0), row - 5, "earlier", tip=f"the clone at {earlier.visit}: middle 90%"
        )


def draw_pair(
    x: PlotAxis,
    y: PlotAxis,
    cells: dict[str, np.ndarray],
    *,
    cuts: tuple[tuple[str, float], ...] = (),
    bands: tuple[tuple[str, float, float], ...] = (),
    earlier: EarlierClone | None = None,
) -> Markup:
    """Rare cells on two axes, every one a mark; the rarest kind lies on top.

    Parameters
    ----------
    x, y
        The axes.
    cells
        Kind to transformed values of shape (n, 2).
    cuts, bands
        ``(axis, value)`` lines and ``(axis, low, high)`` bands.
    earlier
        The subject's earlier clone, drawn as an ellipse of two standard deviations.
    """
    frame = Frame(x, y, (SIDE, SIDE), f"{x.label} against {y.label}")
    for axis, low, high in bands:
        frame.band(axis, low, high)
    for axis, value in cuts:
        frame.cut(axis, value)
    for kind in KIND_ORDER:
        if kind in cells:
            frame.dots(frame.points(cells[kind]), kind, size=2.1)
    if earlier is not None:
        _outline_ellipse(frame, earlier)
    frame.x_axis()
    frame.y_axis()
    frame.box()
    return frame.drawing.markup()


def _outline_ellipse(frame: Frame, earlier: EarlierClone) -> None:
    values = np.asarray(earlier.values, dtype=np.float64).reshape(-1, 2)
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < 5:  # too few for a shape: their places are drawn instead
        frame.drawing.dots(frame.points(values), "earlier", "circle", 3.0)
        return
    spread_of = np.cov(values.T) + 1e-9 * np.eye(2)
    angle = np.linspace(0.0, 2.0 * np.pi, 61)[:-1]
    circle = 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    frame.drawing.polyline(
        frame.points(values.mean(axis=0) + circle @ np.linalg.cholesky(spread_of).T), "earlier", close=True
    )
    frame.drawing.tip(f"the clone at {earlier.visit}: two standard deviations")


def draw_car_threshold(
    x: PlotAxis,
    car: PlotAxis,
    below: np.ndarray,
    above: np.ndarray,
    control_above: np.ndarray,
    threshold: AntigenCut,
) -> Markup:
    """NK cells with CAR upwards: the threshold with its interval, and the control's cells above it as open squares.

    ``below``, ``above`` and ``control_above`` are transformed values of shape (n, 2), CAR second.
    """
    bands = () if threshold.low is None or threshold.high is None else (("y", threshold.low, threshold.high),)
    cuts = () if threshold.value is None else (("y", threshold.value),)
    return draw_pair(x, car, {"other": below, "control": control_above, "car": above}, cuts=cuts, bands=bands)


def draw_car_histogram(car: PlotAxis, values: np.ndarray, control: np.ndarray | None, threshold: AntigenCut) -> Markup:
    """CAR on the sample's NK cells (filled) and on the control's (outline), as cells per bin on a log scale.

    ``values`` and ``control`` are transformed values of shape (n,); the control is scaled to the sample's number.
    """
    n_bins = 96
    edges = np.linspace(car.low, car.high, n_bins + 1)
    counts = np.histogram(np.clip(values, car.low, car.high), edges)[0].astype(np.float64)
    outline = None
    if control is not None and len(control):
        outline = np.histogram(np.clip(control, car.low, car.high), edges)[0] * (len(values) / len(control))
    top = max(counts.max(initial=0.0), 0.0 if outline is None else outline.max(initial=0.0), 10.0)
    frame = Frame(car, None, (SIDE, SIDE), f"{car.label} on NK cells, sample and control")
    if threshold.low is not None and threshold.high is not None:
        frame.band("x", threshold.low, threshold.high)

    def steps(heights: np.ndarray) -> np.ndarray:
        # 0.5 of a cell is the floor, so that a bin of one cell has a height.
        part = np.log(np.maximum(heights, 0.5) / 0.5) / np.log(1.3 * top / 0.5)
        y = frame.top + (1.0 - part) * SIDE
        return np.stack([np.repeat(frame.across(edges), 2)[1:-1], np.repeat(y, 2)], axis=1)

    base = frame.top + SIDE
    filled = steps(counts)
    frame.drawing.polyline(np.vstack([[filled[0, 0], base], filled, [filled[-1, 0], base]]), "sample-area", close=True)
    if outline is not None:
        frame.drawing.polyline(steps(outline), "control-line")
    if threshold.value is not None:
        frame.cut("x", threshold.value)
    for power in range(int(np.log10(top)) + 1):
        y = float(frame.top + (1.0 - np.log(10.0**power / 0.5) / np.log(1.3 * top / 0.5)) * SIDE)
        frame.drawing.line(frame.left - 4.5, y, frame.left, y, "major")
        frame.drawing.text(frame.left - 6, y + 3.3, f"{10**power:,}", "tick end")
    frame.drawing.text(10, frame.top + SIDE / 2, "NK cells a bin", "label mid", rotate=True)
    frame.x_axis()
    frame.box()
    return frame.drawing.markup()
