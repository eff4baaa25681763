"""``cytomrd tables``: the tables and figures of a study folder."""

from __future__ import annotations

from pathlib import Path

import click

EXIT_REFUSED = 3


@click.command("tables")
@click.argument("study", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write [STUDY/tables].")
@click.option("--check", is_flag=True, help="List every problem of the study and write nothing.")
@click.option("--gate", is_flag=True, help="First gate the runs of study.toml that have no results yet.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes for --gate.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.pass_context
def command(ctx, study: Path, out: Path | None, check: bool, gate: bool, jobs: int, quiet: bool):
    """Write PK, response, MRD, survival and safety tables of the study folder STUDY.

    STUDY holds study.toml and its CSV tables (subjects, dosing, samples, resp_labs, ...); flow results come from the
    finished runs that study.toml names. Every table is written as CSV, in tables.xlsx and on tables.html, with how each
    number came about. Nothing is written while the study has a problem that study.toml does not accept: all problems
    are listed at once, each with its row, the value seen and the remedy.

    \b
    Examples:
      cytomrd tables study/ --check
      cytomrd tables study/
      cytomrd tables study/ --gate -j 2
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
    if gate:
        _gate_runs(ctx, study, jobs, quiet)
    from cytomrd.trial.publish import PAGE_NAME, publish_tables

    out = out if out is not None else study / "tables"
    read, made = publish_tables(study, out)
    if quiet:
        return
    for m in made:
        click.echo(f"{m.outcome.number:<8} {m.outcome.title}: {', '.join(t.id for t in m.tables)}")
    for text in (*read.footnotes, *read.remarks):
        click.echo(printable(text), err=True)
    click.echo(f"\ntables: {out / PAGE_NAME}   ({len(read.treated)} treated subjects)")


def _gate_runs(ctx, study: Path, jobs: int, quiet: bool) -> None:
    """Gate each run that has no finished results; a run that is locked or refused ends the command as `gate` does."""
    from cytomrd.cli.gate import command as gate_command
    from cytomrd.trial.study.settings import read_study_settings

    for run in read_study_settings(study).runs:
        if (study / run / "results" / "provenance.json").is_file():
            continue
        arguments = [str(study / run), "-j", str(jobs), *(["-q"] if quiet else [])]
        with gate_command.make_context("gate", arguments, parent=ctx) as inner:
            try:
                gate_command.invoke(inner)
            except click.exceptions.Exit as exit:
                # Samples that failed or are held are told by the run's own report, and checked again with the study.
                if exit.exit_code not in (0, 4, 5):
                    raise
