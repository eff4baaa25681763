"""A review server for tests, in a thread of its own, and a client that sends exactly what it is told to."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
from contextlib import contextmanager
from urllib.parse import urlencode

from cytomrd.review.server import listening
from cytomrd.review.web.security import Address


@contextmanager
def serving(run):
    """Serve a run; yields the desk, with its address."""
    started, ended, held = threading.Event(), None, {}

    async def serve():
        nonlocal ended
        ended = asyncio.Event()
        async with listening(run, Address("127.0.0.1", 0)) as desk:
            held.update(desk=desk, loop=asyncio.get_running_loop())
            started.set()
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(30)
    try:
        yield held["desk"]
    finally:
        held["loop"].call_soon_threadsafe(ended.set)
        thread.join(30)


class Client:
    """A browser without a page: keeps its cookie and the page's word, sends its Origin."""

    def __init__(self, desk, token: str | None = None):
        self.address, self.cookie, self.csrf = desk.address, "", ""
        self.origin = desk.address.url.rstrip("/")
        if token is not None:
            self.sign_in(token)

    def send(self, method: str, path: str, body: str | None = None, **headers: str | None):
        """Send a request; a header given as None is left out. Gives (status, headers, text)."""
        given = {"Cookie": self.cookie or None, "Origin": self.origin if method != "GET" else None}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.address.host, self.address.port, timeout=120)
        connection.putrequest(method, path, skip_host="Host" in given, skip_accept_encoding=True)
        data = body.encode("utf-8") if body is not None else b""
        for name, value in given.items():
            if value is not None:
                connection.putheader(name, value)
        if method != "GET":
            connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8")
        connection.close()
        return answer.status, answer.headers, text

    def sign_in(self, token: str) -> int:
        """Sign in by the form, and read the page's word."""
        status, headers, _ = self.send(
            "POST", "/sign-in", urlencode({"token": token}), Content_Type="application/x-www-form-urlencoded"
        )
        if status == 303:
            self.cookie = headers["Set-Cookie"].partition(";")[0]
            self.csrf = re.search(r'name="csrf" content="([^"]+)"', self.send("GET", "/")[2])[1]
        return status

    def ask(self, path: str, body: object = None, **headers: str | None):
        """Ask as the page's script does: (status, what came back)."""
        sent = {"Content_Type": "application/json", "X_Csrf_Token": self.csrf} | headers
        status, _, text = self.send("POST", path, json.dumps(body if body is not None else {}), **sent)
        return status, json.loads(text)
