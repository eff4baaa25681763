"""How well clones of plasma cells are found and counted, behind fitted gates, on laws that the method was not tuned on.

    python benchmarks/clonality.py RESULTS [--part 1/4] [--seconds S] [--runs 20] [--negatives 60] [--donors 15]
    python benchmarks/clonality.py --report RESULTS...

The first form calls marrows and appends one line of JSON for each to RESULTS; those that are there already it does not
repeat, so it may be stopped and started again. Several processes share the work, each with a part and a file of its
own. The second form puts the files together and writes the section of README.md. Gated plasma cells of the donors are
kept beside RESULTS.

Donors and laws are apart from those of tuning (``cytomrd.simulate.LAWS``, ``tailed`` of ``perturbed_donors.py`` and
``TUNED`` of ``tests/simulated_plasma.py``). Each judging takes a ``--first-seed`` that no one has looked at: 30,000 was
the first, 60,000, 80,000, 100,000, 120,000, 130,000 and 140,000 followed, 150,000 is the present one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from common import setting, table, write_section
from gated_marrows import PHENOTYPES, draw_marrow, fill_store, load_store, save_store
from perturbed_donors import JUDGING_LAWS
from scipy import stats

from cytomrd.mrd.clonality import call_clones
from cytomrd.mrd.gate_error import interval_of_chain
from cytomrd.mrd.quantify import quantify_mrd
from cytomrd.panel.library import read_panel
from cytomrd.simulate import Law

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
import simulated_plasma as plain

TITLE = "Clonal plasma cells"
FIRST_SEED = 150_000
THRESHOLD = 20
# Name, clonal fraction, nucleated cells.
LEVELS = (
    ("1e-4, N = 3e6", 1e-4, 3e6),
    ("1e-5, N = 3e6", 1e-5, 3e6),
    ("1e-5, N = 5e6", 1e-5, 5e6),
    ("5e-6, N = 1e7", 5e-6, 1e7),
    ("2e-6, N = 1e7", 2e-6, 1e7),
)
NEGATIVE = ("none, N = 3e6", 0.0, 3e6)
PLASMA_FRACTION, NEGATIVE_FRACTION = (2e-4, 5e-3), (2e-4, 2e-2)
REACTIVE = (None, (0.30, 0.12), (0.25, 0.06))
# In place of ``tailed``, of which one donor's false calls were looked at while the method was made.
STREAKED = Law(
    "streaked",
    "20 bits, a tired laser: wide populations with left tails, strong spillover, drift, antibodies of another lot",
    top=1_048_576.0,
    gain=2.6,
    electronic_noise=26.0,
    photon_noise=1.7,
    spill_scale=1.25,
    spill_jitter=0.35,
    spill_error=0.025,
    autofluorescence=1.4,
    nonspecific=0.7,
    spread=1.2,
    skew=-0.08,
    contrast=0.96,
    marker_scale={"CD19": 1.4, "CD27": 0.7, "CD38": 0.55, "CD45": 1.3, "CD56": 0.75, "CD81": 1.3, "CD117": 0.8,
                  "CD138": 0.75, "CyIgKappa": 0.8, "CyIgLambda": 1.5},
    donor_shift=0.28,
    population_shift=0.16,
    abundance_shift=0.45,
    doublets=0.045,
    dead=0.02,
    drift=0.05,
    clogs=0.6,
    events_per_s=9_000.0,
)  # fmt: skip
GATED = (*(law for law in JUDGING_LAWS if law.name != "tailed"), STREAKED)


class GatedLaw:
    """Marrows of a law behind fitted gates; a third of the donors each with no, many and some reactive cells."""

    def __init__(self, law: Law, options):
        self.law, self.name, self.options = law, law.name, options
        self.panel, self.stores = read_panel("euroflow-mm-mrd"), {}

    def draw(self, i: int, level: float, n: float, plasma_fraction: float):
        """Tubes, truth, phenotype and assay of run ``i``, and the seconds that gating its donor took."""
        rng = np.random.default_rng([self.options.first_seed, i, int(n), round(level * 1e7), *self.name.encode()])
        phenotype = (*PHENOTYPES, "two subclones")[i % (len(PHENOTYPES) + 1)]
        parts = (
            {"typical": level / 2, "cd81_positive": level / 2} if phenotype == "two subclones" else {phenotype: level}
        )
        store = self._store(i % self.options.donors)
        tubes, truth = draw_marrow(store, int(n), plasma_fraction, parts if level else {}, rng)
        return tubes, truth, phenotype, self.panel.mrd, store.gate_seconds

    def _store(self, donor: int):
        if donor not in self.stores:
            seed = self.options.first_seed + donor
            path = self.options.results[0].with_name(f"store-{self.name}-{seed}.npz")
            if path.exists():
                self.stores[donor] = load_store(path)
            else:
                self.stores[donor] = fill_store(self.law, seed, self.panel, reactive=REACTIVE[donor % 3])
                save_store(self.stores[donor], path)
        return self.stores[donor]


class PlainLaw:
    """Marrows of ``tests/simulated_plasma.py``: matrices with contaminants, every marrow another donor."""

    def __init__(self, law, options):
        self.name, self.law, self.first_seed = f"{law.name} (matrix)", law, options.first_seed

    def draw(self, i: int, level: float, n: float, plasma_fraction: float):
        """As :meth:`GatedLaw.draw`; nothing is gated."""
        phenotype = list(plain.CLONES)[i % 9]
        seed = self.first_seed + 1_000 * [name for name, *_ in (*LEVELS, NEGATIVE)].index(level_name(level, n)) + i
        tubes, truth = plain.simulate(
            self.law, seed, n_normal=plasma_fraction * n / 2, n_clonal=level * n / 2, clone=phenotype,
            reactive=0.0 if level else (0.0, 0.05, 0.1)[i % 3],
        )  # fmt: skip
        return tubes, truth, phenotype, plain.SPEC, None


def level_name(level: float, n: float) -> str:
    """Name of a level."""
    return next(name for name, *values in (*LEVELS, NEGATIVE) if values == [level, n])


def run(law, level: float, n: float, i: int, first_seed: int) -> dict:
    """One marrow called, and what became of it."""
    rng = np.random.default_rng([first_seed, i, int(n), round(level * 1e7)])
    plasma_fraction = float(np.exp(rng.uniform(*np.log(PLASMA_FRACTION if level else NEGATIVE_FRACTION))))
    tubes, truth, phenotype, spec, gate_seconds = law.draw(i, level, n, plasma_fraction)
    start = time.perf_counter()
    calls = call_clones(tubes, spec)
    seconds = time.perf_counter() - start
    labels, true = np.concatenate(calls.labels), np.concatenate(truth) > 0
    mrd = quantify_mrd(calls, dict.fromkeys(calls.tubes, round(n / len(calls.tubes))), spec)
    low, high = interval_of_chain(mrd, 0.0, calls.count_sd)
    return {
        "law": law.name, "level": level_name(level, n), "i": i, "phenotype": phenotype, "fraction": level, "n": n,
        "called": int((labels > 0).sum()), "true": int(true.sum()), "right": int((true & (labels > 0)).sum()),
        "indeterminate": int((labels < 0).sum()), "plasma": len(labels), "seconds": seconds,
        "gate_seconds": gate_seconds, "reason": calls.decided_by, "status": mrd.status,
        "exact_low": mrd.ci_low, "exact_high": mrd.ci_high, "low": low, "high": high,
    }  # fmt: skip


def run_part(options) -> None:
    """Call the marrows of this part that are not in the file yet."""
    part, of = map(int, options.part.split("/"))
    results = options.results[0]
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(r["law"], r["level"], r["i"]) for r in map(json.loads, lines)}
    laws = [GatedLaw(law, options) for law in GATED if options.donors]
    laws += [PlainLaw(law, options) for law in plain.JUDGED]
    wanted = [
        (i, law, level, n)
        for i in range(max(options.runs, options.negatives))
        for law in laws
        for _, level, n in (*LEVELS, NEGATIVE)
        if i < (options.runs if level else options.negatives)
    ]
    # By donor, so that each donor is gated by one process only.
    wanted = [w for w in wanted if w[0] % max(options.donors, 1) % of == part - 1]
    start = time.monotonic()
    with results.open("a") as file:
        for i, law, level, n in wanted:
            if (law.name, level_name(level, n), i) in done:
                continue
            if time.monotonic() - start > options.seconds:
                print("not finished: start it again with the same options", file=sys.stderr)
                return
            file.write(json.dumps(run(law, level, n, i, options.first_seed)) + "\n")
            file.flush()


def interval(hits: int, n: int) -> str:
    """Fraction with its exact 95 % interval."""
    low = stats.beta.ppf(0.025, hits, n - hits + 1) if hits else 0.0
    high = stats.beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1.0
    return f"{hits / n:.3f} ({low:.3f}-{high:.3f})"


def found_rows(results: list[dict], key: str) -> list[tuple]:
    """One row for each level and value of ``key``, and one for each level over all of them."""
    rows = []
    for level, fraction, n in LEVELS:
        own = [r for r in results if r["level"] == level]
        groups = defaultdict(list)
        for r in own:
            groups["all"].append(r)
            groups[r[key]].append(r)
        for value, group in groups.items():
            hits = sum(r["called"] >= THRESHOLD for r in group)
            flagged = sum(r["called"] < THRESHOLD <= r["called"] + r["indeterminate"] for r in group)
            true = sum(r["true"] for r in group)
            rows.append((
                level, value, len(group), interval(hits, len(group)),
                f"{stats.poisson.sf(THRESHOLD - 1, fraction * n):.3f}",
                f"{sum(r['true'] >= THRESHOLD for r in group) / len(group):.3f}", flagged,
                f"{sum(r['called'] for r in group) / (fraction * n * len(group)):.2f}",
                f"{sum(r['right'] for r in group) / true:.2f}" if true else "-",
            ))  # fmt: skip
    return rows


def negative_rows(results: list[dict]) -> list[tuple]:
    """One row for each law, for few and many plasma cells, and for all."""
    own = [r for r in results if r["level"] == NEGATIVE[0]]
    groups = defaultdict(list)
    for r in own:
        groups["all"].append(r)
        groups["under 15,000 plasma cells" if r["plasma"] < 15_000 else "15,000 plasma cells and more"].append(r)
        groups[r["law"]].append(r)
    rows = []
    for name, group in groups.items():
        called = np.array([r["called"] for r in group])
        flagged = sum(r["called"] < THRESHOLD <= r["called"] + r["indeterminate"] for r in group)
        rows.append((
            name, len(group), int((called >= THRESHOLD).sum()), flagged, f"{np.quantile(called, 0.95):.0f}",
            int(called.max()), f"{1e6 * called.sum() / sum(r['n'] for r in group):.2f}",
        ))  # fmt: skip
    return rows


def linearity(results: list[dict]) -> str:
    """Slope and r squared of what is found against what was put in, on the log scale; recovery at 1e-5 and more."""
    found = [r for r in results if r["fraction"] and r["called"] >= THRESHOLD]
    if len({r["fraction"] for r in found}) < 2:
        return "Too few levels for a slope."
    fit = stats.linregress(np.log10([r["fraction"] for r in found]), np.log10([r["called"] / r["n"] for r in found]))
    high = [r for r in found if r["fraction"] >= 1e-5]
    recovery = np.array([r["called"] / (r["fraction"] * r["n"]) for r in high])
    return (
        f"Of {len(found)} marrows with {THRESHOLD} events or more called clonal: slope {fit.slope:.3f} and r squared "
        f"{fit.rvalue**2:.3f} on the log scale; recovery at 1e-5 and more {recovery.mean():.2f} on average, "
        f"{np.quantile(recovery, 0.05):.2f} to {np.quantile(recovery, 0.95):.2f} in nine of ten."
    )


def coverage_rows(results: list[dict]) -> list[tuple]:
    """How often the intervals hold the fraction put in, over all marrows and over those called positive."""
    groups = {
        "all": results,
        "with a clone": [r for r in results if r["fraction"]],
        "called positive": [r for r in results if r["called"] >= THRESHOLD],
    }
    rows = []
    for name, group in groups.items():
        exact = sum(r["exact_low"] <= r["fraction"] <= r["exact_high"] for r in group)
        chain = sum(r["low"] <= r["fraction"] <= r["high"] for r in group)
        width = np.median([(r["high"] - r["low"]) / (r["exact_high"] - r["exact_low"]) for r in group] or [np.nan])
        n = max(len(group), 1)
        rows.append((name, len(group), interval(exact, n), interval(chain, n), f"{width:.2f}"))
    return rows


def timing(results: list[dict]) -> str:
    """Seconds of a call, and its part of the time of gating and calling a marrow of 1e7 events."""
    seconds = np.array([r["seconds"] for r in results])
    words = f"Seconds a call: median {np.median(seconds):.1f}, 95th percentile {np.quantile(seconds, 0.95):.1f}."
    large = [r for r in results if r["n"] == 1e7 and r["gate_seconds"]]
    if not large:
        return words
    call, gate = (np.median([r[key] for r in large]) for key in ("seconds", "gate_seconds"))
    plasma = np.median([r["plasma"] for r in large])
    return (
        f"{words} A marrow of 1e7 events in two tubes (median of {plasma:.0f} plasma cells): {call:.1f} s for the call "
        f"beside {gate:.1f} s for fitting and applying the gates of both tubes, files read before; "
        f"{100 * call / (call + gate):.0f} % of the two."
    )


def report(options) -> None:
    """Put the files together and write the section."""
    results = [json.loads(line) for path in options.results for line in path.read_text().splitlines()]
    head = ("level", "", "runs", "20 or more called clonal (95 %)", "counting alone", "20 or more there",
            "only with indeterminate", "called / put in", "true ones called")  # fmt: skip
    blank = ("no clone", "runs", "positive", "only with indeterminate", "LoB95 (events)", "most events",
             "events per 1e6")  # fmt: skip
    body = (
        "Two tubes of one marrow, N nucleated cells over both; normal plasma cells 0.02-0.5 % of them (0.02-2 % in "
        "those without a clone, with reactive CD19-/CD56+ cells up to 10 % of them). Laws named `(matrix)` are of "
        "`tests/simulated_plasma.py`, every marrow another donor; the rest are files behind fitted gates, "
        f"{options.donors} donors each. Seeds from {options.first_seed} on, used once."
        " In-silico figures are not clinical concordance.",
        table(blank, negative_rows(results)),
        "By law:",
        table(head, found_rows(results, "law")),
        "By phenotype:",
        table(head, [row for row in found_rows(results, "phenotype") if row[1] != "all"]),
        linearity(results),
        "Shares of 95 % intervals that hold the fraction put in, cells that gates lose included; moved gates, which "
        "`mrd_coverage.py` adds, are not in them:",
        table(
            ("marrows", "runs", "exact interval", "with unsure cells", "median width over the exact one's"),
            coverage_rows(results),
        ),
        f"{timing(results)} {len(results)} marrows. {setting('numpy', 'scipy')}",
    )
    write_section(TITLE, "\n\n".join(body))


def main() -> None:
    """Call marrows, or report on those called."""
    options = argparse.ArgumentParser()
    options.add_argument("results", type=Path, nargs="+")
    options.add_argument("--report", action="store_true")
    options.add_argument("--part", default="1/1")
    options.add_argument("--seconds", type=float, default=np.inf)
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--negatives", type=int, default=60)
    options.add_argument("--donors", type=int, default=15)
    options.add_argument("--first-seed", type=int, default=FIRST_SEED)
    options = options.parse_args()
    if options.report:
        report(options)
    else:
        run_part(options)


if __name__ == "__main__":
    main()
