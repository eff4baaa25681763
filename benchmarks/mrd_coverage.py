"""How often the interval of MRD holds the true fraction, by the whole chain: FCS to gates to calls to interval.

    python benchmarks/mrd_coverage.py [RUNS] [JOBS]

Small simulated marrows of three laws and every clone, each with its own donor. The binomial alone holds 95 %; what the
chain adds (cells missed, cells taken for clonal) shows here, as does what the moved gates add. A thousand runs take an
hour on one core; section "Coverage of the interval" of README.md is replaced at the end.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from common import setting, table, write_section

from cytomrd.mrd.ladder import Mixture
from cytomrd.mrd.limits import clopper_pearson
from cytomrd.run.ladder_plan import LadderSettings, plan_simulated_ladder
from cytomrd.run.validation import run_ladder
from cytomrd.run.workers import LocalPool
from cytomrd.simulate import CLONES

LAWS = ("clinical", "varied", "dim")
LEVEL, N_NUCLEATED, RANDOM_STATE = 1e-3, 60_000, 77
HEAD = ("marrows", "runs", "exact interval holds", "with gates", "width over the exact one's", "among found: exact",
        "among found: with gates", "found")  # fmt: skip


def row(name: str, mixtures: Sequence[Mixture]) -> tuple:
    """Coverage over all runs, and over those in which the clone was found at all."""
    done = [m for m in mixtures if not m.error]
    found = [m for m in done if m.n_clonal >= 20]
    width = [(m.high_with_gates - m.low_with_gates) / (m.high - m.low) for m in done]
    return (
        name,
        len(mixtures),
        share([m.low <= m.level <= m.high for m in done], len(mixtures)),
        share([m.low_with_gates <= m.level <= m.high_with_gates for m in done], len(mixtures)),
        f"{np.mean(width):.3f}" if width else "",
        share([m.low <= m.level <= m.high for m in found], len(found)),
        share([m.low_with_gates <= m.level <= m.high_with_gates for m in found], len(found)),
        f"{len(found)} of {len(mixtures)}",
    )


def share(holds: list[bool], n: int) -> str:
    """Percent with its exact interval; a run without a result does not hold."""
    if not n:
        return ""
    low, high = clopper_pearson(sum(holds), n)
    return f"{100 * sum(holds) / n:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def main() -> int:
    """Measure, and write the section of README.md."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    settings = LadderSettings(
        levels=(LEVEL,), n_nucleated=(N_NUCLEATED,), n_seeds=-(-runs // len(LAWS)), random_state=RANDOM_STATE, laws=LAWS
    )

    def progress(done: int, label: str) -> None:
        print(f"\r{done // N_NUCLEATED} of {settings.n_seeds * len(LAWS)} {label}", end="", file=sys.stderr, flush=True)

    with LocalPool(jobs) as pool:
        mixtures = run_ladder(plan_simulated_ladder(settings), pool=pool, progress=progress).mixtures
    rows = [row("all", mixtures)]
    rows += [row(law, [m for m in mixtures if m.group == law]) for law in LAWS]
    rows += [row(clone, [m for m in mixtures if m.clone == clone]) for clone in CLONES]
    write_section(
        "Coverage of the interval",
        f"`python benchmarks/mrd_coverage.py {runs}`: {N_NUCLEATED:,} nucleated cells in two tubes, {LEVEL:g} of them "
        f"clonal, normal plasma cells of 0.02 to 0.5 %. Shares of runs whose 95 % interval holds the true fraction, "
        f"with exact intervals. In silico; not clinical concordance.\n{setting('numpy', 'scipy')}\n\n"
        f"{table(HEAD, rows)}",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
