"""The start page, signing in with a token, signing out, and the language."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request, session, url_for

from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.language import LANGUAGES
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import page, show, to

if TYPE_CHECKING:
    from server.pages.frame.sessions import Session


@page("/")
def start() -> Any:
    """Show what this is, or what waits for whoever has signed in."""
    if not session.is_signed_in:  # type: ignore[attr-defined]
        return show("welcome.html")
    match session.get("role"):
        case "researcher":
            return show("researcher/start_researcher.html", studies=calling.get("studies", limit=100)["items"])
        case _:
            return show("start.html")


@page("/sign-in", methods=("GET", "POST"))
def sign_in() -> Any:
    """Sign in with a token."""
    refusal = None
    if request.method == "POST":
        begun: Session = session  # type: ignore[assignment]
        begun.begin(token=request.form.get("token", "").strip())
        try:
            me = calling.get("me")
        except Refused as error:
            begun.begin()
            refusal = error
        else:
            session.update(name=me["name"], role=me["role"])
            return redirect(_local(request.args.get("next")), HTTPStatus.SEE_OTHER)
    response = show("sign_in.html", refusal=refusal)
    response.status_code = HTTPStatus.OK if refusal is None else refusal.status
    return response


@page("/sign-out", methods=("POST",))
def sign_out() -> Any:
    """End the session."""
    begun: Session = session  # type: ignore[assignment]
    begun.begin()
    flash(_("You have signed out."), "done")
    return to("start")


@page("/language", methods=("POST",))
def choose_language() -> Any:
    """Switch the language of the pages."""
    chosen = request.form.get("language")
    if chosen in LANGUAGES:
        session["language"] = chosen
    return redirect(_local(request.form.get("next")), HTTPStatus.SEE_OTHER)


def _local(address: str | None) -> str:
    """Return an address of this server. Browsers take `//host`, also with a backslash, for another one."""
    if address is None or not address.startswith("/") or address[1:2] in ("/", "\\") or not address.isprintable():
        return url_for("pages.start")
    return address
