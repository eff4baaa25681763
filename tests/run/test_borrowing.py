"""Samples of a run lend each other the cuts that one of them cannot see."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cytomrd as cm
from cytomrd.cli.main import cytomrd

PANEL = Path(__file__).parents[1] / "panels" / "one-marker.toml"
DETECTORS, MARKERS = ("FSC-A", "B515-A", "R660-A"), ("", "CD3", "CD19")
N_EVENTS = 3_000
POSITIVES = {"full": 600, "few": 6}


def write_sample(path: Path, seed: int, *, cd3: str = "full", cd19: str = "full", gain: float = 1.0) -> None:
    """Events with and without CD3, a fifth of the others with CD19; with few positives there is no valley."""
    rng = np.random.default_rng(seed)
    events = np.c_[rng.normal(9e4, 8e3, N_EVENTS), rng.normal(0, 120, (N_EVENTS, 2))]
    for column, n in ((1, POSITIVES[cd3]), (2, POSITIVES[cd19])):
        rows = slice(0, n) if column == 1 else slice(N_EVENTS - n, N_EVENTS)
        events[rows, column] = np.exp(rng.normal(9.2, 0.25, n)) * gain
    cm.write_fcs(path, events, DETECTORS, markers=MARKERS, ranges=[262144] * 3, keywords={"$CYT": "Canto"})


def write_sheet(folder: Path, samples: dict[str, tuple[str, int]]) -> None:
    lines = ["file,sample_id,subject_id,day,panel"]
    lines += [f"{name}.fcs,{name},{subject},{day},one-marker.toml" for name, (subject, day) in samples.items()]
    (folder / "samplesheet.csv").write_text("\n".join(lines) + "\n")


def write_run(folder: Path, samples: dict[str, dict], subjects: dict[str, tuple[str, int]] | None = None) -> Path:
    folder.mkdir()
    shutil.copy(PANEL, folder / "one-marker.toml")
    for seed, (name, about) in enumerate(samples.items()):
        write_sample(folder / f"{name}.fcs", seed, **about)
    write_sheet(folder, subjects or {name: (f"S{i}", 0) for i, name in enumerate(samples)})
    return folder


def gate(folder: Path, *options: str):
    return CliRunner().invoke(cytomrd, ["gate", str(folder), *options], catch_exceptions=False)


def counts(folder: Path) -> dict[tuple[str, str], int]:
    with (folder / "results" / "populations.csv").open(newline="") as file:
        return {(r["sample_id"], r["population"]): int(r["n_events"]) for r in csv.DictReader(file)}


def sealed(folder: Path) -> dict[tuple[str, bool], int]:
    """When a sample was sealed, by itself and with borrowed cuts."""
    manifests = [(m, json.loads(m.read_text())) for m in (folder / ".results.samples").glob("*/manifest.json")]
    return {(d["sample_id"], bool(d["made_from"]["borrowed"])): m.stat().st_mtime_ns for m, d in manifests}


def tables(folder: Path) -> dict[str, bytes]:
    out = folder / "results"
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.suffix in (".csv", ".xml")}


OTHERS = {f"A{i}": {} for i in range(5)}
WEAK = {**OTHERS, "W": {"cd3": "few"}}


@pytest.fixture(scope="module")
def weak_run(tmp_path_factory):
    folder = write_run(tmp_path_factory.mktemp("weak") / "run", WEAK)
    result = gate(folder, "-j", "2")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def run_copy(weak_run, tmp_path):
    return Path(shutil.copytree(weak_run, tmp_path / "run"))


def test_a_sample_that_cannot_see_a_cut_takes_that_of_the_others(weak_run):
    found = counts(weak_run)
    assert found["W", "t_cells"] == pytest.approx(POSITIVES["few"], abs=1)
    assert all(found[name, "t_cells"] == pytest.approx(POSITIVES["full"], abs=2) for name in OTHERS)
    page = (weak_run / "results" / "report.html").read_text("utf-8")
    assert "that of other samples used instead in 1 tube" in page
    pages = "".join(p.read_text("utf-8") for p in sorted((weak_run / "results").rglob("*.html")))
    assert "borrowed from 5 other samples of the run: " in pages
    assert "no valley between two peaks" in pages  # its own evidence stays told


def test_the_panel_may_forbid_it(run_copy):
    panel = run_copy / "one-marker.toml"
    panel.write_text(panel.read_text().replace("value = 0.85\n", "value = 0.85\nborrow = false\n"))
    assert gate(run_copy).exit_code == 0
    assert counts(run_copy)["W", "t_cells"] == 0  # the panel's fixed value lies above them


def test_workers_and_the_order_of_the_sheet_change_nothing(weak_run, run_copy):
    before = tables(weak_run)
    shutil.rmtree(run_copy / ".results.samples")
    shutil.rmtree(run_copy / "results")
    assert gate(run_copy, "-j", "1").exit_code == 0
    assert tables(run_copy) == before
    cuts = {name: text for name, text in before.items() if name.endswith(".xml")}
    write_sheet(run_copy, {name: (f"S{list(WEAK).index(name)}", 0) for name in reversed(WEAK)})
    assert gate(run_copy, "-j", "2", "--force").exit_code == 0
    assert {name: text for name, text in tables(run_copy).items() if name.endswith(".xml")} == cuts


def test_a_run_goes_on_from_both_passes(run_copy):
    before, results = sealed(run_copy), tables(run_copy)
    assert {name for name, borrowed in before if borrowed} == {"W"}
    shutil.rmtree(run_copy / "results")
    assert gate(run_copy).exit_code == 0
    assert sealed(run_copy) == before
    assert tables(run_copy) == results


def test_another_sample_redoes_what_borrows_from_it_alone(run_copy):
    before = sealed(run_copy)
    write_sample(run_copy / "A5.fcs", 77, gain=1.3)
    write_sheet(run_copy, {name: (f"S{i}", 0) for i, name in enumerate([*WEAK, "A5"])})
    result = gate(run_copy)
    assert result.exit_code == 0
    assert "W: gated again: what other samples lend to it changed" in result.output
    now = sealed(run_copy)
    assert {key for key in now if now[key] != before.get(key)} == {("W", True), ("A5", False)}


def test_a_cut_without_a_call_is_rescued_and_without_lenders_it_is_not(tmp_path):
    few = {"W": {"cd19": "few"}}
    folder = write_run(tmp_path / "with", {**OTHERS, **few})
    assert gate(folder).exit_code == 0
    assert counts(folder)["W", "b_cells"] == pytest.approx(POSITIVES["few"], abs=1)
    folder = write_run(tmp_path / "without", {"A0": {}, "A1": {}, "A2": {}, **few})
    result = gate(folder)
    assert result.exit_code == 4
    assert "cut 'CD19' on CD19 has no call" in result.output
    assert ("W", "b_cells") not in counts(folder)


def test_samples_that_lie_far_apart_lend_nothing(tmp_path):
    gains = (0.15, 0.4, 1.0, 2.5, 6.0)
    folder = write_run(tmp_path / "run", {**{f"A{i}": {"gain": g} for i, g in enumerate(gains)}, "W": {"cd3": "few"}})
    assert gate(folder).exit_code == 0
    assert not any(borrowed for _, borrowed in sealed(folder))
    assert counts(folder)["W", "t_cells"] == 0


def test_earlier_visits_of_the_subject_go_first(tmp_path):
    own = {f"V{i}": {"gain": 0.6} for i in range(4)}
    samples = {**{f"A{i}": {"gain": 1.2} for i in range(5)}, **own, "W": {"cd3": "few", "gain": 0.6}}
    visits = {name: ("own", 28 * i) for i, name in enumerate([*own, "W"])}
    folder = write_run(tmp_path / "run", samples, {name: visits.get(name, (name, 0)) for name in samples})
    assert gate(folder).exit_code == 0
    pages = "".join(p.read_text("utf-8") for p in sorted((folder / "results").rglob("*.html")))
    assert "borrowed from 4 earlier visits of the subject: " in pages
    assert "logicle widths are those of the subject&#39;s first visit, V0.fcs" in pages


def test_a_series_has_one_scale(tmp_path):
    folder = write_run(
        tmp_path / "run", {"V0": {}, "V1": {"gain": 0.5}, "V2": {"gain": 2.0}, "other": {}},
        {"V0": ("own", 0), "V1": ("own", 28), "V2": ("own", 56), "other": ("another", 0)},
    )  # fmt: skip
    assert gate(folder).exit_code == 0
    gates = {name: text.decode() for name, text in tables(folder).items() if name.endswith(".xml")}
    widths = {name: sorted(set(_attributes(text, "W"))) for name, text in gates.items()}
    own = [w for name, w in widths.items() if "V" in name]
    assert len(own) == 3
    assert own[0] == own[1] == own[2]
    assert [w for name, w in widths.items() if "other" in name] != own[:1]
    before = sealed(folder)
    with (folder / "V0.fcs").open("ab") as file:
        file.write(b" ")
    assert "V1: gated again: first visit V0.fcs changed" in gate(folder).output
    assert sealed(folder)["other", False] == before["other", False]


def _attributes(text: str, name: str) -> list[str]:
    return [part.partition('"')[0] for part in text.split(f' transforms:{name}="')[1:]]
