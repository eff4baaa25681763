"""The gating path: steps in order, gates of one parent together, clonal cells over each step that they passed."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
from report.factory import mrd_sample

from cytomrd.report.path import gating_path


def n_drawn(svg: str, kind: str) -> int:
    return sum(int(n) for n in re.findall(rf'class="dots? {kind}"[^>]*? data-n="(\d+)"', svg))


def test_time_comes_first_and_the_answer_last():
    sample = mrd_sample()
    steps, beside = gating_path(sample, sample.files[0])
    assert [s["title"] for s in steps] == ["Events per second", "Singlets", "Nucleated cells", "Plasma cells"]
    assert beside == []


def test_clonal_cells_are_drawn_over_every_step_and_normal_ones_where_they_are_gated():
    sample = mrd_sample(n_clonal=31)
    file = sample.files[0]
    n_clonal, n_normal = (int((file.rare[0].labels == label).sum()) for label in (1, 0))
    steps, _ = gating_path(sample, file)
    assert [n_drawn(s["plot"], "clonal") for s in steps[1:]] == [n_clonal] * 3
    assert [n_drawn(s["plot"], "normal") for s in steps[1:]] == [0, 0, n_normal]


def test_gates_of_one_parent_on_the_same_axes_share_a_plot():
    sample = mrd_sample()
    file = sample.files[0]
    singlets, base, rare = file.gate_plots
    other = replace(base, population="other", title="CD45 dim", n_population=1_000)
    steps, _ = gating_path(sample, replace(file, gate_plots=(singlets, base, other, rare)))
    assert [s["title"] for s in steps][2] == "Nucleated cells, CD45 dim"
    assert "Nucleated cells 94.7%" in steps[2]["plot"]
    assert "CD45 dim 0.063%" in steps[2]["plot"]
    assert steps[2]["plot"].count('class="gate"') == 2


def test_what_is_gated_beside_the_answer_stands_apart():
    sample = mrd_sample()
    file = sample.files[0]
    mast = replace(file.gate_plots[1], population="mast_cells", title="Mast cells", parent="nucleated")
    steps, beside = gating_path(sample, replace(file, gate_plots=(*file.gate_plots, mast)))
    assert [s["title"] for s in beside] == ["Mast cells"]
    assert len(steps) == 4


def test_names_do_not_lie_on_each_other():
    sample = mrd_sample()
    file = sample.files[0]
    base = file.gate_plots[1]
    plots = tuple(replace(base, population=f"p{i}", title=f"Population {i}") for i in range(3))
    svg = gating_path(sample, replace(file, gate_plots=plots))[0][1]["plot"]
    heights = [float(y) for y in re.findall(r'class="percent mid" x="[^"]*" y="([^"]*)"', svg)]
    assert len(heights) == 3
    assert np.diff(sorted(heights)).min() >= 10
