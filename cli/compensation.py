"""``cytomrd compensation``: the spillover matrix from single-stain controls."""

from __future__ import annotations

from pathlib import Path

import click

WIDEST = 14


@click.command("compensation")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write [RUN/compensation]."
)
@click.option(
    "--method",
    type=click.Choice(["auto", "regression", "medians"]),
    default="auto",
    show_default=True,
    help="How the coefficients are found.",
)
@click.option("--spectral", is_flag=True, help="Spectral files: fit a spectrum of each stain over all detectors.")
@click.option(
    "--unmix",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --spectral: write the run's samples unmixed into this folder, for `cytomrd gate`.",
)
@click.option("--strict", is_flag=True, help="Refuse files that the reader would have to repair.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(run: Path, out: Path | None, method: str, spectral: bool, unmix: Path | None, strict: bool, quiet: bool):
    """Fit the spillover matrix of the run folder RUN from its single-stain controls.

    The controls are the rows of RUN/samplesheet.csv with role single_stain (column stain: marker, fluorochrome or
    detector) and role unstained. Without a samplesheet they are recognised by their one labelled channel or by name.
    Without unstained cells each tube needs negatives of its own.

    Writes spillover.csv, spillover_pairs.csv (interval and residual of each coefficient) and compensation.html.

    \b
    Methods:
      regression  bright positives against negatives of the same scatter: the median of the events' ratios
                  weighted by brightness, without events off the line (autofluorescent cells, doublets)
      medians     median of all events of a tube minus that of the unstained tube; nothing is gated
      auto        medians for a tube that is stained as a whole (80 % of its events, one scatter population),
                  regression for all others

    With --spectral the samplesheet names the stains, each file is unmixed by least squares into them and the
    autofluorescence of the unstained cells, and spectra.csv and spectra.html are written instead.

    \b
    Examples:
      cytomrd compensation run/
      cytomrd compensation controls/ -o run/compensation
      cytomrd compensation run/ --spectral --unmix run-unmixed/

    `cytomrd gate run/` compensates every file with the matrix once run/run.toml says
    spillover = "compensation/spillover.csv"; without that line each file's own matrix is used.

    \b
    Exit codes: 0 done, 1 internal error, 2 usage, 3 input refused, 6 locked by another process, 130 interrupted.
    """
    from cytomrd.report.compensation import PAGE_NAME, publish_compensation
    from cytomrd.run.compensation import COMPENSATION_FOLDER, fit_compensation
    from cytomrd.run.lock import hold_lock

    if (unmix is not None or spectral) and method != "auto":
        raise click.UsageError("--method is for conventional files; spectra are always fitted by regression")
    if unmix is not None and not spectral:
        raise click.UsageError("--unmix needs --spectral")
    out = out if out is not None else run / COMPENSATION_FOLDER
    if out.resolve().is_relative_to((run / "results").resolve()):
        raise click.UsageError(f"{out} lies in {run / 'results'}, which `gate` replaces whole; choose another folder")
    if spectral:
        _spectral(run, out, unmix, strict=strict, quiet=quiet)
        return
    result = fit_compensation(run, method=method, strict=strict)
    with hold_lock(out):
        publish_compensation(result, out)
    if not quiet:
        _show(result, run, out / PAGE_NAME)


def _spectral(run: Path, out: Path, unmixed: Path | None, *, strict: bool, quiet: bool) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.report.spectra import SPECTRA_PAGE, publish_spectra
    from cytomrd.run.lock import hold_lock
    from cytomrd.run.unmixing import SPECTRA_NAME, fit_run_spectra, unmix_run

    result = fit_run_spectra(run, strict=strict)
    with hold_lock(out):
        publish_spectra(result, out)
    written = unmix_run(run, result.fit.reference, unmixed) if unmixed is not None else ()
    if quiet:
        return
    for stain, left in zip(result.fit.stains, result.fit.residual, strict=True):
        click.echo(printable(f"{stain.stain}: brightest in {stain.detector}, residual {left:.2%}, from {stain.tube}"))
    click.echo()
    for check in result.checks:
        click.echo(printable(f"{check.level}: {check.text}"))
    click.echo()
    for path in (out / SPECTRA_NAME, out / SPECTRA_PAGE, *written):
        click.echo(printable(str(path)))


def _show(result, run: Path, page: Path) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.run.compensation import MATRIX_NAME

    for note in result.plan.notes:
        click.echo(printable(note))
    if result.plan.notes:
        click.echo()
    for line in matrix_lines(result.fit.spillover, [s.detector for s in result.fit.stains]):
        click.echo(printable(line))
    click.echo()
    for check in result.checks:
        click.echo(printable(f"{check.level}: {check.text}"))
    click.echo()
    matrix = page.with_name(MATRIX_NAME)
    click.echo(f"matrix: {matrix}")
    click.echo(f"report: {page}")
    if matrix.resolve().is_relative_to(run.resolve()):
        line = f'spillover = "{matrix.resolve().relative_to(run.resolve()).as_posix()}"'
        click.echo(printable(f"to gate with it, write into {run / 'run.toml'}: {line}"))


def matrix_lines(spillover, stained: list[str]) -> list[str]:
    """The rows of the stained detectors in percent; with many detectors only their largest spills."""
    names = spillover.detectors
    left = max(map(len, names))
    if len(names) <= WIDEST:
        lines = [" " * left + "".join(f"{f'({k + 1})':>7}" for k in range(len(names))) + "   % of own signal"]
        for name in stained:
            row = spillover.matrix[names.index(name)]
            cells = "".join(
                f"{'-' if other == name else f'{100 * v:.1f}':>7}" for other, v in zip(names, row, strict=True)
            )
            lines.append(f"{name:<{left}}{cells}")
        return [*lines, "columns: " + ", ".join(f"({k + 1}) {n}" for k, n in enumerate(names))]
    lines = []
    for name in stained:
        row = spillover.matrix[names.index(name)]
        largest = sorted((k for k in range(len(names)) if names[k] != name), key=lambda k: -abs(row[k]))[:4]
        lines.append(f"{name:<{left}}  " + ", ".join(f"{100 * row[k]:.1f}% in {names[k]}" for k in largest))
    return lines
