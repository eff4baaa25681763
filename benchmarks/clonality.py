"""How well clones of plasma cells are found and counted, behind fitted gates, on laws that the method was not tuned on.

    python benchmarks/clonality.py [--runs RUNS] [--donors DONORS] [--seconds SECONDS]

``--donors 0`` leaves the laws behind fitted gates out. Simulated marrows of two tubes; donors and laws apart from those
of tuning (``clinical`` and ``dim`` of ``cytomrd.simulate``, ``wide`` and ``rough`` of ``tests/simulated_plasma.py``).
With ``--seconds`` it stops at that time and says how many marrows were called.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from common import setting, table, write_section
from gated_marrows import PHENOTYPES, draw_marrow, fill_store
from perturbed_donors import JUDGING_LAWS, JUDGING_SEED
from scipy import stats

from cytomrd.mrd.clonality import call_clones
from cytomrd.panel.library import read_panel

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import simulated_plasma as plain

TITLE = "Clonal plasma cells"
THRESHOLD = 20
# Name, clonal fraction, nucleated cells, runs per unit of --runs.
LEVELS = (
    ("1e-5, N = 3e6", 1e-5, 3e6, 3),
    ("1e-5, N = 5e6", 1e-5, 5e6, 2),
    ("5e-6, N = 1e7", 5e-6, 1e7, 1),
    ("1e-4, N = 3e6", 1e-4, 3e6, 1),
    ("none, N = 3e6", 0.0, 3e6, 3),
)
PLASMA_FRACTION = (2e-4, 5e-3)
REACTIVE = (None, (0.30, 0.12), (0.25, 0.06))


class GatedLaw:
    """Marrows of a law behind fitted gates; a third of the donors each with no, many and some reactive cells."""

    def __init__(self, law, n_donors: int):
        self.name, self.panel = law.name, read_panel("euroflow-mm-mrd")
        self.stores = [fill_store(law, JUDGING_SEED + i, self.panel, reactive=REACTIVE[i % 3]) for i in range(n_donors)]

    def draw(self, i: int, level: float, n: float, plasma_fraction: float):
        """Tubes, truth, phenotype and assay of run ``i``."""
        rng = np.random.default_rng([JUDGING_SEED, i, int(n), round(level * 1e7), *self.name.encode()])
        phenotype = (*PHENOTYPES, "two subclones")[i % (len(PHENOTYPES) + 1)]
        parts = (
            {"typical": level / 2, "cd81_positive": level / 2} if phenotype == "two subclones" else {phenotype: level}
        )
        store = self.stores[i % len(self.stores)]
        tubes, truth = draw_marrow(store, int(n), plasma_fraction, parts if level else {}, rng)
        return tubes, truth, phenotype, self.panel.mrd


class PlainLaw:
    """Marrows of ``tests/simulated_plasma.py``: matrices with contaminants, every donor another."""

    def __init__(self, law):
        self.name, self.law = f"{law.name} (matrix)", law

    def draw(self, i: int, level: float, n: float, plasma_fraction: float):
        """Tubes, truth, phenotype and assay of run ``i``."""
        phenotype = list(plain.CLONES)[i % 9]
        tubes, truth = plain.simulate(
            self.law, JUDGING_SEED + i, n_normal=plasma_fraction * n / 2, n_clonal=level * n / 2, clone=phenotype,
            reactive=0.0 if level else (0.0, 0.05, 0.1)[i % 3],
        )  # fmt: skip
        return tubes, truth, phenotype, plain.SPEC


def run(law, level_name: str, level: float, n: float, i: int) -> dict:
    """One marrow called, and what became of it."""
    rng = np.random.default_rng([JUDGING_SEED, i, 1])
    low, high = PLASMA_FRACTION if level else (PLASMA_FRACTION[0], 2e-2)
    plasma_fraction = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    tubes, truth, phenotype, spec = law.draw(i, level, n, plasma_fraction)
    start = time.perf_counter()
    calls = call_clones(tubes, spec)
    seconds = time.perf_counter() - start
    labels, true = np.concatenate(calls.labels), np.concatenate(truth) > 0
    return {
        "law": law.name, "level": level_name, "phenotype": phenotype, "seconds": seconds,
        "called": int((labels > 0).sum()), "true": int(true.sum()), "right": int((true & (labels > 0)).sum()),
        "indeterminate": int((labels < 0).sum()), "plasma": len(labels),
    }  # fmt: skip


def interval(hits: int, n: int) -> str:
    """Fraction with its exact 95 % interval."""
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits / n:.2f} ({low:.2f}-{high:.2f})"


def rows_of(results: list[dict], key: str) -> list[tuple]:
    """One row for each value of ``key`` and level."""
    groups = defaultdict(list)
    for r in results:
        groups[r["level"], r[key]].append(r)
    rows = []
    for level in dict.fromkeys(name for name, *_ in LEVELS):
        for value in dict.fromkeys(r[key] for r in results):
            group = groups[level, value]
            if not group:
                continue
            hits = sum(r["called"] >= THRESHOLD for r in group)
            flagged = sum(r["called"] < THRESHOLD <= r["called"] + r["indeterminate"] for r in group)
            true = sum(r["true"] for r in group)
            enough = sum(r["true"] >= THRESHOLD for r in group)
            recovery = f"{sum(r['called'] for r in group) / true:.2f}" if true else "-"
            rows.append((
                level, value, len(group), interval(hits, len(group)), f"{enough / len(group):.2f}" if true else "-",
                flagged, recovery, f"{sum(r['right'] for r in group) / true:.2f}" if true else "-",
            ))  # fmt: skip
    return rows


def main() -> None:
    """Draw, call, and write the section."""
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--donors", type=int, default=6)
    options.add_argument("--seconds", type=float, default=np.inf)
    options = options.parse_args()
    start, results = time.monotonic(), []
    laws = [GatedLaw(law, options.donors) for law in JUDGING_LAWS if options.donors]
    laws += [PlainLaw(law) for law in plain.JUDGED]
    # Level by level and law by law in turns, so that a run cut short is short everywhere.
    for i in range(options.runs):
        for law in laws:
            for name, level, n, share in LEVELS:
                for j in range(share):
                    if time.monotonic() - start < options.seconds:
                        results.append(run(law, name, level, n, i * share + j))
    head = ("level", "", "runs", "20 or more called clonal (95 %)", "20 or more there", "only with indeterminate",
            "called / true", "true ones called")  # fmt: skip
    seconds = np.array([r["seconds"] for r in results])
    plasma = np.array([r["plasma"] for r in results])
    body = "\n\n".join(
        (
            "Two tubes of one marrow, N nucleated cells over both; normal plasma cells 0.02-0.5 % of them (0.02-2 % in "
            "those without a clone, with reactive CD19-/CD56+ cells up to 10 % of them). Laws named `(matrix)` are of "
            "`tests/simulated_plasma.py`, the rest are files behind fitted gates. Of `tailed` one "
            "donor's false calls were looked at while the method was made, so that law no longer judges it. In-silico "
            "figures are not clinical concordance.",
            table(head, rows_of(results, "law")),
            "By phenotype:",
            table(head, [row for row in rows_of(results, "phenotype") if not row[0].startswith("none")]),
            f"Seconds a call: median {np.median(seconds):.1f}, 95th percentile {np.quantile(seconds, 0.95):.1f}, at a "
            f"median of {np.median(plasma):.0f} plasma cells. {len(results)} marrows. {setting('numpy', 'scipy')}",
        )
    )
    write_section(TITLE, body)


if __name__ == "__main__":
    main()
