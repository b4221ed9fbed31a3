"""Health, who I am, users and tokens."""

from __future__ import annotations

from typing import Any

from budgets.governance import leaving, studies
from budgets.identity import people
from server.api import replies
from server.api.requests.schemas import NewUserSchema
from server.web.auth import ROLES, actor, for_roles, services
from server.web.bodies import Blueprint

blueprint: Any = Blueprint("people", __name__, description="Users and tokens")


@blueprint.route("/health")
@blueprint.response(200, replies.Health)
def health() -> Any:
    """Return that the server is up."""
    return {"status": "ok"}


@blueprint.route("/me")
@for_roles(*ROLES)
@blueprint.response(200, replies.Me)
def me() -> Any:
    """Return the token's user, role and studies."""
    with services().database.read() as transaction:
        mine = studies.studies_of(transaction, actor())
    return {"name": actor().name, "role": actor().role, "studies": [study.id for study in mine]}


@blueprint.route("/users", methods=["POST"])
@for_roles("admin")
@blueprint.arguments(NewUserSchema)
@blueprint.response(201, replies.User)
def add_user(body: dict[str, str]) -> Any:
    """Add a user and make their first token. The token is shown only now."""
    with services().database.write() as transaction:
        added = people.add_user(transaction, body["name"], body["role"], actor())
        token = people.new_token(transaction, added.name, actor())
    return {"user": added.name, "role": added.role, "token": token.text, "token_id": token.id}


@blueprint.route("/users/<name>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(204)
def remove_user(name: str) -> Any:
    """Remove a user with their tokens and memberships. Nobody can remove themselves or the last of a role."""
    with services().database.write() as transaction:
        leaving.remove_user(transaction, name, actor())


@blueprint.route("/users/<name>/tokens", methods=["POST"])
@for_roles("admin")
@blueprint.response(201, replies.Token)
def new_token(name: str) -> Any:
    """Make another token for a user. It is shown only now."""
    with services().database.write() as transaction:
        token = people.new_token(transaction, name, actor())
    return {"token": token.text, "token_id": token.id}


@blueprint.route("/tokens/<token_id>", methods=["DELETE"])
@for_roles("admin")
@blueprint.response(204)
def revoke_token(token_id: str) -> Any:
    """Revoke a token at once and for good."""
    with services().database.write() as transaction:
        people.revoke_token(transaction, token_id, actor())
