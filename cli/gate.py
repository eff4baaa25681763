"""``cytomrd gate``: the main job."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import click

from cytomrd.cli.options import memory_mb
from cytomrd.cli.progress import run_progress

EXIT_SOME_FAILED, EXIT_SOME_HELD = 4, 5
# Loaded once, while this process plans; workers begin as copies of the process that did.
WORKERS_NEED = ("cytomrd.report.parts", "anndata")
log = logging.getLogger("cytomrd")


@click.command("gate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, file_okay=False), help="Results folder [RUN/results].")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option("--max-memory", callback=memory_mb, metavar="SIZE", help="What all processes may hold, e.g. 4G or 800M.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler (TLS, or 127.0.0.1).")
@click.option("--workers", type=click.IntRange(min=1), help="Use at most so many of the scheduler's workers [all].")
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Seed of fitting and clustering [0].")
@click.option("--strict", is_flag=True, default=None, help="Refuse files that the reader would have to repair.")
@click.option("--force", is_flag=True, help="Gate again, even where the results are up to date.")
@click.option("--dry-run", is_flag=True, help="Show the plan (samples, panels, channels, memory) and stop.")
@click.option("--watch", is_flag=True, help="Gate files as the cytometer finishes them, until ended by Ctrl-C.")
@click.option(
    "--watch-interval",
    type=click.FloatRange(min=0.1),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Time between two looks; a finished file is the same in both.",
)
@click.option(
    "--watch-idle",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="End the watch when nothing changed for so long [never].",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="Format of log lines on stderr."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Say how each channel was matched and each cut was found.")
@click.pass_context
def command(
    ctx, run: Path, out, jobs, max_memory, scheduler, workers, seed, strict, force, dry_run, watch, watch_interval,
    watch_idle, log_format, quiet, verbose
):  # fmt: skip
    """Gate the run folder RUN: QC, compensation, gates, MRD, CAR+ NK, report.

    RUN holds FCS files and, best, a samplesheet.csv (`cytomrd samplesheet RUN` drafts one). Results go to
    RUN/results: report.html, mrd.csv, car_nk.csv, populations.csv, qc.csv, results.xlsx, the gates of each sample
    as Gating-ML, its rare cells as AnnData, and provenance.json.

    With --watch the folder is looked at again and again: a sample is gated once all its tubes are whole and no longer
    change, and the results are written anew. The samplesheet may name files that are still to come.

    \b
    Examples:
      cytomrd gate run/ -j 2
      cytomrd gate run/ --watch --watch-idle 60

    \b
    Exit codes: 0 done, 1 internal error, 2 usage, 3 input refused, 4 some samples failed,
    5 finished with some samples held by QC, 6 locked by another process, 130 interrupted. A watch that is ended while
    it waits has finished; one that ends idle with samples still waited for, has 4.
    """
    from cytomrd.run.plan import plan_run
    from cytomrd.run.settings import read_settings
    from cytomrd.run.staging import check_results_folder
    from cytomrd.run.workers import load_ahead

    if workers is not None and scheduler is None:
        raise click.UsageError("--workers needs --scheduler; -j says how many processes of this machine to use")
    if watch and (force or dry_run):
        raise click.UsageError("--watch goes on from what is finished; run with --force or --dry-run by itself first")
    if watch_idle is not None and not watch:
        raise click.UsageError("--watch-idle needs --watch")
    _set_up_log(log_format, quiet, verbose or watch)
    started = datetime.now(UTC)
    out = out if out is not None else run / "results"
    if scheduler is not None:
        run, out = run.absolute(), out.absolute()  # workers elsewhere have a working folder of their own
    check_results_folder(out, run)
    settings = read_settings(run, random_state=seed, strict=strict)
    if not dry_run and scheduler is None:
        load_ahead(WORKERS_NEED)

    def gate(plan, settings, **how):
        from cytomrd.report.gate_run import gate_run

        with (
            _workers(plan, out, jobs, max_memory, scheduler, workers) as pool,
            run_progress(len(plan.samples), plan.n_events, say_kept=not watch, quiet=quiet) as progress,
        ):
            return gate_run(plan, settings, out, pool=pool, max_memory_mb=max_memory, progress=progress, **how)

    if watch:
        end = _watch(run, out, gate, watch_interval, watch_idle, random_state=seed, strict=strict)
        missing = bool(end.waiting) and not end.by_request
        if end.found is None:
            _exit(ctx, failed=missing, held=False)
        _finish(ctx, end.found, out, started, quiet=quiet, failed=missing)
        return
    plan = plan_run(run, strict=settings.strict, exclude=out)
    if dry_run:
        _show_plan(plan, jobs, max_memory)
        return
    _finish(ctx, gate(plan, settings, started=started, force=force), out, started, quiet=quiet)


def _watch(run: Path, out: Path, gate, interval_s: float, idle_minutes: float | None, **overrides):
    """Watch the folder, which no other process watches meanwhile; the results are held only while they are written."""
    from cytomrd.run.finished import FolderWatch
    from cytomrd.run.lock import hold_lock
    from cytomrd.run.staging import check_results_folder
    from cytomrd.run.watch import watch_folder

    watch = FolderWatch(run, out, **overrides)

    def gate_look(look):
        check_results_folder(out, run)
        how = {"content_of": watch.content_of, "is_partial": bool(look.waiting)}
        return gate(watch.plan(look), look.settings, started=datetime.now(UTC), **how)

    with hold_lock(out.with_name(f"{out.name}.watch")):
        return watch_folder(
            watch, gate_look, interval_s=interval_s, idle_s=None if idle_minutes is None else 60 * idle_minutes
        )


def _finish(ctx, found, out: Path, started: datetime, *, quiet: bool, failed: bool = False) -> None:
    """Say what was found, and end with its exit code; ``failed`` where something is known to be missing."""
    if isinstance(found, dict):
        if not quiet:
            click.echo(f"{out / 'report.html'} is up to date (same files, panels, settings, version); --force repeats")
        _exit(ctx, failed=failed or found["failed"], held=found["held"])
    if not quiet:
        _show_summary(found, out, (datetime.now(UTC) - started).total_seconds())
    statuses = {s.status for s in found.result.samples}
    _exit(ctx, failed=failed or "failed" in statuses, held="held" in statuses)


def _workers(plan, out: Path, jobs: int, max_memory_mb: float | None, scheduler: str | None, workers: int | None):
    """The workers asked for: of a Dask cluster, or processes of this machine, as many as memory allows."""
    if scheduler is not None:
        from cytomrd.run.dask_pool import DaskPool

        out.parent.mkdir(parents=True, exist_ok=True)
        return DaskPool(scheduler, n_workers=workers, folders=(plan.folder, out.parent))
    from cytomrd.run.memory import admitted_jobs
    from cytomrd.run.workers import LocalPool

    return LocalPool(admitted_jobs(plan, jobs, max_memory_mb))


def _exit(ctx, *, failed, held) -> None:
    ctx.exit(EXIT_SOME_FAILED if failed else EXIT_SOME_HELD if held else 0)


class _JsonLines(logging.Formatter):
    """One object a line; what a message is about (the sample, how far the run is) in keys of its own."""

    def format(self, record):
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        return json.dumps(entry | getattr(record, "about", {}))


def _set_up_log(log_format: str, quiet: bool, verbose: bool) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines() if log_format == "json" else logging.Formatter("%(levelname)s %(message)s"))
    log.handlers = [handler]
    shown = logging.INFO if verbose or log_format == "json" else logging.WARNING
    log.setLevel(logging.ERROR if quiet else shown)


def _show_plan(plan, jobs: int, max_memory_mb: float | None) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.run.memory import admitted_jobs, plan_memory_mb, refusal

    jobs = admitted_jobs(plan, jobs, max_memory_mb)
    click.echo(
        f"{len(plan.samples)} samples, {plan.n_events:,} events, at most {plan_memory_mb(plan, jobs):.0f} MB with "
        f"{jobs} job{'s' if jobs > 1 else ''}"
    )
    for sample in plan.samples:
        click.echo()
        click.echo(printable(f"{sample.sample_id} ({sample.assay}, {sample.role})"))
        for file in sample.files:
            if error := file.error or refusal(file, max_memory_mb):
                click.echo(printable(f"  {file.row.file}: cannot be gated: {error}"))
                continue
            click.echo(printable(f"  {file.row.file}: {file.n_events:,} events, {file.panel_id}, tube {file.tube}"))
            for note in file.match.notes:
                click.echo(printable(f"    {note}"))
        if sample.controls:
            click.echo(printable(f"  CAR threshold from: {', '.join(c.row.file for c in sample.controls)}"))
    for note in plan.notes:
        click.echo(printable(f"note: {note}"))


def _show_summary(published, out: Path, seconds: float) -> None:
    from cytomrd.fcs.text import printable
    from cytomrd.report.summary import summary_lines

    for line in summary_lines(published.result, published.verdicts):
        click.echo(printable(line))
    click.echo()
    click.echo(f"report: {out / 'report.html'}   ({len(published.result.samples)} samples in {seconds:.0f} s)")
