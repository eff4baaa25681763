"""``cytomrd verify``: does a finished run still say what its events say?"""

from __future__ import annotations

from pathlib import Path

import click

from cytomrd.cli.progress import progress_bar

EXIT_DISAGREES = 4


@click.command("verify")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Results folder [RUN/results].")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but what does not agree.")
@click.pass_context
def command(ctx, run: Path, out, jobs, quiet):
    """Verify the finished run in the folder RUN: chain of hashes, every file, every count.

    The chain in provenance.json, the SHA-256 of every input and every result, and of samplesheet, run.toml and panels
    are compared; then the gates of the results are applied to the events again, and every count of the tables is
    compared. One changed byte is found and named. The seal that is printed stands for all of it: written down
    elsewhere, it shows later that nothing was changed, provenance.json included. Where people reviewed the run, the
    trail, every reviewed version and every signature are looked at too.

    \b
    Example:
      cytomrd verify run/ -j 2

    \b
    Exit codes: 0 everything agrees, 1 internal error, 2 usage, 3 no finished run, 4 something does not agree,
    130 interrupted.
    """
    from cytomrd.fcs.text import printable
    from cytomrd.review.verify import verify_review
    from cytomrd.run.verify import verify_run
    from cytomrd.run.workers import LocalPool

    out = out if out is not None else run / "results"
    done = 0
    with progress_bar("verifying", quiet=quiet) as progress, LocalPool(jobs) as pool:

        def advance(file: str, n_events: int) -> None:
            nonlocal done
            done += n_events
            progress(done, label=file)

        found = verify_run(run, out, pool=pool, progress=advance)
    review = verify_review(run, out)
    problems = [*found.problems, *(review.problems if review is not None else ())]
    for problem in problems:
        click.echo(printable(problem))
    if problems:
        ctx.exit(EXIT_DISAGREES)
    if not quiet:
        click.echo(f"{found.n_files} files and {found.n_counts} counts agree; seal {found.seal}")
        if review is not None:
            click.echo(
                f"trail of {review.n_entries} entries and {review.n_signatures} signatures hold; head {review.head}"
            )
