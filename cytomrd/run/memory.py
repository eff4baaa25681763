"""What gating and clustering hold in memory, and how many jobs fit into a given amount.

Gating streams a file, so little of what it holds grows with it: a population code an event, and the events of the
rarer populations that gates are fitted on. Clustering holds the positions of its population's events, which may be
all. The figures are upper bounds of measured ones (`tests/run/test_memory.py`).
"""

from __future__ import annotations

from collections.abc import Callable

from cytomrd.errors import RunError
from cytomrd.run.plan import PlannedFile, RunPlan

__all__ = ["Need", "admitted_jobs", "cluster_memory_mb", "file_memory_mb", "plan_memory_mb", "refusal"]

# A process with everything imported; the one that runs the plan also holds results and makes the report.
PROCESS_MB = 260.0
COUNTS_MB = 110.0
# The fit's sample and its positions (cytomrd.gating.fit.sampling), float64.
SAMPLE_EVENTS, RARE_SHARE, MOST_RARE_EVENTS = 250_000, 0.08, 1_000_000
CODE_BYTES = 4
# Clustering (cytomrd.run.cluster_tube) loads scikit-learn and anndata. It holds a chunk of events as read, compensated
# and transformed, float64; positions, those of the markers that are clustered and those that train, float32, and a
# byte to say which are finite; and for each event its place, cluster, distance, codes and name.
LIBRARIES_MB = 60.0
CHUNK_EVENTS, CHUNK_COPIES, POSITION_BYTES, CLUSTERED_BYTES = 131_072, 4, 13, 50

# What a tube adds to a process, in MB.
Need = Callable[[PlannedFile], float]


def file_memory_mb(file: PlannedFile) -> float:
    """What gating one tube adds to a process, in MB."""
    n_channels = file.n_channels or 20
    sample = 2 * min(file.n_events, SAMPLE_EVENTS) * n_channels * 8
    rare = 2.5 * min(RARE_SHARE * file.n_events, MOST_RARE_EVENTS) * n_channels * 8
    return COUNTS_MB + (sample + rare + file.n_events * CODE_BYTES) / 1e6


def cluster_memory_mb(file: PlannedFile) -> float:
    """What gating and clustering one tube adds to a process, in MB, whatever the population."""
    n_channels = file.n_channels or 20
    chunk = CHUNK_COPIES * min(file.n_events, CHUNK_EVENTS) * n_channels * 8
    clustered = (chunk + file.n_events * (POSITION_BYTES * n_channels + CLUSTERED_BYTES)) / 1e6
    # What the fit of gates held is free again when the clustering begins.
    return LIBRARIES_MB + max(file_memory_mb(file), COUNTS_MB + clustered)


def plan_memory_mb(plan: RunPlan, jobs: int, *, need: Need = file_memory_mb) -> float:
    """What all processes of a run hold at most, in MB."""
    files = sorted((need(f) for s in plan.samples for f in s.files if not f.error), reverse=True)
    jobs = min(jobs, max(1, len(files)))
    return PROCESS_MB + sum(PROCESS_MB + of_file for of_file in files[:jobs])


def admitted_jobs(plan: RunPlan, jobs: int, max_memory_mb: float | None, *, need: Need = file_memory_mb) -> int:
    """At most ``jobs``, so that the run stays within ``max_memory_mb`` whatever tubes meet.

    Raises
    ------
    RunError
        If not even an empty process fits.
    """
    if max_memory_mb is None:
        return jobs
    least = 2 * PROCESS_MB + COUNTS_MB
    if max_memory_mb < least:
        raise RunError(
            f"--max-memory {max_memory_mb:.0f} MB is too little for any file; at least {least:.0f} MB are needed"
        )
    while jobs > 1 and plan_memory_mb(plan, jobs, need=need) > max_memory_mb:
        jobs -= 1
    return jobs


def refusal(file: PlannedFile, max_memory_mb: float | None, *, need: Need = file_memory_mb) -> str | None:
    """Why a tube cannot be worked on within the memory allowed, or None."""
    if max_memory_mb is None or file.error:
        return None
    total = 2 * PROCESS_MB + need(file)
    if total <= max_memory_mb:
        return None
    return f"{file.n_events:,} events need about {total:.0f} MB; --max-memory allows {max_memory_mb:.0f} MB"
