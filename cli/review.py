"""``cytomrd review``: people look at a finished run, change what they must, and sign."""

from __future__ import annotations

from pathlib import Path

import click

EXIT_BROKEN = 4


@click.command("review")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Results folder [RUN/results].")
@click.option("--add", metavar="NAME", help="Add a person and print their token, which is shown once.")
@click.option("--role", type=click.Choice(["analyst", "reviewer"]), help="What the person may do; a reviewer approves.")
@click.option("--renew", metavar="NAME", help="Give a person another token and print it; the old one is void.")
@click.option("--log", is_flag=True, help="Print the trail of all reviews, and check it.")
@click.option("--sample", metavar="ID", help="With --log: of one sample alone.")
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json"]), default="text", show_default=True, help="Of --log."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others than this need TLS.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on [a free one].")
@click.option("--certificate", type=click.Path(path_type=Path, dir_okay=False), help="PEM file for TLS.")
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), help="PEM file of its key.")
@click.option("--name", default="", metavar="HOST", help="Host name by which others reach the server.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.pass_context
def command(ctx, run: Path, out, add, role, renew, log, sample, form, host, port, certificate, key, name, no_browser):
    """Review the finished run in the folder RUN on a page of this machine.

    Gates can be moved and clusters of plasma cells called; every number is shown anew before a change is kept. Each
    kept change is a result version of its own in RUN/results-review, beside the automatic results, which stay. Who did
    what, when and why is entered in a trail that cannot be rewritten unseen. Results are signed by name, meaning and
    token; a signature is void after any change.

    The first time, a person is made of this user, with a token. Further people are added by name.

    \b
    Examples:
      cytomrd review run/
      cytomrd review run/ --add "Ada Lovelace" --role reviewer
      cytomrd review run/ --log --format csv > trail.csv

    \b
    Exit codes: 0 done, 1 internal error, 2 usage, 3 refused, 4 the trail is not whole (--log), 130 interrupted.
    """
    from cytomrd.review.run import open_review

    if (add is None) != (role is None):
        raise click.UsageError("--add and --role go together")
    opened = open_review(run, out)
    try:
        if add is not None:
            click.echo(_added(opened, add, role))
        elif renew is not None:
            click.echo(_renewed(opened, renew))
        elif log:
            _print_log(ctx, opened, sample, form)
        else:
            _serve(opened, host, port, certificate, key, name, browser=not no_browser)
    finally:
        opened.close()


def _added(opened, name: str, role: str) -> str:
    """A new person's token; who added whom is in the trail."""
    token = opened.people.add(name, role)
    opened.trail.append(who=_user(), sample_id="", action="person", target=f"{name} is {role}")
    return token


def _renewed(opened, name: str) -> str:
    token = opened.people.renew(name)
    opened.trail.append(who=_user(), sample_id="", action="person", target=f"{name} has another token")
    return token


def _user() -> str:
    """Who runs the command, by the system's account."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _print_log(ctx, opened, sample: str | None, form: str) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.review.log import log_lines

    for line in log_lines(opened.trail.entries(sample), form):
        click.echo(line)
    problems = opened.problems()
    for problem in problems:
        click.echo(printable(f"trail: {problem}"), err=True)
    if problems:
        ctx.exit(EXIT_BROKEN)


def _serve(opened, host: str, port: int, certificate, key, name: str, *, browser: bool) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.review.server import serve

    token = ""
    if not opened.people.everyone():
        user = _user()
        token = _added(opened, user, "reviewer")
        click.echo(printable(f"{user}, your token to sign in and to sign with, shown once: {token}"))

    def ready(address) -> None:
        # Behind the # the token stays in the browser: it is in no request line and in no log.
        url = f"{address.url}#token={token}" if token else address.url
        click.echo(f"{url} (end with Ctrl-C)")
        if browser:
            click.launch(address.url)  # without the token: others on this machine can read how a program was started

    serve(opened, host=host, port=port, certificate=certificate, key=key, name=name, ready=ready)
