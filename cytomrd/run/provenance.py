"""Where a result came from: inputs, panels, versions, settings, seeds, and the chain of hashes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cytomrd import __version__
from cytomrd.run.execute import GatedRun
from cytomrd.run.ladder_plan import LadderPlan
from cytomrd.run.model import RunResult
from cytomrd.run.results import gates_file
from cytomrd.run.sealed import canonical, file_sha256
from cytomrd.run.settings import SETTINGS_NAME
from cytomrd.run.workers import Failed
from cytomrd.samplesheet import SAMPLESHEET_NAME

__all__ = [
    "PROVENANCE_NAME",
    "chain_of",
    "describe_run",
    "describe_validation",
    "fingerprint",
    "provenance_bytes",
    "read_current",
    "write_provenance",
]

PROVENANCE_NAME = "provenance.json"
PACKAGES = ("numpy", "scipy", "numba", "anndata", "flowkit", "pandas")


def describe_run(run: GatedRun, result: RunResult, *, jobs: int, started: datetime) -> dict:
    """Everything that a reader needs to trace or repeat the run, without the hashes of its outputs."""
    plan = run.plan
    return {
        "cytomrd": __version__,
        "fingerprint": fingerprint(run),
        "inputs": [
            {
                "sample_id": s.sample_id,
                "file": f.row.file,
                "sha256": f.sha256,
                "n_events": f.qc.n_events,
                "panel": f.panel_id,
                "tube": f.tube,
                "gates": gates_file(s, f),
            }
            for s in result.samples
            for f in s.files
        ],
        "failed": [{"sample_id": s.sample_id, "errors": list(s.errors)} for s in result.samples if s.errors],
        "held": [s.sample_id for s in result.samples if s.status == "held"],
        "run_files": _run_files(run),
        "panels": {
            p.id: {"version": p.version, "sha256": p.sha256, "file": name if name != p.id else ""}
            for name, p in sorted(plan.panels.items(), key=lambda item: item[0] != item[1].id)
        },
        "settings": run.settings.model_dump(),
        "notes": [*result.notes, *run.redone],
        "versions": _versions(),
        "host": {"name": platform.node(), "machine": platform.machine(), "system": platform.platform()},
        "jobs": jobs,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe_validation(plan: LadderPlan, *, quick: bool, started: datetime) -> dict:
    """Everything that a reader needs to trace or repeat a validation."""
    source = "simulated" if plan.folder is None else str(plan.folder)
    settings = asdict(plan.settings)
    if plan.folder is not None:
        settings = {k: v for k, v in settings.items() if k not in ("laws", "clones")}
    return {
        "cytomrd": __version__,
        "source": source,
        "short ladder": "yes" if quick else "no",
        **{name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()},
        "panel": f"{plan.panel.id} {plan.panel.version}",
        "panel SHA-256": plan.panel.sha256,
        "run settings": plan.run_settings.model_dump(exclude_none=True),
        "input SHA-256": dict(plan.inputs),
        "versions": _versions(),
        "host": platform.node(),
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _run_files(run: GatedRun) -> dict[str, str]:
    """Name to SHA-256 of what a person wrote into the run folder: sheet, choices, matrix, panels."""
    folder = run.plan.folder
    names = [SAMPLESHEET_NAME, SETTINGS_NAME, run.settings.spillover, *run.plan.panels]
    return {name: file_sha256(folder / name) for name in sorted(filter(None, names)) if (folder / name).is_file()}


def fingerprint(run: GatedRun) -> str:
    """SHA-256 over what decides the results: what each sample was made from or why it failed, and its rows."""
    digest = hashlib.sha256(canonical([run.settings.model_dump(), list(run.plan.notes)]))
    for planned, sealed in run.pairs:
        made_from = list(sealed.reasons) if isinstance(sealed, Failed) else sealed.made_from
        digest.update(canonical([[repr(f.row) for f in planned.files], made_from]))
    return digest.hexdigest()


def write_provenance(description: Mapping[str, object], folder: Path) -> None:
    """Write ``provenance.json`` with the hash of every result file beside it, and the chain over all of it."""
    outputs = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PROVENANCE_NAME
    }
    record = {**description, "outputs": outputs}
    (folder / PROVENANCE_NAME).write_bytes(provenance_bytes(record | {"chain": chain_of(record)}))


def provenance_bytes(record: Mapping[str, object]) -> bytes:
    """A provenance as its file holds it, in this one form."""
    return json.dumps(record, indent=1, ensure_ascii=True).encode("ascii") + b"\n"


def chain_of(record: Mapping[str, object]) -> list[dict[str, str]]:
    """One link an entry, each the SHA-256 of the link before it and of the entry.

    The last link stands for everything: noted elsewhere (a signature, a logbook), it proves that nothing was changed,
    the chain included.
    """
    links, before = [], ""
    for name, entry in record.items():
        if name != "chain":
            before = hashlib.sha256(canonical([before, name, entry])).hexdigest()
            links.append({"entry": name, "sha256": before})
    return links


def is_sound(raw: bytes, record: Mapping[str, object]) -> bool:
    """Whether a provenance file is as it was written, by its form and its chain."""
    return provenance_bytes(record) == raw and record["chain"] == chain_of(record)


def read_current(out: Path, run: GatedRun) -> dict | None:
    """The provenance of ``out`` where it holds the results of this very run, unchanged since."""
    try:
        raw = (out / PROVENANCE_NAME).read_bytes()
        known = json.loads(raw)
        if known["fingerprint"] != fingerprint(run) or not is_sound(raw, known):
            return None
        whole = all(file_sha256(out / name) == sha256 for name, sha256 in known["outputs"].items())
        return known if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
