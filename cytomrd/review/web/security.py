"""Who may speak to the server: where it listens, the names it answers to, its own page's origin, sessions."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from cytomrd.errors import ReviewError
from cytomrd.review.people import Person

__all__ = ["HEADERS", "Address", "Session", "Sessions", "check_address"]

SESSION_S = 12 * 3600.0

# Scripts, styles and data come from this server alone, and nothing on the page runs what a file wrote.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # without any, a form's own Origin would be null
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Address:
    """Where the server listens, and by which origin its own page speaks to it.

    Attributes
    ----------
    host, port
        The interface and port.
    tls
        Whether the server holds a certificate.
    name
        The name under which others reach it; only with TLS.
    """

    host: str
    port: int
    tls: bool = False
    name: str = ""

    @property
    def origins(self) -> frozenset[str]:
        """Every origin that is this server's own."""
        scheme = "https" if self.tls else "http"
        names = {f"[{self.host}]" if ":" in self.host else self.host}
        if is_loopback(self.host):
            names.add("localhost")
        if self.name:
            names.add(self.name)
        default = 443 if self.tls else 80
        suffixes = {f":{self.port}"} | ({""} if self.port == default else set())
        return frozenset(f"{scheme}://{name}{suffix}" for name in names for suffix in suffixes)

    @property
    def url(self) -> str:
        """What to open in a browser."""
        name = self.name or (f"[{self.host}]" if ":" in self.host else self.host)
        return f"{'https' if self.tls else 'http'}://{name}:{self.port}/"

    def answers_to(self, host: str) -> bool:
        """Whether a Host header names this server: another name that leads here (DNS rebinding) is refused."""
        return f"{'https' if self.tls else 'http'}://{host.lower()}" in self.origins

    def is_own(self, origin: str | None) -> bool:
        """Whether an Origin header is that of this server's own page."""
        return origin is not None and origin.lower() in self.origins

    def bound_to(self, port: int) -> Address:
        """The same with the port that the system gave."""
        return replace(self, port=port)


def is_loopback(host: str) -> bool:
    """Whether an interface is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(host: str, port: int, *, certificate: object = None, name: str = "") -> Address:
    """The address to listen on, refused where others could listen in.

    Raises
    ------
    ReviewError
        If ``host`` is reached from other machines and there is no certificate.
    """
    if not is_loopback(host) and certificate is None:
        raise ReviewError(
            f"--host {host} is reached from other machines, and without TLS they would read tokens and results; "
            f"give --certificate and --key, or leave --host out to stay on this machine (127.0.0.1)"
        )
    if host in ("0.0.0.0", "::") and not name:
        raise ReviewError(f"--host {host} listens on every address; give --name, the host name that others will type")
    if name and urlsplit(f"//{name}").netloc != name:
        raise ReviewError(f"--name {name!r} is no host name, such as flow.lab.example")
    return Address("127.0.0.1" if host == "localhost" else host, port, certificate is not None, name.lower())


@dataclass(frozen=True)
class Session:
    """One window's sign-in: the person, and the word that each of its requests must carry (against forgery)."""

    person: Person
    csrf: str
    expires: float


class Sessions:
    """Sign-ins held in memory: they end with the server, and no file holds them."""

    def __init__(self, *, lifetime_s: float = SESSION_S, clock: Callable[[], float] = time.monotonic):
        self._held: dict[str, Session] = {}
        self._lifetime_s, self._clock = lifetime_s, clock

    def open(self, person: Person) -> str:
        """Begin a session; the key goes into the cookie."""
        now = self._clock()
        self._held = {key: s for key, s in self._held.items() if s.expires > now}
        key = secrets.token_urlsafe(32)
        self._held[key] = Session(person, secrets.token_urlsafe(32), now + self._lifetime_s)
        return key

    def get(self, key: str | None) -> Session | None:
        """The session of a key, None where there is none or its time is over."""
        session = self._held.get(key or "")
        return session if session is not None and session.expires > self._clock() else None

    def close(self, key: str | None) -> None:
        """End a session."""
        self._held.pop(key or "", None)
