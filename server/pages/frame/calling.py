"""How a page asks the API: by a request inside the process, on behalf of the session's user.

A page shows only what the API answers to its user, and does only what the API does for them. There is no second way to
the data, the ledger or the log: sign-in, roles, limits, admission, the response slot and the log's entries are those of
the API call. The request goes to the application itself, not over a socket.
"""

from __future__ import annotations

import contextvars
import json
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from flask import current_app, request, session

from budgets.audit import origin
from server.errors import ServerError
from server.pages.frame import keeping
from server.pages.frame.language import translated as _
from server.web import auth, throttling
from server.web.problems import RETRY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flask import Flask, Response

PREFIX = "/api/v1"
LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
KEPT = "kept"  # the code of what is no refusal of the API: a form is shown once more, and nothing was sent
# What the request of a page hands on to the call: where it came from, and whether its sender is still there.
HANDED_ON = (
    "REMOTE_ADDR",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.url_scheme",
    "wsgi.errors",
    "waitress.client_disconnected",
)


class Refused(ServerError):
    """The API refused a call. `problem` is its problem document."""

    def __init__(self, problem: Mapping[str, Any], retry_after: str | None = None) -> None:
        super().__init__(str(problem.get("detail") or problem.get("title")))
        self.problem = problem
        self._retry_after = retry_after

    @property
    def retry_after(self) -> str | None:
        """Return when to come again, in seconds, where the server has no time for it now."""
        return (self._retry_after or str(RETRY_SECONDS)) if self.status in LATER else None

    @property
    def status(self) -> int:
        """Return the problem's HTTP status."""
        return int(self.problem["status"])

    @property
    def code(self) -> str:
        """Return the problem's code."""
        return str(self.problem["code"])

    @property
    def pointer(self) -> str:
        """Return the place in the body that is wrong, or an empty text."""
        return str(self.problem.get("pointer", ""))

    def findings(self) -> list[tuple[str, str]]:
        """Return each finding as its place in the body, and the API's words."""
        several = [(str(one["pointer"]), str(one["detail"])) for one in self.problem.get("errors", ())]
        return several or [(self.pointer, str(self))]

    def at(self, pointer: str) -> list[str]:
        """Return what the API says of a place in the body, and of all that is below it."""
        return [words for place, words in self.findings() if place == pointer or place.startswith(f"{pointer}/")]

    def elsewhere(self, pointers: Sequence[str]) -> list[str]:
        """Return what the API says of none of these places."""
        told = {words for pointer in pointers for words in self.at(pointer)}
        return [words for _, words in self.findings() if words not in told]


@dataclass(frozen=True)
class Answer:
    """What the API answered: the body as it was sent, and its media type."""

    body: bytes
    content_type: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        """Return the body as JSON values."""
        return json.loads(self.body)


def nowhere() -> Refused:
    """Return the refusal of an address that leads nowhere."""
    return Refused({"status": 404, "code": "not-found", "title": _("This does not exist")})


def path(*names: str) -> str:
    """Return a path of the API, as WSGI writes it. Raises Refused for a name that would lead elsewhere."""
    if any("/" in name or name in ("", ".", "..") for name in names):
        raise nowhere()
    return "".join(f"/{name}" for name in names).encode(errors="surrogatepass").decode("latin-1")


def get(*names: str, **query: Any) -> Any:
    """Return the JSON that the API answers to a GET. Raises Refused."""
    return call("GET", *names, query=query).json


def every(*names: str, **query: Any) -> list[Any]:
    """Return all items of a list, whatever its number of pages. Raises Refused."""
    found, cursor = [], None
    while True:
        page = get(*names, cursor=cursor, **query)
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return found


def post(*names: str, body: Any = None, is_free: bool = False) -> Any:
    """Return the JSON that the API answers to a POST. Raises Refused."""
    return call("POST", *names, body=body, is_free=is_free).json


def call(
    method: str,
    *names: str,
    body: Any = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    is_part: bool = False,
    is_free: bool = False,
) -> Answer:
    """Return what the API answers to the session's user. Raises Refused.

    Where a form is only shown once more (`keeping.py`), a call that changes something is not made, and what is raised
    says so. One that `is_free` changes nothing, though it has a body.

    A call that is a part of a larger work does not count against the rates: how often that work is done has a limit.
    """
    if keeping.is_again() and method != "GET" and not is_free:
        raise Refused({"status": HTTPStatus.OK, "code": KEPT, "title": _("What you typed is here again")})
    app: Flask = current_app
    wanted = {name: value for name, value in (query or {}).items() if value is not None}
    environ = _environ(method, PREFIX + path(*names), urlencode(wanted), body, headers or {})
    if is_part:
        environ[throttling.PART] = True
    # The call has contexts of its own: nothing that it notes of its request stays in that of the page.
    response: Response = contextvars.copy_context().run(_dispatch, app, environ)
    if response.status_code >= 400:
        raise Refused(response.get_json(), response.headers.get("Retry-After"))
    return Answer(response.get_data(), response.content_type or "", dict(response.headers))


def _environ(method: str, where: str, query: str, body: Any, headers: Mapping[str, str]) -> dict[str, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    environ: dict[str, Any] = {name: request.environ[name] for name in HANDED_ON if name in request.environ}
    environ |= {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": where,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.input": BytesIO(sent),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "CONTENT_LENGTH": str(len(sent)),
        "HTTP_X_REQUEST_ID": origin.request_id.get() or "",
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    if body is not None:
        environ["CONTENT_TYPE"] = "application/json"
    return environ if "Authorization" in headers else environ | credentials()


def credentials() -> dict[str, Any]:
    """Return what a WSGI environment has to name the session's user."""
    if "token" in session:
        return {"HTTP_AUTHORIZATION": f"Bearer {session['token']}"}
    if "subject" in session:
        return {auth.SESSION: auth.Vouched(session["subject"], session["expires_at"])}
    return {}


def limited_to() -> str | None:
    """Return the study that the session's token is limited to, or None.

    A page asks nothing for such a token that is beyond the study: each such call would be a refusal in the log.
    """
    found: str | None = session.get("study")
    return found


def _dispatch(app: Flask, environ: dict[str, Any]) -> Response:
    with app.app_context(), app.request_context(environ):
        return app.full_dispatch_request()
