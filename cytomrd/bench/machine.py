"""This machine: what it is, what is installed, and how fast it copies memory."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import cytomrd
from cytomrd.bench.timing import Times

__all__ = ["COPIED_BYTES", "describe_machine", "memcpy_times", "versions"]

PACKAGES = ("numpy", "numba", "FlowKit", "FlowIO", "FlowUtils", "flowsom", "scikit-learn", "faiss-cpu")
# 5e6 events of 14 float32: more than most caches hold, so that memory is what is measured.
COPIED_BYTES = 280_000_000


def describe_machine() -> dict[str, object]:
    """Processor, cores that this process may use, memory, system and Python."""
    return {
        "busy_cores_before": busy_cores(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def busy_cores(seconds: float = 0.5) -> float | None:
    """How many cores other processes keep busy while we wait; None where the system does not tell."""
    if not Path("/proc/stat").exists():
        return None
    before = _idle_ticks()
    time.sleep(seconds)
    idle = (_idle_ticks() - before) / os.sysconf("SC_CLK_TCK")
    return round(max((os.cpu_count() or 1) - idle / seconds, 0.0), 1)


def _idle_ticks() -> int:
    """Ticks that all cores together spent idle or waiting for disks, since the start of the system."""
    fields = Path("/proc/stat").read_text("ascii").splitlines()[0].split()
    return int(fields[4]) + int(fields[5])


def versions() -> dict[str, str | None]:
    """Versions of what is measured, None where it is not installed."""
    found: dict[str, str | None] = {"cytomrd": cytomrd.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def memcpy_times(n_bytes: int = COPIED_BYTES, *, rounds: int = 9) -> Times:
    """Times of copies of ``n_bytes`` into memory that has been touched before."""
    source = np.ones(n_bytes, dtype=np.uint8)
    target = np.empty_like(source)
    np.copyto(target, source)
    times = Times()
    for _ in range(rounds):
        times.call(lambda: np.copyto(target, source))
    return times


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.machine())


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None
