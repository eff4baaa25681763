"""``cytomrd bench``: speed and memory on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import click

from cytomrd.cli.options import events_from
from cytomrd.cli.progress import progress_bar

EXIT_DISAGREES = 1


@click.command("bench")
@click.option("--quick", is_flag=True, help="Fewer events and rounds: under 90 s.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
@click.option("--only", multiple=True, metavar="NAME", help="Measure this kernel or group alone; may be repeated.")
@click.option("--events", callback=events_from("1000", example="1e6"), help="Events of every measurement, e.g. 1e6.")
@click.option("--threads", type=click.IntRange(1, 64), help="Threads that one is compared with [the cores, at most 4].")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write a plot to this SVG file.")
@click.option("-q", "--quiet", is_flag=True, help="Print no progress.")
@click.pass_context
def command(ctx, quick: bool, as_json: bool, only, events, threads, plot, quiet: bool):
    """Measure kernels and the whole pass: speed, share of memory bandwidth, ratio to each peer installed.

    Peers (FlowKit, flowutils, FlowIO, numpy) run on the same data in interleaved rounds, and their results are
    compared with ours; where they differ there is no ratio, and the exit code is 1. Linear algebra gets one thread.
    A full run takes about a quarter of an hour and a few GB of memory.

    \b
    Example:
      cytomrd bench --quick --plot bench.svg
    """
    from cytomrd.bench.blas import use_one_blas_thread

    use_one_blas_thread()
    from cytomrd.bench.plan import plan_bench
    from cytomrd.bench.run import NAMES, disagreements, run_bench
    from cytomrd.bench.show import text_lines

    unknown = sorted(set(only) - set(NAMES))
    if unknown:
        raise click.UsageError(f"nothing is named {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if plot is not None and not plot.parent.is_dir():
        raise click.UsageError(f"{plot.parent} is no folder; the plot is written when all is measured")
    plan = plan_bench(quick=quick, only=tuple(only), events=events, threads=threads)
    with progress_bar("measuring", quiet=quiet) as progress:
        result = run_bench(plan, progress=progress)
    if plot is not None:
        from cytomrd.bench.plot import draw_bench

        plot.write_text(draw_bench(result), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(result, indent=1, allow_nan=False))
    else:
        for line in text_lines(result):
            click.echo(line)
    wrong = disagreements(result)
    for line in wrong:
        click.echo(f"wrong result: {line}", err=True)
    if wrong:
        ctx.exit(EXIT_DISAGREES)
