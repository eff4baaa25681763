"""``cytomrd info``: what is in an FCS file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("info")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.IntRange(min=0), default=0, help="Which data set, where there are several [0].")
@click.option("--keywords", is_flag=True, help="List every keyword of TEXT too.")
@click.option("--strict", is_flag=True, help="Refuse what the reader would have to repair.")
def command(file: Path, dataset: int, keywords: bool, strict: bool):
    """Show header, channels, spillover and findings of FILE.

    \b
    Example:
      cytomrd info run/marrow/BM-01_tube1.fcs
    """
    from cytomrd.fcs.check import describe_fcs
    from cytomrd.fcs.dataset import open_fcs
    from cytomrd.fcs.text import printable

    click.echo(str(describe_fcs(file, dataset=dataset, strict=strict)))
    if keywords:
        click.echo("\nkeywords")
        for key, value in open_fcs(file, dataset=dataset, strict=strict).keywords.items():
            click.echo(f"  {printable(key)} = {printable(value)}")
