"""A result against its limits, and rows of intervals: each mark at its value."""

from __future__ import annotations

import re

import pytest

from cytomrd.report.standing import Interval, Standing, draw_intervals, draw_standing


def marks(svg: str) -> list[float]:
    return [float(x) for x in re.findall(r'class="visit [^"]*" data-n="1" d="M([\d.]+) ', svg)]


def test_a_result_lies_between_what_could_be_detected_and_quantified():
    standing = Standing(1.03e-5, 7.0e-6, 1.46e-5, True, 6.6e-6, 1.7e-5, 6.0e-6, 1.9e-5)
    svg = draw_standing(standing, kind="clonal", label="MRD", title="MRD")
    detect, quantify = (float(x) for x in re.findall(r'class="cut" d="M([\d.]+) ', svg))
    (mark,) = marks(svg)
    assert detect < mark + 5.5 < quantify
    assert svg.count('class="whisker') == 2
    assert 'class="floor"' in svg


def test_what_was_not_detected_stands_open_on_the_limit():
    svg = draw_standing(Standing(1e-6, 2e-7, 3e-6, False, 6.6e-6, 1.7e-5), kind="clonal", label="MRD", title="MRD")
    assert svg.count('class="visit clonal open"') == 1
    assert marks(svg)[0] + 5.5 == pytest.approx(float(re.search(r'class="cut" d="M([\d.]+) ', svg)[1]), abs=0.11)


@pytest.mark.parametrize(("value", "low", "high"), [(0.0, 0.0, 1e-6), (None, None, None), (1e-5, 0.0, 2e-5)])
def test_nothing_and_zero_are_drawn_without_a_fault(value, low, high):
    svg = draw_standing(Standing(value, low, high, False, None, None), kind="car", label="x", title="x")
    assert "nan" not in svg
    assert "inf" not in svg


def test_intervals_open_where_one_chain_alone_was_seen():
    rows = [
        Interval("clonal 1", 29.0, 3.4, None, "clonal"),
        Interval("normal", 1.5, 1.2, 1.9, "normal"),
        Interval("none", None, None, None, "normal"),
        Interval("lambda", 0.1, 0.0, 0.4, "clonal"),
    ]
    svg = draw_intervals(rows, label="Kappa : lambda", title="x", expected=(0.5, 4.0))
    box = re.search(r'class="box" x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    left, right = float(box[1]), float(box[1]) + float(box[2])
    ends = [(float(a), float(b)) for a, b in re.findall(r'class="whisker \w+" d="M([\d.]+) [\d.]+L([\d.]+) ', svg)]
    assert ends[0][1] == pytest.approx(right, abs=0.1)
    assert ends[2][0] == pytest.approx(left, abs=0.1)
    assert len(marks(svg)) == 3
    assert svg.count('class="expected"') == 4


def test_fractions_can_be_read_as_percent():
    svg = draw_intervals(
        [Interval("mast cells", 2e-4, 1.8e-4, 2.2e-4, "normal", (2e-5, 1e-2))], label="x", title="x", percent=True
    )
    assert ">0.01%<" in svg
    assert ">1%<" in svg
