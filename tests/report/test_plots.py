"""Every rare event is drawn, where it belongs."""

from __future__ import annotations

import re
import struct
import zlib

import numpy as np
import pytest
from report.factory import CAR_PANEL, MRD_PANEL, plot_axes

from cytomrd.report.frame import DOTS_AS_VECTORS, Frame
from cytomrd.report.plots import draw_gate, draw_time
from cytomrd.report.rare import AntigenCut, EarlierClone, draw_antigen, draw_car_histogram, draw_pair, spread
from cytomrd.report.series import SeriesPoint, draw_series, draw_sparkline
from cytomrd.report.svg import Drawing, density_png, dots_png, fitting, number
from cytomrd.run.model import GatePlot, TimePlot

AXES = plot_axes(MRD_PANEL, "1")


def marks(svg: str, kind: str) -> tuple[int, int]:
    """Number of marks in the paths of a kind, and the number that they claim."""
    found = re.findall(rf'<path class="dot {kind}" data-n="(\d+)" d="([^"]*)"', svg)
    return sum(d.count("M") for _, d in found), sum(int(n) for n, _ in found)


def pixels_of(png: bytes) -> np.ndarray:
    """Palette indices of a PNG of 1 or 4 bits a pixel, shape (height, width)."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0]
        if kind == b"IHDR":
            width, height, depth = struct.unpack(">IIB", body[:9])
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    packed = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)[:, 1:]
    bits = np.unpackbits(packed, axis=1).reshape(height, -1, depth)
    return (bits @ (1 << np.arange(depth)[::-1]))[:, :width]


def gate_plot(counts=None, n_population=31) -> GatePlot:
    counts = np.zeros((128, 128), np.int64) if counts is None else counts
    outline = np.array([[0.4, 0.4], [1.03, 0.4], [1.03, 1.03], [0.4, 1.03]])
    bands = (("x", 0.38, 0.42),)
    return GatePlot(
        "plasma_cells",
        "Plasma cells",
        "nucleated",
        AXES["CD38"],
        AXES["CD138"],
        counts,
        (outline,),
        bands,
        1_000,
        n_population,
    )


def test_every_clonal_cell_is_drawn_even_where_cells_coincide_or_leave_the_axis():
    rng = np.random.default_rng(0)
    clonal = rng.normal(0.7, 0.05, (31, 2))
    clonal[:5] = clonal[0]
    clonal[5] = (3.0, -2.0)
    svg = draw_gate(gate_plot(), {"normal": rng.normal(0.5, 0.1, (150, 2)), "clonal": clonal})
    assert marks(svg, "clonal") == (31, 31)
    assert marks(svg, "normal") == (150, 150)
    assert svg.index("dot normal") < svg.index("dot clonal"), "the rarest lies on top"


def test_a_dot_stands_at_its_value():
    frame = Frame(AXES["CD38"], AXES["CD138"], (100.0, 100.0), "")
    low, high = AXES["CD38"].low, AXES["CD38"].high
    ((x, y),) = frame.points(np.array([[low + 0.25 * (high - low), low + 0.75 * (high - low)]]))
    assert (x, y) == pytest.approx((frame.left + 25.0, frame.top + 25.0))


def test_many_dots_become_an_image_that_still_holds_each():
    n = DOTS_AS_VECTORS + 100
    values = np.stack([np.linspace(0.1, 0.9, n), np.full(n, 0.5)], axis=1)
    svg = draw_pair(AXES["CD38"], AXES["CD138"], {"normal": values})
    assert f'data-n="{n}"' in svg
    assert "dot normal" not in svg


def test_dots_png_sets_the_pixels_of_each_dot():
    x, y = np.array([0.0, 10.2, 59.9, 500.0]), np.array([0.0, 5.0, 39.9, -3.0])
    pixels = pixels_of(dots_png(x, y, 60, 40, (1, 2, 3)))
    assert pixels.shape == (40, 60)
    for column, row in ((0, 0), (10, 5), (58, 38), (58, 0)):
        assert pixels[row, column] == 1
    assert pixels.sum() == 4 * 4


def test_clonal_cells_keep_their_shape_in_an_image():
    at = np.array([20.0]), np.array([10.0])
    diamond = pixels_of(dots_png(*at, 60, 40, (1, 2, 3), 5, diamond=True))
    assert diamond[10:15, 20:25].tolist() == [
        [0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0],
    ]  # fmt: skip
    assert diamond.sum() == 13


def test_density_shows_a_single_event_beside_a_million():
    counts = np.zeros((128, 128), np.int64)
    counts[3, 5], counts[100, 90] = 1, 1_000_000
    pixels = pixels_of(density_png(counts))
    assert np.count_nonzero(pixels) == 2
    assert pixels[127 - 5, 3] > 0
    assert pixels[127 - 90, 100] > pixels[127 - 5, 3]


def test_density_of_nothing():
    assert not pixels_of(density_png(np.zeros((8, 8), np.int64))).any()


def test_gate_carries_its_percent_and_its_band():
    svg = draw_gate(gate_plot(n_population=31), {})
    assert ">Plasma cells 3.10%<" in svg
    assert 'class="band"' in svg
    assert 'class="gate"' in svg


def test_an_empty_parent_is_drawn_without_a_percent():
    plot = gate_plot()
    empty = GatePlot(
        *(getattr(plot, n) for n in ("population", "title", "parent", "x", "y", "counts", "outlines", "bands")), 0, 0
    )
    assert "%<" not in draw_gate(empty, {})


def test_strip_draws_clonal_normal_and_where_normal_lies():
    rng = np.random.default_rng(1)
    cells = {"clonal": rng.normal(0.2, 0.05, 14), "normal": rng.normal(0.6, 0.05, 200), "unsure": np.zeros(0)}
    cut = AntigenCut(0.44, 0.42, 0.46, "+")
    svg = draw_antigen(AXES["CD19"], cells, cut, EarlierClone("Screening", rng.normal(0.2, 0.05, 50)))
    assert marks(svg, "clonal") == (14, 14)
    assert marks(svg, "normal") == (200, 200)
    assert 'class="expected"' in svg
    assert "the clone at Screening" in svg


def test_strip_of_no_cells():
    svg = draw_antigen(AXES["CD19"], {"clonal": np.zeros(0), "normal": np.zeros(0)}, AntigenCut())
    assert "dot" not in svg


def test_earlier_clone_of_a_few_cells_is_drawn_as_places():
    svg = draw_pair(AXES["CD38"], AXES["CD138"], {}, earlier=EarlierClone("C1", np.array([[0.5, 0.5], [0.6, 0.6]])))
    assert 'class="earlier" data-n="2"' in svg


def test_spread_is_even_and_the_same_each_time():
    offsets = spread(500)
    assert np.array_equal(offsets, spread(500))
    assert np.histogram(offsets, 10, (0, 1))[0].min() >= 45


def test_control_outline_and_threshold():
    axis = plot_axes(CAR_PANEL, CAR_PANEL.tubes[0].id)["CAR"]
    rng = np.random.default_rng(2)
    svg = draw_car_histogram(
        axis, rng.normal(0.2, 0.05, 900), rng.normal(0.2, 0.05, 5_000), AntigenCut(0.44, 0.42, 0.46)
    )
    assert "control-line" in svg
    assert 'class="cut"' in svg
    assert "control-line" not in draw_car_histogram(axis, rng.normal(0.2, 0.05, 900), None, AntigenCut())
    assert "nan" not in draw_car_histogram(axis, np.zeros(0), None, AntigenCut())


def test_time_marks_what_was_left_out():
    plot = TimePlot(np.linspace(0, 600, 200), np.full(200, 8_000.0), ((100.0, 150.0),))
    svg = draw_time(plot)
    assert 'class="removed"' in svg
    assert "100 to 150 s" in svg


def test_time_of_a_file_without_events():
    assert "nan" not in draw_time(TimePlot(np.zeros(0), np.zeros(0), ()))


def point(day, value, floor=5e-6, detected=True, evaluable=True):
    low, high = (value / 2, value * 2) if value else (0.0, 1e-6)
    return SeriesPoint("S", f"s{day}", f"day {day}", float(day), value, low, high, floor, detected, evaluable, "words")


def test_series_opens_non_detects_shades_floors_and_marks_infusions():
    points = [
        point(-14, 3e-4),
        point(28, 1e-5),
        point(60, 0.0, detected=False),
        point(90, 2e-6, detected=False, evaluable=False),
    ]
    svg = draw_series(
        points, label="MRD", kind="clonal", floor_name="limit of detection", infusions_d=(0.0, 7.0, 200.0)
    )
    assert svg.count('class="visit clonal open"') == 1
    assert svg.count('class="visit clonal"') == 2
    assert svg.count('class="unknown"') == 1
    assert svg.count('class="floor"') == 4
    assert svg.count('class="infusion-mark"') == 2
    assert "nan" not in svg


def test_series_keeps_real_time():
    svg = draw_series([point(0, 1e-4), point(1, 1e-4), point(10, 1e-4)], label="MRD", kind="clonal", floor_name="x")
    x = [float(m) for m in re.findall(r'class="visit clonal" data-n="1" d="M([\d.]+) ', svg)]
    assert (x[2] - x[1]) / (x[1] - x[0]) == pytest.approx(9.0, rel=0.02)


def test_sparkline_needs_two_visits():
    assert draw_sparkline([point(0, 1e-4)], "s0", "clonal") == ""
    assert draw_sparkline([point(0, 1e-4), point(9, 1e-5)], "s0", "clonal").count("data-n") == 2


def test_text_in_a_drawing_is_escaped_and_plain():
    drawing = Drawing(10, 10, '"><script>')
    drawing.text(1, 1, "<b>\x1b\u202e</b>")
    drawing.rect(0, 0, 1, 1, "x", tip="</title><script>")
    svg = drawing.markup()
    assert "<script" not in svg
    assert "<b>" not in svg
    assert "\x1b" not in svg
    assert "\u202e" not in svg


def test_a_text_that_does_not_fit_is_cut_and_said_whole_under_the_pointer():
    drawing = Drawing(10, 10, "x")
    drawing.text(1, 1, "CD38 " * 60, within=100)
    drawing.text(1, 1, "CD38 FITC", within=100)
    assert "…</text>" in drawing.markup()
    assert f"<title>{'CD38 ' * 60}</title>" in drawing.markup()
    assert ">CD38 FITC</text>" in drawing.markup()
    assert len(fitting("漢" * 60, 100)) < len(fitting("x" * 60, 100)) < 20


def test_coordinates_are_short_and_have_no_negative_zero():
    assert [number(v) for v in (1.0, 1.234567, -0.001, 0.5)] == ["1", "1.23", "0", "0.5"]
