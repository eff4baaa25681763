"""How much is measured: events, rounds and time, in a full run and in a quick one."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

__all__ = ["FULL", "QUICK", "BenchPlan", "plan_bench"]


@dataclass(frozen=True)
class BenchPlan:
    """Sizes of a benchmark.

    Attributes
    ----------
    kernel_events, read_events, pass_events, cluster_events
        Events of the kernels, of the files that are read, of the whole pass, and of clustering.
    growth_events
        Sizes over which the growth of the whole pass is fitted.
    memory_events
        Events of the file whose pass is watched in a process of its own.
    marrow_events, batch_tubes
        Events of the marrow that `cytomrd gate` gets, and tubes of the batch; 0 leaves them out.
    rounds, budget_s, pass_budget_s
        Most interleaved rounds, and seconds after which a way takes part in no more of them.
    limit_s
        Seconds after which nothing new is begun: a quick run ends in time on a busy machine too.
    threads
        Threads, and worker processes, that one is compared with.
    only
        Names or groups to which the run is restricted; empty for all.
    """

    kernel_events: int
    read_events: int
    pass_events: int
    cluster_events: int
    growth_events: tuple[int, ...]
    memory_events: int
    marrow_events: int
    batch_tubes: int
    rounds: int
    budget_s: float
    pass_budget_s: float
    limit_s: float = float("inf")
    threads: int = 1
    only: tuple[str, ...] = ()
    is_quick: bool = False

    @property
    def most_events(self) -> int:
        """Events of the longest file."""
        return max(self.read_events, self.pass_events, *self.growth_events, self.memory_events, self.marrow_events)

    def wants(self, *names: str) -> bool:
        """Whether something of one of these names is to be measured."""
        return not self.only or bool(set(self.only) & set(names))


FULL = BenchPlan(
    kernel_events=2_000_000,
    read_events=2_000_000,
    pass_events=5_000_000,
    cluster_events=1_000_000,
    growth_events=(100_000, 1_000_000, 10_000_000),
    memory_events=10_000_000,
    marrow_events=10_000_000,
    batch_tubes=40,
    rounds=11,
    budget_s=12.0,
    pass_budget_s=40.0,
)
QUICK = BenchPlan(
    kernel_events=400_000,
    read_events=250_000,
    pass_events=500_000,
    cluster_events=20_000,
    growth_events=(100_000, 300_000, 1_000_000),
    memory_events=1_000_000,
    marrow_events=0,
    batch_tubes=0,
    rounds=5,
    budget_s=0.4,
    pass_budget_s=2.5,
    limit_s=60.0,
    is_quick=True,
)


def plan_bench(
    *, quick: bool = False, only: tuple[str, ...] = (), events: int | None = None, threads: int | None = None
) -> BenchPlan:
    """A plan for this machine; ``events`` replaces every size, and the fitted growth ends there."""
    plan = QUICK if quick else FULL
    if threads is None:
        threads = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 4)
    if events is not None:
        sizes = tuple(max(1, events // share) for share in (100, 10, 1))
        plan = replace(
            plan, kernel_events=events, read_events=events, pass_events=events, cluster_events=events,
            growth_events=sizes, memory_events=events, marrow_events=0 if quick else max(events, 200_000),
        )  # fmt: skip
    return replace(plan, only=only, threads=threads)
