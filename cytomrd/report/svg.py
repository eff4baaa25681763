"""A small SVG drawing: shapes in pixels, colours by class name, so that one drawing serves screen, dark and print.

The page's style sheet colours the classes; nothing carries a style of its own, which lets the
page forbid inline styles. Text is escaped here and nowhere else.
"""

from __future__ import annotations

import base64
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape

from cytomrd.report.words import plain

__all__ = ["SHARED", "Drawing", "density_png", "dots_png", "fitting", "number"]

# A density is read by its shape: one grey, more opaque where there is more. It must not compete with the
# populations drawn on top, and must read on white and on black alike.
_SLATE = (92, 112, 134)
_LEVELS = 10
_FAINTEST = 70
# Width of a letter over the size of the font, as wide as common sans-serif fonts have it; wide scripts take a square.
_LETTER, _WIDE_LETTER, _FONT = 0.56, 1.0, 10.5


# Class of a group that a page need hold only once.
SHARED = "shared"


def number(value: float) -> str:
    """A coordinate with at most two decimals: short, and the same on every machine."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class Drawing:
    """Shapes on a canvas of ``width`` x ``height`` pixels; ``markup()`` gives the inline SVG.

    Parameters
    ----------
    title
        What a screen reader says, and the name of the file when the drawing is saved.

    Examples
    --------
    >>> from cytomrd.report.svg import Drawing
    >>> drawing = Drawing(20, 10, "a line")
    >>> drawing.line(0, 5, 20, 5, "axis")
    >>> "<path" in drawing.markup()
    True
    """

    def __init__(self, width: float, height: float, title: str):
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def path(self, d: str, css: str) -> None:
        """A path from its commands."""
        if d:
            self._parts.append(f'<path class="{css}" d="{d}"/>')

    def line(self, x0: float, y0: float, x1: float, y1: float, css: str) -> None:
        """A straight line."""
        self.path(f"M{number(x0)} {number(y0)}L{number(x1)} {number(y1)}", css)

    def lines(self, segments: Iterable[tuple[float, float, float, float]], css: str) -> None:
        """Many straight lines as one path."""
        self.path("".join(f"M{number(a)} {number(b)}L{number(c)} {number(d)}" for a, b, c, d in segments), css)

    def ticks(self, starts: Iterable[tuple[float, float]], dx: float, dy: float, css: str) -> None:
        """Equal short strokes along an axis, each from its start, as one path of steps from one to the next."""
        stroke = f"h{number(dx)}" if dx else f"v{number(dy)}"
        d, at = "", None
        for start in starts:
            x, y = round(float(start[0]), 1), round(float(start[1]), 1)
            step = f"M{_pair(x, y)}" if at is None else f"m{_pair(x - at[0] - dx, y - at[1] - dy)}"
            d, at = d + step + stroke, (x, y)
        self.path(d, css)

    def polyline(self, points: np.ndarray, css: str, *, close: bool = False) -> None:
        """A line through points, array of shape (n, 2)."""
        if len(points):
            self.path("M" + "L".join(f"{_short(x)} {_short(y)}" for x, y in points) + ("Z" if close else ""), css)

    def rect(self, x: float, y: float, width: float, height: float, css: str, *, tip: str = "") -> None:
        """A rectangle; ``tip`` shows under the pointer."""
        inside = f"><title>{escape(plain(tip))}</title></rect>" if tip else "/>"
        self._parts.append(
            f'<rect class="{css}" x="{number(x)}" y="{number(y)}" width="{number(max(width, 0.0))}" '
            f'height="{number(max(height, 0.0))}"{inside}'
        )

    def text(
        self, x: float, y: float, text: str, css: str = "tick", *, rotate: bool = False, within: float | None = None
    ) -> None:
        """A line of text; its alignment comes from the class. One longer than ``within`` pixels is cut, and said whole
        under the pointer."""
        turn = f' transform="rotate(-90 {number(x)} {number(y)})"' if rotate else ""
        whole = plain(text)
        shown = whole if within is None else fitting(whole, within)
        tip = "" if shown == whole else f"<title>{escape(whole)}</title>"
        self._parts.append(f'<text class="{css}" x="{number(x)}" y="{number(y)}"{turn}>{tip}{escape(shown)}</text>')

    def texts(self, lines: Iterable[tuple[float, float, str]], css: str) -> None:
        """Several short texts ``(x, y, text)`` as one element."""
        spans = "".join(f'<tspan x="{_short(x)}" y="{_short(y)}">{escape(plain(t))}</tspan>' for x, y, t in lines)
        if spans:
            self._parts.append(f'<text class="{css}">{spans}</text>')

    def gather(self, start: int) -> None:
        """Put the shapes drawn since there were ``start`` of them into a group that many drawings have alike."""
        self._parts[start:] = [f'<g class="{SHARED}">{"".join(self._parts[start:])}</g>']

    @property
    def n_shapes(self) -> int:
        """Shapes drawn so far."""
        return len(self._parts)

    def dots(self, points: np.ndarray, css: str, shape: str = "circle", size: float = 1.6) -> None:
        """Every point of an array of shape (n, 2) as a mark of its own, all in one path.

        ``shape`` is ``circle``, ``diamond``, ``square`` or ``triangle``, each an outline; or ``point``, ``lozenge``
        or ``block``: the stroke's own end, round or square, which is the shortest to write. ``data-n`` holds the
        number drawn.
        """
        if not len(points):
            return
        dx, dy, outline = _shape(shape, size)
        d = "".join(f"M{_short(x + dx)} {_short(y + dy)}{outline}" for x, y in points)
        width = f' stroke-width="{number(_STROKES[shape] * size)}"' if shape in _STROKES else ""
        self._parts.append(f'<path class="{css}" data-n="{len(points)}" d="{d}"{width}/>')

    def image(
        self, x: float, y: float, width: float, height: float, png: bytes, css: str, n: int | None = None
    ) -> None:
        """An embedded PNG, stretched over a rectangle; ``n`` is the number of events in it."""
        data = base64.b64encode(png).decode("ascii")
        count = f' data-n="{n}"' if n is not None else ""
        self._parts.append(
            f'<image class="{css}" x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
            f'{count} preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'
        )

    def tip(self, text: str) -> None:
        """Give the last shape a text that shows under the pointer."""
        part = self._parts.pop()
        name = part[1 : part.index(" ")]
        self._parts.append(f"{part[:-2]}><title>{escape(plain(text))}</title></{name}>")

    def markup(self, css: str = "") -> Markup:
        """The SVG element, ready for the page."""
        size = f"{number(self.width)} {number(self.height)}"
        title = escape(plain(self.title))
        return Markup(
            f'<svg class="plot {css}" viewBox="0 0 {size}" width="{number(self.width)}" height="{number(self.height)}" '
            f'role="img" aria-label="{title}">{"".join(self._parts)}</svg>'
        )


def fitting(text: str, width: float, font: float = _FONT) -> str:
    """Text cut to about ``width`` pixels, with an ellipsis where something is missing."""
    room = width / font
    taken = 0.0
    for i, character in enumerate(text):
        taken += _WIDE_LETTER if unicodedata.east_asian_width(character) in "WF" else _LETTER
        if taken > room and i:
            return text[: max(1, i - 1)].rstrip() + "…"
    return text


def _short(value: float) -> str:
    """A tenth of a pixel is enough for a dot."""
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


# Width of the stroke over the size, for marks that are a stroke's end.
_STROKES = {"point": 1.5, "lozenge": 1.77, "block": 2.0}


def _pair(x: float, y: float) -> str:
    """Two coordinates; a minus sign parts them as well as a space does."""
    text = _short(y)
    return _short(x) + ("" if text.startswith("-") else " ") + text


def _shape(shape: str, s: float) -> tuple[float, float, str]:
    """Where a mark begins, from its centre, and its outline from there."""
    n = number
    if shape in ("point", "block"):
        return 0.0, 0.0, "h0"
    if shape == "lozenge":
        return 0.0, 0.0, "l.1.1"  # a square end along a diagonal
    if shape == "circle":
        return -s, 0.0, f"a{n(s)} {n(s)} 0 1 0 {n(2 * s)} 0a{n(s)} {n(s)} 0 1 0 {n(-2 * s)} 0"
    if shape == "diamond":
        s *= 1.25
        return -s, 0.0, f"l{n(s)} {n(-s)} {n(s)} {n(s)} {n(-s)} {n(s)}z"
    if shape == "square":
        return -s, -s, f"h{n(2 * s)}v{n(2 * s)}h{n(-2 * s)}z"
    if shape == "triangle":
        s *= 1.2
        return -s, 0.8 * s, f"h{_short(2 * s)}l{_pair(-s, -1.8 * s)}z"
    raise ValueError(f"no mark {shape!r}; there are circle, diamond, square, triangle, point, lozenge, block")


def density_png(counts: np.ndarray) -> bytes:
    """Counts of shape (n_x, n_y) as an indexed PNG: nothing is transparent, one event is already visible.

    Levels follow the logarithm of the count, so that a parent of three million leaves its rare events in sight.
    """
    counts = np.asarray(counts, dtype=np.float64)
    top = counts.max(initial=0.0)
    levels = np.zeros(counts.shape, dtype=np.uint8)
    if top > 0:
        scaled = np.log1p(counts) / np.log1p(top)
        levels = np.where(counts > 0, 1 + np.round(scaled * (_LEVELS - 2)), 0).astype(np.uint8)
    palette = np.tile(np.array(_SLATE, dtype=np.uint8), (_LEVELS, 1))
    alpha = np.concatenate([[0], np.linspace(_FAINTEST, 255, _LEVELS - 1).round()]).astype(np.uint8)
    return _indexed_png(levels.T[::-1], palette, alpha)


def dots_png(
    x: np.ndarray, y: np.ndarray, width: int, height: int, rgb: Sequence[int], size: int = 2, *, diamond: bool = False
) -> bytes:
    """Too many dots for a vector drawing: every one still sets its own ``size`` x ``size`` pixels.

    ``x``, ``y`` are pixel positions of shape (n,), y downwards from the top; a ``diamond`` sets those of the square
    that are near its middle.
    """
    mask = np.zeros((height, width), dtype=np.uint8)
    column = np.clip(np.floor(x).astype(np.int64), 0, width - size)
    row = np.clip(np.floor(y).astype(np.int64), 0, height - size)
    middle = (size - 1) / 2
    for dx in range(size):
        for dy in range(size):
            if not diamond or abs(dx - middle) + abs(dy - middle) <= middle:
                mask[row + dy, column + dx] = 1
    palette = np.array([[0, 0, 0], rgb], dtype=np.uint8)
    return _indexed_png(mask, palette, np.array([0, 255], dtype=np.uint8))


def _indexed_png(pixels: np.ndarray, palette: np.ndarray, alpha: np.ndarray) -> bytes:
    """A palette PNG (ISO/IEC 15948) of 1 or 4 bits a pixel from indices of shape (height, width), first row on top."""
    height, width = pixels.shape
    depth = 1 if len(palette) <= 2 else 4
    per_byte = 8 // depth
    padded = np.zeros((height, -(-width // per_byte) * per_byte), dtype=np.uint8)
    padded[:, :width] = pixels
    packed = np.zeros((height, padded.shape[1] // per_byte), dtype=np.uint8)
    for k in range(per_byte):
        packed |= padded[:, k::per_byte] << (8 - depth * (k + 1))
    rows = np.zeros((height, packed.shape[1] + 1), dtype=np.uint8)  # each row begins with its filter: 0, none
    rows[:, 1:] = packed
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, 3, 0, 0, 0)),
        (b"PLTE", palette.tobytes()),
        (b"tRNS", alpha.tobytes()),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body
