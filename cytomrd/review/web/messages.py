"""Messages to open windows: who kept what, so that no two windows on one sample drift apart unseen."""

from __future__ import annotations

import contextlib
import json

from tornado.web import HTTPError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from cytomrd.review.web.handlers import Guarded

__all__ = ["Messages"]


class Messages(Guarded, WebSocketHandler):
    """A line to one window. The window listens; what it sends is ignored."""

    def prepare(self) -> None:
        """As every request, and always from the page itself: browsers send an Origin with it."""
        super().prepare()
        if self.request.headers.get("Origin") is None:
            raise HTTPError(403, reason="Refused: the request does not say which page it comes from")

    def check_origin(self, origin: str) -> bool:
        """Only the server's own page."""
        return self.desk.address.is_own(origin)

    def open(self) -> None:
        """Keep the window."""
        self.desk.windows.add(self)

    def on_message(self, message: str | bytes) -> None:
        """Nothing is asked by this line."""

    def on_close(self) -> None:
        """Forget the window."""
        self.desk.windows.discard(self)

    def send(self, message: dict[str, object]) -> None:
        """Send a message, unless the window was just closed."""
        with contextlib.suppress(WebSocketClosedError):
            self.write_message(json.dumps(message))
