"""Kernels and the whole pass beside the peers, and the marks: a full `cytomrd bench`, written into README.md.

    python benchmarks/kernels.py [--quick] [--events N] [--plot FILE.svg]

Run it on a machine that does nothing else: the marks on threads, workers and memory bandwidth mean little on another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from common import table, write_section


def main() -> None:
    """Measure and write the section of README.md."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--events", type=int, default=None)
    parser.add_argument("--plot", type=Path, default=None)
    options = parser.parse_args()
    from cytomrd.bench.blas import use_one_blas_thread

    use_one_blas_thread()  # before numpy is there
    from cytomrd.bench.plan import plan_bench
    from cytomrd.bench.plot import draw_bench
    from cytomrd.bench.run import disagreements, run_bench

    result = run_bench(plan_bench(quick=options.quick, events=options.events))
    if options.plot:
        options.plot.write_text(draw_bench(result), encoding="utf-8")
    write_section("Kernels and the whole pass", section(result, options))
    wrong = disagreements(result)
    if wrong:
        raise SystemExit("wrong results: " + "; ".join(wrong))


def section(result: dict, options: argparse.Namespace) -> str:
    """Setting, marks and rows as Markdown."""
    from cytomrd.bench.show import MARK_HEAD, ROW_HEAD, machine_line, mark_cells, row_cells

    arguments = " --quick" * options.quick + (f" --events {options.events}" if options.events else "")
    settings, busy = result["settings"], result["machine"]["busy_cores_before"]
    marks = [(*mark_cells(m)[:5], _number(m["n_events"]), m["note"]) for m in result["marks"]]
    growth = [
        (g["kernel"], ", ".join(_number(n) for n in g["n_events"]), f"{g['slope']:.3f}") for g in result["growth"]
    ]
    return "\n\n".join(
        (
            f"`python benchmarks/kernels.py{arguments}`, or `cytomrd bench{arguments}` for the tables alone: "
            f"{settings['started_at']}, {settings['seconds']:.0f} s in one session, interleaved rounds, medians. "
            f"Linear algebra has one thread. Other processes kept {'?' if busy is None else busy} cores busy "
            f"before the start. memcpy: {result['bandwidth_gb_per_s']:.1f} GB/s. {machine_line(result)}.",
            "What must be reached, what is hoped for, what was measured:",
            table((*MARK_HEAD[:5], "events", "note"), marks),
            "GB/s count the bytes that go in; `of memcpy` is their share of what memcpy moves; `MB more` is the memory "
            "that one call adds; `speed` is in multiples of a peer that found the same on the same events.",
            "<details><summary>Every kernel and peer</summary>",
            table(ROW_HEAD, row_cells(result["rows"])),
            table(("kernel", "events", "slope of log(time) on log(events)"), growth),
            "</details>",
        )
    )


def _number(n_events: int | None) -> str:
    return f"{n_events:,}" if n_events else ""


if __name__ == "__main__":
    main()
