"""Who may review a run: names, roles, and a token each, of which only a salted hash is kept."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cytomrd.errors import IdentityError, ReviewError
from cytomrd.fcs.text import printable
from cytomrd.run.sealed import storage_errors, sync_path
from cytomrd.run.staging import staged_file

__all__ = ["ROLES", "People", "Person"]

ROLES = ("analyst", "reviewer")
# Work of one guess: 16 MB and some 50 ms. Tokens are long random numbers, so that is for the worst case alone.
SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
TOKEN_BYTES, SALT_BYTES = 24, 16
MAX_NAME = 100
UNKNOWN = "name or token is not right"


@dataclass(frozen=True)
class Person:
    """A person as the trail names them."""

    name: str
    role: str


@dataclass(frozen=True)
class _Known:
    name: str
    role: str
    salt: str
    hash: str

    @property
    def person(self) -> Person:
        return Person(self.name, self.role)

    def holds(self, token: str) -> bool:
        return hmac.compare_digest(_hash(token, bytes.fromhex(self.salt)), bytes.fromhex(self.hash))


# Stands in for people who are not there, so that an unknown name takes as long as a wrong token.
_NOBODY = _Known("", "", "00" * SALT_BYTES, "00" * SCRYPT["dklen"])


class People:
    """The people of one run.

    Parameters
    ----------
    path
        A JSON file that only its owner may read; made with the first person.
    """

    def __init__(self, path: Path):
        self.path = Path(path)

    def everyone(self) -> tuple[Person, ...]:
        """All of them, in the order in which they were added."""
        return tuple(k.person for k in self._known())

    def add(self, name: str, role: str) -> str:
        """Add a person; returns the token, which is kept nowhere and cannot be shown again.

        Raises
        ------
        ReviewError
            If the name is there already, or is no name; if there is no such role.
        """
        name = _checked_name(name)
        if role not in ROLES:
            raise ReviewError(f"role {role!r}; allowed are {', '.join(ROLES)}")
        token, added = _new(name, role)

        def with_another(known: tuple[_Known, ...]) -> tuple[_Known, ...]:
            if any(k.name.casefold() == name.casefold() for k in known):
                raise ReviewError(f"{name} is there already; --renew gives a person another token")
            return (*known, added)

        self._change(with_another)
        return token

    def renew(self, name: str) -> str:
        """Give a person another token; the one before opens nothing any more.

        Raises
        ------
        ReviewError
            If there is no such person.
        """
        role = next((p.role for p in self.everyone() if p.name == name), None)
        if role is None:
            there = ", ".join(p.name for p in self.everyone())
            raise ReviewError(f"there is no {printable(name, MAX_NAME)}; there are: {there}")
        token, renewed = _new(name, role)
        self._change(lambda known: tuple(renewed if k.name == name else k for k in known))
        return token

    def _change(self, change: Callable[[tuple[_Known, ...]], tuple[_Known, ...]]) -> None:
        from filelock import FileLock

        with storage_errors(self.path), FileLock(self.path.with_name(f".{self.path.name}.lock")):
            known = change(self._known())
            with staged_file(self.path) as stage:
                stage.touch(mode=0o600)
                stage.write_text(json.dumps([asdict(k) for k in known], indent=1), "utf-8")
                sync_path(stage)

    def verify(self, name: str, token: str) -> Person:
        """The person of that name, if the token is theirs.

        Raises
        ------
        IdentityError
            If it is not; whether the name or the token is wrong is not said.
        """
        known = next((k for k in self._known() if k.name == name), _NOBODY)
        if not known.holds(token) or known is _NOBODY:
            raise IdentityError(UNKNOWN)
        return known.person

    def identify(self, token: str) -> Person:
        """The person whose token this is.

        Raises
        ------
        IdentityError
            If it is nobody's.
        """
        found = [k.person for k in (*self._known(), _NOBODY) if k.holds(token)]
        if not found:
            raise IdentityError(UNKNOWN)
        return found[0]

    def _known(self) -> tuple[_Known, ...]:
        try:
            rows = json.loads(self.path.read_text("utf-8"))
            return tuple(_Known(**row) for row in rows)
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, TypeError) as error:
            raise ReviewError(f"{self.path}: the list of people cannot be read: {error}") from error


def _new(name: str, role: str) -> tuple[str, _Known]:
    token, salt = secrets.token_urlsafe(TOKEN_BYTES), secrets.token_bytes(SALT_BYTES)
    return token, _Known(name, role, salt.hex(), _hash(token, salt).hex())


def _checked_name(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > MAX_NAME or printable(name) != name:
        raise ReviewError(f"{printable(name)!r} is no name: 1 to {MAX_NAME} characters, all of them visible")
    return name


def _hash(token: str, salt: bytes) -> bytes:
    return hashlib.scrypt(token.encode("utf-8", "replace"), salt=salt, **SCRYPT)
