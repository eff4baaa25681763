"""``cytomrd check``: are these files sound?"""

from __future__ import annotations

from pathlib import Path

import click

from cytomrd.errors import CytomrdError

EXIT_REFUSED, EXIT_REPAIRED = 3, 4


@click.command("check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help="Count what the reader would repair as refused.")
@click.option("-v", "--verbose", is_flag=True, help="Name the sound files too, and every note.")
@click.option(
    "--flowjo",
    "workspace",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Compare FlowJo's counts in this workspace with exact gates instead, and say why they differ.",
)
@click.pass_context
def command(ctx, files: tuple[Path, ...], strict: bool, verbose: bool, workspace: Path | None):
    """Check FILES without reading their events; prints nothing when all is well.

    With --flowjo, FILES are gated as a FlowJo 10 workspace says, and a table tells each population's count by FlowJo,
    the count here, the difference, and what accounts for it: FlowJo's grid, the ends of its axes, or another
    compensation.

    \b
    Exit codes: 0 all sound, 3 a file is refused, 4 a file is readable only with repairs;
    with --flowjo 4 also where a difference is unexplained or a population was left out.

    \b
    Examples:
      cytomrd check run/*.fcs && echo sound
      cytomrd check 68983.fcs --flowjo gating.wsp
    """
    if workspace is not None:
        ctx.exit(_compare(files, workspace, strict))
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


def _compare(files: tuple[Path, ...], workspace: Path, strict: bool) -> int:
    """Print a table a file; the exit code."""
    from cytomrd.fcs.dataset import open_fcs
    from cytomrd.fcs.text import printable
    from cytomrd.gating.flowjo_counts import compare_with_flowjo

    code = 0
    for path in files:
        try:
            rows = compare_with_flowjo(workspace, open_fcs(path, strict=strict))
        except CytomrdError as error:
            click.echo(str(error), err=True)
            code = EXIT_REFUSED
            continue
        click.echo(f"{path}\n{'FlowJo':>10} {'here':>10} {'differ':>7}  population: reason")
        for row in rows:
            numbers = ["-" if n is None else str(n) for n in (row.flowjo, row.ours, row.difference)]
            name = printable("/".join(row.path), max_length=300)
            click.echo(
                f"{numbers[0]:>10} {numbers[1]:>10} {numbers[2]:>7}  {name}: {printable(row.reason, max_length=300)}"
            )
            if not row.is_explained:
                code = code or EXIT_REPAIRED
    return code
