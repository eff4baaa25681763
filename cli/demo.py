"""``cytomrd demo``: an example run folder."""

from __future__ import annotations

from pathlib import Path

import click

from cytomrd.cli.options import events_from
from cytomrd.cli.progress import progress_bar


@click.command("demo")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--events",
    callback=events_from("1e5", example="1e7"),
    help="Events of the low-level marrow, both tubes together, e.g. 1e7.",
)
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Seed of the simulation.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(run: Path, events: int | None, seed: int | None, force: bool, quiet: bool):
    """Write a small run folder with known truth to RUN.

    Simulated FCS files: a marrow at about 1e-5 in two tubes, a negative marrow, one with too few cells, one
    clearly positive, and a blood series after CAR-NK infusions with its pre-infusion control. The truth is kept
    in RUN/truth.

    \b
    Example:
      cytomrd demo run/
    """
    from cytomrd.simulate.demo import write_demo

    if run.exists() and any(run.iterdir()) and not force:
        raise click.UsageError(f"{run} is not empty; choose a new folder, or --force to write into it")
    options = {} if seed is None else {"random_state": seed}
    with progress_bar("writing", quiet=quiet) as progress:
        truth = write_demo(run, events=events, progress=progress, overwrite=force, **options)
    if not quiet:
        click.echo(f"wrote {len(truth.tubes)} FCS files ({truth.n_events:,} events, simulated) to {run}")
        click.echo(f"next: cytomrd gate {run}")
