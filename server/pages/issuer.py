"""Signing in with one's own account at the issuer, and tying that account to a user of this server.

An account is tied only after a form of this server said so. Otherwise a link on another site could tie whichever
account the browser is signed in with at the issuer, for example one that somebody else left there, and they could then
sign in as this user.
"""

from __future__ import annotations

import datetime as dt
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import flash, redirect, request, session

from budgets.database import clock
from server.errors import Busy, IssuerUnavailable, Unauthenticated
from server.pages.frame import calling
from server.pages.frame.calling import Refused
from server.pages.frame.language import translated as _
from server.pages.frame.rendering import ROLES, local, page, show, show_refused, to
from server.pages.frame.sessions import LONGEST_SECONDS
from server.sign_in.code_flow import Browsers
from server.web import auth, problems

if TYPE_CHECKING:
    from server.pages.frame.sessions import Session

STATE, VERIFIER, NEXT, TYING = "state", "verifier", "next", "tying"


def browsers() -> Browsers | None:
    """Return how browsers sign in at the issuer, or None where it is not set up."""
    services = auth.services()
    settings, issuer = services.settings, services.issuer
    if issuer is None or settings.oidc_pages_client is None:
        return None
    here = settings.public_url or f"http://{settings.host}:{settings.port}"
    return Browsers(
        issuer.keys,
        services.arrivals,
        issuer.issuer,
        settings.oidc_pages_client,
        settings.oidc_pages_secret,
        settings.oidc_scope,
        f"{here}/sign-in/issuer/back",
    )


def has_issuer() -> bool:
    """Return whether browsers can sign in with an account of an issuer."""
    return browsers() is not None


@page("/sign-in/issuer")
def to_issuer() -> Any:
    """Send the browser to the issuer."""
    try:
        begun = _required().begin()
    except IssuerUnavailable as error:
        return _not_signed_in(error)
    session[STATE], session[VERIFIER], session[NEXT] = begun.state, begun.verifier, local(request.args.get("next"))
    return redirect(begun.address, HTTPStatus.SEE_OTHER)


@page("/sign-in/issuer/back")
def from_issuer() -> Any:
    """Sign in whom the issuer sends back; tie their account if they are signed in already."""
    state, verifier, onward = (session.pop(name, "") for name in (STATE, VERIFIER, NEXT))
    here: Session = session  # type: ignore[assignment]
    try:
        tying = here.pop(TYING, None)
        token = _required().finish(request.args, state, verifier)
        if here.is_signed_in and tying == state:
            return _tied(token)
        me = calling.call("GET", "me", headers={"Authorization": f"Bearer {token}"}).json
        subject, _claimed = auth.vouched_for(token)
    except (Unauthenticated, IssuerUnavailable, Busy, Refused) as error:
        return _not_signed_in(error)
    ends = clock.text(clock.moment() + dt.timedelta(seconds=LONGEST_SECONDS))
    here.begin(subject=subject, expires_at=ends, name=me["name"], role=me["role"])
    return redirect(local(onward or None), HTTPStatus.SEE_OTHER)


@page("/account", *ROLES)
def account() -> Any:
    """Show who has signed in, until when, and how to tie one's own account."""
    return show("account.html", me=calling.get("me"))


@page("/account/tie", *ROLES, methods=("POST",))
def tie() -> Any:
    """Begin a sign-in at the issuer that ties the account. The way there is a link: forms lead nowhere else.

    Only this sign-in ties one: whichever is begun later, perhaps by a link on another site, ties nothing.
    """
    begun = _required().begin()
    session[STATE], session[VERIFIER], session[TYING] = begun.state, begun.verifier, begun.state
    return show("tie.html", address=begun.address)


def _tied(token: str) -> Any:
    calling.call("PUT", "me", "account", body={"token": token})
    _subject, claimed = auth.vouched_for(token)
    flash(_("The account %(name)s is tied: from now on you can sign in with it.", name=claimed.name), "done")
    return to("account")


def _required() -> Browsers:
    found = browsers()
    if found is None:
        raise calling.nowhere()
    return found


def _not_signed_in(error: Exception) -> Any:
    refusal = error if isinstance(error, Refused) else Refused(problems.document_of(error))
    return show_refused("sign_in.html", refusal, refusal=refusal)
