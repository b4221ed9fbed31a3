"""`rowless user add`, `user list`, `user remove`, `user unlink`, `token new`, `token list` and `token revoke`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from budgets.audit import log
from budgets.governance import leaving
from budgets.identity import people, subjects, tokens
from server.cli.common import with_json
from server.cli.home import acting, as_option, services

if TYPE_CHECKING:
    from collections.abc import Callable

    from budgets.identity.people import Token
    from server.runtime.services import Services


def scope_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a new token."""
    days = click.option(
        "--days",
        type=click.IntRange(1, tokens.DAYS_MAX),
        help=f"How long the token lives; {tokens.DAYS} by default.",
    )
    only = click.option("--study", metavar="STUDY", help="Limit the token to this study.")
    return days(only(click.option("--read-only", "reads_only", is_flag=True, help="Limit it to reading.")(command)))


def _scope(opened: Services, days: int | None, study: str | None, *, reads_only: bool) -> tokens.Scope:
    return tokens.scope(days, opened.settings.identity_days, study=study, reads_only=reads_only)


def _made(token: Token) -> dict[str, Any]:
    return {"token": token.text, "token_id": token.id, "expires_at": token.expires_at}


def _shown(token: Token) -> str:
    return f"shown only now, valid until {token.expires_at[:10]}: {token.text}"


@click.group()
def user() -> None:
    """Add, list and remove users, each with a role."""


@user.command("add")
@click.argument("new_name", metavar="NAME")
@click.option("--role", type=click.Choice(people.ROLES), required=True)
@scope_options
@as_option
@with_json
def add(new_name: str, role: str, days: int | None, study: str | None, name: str | None, *, reads_only: bool) -> Any:
    """Add a user and print their first token, shown only now."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        added = people.add_user(transaction, new_name, role, by)
        token = people.new_token(transaction, added.name, by, _scope(opened, days, study, reads_only=reads_only))
    said = {"user": added.name, "role": added.role, **_made(token)}
    return said, f"{added.name} is a {added.role} now. Token, {_shown(token)}"


@user.command("list")
@as_option
@with_json
def list_users(name: str | None) -> Any:
    """List the users with their roles and how many tokens of theirs give access now."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        people.require_role(by, "admin")
        log.append(transaction, by, "user.read", "users", "the users were listed")
        found = people.every_user(transaction)
    lines = [f"{one.user}  {one.role}  tokens {one.tokens}  since {one.created_at[:10]}" for one in found]
    return {"items": [one.to_json() for one in found]}, "\n".join(lines)


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


@user.command()
@click.argument("tied", metavar="NAME")
@as_option
@with_json
def unlink(tied: str, name: str | None) -> Any:
    """End that a user can sign in by the issuer."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        people.require_role(by, "admin")
        subjects.unlink(transaction, tied, by)
    return {"unlinked": tied}, f"{tied} can no longer sign in by the issuer"


@click.group()
def token() -> None:
    """Make, list and revoke access tokens."""


@token.command()
@click.argument("owner", metavar="NAME")
@scope_options
@as_option
@with_json
def new(owner: str, days: int | None, study: str | None, name: str | None, *, reads_only: bool) -> Any:
    """Make another token for a user, shown only now."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        made = people.new_token(transaction, owner, by, _scope(opened, days, study, reads_only=reads_only))
    return {"user": owner, **_made(made)}, f"Token {made.id}, {_shown(made)}"


@token.command("list")
@click.argument("owner", metavar="[NAME]", required=False)
@as_option
@with_json
def list_tokens(owner: str | None, name: str | None) -> Any:
    """List the tokens of all users or of one, with the day of their last use. Revoked ones are left out."""
    with services() as opened, opened.database.write() as transaction:
        by = acting(transaction, "admin", name)
        people.require_role(by, "admin")
        log.append(transaction, by, "token.read", "tokens", "the tokens were listed")
        found = tokens.listed(transaction, user=owner)
    lines = tokens.words(found) or ["there are no such tokens"]
    return {"items": [one.to_json() for one in found]}, "\n".join(lines)


@token.command()
@click.argument("token_id")
@as_option
@with_json
def revoke(token_id: str, name: str | None) -> Any:
    """Revoke a token by its id (the part between the underscores)."""
    with services() as opened, opened.database.write() as transaction:
        people.revoke_token(transaction, token_id, acting(transaction, "admin", name))
    return {"revoked": token_id}, f"Token {token_id} is revoked"
