"""``cytomrd check``: are these files sound?"""

from __future__ import annotations

from pathlib import Path

import click

EXIT_REFUSED, EXIT_REPAIRED = 3, 4


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Count what the reader would repair as refused.")
@click.option("-v", "--verbose", is_flag=True, help="Name the sound files too, and every note.")
@click.pass_context
def command(ctx, files: tuple[Path, ...], strict: bool, verbose: bool):
    """Check FILES without reading their events; prints nothing when all is well.

    \b
    Exit codes: 0 all sound, 3 a file is refused, 4 a file is readable only with repairs.

    \b
    Example:
      cytomrd check run/*.fcs && echo sound
    """
    from cytomrd.fcs.check import check_fcs

    checks = check_fcs(files, strict=strict)
    for check in checks:
        if verbose or check.status != "ok":
            click.echo(str(check))
        if verbose:
            for finding in check.findings:
                click.echo(f"  {finding}")
    found = {check.status for check in checks}
    if "refused" in found:
        ctx.exit(EXIT_REFUSED)
    if "repaired" in found:
        ctx.exit(EXIT_REPAIRED)
