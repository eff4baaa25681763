"""``cytomrd review`` serves a run to the browsers of the people who review it."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from cytomrd.errors import ReviewError
from cytomrd.fcs.text import printable
from cytomrd.review.run import ReviewRun
from cytomrd.review.web.api import Reads, Writes
from cytomrd.review.web.desk import Desk
from cytomrd.review.web.handlers import Asset, Leave, Nowhere, Page, SignIn
from cytomrd.review.web.messages import Messages
from cytomrd.review.web.security import Address, check_address

__all__ = ["listening", "make_application", "serve"]

# The largest request is a gate of some hundred corners.
MAX_REQUEST_BYTES = 256 * 1024
log = logging.getLogger("cytomrd")


def make_application(desk: Desk) -> Application:
    """The pages and what their scripts ask for."""
    shared = {"desk": desk}
    return Application(
        [
            (r"/", Page, shared),
            (r"/sign-in", SignIn, shared),
            (r"/leave", Leave, shared),
            (r"/static/([a-z_]+\.(?:js|css))", Asset, shared),
            (r"/read/([a-z]+)", Reads, shared),
            (r"/write/([a-z]+)", Writes, shared),
            (r"/messages", Messages, shared),
        ],
        default_handler_class=Nowhere,
        default_handler_args=shared,
        websocket_ping_interval=30,
        websocket_max_message_size=4096,
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """Refusals for who looks for them; addresses hold nothing but names of pages."""
    if handler.get_status() >= 400:
        log.info("%d %s %s", handler.get_status(), handler.request.method, printable(handler.request.path[:200]))


def serve(
    run: ReviewRun,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    certificate: Path | None = None,
    key: Path | None = None,
    name: str = "",
    ready: Callable[[Address], None] | None = None,
) -> None:
    """Serve a run until interrupted.

    Parameters
    ----------
    run
        The run.
    host, port
        Where to listen; without a certificate on this machine alone. Port 0 takes a free one.
    certificate, key
        PEM files for TLS.
    name
        The host name by which others reach the server.
    ready
        Called with the address once the server listens.

    Raises
    ------
    ReviewError
        If ``host`` is open to others without TLS, the port is taken, or the certificate cannot be read.
    """
    address = check_address(host, port, certificate=certificate, name=name)
    context = _tls(certificate, key) if certificate is not None else None
    asyncio.run(_serve(run, address, context, ready))


def _tls(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ReviewError(
            f"the certificate {certificate} with key {key or certificate} cannot be used: {error}"
        ) from error
    return context


async def _serve(
    run: ReviewRun, address: Address, context: ssl.SSLContext | None, ready: Callable[[Address], None] | None
) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for what in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(what, ended.set)
    async with listening(run, address, context) as desk:
        if ready is not None:
            ready(desk.address)
        await ended.wait()


@asynccontextmanager
async def listening(run: ReviewRun, address: Address, context: ssl.SSLContext | None = None) -> AsyncIterator[Desk]:
    """A server that listens as long as the block lasts; work that has begun is ended first."""
    try:
        sockets = bind_sockets(address.port, address=address.host)
    except OSError as error:
        raise ReviewError(f"port {address.port} of {address.host} cannot be opened: {error.strerror}") from error
    desk = Desk(run, address.bound_to(sockets[0].getsockname()[1]))
    server = HTTPServer(make_application(desk), ssl_options=context, max_body_size=MAX_REQUEST_BYTES)
    server.add_sockets(sockets)
    try:
        yield desk
    finally:
        server.stop()
        await server.close_all_connections()
        desk.close()
