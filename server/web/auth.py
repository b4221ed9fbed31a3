"""Signing in: the user that a request's bearer token belongs to, what it is limited to, and the roles of a route."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import current_app, g, request

from budgets.database import clock
from budgets.errors import AlreadyExists, Forbidden, Invalid, NotFound, Unavailable
from budgets.identity import commitments, people, subjects, tokens
from budgets.identity.tokens import Access
from server.admission.gates import Work
from server.errors import Unauthenticated
from server.sign_in.issuer import is_one
from server.web import admitting, forbidden, throttling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from budgets.actors import Actor
    from server.runtime.services import Services
    from server.sign_in.issuer import Claimed

P = ParamSpec("P")
R = TypeVar("R")

ROLES = ("researcher", "admin", "dpo", "approver")
READING = ("GET", "HEAD")
# Where a page that calls the API says who signed in. It is no header: nobody outside the process can set it.
SESSION = "rowless.session"


def services() -> Services:
    """Return the running application's services."""
    found: Services = current_app.extensions["rowless"]
    return found


def actor() -> Actor:
    """Return the user of the request. Call it only in a route that `for_roles` guards."""
    return access().actor


def access() -> Access:
    """Return the user of the request with the limits of their token. Call it only in a route that is guarded."""
    found: Access = g.access
    return found


def for_roles(
    *roles: str, beyond_a_study: bool = False, work: Work = Work.REST
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Guard a route: without a valid token it raises Unauthenticated, with another role or a limited token Forbidden.

    A token that is limited to a study gives access to the routes below that study, and to those that are
    `beyond_a_study` because they show nothing of other studies to it. Then the request is admitted as one of a kind of
    work, or refused (`admitting.py`). The OpenAPI document has the roles as `x-roles`.
    """

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            g.access = signed_in()
            throttling.count(access())
            with forbidden.recorded(services(), actor()):
                people.require_role(actor(), *roles)
                require_scope(access(), kwargs.get("study"), beyond_a_study=beyond_a_study)
                with admitting.entered(work, actor()):
                    return view(*args, **kwargs)

        described: Any = guarded
        described._apidoc = {
            **getattr(view, "_apidoc", {}),
            "manual_doc": {
                **getattr(view, "_apidoc", {}).get("manual_doc", {}),
                "security": [{"token": []}],
                "x-roles": list(roles),
            },
        }
        return guarded

    return decorate


def require_scope(found: Access, study: object, *, beyond_a_study: bool) -> None:
    """Raise Forbidden if the token is limited and this request is beyond its limits."""
    if found.reads_only and request.method not in READING:
        raise Forbidden("this token may only read")
    if found.study is not None and study != found.study and not beyond_a_study:
        raise Forbidden(f"this token is limited to study {found.study}")


@dataclass(frozen=True)
class Vouched:
    """Who signed in by the issuer in a browser: the digest of the subject, and when that session ends at the latest."""

    subject: str
    expires_at: str


def signed_in() -> Access:
    """Return the user of the request: of its token, or of the session of a page that calls the API.

    Raises Unauthenticated, IssuerUnavailable.
    """
    return user_of(request.environ)


def user_of(environ: Mapping[str, Any]) -> Access:
    """Return the user that a WSGI environment names. Raises Unauthenticated, IssuerUnavailable."""
    vouched: Vouched | None = environ.get(SESSION)
    if vouched is None:
        return authenticate(environ.get("HTTP_AUTHORIZATION"))
    with services().database.read() as transaction:
        actor = subjects.find(transaction, vouched.subject)
    if actor is None or vouched.expires_at <= clock.now():
        raise Unauthenticated("the session has ended")
    return _current(Access(actor, vouched.expires_at))


def authenticate(header: str | None) -> Access:
    """Return the user of an Authorization header. A wrong token is recorded; a missing header is not."""
    if header is None:
        raise Unauthenticated("send a token in the header, as Authorization: Bearer TOKEN")
    sign_ins, database = services().sign_ins, services().database
    scheme, _, token = header.partition(" ")
    text = token.strip() if scheme.lower() == "bearer" else ""
    try:
        found = _vouched(text) if services().issuer is not None and is_one(text) else _own(text)
    except Unauthenticated:
        sign_ins.failed(database)
        raise
    return _current(found)


def _current(found: Access) -> Access:
    """Write what is due at a sign-in, and return the user with a commitment that is in force."""
    database = services().database
    services().sign_ins.write_what_is_due(database)
    services().tallies.write_what_is_due(database)
    days = services().settings.identity_days
    if found.commitment_made_at is None:
        with database.read() as transaction:
            worn = commitments.is_worn(transaction, found.actor, days)
    else:
        worn = commitments.is_old(found.commitment_made_at, days)
    return _noted(found, days, worn=worn) if worn or tokens.is_first_use_today(found) else found


def _own(text: str) -> Access:
    """Return the user of one of the server's own tokens. Raises Unauthenticated."""
    with services().database.read() as transaction:
        found = tokens.authenticate(transaction, text)
        expired = found is None and tokens.is_expired(transaction, text)
    if found is None:
        raise Unauthenticated(f"the token {'has expired' if expired else 'is wrong or was revoked'}")
    return found


def _vouched(text: str) -> Access:
    """Return the user of an access token of the issuer, and add a researcher whom it vouches for.

    Raises Unauthenticated, IssuerUnavailable.
    """
    subject, claimed = vouched_for(text)
    with services().database.read() as transaction:
        actor = subjects.find(transaction, subject)
    if actor is None:
        actor = _admitted(subject, claimed)
    elif actor.role == "researcher" and services().settings.oidc_researcher is not None and not claimed.is_researcher:
        raise Unauthenticated("the issuer no longer names you as a researcher")
    return Access(actor, claimed.expires_at)


def vouched_for(text: str) -> tuple[str, Claimed]:
    """Return the digest of the subject of an issuer's token, and what it claims. Raises what `Issuer.read` raises."""
    issuer = services().issuer
    if issuer is None or not is_one(text):
        raise Unauthenticated("this server takes no tokens of an issuer, or this is none")
    claimed = issuer.read(text)
    return subjects.digest(issuer.issuer, claimed.subject), claimed


def _admitted(subject: str, claimed: Claimed) -> Actor:
    if not claimed.is_researcher or claimed.name is None:
        raise Unauthenticated("the issuer's account is not tied to a user of this server")
    try:
        with services().database.write() as transaction:
            return subjects.admit(transaction, claimed.name, subject)
    except AlreadyExists:
        raise Unauthenticated("another user has the name that the issuer gives you: tie your accounts first") from None
    except Invalid as refusal:
        raise Unauthenticated(f"the name that the issuer gives you cannot be a user's: {refusal.message}") from None


def _noted(found: Access, days: int, *, worn: bool) -> Access:
    """Note the day of the use and renew a worn commitment. If the ledger can only be read, both wait."""
    try:
        with services().database.write() as transaction:
            tokens.note_use(transaction, found)
            return replace(found, actor=commitments.in_force(transaction, found.actor, days)) if worn else found
    except NotFound:  # the user was removed in between
        raise Unauthenticated("the token is wrong or was revoked") from None
    except Unavailable:
        return found
