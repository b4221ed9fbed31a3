"""What all pages share: who may see one, how it is rendered, and what happens where the API refuses.

`page` registers a page for some roles. Its function returns `show(template, ...)`, or where to go next. It may let
`Refused` pass: the user then sees the API's words on an error page, or signs in again.
"""

from __future__ import annotations

import functools
import gzip
import importlib.metadata
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from flask import Blueprint, current_app, flash, redirect, render_template, request, session, url_for

from budgets.errors import Forbidden
from server.errors import Unauthenticated
from server.pages.frame import keeping, same_site
from server.pages.frame.calling import Refused, credentials
from server.pages.frame.entering import enter
from server.pages.frame.language import translated as _
from server.web import auth, forbidden, problems
from server.web.auth import services

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Response
    from werkzeug.wrappers import Response as BaseResponse

    P = ParamSpec("P")
    R = TypeVar("R")

blueprint = Blueprint(
    "pages", "server.pages", template_folder="templates", static_folder="static", static_url_path="/static"
)

PACKED = ("text/css", "text/javascript", "image/svg+xml")
VERSION = importlib.metadata.version("rowless")
ROLES = ("researcher", "admin", "approver", "dpo")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def page(rule: str, *roles: str, methods: tuple[str, ...] = ("GET",)) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Register a page: for whoever has one of the roles, or for anyone where none is named."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            same_site.require(request, services().settings.public_url)
            token = keeping.take(request) if roles and request.method == "POST" else None
            wrong = enter(token) if token else None
            if wrong is not None:
                return sign_in_again(wrong)
            if roles and not session.is_signed_in:  # type: ignore[attr-defined]
                return to_sign_in()
            if roles and session.get("role") not in roles:
                _forbid()
            return view(*args, **kwargs)

        blueprint.add_url_rule(rule, view_func=guarded, methods=list(methods))
        return view

    return decorate


def _forbid() -> NoReturn:
    """Refuse a page that is not for the user's role, as an entry of the log like a call of the API. Raises Refused."""
    try:
        found = auth.user_of(credentials())
    except Unauthenticated as error:
        raise Refused(problems.document_of(error)) from None
    with suppress(Forbidden), forbidden.recorded(services(), found.actor):
        raise Forbidden("this page is for another role")
    raise Refused({"status": 403, "code": "forbidden", "title": _("Your role does not allow this")})


def show(template: str, **values: Any) -> Response:
    """Return a page."""
    return protected(current_app.make_response(render_template(template, **values)))


def show_refused(template: str, refusal: Refused | None, /, **values: Any) -> Response:
    """Return a page with the status of a refusal, if there was one, and when to come again."""
    response = show(template, **values)
    if refusal is not None:
        response.status_code = refusal.status
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = refusal.retry_after
    return response


def refused(error: Refused) -> BaseResponse:
    """Return the page for a call that was refused, or the way to sign in where the session has ended."""
    if error.status == HTTPStatus.UNAUTHORIZED and "HX-Request" in request.headers:
        # The page that asked stays as it is, with all that was typed, until its form is sent.
        return protected(current_app.make_response(("", HTTPStatus.UNAUTHORIZED)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        if not keeping.kept():
            flash(_("Your session has ended. Sign in again."), "warning")
        return to_sign_in()
    return show_refused("refused.html", error, refusal=error)


def to_sign_in() -> BaseResponse:
    """Return the way to the sign-in page and back to this page, or, after a form, a page that keeps what was typed."""
    _leave()
    if keeping.kept():
        return sign_in_again()
    back = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("pages.sign_in", next=None if back == "/" else back), HTTPStatus.SEE_OTHER)


def sign_in_again(wrong: Refused | None = None) -> BaseResponse:
    """Return the page on which whoever sent a form signs in and goes on with it. Nothing of the form was done."""
    response = show_refused("sign_in_again.html", wrong, wrong=wrong)
    if wrong is None:
        response.status_code = HTTPStatus.UNAUTHORIZED
    return response


def _leave() -> None:
    for name in ("token", "subject", "name", "role", "study", "reads_only"):
        session.pop(name, None)


def to(endpoint: str, **values: Any) -> BaseResponse:
    """Return the way to another page after something was done: the browser GETs it."""
    return redirect(url_for(f"pages.{endpoint}", **values), HTTPStatus.SEE_OTHER)


def local(address: str | None) -> str:
    """Return an address of this server. Browsers take `//host`, also with a backslash, for another one."""
    if address is None or not address.startswith("/") or address[1:2] in ("/", "\\") or not address.isprintable():
        return url_for("pages.start")
    return address


def protected(response: Response) -> Response:
    """Return a page with its headers: what it may load, and that its forms say where they come from."""
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Referrer-Policy"] = "same-origin"
    return response


@blueprint.app_url_defaults
def _version_files(endpoint: str, values: dict[str, Any]) -> None:
    if endpoint == "pages.static":
        values["v"] = VERSION


@blueprint.after_request
def _cache_files(response: Response) -> Response:
    # An address with this version of the package never has another file under it.
    is_kept = request.endpoint == "pages.static" and response.status_code == HTTPStatus.OK
    if is_kept and request.args.get("v") == VERSION:
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if request.endpoint == "pages.static" and response.status_code == HTTPStatus.OK:
        _pack(response)
    return response


def _pack(response: Response) -> None:
    """Send a file compressed to a browser that takes it. Pages are not: their length would tell of secrets in them."""
    response.vary.add("Accept-Encoding")
    if not request.accept_encodings["gzip"] or response.mimetype not in PACKED:
        return
    response.direct_passthrough = False
    opened: Any = response.response
    opened.close()
    response.set_data(_packed(str((request.view_args or {})["filename"])))
    response.headers["Content-Encoding"] = "gzip"
    response.headers.pop("ETag", None)  # it names the file as it is


@functools.cache
def _packed(name: str) -> bytes:
    assert blueprint.static_folder is not None
    return gzip.compress(Path(blueprint.static_folder, name).read_bytes(), mtime=0)
