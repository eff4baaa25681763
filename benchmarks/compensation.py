"""Spillover from single stains against published matrices, and against what the brightest cells say."""

from __future__ import annotations

import csv
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import SHARED, setting, table, write_section

from cytomrd.preprocess.compensation import read_spillover_csv
from cytomrd.run.compensation import CompensationResult, fit_compensation, read_control, read_unstained

FACSCALIBUR = {"001": "", "002": "FITC", "003": "PE", "004": "APC", "005": "7AAD"}
FAR = 0.02
HEAD = (
    "stain", "method", "positives", "negatives", "largest difference", "in", "differ by > 0.02", "stated error up to",
)  # fmt: skip


def facscalibur(source: Path) -> tuple[CompensationResult, np.ndarray]:
    """Fit the set, which needs a samplesheet, in a folder of its own; the reference is flowCore's."""
    with tempfile.TemporaryDirectory() as folder:
        rows = ["file,sample_id,role,stain"]
        for number, stain in FACSCALIBUR.items():
            shutil.copy(source / "data" / f"060909.{number}", folder)
            rows.append(f"060909.{number},c{number},{'single_stain' if stain else 'unstained'},{stain}")
        Path(folder, "samplesheet.csv").write_text("\n".join(rows) + "\n")
        result = fit_compensation(folder)
    return result, np.loadtxt(source / "compref", skiprows=1, usecols=(1, 2, 3, 4))


def rows_by_stain(result: CompensationResult, reference: np.ndarray) -> list[tuple]:
    """For each stain: method, events, largest difference to the reference and where."""
    names, rows = result.fit.spillover.detectors, []
    for stain in result.fit.stains:
        k = names.index(stain.detector)
        off = np.abs(stain.slopes.values - reference[k])
        worst = int(np.argmax(off))
        error = max(p.error for p in result.pairs if p.detector == stain.detector)
        rows.append(
            (
                stain.detector, stain.method, stain.n_used, stain.n_negative, f"{off[worst]:.5f}",
                names[worst] if off[worst] > 5e-6 else "", int((off > FAR).sum()), f"{error:.3f}",
            )
        )  # fmt: skip
    return rows


def extrapolated(result: CompensationResult, detector: str) -> np.ndarray:
    """Ratios of the 1000 brightest cells at 1 / brightness = 0, with no gate of any kind.

    Autofluorescence adds a / F to the ratio of a cell of brightness F, so that there the stain's alone is left.
    """
    names = result.fit.spillover.detectors
    control = next(c for c in result.plan.stains if c.detector == detector)
    unstained = read_unstained(result.plan).unsaturated().values
    rise = read_control(control, result.plan).unsaturated().values - np.median(unstained, axis=0)
    own = names.index(detector)
    groups = np.array_split(np.argsort(rise[:, own])[-1000:], 10)
    brightness = np.array([np.median(rise[g, own]) for g in groups])
    ratio = np.array([np.median(rise[g] / rise[g, own][:, None], axis=0) for g in groups])
    line = np.stack([brightness, np.ones(len(groups))], axis=1)
    return np.linalg.lstsq(line, ratio * brightness[:, None], rcond=None)[0][0]


def far_pairs(result: CompensationResult, reference: np.ndarray, acquired: np.ndarray) -> list[tuple]:
    """Each coefficient that differs by more than 0.02, with the two witnesses beside it."""
    names, rows = result.fit.spillover.detectors, []
    for stain in result.fit.stains:
        k = names.index(stain.detector)
        off = np.abs(stain.slopes.values - reference[k])
        if (off <= FAR).all():
            continue
        alone = extrapolated(result, stain.detector)
        for j in np.flatnonzero(off > FAR):
            ours, theirs = stain.slopes.values[j], reference[k, j]
            nearer = "ours" if abs(ours - alone[j]) < abs(theirs - alone[j]) else "reference"
            numbers = (ours, theirs, alone[j], acquired[k, j])
            rows.append((f"{stain.detector} in {names[j]}", *(f"{v:.3f}" for v in numbers), nearer))
    return rows


def own_light(result: CompensationResult, reference: np.ndarray, detector: str) -> float:
    """Cosine of the angle between what the reference's row has more than ours and unstained cells' own light."""
    k = result.fit.spillover.detectors.index(detector)
    more = np.delete(reference[k] - result.fit.spillover.matrix[k], k)
    values = np.delete(read_unstained(result.plan).unsaturated().values, k, axis=1)
    brightest = values.sum(axis=1) > np.quantile(values.sum(axis=1), 0.98)
    light = np.median(values[brightest], axis=0) - np.median(values, axis=0)
    return float(more @ light / np.linalg.norm(more) / np.linalg.norm(light))


def main() -> int:
    """Fit both sets and write the section of README.md."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED
    calibur, compref = facscalibur(folder / "compensation-facscalibur")
    source = folder / "compensation-lsrii"
    lsrii = fit_compensation(source)
    published = read_spillover_csv(source / "Compensation-Spillover-Matrix.csv")
    acquired = lsrii.plan.stains[0].dataset.spillover
    for other in (published, acquired):
        if other.detectors != lsrii.fit.spillover.detectors:
            raise SystemExit(f"{other.source} lists other detectors")
    far = far_pairs(lsrii, published.matrix, acquired.matrix)
    with (source / "Compensation-Channels.csv").open(newline="") as file:
        recognised = sum(row["channel"] in {c.detector for c in lsrii.plan.stains} for row in csv.DictReader(file))
    cosine = own_light(lsrii, published.matrix, "APC-Cy7-A")
    paragraphs = (
        "`python benchmarks/compensation.py`: `cytomrd compensation` with its defaults, no choice made for a set.\n"
        + setting("numpy", "scipy"),
        "FACSCalibur, 5 tubes, log amplifiers, against flowCore's `compref` (medians of all events). The tubes are "
        "stained as a whole, so that medians are taken:",
        table(HEAD, rows_by_stain(calibur, compref)),
        "That matrix over-compensates the brightest 7-AAD cells, and the page warns of it: regression gives 0.149 and "
        "0.164 where the medians give 0.176 and 0.230 (FL3-H in FL2-H and FL4-H).",
        f"LSR II, 7 tubes x 50,000, against the matrix published with them ({recognised} stains recognised by name):",
        table(HEAD, rows_by_stain(lsrii, published.matrix)),
        "Where a coefficient differs by more than 0.02, two witnesses that took no part: the ratio of the 1000 "
        "brightest cells of the tube, ungated, extrapolated to infinite brightness, where autofluorescence adds "
        "nothing; and the matrix with which the operator recorded the files.",
        table(("pair", "cytomrd", "published", "brightest cells", "as recorded", "nearer to the brightest"), far),
        "What the published APC-Cy7 row has more than ours has the shape of the unstained cells' own light (cosine "
        f"{cosine:.3f}), which that dye does not give. AF700's published row lies below 0 in three violet detectors.",
    )
    write_section("Compensation from single stains", "\n\n".join(paragraphs))
    return int(any(row[-1] != "ours" for row in far))


if __name__ == "__main__":
    sys.exit(main())
