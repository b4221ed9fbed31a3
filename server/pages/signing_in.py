"""The start page, signing in with a token, signing out, and the language."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request, session

from server.languages.language import LANGUAGES
from server.pages.admin.waiting import waiting
from server.pages.deciding import inbox
from server.pages.frame import calling
from server.pages.frame.entering import enter
from server.pages.frame.keeping import LANGUAGE
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import local, page, show, show_refused, to

if TYPE_CHECKING:
    from server.pages.frame.sessions import Session


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
        refusal = enter(request.form.get("token", ""))
        if refusal is None:
            return redirect(local(request.args.get("next")), HTTPStatus.SEE_OTHER)
    return show_refused("sign_in.html", refusal, refusal=refusal)


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
    chosen = request.form.get(LANGUAGE)
    if chosen in LANGUAGES:
        session["language"] = chosen
    return redirect(local(request.form.get("_next")), HTTPStatus.SEE_OTHER)
