"""Health, who I am, users and tokens."""

from __future__ import annotations

from typing import Any

from budgets.errors import Forbidden, Invalid
from budgets.governance import studies
from budgets.governance.roles import grants, leaving
from budgets.identity import people, subjects, tokens
from server.api import replies
from server.api.requests.schemas import LinkedAccountSchema, NewTokenSchema, NewUserSchema, PageSchema, TokensSchema
from server.errors import Unauthenticated
from server.runtime.tallies import Act
from server.web.auth import ROLES, access, actor, for_roles, services, vouched_for
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("people", __name__, description="Users and tokens")


@blueprint.route("/me")
@for_roles(*ROLES, beyond_a_study=True)
@blueprint.response(200, replies.Me)
def me() -> Any:
    """Return the token's user, role and studies, and what the token is limited to."""
    mine = access()
    with services().database.read() as transaction:
        found = studies.studies_of(transaction, actor(), only=mine.study)
    return {
        "name": actor().name,
        "role": actor().role,
        "studies": [study.id for study in found],
        "expires_at": mine.expires_at,
        "study": mine.study,
        "reads_only": mine.reads_only,
    }


@blueprint.route("/sign-in")
@blueprint.response(200, replies.SignIn)
def sign_in() -> Any:
    """Return by which issuer and client people sign in; null if the server takes only its own tokens."""
    issuer = services().issuer
    if issuer is None:
        return {"issuer": None, "client": None, "scope": None}
    return {"issuer": issuer.issuer, "client": issuer.client, "scope": issuer.scope}


@blueprint.route("/me/account", methods=["PUT"])
@for_roles(*ROLES)
@blueprint.arguments(LinkedAccountSchema)
@blueprint.response(204)
def link_account(body: dict[str, str]) -> Any:
    """Tie yourself to an account of the issuer, by a token of each. From then on the issuer's tokens are yours."""
    if access().token is None:
        raise Forbidden("send a token of this server in the header, and that of the issuer in the body")
    try:
        subject, _ = vouched_for(body["token"])
    except Unauthenticated as refusal:
        raise Invalid("token", str(refusal)) from None
    with services().database.write() as transaction:
        subjects.link(transaction, actor(), subject)


@blueprint.route("/users/<name>/account", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(204)
def unlink_account(name: str) -> Any:
    """End that a user can sign in by the issuer."""
    with services().database.write() as transaction:
        subjects.unlink(transaction, name, actor())


@blueprint.route("/users")
@for_roles("admin")
@blueprint.arguments(PageSchema, location="query")
@blueprint.response(200, replies.page_of(replies.ListedUser))
def list_users(page: dict[str, Any]) -> Any:
    """List the users by name. Each reading is in the audit log."""
    limit = page["limit"]
    act = Act(actor(), "user.read", "users", None, "readings of the list of users")
    with services().tallies.reading(services().database, act, "the users were listed") as transaction:
        found = people.every_user(transaction, after=page["cursor"], limit=limit + 1)
    return {
        "items": [one.to_json() for one in found[:limit]],
        "next": found[limit - 1].user if len(found) > limit else None,
    }


@blueprint.route("/users", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewUserSchema)
@blueprint.response(201, replies.User)
def add_user(body: dict[str, Any]) -> Any:
    """Add a researcher or an admin and make their first token, shown only now. For other roles see `/proposals`."""
    with services().database.write() as transaction:
        added = people.add_user(transaction, body["name"], body["role"], actor())
        token = people.new_token(transaction, added.name, actor(), _scope(body))
    return {"user": added.name, "role": added.role, **_made(token)}


@blueprint.route("/users/<name>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(204)
def remove_user(name: str) -> Any:
    """Remove a researcher or an admin, with tokens and memberships. Nobody removes themselves or the last admin."""
    with services().database.write() as transaction:
        leaving.remove_user(transaction, name, actor())


@blueprint.route("/users/<name>/tokens", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewTokenSchema, required=False)
@blueprint.response(201, replies.Token)
def new_token(body: dict[str, Any], name: str) -> Any:
    """Make another token for a researcher or an admin, perhaps a limited one. It is shown only now."""
    with services().database.write() as transaction:
        return _made(people.new_token(transaction, name, actor(), _scope(body)))


@blueprint.route("/tokens")
@for_roles("admin")
@blueprint.arguments(TokensSchema, location="query")
@blueprint.response(200, replies.page_of(replies.ListedToken))
def list_tokens(page: dict[str, Any]) -> Any:
    """List the tokens that were not revoked, with the day of their last use. Each reading is in the log."""
    limit = page["limit"]
    act = Act(actor(), "token.read", "tokens", None, "readings of the list of tokens")
    with services().tallies.reading(services().database, act, "the tokens were listed") as transaction:
        found = tokens.listed(transaction, user=page["user"], after=page["cursor"], limit=limit + 1)
    return {
        "items": [one.to_json() for one in found[:limit]],
        "next": found[limit - 1].id if len(found) > limit else None,
    }


@blueprint.route("/tokens/<token_id>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(204)
def revoke_token(token_id: str) -> Any:
    """Revoke a token at once and for good."""
    with services().database.write() as transaction:
        grants.revoke_token(transaction, token_id, actor())


def _scope(body: dict[str, Any]) -> tokens.Scope:
    kept_days = services().settings.identity_days
    return tokens.scope(body["days"], kept_days, study=body["study"], reads_only=body["reads_only"])


def _made(token: people.Token) -> dict[str, Any]:
    return {"token": token.text, "token_id": token.id, "expires_at": token.expires_at}
