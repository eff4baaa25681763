"""``cytomrd panels``: bundled panels and a laboratory's own."""

from __future__ import annotations

import click

EXIT_REFUSED = 3


@click.group("panels")
def command():
    """List, show and check panels.

    \b
    Examples:
      cytomrd panels list
      cytomrd panels show euroflow-mm-mrd > my-panel.toml
      cytomrd panels check my-panel.toml
    """


@command.command("list")
def list_():
    """List the bundled panels.

    \b
    Example:
      cytomrd panels list
    """
    from cytomrd.panel.library import list_panels, read_panel

    for name in list_panels():
        panel = read_panel(name)
        tubes = f"{len(panel.tubes)} tube" + ("s" if len(panel.tubes) > 1 else "")
        click.echo(f"{panel.id:<22} {panel.version:<8} {panel.assay:<10} {tubes:<8} {panel.title}")


@command.command("show")
@click.argument("panel")
def show(panel: str):
    """Print PANEL (an id or a path) as TOML, to read or to start your own from.

    \b
    Example:
      cytomrd panels show car-nk-bcma
    """
    from cytomrd.panel.library import panel_text

    click.echo(panel_text(panel), nl=False)


@command.command("check")
@click.argument("panels", nargs=-1, required=True)
@click.pass_context
def check(ctx, panels: tuple[str, ...]):
    """Check PANELS (ids or paths) and explain every mistake with its line. Exit code 3 if there is one.

    \b
    Example:
      cytomrd panels check my-panel.toml
    """
    from cytomrd.fcs.text import printable
    from cytomrd.panel.library import check_panel

    wrong = False
    for panel in panels:
        problems = check_panel(panel)
        wrong = wrong or bool(problems)
        click.echo(printable(f"{panel}: " + (f"{len(problems)} problems" if problems else "ok")))
        for problem in problems:
            click.echo(printable(f"  {problem}"))
    if wrong:
        ctx.exit(EXIT_REFUSED)
