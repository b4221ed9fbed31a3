"""The start page, signing in with a token, signing out, and the language."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request, session

from server.pages.admin.waiting import waiting
from server.pages.deciding import inbox
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.language import LANGUAGES
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import local, page, show, to
from server.pages.issuer import browsers

if TYPE_CHECKING:
    from server.pages.frame.sessions import Session


TOKEN_MAX = 200  # characters; a longer one is none of this server's, and would fit into no cookie


@page("/")
def start() -> Any:
    """Show what this is, or what waits for whoever has signed in."""
    if not session.is_signed_in:  # type: ignore[attr-defined]
        return show("welcome.html")
    match session.get("role"):
        case "admin":
            return show("admin/start_admin.html", **waiting())
        case "researcher":
            return show("researcher/start_researcher.html", studies=calling.get("studies", limit=100)["items"])
        case "approver" | "dpo":
            return inbox.start()
        case _:
            return show("start.html")


@page("/sign-in", methods=("GET", "POST"))
def sign_in() -> Any:
    """Sign in with a token."""
    refusal = None
    if request.method == "POST":
        begun: Session = session  # type: ignore[assignment]
        begun.begin(token=request.form.get("token", "").strip()[:TOKEN_MAX])
        try:
            me = calling.get("me")
        except Refused as error:
            begun.begin()
            refusal = error
        else:
            session.update(name=me["name"], role=me["role"], study=me["study"], reads_only=me["reads_only"])
            return redirect(local(request.args.get("next")), HTTPStatus.SEE_OTHER)
    response = show("sign_in.html", refusal=refusal, has_issuer=browsers() is not None)
    response.status_code = HTTPStatus.OK if refusal is None else refusal.status
    return response


@page("/sign-out", methods=("POST",))
def sign_out() -> Any:
    """End the session."""
    begun: Session = session  # type: ignore[assignment]
    begun.begin()
    flash(_("You have signed out."), "done")
    return to("start")


@page("/words")
def words() -> Any:
    """Explain the privacy words."""
    return show("words.html")


@page("/language", methods=("POST",))
def choose_language() -> Any:
    """Switch the language of the pages."""
    chosen = request.form.get("language")
    if chosen in LANGUAGES:
        session["language"] = chosen
    return redirect(local(request.form.get("next")), HTTPStatus.SEE_OTHER)
