"""Verifying a finished run: the chain of its provenance, the hash of every file, and every count gated again."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytomrd.errors import CytomrdError, RunError
from cytomrd.panel.library import read_panel
from cytomrd.run.provenance import PROVENANCE_NAME, chain_of, provenance_bytes
from cytomrd.run.replay import ReplayedFile, check_sample, replay_file
from cytomrd.run.sealed import file_sha256
from cytomrd.run.staging import OTHERS
from cytomrd.run.workers import Failed, Pool, Task, run_tasks

__all__ = ["Verification", "verify_run"]

TABLES = ("populations", "qc", "mrd", "car_nk")


@dataclass(frozen=True)
class Verification:
    """What was compared, and each thing that does not agree, in words.

    Attributes
    ----------
    n_files
        Files whose hash was compared: inputs, results, and what a person wrote into the run folder.
    n_counts
        Counts that were made again from events.
    seal
        The last link of the chain.
    problems
        Empty where everything agrees.
    """

    n_files: int
    n_counts: int
    seal: str
    problems: tuple[str, ...]


def verify_run(
    folder: Path, results: Path, *, pool: Pool, progress: Callable[[str, int], None] | None = None
) -> Verification:
    """Compare a finished run with its provenance, and its counts with the events.

    Parameters
    ----------
    folder, results
        The run folder and its results.
    pool
        Workers that gate the files again.
    progress
        Called with (file, its events) as each was gated again.

    Raises
    ------
    RunError
        If there is no finished run, or it is gated anew meanwhile.
    """
    raw = _provenance(results)
    problems: list[str] = []
    try:
        record = json.loads(raw)
        problems += _chain_problems(raw, record)
        files = [*_expected_files(folder, results, record)]
        problems += [*_changed(files), *_unknown(results, record["outputs"])]
        found, n_counts = _replay(folder, results, record, pool, progress)
        seal = record["chain"][-1]["sha256"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        problems.append(f"{PROVENANCE_NAME}: cannot be understood ({type(error).__name__}: {error})")
        return Verification(0, 0, "", tuple(problems))
    if _provenance(results) != raw:
        raise RunError(f"{results}: was gated anew while it was verified; verify again")
    return Verification(len(files), n_counts, seal, (*problems, *found))


def _provenance(results: Path) -> bytes:
    try:
        return (results / PROVENANCE_NAME).read_bytes()
    except OSError as error:
        raise RunError(f"{results}: no finished run here ({error.strerror}); `cytomrd gate` makes one") from error


def _chain_problems(raw: bytes, record: Mapping[str, object]) -> Iterator[str]:
    if provenance_bytes(record) != raw:
        yield f"{PROVENANCE_NAME}: is not in the form in which it was written"
    links = record["chain"]
    for link, known in zip(chain_of(record), links, strict=False):
        if link != known:
            yield f"{PROVENANCE_NAME}: the chain breaks at {link['entry']!r}; it or the link before it was changed"
            return
    if len(links) != len(record) - 1:
        yield f"{PROVENANCE_NAME}: {len(record) - 1} entries and {len(links)} links of the chain"


def _expected_files(folder: Path, results: Path, record) -> Iterator[tuple[str, Path, str]]:
    """(What it is, path, SHA-256) of every file that the provenance names."""
    for entry in record["inputs"]:
        yield f"input {entry['file']}", folder / entry["file"], entry["sha256"]
    for name, sha256 in record["run_files"].items():
        yield name, folder / name, sha256
    for name, sha256 in record["outputs"].items():
        yield f"result {name}", results / name, sha256


def _changed(files: Sequence[tuple[str, Path, str]]) -> Iterator[str]:
    for what, path, sha256 in files:
        try:
            if file_sha256(path) != sha256:
                yield f"{what}: changed since it was written or gated"
        except OSError as error:
            yield f"{what}: cannot be read: {error.strerror}"


def _unknown(results: Path, outputs: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if path.is_file() and name.parts[0] not in OTHERS and name.as_posix() not in {*outputs, PROVENANCE_NAME}:
            yield f"result {name.as_posix()}: is none that the run wrote"


def _replay(folder: Path, results: Path, record, pool: Pool, progress) -> tuple[list[str], int]:
    """Gate every input again with its gates, and compare every count of the tables."""
    problems = []
    panels = {}
    for name, entry in record["panels"].items():
        try:
            panels[name] = read_panel(folder / entry["file"] if entry["file"] else name)
            if panels[name].sha256 != entry["sha256"]:
                problems.append(f"panel {name}: this is version {panels[name].version}, gated was {entry['version']}")
        except CytomrdError as error:
            problems.append(f"panel {name}: {error}")
    tables = {name: _rows(results / f"{name}.csv") for name in TABLES}
    replayed: dict[str, list[ReplayedFile]] = {}
    n_counts = 0

    def take(task: Task, result: ReplayedFile | Failed) -> None:
        nonlocal n_counts
        entry = task.key
        if isinstance(result, Failed):
            problems.append(f"input {entry['file']}: cannot be gated again: {result}")
        else:
            problems.extend(result.problems)
            n_counts += result.n_counts
            replayed.setdefault(entry["sample_id"], []).append(result)
        if progress is not None:
            progress(entry["file"], entry["n_events"])

    tasks = [
        Task(entry, replay_file, (folder, results, entry, panels[entry["panel"]], tables))
        for entry in record["inputs"]
        if entry["panel"] in panels
    ]
    run_tasks(tasks, pool, take)
    for sample_id, found in replayed.items():
        n, said = check_sample(sample_id, sorted(found, key=lambda f: f.tube), results, tables)
        n_counts += n
        problems += said
    return problems, n_counts


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []  # that it changed or is gone is said by its hash
