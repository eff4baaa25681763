"""What samples of one run lend each other: gates of marrows by themselves, and with weak cuts borrowed.

    python benchmarks/borrowed_cuts.py [--tuning] [RUNS [FIRST_SEED]]

Runs of eight marrows, each run on an instrument and with reagents of its own that depart from the law, each marrow
of another donor. With ``--tuning`` the laws that a method may be tuned on are used and README.md is left alone.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
from common import setting, table, write_section
from gating_accuracy import MARROW_TRUTH, NEUTRAL, f1
from perturbed_donors import JUDGING_LAWS, TUNING_LAWS, Case, as_dataset, draw_run

from cytomrd.errors import CytomrdError
from cytomrd.gating.apply import apply_gates
from cytomrd.gating.fit import cut_evidence, fit_gates, pool_cuts
from cytomrd.gating.gate import match_tube

PANEL, N_SAMPLES = "euroflow-mm-mrd", 8
N_RUNS, FIRST_SEED = 2, 50_000


def fit(case: Case, borrowed=None):
    """The gates of a marrow, or None where there is no call."""
    dataset = as_dataset(case.simulated)
    panel, spec, match = match_tube(dataset, PANEL, case.tube)
    try:
        return fit_gates(dataset, panel, spec.id, match=match, spillover=dataset.spillover, borrowed=borrowed)
    except CytomrdError:
        return None


def evidence(fitted, panel) -> dict:
    """What a marrow knows of its cuts, as a run seals it."""
    if fitted is None or fitted.doubts:
        return {}
    specs, found = {c.name: c for c in panel.cuts}, {}
    for d in fitted.decisions:
        if d.name in specs and d.marker in fitted.axes:
            transform = fitted.strategy.transforms.get(fitted.axes[d.marker].transform)
            known = cut_evidence(specs[d.name], d, transform)
            found |= {d.name: known} if known is not None else {}
    return found


def lent(known: list[dict], i: int) -> dict:
    """What marrow ``i`` borrows."""
    found = {}
    for name, own in known[i].items():
        others = [k[name] for j, k in enumerate(known) if j != i and name in k and k[name].scale == own.scale]
        cut = pool_cuts(others, "other samples of the run") if own.weak else None
        found |= {name: cut} if cut is not None else {}
    return found


def scores(case: Case, fitted) -> dict[str, float]:
    """F1 by population, 0 without a call; populations that a marrow does not have are left out."""
    names = np.array(case.simulated.label_names)[case.simulated.labels]
    dataset = as_dataset(case.simulated)
    events = apply_gates(dataset, fitted.strategy, spillover=dataset.spillover) if fitted is not None else None
    found = {}
    for population, labels in MARROW_TRUTH.items():
        neutral = () if population == "nucleated" else NEUTRAL.get(population, ("doublet",))
        counted = ~case.simulated.in_clog & ~np.isin(names, neutral)
        true = np.isin(names, labels)[counted]
        if true.any():
            called = events is not None and population in events.populations
            found[population] = f1(events.members(population)[counted], true) if called else 0.0
    return found


def judge(cases: list[Case]) -> tuple[list[tuple[str, float, float]], int]:
    """(population, F1 by itself, F1 with borrowed cuts) of the marrows that borrow, and how many do."""
    panel = match_tube(as_dataset(cases[0].simulated), PANEL, cases[0].tube)[0]
    alone = [fit(case) for case in cases]
    known = [evidence(fitted, panel) for fitted in alone]
    rows, n_borrowing = [], 0
    for i, case in enumerate(cases):
        borrowed = lent(known, i)
        if not borrowed:
            continue
        n_borrowing += 1
        again = fit(case, borrowed)
        before, after = scores(case, alone[i]), scores(case, again)
        rows += [(population, before[population], after[population]) for population in before]
        if "--verbose" in sys.argv:
            moved = [p for p in before if abs(before[p] - after[p]) > 0.02]
            print(case.law, case.seed, case.case, {p: (round(before[p], 3), round(after[p], 3)) for p in moved})
            for d in again.decisions:
                if d.method == "borrowed" or "nothing borrowed" in d.reason:
                    print("   ", d.name, d.status, d.reason)
    return rows, n_borrowing


def main() -> int:
    """Measure, and write the section of README.md."""
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    n_runs = int(arguments[0]) if arguments else N_RUNS
    first_seed = int(arguments[1]) if len(arguments) > 1 else FIRST_SEED
    tuning = "--tuning" in sys.argv
    by_population, n_borrowing, n_marrows = defaultdict(list), 0, 0
    for law in TUNING_LAWS if tuning else JUDGING_LAWS:
        for run in range(n_runs):
            rows, n = judge(draw_run(law, run, n_samples=N_SAMPLES, first_seed=first_seed))
            n_borrowing, n_marrows = n_borrowing + n, n_marrows + N_SAMPLES
            for population, before, after in rows:
                by_population[population].append((before, after))
    shown = []
    for population in MARROW_TRUTH:
        before, after = np.array(by_population[population] or [(np.nan, np.nan)]).T
        shown.append((population, len(before), f"{before.mean():.3f}", f"{after.mean():.3f}", f"{before.min():.3f}",
                      f"{after.min():.3f}", int((before < 0.8).sum()), int((after < 0.8).sum()),
                      int((after > before + 0.02).sum()), int((after < before - 0.02).sum())))  # fmt: skip
    head = ("population", "marrows", "mean F1 alone", "with borrowing", "worst alone", "with borrowing ",
            "below 0.8 alone", "with borrowing  ", "better by 0.02", "worse by 0.02")  # fmt: skip
    text = table(head, shown)
    if tuning:
        print(f"{n_borrowing} of {n_marrows} marrows borrow\n\n{text}")
        return 0
    write_section(
        "Borrowed cuts",
        f"`python benchmarks/borrowed_cuts.py`: runs of {N_SAMPLES} marrows, {n_runs} under each of four laws. A run "
        "has an instrument and reagents of its own, every marker moved by up to 0.5 asinh units; its marrows are of "
        "different donors, who differ as the law says, with 1-30 % debris, by turns with the departures named above. "
        f"{n_borrowing} of {n_marrows} marrows had a cut with weak evidence to which the others lent theirs; of them:\n"
        f"{setting('numpy')}\n\n{text}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
