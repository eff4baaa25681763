"""What all handlers share: the run, who is signed in, the threads that work, the windows that listen."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cytomrd.review.run import ReviewRun
from cytomrd.review.web.security import Address, Sessions

__all__ = ["Desk"]

T = TypeVar("T")


class Desk:
    """The server's state.

    Parameters
    ----------
    run
        The run that is reviewed.
    address
        Where the server listens.
    """

    def __init__(self, run: ReviewRun, address: Address):
        self.run, self.address = run, address
        self.sessions = Sessions()
        # Browsers share cookies among the ports of a host: the name keeps two servers apart.
        self.cookie = f"cytomrd-review-{address.port}"
        self.windows: set = set()
        self._loop = asyncio.get_running_loop()
        # A sample is worked on by one request at a time anyway; waiting here, one that is no longer wanted can leave.
        self.turns = {sample_id: asyncio.Lock() for sample_id in run.samples}
        # A person waits for one thing at a time; a few threads more than cores keep looks at the trail from waiting.
        self._pool = ThreadPoolExecutor(max(4, os.cpu_count() or 1), thread_name_prefix="review")

    async def off_loop(self, work: Callable[..., T], *arguments, **named) -> T:
        """Do what takes time in a thread, so that the server answers others meanwhile."""
        return await self._loop.run_in_executor(self._pool, lambda: work(*arguments, **named))

    def tell(self, message: dict[str, object]) -> None:
        """Send a message to every window, from any thread."""
        self._loop.call_soon_threadsafe(self._send, message)

    def _send(self, message: dict[str, object]) -> None:
        for window in tuple(self.windows):
            window.send(message)

    def close(self) -> None:
        """Let the threads end; what they keep is kept."""
        self._pool.shutdown(wait=True, cancel_futures=True)
