"""Tasks over worker processes, where the end of one may bring others."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

from threadpoolctl import threadpool_limits

__all__ = ["THREAD_SETTINGS", "Task", "run_tasks"]

THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@dataclass(frozen=True, eq=False)
class Task:
    """A call of a module's function, and a key by which its result is known."""

    key: object
    function: Callable
    arguments: tuple


def run_tasks(tasks: Iterable[Task], jobs: int, take: Callable[[Task, object], Iterable[Task] | None]) -> None:
    """Run tasks, in order as workers come free, each in a process of its own where ``jobs`` is above 1.

    ``take(task, result)`` is called here, one result at a time as they come; the tasks that it returns go first.
    """
    ready = deque(tasks)
    jobs = min(jobs, len(ready))
    if jobs <= 1:
        with threadpool_limits(1):
            _run(ready, 1, take, _Inline())
        return
    with _one_thread_each(), ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        try:
            _run(ready, jobs, take, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run(ready: deque[Task], jobs: int, take, pool: Executor | _Inline) -> None:
    running: dict[Future, Task] = {}
    while ready or running:
        while ready and len(running) < jobs:
            task = ready.popleft()
            running[pool.submit(task.function, *task.arguments)] = task
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            task = running.pop(future)
            ready.extendleft(take(task, future.result()) or ())


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes started within do linear algebra on one thread.

    Sums by several threads round differently, so a result would depend on the machine; and workers with as many
    threads each as there are processors stand in each other's way.
    """
    before = {name: os.environ.get(name) for name in THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class _Inline:
    """Calls in this process, when submitted."""

    def submit(self, function: Callable, *arguments) -> Future:
        future: Future = Future()
        future.set_result(function(*arguments))
        return future
