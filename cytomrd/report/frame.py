"""The frame of a plot: axes with ticks and labels, and positions on it."""

from __future__ import annotations

import numpy as np

from cytomrd.report.axes import axis_ticks
from cytomrd.report.svg import Drawing, dots_png
from cytomrd.run.model import PlotAxis

__all__ = ["DOTS_AS_VECTORS", "Frame"]

# Beyond so many dots a vector drawing grows heavy; each dot then sets pixels of its own instead.
DOTS_AS_VECTORS = 200
_PIXELS = 2  # of an embedded image to one of the drawing

# Mark, and colour of its image where the dots are too many for vectors (it must read on white and on black).
MARKS = {
    "clonal": ("lozenge", (214, 86, 24)),
    "normal": ("point", (74, 155, 212)),
    "car": ("block", (20, 140, 112)),
    "unsure": ("triangle", (140, 90, 160)),
    "other": ("point", (134, 148, 162)),
    "control": ("square", (150, 120, 60)),
}


class Frame:
    """A square or oblong plot area with its axes; positions are given on the transformed scales.

    Parameters
    ----------
    x, y
        The axes; ``y`` may be None for a plot whose height means nothing or something of its own.
    size
        Width and height of the plot area in pixels.
    title
        What the plot shows, for a screen reader and a saved file.
    """

    left, right, top, bottom = 46.0, 8.0, 7.0, 34.0

    def __init__(
        self, x: PlotAxis, y: PlotAxis | None, size: tuple[float, float], title: str, *, left: float | None = None
    ):
        self.x, self.y = x, y
        self.left = self.left if left is None else left
        self.width, self.height = size
        self.drawing = Drawing(self.left + self.width + self.right, self.top + self.height + self.bottom, title)

    def across(self, values) -> np.ndarray:
        """Pixel position of values on the x axis; a value off the axis stands on its edge."""
        part = (np.asarray(values, dtype=np.float64) - self.x.low) / (self.x.high - self.x.low)
        return self.left + np.clip(part, 0.0, 1.0) * self.width

    def up(self, values) -> np.ndarray:
        """Pixel position of values on the y axis; a value off the axis stands on its edge."""
        part = (np.asarray(values, dtype=np.float64) - self.y.low) / (self.y.high - self.y.low)
        return self.top + (1.0 - np.clip(part, 0.0, 1.0)) * self.height

    def points(self, values: np.ndarray) -> np.ndarray:
        """Pixel positions of an array of shape (n, 2)."""
        values = np.asarray(values, dtype=np.float64).reshape(-1, 2)
        return np.stack([self.across(values[:, 0]), self.up(values[:, 1])], axis=1)

    def x_axis(self, *, label: bool = True) -> None:
        """Ticks and label below the plot area."""
        base, start = self.top + self.height, self.drawing.n_shapes
        ticks = axis_ticks(self.x.transform, self.x.low, self.x.high)
        self.drawing.ticks([(v, base) for v in self.across(ticks.minor)], 0.0, 3.0, "minor")
        major = self.across([position for position, _ in ticks.major])
        self.drawing.ticks([(v, base) for v in major], 0.0, 5.0, "major")
        self.drawing.texts([(v, base + 14, text) for v, (_, text) in zip(major, ticks.major, strict=True)], "tick mid")
        self.drawing.gather(start)
        if label:
            self.drawing.text(self.left + self.width / 2, base + 29, self.x.label, "label mid", within=self.width + 30)

    def y_axis(self) -> None:
        """Ticks and label left of the plot area."""
        start = self.drawing.n_shapes
        ticks = axis_ticks(self.y.transform, self.y.low, self.y.high)
        self.drawing.ticks([(self.left, v) for v in self.up(ticks.minor)], -3.0, 0.0, "minor")
        major = self.up([position for position, _ in ticks.major])
        self.drawing.ticks([(self.left, v) for v in major], -5.0, 0.0, "major")
        labels = [(self.left - 6, v + 3.3, text) for v, (_, text) in zip(major, ticks.major, strict=True)]
        self.drawing.texts(labels, "tick end")
        self.drawing.gather(start)
        self.drawing.text(
            10, self.top + self.height / 2, self.y.label, "label mid", rotate=True, within=self.height + 20
        )

    def box(self) -> None:
        """The outline of the plot area, drawn last."""
        self.drawing.rect(self.left, self.top, self.width, self.height, "box")

    def band(self, axis: str, low: float, high: float) -> None:
        """The interval of an automatic cut, as a light band across the plot area."""
        if axis == "x":
            x0, x1 = self.across([low, high])
            self.drawing.rect(x0, self.top, x1 - x0, self.height, "band")
        else:
            y0, y1 = self.up([low, high])
            self.drawing.rect(self.left, y1, self.width, y0 - y1, "band")

    def cut(self, axis: str, value: float) -> None:
        """A cut, as a line across the plot area."""
        if axis == "x":
            x = float(self.across([value])[0])
            self.drawing.line(x, self.top, x, self.top + self.height, "cut")
        else:
            y = float(self.up([value])[0])
            self.drawing.line(self.left, y, self.left + self.width, y, "cut")

    def dots(self, pixels: np.ndarray, kind: str, *, size: float = 1.9, vectors: int = DOTS_AS_VECTORS) -> None:
        """Every event as a mark of its own, at pixel positions of shape (n, 2); ``kind`` gives colour and shape.

        More than ``vectors`` of them set pixels of an image.
        """
        pixels = np.asarray(pixels, dtype=np.float64).reshape(-1, 2)
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        shape, rgb = MARKS[kind]
        if len(pixels) <= vectors:
            self.drawing.dots(pixels, f"dot {kind}", shape, size)
            return
        wide = 3 if shape == "point" else 5
        png = dots_png(
            (pixels[:, 0] - self.left) * _PIXELS - (wide - 1) / 2,
            (pixels[:, 1] - self.top) * _PIXELS - (wide - 1) / 2,
            round(self.width * _PIXELS),
            round(self.height * _PIXELS),
            rgb,
            size=wide,
            diamond=shape == "lozenge",
        )
        self.drawing.image(self.left, self.top, self.width, self.height, png, f"dots {kind}", len(pixels))
