"""Runs made by hand: every record filled with plausible cells, no file behind them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np

from cytomrd.car_nk.absolute import SinglePlatform
from cytomrd.car_nk.background import Background
from cytomrd.car_nk.quantify import quantify_car_nk
from cytomrd.fcs.findings import Finding
from cytomrd.gating.fit import CutDecision
from cytomrd.gating.gates import Dimension, GatingStrategy, RectangleGate
from cytomrd.mrd.clonality import CloneCalls, ClusterSummary
from cytomrd.mrd.hemodilution import assess_hemodilution
from cytomrd.mrd.light_chain import Restriction
from cytomrd.mrd.phenotype import AntigenScore
from cytomrd.mrd.quantify import quantify_mrd
from cytomrd.panel.library import read_panel
from cytomrd.preprocess.transforms import Linear, Logicle
from cytomrd.run.model import (
    FileResult,
    GatePlot,
    PlotAxis,
    PopulationCount,
    QcSummary,
    RareCells,
    RunResult,
    SampleResult,
    TimePlot,
    TubeQuality,
)
from cytomrd.samplesheet import SampleRow

MRD_PANEL, CAR_PANEL = read_panel("euroflow-mm-mrd"), read_panel("car-nk-bcma")
NORMAL_AT = {
    "CD138": 0.72,
    "CD27": 0.62,
    "CD38": 0.86,
    "CD56": 0.22,
    "CD45": 0.58,
    "CD19": 0.62,
    "CD117": 0.2,
    "CD81": 0.66,
}
CLONAL_AT = {
    "CD138": 0.78,
    "CD27": 0.3,
    "CD38": 0.8,
    "CD56": 0.7,
    "CD45": 0.25,
    "CD19": 0.18,
    "CD117": 0.5,
    "CD81": 0.28,
}
NK_AT = {
    "CD45": 0.75,
    "CD3": 0.15,
    "CD56": 0.62,
    "CD16": 0.7,
    "CD14/CD19": 0.12,
    "CD38": 0.6,
    "CD138": 0.1,
    "Viability": 0.15,
}


def plot_axes(panel, tube: str) -> dict[str, PlotAxis]:
    """Axes of every channel but time."""
    axes = {}
    for index, channel in enumerate(panel.tube(tube).channels):
        if channel.role != "time":
            scale = Linear() if channel.role == "scatter" else Logicle()
            detector = channel.marker if channel.role == "scatter" else f"FL{index}-A"
            axes[channel.marker] = PlotAxis(channel.marker, detector, channel.fluorochrome, scale, -0.08, 1.03)
    return axes


def _cells(rng, population: str, axes, centres, labels) -> RareCells:
    """Cells of one compartment: one centre a label on each marker, the rest as background."""
    markers = tuple(axes)
    values = np.empty((len(labels), len(markers)))
    for j, marker in enumerate(markers):
        at = np.array([centres(label, marker) for label in labels])
        values[:, j] = at + rng.normal(0, 0.045, len(labels))
    linear = np.stack([axes[m].transform.inverse(values[:, j]) for j, m in enumerate(markers)], axis=1)
    return RareCells(population, np.arange(len(labels)), linear, markers, linear, values, np.asarray(labels))


def plasma_cells(seed: int, axes, *, n_normal=300, n_clonal=31, n_unsure=0) -> RareCells:
    """Normal, clonal and indeterminate plasma cells; the clone makes kappa."""
    rng = np.random.default_rng(seed)
    labels = [0] * n_normal + [1] * n_clonal + [-1] * n_unsure

    def centre(label, marker):
        if marker in ("CyIgKappa", "CyIgLambda"):
            kappa = label == 1 or rng.random() < 0.6
            return 0.7 if (marker == "CyIgKappa") == kappa else 0.2
        if marker in ("FSC-A", "FSC-H", "SSC-A"):
            return 0.4
        return (CLONAL_AT if label == 1 else NORMAL_AT)[marker]

    return _cells(rng, "plasma_cells", axes, centre, labels)


def nk_cells(seed: int, axes, *, n_negative=2_000, n_positive=140) -> RareCells:
    """NK cells, of which some carry the CAR."""
    rng = np.random.default_rng(seed)
    labels = [0] * n_negative + [1] * n_positive

    def centre(label, marker):
        if marker == "CAR":
            return 0.66 if label == 1 else 0.16
        return NK_AT.get(marker, 0.35)

    return _cells(rng, "nk", axes, centre, labels)


def _gate_plot(rng, axes, population, title, parent, x, y, n_parent, n_population, box, bands=()) -> GatePlot:
    n = 60_000
    a = np.concatenate([rng.normal(0.3, 0.09, n // 2), rng.normal(0.6, 0.07, n // 2)])
    b = np.concatenate([rng.normal(0.25, 0.08, n // 2), rng.normal(0.55, 0.1, n // 2)])
    edges = np.linspace(-0.08, 1.03, 129)
    counts = np.histogram2d(np.clip(a, -0.08, 1.03), np.clip(b, -0.08, 1.03), bins=[edges, edges])[0].astype(np.int64)
    x0, x1, y0, y1 = box
    outline = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return GatePlot(population, title, parent, axes[x], axes[y], counts, (outline,), bands, n_parent, n_population)


def _strategy(axes) -> GatingStrategy:
    detector = next(iter(axes.values())).detector
    gate = RectangleGate("cells", (Dimension(detector, transform="scale"),), (0.1,), (None,))
    return GatingStrategy((gate,), transforms={"scale": Linear()})


def _time_plot(rng) -> TimePlot:
    seconds = np.linspace(0, 640, 200)
    rate = 7800 + 240 * rng.standard_normal(200)
    rate[120:132] = 900
    return TimePlot(seconds, rate, ((380.0, 425.0),))


def tube_quality(rng, axes) -> TubeQuality:
    """Signals that drift a little, one stretch without events, and some spill that is left."""
    seconds, markers = np.linspace(4, 636, 60), tuple(axes)
    medians = 0.4 + 0.004 * rng.standard_normal((60, len(markers)))
    medians[37:40] = np.nan
    colours = tuple(m for m in markers if axes[m].fluorochrome)
    spill = 0.003 * rng.standard_normal((len(colours), len(colours)))
    spill[1, 2], spill[0, 3:] = 0.021, np.nan
    np.fill_diagonal(spill, 0.0)
    return TubeQuality(seconds, markers, medians, colours, spill)


def cut_decisions(axes, names) -> tuple[CutDecision, ...]:
    """A fitted cut on each marker."""
    cuts = []
    for name in names:
        if name in axes:
            cuts.append(
                CutDecision(
                    name, name, "valley", 0.44, 0.42, 0.46, "fitted", "lowest density between two peaks", 51_200
                )
            )
    return tuple(cuts)


def file_result(
    row: SampleRow, panel, tube: str, rare: RareCells, axes, *, n_events=3_400_000, held=(), findings=()
) -> FileResult:
    """A gated tube."""
    rng = np.random.default_rng(5)
    n = int(n_events * 0.89)
    count = len(rare.events)
    mrd = panel.assay == "mrd"
    base, base_title = ("nucleated", "Nucleated cells") if mrd else ("leukocytes", "CD45+ leukocytes")
    a, b = ("CD38", "CD138") if mrd else ("CD3", "CD56")
    title = "Plasma cells" if mrd else "NK cells"
    n_singlets = int(n_events * 0.94)
    bands = (("x", 0.42, 0.46), ("y", 0.425, 0.455))
    box, right, corner = (0.05, 0.9, 0.02, 0.8), (0.2, 1.03, -0.08, 1.03), (0.44, 1.03, 0.44, 1.03)
    plots = (
        _gate_plot(rng, axes, "singlets", "Singlets", "root", "FSC-A", "SSC-A", n_events, n_singlets, box),
        _gate_plot(rng, axes, base, base_title, "singlets", "CD45", "SSC-A", n_singlets, n, right),
        _gate_plot(rng, axes, rare.population, title, base, a, b, n, count, corner, bands),
    )
    names = ("root", "singlets", base, rare.population)
    sizes = (n_events, n_singlets, n, count)
    populations = tuple(
        PopulationCount(names[i], names[: i + 1], sizes[i], sizes[i - 1], sizes[i] / n, {"CD45": 1234.5})
        for i in (1, 2, 3)
    )
    return FileResult(
        row=row,
        tube=tube,
        panel_id=panel.id,
        panel_version=panel.version,
        sha256="ab" * 32,
        detectors=tuple(x.detector for x in axes.values()),
        markers=tuple(axes),
        findings=tuple(findings),
        notes=("CD38: $PnS 'CD38 FITC' is the marker and its fluorochrome",),
        strategy=_strategy(axes),
        decisions=cut_decisions(
            axes, ("CD38", "CD138", "CD19", "CD56", "CD45", "CD27", "CD81", "CyIgKappa", "CyIgLambda", "CAR")
        ),
        axes=axes,
        populations=populations,
        qc=QcSummary(n_events, 0, 212, int(n_events * 0.013), int(n_events * 0.046), 0.021, 7.4, tuple(held)),
        gate_plots=plots,
        time_plot=_time_plot(rng),
        rare=(rare,),
        quality=tube_quality(rng, axes),
    )


def with_full_path(sample: SampleResult, n_plots: int = 20) -> SampleResult:
    """The sample with as many steps in each tube's gating path as the bundled panels have."""

    def full(file: FileResult) -> FileResult:
        rng, first, last = np.random.default_rng(1), file.gate_plots[0], file.gate_plots[-1]
        markers, box = list(file.axes), (0.3, 0.9, 0.2, 0.8)
        between = [
            _gate_plot(
                rng, file.axes, f"p{i}", f"Population {i} of the path", "singlets", markers[i % len(markers)],
                markers[(3 * i + 1) % len(markers)], 1_500_000, 30_000, box,
            )
            for i in range(n_plots)
        ]  # fmt: skip
        return replace(file, gate_plots=(first, *between, last))

    return replace(sample, files=tuple(map(full, sample.files)))


def clone_calls(tubes, labels) -> CloneCalls:
    """One clone, restricted to kappa, and the normal cells."""
    antigens = (
        AntigenScore("CD19", "reduced", True, -4.2),
        AntigenScore("CD56", "increased", True, 5.1),
        AntigenScore("CD45", "reduced", True, -3.0),
    )
    n = tuple(float((x > 0).sum()) for x in labels)
    clusters = []
    if sum(n):
        kappa = Restriction(14, 0, 29.0, 3.4, None, 0.997, "kappa", False, True)
        clusters.append(
            ClusterSummary(1, "clonal", n, antigens, kappa, "3 aberrancies, and restricted to kappa", {"CD19": 0.18})
        )
    polyclonal = Restriction(182, 118, 1.54, 1.22, 1.95, 0.001, "kappa", False, False)
    clusters.append(
        ClusterSummary(0, "normal", tuple(float((x == 0).sum()) for x in labels), (), polyclonal, "polyclonal", {})
    )
    return CloneCalls(
        tubes=tuple(tubes),
        labels=tuple(labels),
        clusters=tuple(clusters),
        light_chain="kappa" if sum(n) else "",
        kappa_lambda_ratio=29.0 if sum(n) else 1.54,
        decided_by="three aberrancies and the light chains of tube 2" if sum(n) else "",
        flags=(),
    )


def marrow_cells(n_nucleated: int, verdict: str) -> dict[str, int]:
    """Marrow-only cells of an aspirate of which a verdict is true."""
    share = {"not_suspected": 1.0, "hemodiluted": 0.01}[verdict]
    usual = {"mast_cells": 2e-4, "nucleated_red_cells": 0.08, "b_precursors": 0.01}
    return {name: round(n_nucleated * fraction * share) for name, fraction in usual.items()}


def mrd_sample(
    sample_id="S01-BM", *, n_nucleated=3_020_000, n_clonal=31, n_unsure=0, n_normal=300, seed=1,
    hemodilution="not_suspected", lob_events=0, held=(), flags=(), findings=(), **row,
) -> SampleResult:  # fmt: skip
    """A marrow in two tubes."""
    row = {
        "subject_id": "S01",
        "visit": "C3D1",
        "day": 63.0,
        "matrix": "BM",
        "pull": 1,
        "prior_therapy": ("anti-CD38",),
        **row,
    }
    rows, files = [], []
    for tube, share in (("1", 0.5), ("2", 0.5)):
        axes = plot_axes(MRD_PANEL, tube)
        n = n_clonal // 2 + (n_clonal % 2 if tube == "1" else 0)
        cells = plasma_cells(seed + int(tube), axes, n_normal=n_normal, n_clonal=n, n_unsure=n_unsure // 2)
        made = SampleRow(file=f"{sample_id}_tube{tube}.fcs", sample_id=sample_id, tube=tube, panel=MRD_PANEL.id, **row)
        rows.append(made)
        files.append(
            file_result(
                made,
                MRD_PANEL,
                tube,
                cells,
                axes,
                n_events=int(n_nucleated * share / 0.89),
                held=held,
                findings=findings,
            )
        )
    calls = clone_calls(("1", "2"), [f.rare[0].labels for f in files])
    each = n_nucleated // 2
    blood = assess_hemodilution(marrow_cells(n_nucleated, hemodilution), n_nucleated, MRD_PANEL.mrd.hemodilution)
    assert blood.verdict == hemodilution
    mrd = quantify_mrd(
        calls,
        {"1": n_nucleated - each, "2": each},
        MRD_PANEL.mrd,
        lob_events=lob_events,
        hemodilution=blood,
        pull=row["pull"],
        flags=flags,
    )
    without = mrd.mrd_fraction * 1.04 if mrd.mrd_fraction else mrd.mrd_fraction
    return SampleResult(
        sample_id, tuple(rows), "mrd", "held" if held else "done", files=tuple(files), mrd=mrd, clones=calls,
        mrd_fraction_without_qc=without, hemodilution=blood, flags=mrd.flags, panel=MRD_PANEL,
    )  # fmt: skip


def car_sample(
    sample_id="S02-PB-D7", *, n_nk=18_400, n_car=412, n_control=3, absolute=True, seed=3, role="sample", held=(), **row
) -> SampleResult:
    """A blood sample, counted against beads."""
    row = {
        "subject_id": "S02",
        "visit": "D7",
        "day": 7.0,
        "matrix": "PB",
        "collected_at": datetime(2025, 3, 8, 9, 30),
        **row,
    }
    axes = plot_axes(CAR_PANEL, CAR_PANEL.tubes[0].id)
    made = SampleRow(
        file=f"{sample_id}.fcs", sample_id=sample_id, tube=CAR_PANEL.tubes[0].id, panel=CAR_PANEL.id, role=role, **row
    )
    cells = nk_cells(seed, axes, n_negative=2_000, n_positive=min(n_car, 400))
    file = file_result(made, CAR_PANEL, made.tube, cells, axes, n_events=600_000, held=held)
    cut = CutDecision(
        "CAR", "CAR", "control", 0.44, 0.41, 0.47, "control", "99.9 % of the pre-infusion sample's NK cells", 21_000
    )
    file = replace(file, decisions=(*(d for d in file.decisions if d.name != "CAR"), cut))
    result = quantify_car_nk(
        210_000, n_nk, n_car, background=Background(n_control, 20_000, "pre-infusion sample"),
        absolute=SinglePlatform(9_500, 51_300, "L7", 100.0) if absolute else None, spec=CAR_PANEL.car_nk, n_car_t=2,
    )  # fmt: skip
    return SampleResult(
        sample_id,
        (made,),
        "car_nk",
        "held" if held else "done",
        files=(file,),
        car_nk=result,
        flags=result.flags,
        panel=CAR_PANEL,
    )


def failed_sample(
    sample_id="S09-BM",
    error="FcsError: $TOT says 512000 events, the data segment holds 301442\nAsk for the file to be exported again.",
    **row,
):
    """A sample that could not be read."""
    made = SampleRow(file=f"{sample_id}.fcs", sample_id=sample_id, matrix="BM", **{"subject_id": "S09", **row})
    return SampleResult(sample_id, (made,), "mrd", "failed", errors=(error,))


REPAIRED = Finding("repaired", "$NEXTDATA", 402, "''", "an offset or 0", "read as 0")


def batch() -> RunResult:
    """A batch with every status in it."""
    samples = (
        mrd_sample("S01-BM-SCR", n_clonal=900, visit="Screening", day=-14.0, seed=11),
        mrd_sample(
            "S01-BM-C3",
            n_clonal=31,
            seed=12,
            findings=(REPAIRED,),
            flags=("ANTI_CD38: CD38 may be masked after anti-CD38; the CD138 gate carries the count",),
        ),
        mrd_sample("S01-BM-C6", n_clonal=4, n_nucleated=5_400_000, visit="C6D1", day=126.0, seed=13),
        mrd_sample(
            "S03-BM-C3", n_clonal=3, n_nucleated=1_800_000, subject_id="S03", hemodilution="hemodiluted", seed=14
        ),
        mrd_sample("S04-BM-C3", n_clonal=9, n_unsure=30, subject_id="S04", seed=15),
        mrd_sample(
            "S05-BM-C3",
            n_clonal=64,
            subject_id="S05",
            seed=16,
            held=("doublets are 43.0% of events; the panel allows 40%",),
        ),
        car_sample("S02-PB-PRE", n_car=2, n_nk=21_000, role="pre_infusion", visit="Pre", day=-1.0, seed=21),
        car_sample("S02-PB-D1", n_car=1900, visit="D1", day=1.0, seed=22),
        car_sample("S02-PB-D7", seed=23),
        car_sample("S02-PB-D14", n_car=45, visit="D14", day=14.0, seed=24),
        car_sample("S02-PB-D28", n_car=4, visit="D28", day=28.0, seed=25),
        failed_sample(),
    )
    return RunResult("/data/runs/2025-03-07 batch 12", samples, NOTES, PROVENANCE)


NOTES = ("S08.fcs: role unstained, not gated", "tube of S05-BM-C3: panel recognised from the markers")
PROVENANCE = {
    "cytomrd": "0.1.0",
    "inputs": [
        {
            "file": "S01-BM-SCR_tube1.fcs",
            "sha256": "ab" * 32,
            "n_events": 3_400_000,
            "panel": "euroflow-mm-mrd",
            "tube": "1",
        }
    ],
    "panels": {"euroflow-mm-mrd": {"version": "1.0.0", "sha256": "cd" * 32}},
    "settings": {"random_state": 0, "spillover": None},
    "versions": {"python": "3.11.7", "numpy": "2.4.6"},
    "jobs": 2,
    "started": "2025-03-08T06:00:11+00:00",
    "finished": "2025-03-08T06:04:52+00:00",
}
