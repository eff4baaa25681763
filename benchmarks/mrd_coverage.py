"""How often the interval of MRD holds the true fraction, by the whole chain: gates fitted, gates moved, calls.

    python benchmarks/mrd_coverage.py RESULTS [--part 1/2] [--seconds S] [--runs 1000] [--donors 8]
    python benchmarks/mrd_coverage.py --report RESULTS...

The first form draws small marrows and appends one line of JSON for each to RESULTS; donors that are there already it
does not repeat, so it may be stopped and started again. Several processes share the donors, each with a part and a file
of its own. The second form puts the files together and writes the section of README.md.

Gates are fitted to one tube of each donor and moved as ``cytomrd gate`` moves them. Of each plasma cell that any draw
lets in it is kept which draws do; a marrow takes Poisson-drawn numbers of them, no event twice. So hundreds of marrows
cost one, and those of one donor share its gates: what gates do is seen once a donor.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from clonality import GATED, PLASMA_FRACTION, THRESHOLD, interval
from common import setting, table, write_section
from gated_marrows import PHENOTYPES, TUBES
from perturbed_donors import as_dataset

from cytomrd.gating.apply import apply_gates, transform_events
from cytomrd.gating.fit import FittedGates, fit_gates
from cytomrd.gating.gate import match_tube
from cytomrd.mrd.clonality import TubeCells, call_clones
from cytomrd.mrd.gate_error import MovedTube, count_moved, interval_of_chain, label_newcomers
from cytomrd.mrd.quantify import quantify_mrd
from cytomrd.panel import Panel
from cytomrd.panel.library import read_panel
from cytomrd.run.gate_draws import draw_gates
from cytomrd.run.mrd_sample import CELL_ROLES
from cytomrd.run.settings import RunSettings
from cytomrd.simulate import Donor, Law, SimulatedTube, draw_donor, simulate_marrow_tube

FIRST_SEED = 125_000
# Of a donor's tube, and of each clone's cells beside it.
N_EVENTS, STORED_FRACTION, N_CLONAL = 400_000, 0.006, 600
# Of a marrow drawn from them; the clonal fraction is drawn evenly on the log scale: 20 to 200 events.
N_NUCLEATED, LEVELS = 200_000, (1e-4, 1e-3)


@dataclass(frozen=True, eq=False)
class Cells:
    """Plasma cells that the gate or a draw of it lets in.

    ``values`` float64 (n, markers), ``members`` bool (n, draws) by draw, ``known`` bool (n,) by the gate itself.
    """

    values: np.ndarray
    members: np.ndarray
    known: np.ndarray

    def take(self, share: float, rng: np.random.Generator) -> Cells:
        """A Poisson number of them with mean ``share`` of all, none twice."""
        rows = rng.permutation(len(self.known))[: rng.poisson(share * len(self.known))]
        return Cells(self.values[rows], self.members[rows], self.known[rows])


@dataclass(frozen=True, eq=False)
class GatedTube:
    """One tube of a donor: cells by what they are and by clone, cuts, and nucleated cells of the gate and its draws."""

    tube: str
    markers: tuple[str, ...]
    cuts: dict[str, float]
    n_nucleated: int
    ratios: np.ndarray
    parts: dict[str, Cells]
    clones: dict[str, Cells]


def gate_tube(law: Law, donor: Donor, seed: int, panel: Panel, tube: str) -> GatedTube:
    """Simulate, fit, gate and move the gates of one tube, and of the cells of each clone."""
    seeds = np.random.SeedSequence([seed, int(tube), *law.name.encode()]).spawn(len(PHENOTYPES) + 1)
    simulated = simulate_marrow_tube(law, donor, N_EVENTS, STORED_FRACTION, tube=tube, random_state=seeds[0])
    dataset = as_dataset(simulated)
    matched, spec, match = match_tube(dataset, panel, tube)
    fitted = fit_gates(dataset, matched, spec.id, match=match, spillover=dataset.spillover)
    channels = {c.marker for c in spec.channels if c.role in CELL_ROLES}
    markers = tuple(m for m in fitted.axes if m in channels)
    cells, names, n_nucleated, ratios = _moved(simulated, fitted, markers, panel)
    kinds = {"normal": names == "plasma_cell", "doublets": names == "doublet"}
    kinds["others"] = ~(kinds["normal"] | kinds["doublets"])
    clones = {}
    clean = replace(law, doublets=0.0, debris=0.0, dead=0.0, clogs=0.0)
    for clone, clone_seed in zip(PHENOTYPES.values(), seeds[1:], strict=True):
        alone = simulate_marrow_tube(
            clean, donor, N_CLONAL + 10, 0.9, clone=clone, n_clonal=N_CLONAL, tube=tube, clogs=(),
            random_state=clone_seed,
        )  # fmt: skip
        own, what, *_ = _moved(alone, fitted, markers, panel)
        clones[clone.name] = _only(own, what == "clonal_plasma_cell")
    cuts = {d.name: d.value for d in fitted.decisions if d.value is not None and d.name in markers}
    parts = {kind: _only(cells, is_kind) for kind, is_kind in kinds.items()}
    return GatedTube(tube, markers, cuts, n_nucleated, ratios, parts, clones)


def _only(cells: Cells, rows: np.ndarray) -> Cells:
    return Cells(cells.values[rows], cells.members[rows], cells.known[rows])


def _moved(
    simulated: SimulatedTube, fitted: FittedGates, markers: Sequence[str], panel: Panel
) -> tuple[Cells, np.ndarray, int, np.ndarray]:
    """Plasma cells of a tube, what each is, nucleated cells, and their ratio by draw; the same draws for every tube."""
    dataset, rare, denominator = as_dataset(simulated), panel.mrd.plasma_cells, panel.mrd.nucleated
    dataset.read_events = lambda events: dataset.events[events]
    gated = apply_gates(dataset, fitted.strategy, spillover=dataset.spillover, compartments=(rare,))
    usual = gated.compartments[rare]
    draws = draw_gates(
        dataset, fitted, dataset.spillover, rare=rare, denominator=denominator, settings=RunSettings(), folder=Path()
    )
    # The gate itself may let in what no draw does.
    missed = ~np.isin(usual.events, draws.events)
    axes = [fitted.axes[m] for m in markers]
    extra = transform_events(usual.values[missed], dataset.detectors, axes, fitted.strategy, dataset.spillover)
    values = draws.transformed[:, [draws.markers.index(m) for m in markers]]
    members = np.concatenate([draws.members.T, np.zeros((missed.sum(), len(draws.members)), dtype=bool)])
    events = np.concatenate([draws.events, usual.events[missed]])
    cells = Cells(np.concatenate([values, extra]), members, np.isin(events, usual.events))
    names = np.array(simulated.label_names)[simulated.labels[events]]
    return cells, names, gated.count(denominator), draws.denominator_ratio


def run(tubes: Sequence[GatedTube], panel: Panel, law: str, donor: int, i: int, first_seed: int) -> dict:
    """One marrow drawn, called and counted, and the intervals around its fraction."""
    rng = np.random.default_rng([first_seed, donor, i, *law.encode()])
    level = float(np.exp(rng.uniform(*np.log(LEVELS))))
    plasma_fraction = float(np.exp(rng.uniform(*np.log(PLASMA_FRACTION))))
    phenotype = tuple(PHENOTYPES)[i % len(PHENOTYPES)]
    drawn = [_draw(t, level, plasma_fraction, phenotype, rng) for t in tubes]
    calls = call_clones(
        [TubeCells(t.tube, t.markers, c.values[c.known], t.cuts) for t, c in zip(tubes, drawn, strict=True)], panel.mrd
    )
    n_tube = N_NUCLEATED // len(tubes)
    moved = []
    for tube, cells, labels in zip(tubes, drawn, calls.labels, strict=True):
        every = np.zeros(len(cells.known), dtype=np.int64)
        every[cells.known] = labels
        every[~cells.known] = label_newcomers(cells.values[cells.known], labels, cells.values[~cells.known])
        moved.append(MovedTube(every, cells.members.T, tube.ratios * n_tube))
    mrd = quantify_mrd(calls, dict.fromkeys(calls.tubes, n_tube), panel.mrd)
    low, high = interval_of_chain(mrd, count_moved(moved).sd, calls.count_sd)
    return {
        "law": law, "donor": donor, "phenotype": phenotype, "level": level, "called": mrd.n_clonal_pc,
        "exact_low": mrd.ci_low, "exact_high": mrd.ci_high, "low": low, "high": high,
    }  # fmt: skip


def _draw(tube: GatedTube, level: float, plasma_fraction: float, phenotype: str, rng: np.random.Generator) -> Cells:
    """Plasma cells of one tube of a marrow, in any order."""
    share = N_NUCLEATED / len(TUBES) / tube.n_nucleated
    plenty = plasma_fraction / STORED_FRACTION
    parts = [
        tube.parts["normal"].take(share * plenty, rng),
        tube.parts["doublets"].take(share * plenty, rng),
        tube.parts["others"].take(share, rng),
        # Of a clone's cells there are fewer than N_CLONAL where gates lose some.
        tube.clones[phenotype].take(level * N_NUCLEATED / len(TUBES) / N_CLONAL, rng),
    ]
    joined = (np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "members", "known"))
    return _only(Cells(*joined), rng.permutation(sum(len(p.known) for p in parts)))


def run_part(options) -> None:
    """Draw the marrows of the donors of this part that are not in the file yet."""
    part, of = map(int, options.part.split("/"))
    path, panel = options.results[0], read_panel("euroflow-mm-mrd")
    done = {(r["law"], r["donor"]) for r in read_results([path])} if path.exists() else set()
    wanted = [(law, donor) for donor in range(options.donors) for law in GATED][part - 1 :: of]
    each = -(-options.runs // (options.donors * len(GATED)))
    start = time.monotonic()
    for law, number in wanted:
        if (law.name, number) in done:
            continue
        if time.monotonic() - start > options.seconds:
            print("not finished: start it again with the same options", file=sys.stderr)
            return
        seed = options.first_seed + number
        donor = draw_donor(law, np.random.SeedSequence([seed, *law.name.encode()]))
        tubes = [gate_tube(law, donor, seed, panel, tube) for tube in TUBES]
        lines = [json.dumps(run(tubes, panel, law.name, number, i, options.first_seed)) for i in range(each)]
        with path.open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))


def read_results(paths: Sequence[Path]) -> list[dict]:
    """Every run of the files."""
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def _groups(results: Sequence[dict], *keys: str) -> dict[str, list[dict]]:
    groups = defaultdict(list)
    for r in results:
        groups[" ".join(str(r[key]) for key in keys)].append(r)
    return groups


def row(name: str, runs: Sequence[dict]) -> tuple:
    """Coverage, width and recovery over all runs, and coverage over those in which the clone was found."""
    found = [r for r in runs if r["called"] >= THRESHOLD]
    width = [(r["high"] - r["low"]) / (r["exact_high"] - r["exact_low"]) for r in runs]
    above = sum(r["level"] > r["high"] for r in runs)
    recovery = sum(r["called"] for r in runs) / sum(r["level"] * N_NUCLEATED for r in runs)
    return (
        name, len(runs), _holds(runs, "exact_"), _holds(runs, ""), above, f"{np.mean(width):.2f}", f"{recovery:.2f}",
        len(found), _holds(found, "exact_"), _holds(found, ""),
    )  # fmt: skip


def _holds(runs: Sequence[dict], kind: str) -> str:
    hits = sum(r[f"{kind}low"] <= r["level"] <= r[f"{kind}high"] for r in runs)
    return interval(hits, len(runs)) if runs else "-"


def report(options) -> None:
    """Put the files together and write the section."""
    results = read_results(options.results)
    rows = [row("all", results)]
    for key in ("law", "phenotype"):
        rows += [
            row(value, [r for r in results if r[key] == value]) for value in dict.fromkeys(r[key] for r in results)
        ]
    donors = [[r for r in results if (r["law"], r["donor"]) == d] for d in {(r["law"], r["donor"]) for r in results}]
    by_donor = [np.mean([r["low"] <= r["level"] <= r["high"] for r in runs]) for runs in donors]
    head = ("marrows", "runs", "exact interval holds", "chain's holds", "fraction above it",
            "mean width over the exact one's", "called / put in", "found", "of those: exact",
            "of those: chain's")  # fmt: skip
    write_section(
        "Coverage of the interval",
        f"`python benchmarks/mrd_coverage.py`: {N_NUCLEATED:,} nucleated cells in two tubes, {LEVELS[0]:g} to "
        f"{LEVELS[1]:g} of them clonal (of every phenotype), normal plasma cells of 0.02 to 0.5 %, drawn from "
        f"{len(donors)} donors behind gates fitted to {N_EVENTS:,} events a tube, seeds from {options.first_seed} on. "
        "Shares of runs whose 95 % interval holds the fraction put in, cells that gates lose included, with exact "
        f"intervals of the shares. Donor by donor the chain's holds in {100 * min(by_donor):.0f} to "
        f"{100 * max(by_donor):.0f} %. In silico; not clinical concordance.\n{setting('numpy', 'scipy')}\n\n"
        f"{table(head, rows)}",
    )


def main() -> None:
    """Draw marrows, or report on those drawn."""
    options = argparse.ArgumentParser()
    options.add_argument("results", type=Path, nargs="+")
    options.add_argument("--report", action="store_true")
    options.add_argument("--part", default="1/1")
    options.add_argument("--seconds", type=float, default=np.inf)
    options.add_argument("--runs", type=int, default=1_000)
    options.add_argument("--donors", type=int, default=8)
    options.add_argument("--first-seed", type=int, default=FIRST_SEED)
    options = options.parse_args()
    if options.report:
        report(options)
    else:
        run_part(options)


if __name__ == "__main__":
    main()
