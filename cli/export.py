"""``cytomrd export``: a finished run for other programs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["gating-ml", "wsp", "fcs", "h5ad"]),
    default="gating-ml",
    show_default=True,
)
@click.option("-p", "--population", help="Events of this population alone [all events].")
@click.option("-r", "--results", type=click.Path(path_type=Path, file_okay=False), help="Results folder [RUN/results].")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write [RUN-export, beside RUN]."
)
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(run: Path, form: str, population: str | None, results, out, force: bool, quiet: bool):
    """Export the gates or the gated events of the finished run RUN, one file a tube.

    gating-ml writes the gates as applied, with compensation and scales, for FlowKit and others; wsp the same as FlowJo
    10 workspaces, and says what FlowJo holds in another form or not at all. fcs and h5ad write the events of a
    population (-p plasma_cells) or all events.

    \b
    Examples:
      cytomrd export run/
      cytomrd export run/ -f wsp
      cytomrd export run/ -f fcs -p plasma_cells
    """
    from cytomrd.run.export import export_run

    if form in ("gating-ml", "wsp") and population is not None:
        raise click.UsageError("--population selects events; gates are written whole. Use -f fcs or -f h5ad with it")
    results = results if results is not None else run / "results"
    # beside the run and not in it: FCS files in a run folder are its input
    out = out if out is not None else run.resolve().with_name(f"{run.resolve().name}-export")
    for exported in export_run(run, results, out, form=form, population=population, force=force):
        if not quiet:
            click.echo(exported.path)
            for note in exported.notes:
                click.echo(f"{exported.path.name}: {note}", err=True)
