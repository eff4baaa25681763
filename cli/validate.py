"""``cytomrd validate``: the in-silico ladder, and the laboratory's validation report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from cytomrd.cli.options import numbers_from
from cytomrd.cli.progress import progress_bar

QUICK = {"levels": (1e-3, 2e-4, 1e-4, 0.0), "n_nucleated": (300_000,), "n_seeds": 4, "n_blanks": 8}


@click.command("validate")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Where to write [RUN/validation, validation]."
)
@click.option("--levels", callback=numbers_from(0, 0.1), metavar="LIST", help="Levels, e.g. 1e-4,1e-5,0.")
@click.option(
    "-n", "--nucleated", callback=numbers_from(1e5, 1e8, whole=True), metavar="LIST",
    help="Nucleated cells of each marrow, e.g. 3e6,5e6 [3e6].",
)  # fmt: skip
@click.option("--seeds", type=click.IntRange(min=1), default=None, help="Mixtures of each level [20].")
@click.option("--blanks", type=click.IntRange(min=1), default=None, help="Mixtures of level 0 [60].")
@click.option("--law", "laws", multiple=True, help="Law of simulation, may be repeated [clinical, varied, dim].")
@click.option("--clone", "clones", multiple=True, help="Simulated clone, may be repeated [all, in turn].")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of all draws.")
@click.option("--quick", is_flag=True, help="A short ladder: a tenth of the cells at ten times the level.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(run, out, levels, nucleated, seeds, blanks, laws, clones, seed, quick, jobs, dry_run, quiet):
    """Validate MRD in silico: limit of blank, limit of detection, linearity, precision, hit rates.

    With RUN, clonal events of its positive samples take the place of events in its negatives (role negative in the
    samplesheet) of other donors. Without RUN all marrows are simulated. Each mixture goes through the whole chain of
    `cytomrd gate`. Writes validation.html, to be reviewed and signed, with mixtures.csv, levels.csv, ladders.csv,
    targets.csv and provenance.json.

    The figures are in silico; not clinical concordance. The full ladder takes hours; --quick takes minutes and shows
    that all works. A ladder that was interrupted goes on from its finished mixtures.

    \b
    Examples:
      cytomrd validate --quick -j 2
      cytomrd validate run/ -n 3e6,5e6 -j 8

    \b
    Exit codes: 0 done (whether targets are met or not), 1 internal error, 2 usage, 3 input refused,
    6 locked by another process, 130 interrupted.
    """
    from cytomrd.run.ladder_plan import LadderSettings, plan_simulated_ladder
    from cytomrd.run.own_ladder import plan_own_ladder
    from cytomrd.run.workers import LocalPool

    if run is not None and (laws or clones):
        raise click.UsageError("--law and --clone are of simulated ladders; with RUN its own files are used")
    started = datetime.now(UTC)
    chosen = {
        "levels": levels, "n_nucleated": nucleated, "n_seeds": seeds, "n_blanks": blanks, "laws": laws,
        "clones": clones, "random_state": seed,
    }  # fmt: skip
    given = {name: value for name, value in chosen.items() if value not in (None, ())}
    settings = LadderSettings(**((QUICK if quick else {}) | given))
    out = out if out is not None else (run / "validation" if run is not None else Path("validation"))

    def planned(pool):
        return plan_simulated_ladder(settings) if run is None else plan_own_ladder(run, settings, pool=pool)

    if dry_run:
        with LocalPool(jobs) as pool:
            _show_plan(planned(pool))
        return
    from cytomrd.report.validation import PAGE_NAME, publish_validation
    from cytomrd.run.lock import hold_lock
    from cytomrd.run.provenance import describe_validation
    from cytomrd.run.staging import sample_store
    from cytomrd.run.validation import run_ladder

    with hold_lock(out), LocalPool(jobs) as pool:
        plan = planned(pool)
        with progress_bar("mixing", total=plan.n_nucleated, quiet=quiet) as progress:
            result = run_ladder(
                plan, pool=pool, store=sample_store(out), progress=lambda done, label: progress(done, label=label)
            )
        publish_validation(result, out, describe_validation(plan, quick=quick, started=started))
    if not quiet:
        _show(result, out / PAGE_NAME)


def _show_plan(plan) -> None:
    from cytomrd.fcs.text import printable

    click.echo(f"{len(plan.mixtures)} mixtures, {plan.n_nucleated:,} nucleated cells, panel {plan.panel.id}")
    for note in plan.notes:
        click.echo(printable(f"note: {note}"))


def _show(result, page: Path) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.report.validation import CAUTION, lob_setting, verdict_words

    words = {True: "met", False: "NOT MET", None: "open"}
    for c in result.criteria:
        click.echo(
            printable(f"{words[c.met]:<8}{c.group}, N = {c.n_wanted:.3g}: {c.name} {c.found}; wanted {c.target}")
        )
    failed = sum(bool(m.error) for m in result.mixtures)
    if failed:
        click.echo(f"{failed} mixtures gave no result and count as misses; see the report")
    for line in lob_setting(result):
        click.echo(printable(line))
    click.echo()
    click.echo(verdict_words(result).removesuffix(f" {CAUTION}"))
    click.echo(CAUTION)
    click.echo(f"report: {page}")
