"""``cytomrd samplesheet``: a draft to edit."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("samplesheet")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--stdout", "to_stdout", is_flag=True, help="Print the draft instead of writing it.")
@click.option("--force", is_flag=True, help="Overwrite a samplesheet that exists.")
def command(run: Path, to_stdout: bool, force: bool):
    """Draft RUN/samplesheet.csv: one row a file, the panel recognised from its markers.

    What the files do not say (subject, visit, day, role, beads) is left empty for you to fill in.

    \b
    Example:
      cytomrd samplesheet run/
    """
    from cytomrd.fcs.dataset import open_fcs
    from cytomrd.fcs.text import printable
    from cytomrd.run.staging import staged_file
    from cytomrd.samplesheet import SAMPLESHEET_NAME
    from cytomrd.samplesheet.draft import draft_samplesheet

    target = run / SAMPLESHEET_NAME
    if target.exists() and not (force or to_stdout):
        raise click.UsageError(f"{target} exists; --force overwrites it, --stdout prints the draft")

    def labels_of(path: Path):
        dataset = open_fcs(path)
        return dataset.detectors, dataset.markers

    draft = draft_samplesheet(run, labels_of)
    for note in draft.notes:
        click.echo(printable(note), err=True)
    if to_stdout:
        click.echo(draft.text, nl=False)
        return
    with staged_file(target) as stage:
        stage.write_text(draft.text, "utf-8", newline="")
    click.echo(f"wrote {target}: {len(draft.rows)} files. Edit it, then: cytomrd gate {run}")
