"""``cytomrd cluster``: a self-organising map and metaclusters of each tube."""

from __future__ import annotations

import re
from pathlib import Path

import click

from cytomrd.cli.options import memory_mb
from cytomrd.cli.progress import progress_bar

EXIT_SOME_FAILED = 4
LARGEST_SIDE = 50


def _grid(ctx, param, value: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3})[xX](\d{1,3})", value)
    grid = tuple(map(int, match.groups())) if match else (0, 0)
    if not all(1 <= side <= LARGEST_SIDE for side in grid):
        raise click.BadParameter(f"{value!r}; allowed is ROWSxCOLUMNS, each from 1 to {LARGEST_SIDE}, such as 10x10")
    return grid


@click.command("cluster")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Results folder [RUN/results].")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--max-memory", callback=memory_mb, metavar="SIZE", help="What all processes may hold, e.g. 4G or 800M.")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Seed of gates and maps [0].")
@click.option("--grid", callback=_grid, default="10x10", show_default=True, help="Rows and columns of the map.")
@click.option("--metaclusters", type=click.IntRange(min=1), default=10, show_default=True, help="How many.")
@click.option("-p", "--population", help="Events of this population; root is all [nucleated cells or leukocytes].")
@click.option("--max-events", type=click.IntRange(min=1), help="Train on a sample of so many; all are mapped [all].")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def command(ctx, run: Path, out, jobs, max_memory, seed, grid, metaclusters, population, max_events, quiet):
    """Cluster the events of each tube of the run folder RUN by a self-organising map.

    Files are gated as `cytomrd gate` does; the events of a population are mapped on the panel's scales (fluorescence
    and scatter areas, without viability). RUN/results/clusters gets clusters.csv, a row a cluster, and for each tube
    SAMPLE-TUBE.h5ad, which scanpy opens: scaled values, layers raw, compensated and transformed, and for each event
    its cluster, metacluster, population and place in the file. `cytomrd gate` starts the results folder afresh: run
    it first.

    \b
    Example:
      cytomrd cluster run/ --metaclusters 12

    \b
    Exit codes: 0 done, 1 internal error, 2 usage, 3 input refused, 4 some samples failed, 6 locked by another
    process, 130 interrupted.
    """
    from cytomrd.run.cluster import cluster_run
    from cytomrd.run.cluster_tube import ClusterChoices
    from cytomrd.run.lock import hold_lock
    from cytomrd.run.plan import plan_run
    from cytomrd.run.settings import read_settings

    out = out if out is not None else run / "results"
    settings = read_settings(run, random_state=seed)
    plan = plan_run(run, strict=settings.strict, exclude=out)
    choices = ClusterChoices(grid, metaclusters, population, max_events)
    with hold_lock(out), progress_bar("clustering", total=plan.n_events, quiet=quiet) as progress:
        done = 0

        def advance(sample_id: str, n_events: int) -> None:
            nonlocal done
            done += n_events
            progress(done, label=sample_id)

        target = out / "clusters"
        samples = cluster_run(
            plan, settings, target, choices=choices, jobs=jobs, max_memory_mb=max_memory, progress=advance
        )
    _show(samples, target, quiet)
    if any(s.error for s in samples):
        ctx.exit(EXIT_SOME_FAILED)


def _show(samples, folder: Path, quiet: bool) -> None:
    from cytomrd.fcs.text import printable

    for sample in samples:
        if sample.error:
            click.echo(printable(f"{sample.sample_id}: failed: {sample.error}"), err=True)
        elif not quiet:
            for tube in sample.tubes:
                click.echo(
                    printable(
                        f"{sample.sample_id}, tube {tube.tube}: {tube.n_events:,} events of {tube.population}, "
                        f"{tube.n_metaclusters} metaclusters: {tube.target}"
                    )
                )
    if not quiet:
        click.echo(f"clusters: {folder / 'clusters.csv'}")
