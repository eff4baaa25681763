"""``cytomrd demo``: an example run folder, or a whole example study."""

from __future__ import annotations

from pathlib import Path

import click

from cytomrd.cli.options import events_from
from cytomrd.cli.progress import progress_bar


@click.command("demo")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--study", is_flag=True, help="Write a whole study: 18 subjects, their runs and the clinic's tables.")
@click.option(
    "--events",
    callback=events_from("1e5", example="1e7"),
    help="Events of the low-level marrow (of a study: of each full-size one), both tubes together, e.g. 1e7.",
)
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Seed of the simulation.")
@click.option("--force", is_flag=True, help="Write into a folder that is not empty.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(run: Path, study: bool, events: int | None, seed: int | None, force: bool, quiet: bool):
    """Write a small run folder with known truth to RUN, or with --study a study folder.

    Simulated FCS files: a marrow at about 1e-5 in two tubes, a negative marrow, one with too few cells, one
    clearly positive, and a blood series after CAR-NK infusions with its pre-infusion control. The truth is kept
    in RUN/truth. A study has 18 subjects at three dose levels, a run folder a dose level under RUN/runs, the
    clinic's tables and study.toml.

    \b
    Example:
      cytomrd demo run/
      cytomrd demo --study study/
    """
    if run.exists() and any(run.iterdir()) and not force:
        raise click.UsageError(f"{run} is not empty; choose a new folder, or --force to write into it")
    options = {} if seed is None else {"random_state": seed}
    with progress_bar("writing", quiet=quiet) as progress:
        write = _write_study if study else _write_run
        truth, following = write(run, events=events, progress=progress, overwrite=force, **options)
    if not quiet:
        click.echo(f"wrote {truth.n_files} FCS files ({truth.n_events:,} events, simulated) to {run}")
        for line in following:
            click.echo(f"next: {line}")


def _write_run(run: Path, **options):
    from cytomrd.simulate.demo import write_demo

    return write_demo(run, **options), (f"cytomrd gate {run}",)


def _write_study(run: Path, **options):
    from cytomrd.simulate.study import write_demo_study

    return write_demo_study(run, **options), (f"cytomrd tables {run} --gate -j 2",)
