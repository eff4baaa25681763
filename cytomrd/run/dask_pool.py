"""Workers of a Dask cluster: the same tasks, on other machines.

Each worker process has one task at a time, and a task stays with its worker: where the worker is lost its task has
failed, as with the workers of this machine. Dask's own ways of trying again would let one bad sample end every worker.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from urllib.parse import urlsplit

from cytomrd import __version__
from cytomrd.errors import RunError
from cytomrd.run.workers import Failed, Task, attempt

__all__ = ["DaskPool", "check_address"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
# What calls of Dask raise where the scheduler is gone.
LOST = (OSError, CancelledError)
POLL_S, FETCH_S, CONNECT_S, WITHOUT_WORKERS_S = 0.5, 5.0, 20.0, 120.0


def check_address(address: str) -> str:
    """A scheduler's address, if what goes there stays on this machine or is encrypted.

    Raises
    ------
    RunError
        If it is neither: anyone on the network could then run code as the workers' user.
    """
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme == "tls" or (parts.scheme == "tcp" and parts.hostname in LOOPBACK):
        return parts.geturl()
    raise RunError(
        f"scheduler {address}: allowed is tls://... (docs/clusters.md says how to set it up) or tcp:// on this machine "
        "(127.0.0.1): without TLS anyone on the network could run code on the workers"
    )


class DaskPool:
    """Workers of a running Dask scheduler; use it as a context manager.

    Parameters
    ----------
    address
        ``tls://host:port``, with the certificates of Dask's configuration, or ``tcp://127.0.0.1:port``.
    n_workers
        Use at most so many; all by default. Workers that join later are used too.
    folders
        Folders that every worker must see under the same path.

    Raises
    ------
    RunError
        If the scheduler cannot be reached, or a worker has another version or does not see a folder.
    """

    is_local = False

    def __init__(self, address: str, *, n_workers: int | None = None, folders: Sequence[Path] = ()):
        try:
            from distributed import Client
            from distributed.security import Security
        except ImportError:
            raise RunError("Dask is not installed; pip install 'cytomrd[dask]'") from None
        address = check_address(address)
        security = Security(require_encryption=True) if address.startswith("tls:") else None
        try:
            self._client = Client(address, security=security, timeout=CONNECT_S, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise RunError(f"scheduler {address}: cannot be reached: {error}") from error
        self._address = address
        self._most = n_workers
        self._folders = [str(f) for f in folders]
        self._running: dict[object, tuple[Task, str]] = {}
        self._checked: set[str] = set()

    def __enter__(self) -> DaskPool:
        return self

    def __exit__(self, *exc_info) -> None:
        with suppress(*LOST):
            self._client.cancel(list(self._running))
        self._client.close()

    @property
    def size(self) -> int:
        """Workers there are now; waits for one where there is none."""
        with self._scheduler_there():
            return len(self._some_workers())

    def _some_workers(self) -> list[str]:
        started = monotonic()
        while not (workers := self._workers()):
            if monotonic() - started > WITHOUT_WORKERS_S:
                raise RunError(
                    f"the scheduler has had no worker for {WITHOUT_WORKERS_S:.0f} s; start some, and run again"
                )
            self._wait(POLL_S)
        return workers

    def _workers(self) -> list[str]:
        there = sorted(self._known())
        new = [w for w in there if w not in self._checked]
        if new:
            found = self._client.run(_unfit, __version__, self._folders, workers=new, on_error="return")
            for worker, problem in found.items():
                if isinstance(problem, str) and problem:
                    raise RunError(f"worker {worker}: {problem}")
            self._checked.update(w for w, problem in found.items() if problem == "")
        there = [w for w in there if w in self._checked]
        return there if self._most is None else there[: self._most]

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker."""
        with self._scheduler_there():
            self._submit(task)

    def _submit(self, task: Task) -> None:
        busy = {worker for _, worker in self._running.values()}
        # Where an idle one was lost since `size` was asked, the task waits at one that works.
        worker = min(self._some_workers(), key=lambda w: w in busy)
        future = self._client.submit(attempt, task.function, task.arguments, workers=[worker], pure=False)
        self._running[future] = (task, worker)

    def finished(self) -> Sequence[tuple[Task, object]]:
        """Wait for results, and for the loss of workers."""
        with self._scheduler_there():
            return self._finished()

    @contextmanager
    def _scheduler_there(self) -> Iterator[None]:
        """Say of Dask's own errors within, which are never those of a task, that the scheduler was lost."""
        try:
            yield
        except LOST as error:
            raise RunError(
                f"scheduler {self._address}: was lost ({type(error).__name__}); finished samples are kept: run the "
                "same command again, on a scheduler or without"
            ) from error

    def _finished(self) -> Sequence[tuple[Task, object]]:
        while True:
            self._wait(POLL_S)
            ended = []
            for future, (task, worker) in list(self._running.items()):
                if not future.done() and self._is_there(worker):
                    continue
                del self._running[future]
                ended.append((task, _result(future, worker, self._is_there)))
            if ended:
                return ended

    def _is_there(self, worker: str) -> bool:
        return worker in self._known()

    def _known(self) -> Collection[str]:
        """Addresses of the workers; a client that has given the scheduler up knows of none, and raises nothing."""
        known = self._client.scheduler_info(n_workers=-1).get("workers")
        if known is None:
            raise ConnectionError("the client gave it up")
        return known

    def _wait(self, seconds: float) -> None:
        from distributed import wait

        if not self._running:
            sleep(seconds)
            return
        try:
            with self._client.as_current():
                wait(list(self._running), timeout=seconds, return_when="FIRST_COMPLETED")
        except TimeoutError:
            return


def _result(future, worker: str, is_there: Callable[[str], bool]) -> object:
    """What a task gave, or that it was lost: a worker that dies takes along a result that was not fetched yet."""
    while future.done():
        try:
            return future.result(timeout=FETCH_S)
        except TimeoutError:
            if not is_there(worker):
                break
        except Exception as error:  # what the cluster itself makes of a call; our own errors come as results
            return Failed((f"worker {worker}: {type(error).__name__}: {error}",))
    future.cancel()
    return Failed((f"the worker {worker} was lost while it had this task",))


def _unfit(version: str, folders: Sequence[str]) -> str:
    """On a worker: why it cannot be used, or nothing."""
    if version != __version__:
        return f"has cytomrd {__version__}, this is {version}: results would depend on the worker"
    missing = [f for f in folders if not Path(f).is_dir()]
    return f"does not see {missing[0]}; run and results must lie where all workers see them" if missing else ""
