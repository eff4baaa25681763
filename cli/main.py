"""The ``cytomrd`` command: a group whose commands are imported only when they are called."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from importlib import import_module

import click

from cytomrd import __version__
from cytomrd.errors import CytomrdError, RunLockedError

EXIT_INTERNAL, EXIT_REFUSED, EXIT_LOCKED, EXIT_INTERRUPTED = 1, 3, 6, 130

# Help lines stand here so that `cytomrd --help` imports no command.
COMMANDS = {
    "demo": ("cytomrd.cli.demo", "Write a small run folder with known truth."),
    "gate": ("cytomrd.cli.gate", "Gate a run folder: QC, MRD, CAR+ NK, report (the main job)."),
    "review": ("cytomrd.cli.review", "Look at a gated run, move gates, call clusters, sign."),
    "cluster": ("cytomrd.cli.cluster", "Map and cluster the events of each tube, as AnnData."),
    "verify": ("cytomrd.cli.verify", "Verify a finished run: every hash, every count."),
    "compensation": ("cytomrd.cli.compensation", "Fit a spillover matrix from single-stain controls."),
    "tables": ("cytomrd.cli.tables", "Write the tables and figures of a study folder."),
    "samplesheet": ("cytomrd.cli.samplesheet", "Draft a samplesheet from the files of a folder."),
    "info": ("cytomrd.cli.info", "Show header, channels, spillover and findings of a file."),
    "check": ("cytomrd.cli.check", "Check FCS files quickly; quiet when all is well."),
    "panels": ("cytomrd.cli.panels", "List, show and check panels."),
    "export": ("cytomrd.cli.export", "Export gates (Gating-ML, FlowJo), gated FCS or AnnData of a run."),
    "validate": ("cytomrd.cli.validate", "Validate MRD in silico: blank, detection, linearity, hit rates."),
    "bench": ("cytomrd.cli.bench", "Measure speed and memory against the peers installed."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and help lines without importing them."""

    def list_commands(self, ctx):
        """Names in the order in which a user meets them."""
        return list(COMMANDS)

    def get_command(self, ctx, name):
        """Import one command."""
        if name not in COMMANDS:
            return None
        return import_module(COMMANDS[name][0]).command

    def format_commands(self, ctx, formatter):
        """Write the list from the help lines alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cytomrd")
def cytomrd():
    """Flow-cytometry files to trial results: myeloma MRD at 1e-5 and CAR+ NK cells per microlitre.

    \b
    Start here:
      cytomrd demo run/     write an example run folder
      cytomrd gate run/     gate it; the report is run/results/report.html
    """


def _interrupt(*_) -> None:
    """What servers end a process by does what Ctrl-C does."""
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with the code that scripts rely on."""
    with suppress(ValueError):  # only the main thread may ask for signals
        signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = cytomrd.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted; nothing is left half written", err=True)
        code = EXIT_INTERRUPTED
    except RunLockedError as error:
        click.echo(f"locked: {error}", err=True)
        code = EXIT_LOCKED
    except CytomrdError as error:
        from cytomrd.fcs.text import printable

        # Our messages list problems, and callers' notes (the file, the sample), one a line; what a file put into a
        # line is made visible there.
        click.echo("refused: " + "\n  ".join(map(printable, str(error).split("\n"))), err=True)
        code = EXIT_REFUSED
    except BrokenPipeError:
        sys.stderr.close()
        code = EXIT_INTERNAL
    except Exception as error:
        import traceback

        traceback.print_exc()
        click.echo(f"internal error: {type(error).__name__}: {error}; please report it with the lines above", err=True)
        code = EXIT_INTERNAL
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
