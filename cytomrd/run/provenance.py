"""Where a result came from: inputs, panels, versions, settings, seeds, and the chain of hashes."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cytomrd import __version__
from cytomrd.run.execute import GatedRun
from cytomrd.run.model import RunResult
from cytomrd.run.results import gates_file
from cytomrd.run.sealed import canonical, file_sha256
from cytomrd.run.workers import Failed

__all__ = ["describe_run", "fingerprint", "read_current", "write_provenance"]

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
        "panels": {p.id: {"version": p.version, "sha256": p.sha256} for p in plan.panels.values()},
        "settings": run.settings.model_dump(),
        "notes": [*result.notes, *run.redone],
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "host": {"name": platform.node(), "machine": platform.machine(), "system": platform.platform()},
        "jobs": jobs,
        "started": started.isoformat(timespec="seconds"),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def fingerprint(run: GatedRun) -> str:
    """SHA-256 over what decides the results: what each sample was made from or why it failed, and its rows."""
    digest = hashlib.sha256(canonical([run.settings.model_dump(), list(run.plan.notes)]))
    for planned, sealed in run.pairs:
        made_from = list(sealed.reasons) if isinstance(sealed, Failed) else sealed.made_from
        digest.update(canonical([[repr(f.row) for f in planned.files], made_from]))
    return digest.hexdigest()


def write_provenance(description: Mapping[str, object], folder: Path) -> None:
    """Write ``provenance.json`` with the hash of every result file beside it."""
    outputs = {
        path.relative_to(folder).as_posix(): file_sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != PROVENANCE_NAME
    }
    text = json.dumps({**description, "outputs": outputs}, indent=1, ensure_ascii=True)
    (folder / PROVENANCE_NAME).write_text(text + "\n", "utf-8")


def read_current(out: Path, run: GatedRun) -> dict | None:
    """The provenance of ``out`` where it holds the results of this very run, unchanged since."""
    try:
        known = json.loads((out / PROVENANCE_NAME).read_text("utf-8"))
        if known["fingerprint"] != fingerprint(run):
            return None
        whole = all(file_sha256(out / name) == sha256 for name, sha256 in known["outputs"].items())
        return known if whole else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
