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
from cytomrd.run.gate_draws import evidence_path
from cytomrd.run.ladder_plan import LadderPlan
from cytomrd.run.model import RunResult
from cytomrd.run.plan import RunPlan
from cytomrd.run.results import gates_file
from cytomrd.run.settings import RunSettings

__all__ = ["describe_run", "describe_validation", "fingerprint", "is_current", "write_provenance"]

PROVENANCE_NAME = "provenance.json"
PACKAGES = ("numpy", "scipy", "numba", "anndata", "flowkit", "pandas")


def describe_run(plan: RunPlan, run: RunResult, settings: RunSettings, *, jobs: int, started: datetime) -> dict:
    """Everything that a reader needs to trace or repeat the run, without the hashes of its outputs."""
    return {
        "cytomrd": __version__,
        "fingerprint": fingerprint(plan, settings),
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
            for s in run.samples
            for f in s.files
        ],
        "failed": [{"sample_id": s.sample_id, "errors": list(s.errors)} for s in run.samples if s.errors],
        "panels": {p.id: {"version": p.version, "sha256": p.sha256} for p in plan.panels.values()},
        "settings": settings.model_dump(),
        "notes": list(run.notes),
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


def fingerprint(plan: RunPlan, settings: RunSettings) -> str:
    """SHA-256 over what decides the results: samplesheet rows, file contents, panels, settings, version."""
    digest = hashlib.sha256()
    parts = [__version__, settings.model_dump_json()]
    if settings.spillover is not None:
        parts.append(_file_sha256(plan.folder / settings.spillover))
        evidence = evidence_path(settings, plan.folder)
        parts.append(_file_sha256(evidence) if evidence.is_file() else "no evidence")
    for panel in sorted(plan.panels.values(), key=lambda p: p.id):
        parts.append(f"{panel.id} {panel.sha256}")
    for sample in plan.samples:
        for file in sample.files:
            content = _file_sha256(file.path) if file.path.is_file() else "absent"
            parts.append(f"{file.row!r} {content}")
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_provenance(description: Mapping[str, object], folder: Path) -> None:
    """Write ``provenance.json`` with the hash of every result file beside it."""
    outputs = {
        path.relative_to(folder).as_posix(): _file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PROVENANCE_NAME
    }
    text = json.dumps({**description, "outputs": outputs}, indent=1, ensure_ascii=True)
    (folder / PROVENANCE_NAME).write_text(text + "\n", "utf-8")


def is_current(out: Path, plan: RunPlan, settings: RunSettings) -> bool:
    """True where ``out`` holds the finished results of this very plan, unchanged since."""
    try:
        known = json.loads((out / PROVENANCE_NAME).read_text("utf-8"))
        if known["fingerprint"] != fingerprint(plan, settings):
            return False
        return all(_file_sha256(out / name) == sha256 for name, sha256 in known["outputs"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False
