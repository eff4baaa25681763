"""``cytomrd tables``: the tables and figures of a study folder."""

from __future__ import annotations

from pathlib import Path

import click

EXIT_REFUSED = 3


@click.command("tables")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write [STUDY/tables].")
@click.option("--check", is_flag=True, help="List every problem of the study and write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def command(ctx, study: Path, out: Path | None, check: bool, quiet: bool):
    """Write PK, response, MRD, survival and safety tables of the study folder STUDY.

    STUDY holds study.toml and its CSV tables (subjects, dosing, samples, resp_labs, ...); flow results come from the
    finished runs that study.toml names. Every table is written as CSV, in tables.xlsx and on tables.html, with how each
    number came about. Nothing is written while the study has a problem that study.toml does not accept: all problems
    are listed at once, each with its row, the value seen and the remedy.

    \b
    Examples:
      cytomrd tables study/ --check
      cytomrd tables study/
    """
    from cytomrd.fcs.text import printable

    if check:
        from cytomrd.trial.study import check_study_folder

        problems = check_study_folder(study)
        for problem in problems:
            click.echo(printable(f"{problem.grade}: {problem}"))
        if not quiet:
            errors = sum(p.grade == "error" for p in problems)
            click.echo(f"{errors} errors, {len(problems) - errors} warnings in {study}")
        ctx.exit(EXIT_REFUSED if any(p.grade == "error" for p in problems) else 0)
    from cytomrd.trial.publish import PAGE_NAME, publish_tables

    out = out if out is not None else study / "tables"
    read, made = publish_tables(study, out)
    if quiet:
        return
    for m in made:
        click.echo(f"{m.outcome.number:<8} {m.outcome.title}: {', '.join(t.id for t in m.tables)}")
    for text in read.footnotes:
        click.echo(printable(text), err=True)
    click.echo(f"\ntables: {out / PAGE_NAME}   ({len(read.treated)} treated subjects)")
