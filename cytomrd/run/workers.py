"""Tasks over workers, each a process of its own, where the end of one task may bring others.

A task that fails is tried once more, after the others, and then handed on as :class:`Failed`. A worker that dies costs
the task that it had and no other: each worker has one task at a time and a pipe of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Protocol

from threadpoolctl import threadpool_limits

from cytomrd.errors import CytomrdError, StorageError

__all__ = ["THREAD_SETTINGS", "Failed", "LocalPool", "Pool", "Task", "attempt", "load_ahead", "run_tasks"]

THREAD_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")


@dataclass(frozen=True, eq=False)
class Task:
    """A call of a module's function, and a key by which its result is known."""

    key: object
    function: Callable
    arguments: tuple


@dataclass(frozen=True)
class Failed:
    """Why a task has no result. ``storage`` says that results cannot be written, which ends the run."""

    reasons: tuple[str, ...]
    storage: bool = False

    def __str__(self) -> str:
        return "; ".join(self.reasons)


class Pool(Protocol):
    """Workers, here or elsewhere. At most ``size`` tasks are submitted at a time.

    ``is_local`` says that the workers share this machine's processors.
    """

    size: int
    is_local: bool

    def submit(self, task: Task) -> None:
        """Start a task."""

    def finished(self) -> Sequence[tuple[Task, object]]:
        """Wait until one task or more have ended: each with its result or :class:`Failed`."""


def run_tasks(tasks: Iterable[Task], pool: Pool, take: Callable[[Task, object], Iterable[Task] | None]) -> None:
    """Run tasks, in order as workers come free.

    ``take(task, result)`` is called here, one result at a time as they come; the tasks that it returns go first.

    Raises
    ------
    StorageError
        If results cannot be written; what is finished stays.
    """
    ready = deque(tasks)
    tried: set[Task] = set()
    n_running = 0
    while ready or n_running:
        while ready and n_running < pool.size:
            pool.submit(ready.popleft())
            n_running += 1
        for task, result in pool.finished():
            n_running -= 1
            if isinstance(result, Failed) and task not in tried:
                tried.add(task)
                ready.append(task)
                continue
            if isinstance(result, Failed) and result.storage:
                raise StorageError(str(result).removeprefix("StorageError: "))
            ready.extendleft(take(task, result) or ())


def attempt(function: Callable, arguments: tuple) -> object:
    """What a call returns, or why it failed."""
    try:
        with threadpool_limits(1):
            return function(*arguments)
    except (CytomrdError, OSError) as error:
        return Failed((f"{type(error).__name__}: {error}",), isinstance(error, StorageError))
    except Exception as error:  # a defect of ours must not cost the rest of the batch
        where = "".join(traceback.format_tb(error.__traceback__)[-2:])
        return Failed((f"internal error, please report: {type(error).__name__}: {error}\n{where}",))


def _can_fork() -> bool:
    return "forkserver" in multiprocessing.get_all_start_methods()


def load_ahead(modules: Sequence[str]) -> None:
    """Load what workers need in a process that they will begin as copies of; this one goes on meanwhile."""
    if _can_fork():
        from multiprocessing import forkserver

        forkserver.set_forkserver_preload(list(modules))
        with _one_thread_each():
            forkserver.ensure_running()


class LocalPool:
    """Worker processes of this machine, started as tasks come; use it as a context manager."""

    is_local = True

    def __init__(self, size: int):
        self.size = size
        self._context = multiprocessing.get_context("forkserver" if _can_fork() else "spawn")
        self._workers: list[_Worker] = []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *exc_info) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker; at most ``size`` have one."""
        worker = next((w for w in self._workers if w.task is None), None)
        if worker is None:
            worker = _Worker(self._context)
            self._workers.append(worker)
        worker.begin(task)

    def finished(self) -> Sequence[tuple[Task, object]]:
        """Wait for results, and for the end of workers."""
        busy = {w.connection: w for w in self._workers if w.task is not None}
        ended = [(busy[c].task, busy[c].result()) for c in wait(list(busy))]
        self._workers = [w for w in self._workers if w.alive]
        return ended


class _Worker:
    """A process, its pipe, and the task that it has."""

    def __init__(self, context):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _one_thread_each():
            self.process.start()
        theirs.close()
        self.task: Task | None = None
        self.alive = True

    def begin(self, task: Task) -> None:
        self.task = task
        try:
            self.connection.send((task.function, task.arguments))
        except (BrokenPipeError, ConnectionError):
            return  # it died idle; `result` finds that out

    def result(self) -> object:
        try:
            found = self.connection.recv()
        except (EOFError, ConnectionError):
            self.process.join(5)
            self.alive = False
            self.end()
            return Failed((f"the worker process died while it had this task ({_how(self.process.exitcode)})",))
        self.task = None
        return found

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def _how(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else f"signal {-exitcode}"
        return f"{name}; out of memory, a crash, or ended by someone" if name == "SIGKILL" else name
    return f"exit code {exitcode}"


def _serve(connection: Connection) -> None:
    """A worker's life: a call, its result, and the next, until there is nobody to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run that started this process ends it
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    while True:
        try:
            function, arguments = connection.recv()
            connection.send(attempt(function, arguments))
        except (EOFError, ConnectionError):
            return


def _end_with_the_run() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


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
