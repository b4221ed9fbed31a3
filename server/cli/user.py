"""`rowless user add`, `user remove`, `token new` and `token revoke`."""

from __future__ import annotations

from typing import Any

import click

from budgets.governance import leaving
from budgets.identity import people
from server.cli.common import with_json
from server.cli.home import acting, as_option, services


@click.group()
def user() -> None:
    """Add and remove users, each with a role."""


@user.command("add")
@click.argument("new_name", metavar="NAME")
@click.option("--role", type=click.Choice(people.ROLES), required=True)
@as_option
@with_json
def add(new_name: str, role: str, name: str | None) -> Any:
    """Add a user and print their first token, shown only now."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        added = people.add_user(transaction, new_name, role, by)
        token = people.new_token(transaction, added.name, by)
    said = {"user": added.name, "role": added.role, "token": token.text, "token_id": token.id}
    return said, f"{added.name} is a {added.role} now. Token, shown only now: {token.text}"


@user.command("remove")
@click.argument("leaver", metavar="NAME")
@as_option
@with_json
def remove(leaver: str, name: str | None) -> Any:
    """Remove a user, with their tokens and memberships. The name is kept until the DPO erases it."""
    with services() as opened, opened.database.write() as transaction:
        gone = leaving.remove_user(transaction, leaver, acting(transaction, "admin", name))
    return {
        "removed": gone.name,
        "role": gone.role,
    }, f"{gone.name} is no user any more; no token of theirs opens anything"


@click.group()
def token() -> None:
    """Make and revoke access tokens."""


@token.command()
@click.argument("owner", metavar="NAME")
@as_option
@with_json
def new(owner: str, name: str | None) -> Any:
    """Make another token for a user, shown only now."""
    with services() as opened, opened.database.write() as transaction:
        made = people.new_token(transaction, owner, acting(transaction, "admin", name))
    return {"user": owner, "token": made.text, "token_id": made.id}, f"Token {made.id}, shown only now: {made.text}"


@token.command()
@click.argument("token_id")
@as_option
@with_json
def revoke(token_id: str, name: str | None) -> Any:
    """Revoke a token by its id (the part between the underscores)."""
    with services() as opened, opened.database.write() as transaction:
        people.revoke_token(transaction, token_id, acting(transaction, "admin", name))
    return {"revoked": token_id}, f"Token {token_id} is revoked"
