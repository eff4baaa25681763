"""What every answer of the server has in common, and the pages: sign in, the page itself, its assets."""

from __future__ import annotations

import asyncio
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import ClassVar

from tornado.web import HTTPError, RequestHandler

from cytomrd import __version__
from cytomrd.errors import IdentityError
from cytomrd.report.page import asset, environment, last_part
from cytomrd.review.web.desk import Desk
from cytomrd.review.web.security import HEADERS, Session

__all__ = ["Asset", "Guarded", "Leave", "Nowhere", "Page", "SignIn"]

# A wrong token costs the one who tries it so long; with 128 bits and more to guess that is a courtesy to the log.
WRONG_TOKEN_S = 0.5
KINDS = {"css": "text/css", "js": "text/javascript"}


class Guarded(RequestHandler):
    """A handler that answers only to its own name, its own page and a person who has signed in."""

    needs_session: ClassVar[bool] = True

    def initialize(self, desk: Desk) -> None:
        """Take what all handlers share."""
        self.desk = desk
        self.session: Session | None = None

    def set_default_headers(self) -> None:
        """Nothing loads or runs but what is the page's own; nothing is kept in a cache."""
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse other names, other origins, and requests of nobody."""
        request = self.request
        if not self.desk.address.answers_to(request.host):
            raise HTTPError(421, reason="This server does not answer to that name")
        origin = request.headers.get("Origin")
        if self._from_elsewhere() or (origin is not None and not self.desk.address.is_own(origin)):
            raise HTTPError(403, reason="Refused: the request comes from another page")
        if request.method != "GET" and origin is None:
            raise HTTPError(403, reason="Refused: the request does not say which page it comes from")
        self.session = self.desk.sessions.get(self.get_cookie(self.desk.cookie))
        if self.needs_session and self.session is None:
            self.not_signed_in()

    def _from_elsewhere(self) -> bool:
        """Whether a browser says that another site asks; a link that somebody follows is none of that."""
        headers = self.request.headers
        follows = self.request.method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"
        frame = headers.get("Sec-Fetch-Dest", "document") != "document"
        return headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and (not follows or frame)

    def not_signed_in(self) -> None:
        """What a request of nobody gets."""
        raise HTTPError(401, reason="Sign in first")

    def write_error(self, status_code: int, **details) -> None:
        """A short plain answer; no traceback and no path leaves the server."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code} {self._reason}\n")

    def give_cookie(self, key: str) -> None:
        """The session's key, where no script can read it and no other site can send it."""
        secure = self.desk.address.tls
        self.set_cookie(self.desk.cookie, key, httponly=True, samesite="Strict", secure=secure, path="/")


class Nowhere(Guarded):
    """Any other address, for anybody."""

    needs_session = False

    def prepare(self) -> None:
        """Not here."""
        super().prepare()
        raise HTTPError(404)


class SignIn(Guarded):
    """The token goes in once, by the form; what stays in the browser is the key of a session."""

    needs_session = False

    def get(self) -> None:
        """The form."""
        self.finish(_page("sign_in.html.j2", refused=""))

    async def post(self) -> None:
        """Take a token: a session for the right one, a pause for a wrong one."""
        token = self.get_body_argument("token", "")[:500]
        try:
            person = await self.desk.off_loop(self.desk.run.people.identify, token)
        except IdentityError:
            await asyncio.sleep(WRONG_TOKEN_S)
            self.set_status(403)
            self.finish(_page("sign_in.html.j2", refused="This token is not known here."))
            return
        self.give_cookie(self.desk.sessions.open(person))
        self.redirect("/", status=HTTPStatus.SEE_OTHER)


class Leave(Guarded):
    """Sign out."""

    def post(self) -> None:
        """End the session."""
        if self.get_body_argument("csrf", "") != self.session.csrf:
            raise HTTPError(403, reason="Refused: the request does not come from the page")
        self.desk.sessions.close(self.get_cookie(self.desk.cookie))
        self.clear_cookie(self.desk.cookie, path="/")
        self.redirect("/sign-in", status=HTTPStatus.SEE_OTHER)


class Page(Guarded):
    """The page: a frame that its script fills."""

    def not_signed_in(self) -> None:
        """To the form; a fragment of the address, with a token in it, goes along in the browser."""
        self.redirect("/sign-in", status=HTTPStatus.SEE_OTHER)

    def get(self) -> None:
        """The frame, with the session's word for the script's requests."""
        self.finish(
            _page(
                "review.html.j2",
                csrf=self.session.csrf,
                title=last_part(str(self.desk.run.folder.absolute())) or "run",
                person=self.session.person.name,
                role=self.session.person.role,
            )
        )


class Asset(Guarded):
    """Style and scripts, by name from a table: no path of a request ever reaches the disk."""

    needs_session = False

    def get(self, name: str) -> None:
        """One of them."""
        content = assets().get(name)
        if content is None:
            raise HTTPError(404)
        self.set_header("Content-Type", f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8")
        self.finish(content)


@cache
def assets() -> dict[str, str]:
    """Every script and style sheet, the report's own style among them: page and report look alike."""
    folder = files("cytomrd.review.web") / "static"
    found = {f.name: f.read_text("utf-8") for f in folder.iterdir() if f.name.rpartition(".")[2] in KINDS}
    return found | {"report.css": asset("report.css")}


def _page(template: str, **values: str) -> str:
    return environment("cytomrd.review.web").get_template(template).render(version=__version__, **values)
